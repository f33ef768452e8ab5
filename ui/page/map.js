// Map: who calls whom, as boxes and arrows and as a table.

import { useMemo, useState } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { duration, number, percent, rate } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { BOX, edgeKey, layout } from '../lib/layers.js';
import { href, place, range, scope, set } from '../url.js';
import { Empty, Partial, Problem, Progress } from '../widget/states.js';

/** Boxes drawn at once; past that the map shows the neighbourhood of one service. */
const NODES_MAX = 60;
/** Arrows drawn at once: with more nobody can follow one. */
const EDGES_MAX = 60;
const PAD = 14;

/** @typedef {import('../types/api.d.ts').ServiceMap} ServiceMap */

export function Page() {
  const r = range.value;
  const answer = useAnswer(`map ${r.from} ${r.to}`, (abort) => api.map(r, abort));
  const [table, setTable] = useState(false);
  const focus = place.value.query.focus || scope.value;
  const { data } = answer;
  const shown = useMemo(() => (data ? near(data, focus) : null), [data, focus]);
  const seconds = Math.max(1, (r.to - r.from) / 1000);
  const drawn = useMemo(() => (shown ? { ...shown, edges: worst(shown.edges) } : null), [shown]);
  return html`<div class="page">
    ${h(Progress, { answer })}
    ${h(Problem, { error: answer.error, stale: Boolean(data) })}
    <div class="row">
      ${data && html`<span class="dim">${number(shown?.nodes.length ?? 0)} of ${number(data.nodes.length)} nodes, ${number(shown?.edges.length ?? 0)} edges</span>`}
      ${focus && html`<span class="chip">around ${focus} <button class="small" onClick=${() => set({ focus: '', service: '' })}>Show all</button></span>`}
      ${shown && drawn && drawn.edges.length < shown.edges.length && !table && html`<span class="chip">drawn are ${drawn.edges.length}: the most failing, then the busiest; the table has all</span>`}
      ${h(Partial, { why: data?.partial })}<span class="grow"></span>
      <button class="small" aria-pressed=${table} onClick=${() => setTable(!table)}>${table ? 'Map' : 'Table'}</button></div>
    ${shown && (shown.nodes.length === 0 ? h(Empty, { what: '0 services', why: 'The map is drawn from spans whose parent lies in another service. None started in this range.',
      children: html`<button onClick=${() => set({ from: 'now-1d', to: 'now' })}>Last 24 h</button>` }) : table ? h(Table, { map: shown, seconds }) : drawn && h(Drawing, { map: drawn, seconds }))}
  </div>`;
}

/** @param {import('../types/api.d.ts').MapEdge[]} edges */
function worst(edges) {
  return edges.length <= EDGES_MAX ? edges : [...edges].sort((a, b) => b.errors - a.errors || b.requests - a.requests).slice(0, EDGES_MAX);
}

/** What lies within two calls of a service; everything if there is no focus and it fits. @param {ServiceMap} map @param {string} focus */
function near(map, focus) {
  const start = focus || (map.nodes.length > NODES_MAX ? [...map.nodes].sort((a, b) => b.errors - a.errors || b.requests - a.requests)[0].name : '');
  if (!start || !map.nodes.some((n) => n.name === start)) return map;
  let names = new Set([start]);
  for (let hop = 0; hop < 2; hop += 1) {
    const next = new Set(names);
    for (const e of map.edges) {
      if (names.has(e.from)) next.add(e.to);
      if (names.has(e.to)) next.add(e.from);
    }
    names = next;
  }
  const nodes = map.nodes.filter((n) => names.has(n.name)).slice(0, NODES_MAX);
  const kept = new Set(nodes.map((n) => n.name));
  return { nodes, edges: map.edges.filter((e) => kept.has(e.from) && kept.has(e.to)), partial: map.partial };
}

