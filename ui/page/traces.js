// Traces: a question in TraceQL or in plain words, the answers worst first.

import { useMemo } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { Scatter } from '../chart/scatter.js';
import { dateTime, duration, number } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { quote } from '../lib/logs.js';
import { utc } from '../prefs.js';
import { go, href, place, range, rangeText, scope, set } from '../url.js';
import { Editor } from '../widget/editor.js';
import { Service } from '../widget/service.js';
import { scrollTo, useRows } from '../widget/sort.js';
import { Empty, Partial, Progress } from '../widget/states.js';

const LIMIT = 200;

/** @typedef {import('../types/api.d.ts').TraceHit} Hit */

/** Ways to sort, named in the URL. @type {Record<string, { name: string, by: (a: Hit, b: Hit) => number }>} */
const SORTS = {
  '': { name: 'errors first, then slowest', by: (a, b) => Number(b.errors > 0) - Number(a.errors > 0) || b.duration_ns - a.duration_ns },
  new: { name: 'newest first', by: (a, b) => b.start_ms - a.start_ms },
  slow: { name: 'slowest first', by: (a, b) => b.duration_ns - a.duration_ns },
};

export function Page() {
  const { query } = place.value;
  const typed = query.q ?? '';
  const q = typed || (scope.value ? `{ resource.service.name = ${quote(scope.value)} }` : '');
  const r = range.value;
  const limit = Number(query.limit) || LIMIT;
  const answer = useAnswer(`traces ${q} ${r.from} ${r.to} ${limit} ${query.sort === 'new'}`, (abort) => api.traces(q || '{ }', r, limit, query.sort === 'new' ? 'new' : '', abort));
  const { data, error } = answer;
  const sort = SORTS[query.sort ?? ''] ?? SORTS[''];
  const list = useMemo(() => [...(data?.traces ?? [])].sort(sort.by), [data, sort]);
  const [at, setAt] = useRows(list.length, (i) => go(open(list[i])), scrollTo('trace-'));
  const run = (/** @type {string} */ text) => {
    const id = /^(?:[0-9a-f]{2}-)?([0-9a-f]{32}|[0-9a-f]{16})(?:-([0-9a-f]{16})-[0-9a-f]{2})?$/i.exec(text.trim());
    if (id) go(href(`trace/${id[1].toLowerCase().padStart(32, '0')}`, { span: id[2] }));
    else set({ q: text.trim() });
  };
  const longest = list.reduce((max, t) => Math.max(max, t.duration_ns), 1);
  return html`<div class="page">
    ${h(Editor, {
      value: q,
      language: 'traceql',
      label: 'Search traces',
      placeholder: '{ status = error && duration > 1s }   or   duration > 1s   or   error=true AND operation="vm.export"   or a trace id',
      onRun: run,
      error,
      stale: Boolean(data),
    })}
    <div class="row">
      ${h(Suggestions, { run })}
      <span class="grow"></span>
      ${data?.translated && html`<span class="chip" title="What ran, in TraceQL">ran as <code>${data.query}</code> <button class="small" onClick=${() => run(data.query)}>Edit it</button></span>`}
      <label>Sort <select value=${query.sort ?? ''} onChange=${(/** @type {any} */ e) => set({ sort: e.target.value }, true)}>
        ${Object.entries(SORTS).map(([id, { name }]) => html`<option value=${id}>${name}</option>`)}</select></label>
    </div>
    ${h(Progress, { answer })}
    ${data && h(Count, { found: list.length, more: data.more, limit })}
    ${data && h(Partial, { why: data.partial })}
    ${data && list.length > 0 && h(Scatter, { traces: list, from: r.from, to: r.to, open: (/** @type {Hit} */ t) => go(open(t)) })}
    ${data && (list.length === 0 ? h(None, { q }) : html`<table class=${error ? 'dimmed' : ''}>
      <thead><tr><th><span class="sr">Failed</span></th><th>Root</th><th>Service</th><th>Started</th><th class="num">Duration</th><th style="width:16%"><span class="sr">Duration, drawn</span></th><th class="num">Spans</th><th class="num">Errors</th><th>Services</th></tr></thead>
      <tbody>${list.map((t, i) => html`<tr id=${`trace-${i}`} class=${i === at ? 'link on' : 'link'} onClick=${() => { setAt(i); go(open(t)); }}>
        <td>${t.errors > 0 && html`<span class="badge" title=${`${t.errors} failed spans`}>✕<span class="sr">failed</span></span>`}</td>
        <td><a href=${open(t)}>${t.root_name || html`<span class="dim">root not received</span>`}</a> <span class="dim mono">${t.trace_id.slice(0, 7)}</span></td>
        <td>${h(Service, { name: t.root_service, color: colorOf(t), link: false })}</td>
        <td class="nowrap dim" title=${new Date(t.start_ms).toISOString()}>${dateTime(t.start_ms, utc.value)}</td>
        <td class="num">${duration(t.duration_ns)}</td>
        <td><div style=${{ height: '8px', width: `${Math.max(0.5, (t.duration_ns / longest) * 100)}%`, background: 'var(--bar)', borderRadius: '2px' }}></div></td>
        <td class="num">${number(t.spans)}${t.matched && t.matched < t.spans ? html`<span class="dim" title="matched the query"> (${number(t.matched)})</span>` : ''}</td>
        <td class=${t.errors ? 'num error-text' : 'num'}>${number(t.errors)}</td>
        <td class="clip" style="max-width:260px">${t.services.map((s) => html`<span class=${`dot c${s.color % 8}`} title=${`${s.name}: ${s.spans} spans`}></span>`)}<span class="dim">${t.services.map((s) => s.name).join(', ')}</span></td>
      </tr>`)}</tbody></table>`)}
  </div>`;
}

/** @param {{ found: number, more: string, limit: number }} props */
function Count({ found, more, limit }) {
  if (!found) return null;
  return html`<div class="row"><span class="chip">${more || `${number(found)} traces`}</span>
    ${more && limit < 3200 && html`<button class="small" onClick=${() => set({ limit: limit * 4 }, true)}>Load ${number(limit * 4)}</button>`}</div>`;
}

/** The address of a trace: at the span that was asked for, unless the trace has errors to open at. @param {Hit} t */
function open(t) {
  return href(`trace/${t.trace_id}`, { span: place.value.query.q && !t.errors ? t.span_id : '' });
}

/** @param {Hit} t */
const colorOf = (t) => t.services.find((s) => s.name === t.root_service)?.color ?? 0;

/** @param {{ run: (q: string) => void }} props */
function Suggestions({ run }) {
  const s = scope.value ? `resource.service.name = ${quote(scope.value)} && ` : '';
  return html`<span class="row">${[['Errors', `{ ${s}status = error }`], ['Slower than 1 s', `{ ${s}duration > 1s }`], ['Server spans', `{ ${s}kind = server }`], ['All', '']].map(([name, q]) => html`<button class="small" onClick=${() => run(q)}>${name}</button>`)}</span>`;
}

/** @param {{ q: string }} props */
function None({ q }) {
  return h(Empty, {
    what: '0 traces',
    why: q ? html`No span between ${dateTime(range.value.from, utc.value)} and ${dateTime(range.value.to, utc.value)} matches <code>${q}</code>.` : `No span started in this range (${rangeText.value.from} to ${rangeText.value.to}).`,
    children: html`${q && html`<button onClick=${() => set({ q: '' })}>Drop the query</button>`}
      <button onClick=${() => set({ from: 'now-1d', to: 'now' })}>Last 24 h</button><button onClick=${() => set({ from: 'now-3d', to: 'now' })}>Last 3 d</button>`,
  });
}
