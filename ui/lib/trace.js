// The shape of a trace: who is whose child, what is on the critical path, which rows are shown.

/** @typedef {import('../types/api.d.ts').TraceSkeleton} TraceSkeleton */

/**
 * A trace ready to be drawn. Every list has one entry per span, by the skeleton's row.
 * @typedef {object} Tree
 * @property {TraceSkeleton} t
 * @property {number[]} roots spans without a parent here, by start
 * @property {number[][]} children by start
 * @property {number[]} depth
 * @property {number[]} size spans of the subtree, itself included
 * @property {number[]} errors error spans of the subtree, itself included
 * @property {number[]} self nanoseconds not covered by children
 * @property {Uint8Array} critical 1 for spans on the critical path
 * @property {number[]} order all spans, parents before children
 */

/** OTLP's status code of a failed span. */
export const ERROR = 2;

/**
 * Builds the tree. A parent chain that runs in a circle (bad ids) is cut where it closes.
 * @param {TraceSkeleton} t
 * @returns {Tree}
 */
export function build(t) {
  const n = t.id.length;
  const children = /** @type {number[][]} */ (Array.from({ length: n }, () => []));
  const roots = [];
  for (let i = 0; i < n; i += 1) {
    if (t.parent[i] >= 0 && t.parent[i] !== i) children[t.parent[i]].push(i);
    else roots.push(i);
  }
  const depth = new Array(n).fill(-1);
  const order = /** @type {number[]} */ ([]);
  walk(roots, children, depth, order);
  for (let i = 0; i < n && order.length < n; i += 1) {
    // Only members of a circle are left: the first of each becomes a root.
    if (depth[i] >= 0) continue;
    children[t.parent[i]] = children[t.parent[i]].filter((child) => child !== i);
    roots.push(i);
    walk([i], children, depth, order);
  }
  const size = new Array(n).fill(1);
  const errors = t.status.map((status) => (status === ERROR ? 1 : 0));
  for (let at = n - 1; at >= 0; at -= 1) {
    const i = order[at];
    for (const child of children[i]) {
      size[i] += size[child];
      errors[i] += errors[child];
    }
  }
  const self = selfTimes(t, children);
  return { t, roots, children, depth, size, errors, self, critical: criticalPath(t, roots, children), order };
}

/**
 * Depth first without recursion: a trace may be deeper than the stack.
 * @param {number[]} roots @param {number[][]} children @param {number[]} depth @param {number[]} order
 */
function walk(roots, children, depth, order) {
  const stack = roots.map((root) => [root, 0]).reverse();
  for (let top = stack.pop(); top; top = stack.pop()) {
    const [i, d] = top;
    if (depth[i] >= 0) continue;
    depth[i] = d;
    order.push(i);
    for (let c = children[i].length - 1; c >= 0; c -= 1) stack.push([children[i][c], d + 1]);
  }
}

/** @param {TraceSkeleton} t @param {number[][]} children */
function selfTimes(t, children) {
  return children.map((list, i) => {
    let covered = 0;
    let until = t.start[i];
    const end = t.start[i] + t.duration[i];
    for (const child of list) {
      const from = Math.max(t.start[child], until);
      const to = Math.min(t.start[child] + t.duration[child], end);
      if (to > from) {
        covered += to - from;
        until = to;
      }
    }
    return Math.max(0, t.duration[i] - covered);
  });
}

/**
 * The chain that decides when the longest root ends: from its end backwards, always the child
 * that finished last before the point reached.
 * @param {TraceSkeleton} t @param {number[]} roots @param {number[][]} children
 */
function criticalPath(t, roots, children) {
  const on = new Uint8Array(t.id.length);
  const end = (/** @type {number} */ i) => t.start[i] + t.duration[i];
  let first = -1;
  for (const root of roots) if (first < 0 || t.duration[root] > t.duration[first]) first = root;
  const stack = first < 0 ? [] : [first];
  for (let i = stack.pop(); i !== undefined; i = stack.pop()) {
    on[i] = 1;
    let until = end(i);
    const byEnd = [...children[i]].sort((a, b) => end(b) - end(a));
    for (const child of byEnd) {
      // A child that outlives its parent was not waited for; a millionth is clock noise.
      if (end(child) > until + t.duration[i] * 1e-6) continue;
      if (end(child) <= t.start[i] || on[child]) continue;
      stack.push(child);
      until = t.start[child];
      if (until <= t.start[i]) break;
    }
  }
  return on;
}

/**
 * The rows on screen: everything but what is below a collapsed span.
 * @param {Tree} tree
 * @param {ReadonlySet<number>} collapsed
 * @returns {number[]}
 */
export function visible(tree, collapsed) {
  const rows = [];
  let hidden = Infinity;
  for (const i of tree.order) {
    if (tree.depth[i] > hidden) continue;
    hidden = collapsed.has(i) ? tree.depth[i] : Infinity;
    rows.push(i);
  }
  return rows;
}

/**
 * The span to open a trace at: the deepest error on the critical path, else the first error
 * that no error below explains, else the root.
 * @param {Tree} tree
 */
export function startSpan(tree) {
  const failed = tree.order.filter((i) => tree.t.status[i] === ERROR);
  const critical = failed.filter((i) => tree.critical[i]);
  const pick = critical.length ? critical : failed;
  if (!pick.length) return tree.roots[0] ?? 0;
  return pick.reduce((best, i) => (tree.depth[i] > tree.depth[best] ? i : best));
}

/**
 * The next (or previous) failed span in reading order, or −1.
 * @param {Tree} tree @param {number} from @param {1 | -1} direction
 */
export function nextError(tree, from, direction) {
  const n = tree.order.length;
  const at = tree.order.indexOf(from);
  for (let step = 1; step <= n; step += 1) {
    const i = tree.order[(((at + direction * step) % n) + n) % n];
    if (tree.t.status[i] === ERROR) return i;
  }
  return -1;
}

/**
 * Spans whose name, service or id has the text.
 * @param {Tree} tree @param {string} text
 * @returns {Set<number>}
 */
export function search(tree, text) {
  const found = /** @type {Set<number>} */ (new Set());
  const needle = text.trim().toLowerCase();
  if (!needle) return found;
  const names = tree.t.names.map((name) => name.toLowerCase().includes(needle));
  const services = tree.t.services.map(({ name }) => name.toLowerCase().includes(needle));
  tree.t.id.forEach((id, i) => {
    if (names[tree.t.name[i]] || services[tree.t.service[i]] || id.startsWith(needle)) found.add(i);
  });
  return found;
}

/** @param {Tree} tree @param {number} i @returns {number[]} the span's ancestors, nearest first */
export function ancestors(tree, i) {
  const list = [];
  const seen = new Set([i]);
  for (let at = tree.t.parent[i]; at >= 0 && !seen.has(at); at = tree.t.parent[at]) {
    seen.add(at);
    list.push(at);
  }
  return list;
}

/**
 * Round numbers for the time axis of a waterfall, from 0 to at most `width`.
 * @param {number} from @param {number} to @param {number} count
 */
export function ticks(from, to, count) {
  const raw = (to - from) / Math.max(count, 1);
  if (!(raw > 0)) return [];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) ?? power * 10;
  const list = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) list.push(at);
  return list;
}

export const KINDS = ['', 'internal', 'server', 'client', 'producer', 'consumer'];
export const STATUSES = ['unset', 'ok', 'error'];