/** @param {{ map: ServiceMap, seconds: number }} props */
function Drawing({ map, seconds }) {
  const place_ = useMemo(() => layout(map.nodes.map((n) => n.name), map.edges), [map]);
  const busiest = Math.max(1, ...map.edges.map((e) => e.requests));
  const width = place_.width + PAD * 2;
  const height = place_.height + PAD * 2 + 20;
  return html`<div class="map" tabindex="0" aria-label="Service map; the table has the same"><svg width=${width} height=${height} viewBox=${`${-PAD} ${-PAD - 10} ${width} ${height}`} role="group" aria-label="Service map">
    <defs>${['', ' err'].map((kind) => html`<marker id=${`arrow${kind.trim()}`} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto"><path class=${`arrow${kind}`} d="M0 0L8 4L0 8z"/></marker>`)}</defs>
    ${map.edges.map((e) => h(Edge, { e, place: place_, busiest, seconds, near: fanOut(map, e) }))}
    ${map.nodes.map((n) => h(Node, { n, place: place_, seconds }))}</svg></div>`;
}

/** @param {{ e: import('../types/api.d.ts').MapEdge, place: import('../lib/layers.js').Layout, busiest: number, seconds: number, near: number }} props */
function Edge({ e, place: at, busiest, seconds, near: share }) {
  const a = at.nodes.get(e.from);
  const b = at.nodes.get(e.to);
  if (!a || !b) return null;
  const thick = 1 + 3 * (Math.log1p(e.requests) / Math.log1p(busiest));
  const failed = e.errors > 0;
  const back = b.x <= a.x;
  const x1 = a.x + (back ? BOX.width / 2 : BOX.width);
  const y1 = a.y + (back ? 0 : BOX.height / 2);
  const x2 = b.x + (back ? BOX.width / 2 : 0);
  const y2 = b.y + (back ? 0 : BOX.height / 2);
  const lanes = back ? [] : at.routes.get(edgeKey(e)) ?? [];
  const next = lanes[0] ?? { x: x2, y: y2 };
  const d = e.from === e.to ? `M${a.x + 40} ${a.y}c-10 -26 40 -26 30 0`
    : back ? `M${x1} ${y1}C${x1} ${y1 - 44} ${x2} ${y2 - 44} ${x2} ${y2}` : through(x1, y1, lanes, x2, y2);
  const label = `${rate(e.requests / seconds)} · ${duration(e.p95_ns)}${failed ? ` · ✕ ${percent(e.errors, e.requests)}` : ''}`;
  return html`<g><path class=${failed ? 'edge err' : 'edge'} d=${d} stroke-width=${thick} marker-end=${`url(#arrow${failed ? 'err' : ''})`}><title>${`${e.from} → ${e.to}: ${label}`}</title></path>
    ${e.from !== e.to && html`<text class="edge-label" text-anchor="middle" x=${back ? (x1 + x2) / 2 : x1 + (next.x - x1) * share} y=${back ? (y1 + y2) / 2 - 34 : y1 + (next.y - y1) * bent(share) - 5}>${rate(e.requests / seconds)}${failed ? ` ✕ ${percent(e.errors, e.requests)}` : ''}</text>`}</g>`;
}

/** A curve from box to box, straight where it passes a column. @param {number} x1 @param {number} y1 @param {{ x: number, y: number }[]} lanes @param {number} x2 @param {number} y2 */
function through(x1, y1, lanes, x2, y2) {
  const curve = (/** @type {number} */ fromX, /** @type {number} */ fromY, /** @type {number} */ x, /** @type {number} */ y) => {
    const bend = Math.max(30, (x - fromX) / 2);
    return `C${fromX + bend} ${fromY} ${x - bend} ${y} ${x} ${y}`;
  };
  let d = `M${x1} ${y1}`;
  let [x, y] = [x1, y1];
  for (const lane of lanes) {
    d += `${curve(x, y, lane.x, lane.y)}h${BOX.width}`;
    [x, y] = [lane.x + BOX.width, lane.y];
  }
  return d + curve(x, y, x2, y2);
}

/** Where a label stands along its edge: away from the end that more edges share. @param {ServiceMap} map @param {import('../types/api.d.ts').MapEdge} e */
function fanOut(map, e) {
  const out = map.edges.filter((other) => other.from === e.from).length;
  const into = map.edges.filter((other) => other.to === e.to).length;
  return out > into ? 0.66 : into > out ? 0.34 : 0.5;
}

/** How far down an edge is at a share of its way right: its curve is flat at both ends. @param {number} x */
const bent = (x) => x * x * (3 - 2 * x);

const SIGNS = { service: '', database: '⛁ ', queue: '☰ ', external: '↗ ' };

/** @param {{ n: import('../types/api.d.ts').MapNode, place: import('../lib/layers.js').Layout, seconds: number }} props */
function Node({ n, place: at, seconds }) {
  const p = at.nodes.get(n.name);
  if (!p) return null;
  const failed = n.errors > 0;
  const sub = `${rate(n.requests / seconds)} · p95 ${duration(n.p95_ns)}`;
  const name = n.name.length > 20 ? `${n.name.slice(0, 19)}…` : n.name;
  const body = html`<rect class="box" width=${BOX.width} height=${BOX.height} rx=${n.kind === 'service' ? 5 : 20} stroke-width=${failed ? 2 : 1} style=${failed ? { stroke: 'var(--error)' } : {}}/>
    ${n.kind === 'service' && html`<rect x="0" y="6" width="4" height=${BOX.height - 12} style=${{ fill: `var(--s${n.color % 8})` }}/>`}
    <text x="12" y="19">${SIGNS[n.kind]}${name}</text><text class="sub" x="12" y="36">${sub}</text>
    ${failed && html`<text class="bad" x=${BOX.width - 8} y="19" text-anchor="end">✕ ${percent(n.errors, n.requests)}</text>`}<title>${`${n.name}: ${sub}, ${percent(n.errors, n.requests)} failed`}</title>`;
  return n.kind === 'service'
    ? html`<a class="node" href=${href(`services/${n.name}`)} transform=${`translate(${p.x} ${p.y})`}>${body}</a>`
    : html`<g class="node" transform=${`translate(${p.x} ${p.y})`}>${body}</g>`;
}

/** @param {{ map: ServiceMap, seconds: number }} props */
function Table({ map, seconds }) {
  return html`<table><thead><tr><th>From</th><th>To</th><th class="num">Calls</th><th class="num">Errors</th><th class="num">p95</th></tr></thead>
    <tbody>${[...map.edges].sort((a, b) => b.errors - a.errors || b.requests - a.requests).map((e) => html`<tr><td><a href=${href(`services/${e.from}`)}>${e.from}</a></td><td>${e.to}</td><td class="num">${rate(e.requests / seconds)}</td>
      <td class=${e.errors ? 'num error-text' : 'num'}>${e.errors ? '✕ ' : ''}${percent(e.errors, e.requests)}</td><td class="num">${duration(e.p95_ns)}</td></tr>`)}</tbody></table>`;
}
