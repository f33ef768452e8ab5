import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as f from '../../lib/format.js';

/** @template A, B @param {string} name @param {(...a: any[]) => B} fn @param {[any[], B][]} cases */
function table(name, fn, cases) {
  test(name, () => {
    for (const [args, want] of cases) assert.deepEqual(fn(...args), want, `${name}(${JSON.stringify(args)})`);
  });
}

table('durations have three digits and a unit', f.duration, [
  [[0], '0'], [[1], '1.00 ns'], [[999], '999 ns'], [[1000], '1.00 µs'], [[1234567], '1.23 ms'], [[45e9], '45.0 s'],
  [[999.6e6], '1.00 s'], [[999.6e3], '1.00 ms'], [[125e9], '2 m 05 s'], [[3599.9e9], '1 h 00 m'], [[3600e9], '1 h 00 m'], [[86400e9 * 3], '3 d 0 h'],
  [[-2e6], '−2.00 ms'], [[null], '–'], [[NaN], '–'],
]);
table('numbers are short', f.number, [
  [[0], '0'], [[7], '7'], [[1234], '1,234'], [[12345], '12.3 k'], [[4560000], '4.56 M'], [[0.0123], '0.0123'], [[1.23456], '1.235'],
  [[-5], '−5'], [[Infinity], '+Inf'], [[NaN], 'NaN'], [[null], '–'], [[1e-9], '1.00e-9'], [[1e18], '1.00e+18'],
]);
table('shares never round to what they are not', f.percent, [
  [[0, 100], '0 %'], [[1, 100], '1.00 %'], [[1, 100000], '<0.01 %'], [[99999, 100000], '99.9 %'], [[5, 5], '100 %'], [[1, 0], '–'], [[123, 1000], '12.3 %'],
]);
table('bytes are binary', f.bytes, [[[0], '0 B'], [[1023], '1023 B'], [[1536], '1.50 KiB'], [[2 ** 30], '1.00 GiB']]);
table('values by unit', f.withUnit, [
  [[0.25, 's'], '250 ms'], [[2048, 'By'], '2.00 KiB'], [[12, '{order}'], '12 order'], [[3, ''], '3'], [[0.5, '1'], '0.5'], [[20, '/s'], '20.0/s'],
]);
table('changes say how much and hide noise', f.change, [
  [[138, 100], '+38 %'], [[310, 100], '×3.1'], [[88, 100], '−12 %'], [[102, 100], ''], [[5, 0], ''], [[2000, 100], '×20'],
]);
table('rates', f.rate, [[[0], '0/s'], [[0.25], '0.25/s'], [[0.001], '<0.01/s'], [[12], '12.0/s'], [[NaN], '–']]);
table('ago', f.ago, [[[1000, 1000], 'now'], [[0, 12000], '12 s ago'], [[0, 300e3], '5 m ago'], [[0, 86400e3 * 3], '3 d ago'], [[60e3, 0], 'in 1 m 00 s']]);
table('times in UTC', f.dateTime, [[[1795000000000, true], '2026-11-18 11:06:40']]);
table('clock keeps milliseconds', f.clock, [[[1795000000123, true], '11:06:40.123']]);
table('nanoseconds as text keep their place', f.nsToMs, [[['1795000000123456789'], 1795000000123.4568], [['5000000'], 5]]);
