// One service: rate, errors, duration; its operations; who calls it and whom it calls.

import { useMemo, useState } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { LineChart } from '../chart/line.js';
import { ago, duration, number, percent, rate } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { quote } from '../lib/logs.js';
import { defaultQuery } from '../lib/metric.js';
import { KINDS } from '../lib/trace.js';
import { go, href, now, place, range, set } from '../url.js';
import { Head, scrollTo, useRows } from '../widget/sort.js';
import { Empty, Partial, Problem, Progress } from '../widget/states.js';

/** @typedef {import('../types/api.d.ts').ServiceDetail} Detail */

export function Page() {
  const name = place.value.path.split('/').slice(1).join('/');
  const r = range.value;
  const answer = useAnswer(`service ${name} ${r.from} ${r.to}`, (abort) => api.service(name, r, abort), name);
  const map = useAnswer(`map ${r.from} ${r.to}`, (abort) => api.map(r, abort));
  const metrics = useAnswer(`metrics ${Math.floor(r.from / 30000)} ${Math.floor(r.to / 30000)}`, (abort) => api.metrics(r, abort));
  const { data } = answer;
  const total = data?.requests.reduce((a, b) => a + b, 0) ?? 0;
  return html`<div class="page">
    ${h(Progress, { answer })}
    ${h(Problem, { error: answer.error, stale: Boolean(data) })}
    <div class="row"><b><span class=${`dot c${(data?.color ?? 0) % 8}`}></span>${name}</b>
      <a href=${href('traces', { q: `{ resource.service.name = ${quote(name)} }` })}>Traces</a>
      <a href=${href('traces', { q: `{ resource.service.name = ${quote(name)} && status = error }` })}>Failed traces</a>
      <a href=${href('logs', { q: `{service_name=${quote(name)}}` })}>Logs</a>
      <a href=${href('metrics', { service: name })}>Metrics</a>
      <a href=${href('map', { focus: name })}>On the map</a>
      <span class="grow"></span>${h(Partial, { why: data?.partial })}</div>
    ${data && (total ? h(Red, { data }) : h(Empty, { what: '0 requests', why: `${name} has no server, consumer or root span in this range.`,
      children: html`<button onClick=${() => set({ from: 'now-1d', to: 'now' })}>Last 24 h</button><button onClick=${() => set({ from: 'now-3d', to: 'now' })}>Last 3 d</button>` }))}
    ${data && data.operations.length > 0 && h(Operations, { data, seconds: (r.to - r.from) / 1000 })}
    <div class="cols">
      ${h(Dependencies, { name, data: map.data })}
      ${data && h(Instances, { data })}
      ${h(Emits, { name, data: metrics.data })}
    </div>
  </div>`;
}

/** @param {{ data: Detail }} props */
function Red({ data }) {
  const seconds = data.step_ms / 1000;
  const shown = { from: data.times_ms[0], to: data.times_ms[data.times_ms.length - 1] + data.step_ms };
  const lines = useMemo(() => ({
    rate: [{ name: 'requests/s', values: data.requests.map((n) => n / seconds), color: data.color, fill: true }],
    errors: [{ name: 'failed', values: data.requests.map((n, i) => (n ? (data.errors[i] / n) * 100 : null)), error: true, fill: true }],
    time: [{ name: 'p50', values: data.p50_ns, color: 0 }, { name: 'p95', values: data.p95_ns, color: 1 }, { name: 'p99', values: data.p99_ns, color: 2 }],
  }), [data]);
  const chart = (/** @type {string} */ title, /** @type {any} */ which, /** @type {(v: number | null | undefined) => string} */ format, /** @type {boolean} */ legend) => html`<section><h2>${title}</h2>
    ${h(LineChart, { times: data.times_ms, lines: which, format, caption: `${title} of ${data.name}`, height: 170, legend, range: shown })}</section>`;
  return html`<div class="cols">${chart('Requests', lines.rate, perSecond, false)}${chart('Errors', lines.errors, share, false)}${chart('Duration', lines.time, duration, true)}</div>`;
}

/** @param {number | null | undefined} v */
const perSecond = (v) => (v == null ? '–' : rate(v));
/** @param {number | null | undefined} v */
const share = (v) => (v == null ? '–' : `${number(Number(v.toPrecision(3)))} %`);

