// The rows of a trace: only those on screen are in the document.

import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { Minimap } from '../chart/minimap.js';
import { duration } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';
import { ERROR, ticks, visible } from '../lib/trace.js';
import { density } from '../prefs.js';

/** Rows kept above and below what is seen. */
const SPARE = 6;

/**
 * @param {{
 *   tree: import('../lib/trace.js').Tree, selected: number, onSelect: (i: number) => void,
 *   collapsed: ReadonlySet<number>, onCollapse: (c: ReadonlySet<number>) => void,
 *   zoom: [number, number], onZoom: (z: [number, number]) => void,
 *   critical: boolean, found: Set<number> | null,
 * }} props
 */
export function Waterfall({ tree, selected, onSelect, collapsed, onCollapse, zoom, onZoom, critical, found }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [top, setTop] = useState(0);
  const [size, setSize] = useState({ height: 600, width: 900 });
  const rows = useMemo(() => visible(tree, collapsed), [tree, collapsed]);
  const rowHeight = density.value === 'comfortable' ? 28 : 22;
  const at = rows.indexOf(selected);
  const whoWidth = Math.round(Math.min(420, Math.max(180, size.width * 0.36)));

  useEffect(() => {
    const element = box.current;
    if (!element) return undefined;
    const watch = new ResizeObserver(() => setSize({ height: element.clientHeight, width: element.clientWidth }));
    watch.observe(element);
    return () => watch.disconnect();
  }, []);
  // The chosen span stays in sight however it was chosen.
  useEffect(() => {
    const element = box.current;
    if (!element || at < 0) return;
    const y = at * rowHeight;
    if (y < element.scrollTop || y + rowHeight > element.scrollTop + element.clientHeight) {
      element.scrollTop = Math.max(0, y - element.clientHeight / 2);
    }
  }, [selected, size.height, rowHeight]);

  const move = (/** @type {number} */ step) => {
    const next = rows[Math.max(0, Math.min(rows.length - 1, at + step))];
    if (next !== undefined) onSelect(next);
  };
  const fold = (/** @type {number} */ i, /** @type {boolean} */ shut) => {
    const next = new Set(collapsed);
    if (shut) next.add(i);
    else next.delete(i);
    onCollapse(next);
  };
  const left = () => {
    if (tree.children[selected].length && !collapsed.has(selected)) fold(selected, true);
    else if (tree.t.parent[selected] >= 0) onSelect(tree.t.parent[selected]);
  };
  const right = () => {
    if (collapsed.has(selected)) fold(selected, false);
    else if (tree.children[selected].length) onSelect(tree.children[selected][0]);
  };
  const page = Math.max(1, Math.floor(size.height / rowHeight) - 2);
  useKeys({
    j: () => move(1), ArrowDown: () => move(1), k: () => move(-1), ArrowUp: () => move(-1), ArrowLeft: left, ArrowRight: right,
    PageDown: () => move(page), PageUp: () => move(-page), Home: () => move(-rows.length), End: () => move(rows.length),
  });
  const wheel = (/** @type {WheelEvent} */ event) => {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const lane = size.width - whoWidth;
    const x = Math.max(0, Math.min(1, (event.clientX - (box.current?.getBoundingClientRect().left ?? 0) - whoWidth) / lane));
    const factor = event.deltaY > 0 ? 1.25 : 0.8;
    const width = Math.min(Math.max((zoom[1] - zoom[0]) * factor, 100), tree.t.duration_ns);
    const middle = zoom[0] + (zoom[1] - zoom[0]) * x;
    const from = Math.max(0, Math.min(middle - width * x, tree.t.duration_ns - width));
    onZoom([from, from + width]);
  };
  const first = Math.max(0, Math.floor(top / rowHeight) - SPARE);
  const last = Math.min(rows.length, Math.ceil((top + size.height) / rowHeight) + SPARE);
  const shared = { tree, zoom, whoWidth, rowHeight, critical, fold, onSelect };
  return html`<div class="wf">
    ${h(Minimap, { tree, zoom, onZoom })}
    <div class="axis" style=${{ marginLeft: `${whoWidth}px` }} aria-hidden="true">${ticks(zoom[0], zoom[1], 6).map((t) => html`<span style=${{ left: `${((t - zoom[0]) / (zoom[1] - zoom[0])) * 100}%` }}>${duration(t)}</span>`)}</div>
    <div class="rows" role="treegrid" aria-label="Spans" aria-rowcount=${rows.length} aria-activedescendant=${at >= first && at < last ? `span-${selected}` : undefined} tabindex="0" ref=${box}
        onScroll=${(/** @type {any} */ e) => setTop(e.currentTarget.scrollTop)} onWheel=${wheel}>
      <div role="presentation" style=${{ height: `${rows.length * rowHeight}px` }}></div>
      ${rows.slice(first, last).map((i, n) => h(Row, { ...shared, i, y: (first + n) * rowHeight, index: first + n + 1, on: i === selected, shut: collapsed.has(i), miss: found !== null && !found.has(i), key: i }))}
    </div>
  </div>`;
}

