import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as tr from '../../lib/trace.js';
import { random } from '../data.js';

/**
 * A skeleton from rows `[parent, start, duration, error]`.
 * @param {[number, number, number, boolean?][]} rows
 * @returns {import('../../types/api.d.ts').TraceSkeleton}
 */
function trace(rows) {
  const all = rows.map(() => 0);
  return {
    trace_id: 'x', start_ns: '0', duration_ns: Math.max(...rows.map(([, s, d]) => s + d)), services: [{ name: 'svc', color: 0 }], names: ['op', 'Other'],
    id: rows.map((_, i) => `id${i}`), parent: rows.map(([p]) => p), name: rows.map((_, i) => (i === 2 ? 1 : 0)), service: all, kind: all,
    status: rows.map(([, , , e]) => (e ? 2 : 0)), start: rows.map(([, s]) => s), duration: rows.map(([, , d]) => d), logs: all, events: all, partial: '',
  };
}

// 0 ─ 1 ─ 3(error)
//   └ 2
const SHOP = trace([[-1, 0, 100], [0, 10, 40], [0, 60, 30], [1, 20, 20, true]]);

test('a tree knows depth, size, errors below and own time', () => {
  const tree = tr.build(SHOP);
  assert.deepEqual(tree.order, [0, 1, 3, 2]);
  assert.deepEqual(tree.depth, [0, 1, 1, 2]);
  assert.deepEqual(tree.size, [4, 2, 1, 1]);
  assert.deepEqual(tree.errors, [1, 1, 0, 1]);
  assert.deepEqual(tree.self, [30, 20, 30, 20]);
});

test('overlapping children are not counted twice in own time', () => {
  assert.deepEqual(tr.build(trace([[-1, 0, 100], [0, 10, 50], [0, 30, 50], [0, 90, 50]])).self[0], 20);
});

test('the critical path is what the end waited for', () => {
  // 2 ends last before the end of 0; 1 ends before 2 starts; 3 is inside 1.
  assert.deepEqual([...tr.build(SHOP).critical], [1, 1, 1, 1]);
  // A span that runs beside the longer one is not on it.
  assert.deepEqual([...tr.build(trace([[-1, 0, 100], [0, 0, 90], [0, 10, 20]])).critical], [1, 1, 0]);
  // Nobody waited for a child that outlives its parent.
  assert.deepEqual([...tr.build(trace([[-1, 0, 100], [0, 50, 200]])).critical], [1, 0]);
});

test('spans whose parents are gone are roots, and circles are cut', () => {
  assert.deepEqual(tr.build(trace([[-2, 0, 10], [-1, 5, 10]])).roots, [0, 1]);
  const circle = tr.build(trace([[1, 0, 10], [2, 1, 10], [0, 2, 10], [-1, 0, 5]]));
  assert.equal(circle.order.length, 4);
  assert.equal(new Set(circle.order).size, 4);
  assert.equal(tr.build(trace([[0, 0, 10]])).order.length, 1);
});

test('collapsing hides what is below and nothing else', () => {
  const tree = tr.build(SHOP);
  assert.deepEqual(tr.visible(tree, new Set()), [0, 1, 3, 2]);
  assert.deepEqual(tr.visible(tree, new Set([1])), [0, 1, 2]);
  assert.deepEqual(tr.visible(tree, new Set([0, 1])), [0]);
});

test('a trace opens at its deepest error on the critical path, else at the root', () => {
  assert.equal(tr.startSpan(tr.build(SHOP)), 3);
  assert.equal(tr.startSpan(tr.build(trace([[-1, 0, 100], [0, 10, 40]]))), 0);
});

test('next and previous error go round', () => {
  const tree = tr.build(trace([[-1, 0, 100, true], [0, 10, 10], [0, 30, 10, true], [0, 50, 10]]));
  assert.equal(tr.nextError(tree, 0, 1), 2);
  assert.equal(tr.nextError(tree, 2, 1), 0);
  assert.equal(tr.nextError(tree, 0, -1), 2);
  assert.equal(tr.nextError(tr.build(trace([[-1, 0, 1]])), 0, 1), -1);
});

test('search looks at names, services and ids, without case', () => {
  const tree = tr.build(SHOP);
  assert.deepEqual([...tr.search(tree, 'oTHER')], [2]);
  assert.deepEqual([...tr.search(tree, 'id3')], [3]);
  assert.equal(tr.search(tree, 'svc').size, 4);
  assert.equal(tr.search(tree, ' ').size, 0);
});

test('ancestors, nearest first', () => {
  assert.deepEqual(tr.ancestors(tr.build(SHOP), 3), [1, 0]);
});

test('ticks are round and inside', () => {
  assert.deepEqual(tr.ticks(0, 100, 5), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(tr.ticks(5, 5, 5), []);
});

test('100,000 spans and a chain 50,000 deep are laid out in time', () => {
  const rand = random(1);
  const rows = /** @type {[number, number, number][]} */ ([[-1, 0, 1e9]]);
  for (let i = 1; i < 100_000; i += 1) rows.push([Math.floor(rand() * i), i, 1000]);
  const started = performance.now();
  const tree = tr.build(trace(rows));
  const took = performance.now() - started;
  assert.equal(tree.order.length, 100_000);
  assert.ok(took < 1500, `${took} ms`);
  const chain = /** @type {[number, number, number][]} */ (Array.from({ length: 50_000 }, (_, i) => [i - 1, i, 100_000 - 2 * i]));
  assert.equal(tr.build(trace(chain)).depth[49_999], 49_999);
});
