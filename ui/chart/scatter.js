// Traces as points: when against how long (logarithmic); failed ones are crosses in red.

import { useEffect, useRef, useState } from 'preact/hooks';
import { dateTime, duration } from '../lib/format.js';
import { html } from '../lib/html.js';
import { shown, utc } from '../prefs.js';

/** @typedef {import('../types/api.d.ts').TraceHit} Hit */

const HEIGHT = 96;
const LEFT = 62;

/** @param {{ traces: Hit[], from: number, to: number, open: (t: Hit) => void }} props */
export function Scatter({ traces, from, to, open }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [near, setNear] = useState(/** @type {{ t: Hit, x: number, y: number } | null} */ (null));
  const theme = shown.value;
  useEffect(() => {
    const at = canvas.current?.parentElement;
    if (!at) return undefined;
    const watch = new ResizeObserver(() => setWidth(at.clientWidth));
    watch.observe(at);
    return () => watch.disconnect();
  }, []);
  const points = place(traces, from, to, width);
  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, width, points, traces);
  }, [traces, from, to, width, theme]);
  const find = (/** @type {PointerEvent} */ event) => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box) return;
    const x = event.clientX - box.left;
    const y = event.clientY - box.top;
    let best = null;
    let distance = 144;
    for (const p of points) {
      const d = (p.x - x) ** 2 + (p.y - y) ** 2;
      if (d < distance) [best, distance] = [p, d];
    }
    setNear(best);
  };
  return html`<div class="chart" style=${{ height: `${HEIGHT}px`, cursor: near ? 'pointer' : 'default' }} onPointerMove=${find} onPointerLeave=${() => setNear(null)} onClick=${() => near && open(near.t)}>
    <canvas ref=${canvas} role="img" aria-label=${`${traces.length} traces by start and duration; the table below has the same`} style=${{ width: '100%', height: `${HEIGHT}px` }}></canvas>
    ${near && html`<div class="tip" style=${near.x > width * 0.6 ? { right: `${width - near.x + 12}px`, top: '4px' } : { left: `${near.x + 12}px`, top: '4px' }}>
      <b>${near.t.root_name}</b> ${duration(near.t.duration_ns)} ${near.t.errors ? html`<span class="error-text">✕ ${near.t.errors}</span>` : ''}<div class="dim">${near.t.root_service} · ${dateTime(near.t.start_ms, utc.value)}</div></div>`}
  </div>`;
}

/** @param {Hit[]} traces @param {number} from @param {number} to @param {number} width */
function place(traces, from, to, width) {
  const [low, high] = bounds(traces);
  const scale = Math.log(high / low) || 1;
  return traces.map((t) => ({
    t,
    x: LEFT + ((t.start_ms - from) / Math.max(to - from, 1)) * (width - LEFT - 8),
    y: HEIGHT - 8 - (Math.log(Math.max(t.duration_ns, low) / low) / scale) * (HEIGHT - 18),
  }));
}

/** Whole powers of ten around the durations. @param {Hit[]} traces */
function bounds(traces) {
  const all = traces.map((t) => Math.max(t.duration_ns, 1000));
  const low = 10 ** Math.floor(Math.log10(all.reduce((a, b) => Math.min(a, b), Infinity)));
  const high = 10 ** Math.ceil(Math.log10(all.reduce((a, b) => Math.max(a, b), 1)));
  return [low, Math.max(high, low * 10)];
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {{ t: Hit, x: number, y: number }[]} points @param {Hit[]} traces */
function draw(canvas, width, points, traces) {
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  const ctx = canvas.getContext('2d');
  if (!ctx) return;
  ctx.scale(scale, scale);
  const style = getComputedStyle(document.documentElement);
  const css = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const [low, high] = bounds(traces);
  ctx.font = '10px system-ui, sans-serif';
  for (let v = low; v <= high * 1.001; v *= 10) {
    const y = HEIGHT - 8 - (Math.log(v / low) / Math.log(high / low)) * (HEIGHT - 18);
    ctx.fillStyle = css('--bg-3');
    ctx.fillRect(LEFT, Math.round(y), width - LEFT, 1);
    ctx.fillStyle = css('--fg-2');
    ctx.textAlign = 'right';
    ctx.fillText(duration(v), LEFT - 6, y + 3);
  }
  ctx.lineWidth = 2;
  for (const { t, x, y } of points) {
    if (t.errors) continue;
    ctx.fillStyle = css('--bar');
    ctx.beginPath();
    ctx.arc(x, y, 3, 0, 7);
    ctx.fill();
  }
  ctx.strokeStyle = css('--error');
  for (const { t, x, y } of points) {
    if (!t.errors) continue;
    ctx.beginPath();
    ctx.moveTo(x - 3.5, y - 3.5);
    ctx.lineTo(x + 3.5, y + 3.5);
    ctx.moveTo(x + 3.5, y - 3.5);
    ctx.lineTo(x - 3.5, y + 3.5);
    ctx.stroke();
  }
}
