// One trace: facts, waterfall, the chosen span beside it.

import { useEffect, useMemo, useState } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { dateTime, duration, nsToMs, number } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';
import { ancestors, build, nextError, search, startSpan } from '../lib/trace.js';
import { utc } from '../prefs.js';
import { go, href, place, set } from '../url.js';
import { Waterfall } from '../widget/waterfall.js';
import { Empty, Partial, Problem, Progress } from '../widget/states.js';
import { SpanPanel } from '../widget/spanpanel.js';

export function Page() {
  const id = (place.value.path.split('/')[1] ?? '').toLowerCase().padStart(32, '0');
  const answer = useAnswer(`trace ${id}`, (abort) => api.trace(id, abort), id);
  const { data, error } = answer;
  if (error && !data) {
    return html`<div class="page">${error.status === 404 ? h(Missing, { id }) : h(Problem, { error })}</div>`;
  }
  if (!data) return html`<div class="page">${h(Progress, { answer })}<p class="dim">Loading trace ${id}…</p></div>`;
  return h(Loaded, { t: data, key: id });
}

/** @param {{ id: string }} props */
function Missing({ id }) {
  return h(Empty, {
    what: '0 spans of this trace',
    why: html`No span with the id <code>${id}</code> is kept here: it was never received, was sampled out by its sender, or has passed the retention of traces.`,
    children: html`<a href=${href('logs', { q: `{service_name=~".+"} |= "${id}"`, from: 'now-7d', to: 'now' })}>Logs that name it</a><a href=${href('traces')}>Search traces</a>`,
  });
}

/** @param {{ t: import('../types/api.d.ts').TraceSkeleton, key?: string }} props */
function Loaded({ t }) {
  const tree = useMemo(() => build(t), [t]);
  const query = place.value.query;
  const wanted = t.id.indexOf(query.span ?? '');
  const selected = wanted >= 0 ? wanted : startSpan(tree);
  const [collapsed, setCollapsed] = useState(/** @type {ReadonlySet<number>} */ (new Set()));
  const [zoom, setZoom] = useState(/** @type {[number, number]} */ ([0, Math.max(t.duration_ns, 1)]));
  const [critical, setCritical] = useState(true);
  const [needle, setNeedle] = useState('');
  const found = useMemo(() => search(tree, needle), [tree, needle]);
  const tab = query.tab ?? 'attributes';
  const select = (/** @type {number} */ i) => {
    // The row must be on screen: open what hides it.
    const hidden = ancestors(tree, i).filter((a) => collapsed.has(a));
    if (hidden.length) setCollapsed(new Set([...collapsed].filter((c) => !hidden.includes(c))));
    set({ span: t.id[i] }, true);
  };
  useEffect(() => { document.title = `${rootName(tree)} · Trefoil`; }, [tree]);
  const jump = (/** @type {1 | -1} */ direction) => {
    const i = nextError(tree, selected, direction);
    if (i >= 0) select(i);
  };
  const jumpFound = () => {
    const next = tree.order.filter((i) => found.has(i));
    if (next.length) select(next.find((i) => tree.order.indexOf(i) > tree.order.indexOf(selected)) ?? next[0]);
  };
  const parents = useMemo(() => tree.order.filter((i) => tree.children[i].length), [tree]);
  useKeys({
    e: () => jump(1),
    E: () => jump(-1),
    c: () => setCritical(!critical),
    '[': () => setCollapsed(new Set(parents)),
    ']': () => setCollapsed(new Set()),
    z: () => setZoom(around(tree, selected)),
    Z: () => setZoom([0, Math.max(t.duration_ns, 1)]),
    l: () => set({ tab: tab === 'logs' ? '' : 'logs' }, true),
    m: () => go(metricsOf(tree, selected)),
    Escape: () => (needle ? setNeedle('') : false),
  });
  return html`<div class="page fill">
    ${h(Facts, { tree })}
    <div class="row">
      <input type="text" style="width:240px" data-search aria-label="Search in this trace" placeholder="Search in this trace (/)" value=${needle} spellcheck=${false} autocomplete="off"
        onInput=${(/** @type {any} */ e) => setNeedle(e.target.value)} onKeyDown=${(/** @type {KeyboardEvent} */ e) => { if (e.key === 'Enter') jumpFound(); }} />
      ${needle && html`<span class="dim" role="status">${number(found.size)} of ${number(t.id.length)} spans</span>`}
      <button class=${critical ? 'small on' : 'small'} aria-pressed=${critical} title="c" onClick=${() => setCritical(!critical)}>Critical path</button>
      <button class="small" title="[" onClick=${() => setCollapsed(new Set(parents))}>Collapse all</button>
      <button class="small" title="]" onClick=${() => setCollapsed(new Set())}>Expand all</button>
      ${tree.errors.some(Boolean) && html`<button class="small" title="e" onClick=${() => jump(1)}><span class="error-text" aria-hidden="true">✕</span> Next error</button>`}
      ${(zoom[0] > 0 || zoom[1] < t.duration_ns) && html`<button class="small" title="Z" onClick=${() => setZoom([0, Math.max(t.duration_ns, 1)])}>Reset zoom</button>`}
      <span class="grow"></span>${h(Partial, { why: t.partial })}
    </div>
    <div class="trace">
      ${h(Waterfall, { tree, selected, onSelect: select, collapsed, onCollapse: setCollapsed, zoom, onZoom: setZoom, critical, found: needle ? found : null })}
      ${h(SpanPanel, { tree, i: selected, tab, onTab: (/** @type {string} */ name) => set({ tab: name === 'attributes' ? '' : name }, true), select })}
    </div>
  </div>`;
}

