// Logs: volume by level, the lines, what occurs in them, and live.

import { useMemo, useState } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { Bars } from '../chart/bars.js';
import { dateTime, number } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';
import { ALL, facets, fromBox, quote, rows as readRows, withFilter } from '../lib/logs.js';
import { utc } from '../prefs.js';
import { place, range, rangeText, scope, set } from '../url.js';
import { Editor } from '../widget/editor.js';
import { LogList } from '../widget/loglist.js';
import { Matrix } from '../widget/matrix.js';
import { Empty, Partial, Progress } from '../widget/states.js';
import { useTail } from '../widget/tail.js';

const LIMIT = 500;

/** How the levels are drawn, from the bottom of a bar. */
const STACK = [
  { level: 'trace', css: '--bar-debug' }, { level: 'debug', css: '--bar-debug' }, { level: '', css: '--bar-debug' },
  { level: 'info', css: '--bar' }, { level: 'warn', css: '--bar-warn' }, { level: 'error', css: '--error', hatch: true },
];

/** The query of the URL, or what an empty one means. */
export function currentQuery() {
  return place.value.query.q || (scope.value ? `{service_name=${quote(scope.value)}}` : ALL);
}

export function Page() {
  const { query } = place.value;
  const q = currentQuery();
  const r = range.value;
  const live = query.live === '1';
  const limit = Number(query.limit) || LIMIT;
  const ns = { from: `${r.from}000000`, to: `${r.to}999999` };
  const answer = useAnswer(live ? '' : `logs ${q} ${r.from} ${r.to} ${limit}`, (abort) => api.logs(q, ns, limit, 'backward', abort), live ? 'live' : '');
  const volume = useAnswer(`volume ${q} ${r.from} ${r.to}`, (abort) => api.logVolume(q, r, abort));
  const tail = useTail(live ? q : '');
  const streams = answer.data?.resultType === 'streams' ? answer.data.result : null;
  const still = useMemo(() => (streams ? readRows(streams) : []), [streams]);
  const list = live ? tail.rows : still;
  const [wrap, setWrap] = useState(false);
  const run = (/** @type {string} */ text) => set({ q: text.trim() ? fromBox(text) : '', row: '' });
  const filter = (/** @type {string} */ label, /** @type {'=' | '!='} */ op, /** @type {string} */ value) => run(withFilter(q, label, op, value, STREAM_LABELS));
  const toggleLive = () => set({ live: live ? '' : '1', row: '' });
  useKeys({ Space: () => (live ? tail.setPaused(!tail.paused) : toggleLive()) });
  const error = live ? tail.error : answer.error;
  return html`<div class="page fill">
    ${h(Editor, { value: q === ALL && !query.q ? '' : q, language: 'logql', label: 'Search logs', placeholder: `${ALL} — or plain text to look for in the lines`, onRun: run, error, stale: list.length > 0,
      children: html`<button aria-pressed=${live} class=${live ? 'on' : ''} title="Space" onClick=${toggleLive}>${live ? '■ Stop live' : '▶ Live'}</button>` })}
    ${h(Volume, { answer: volume })}
    <div class="row">
      ${live ? html`<span class="chip" role="status">● live · ${number(tail.rows.length)} lines${tail.skipped ? html` · <span class="warn-text">▲ ${number(tail.skipped)} skipped, more than can be shown</span>` : ''}</span>`
        : answer.data && html`<span class="chip">${list.length >= limit ? `the newest ${number(limit)}${volume.data && volume.data.total > limit ? ` of ${volume.data.partial ? 'at least ' : ''}${number(volume.data.total)}` : ''}` : `${number(list.length)} lines`}</span>`}
      ${!live && list.length >= limit && html`<button class="small" onClick=${() => set({ limit: limit * 4 }, true)} disabled=${limit >= 5000}>Load ${number(Math.min(limit * 4, 5000))}</button>`}
      ${h(Partial, { why: volume.data?.partial })}
      <span class="grow"></span>
      <label><input type="checkbox" checked=${wrap} onChange=${() => setWrap(!wrap)} /> Wrap</label>
      <button class="small" disabled=${!list.length} onClick=${() => download(list)}>Save as NDJSON</button>
    </div>
    ${!live && h(Progress, { answer })}
    ${answer.data?.resultType === 'matrix' && !live ? h(Matrix, { result: answer.data.result, format: number, range: r, caption: q }) : html`<div class="logs">
      ${h(Facets, { list, filter })}
      ${!live && answer.data && !list.length ? h(None, { q }) : h(LogList, { rows: list, wrap, filter, live, paused: live && tail.paused, onPause: tail.setPaused, waiting: tail.waiting, key: live ? 'live' : 'still' })}
    </div>`}
  </div>`;
}