/** @param {{ data: Detail, seconds: number }} props */
function Operations({ data, seconds }) {
  const [sort, setSort] = useState('-total');
  const by = /** @type {Record<string, (o: import('../types/api.d.ts').Operation) => any>} */ ({
    name: (o) => o.name, rate: (o) => o.requests, errors: (o) => o.errors / Math.max(o.requests, 1), p50: (o) => o.p50_ns, p95: (o) => o.p95_ns, p99: (o) => o.p99_ns, total: (o) => o.total_ns,
  });
  const list = useMemo(() => {
    const key = by[sort.replace('-', '')];
    const sorted = [...data.operations].sort((a, b) => (key(a) < key(b) ? -1 : Number(key(a) > key(b))));
    return sort.startsWith('-') ? sorted.reverse() : sorted;
  }, [data, sort]);
  const link = (/** @type {import('../types/api.d.ts').Operation} */ o, /** @type {string} */ more) => href('traces', { q: `{ resource.service.name = ${quote(data.name)} && name = ${quote(o.name)}${more} }` });
  const [at, setAt] = useRows(list.length, (i) => go(link(list[i], '')), scrollTo('op-'));
  const all = list.reduce((sum, o) => sum + o.total_ns, 0) || 1;
  const head = (/** @type {string} */ name, /** @type {string} */ id, num = true, title = '') => h(Head, { name, id, sort, onSort: setSort, num, title });
  return html`<section><h2>Operations</h2><table><thead><tr>${head('Operation', 'name', false)}<th>Kind</th>${head('Requests', 'rate')}${head('Errors', 'errors')}${head('p50', 'p50')}${head('p95', 'p95')}${head('p99', 'p99')}${head('Share of time', 'total')}</tr></thead>
    <tbody>${list.map((o, i) => html`<tr id=${`op-${i}`} class=${i === at ? 'link on' : 'link'} onClick=${() => { setAt(i); go(link(o, '')); }}><td><a href=${link(o, '')}>${o.name}</a></td><td class="dim">${KINDS[o.kind]}</td>
      <td class="num">${rate(o.requests / seconds)}</td><td class="num">${o.errors ? html`<a class="error-text" href=${link(o, ' && status = error')}>✕ ${percent(o.errors, o.requests)}</a>` : '0 %'}</td>
      <td class="num">${duration(o.p50_ns)}</td><td class="num">${duration(o.p95_ns)}</td><td class="num">${duration(o.p99_ns)}</td><td class="num">${percent(o.total_ns, all)}</td></tr>`)}</tbody></table></section>`;
}

/** @param {{ name: string, data: import('../types/api.d.ts').ServiceMap | null }} props */
function Dependencies({ name, data }) {
  const edges = (data?.edges ?? []).filter((e) => e.from === name || e.to === name);
  return html`<section><h2>Calls</h2>${data && !edges.length ? html`<p class="dim">No span of it has a parent or child in another service.</p>` : html`<table><thead><tr><th>From</th><th>To</th><th class="num">Calls</th><th class="num">Errors</th><th class="num">p95</th></tr></thead>
    <tbody>${edges.map((e) => html`<tr><td>${e.from === name ? e.from : html`<a href=${href(`services/${e.from}`)}>${e.from}</a>`}</td><td>${data?.nodes.find((n) => n.name === e.to)?.kind === 'service' && e.to !== name ? html`<a href=${href(`services/${e.to}`)}>${e.to}</a>` : e.to}</td>
      <td class="num">${number(e.requests)}</td><td class=${e.errors ? 'num error-text' : 'num'}>${e.errors ? '✕ ' : ''}${percent(e.errors, e.requests)}</td><td class="num">${duration(e.p95_ns)}</td></tr>`)}</tbody></table>`}</section>`;
}

/** @param {{ data: Detail }} props */
function Instances({ data }) {
  return html`<section><h2>Instances</h2><table><thead><tr><th>Instance</th><th>Version</th><th class="num">Spans</th><th class="num">Last seen</th></tr></thead>
    <tbody>${data.instances.map((i) => html`<tr><td class="mono">${i.instance || html`<span class="dim">not said</span>`}</td><td>${i.version || '–'}</td><td class="num">${number(i.spans)}</td><td class="num dim">${ago(i.last_ms, now.value)}</td></tr>`)}</tbody></table></section>`;
}

/** @param {{ name: string, data: import('../types/api.d.ts').Metrics | null }} props */
function Emits({ name, data }) {
  const list = (data?.metrics ?? []).filter((m) => m.services.includes(name));
  return html`<section><h2>Metrics it emits</h2>${data && !list.length ? html`<p class="dim">None in this range.</p>` : html`<div class="scroll" style="max-height:300px" tabindex="0">${list.slice(0, 100).map((m) => html`<div><a class="mono" href=${href('metrics', { q: defaultQuery(m, name), service: name })} title=${m.help}>${m.name}</a> <span class="tag">${m.kind}</span></div>`)}</div>`}</section>`;
}
