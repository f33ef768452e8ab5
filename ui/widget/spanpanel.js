// The chosen span: attributes, events, links, logs, process.

import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { clock, dateTime, duration, nsToMs, number } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { letter, quote } from '../lib/logs.js';
import { KINDS, STATUSES, ancestors } from '../lib/trace.js';
import { utc } from '../prefs.js';
import { href } from '../url.js';
import { Attributes, show } from './attrs.js';
import { Partial, Problem, Progress } from './states.js';

const TABS = /** @type {[string, string][]} */ ([['attributes', 'Attributes'], ['events', 'Events'], ['logs', 'Logs'], ['process', 'Process'], ['links', 'Links']]);

/** @typedef {import('../types/api.d.ts').SpanDetail} Detail */
/** @typedef {import('../lib/trace.js').Tree} Tree */

/** @param {{ tree: Tree, i: number, tab: string, onTab: (tab: string) => void, select: (i: number) => void }} props */
export function SpanPanel({ tree, i, tab, onTab, select }) {
  const { t } = tree;
  const id = t.id[i];
  const answer = useAnswer(`span ${t.trace_id} ${id}`, (abort) => api.span(t.trace_id, id, abort), id);
  const { data } = answer;
  const service = t.services[t.service[i]];
  const kids = tree.children[i].length;
  const counts = /** @type {Record<string, number>} */ ({ events: t.events[i], logs: t.logs[i], links: data?.links.length ?? 0 });
  const time = nsToMs(t.start_ns) + t.start[i] / 1e6;
  const shownTab = TABS.some(([name]) => name === tab) ? tab : 'attributes';
  const similar = `{ resource.service.name = ${quote(service.name)} && name = ${quote(t.names[t.name[i]])}${t.status[i] === 2 ? ' && status = error' : ''} }`;
  return html`<aside class="side" aria-label="Chosen span" tabindex="0">
    ${h(Progress, { answer })}
    <p class="span-title">${t.status[i] === 2 && html`<span class="badge">✕<span class="sr">failed</span></span>`}${t.names[t.name[i]]}</p>
    <p><a href=${href(`services/${service.name}`)}><span class=${`dot c${service.color % 8}`}></span>${service.name}</a>
      <span class="dim"> · ${KINDS[t.kind[i]] || 'span'} · ${STATUSES[t.status[i]] ?? 'unset'}</span></p>
    ${data?.status_message && html`<p class="problem">${data.status_message}</p>`}
    <p>${duration(t.duration[i])} <span class="dim">· self ${duration(tree.self[i])} · starts after ${duration(t.start[i])}${kids ? ` · ${number(kids)} children` : ''}</span></p>
    <p class="row dim"><span title=${new Date(time).toISOString()}>${dateTime(time, utc.value)}</span><button class="plain mono" title="Copy the span id" onClick=${() => { void navigator.clipboard?.writeText(id); }}>${id}</button></p>
    <p class="row"><a href=${href('traces', { q: similar })}>Similar spans</a>
      <a href=${href(`services/${service.name}`, { from: String(Math.floor(time) - 900000), to: String(Math.floor(time) + 900000) })} title="m">Metrics of ${service.name}</a></p>
    <div class="tabs" role="tablist" aria-label="About the span">${TABS.map(([name, label]) => html`<button role="tab" id=${`span-tab-${name}`} aria-selected=${shownTab === name} aria-controls="span-tab" onClick=${() => onTab(name)}>${label}${counts[name] ? ` ${counts[name]}` : ''}</button>`)}</div>
    <div role="tabpanel" id="span-tab" aria-labelledby=${`span-tab-${shownTab}`}>
      ${h(Problem, { error: answer.error })}
      ${shownTab === 'logs' ? h(SpanLogs, { tree, i, select }) : data && h(TabBody, { tab: shownTab, data, service: service.name })}
    </div>
  </aside>`;
}

