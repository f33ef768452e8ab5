// The whole trace in 44 pixels; drag picks the part of the axis that is shown.

import { useEffect, useRef, useState } from 'preact/hooks';
import { duration } from '../lib/format.js';
import { html } from '../lib/html.js';
import { series } from '../lib/palette.js';
import { shown } from '../prefs.js';

const HEIGHT = 42;

/** @param {{ tree: import('../lib/trace.js').Tree, zoom: [number, number], onZoom: (z: [number, number]) => void }} props */
export function Minimap({ tree, zoom, onZoom }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const [width, setWidth] = useState(0);
  const [drag, setDrag] = useState(/** @type {[number, number] | null} */ (null));
  const theme = shown.value;
  const total = Math.max(tree.t.duration_ns, 1);
  useEffect(() => {
    const at = canvas.current?.parentElement;
    if (!at) return undefined;
    const watch = new ResizeObserver(() => setWidth(at.clientWidth));
    watch.observe(at);
    return () => watch.disconnect();
  }, []);
  useEffect(() => {
    if (canvas.current && width) draw(canvas.current, width, tree, theme);
  }, [tree, width, theme]);
  const timeAt = (/** @type {PointerEvent} */ event) => {
    const box = canvas.current?.getBoundingClientRect();
    return box ? Math.max(0, Math.min(1, (event.clientX - box.left) / box.width)) * total : 0;
  };
  const up = () => {
    if (drag) {
      const [a, b] = [Math.min(...drag), Math.max(...drag)];
      onZoom(b - a > total * 0.002 ? [a, b] : [0, total]);
    }
    setDrag(null);
  };
  const [from, to] = drag ? [Math.min(...drag), Math.max(...drag)] : zoom;
  const share = (/** @type {number} */ ns) => `${(ns / total) * 100}%`;
  return html`<div class="minimap" title="Drag to zoom, click to reset"
      onPointerDown=${(/** @type {PointerEvent} */ e) => { /** @type {HTMLElement} */ (e.currentTarget).setPointerCapture(e.pointerId); setDrag([timeAt(e), timeAt(e)]); }}
      onPointerMove=${(/** @type {PointerEvent} */ e) => { if (drag) setDrag([drag[0], timeAt(e)]); }} onPointerUp=${up}>
    <canvas ref=${canvas} role="img" aria-label=${`Overview of ${duration(total)}; shown is ${duration(from)} to ${duration(to)}`} style=${{ width: '100%', height: `${HEIGHT}px` }}></canvas>
    <div class="off" style=${{ left: 0, width: share(from) }}></div><div class="off" style=${{ left: share(to), right: 0 }}></div>
  </div>`;
}

/** @param {HTMLCanvasElement} canvas @param {number} width @param {import('../lib/trace.js').Tree} tree @param {'light' | 'dark'} theme */
function draw(canvas, width, tree, theme) {
  const scale = devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(HEIGHT * scale);
  const ctx = canvas.getContext('2d');
  if (!ctx) return;
  ctx.scale(scale, scale);
  const { t, order } = tree;
  const total = Math.max(t.duration_ns, 1);
  const tall = Math.max(1, HEIGHT / order.length);
  const error = getComputedStyle(document.documentElement).getPropertyValue('--error').trim();
  const failed = [];
  for (let row = 0; row < order.length; row += 1) {
    const i = order[row];
    const y = (row / order.length) * HEIGHT;
    if (t.status[i] === 2) failed.push([i, y]);
    ctx.fillStyle = series(t.services[t.service[i]].color, theme).color;
    ctx.fillRect((t.start[i] / total) * width, y, Math.max(1, (t.duration[i] / total) * width), Math.max(1, tall - 0.5));
  }
  // Errors last, so that nothing hides them: a red line along the bar, or all of a thin one.
  ctx.fillStyle = error;
  const line = tall >= 3 ? tall * 0.4 : Math.max(2, tall);
  for (const [i, y] of failed) ctx.fillRect((t.start[i] / total) * width, y + Math.max(0, tall - 0.5 - line), Math.max(2, (t.duration[i] / total) * width), line);
}
