// Log lines. Those far from the screen are not in the document.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { clock, dateTime, nsToMs, number } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';
import { letter, quote } from '../lib/logs.js';
import { density, utc } from '../prefs.js';
import { go, href, place, set } from '../url.js';
import { Attributes } from './attrs.js';

/** Lines put into the document at once; more follow as one scrolls. */
const CHUNK = 200;

/** @typedef {import('../types/api.d.ts').LogRow} LogRow */

/**
 * @param {{
 *   rows: LogRow[], wrap: boolean, filter: (label: string, op: '=' | '!=', value: string) => void,
 *   live: boolean, paused: boolean, onPause: (on: boolean) => void, waiting: number, key?: string,
 * }} props
 */
export function LogList({ rows, wrap, filter, live, paused, onPause, waiting }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [shown, setShown] = useState(CHUNK);
  const wanted = place.value.query.row ?? '';
  const [open, setOpen] = useState('');
  const ids = useMemo(() => identities(rows), [rows]);
  const current = open || (wanted ? ids.find((id) => id.startsWith(wanted)) ?? '' : '');
  const at = ids.indexOf(current);
  const [focus, setFocus] = useState(-1);
  const row = focus >= 0 && focus < rows.length ? rows[focus] : null;
  useEffect(() => { setFocus(at); }, [current]);
  useEffect(() => {
    if (at < 0) return;
    if (at >= shown) setShown(at + CHUNK);
    requestAnimationFrame(() => document.getElementById(`log-${at}`)?.scrollIntoView({ block: 'nearest' }));
  }, [current, at >= 0]);
  const toggle = (/** @type {number} */ i) => {
    const next = ids[i] === current ? '' : ids[i];
    setOpen(next);
    if (live && next) onPause(true);
    if (!live) set({ row: next ? rows[i].time_ns : '' }, true);
  };
  const move = (/** @type {number} */ step) => {
    if (!rows.length) return false;
    const next = Math.max(0, Math.min(rows.length - 1, focus + step));
    setFocus(next);
    if (next >= shown) setShown(next + CHUNK);
    if (live) onPause(true);
    requestAnimationFrame(() => document.getElementById(`log-${next}`)?.scrollIntoView({ block: 'nearest' }));
    return true;
  };
  useKeys({
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1),
    Enter: () => (row ? toggle(focus) : false),
    Escape: () => { if (!current) return false; setOpen(''); set({ row: '' }, true); return true; },
    ...(row?.trace_id ? { t: () => go(toTrace(row)) } : {}),
  });
  const scrolled = (/** @type {any} */ event) => {
    const e = event.currentTarget;
    if (e.scrollTop + e.clientHeight > e.scrollHeight - 600 && shown < rows.length) setShown(shown + CHUNK);
    if (live && !paused && e.scrollTop > 30) onPause(true);
  };
  const resume = () => {
    setOpen('');
    onPause(false);
    box.current?.scrollTo({ top: 0 });
  };
  return html`<div class=${`loglist${wrap ? ' wrap' : ''}`} ref=${box} onScroll=${scrolled} tabindex="0" role="list" aria-label="Log lines, newest first" data-density=${density.value}>
    ${live && paused && html`<div class="live-note" role="status"><span aria-hidden="true">▲</span><b>Paused</b> · ${number(waiting)} new · <button class="small" onClick=${resume}>Resume (Space)</button></div>`}
    ${live && !rows.length && html`<p class="empty dim">Waiting for lines that match…</p>`}
    ${rows.slice(0, shown).map((r, i) => html`<div role="listitem" key=${ids[i]}>
      <div id=${`log-${i}`} class=${`log${i === focus ? ' on' : ''}`} onClick=${() => { if (!String(getSelection())) toggle(i); }}>
        <span class=${`lv lv-${r.level}`} title=${r.level || 'no level'}>${letter(r.level)}</span>
        <span class="dim" title=${`${dateTime(nsToMs(r.time_ns), utc.value)} · ${r.time_ns} ns`}>${clock(nsToMs(r.time_ns), utc.value)}</span>
        <span class="clip" title=${r.service}>${r.service}</span>
        <span class="line">${r.line}</span>
        <span>${r.trace_id && html`<a href=${toTrace(r)} title="The trace of this line (t)" onClick=${(/** @type {Event} */ e) => e.stopPropagation()}>trace</a>`}</span>
      </div>
      ${ids[i] === current && h(Detail, { row: r, filter })}</div>`)}
    ${shown < rows.length && html`<p class="dim" style="padding:6px 10px">${number(rows.length - shown)} more below</p>`}
  </div>`;
}

/** A name for each line that stays when others join. @param {LogRow[]} rows */
function identities(rows) {
  const times = /** @type {Map<string, number>} */ (new Map());
  // Counted from the oldest: newer lines come in front.
  const out = new Array(rows.length);
  for (let i = rows.length - 1; i >= 0; i -= 1) {
    const key = `${rows[i].time_ns} ${rows[i].service}`;
    const n = times.get(key) ?? 0;
    times.set(key, n + 1);
    out[i] = `${key} ${n}`;
  }
  return /** @type {string[]} */ (out);
}

/** @param {LogRow} row */
export function toTrace(row) {
  return href(`trace/${row.trace_id}`, { span: row.span_id, tab: 'logs' });
}

/** @param {{ row: LogRow, filter: (label: string, op: '=' | '!=', value: string) => void }} props */
function Detail({ row, filter }) {
  const ms = nsToMs(row.time_ns);
  const attrs = Object.entries(row.labels).sort(([a], [b]) => a.localeCompare(b)).map(([key, value]) => ({ key, value }));
  const embedded = row.trace_id ? null : /\b([0-9a-f]{32})\b/.exec(row.line)?.[1];
  return html`<div class="log-detail"><pre class="mono">${pretty(row.line)}</pre>
    <p class="row"><span class="dim">${dateTime(ms, utc.value)} · ${new Date(ms).toISOString()} · ${row.time_ns} ns</span>
      ${row.trace_id && html`<a href=${toTrace(row)}>Open its ${row.span_id ? 'span' : 'trace'}</a>`}
      ${embedded && html`<a href=${href(`trace/${embedded}`)}>Trace ${embedded.slice(0, 8)}… named in the text</a>`}
      ${row.service && html`<a href=${href(`services/${row.service}`)}>Service ${row.service}</a>
      <a href=${href('logs', { q: `{service_name=${quote(row.service)}}`, from: String(Math.floor(ms) - 60000), to: String(Math.ceil(ms) + 60000), row: row.time_ns })}>What came before and after</a>`}
      <button class="small" onClick=${() => { void navigator.clipboard?.writeText(row.line); }}>Copy line</button></p>
    ${h(Attributes, { attrs, caption: 'labels and attributes', actions: (key, value) => [
      { sign: '+', title: `Only ${key}=${value}`, run: () => filter(key, '=', value) },
      { sign: '−', title: `Without ${key}=${value}`, run: () => filter(key, '!=', value) },
    ] })}</div>`;
}

/** JSON lines are laid out. @param {string} line */
function pretty(line) {
  const text = line.trim();
  if (!text.startsWith('{') || text.length > 20000) return line;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return line;
  }
}