/** Labels of streams as Loki makes them of a resource; all others are met line by line. */
const STREAM_LABELS = new Set(['service_name', 'service_namespace', 'service_instance_id', 'deployment_environment', 'deployment_environment_name', 'job', 'app', 'filename', 'host', 'namespace', 'pod', 'container', 'cluster',
  'k8s_namespace_name', 'k8s_pod_name', 'k8s_container_name', 'k8s_cluster_name', 'k8s_deployment_name', 'cloud_region', 'cloud_availability_zone']);

/** @param {{ answer: import('../ask.js').Answer<import('../types/api.d.ts').LogVolume> }} props */
function Volume({ answer }) {
  const { data, error } = answer;
  const stacks = useMemo(() => STACK.map(({ level, css, hatch }) => ({ name: level || 'no level', css, hatch, counts: data?.levels.find((l) => l.level === level)?.counts ?? [] })), [data]);
  // The histogram failing is not the lines failing.
  if (error && !data) return html`<p class="dim" style="height:20px">No volume: ${error.message}</p>`;
  if (!data) return html`<div style="height:84px"></div>`;
  return h(Bars, { times: data.times_ms, step: data.step_ms, stacks, caption: `${number(data.total)} lines by level over time` });
}

/** @param {{ list: import('../types/api.d.ts').LogRow[], filter: (label: string, op: '=' | '!=', value: string) => void }} props */
function Facets({ list, filter }) {
  const all = useMemo(() => facets(list), [list]);
  return html`<aside class="facets" aria-label="Labels of the lines loaded" tabindex="0">${all.slice(0, 24).map(({ label, values, more }) => html`<section><h2>${label}</h2>
    ${values.map(([value, count]) => html`<div class="facet"><button class="plain clip" title=${`Only ${label}=${value}`} onClick=${() => filter(label, '=', value)}>${value}</button>
      <span class="dim">${number(count)}</span><button class="act" title=${`Without ${label}=${value}`} aria-label=${`Without ${label}=${value}`} onClick=${() => filter(label, '!=', value)}>−</button></div>`)}
    ${more > 0 && html`<div class="dim">and ${more} more</div>`}</section>`)}</aside>`;
}

/** @param {{ q: string }} props */
function None({ q }) {
  return html`<div class="grow">${h(Empty, {
    what: '0 log lines',
    why: html`Nothing between ${dateTime(range.value.from, utc.value)} and ${dateTime(range.value.to, utc.value)} (${rangeText.value.from} to ${rangeText.value.to}) matches <code>${q}</code>.`,
    children: html`${q !== ALL && html`<button onClick=${() => set({ q: '', service: '' })}>Drop the query</button>`}
      <button onClick=${() => set({ from: 'now-6h', to: 'now' })}>Last 6 h</button><button onClick=${() => set({ from: 'now-1d', to: 'now' })}>Last 24 h</button><button onClick=${() => set({ from: 'now-7d', to: 'now' })}>Last 7 d</button>`,
  })}</div>`;
}

/** @param {import('../types/api.d.ts').LogRow[]} list */
function download(list) {
  const text = list.map((row) => JSON.stringify(row)).join('\n');
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type: 'application/x-ndjson' }));
  link.download = 'logs.ndjson';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
