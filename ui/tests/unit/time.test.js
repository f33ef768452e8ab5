import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as t from '../../lib/time.js';

const NOW = Date.parse('2026-11-21T14:30:45.500Z');
const utc = (/** @type {string} */ text) => Date.parse(text);

test('durations', () => {
  for (const [text, want] of /** @type {[string, number | null][]} */ ([['90s', 90e3], ['1h30m', 5400e3], ['2d', 172800e3], ['1.5h', 5400e3], ['250ms', 250], ['', null], ['5', null], ['5x', null], ['h', null], ['1h ', null]])) {
    assert.equal(t.parseDuration(text), want, text);
  }
});

test('points in time', () => {
  for (const [text, want] of /** @type {[string, number | null][]} */ ([
    ['now', NOW], ['now-1h', NOW - 3600e3], ['now+5m', NOW + 300e3], ['now-1d/d', utc('2026-11-20T00:00:00Z')], ['now/h', utc('2026-11-21T14:00:00Z')],
    ['1795000000', 1795000000000], ['1795000000123', 1795000000123], ['1795000000123000000', 1795000000123],
    ['2026-11-21T14:00:00Z', utc('2026-11-21T14:00:00Z')], ['2026-11-21T14:00:00+02:00', utc('2026-11-21T12:00:00Z')], ['2026-11-21 14:00', utc('2026-11-21T14:00:00Z')], ['2026-11-21', utc('2026-11-21T00:00:00Z')],
    ['14:00', utc('2026-11-21T14:00:00Z')], ['9:05:10', utc('2026-11-21T09:05:10Z')],
    ['25:00', null], ['yesterday', null], ['now-', null], ['now-5', null], ['', null],
  ])) assert.equal(t.parsePoint(text, NOW, true), want, text);
});

test('ranges people type', () => {
  const at = (/** @type {string} */ text) => String(utc(text));
  for (const [text, want] of /** @type {[string, any][]} */ ([
    ['2h', { from: 'now-2h', to: 'now' }], ['last 15m', { from: 'now-15m', to: 'now' }], ['1h 30m', { from: 'now-1h30m', to: 'now' }],
    ['now-1d/d', { from: 'now-1d/d', to: 'now' }], ['now-2h to now-1h', { from: 'now-2h', to: 'now-1h' }],
    ['14:00-14:30', { from: at('2026-11-21T14:00:00Z'), to: at('2026-11-21T14:30:00Z') }],
    ['2026-11-20T10:00:00.000Z to 2026-11-20T11:00:00.000Z', { from: at('2026-11-20T10:00:00Z'), to: at('2026-11-20T11:00:00Z') }],
    ['14:00', { from: at('2026-11-21T13:55:00Z'), to: at('2026-11-21T14:05:00Z') }],
    ['14:30-14:00', null], ['soon', null], ['0s', null],
  ])) assert.deepEqual(t.parseRange(text, NOW, true), want, text);
});

test('a bad range in the URL falls back to the last hour before its end', () => {
  assert.deepEqual(t.resolve('nonsense', 'now', NOW, true), { from: Math.floor(NOW - 3600e3), to: NOW });
  assert.deepEqual(t.resolve('now', 'now-1h', NOW, true), { from: NOW - 7200e3, to: NOW - 3600e3 });
});

test('panning and zooming keep the middle and stay wider than a second', () => {
  assert.deepEqual(t.shift({ from: 0, to: 10000 }, 0.5, 1), { from: 5000, to: 15000 });
  assert.deepEqual(t.shift({ from: 0, to: 10000 }, 0, 2), { from: -5000, to: 15000 });
  assert.deepEqual(t.shift({ from: 0, to: 1000 }, 0, 0.5), { from: 0, to: 1000 });
});

test('steps are round and give no more points than asked', () => {
  for (const [width, want] of [[3600e3, 15], [900e3, 5], [86400e3, 600], [60e3, 1], [86400e3 * 365, 172800]]) {
    const step = t.step(width, 240);
    assert.equal(step, want);
    assert.ok(width / 1000 / step <= 240);
  }
});

test('ranges read well', () => {
  const show = (/** @type {number} */ ms) => `@${ms}`;
  assert.equal(t.describe('now-1h', 'now', show), 'last 1h');
  assert.equal(t.describe('1795000000000', 'now', show), '@1795000000000 → now');
});
