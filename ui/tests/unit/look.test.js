import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BOX, layout } from '../../lib/layers.js';
import { ERROR_COLOR, PALETTE, series } from '../../lib/palette.js';
import { ui } from '../modules.js';

test('callers stand left of whom they call, and no boxes overlap', () => {
  const edges = [['a', 'b'], ['b', 'c'], ['a', 'c'], ['a', 'd'], ['d', 'c']].map(([from, to]) => ({ from, to }));
  const { nodes } = layout(['c', 'd', 'b', 'a', 'alone'], edges);
  for (const { from, to } of edges) assert.ok((nodes.get(from)?.x ?? 0) < (nodes.get(to)?.x ?? 0), `${from} → ${to}`);
  const all = [...nodes.values()];
  for (const p of all) for (const q of all) {
    if (p !== q) assert.ok(Math.abs(p.x - q.x) >= BOX.width || Math.abs(p.y - q.y) >= BOX.height, `${p.name} ${q.name}`);
  }
});

test('an edge that passes a column gets a lane of its own there, clear of the boxes', () => {
  const { nodes, routes } = layout(['a', 'b', 'c'], [['a', 'b'], ['b', 'c'], ['a', 'c']].map(([from, to]) => ({ from, to })));
  const [lane] = routes.get('["a","c"]') ?? [];
  const box = nodes.get('b');
  assert.ok(lane && box && lane.x === box.x && (lane.y < box.y || lane.y > box.y + BOX.height), JSON.stringify({ lane, box }));
  assert.equal(routes.size, 1);
});

test('circles, loops and unknown ends are survived', () => {
  const { nodes } = layout(['a', 'b', 'c'], [['a', 'b'], ['b', 'c'], ['c', 'a'], ['a', 'a'], ['a', 'gone']].map(([from, to]) => ({ from, to })));
  assert.equal(nodes.size, 3);
  assert.ok((nodes.get('a')?.x ?? 9) < (nodes.get('c')?.x ?? 0));
  assert.equal(layout([], []).nodes.size, 0);
});

/** @param {string} hex @returns {number[]} linear RGB */
const linear = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
const luminance = (/** @type {string} */ hex) => { const [r, g, b] = linear(hex); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const contrast = (/** @type {string} */ a, /** @type {string} */ b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };

/** @param {number[]} rgb linear @returns {number[]} OKLab, times 100 */
function oklab([r, g, b]) {
  const l = Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const m = Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const s = Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return [0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s, 1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s, 0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s].map((v) => v * 100);
}

/** How colours look without one kind of cone: Machado, Oliveira, Fernandes 2009, severity 1. */
const SIGHT = {
  normal: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
  protan: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deutan: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritan: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};

test('service colours are told apart from each other and from errors by every kind of sight', () => {
  for (const [theme, colors] of Object.entries(PALETTE)) {
    const all = [...colors, ERROR_COLOR[/** @type {'light' | 'dark'} */ (theme)]];
    for (const [sight, matrix] of Object.entries(SIGHT)) {
      const labs = all.map((hex) => oklab(matrix.map((row) => Math.max(0, row.reduce((sum, k, i) => sum + k * linear(hex)[i], 0)))));
      for (let i = 0; i < labs.length; i += 1) for (let j = 0; j < i; j += 1) {
        const distance = Math.hypot(...labs[i].map((v, k) => v - labs[j][k]));
        assert.ok(distance > 8, `${theme}, ${sight}: ${all[i]} and ${all[j]} are ${distance.toFixed(1)} apart`);
      }
    }
  }
});

/** @param {string} selector @returns {Record<string, string>} the custom properties of a rule */
function tokens(selector) {
  const css = readFileSync(join(ui, 'style.css'), 'utf8');
  const at = css.indexOf(`${selector} {`);
  return Object.fromEntries([...css.slice(at, css.indexOf('}', at)).matchAll(/--([\w-]+): (#[0-9a-f]{6})/g)].map((m) => [m[1], m[2]]));
}

test('texts have AA contrast on every ground they stand on, series 3:1, and styles agree with scripts', () => {
  for (const [theme, t] of Object.entries({ light: tokens(':root'), dark: tokens(':root[data-dark]') })) {
    for (const ground of ['bg', 'bg-2', 'accent-bg']) {
      for (const text of ['fg', 'fg-2', 'accent', 'error', 'warn']) {
        assert.ok(contrast(t[text], t[ground]) >= 4.5, `${theme}: ${text} on ${ground} has ${contrast(t[text], t[ground]).toFixed(2)}`);
      }
    }
    for (const [text, ground] of [['fg', 'error-bg'], ['fg', 'warn-bg'], ['warn', 'warn-bg'], ['on-accent', 'accent'], ['fg', 'bg-3']]) {
      assert.ok(contrast(t[text], t[ground]) >= 4.5, `${theme}: ${text} on ${ground}`);
    }
    PALETTE[/** @type {'light' | 'dark'} */ (theme)].forEach((hex, i) => {
      assert.equal(t[`s${i}`], hex);
      assert.ok(contrast(hex, t.bg) >= 3 - 0.05, `${theme}: ${hex} has ${contrast(hex, t.bg).toFixed(2)}`);
    });
    assert.equal(t.error, ERROR_COLOR[/** @type {'light' | 'dark'} */ (theme)]);
  }
});

test('the ninth series has the first colour and a dash', () => {
  assert.equal(series(8, 'light').color, series(0, 'light').color);
  assert.notDeepEqual(series(8, 'light').dash, series(0, 'light').dash);
});