/** @param {{ tab: string, data: Detail, service: string }} props */
function TabBody({ tab, data, service }) {
  const search = (/** @type {string} */ prefix) => (/** @type {string} */ key, /** @type {string} */ value) => [
    { sign: '⌕', title: `Traces with ${key} = ${value}`, href: href('traces', { q: `{ ${prefix}.${key} = ${literal(data, key, value)} }` }) },
  ];
  if (tab === 'process') {
    return html`${h(Attributes, { attrs: data.resource, caption: 'resource attributes', actions: search('resource') })}
      <h3 style="margin-top:10px">Scope</h3><p>${data.scope.name || html`<span class="dim">unnamed</span>`} ${data.scope.version}</p>
      ${data.scope.attributes.length > 0 && h(Attributes, { attrs: data.scope.attributes, caption: 'scope attributes' })}`;
  }
  if (tab === 'events') {
    if (!data.events.length) return html`<p class="dim">No events on this span.</p>`;
    return html`${data.events.map((event) => html`<div class=${event.name === 'exception' ? 'event exc' : 'event'}><b>${event.name}</b> <span class="dim">after ${duration(event.offset_ns)}</span>
      ${h(Attributes, { attrs: event.attributes.filter((a) => a.key !== 'exception.stacktrace'), caption: 'event attributes' })}
      ${event.attributes.filter((a) => a.key === 'exception.stacktrace').map((a) => html`<pre class="stack" tabindex="0">${show(a.value)}</pre>`)}</div>`)}`;
  }
  if (tab === 'links') {
    if (!data.links.length) return html`<p class="dim">No links to other traces.</p>`;
    return html`${data.links.map((link) => html`<div class="event"><a class="mono" href=${href(`trace/${link.trace_id}`, { span: link.span_id })}>${link.trace_id.slice(0, 16)}… / ${link.span_id}</a>
      ${link.attributes.length > 0 && h(Attributes, { attrs: link.attributes, caption: 'link attributes' })}</div>`)}`;
  }
  const { dropped } = data;
  return html`${h(Attributes, { attrs: data.attributes, caption: 'attributes', actions: search('span') })}
    ${dropped.attributes + dropped.events + dropped.links > 0 && html`<p class="chip partial">◐ the sender dropped ${dropped.attributes} attributes, ${dropped.events} events, ${dropped.links} links</p>`}
    ${data.trace_state && html`<p class="dim">tracestate <code>${data.trace_state}</code></p>`}
    <p style="margin-top:8px"><a href=${href('logs', { q: `{service_name=${quote(service)}}`, from: around(data, -60000), to: around(data, 60000) })}>Logs of ${service} at this time</a></p>`;
}

/** @param {Detail} data @param {number} ms */
const around = (data, ms) => String(Math.floor(nsToMs(ms < 0 ? data.start_ns : data.end_ns)) + ms);

/** A value as TraceQL writes it: numbers and booleans without quotes. @param {Detail} data @param {string} key @param {string} text */
function literal(data, key, text) {
  const attr = [...data.attributes, ...data.resource].find((a) => a.key === key);
  return typeof attr?.value === 'number' || typeof attr?.value === 'boolean' ? text : quote(text);
}

/** @param {{ tree: Tree, i: number, select: (i: number) => void }} props */
function SpanLogs({ tree, i, select }) {
  const { t } = tree;
  const answer = useAnswer(`tracelogs ${t.trace_id}`, (abort) => api.traceLogs(t.trace_id, abort), t.trace_id);
  const { data } = answer;
  const below = new Set([t.id[i]]);
  t.id.forEach((id, at) => { if (ancestors(tree, at).includes(i)) below.add(id); });
  const own = (data?.rows ?? []).filter((row) => below.has(row.span_id));
  const rest = (data?.rows.length ?? 0) - own.length;
  const service = t.services[t.service[i]].name;
  const ms = nsToMs(t.start_ns) + t.start[i] / 1e6;
  return html`${h(Progress, { answer })}${h(Problem, { error: answer.error })}${data && h(Partial, { why: data.partial })}
    ${data && !own.length && html`<p class="dim">No log record carries this span’s id${rest ? `; ${number(rest)} belong to other spans of the trace` : ''}.</p>`}
    ${own.map((row) => html`<div class="event"><span class=${`lv lv-${row.level}`} title=${row.level}>${letter(row.level)}</span> <span class="dim mono">${clock(nsToMs(row.time_ns), utc.value)}</span>
      ${row.span_id !== t.id[i] && html` <button class="plain" onClick=${() => select(t.id.indexOf(row.span_id))}>${t.names[t.name[t.id.indexOf(row.span_id)]]}</button>`}
      <div class="mono" style="overflow-wrap:anywhere">${row.line}</div>
      <a href=${href('logs', { q: `{service_name=${quote(row.service)}} | trace_id="${t.trace_id}"`, from: String(Math.floor(nsToMs(row.time_ns)) - 60000), to: String(Math.ceil(nsToMs(row.time_ns)) + 60000), row: row.time_ns })}>In logs</a></div>`)}
    <p class="row"><a href=${href('logs', { q: `{service_name=~".+"} | trace_id="${t.trace_id}"`, from: String(Math.floor(nsToMs(t.start_ns)) - 60000), to: String(Math.ceil(nsToMs(t.start_ns) + t.duration_ns / 1e6) + 60000) })}>All logs of the trace${data ? ` (${number(data.rows.length)})` : ''}</a>
      <a href=${href('logs', { q: `{service_name=${quote(service)}}`, from: String(Math.floor(ms) - 60000), to: String(Math.ceil(ms + t.duration[i] / 1e6) + 60000) })}>${service} at this time</a></p>`;
}
