// Where the boxes of the service map stand: longest-path layers, barycentre order.

/**
 * @typedef {object} Placed
 * @property {string} name
 * @property {number} x left edge
 * @property {number} y upper edge
 */

/**
 * @typedef {object} Layout
 * @property {Map<string, Placed>} nodes
 * @property {Map<string, { x: number, y: number }[]>} routes where long edges pass the columns between, by `edgeKey`
 * @property {number} width
 * @property {number} height
 */

export const BOX = { width: 168, height: 46, gapX: 120, gapY: 22 };

/** What a long edge takes of a column it passes. */
const LANE = 8;

/**
 * @param {string[]} names
 * @param {{ from: string, to: string }[]} edges
 * @returns {Layout}
 */
export function layout(names, edges) {
  const known = new Set(names);
  const real = edges.filter((e) => e.from !== e.to && known.has(e.from) && known.has(e.to));
  const layerOf = layers(names, acyclic(names, real));
  const columns = /** @type {string[][]} */ ([]);
  for (const name of names) (columns[layerOf.get(name) ?? 0] ??= []).push(name);
  const { short, lanes } = split(real, layerOf, columns);
  const filled = columns.filter(Boolean);
  order(filled, short);
  const tall = (/** @type {string} */ name) => (lanes.has(name) ? LANE : BOX.height);
  const heights = filled.map((column) => column.reduce((sum, name) => sum + tall(name) + BOX.gapY, -BOX.gapY));
  const height = Math.max(BOX.height, ...heights);
  const nodes = new Map();
  const routes = /** @type {Layout['routes']} */ (new Map());
  filled.forEach((column, c) => {
    let y = (height - heights[c]) / 2;
    for (const name of column) {
      const lane = lanes.get(name);
      const x = c * (BOX.width + BOX.gapX);
      if (lane) routes.set(lane, [...(routes.get(lane) ?? []), { x, y: y + LANE / 2 }]);
      else nodes.set(name, { name, x, y });
      y += tall(name) + BOX.gapY;
    }
  });
  return { nodes, routes, width: Math.max(1, filled.length) * (BOX.width + BOX.gapX) - BOX.gapX, height };
}

/** The name of an edge in `routes`. @param {{ from: string, to: string }} e */
export const edgeKey = (e) => JSON.stringify([e.from, e.to]);

/**
 * Cuts edges that pass columns into pieces from one column to the next, and gives each a place
 * in the columns it passes.
 * @param {{ from: string, to: string }[]} edges @param {Map<string, number>} layerOf @param {string[][]} columns gets the places
 */
function split(edges, layerOf, columns) {
  const short = /** @type {{ from: string, to: string }[]} */ ([]);
  const lanes = /** @type {Map<string, string>} */ (new Map());
  for (const edge of edges) {
    const key = edgeKey(edge);
    let before = edge.from;
    for (let layer = (layerOf.get(edge.from) ?? 0) + 1; layer < (layerOf.get(edge.to) ?? 0); layer += 1) {
      const name = `${key} ${layer}`;
      lanes.set(name, key);
      columns[layer].push(name);
      short.push({ from: before, to: name });
      before = name;
    }
    short.push({ from: before, to: edge.to });
  }
  return { short, lanes };
}

/**
 * The edges without those that close a circle, found depth first from the callers nobody calls.
 * @param {string[]} names @param {{ from: string, to: string }[]} edges
 */
function acyclic(names, edges) {
  const out = group(edges, (e) => e.from);
  const called = new Set(edges.map((e) => e.to));
  const state = /** @type {Map<string, number>} */ (new Map());
  const kept = /** @type {{ from: string, to: string }[]} */ ([]);
  const starts = [...names].sort((a, b) => Number(called.has(a)) - Number(called.has(b)));
  for (const start of starts) {
    if (state.has(start)) continue;
    state.set(start, 1);
    const stack = [{ name: start, next: 0 }];
    while (stack.length) {
      const top = stack[stack.length - 1];
      const edge = (out.get(top.name) ?? [])[top.next];
      if (!edge) {
        state.set(top.name, 2);
        stack.pop();
        continue;
      }
      top.next += 1;
      const seen = state.get(edge.to);
      if (seen !== 1) kept.push(edge);
      if (seen === undefined) {
        state.set(edge.to, 1);
        stack.push({ name: edge.to, next: 0 });
      }
    }
  }
  return kept;
}

/**
 * Each node one column right of its rightmost caller.
 * @param {string[]} names @param {{ from: string, to: string }[]} edges without circles
 */
function layers(names, edges) {
  const layer = new Map(names.map((name) => [name, 0]));
  for (let round = 0, moved = true; moved && round < names.length; round += 1) {
    moved = false;
    for (const { from, to } of edges) {
      const want = (layer.get(from) ?? 0) + 1;
      if ((layer.get(to) ?? 0) < want) {
        layer.set(to, want);
        moved = true;
      }
    }
  }
  return layer;
}

/**
 * Sorts each column by the middle of its neighbours, four sweeps to and fro.
 * @param {string[][]} columns @param {{ from: string, to: string }[]} edges
 */
function order(columns, edges) {
  const into = group(edges, (e) => e.to);
  const out = group(edges, (e) => e.from);
  const place = new Map();
  const note = () => columns.forEach((column) => column.forEach((name, r) => place.set(name, r - column.length / 2)));
  columns.forEach((column) => column.sort());
  note();
  for (let sweep = 0; sweep < 4; sweep += 1) {
    const forward = sweep % 2 === 0;
    for (const column of forward ? columns : [...columns].reverse()) {
      const middle = new Map(column.map((name) => {
        const near = forward ? (into.get(name) ?? []).map((e) => e.from) : (out.get(name) ?? []).map((e) => e.to);
        const sum = near.reduce((total, other) => total + (place.get(other) ?? 0), 0);
        return [name, near.length ? sum / near.length : place.get(name) ?? 0];
      }));
      column.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
      note();
    }
  }
}

/** @template T @param {T[]} list @param {(item: T) => string} key @returns {Map<string, T[]>} */
function group(list, key) {
  const map = new Map();
  for (const item of list) {
    const k = key(item);
    const has = map.get(k);
    if (has) has.push(item);
    else map.set(k, [item]);
  }
  return map;
}