/**
 * @param {{
 *   tree: import('../lib/trace.js').Tree, i: number, y: number, index: number, on: boolean, shut: boolean, miss: boolean, critical: boolean,
 *   zoom: [number, number], whoWidth: number, rowHeight: number, fold: (i: number, shut: boolean) => void, onSelect: (i: number) => void, key?: number,
 * }} props
 */
function Row({ tree, i, y, index, on, shut, miss, critical, zoom, whoWidth, rowHeight, fold, onSelect }) {
  const { t } = tree;
  const service = t.services[t.service[i]];
  const name = t.names[t.name[i]];
  const kids = tree.children[i].length;
  const failed = t.status[i] === ERROR;
  const hiddenErrors = tree.errors[i] - (failed ? 1 : 0);
  const parentService = t.parent[i] >= 0 ? t.service[t.parent[i]] : -1;
  const width = zoom[1] - zoom[0];
  const x = (/** @type {number} */ ns) => ((ns - zoom[0]) / width) * 100;
  const from = x(t.start[i]);
  const to = x(t.start[i] + t.duration[i]);
  const seen = to >= 0 && from <= 100;
  const indent = Math.min(tree.depth[i] * 12, whoWidth * 0.55);
  return html`<div id=${`span-${i}`} role="row" class=${`span${on ? ' on' : ''}${miss ? ' miss' : ''}`} style=${{ top: `${y}px`, height: `${rowHeight}px` }} aria-level=${tree.depth[i] + 1} aria-rowindex=${index}
      aria-selected=${on} aria-expanded=${kids ? !shut : undefined} onClick=${() => onSelect(i)}>
    <div class="who" role="gridcell" style=${{ width: `${whoWidth}px`, paddingLeft: `${indent}px` }} title=${`${service.name}: ${name}`}>
      ${kids ? html`<button class="twist" tabindex="-1" aria-label=${shut ? `Expand ${tree.size[i] - 1} spans` : 'Collapse'} onClick=${(/** @type {Event} */ e) => { e.stopPropagation(); fold(i, !shut); }}>${shut ? '▶' : '▼'}</button>` : html`<span style="width:18px;flex:none"></span>`}
      <span class=${`dot c${service.color % 8}`} style="border-radius:2px"></span>
      ${failed && html`<span class="badge" title="failed">✕<span class="sr">failed </span></span>`}
      <span class="clip">${t.service[i] !== parentService && html`<span class="dim">${service.name} </span>`}${name}</span>
      ${shut && html`<span class="dim nowrap">&nbsp;+${tree.size[i] - 1}</span>`}
      ${shut && hiddenErrors > 0 && html`<span class="badge" title=${`${hiddenErrors} failed below`}>✕${hiddenErrors}</span>`}
      ${t.parent[i] === -2 && html`<span class="tag" title="its parent was not received">orphan</span>`}
    </div>
    <div class="lane" role="gridcell"><span class="sr">starts after ${duration(t.start[i])}, takes ${duration(t.duration[i])}</span>${seen && html`
      <div class=${`bar c${service.color % 8}${failed ? ' err' : ''}`} style=${{ left: `${Math.max(from, -1)}%`, width: `${Math.min(to, 101) - Math.max(from, -1)}%` }}></div>
      ${critical && tree.critical[i] ? html`<div class="crit" style=${{ left: `${Math.max(from, -1)}%`, width: `${Math.min(to, 101) - Math.max(from, -1)}%` }}></div>` : null}
      <span class="dur" style=${to < 85 ? { left: `${Math.max(to, 0)}%` } : from > 15 ? { right: `${100 - from}%` } : { right: 0, color: 'var(--fg)', background: 'var(--bg)' }}>${duration(t.duration[i])}${t.logs[i] ? html`<span title=${`${t.logs[i]} log records`}> ≡${t.logs[i]}</span>` : ''}</span>`}
    </div></div>`;
}
