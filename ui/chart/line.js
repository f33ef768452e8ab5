// Lines over time: crosshair, drag to zoom, a legend that isolates, dots for exemplars.

import { useEffect, useRef, useState } from 'preact/hooks';
import { dateTime } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { series as look } from '../lib/palette.js';
import { shown, utc } from '../prefs.js';
import { setRange } from '../url.js';
import { load } from './uplot.js';

/** One empty list, so that a chart without dots is not drawn anew for each. @type {Dot[]} */
const NONE = [];

/** Lines drawn at once; the rest is in the table. */
export const LINES_MAX = 50;

/**
 * @typedef {object} Line
 * @property {string} name
 * @property {(number | null)[]} values one per time
 * @property {number} [color] index into the palette; its own place by default
 * @property {boolean} [error] drawn in the colour of errors
 * @property {boolean} [fill]
 */

/**
 * @typedef {object} Dot an exemplar
 * @property {number} time ms
 * @property {number} value
 * @property {string} label
 * @property {string} href
 */

/**
 * @param {{
 *   times: number[], lines: Line[], format: (value: number | null | undefined) => string, caption: string,
 *   height?: number, dots?: Dot[], legend?: boolean, range?: { from: number, to: number },
 * }} props `times` in Unix milliseconds
 */
export function LineChart({ times, lines, format, caption, height = 220, dots = NONE, legend = true, range }) {
  const host = useRef(/** @type {HTMLDivElement | null} */ (null));
  const plot = useRef(/** @type {any} */ (null));
  const [only, setOnly] = useState(/** @type {Set<string>} */ (new Set()));
  const [tip, setTip] = useState(/** @type {Tip | null} */ (null));
  const [broken, setBroken] = useState('');
  const theme = shown.value;
  const zone = utc.value;
  const drawn = lines.slice(0, LINES_MAX);
  const colors = drawn.map((line, i) => color(line, i, theme));
  const isOn = (/** @type {Line} */ line) => only.size === 0 || only.has(line.name);

  useEffect(() => {
    let live = true;
    const at = host.current;
    void load().then((uPlot) => {
      if (!live || !at) return;
      const options = /** @type {any} */ (optionsFor({ at, height, drawn, colors, format, zone, isOn, setTip, dots, range }));
      plot.current = new uPlot(options, /** @type {any} */ ([times.map((t) => t / 1000), ...drawn.map((line) => line.values)]), at);
    }, (error) => setBroken(error.message));
    return () => {
      live = false;
      plot.current?.destroy();
      plot.current = null;
    };
  }, [times, lines, theme, zone, only, height, dots, range?.from, range?.to]);

  useEffect(() => {
    const at = host.current;
    if (!at) return undefined;
    const watch = new ResizeObserver(() => plot.current?.setSize({ width: at.clientWidth, height }));
    watch.observe(at);
    return () => watch.disconnect();
  }, [height]);

  const pick = (/** @type {string} */ name, /** @type {MouseEvent} */ event) => {
    const next = new Set(event.ctrlKey || event.metaKey || event.shiftKey ? only : []);
    if (only.has(name) && (only.size === 1 || next.size)) next.delete(name);
    else next.add(name);
    setOnly(next);
  };
  return html`<figure class="chart" style="margin:0" aria-label=${caption}>
    ${broken && html`<p class="problem-text">${broken}</p>`}
    <div ref=${host} style=${{ height: `${height}px` }} role="img" aria-label=${caption}></div>
    ${tip && h(TipBox, { tip, lines: drawn.filter(isOn), all: drawn, colors, times, format, zone })}
    ${dots.length > 0 && html`<p class="row dim">${dots.length} exemplars (◆), slowest: ${[...dots].sort((a, b) => b.value - a.value).slice(0, 6).map((dot) => html`<a href=${dot.href} title=${dot.label}>◆ ${format(dot.value)}</a>`)}</p>`}
    ${legend && html`<div class="legend" role="group" aria-label="Lines: click shows one alone, Ctrl-click adds">${drawn.map((line, i) => html`<button aria-pressed=${isOn(line)}
      title=${line.name} onClick=${(/** @type {MouseEvent} */ e) => pick(line.name, e)}><span class="swatch" style=${{ borderTopColor: colors[i].color, borderTopStyle: colors[i].dash.length ? 'dashed' : 'solid' }}></span><span>${line.name}</span></button>`)}</div>`}
    ${lines.length > LINES_MAX && html`<p class="dim">Showing ${LINES_MAX} of ${lines.length} lines; the table has all. Try topk(10, …).</p>`}
  </figure>`;
}

/** @typedef {{ left: number, top: number, index: number, width: number }} Tip */

/** @param {Line} line @param {number} i @param {'light' | 'dark'} theme */
function color(line, i, theme) {
  if (line.error) return { color: css('--error'), dash: [] };
  return look(line.color ?? i, theme);
}

/** @param {string} name */
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/**
 * @param {{ at: HTMLElement, height: number, drawn: Line[], colors: { color: string, dash: number[] }[],
 *   format: (v: number | null | undefined) => string, zone: boolean, isOn: (l: Line) => boolean,
 *   setTip: (t: Tip | null) => void, dots: Dot[], range?: { from: number, to: number } }} p
 */
