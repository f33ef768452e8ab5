// Overview: one screen that says whether something is wrong, and where.

import { useMemo, useState } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { ago, change, dateTime, duration, number, percent, rate } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { utc } from '../prefs.js';
import { go, href, now, range, rangeText, scope, set } from '../url.js';
import { Ingest, useStatus } from '../widget/ingest.js';
import { Service } from '../widget/service.js';
import { Head, scrollTo, useRows } from '../widget/sort.js';
import { Spark } from '../widget/spark.js';
import { Empty, Partial, Problem, Progress } from '../widget/states.js';
import { Start } from '../widget/start.js';

export function Page() {
  const status = useStatus();
  const r = range.value;
  const empty = status.data?.empty;
  const answer = useAnswer(empty === false ? `overview ${r.from} ${r.to}` : '', (abort) => api.overview(r, abort));
  if (empty) return h(Start, {});
  const { data } = answer;
  const services = (data?.services ?? []).filter((s) => !scope.value || s.name === scope.value);
  const errors = (data?.errors ?? []).filter((e) => !scope.value || e.service === scope.value);
  return html`<div class="page">
    ${h(Progress, { answer })}
    ${h(Ingest, { status })}
    ${h(Problem, { error: answer.error, stale: Boolean(data) })}
    ${data && h(Partial, { why: data.partial })}
    ${data && !services.length ? h(Nothing, {}) : data && html`<div class="split">
      <section>${h(Services, { services, from: data.from_ms, to: data.to_ms })}</section>
      <section>${h(Errors, { errors })}</section>
    </div>`}
  </div>`;
}

function Nothing() {
  const why = scope.value
    ? `${scope.value} served no request in this range.`
    : `Data has arrived before, but no span started in the ${rangeText.value.to === 'now' ? rangeText.value.from.replace('now-', 'last ') : 'chosen range'}.`;
  return h(Empty, {
    what: '0 services with requests',
    why,
    children: html`${scope.value && html`<button onClick=${() => set({ service: '' })}>Show all services</button>`}
      ${['6h', '1d', '7d'].map((wide) => html`<button onClick=${() => set({ from: `now-${wide}`, to: 'now' })}>Last ${wide}</button>`)}`,
  });
}

/** @typedef {import('../types/api.d.ts').ServiceRow} Row */

/** @type {Record<string, (row: Row) => number | string>} */
const BY = {
  name: (s) => s.name,
  rate: (s) => s.requests,
  errors: (s) => s.errors / Math.max(s.requests, 1),
  p50: (s) => s.p50_ns,
  p95: (s) => s.p95_ns,
  seen: (s) => s.last_seen_ms,
};

/**
 * Worst first: share of errors, then how much slower than before.
 * @param {Row[]} rows @param {string} sort
 */
function sorted(rows, sort) {
  const grown = (/** @type {Row} */ s) => (s.prev.p95_ns ? s.p95_ns / s.prev.p95_ns : 1);
  const by = BY[sort.replace('-', '')];
  const list = [...rows];
  if (!by) {
    return list.sort((a, b) => Number(BY.errors(b)) - Number(BY.errors(a)) || grown(b) - grown(a) || a.name.localeCompare(b.name));
  }
  list.sort((a, b) => (by(a) < by(b) ? -1 : Number(by(a) > by(b))));
  return sort.startsWith('-') ? list.reverse() : list;
}

/** @param {{ services: Row[], from: number, to: number }} props */
export function Services({ services, from, to }) {
  const [sort, setSort] = useState('');
  const list = useMemo(() => sorted(services, sort), [services, sort]);
  const [at, setAt] = useRows(list.length, (i) => go(href(`services/${list[i].name}`)), scrollTo('svc-'));
  const seconds = Math.max(1, (to - from) / 1000);
  const head = (/** @type {string} */ name, /** @type {string} */ id, num = true, title = '') => h(Head, { name, id, sort, onSort: setSort, num, title });
  return html`<h2>Services <span class="dim">${list.length}${sort ? '' : ' · most failing first, then most slowed'}</span></h2>
  <table><thead><tr>${head('Service', 'name', false)}${head('Requests', 'rate')}${head('Errors', 'errors')}${head('p50', 'p50')}${head('p95', 'p95', true, 'and its change against the window before')}
    <th>Requests over time</th>${head('Last seen', 'seen')}</tr></thead>
  <tbody>${list.map((s, i) => html`<tr id=${`svc-${i}`} class=${i === at ? 'on link' : 'link'} onClick=${() => { setAt(i); go(href(`services/${s.name}`)); }}>
    <td>${h(Service, { name: s.name, color: s.color })}</td>
    <td class="num">${rate(s.requests / seconds)}</td>
    <td class="num">${s.errors ? html`<a class="error-text" title="The failed traces" href=${href('traces', { q: `{ resource.service.name = "${s.name}" && status = error }` })}
      onClick=${(/** @type {Event} */ e) => e.stopPropagation()}><span aria-hidden="true">✕ </span>${percent(s.errors, s.requests)}</a>` : percent(0, s.requests)}</td>
    <td class="num">${duration(s.p50_ns)}</td>
    <td class="num">${duration(s.p95_ns)}${h(Change, { now: s.p95_ns, before: s.prev.p95_ns })}</td>
    <td>${h(Spark, { counts: s.spark, errors: s.spark_errors, label: `${number(s.requests)} requests, ${number(s.errors)} errors` })}</td>
    <td class="num dim" title=${dateTime(s.last_seen_ms, utc.value)}>${ago(s.last_seen_ms, now.value)}</td></tr>`)}</tbody></table>`;
}

/** @param {{ now: number, before: number }} props */
function Change({ now: current, before }) {
  const text = change(current, before);
  if (!text) return null;
  const up = current > before;
  return html` <span class=${up && current / before >= 1.5 ? 'warn-text' : 'dim'} title=${`was ${duration(before)} in the window before`}>${up ? '▲' : '▼'}${text}</span>`;
}

/** @param {{ errors: import('../types/api.d.ts').ErrorRow[] }} props */
function Errors({ errors }) {
  if (!errors.length) return html`<h2>Errors</h2><p class="dim">No failed span and no error log in this range.</p>`;
  return html`<h2>Errors <span class="dim">new first</span></h2>
  <table><thead><tr><th>Message</th><th>Service</th><th class="num">Count</th><th class="num">Last</th></tr></thead>
  <tbody>${errors.map((e) => html`<tr>
    <td><div class="message">${e.fresh && html`<span class="chip bad">new</span>`}<a href=${e.trace_id
      ? href(`trace/${e.trace_id}`, { span: e.span_id })
      : href('logs', { q: `{service_name="${e.service}"} |= ${JSON.stringify(e.message.split(': ')[0].slice(0, 80))}` })}
      title=${e.trace_id ? 'The latest trace' : 'The log lines'}>${e.message}</a><span class="tag">${e.source}</span></div></td>
    <td>${h(Service, { name: e.service, color: e.color })}</td>
    <td class="num">${number(e.count)}</td>
    <td class="num dim" title=${`first ${dateTime(e.first_ms, utc.value)}`}>${ago(e.last_ms, now.value)}</td></tr>`)}</tbody></table>`;
}