/** @param {{ tree: import('../lib/trace.js').Tree }} props */
function Facts({ tree }) {
  const { t } = tree;
  const failed = t.status.filter((s) => s === 2).length;
  const root = tree.roots[0];
  const ms = nsToMs(t.start_ns);
  const lost = t.parent.filter((p) => p === -2).length;
  return html`<div class="facts">
    <b>${rootName(tree)}</b>
    ${root !== undefined && html`<a href=${href(`services/${t.services[t.service[root]].name}`)}><span class=${`dot c${t.services[t.service[root]].color % 8}`}></span>${t.services[t.service[root]].name}</a>`}
    <span><b>${duration(t.duration_ns)}</b></span>
    <span>${number(t.id.length)} spans</span>
    <span>${t.services.length === 1 ? '1 service' : `${number(t.services.length)} services`}</span>
    <span class=${failed ? 'error-text' : ''}>${failed ? '✕ ' : ''}${number(failed)} failed</span>
    <span title=${new Date(ms).toISOString()}>${dateTime(ms, utc.value)}${utc.value ? ' UTC' : ''}</span>
    ${lost > 0 && html`<span class="chip partial" title="Their parents were not received or are gone; they are shown at the top level">◐ ${number(lost)} spans without their parent</span>`}
    <button class="plain mono" title="Copy the trace id" onClick=${() => { void navigator.clipboard?.writeText(t.trace_id); }}>${t.trace_id}</button>
    <a href=${href('logs', { q: `{service_name=~".+"} | trace_id="${t.trace_id}"`, from: String(Math.floor(ms) - 60000), to: String(Math.ceil(ms + t.duration_ns / 1e6) + 60000) })}>All its logs</a>
  </div>`;
}

/** @param {import('../lib/trace.js').Tree} tree */
function rootName({ t, roots }) {
  return roots.length ? t.names[t.name[roots[0]]] : 'Trace';
}

/** The part of the time axis a span fills, with a little around it. @param {import('../lib/trace.js').Tree} tree @param {number} i @returns {[number, number]} */
function around({ t }, i) {
  const pad = Math.max(t.duration[i] * 0.05, t.duration_ns * 1e-6, 1);
  return [Math.max(0, t.start[i] - pad), Math.min(Math.max(t.duration_ns, 1), t.start[i] + t.duration[i] + pad)];
}

/** The service's page around the span. @param {import('../lib/trace.js').Tree} tree @param {number} i */
export function metricsOf({ t }, i) {
  const ms = nsToMs(t.start_ns) + t.start[i] / 1e6;
  return href(`services/${t.services[t.service[i]].name}`, { from: String(Math.floor(ms) - 900000), to: String(Math.floor(ms) + 900000), service: '' });
}
