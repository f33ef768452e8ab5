// Stacked bars over time on a canvas: log volume by level. Drag selects a range.

import { useEffect, useRef, useState } from 'preact/hooks';
import { dateTime, number } from '../lib/format.js';
import { html } from '../lib/html.js';
import { shown, utc } from '../prefs.js';
import { setRange } from '../url.js';

/**
 * @param {{ times: number[], step: number, stacks: { name: string, counts: number[], css: string, hatch?: boolean }[], height?: number, caption: string }} props
 *   `times` are the starts of the bars in ms, `stacks` from bottom to top
 */
export function Bars({ times, step, stacks, height = 84, caption }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [hover, setHover] = useState(-1);
  const [drag, setDrag] = useState(/** @type {[number, number] | null} */ (null));
  const theme = shown.value;
  useEffect(() => {
    const at = canvas.current?.parentElement;
    if (!at) return undefined;
    const watch = new ResizeObserver(() => setWidth(at.clientWidth));
    watch.observe(at);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, width, height, times.length, stacks);
  }, [times, stacks, width, height, theme]);
  const indexAt = (/** @type {PointerEvent} */ event) => {
    const box = canvas.current?.getBoundingClientRect();
    return box ? Math.max(0, Math.min(times.length - 1, Math.floor(((event.clientX - box.left) / box.width) * times.length))) : 0;
  };
  const up = () => {
    if (drag && times.length) {
      const [a, b] = [Math.min(...drag), Math.max(...drag)];
      setRange({ from: times[a], to: times[b] + step });
    }
    setDrag(null);
  };
  const left = (/** @type {number} */ i) => `${(i / times.length) * 100}%`;
  return html`<div class="chart" style=${{ height: `${height}px`, cursor: 'crosshair', touchAction: 'none' }}
      onPointerMove=${(/** @type {PointerEvent} */ e) => { const i = indexAt(e); setHover(i); if (drag) setDrag([drag[0], i]); }}
      onPointerLeave=${() => setHover(-1)}
      onPointerDown=${(/** @type {PointerEvent} */ e) => { /** @type {HTMLElement} */ (e.currentTarget).setPointerCapture(e.pointerId); const i = indexAt(e); setDrag([i, i]); }}
      onPointerUp=${up}>
    <canvas ref=${canvas} role="img" aria-label=${caption} style=${{ width: '100%', height: `${height}px` }}></canvas>
    ${drag && html`<div style=${{ position: 'absolute', top: 0, bottom: 0, left: left(Math.min(...drag)), width: left(Math.abs(drag[1] - drag[0]) + 1), background: 'var(--accent)', opacity: 0.2 }}></div>`}
    ${hover >= 0 && times[hover] !== undefined && html`<div class="tip" style=${hover > times.length * 0.6 ? { right: `calc(100% - ${left(hover)} + 8px)`, top: '2px' } : { left: `calc(${left(hover + 1)} + 8px)`, top: '2px' }}>
      <div class="dim">${dateTime(times[hover], utc.value)}</div>
      ${[...stacks].reverse().filter((s) => s.counts[hover]).map((s) => html`<div class="row"><span class="dot" style=${{ background: `var(${s.css})` }}></span>${s.name}<b class="end">${number(s.counts[hover])}</b></div>`)}</div>`}
  </div>`;
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {number} height @param {number} n @param {{ counts: number[], css: string, hatch?: boolean }[]} stacks */
function draw(canvas, width, height, n, stacks) {
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const ctx = canvas.getContext('2d');
  if (!ctx || !n) return;
  ctx.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const colors = stacks.map((s) => style.getPropertyValue(s.css).trim());
  let max = 1;
  for (let i = 0; i < n; i += 1) max = Math.max(max, stacks.reduce((sum, s) => sum + (s.counts[i] ?? 0), 0));
  const slot = width / n;
  const gap = slot > 4 ? 1 : 0;
  for (let i = 0; i < n; i += 1) {
    let y = height - 1;
    stacks.forEach((stack, s) => {
      const count = stack.counts[i] ?? 0;
      if (!count) return;
      const tall = Math.max(1, (count / max) * (height - 6));
      ctx.fillStyle = colors[s];
      ctx.fillRect(i * slot, y - tall, Math.max(1, slot - gap), tall);
      if (stack.hatch) hatch(ctx, i * slot, y - tall, Math.max(1, slot - gap), tall, style.getPropertyValue('--bg').trim());
      y -= tall;
    });
  }
  ctx.fillStyle = style.getPropertyValue('--line').trim();
  ctx.fillRect(0, height - 1, width, 1);
  ctx.fillStyle = style.getPropertyValue('--fg-2').trim();
  ctx.font = '10px system-ui, sans-serif';
  ctx.fillText(number(max), 2, 10);
}

/** Errors are told by a pattern too. @param {CanvasRenderingContext2D} ctx @param {number} x @param {number} y @param {number} w @param {number} tall @param {string} color */
function hatch(ctx, x, y, w, tall, color) {
  if (tall < 4 || w < 4) return;
  ctx.save();
  ctx.beginPath();
  ctx.rect(x, y, w, tall);
  ctx.clip();
  ctx.strokeStyle = color;
  ctx.globalAlpha = 0.55;
  for (let at = -tall; at < w; at += 5) {
    ctx.beginPath();
    ctx.moveTo(x + at, y + tall);
    ctx.lineTo(x + at + tall, y);
    ctx.stroke();
  }
  ctx.restore();
}
