// Metrics: the catalogue, and PromQL with a chart.

import { useMemo, useState } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { clock, number, withUnit } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { defaultQuery, fill, metricNames, unitOf } from '../lib/metric.js';
import { step as stepFor } from '../lib/time.js';
import { utc } from '../prefs.js';
import { href, place, range, scope, set } from '../url.js';
import { Editor } from '../widget/editor.js';
import { Matrix } from '../widget/matrix.js';
import { Empty, Partial, Problem, Progress } from '../widget/states.js';

/** Points a chart has about. */
const POINTS = 240;
/** Catalogue rows in the document at once. */
const ROWS_MAX = 400;

/** @typedef {import('../types/api.d.ts').MetricRow} MetricRow */

export function Page() {
  const r = range.value;
  const q = place.value.query.q ?? '';
  const catalogue = useAnswer(`metrics ${Math.floor(r.from / 30000)} ${Math.floor(r.to / 30000)}`, (abort) => api.metrics(r, abort));
  const metrics = catalogue.data?.metrics ?? [];
  const run = (/** @type {string} */ text) => set({ q: text.trim() });
  return html`<div class="page fill"><div class="trace">
    ${h(Catalogue, { answer: catalogue, metrics, current: metricNames(q), pick: (/** @type {MetricRow} */ m) => run(defaultQuery(m, scope.value)) })}
    <section class="page scroll" style="flex:1;min-width:0;padding-left:12px">${h(Explorer, { q, metrics, run })}</section>
  </div></div>`;
}

/** @param {{ answer: import('../ask.js').Answer<import('../types/api.d.ts').Metrics>, metrics: MetricRow[], current: string[], pick: (m: MetricRow) => void }} props */
function Catalogue({ answer, metrics, current, pick }) {
  const [text, setText] = useState('');
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const list = useMemo(() => metrics.filter((m) => (!scope.value || m.services.includes(scope.value)) && words.every((w) => `${m.name} ${m.help} ${m.kind}`.toLowerCase().includes(w))), [metrics, text, scope.value]);
  return html`<aside class="catalogue" aria-label="Metrics" tabindex="0">
    <input type="text" aria-label="Filter metrics" placeholder=${`Filter ${number(metrics.length)} metrics`} value=${text} autocomplete="off" spellcheck=${false} onInput=${(/** @type {any} */ e) => setText(e.target.value)} />
    ${h(Progress, { answer })}${h(Problem, { error: answer.error })}${h(Partial, { why: answer.data?.partial })}
    ${answer.data && !list.length && h(Empty, { what: '0 metrics', why: metrics.length ? 'None matches the filter.' : 'No sample has arrived in this range. Is the OTLP metrics exporter on?',
      children: metrics.length ? html`<button onClick=${() => setText('')}>Clear</button>` : html`<button onClick=${() => set({ from: 'now-7d', to: 'now' })}>Last 7 d</button>` })}
    ${list.slice(0, ROWS_MAX).map((m) => html`<button class=${current.includes(m.name) ? 'metric on' : 'metric'} title=${m.help} onClick=${() => pick(m)}>
      <span class="mono">${m.name}</span><br/><span class="tag">${m.kind}</span> ${m.unit && html`<span class="tag">${m.unit}</span>`} <span class="dim">${number(m.series)} series</span></button>`)}
    ${list.length > ROWS_MAX && html`<p class="dim">${number(list.length - ROWS_MAX)} more; narrow the filter.</p>`}
  </aside>`;
}

/** @param {{ q: string, metrics: MetricRow[], run: (q: string) => void }} props */
function Explorer({ q, metrics, run }) {
  const r = range.value;
  const step = stepFor(r.to - r.from, POINTS);
  const answer = useAnswer(q ? `promql ${q} ${r.from} ${r.to} ${step}` : '', (abort) => api.queryRange(q, r, step, abort));
  const names = metricNames(q);
  const named = useAnswer(q && names.length ? `exemplars ${names} ${r.from} ${r.to}` : '', (abort) => api.exemplars(names, r, abort));
  const unit = unitOf(q, metrics);
  const format = useMemo(() => (/** @type {number | null | undefined} */ v) => withUnit(v, unit), [unit]);
  const dots = useMemo(() => (named.data?.exemplars ?? []).filter((e) => e.trace_id).slice(0, 200).map((e) => ({
    time: e.time_ms, value: e.value, label: `trace ${e.trace_id} at ${clock(e.time_ms, utc.value)}`, href: href(`trace/${e.trace_id}`, { span: e.span_id }),
  })), [named.data]);
  const { data, error } = answer;
  const result = data?.resultType === 'matrix' ? data.result : null;
  const help = metrics.find((m) => names.includes(m.name));
  return html`
    ${h(Editor, { value: q, language: 'promql', label: 'PromQL', placeholder: 'PromQL, e.g. sum by (service_name) (rate(http_server_request_duration_seconds_count[$__rate_interval]))', onRun: run, error, stale: Boolean(result) })}
    <div class="row dim">${help ? html`<span><b>${help.name}</b> ${help.help}</span>` : ''}<span class="grow"></span>${q && html`<span>step ${step} s${q.includes('$__') ? html` · ran as <code>${fill(q, step)}</code>` : ''}</span>`}</div>
    ${h(Progress, { answer })}
    ${data?.warnings.map((/** @type {string} */ warning) => html`<p class="warn-text">▲ ${warning}</p>`)}
    ${!q && h(Empty, { what: 'Pick a metric, or write PromQL', why: 'A counter is shown as its rate, a histogram as its 95th percentile, a gauge as it is. The query is there to be edited.' })}
    ${q && result && (result.length ? h(Matrix, { result, format, range: r, caption: q, dots, height: 320 }) : h(Empty, { what: '0 series', why: html`<code>${q}</code> gives nothing in this range.`,
      children: html`<button onClick=${() => set({ from: 'now-1d', to: 'now' })}>Last 24 h</button>` }))}
    ${q && names.length > 0 && h(Related, { names, metrics })}`;
}

/** @param {{ names: string[], metrics: MetricRow[] }} props */
function Related({ names, metrics }) {
  const services = [...new Set(metrics.filter((m) => names.includes(m.name)).flatMap((m) => m.services))].slice(0, 12);
  if (!services.length) return null;
  return html`<div class="row"><span class="dim">Emitted by</span>${services.map((name) => html`<span class="chip"><a href=${href(`services/${name}`)}>${name}</a> · <a href=${href('traces', { q: `{ resource.service.name = "${name}" }` })}>traces</a> · <a href=${href('logs', { q: `{service_name="${name}"}` })}>logs</a></span>`)}</div>`;
}