function optionsFor({ at, height, drawn, colors, format, zone, isOn, setTip, dots, range }) {
  const axis = { stroke: css('--fg-2'), grid: { stroke: css('--bg-3'), width: 1 }, ticks: { stroke: css('--line'), width: 1 }, font: '11px system-ui, sans-serif' };
  return {
    width: at.clientWidth || 600,
    height,
    legend: { show: false },
    tzDate: zone ? (/** @type {number} */ ts) => utcDate(ts) : undefined,
    cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
    scales: { x: { time: true, ...(range ? { range: () => [range.from / 1000, range.to / 1000] } : {}) }, y: { range: (/** @type {any} */ _, /** @type {number} */ min, /** @type {number} */ max) => yRange(min, max) } },
    axes: [
      { ...axis, values: (/** @type {any} */ _, /** @type {number[]} */ splits, /** @type {number} */ _axis, /** @type {number} */ _space, /** @type {number} */ increment) => timeValues(splits, increment, zone) },
      { ...axis, size: 70, values: (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((v) => format(v)) },
    ],
    series: [{}, ...drawn.map((line, i) => ({
      label: line.name,
      show: isOn(line),
      stroke: colors[i].color,
      width: 1.5,
      dash: colors[i].dash,
      fill: line.fill ? `${colors[i].color}33` : undefined,
      points: { show: lonely(line.values) },
      spanGaps: false,
    }))],
    hooks: {
      setSelect: [(/** @type {any} */ u) => {
        if (u.select.width < 4) return;
        const from = u.posToVal(u.select.left, 'x') * 1000;
        const to = u.posToVal(u.select.left + u.select.width, 'x') * 1000;
        setRange({ from, to: Math.max(to, from + 1000) });
      }],
      setCursor: [(/** @type {any} */ u) => {
        const { idx, left, top } = u.cursor;
        setTip(idx == null || left < 0 ? null : { left: left + u.bbox.left / devicePixelRatio, top, index: idx, width: at.clientWidth });
      }],
      draw: [(/** @type {any} */ u) => drawDots(u, dots)],
    },
  };
}

/** Twelve or fewer points are shown as points: a line of one is invisible. @param {(number | null)[]} values */
function lonely(values) {
  return values.filter((v) => v !== null).length <= 12;
}

/** @param {number} min @param {number} max @returns {[number, number]} */
function yRange(min, max) {
  if (min == null || max == null || !Number.isFinite(min) || !Number.isFinite(max)) return [0, 1];
  const low = Math.min(min, 0);
  if (max === low) return [low, low + 1];
  // A flat line far from zero shows its shape, not its distance from zero.
  if (min > 0 && max - min > max * 1e-6 && (max - min) / max < 0.2) return [min - (max - min || max) * 0.2, max + (max - min || max) * 0.2];
  return [low, max + (max - low) * 0.06];
}

/** @param {number} seconds */
function utcDate(seconds) {
  const local = new Date(seconds * 1000);
  return new Date(seconds * 1000 + local.getTimezoneOffset() * 60000);
}

/** @param {number[]} splits @param {number} increment @param {boolean} zone UTC */
function timeValues(splits, increment, zone) {
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  let day = '';
  return splits.map((ts) => {
    const d = zone ? utcDate(ts) : new Date(ts * 1000);
    const clock = `${two(d.getHours())}:${two(d.getMinutes())}${increment < 60 ? `:${two(d.getSeconds())}` : ''}`;
    const date = `${two(d.getMonth() + 1)}-${two(d.getDate())}`;
    const fresh = day && date !== day;
    day = date;
    return increment >= 86400 ? date : fresh ? `${clock}\n${date}` : clock;
  });
}

/** @param {any} u @param {Dot[]} dots */
function drawDots(u, dots) {
  const { ctx } = u;
  ctx.save();
  ctx.fillStyle = css('--fg');
  for (const dot of dots) {
    const x = u.valToPos(dot.time / 1000, 'x', true);
    const y = u.valToPos(dot.value, 'y', true);
    if (x < u.bbox.left || x > u.bbox.left + u.bbox.width || y < u.bbox.top || y > u.bbox.top + u.bbox.height) continue;
    const r = 4 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, y - r);
    ctx.lineTo(x + r, y);
    ctx.lineTo(x, y + r);
    ctx.lineTo(x - r, y);
    ctx.fill();
  }
  ctx.restore();
}

/** @param {{ tip: Tip, lines: Line[], all: Line[], colors: { color: string }[], times: number[], format: (v: number | null | undefined) => string, zone: boolean }} props */
function TipBox({ tip, lines, all, colors, times, format, zone }) {
  const rows = lines.map((line) => ({ line, value: line.values[tip.index] })).filter(({ value }) => value != null)
    .sort((a, b) => Number(b.value) - Number(a.value));
  if (times[tip.index] === undefined) return null;
  const right = tip.left > tip.width * 0.6;
  const style = right ? { right: `${tip.width - tip.left + 14}px`, top: '8px' } : { left: `${tip.left + 14}px`, top: '8px' };
  return html`<div class="tip" style=${style}><div class="dim">${dateTime(times[tip.index], zone)}</div>
    ${rows.slice(0, 10).map(({ line, value }) => html`<div class="row"><span class="swatch" style=${{ borderTopColor: colors[all.indexOf(line)].color }}></span><span class="clip">${line.name}</span><b class="end">${format(value)}</b></div>`)}
    ${rows.length > 10 && html`<div class="dim">and ${rows.length - 10} more</div>`}</div>`;
}
