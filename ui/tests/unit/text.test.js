import assert from 'node:assert/strict';
import { test } from 'node:test';
import { keyName, chords, isTyping } from '../../lib/keys.js';
import { errorRange, lex, positionIn } from '../../lib/lex.js';
import * as logs from '../../lib/logs.js';
import * as metric from '../../lib/metric.js';
import { recognise } from '../../lib/paste.js';

test('a query cut into coloured pieces is the query again', () => {
  for (const text of ['rate(x{a="b\\"c",d=~`e`}[5m]) > 1.5 # é', '{app="x"} |= "a" | json | b > 5ms', '{ span.http.status_code >= 500 && status = error }', '', '"open']) {
    for (const language of /** @type {const} */ (['promql', 'logql', 'traceql'])) {
      assert.equal(lex(text, language).map((t) => t.text).join(''), text);
    }
  }
  assert.equal(lex('sum', 'promql')[0].kind, 'word');
  assert.equal(lex('"a"', 'promql')[0].kind, 'string');
});

test('errors are placed by byte, by line and column, or not at all', () => {
  assert.deepEqual(errorRange('é = x', { start: 5, end: 6 }), { from: 4, to: 5 });
  assert.deepEqual(errorRange('a\nbc', { line: 2, column: 2 }), { from: 3, to: 4 });
  assert.deepEqual(errorRange('ab', { start: 2, end: 2 }), { from: 2, to: 2 });
  assert.equal(errorRange('ab', {}), null);
  assert.deepEqual(positionIn('invalid parameter "query": 1:7: parse error: unexpected'), { line: 1, column: 7 });
  assert.deepEqual(positionIn('parse error at line 3, col 12: bad'), { line: 3, column: 12 });
  assert.deepEqual(positionIn('no place'), {});
});

test('levels of any sender', () => {
  for (const [text, want] of [['ERROR', 'error'], ['fatal', 'error'], ['17', 'error'], ['13', 'warn'], ['9', 'info'], ['Warning', 'warn'], ['INFO2', 'info'], ['dbg', 'debug'], ['1', 'trace'], ['unknown', ''], ['99', ''], [undefined, '']]) {
    assert.equal(logs.levelOf(/** @type {any} */ (text)), want, String(text));
  }
});

test('rows of streams, newest first, with ids only where they are ids', () => {
  const trace = 'a'.repeat(32);
  const list = logs.rows([
    { stream: { service_name: 'a', detected_level: 'warn', trace_id: trace, span_id: 'b'.repeat(16) }, values: [['999', 'x'], ['1795000000000000002', 'new']] },
    { stream: { job: 'j', trace_id: '0'.repeat(32), span_id: 'zz' }, values: [['1795000000000000001', 'old']] },
  ]);
  assert.deepEqual(list.map((r) => r.line), ['new', 'old', 'x']);
  assert.equal(list[0].trace_id, trace);
  assert.deepEqual([list[1].trace_id, list[1].span_id, list[1].service], ['', '', 'j']);
});

test('filters go into the selector for stream labels and behind it for others', () => {
  const stream = new Set(['app']);
  const add = (/** @type {string} */ q, /** @type {string} */ l, /** @type {any} */ op, /** @type {string} */ v) => logs.withFilter(q, l, op, v, stream);
  assert.equal(add('{job="x"} |= "}"', 'app', '=', 'a"b'), '{job="x", app="a\\"b"} |= "}"');
  assert.equal(add('{job="}"}', 'app', '!=', 'y'), '{job="}", app!="y"}');
  assert.equal(add('{}', 'app', '=', 'y'), '{app="y"}');
  assert.equal(add('{job="x"}', 'user', '!=', 'z'), '{job="x"} | user!="z"');
  assert.equal(add('', 'app', '=', 'y'), '{service_name=~".+", app="y"}');
});

test('the log box takes LogQL, a pipeline, or words', () => {
  assert.equal(logs.fromBox('{a="b"}'), '{a="b"}');
  assert.equal(logs.fromBox('|= "x"'), `${logs.ALL} |= "x"`);
  assert.equal(logs.fromBox('card "declined"'), `${logs.ALL} |= "card \\"declined\\""`);
  assert.equal(logs.fromBox('sum by (x) (rate({a="b"}[1m]))'), 'sum by (x) (rate({a="b"}[1m]))');
  assert.equal(logs.fromBox(' '), logs.ALL);
});

test('facets name what repeats and leave out identifiers', () => {
  const rows = Array.from({ length: 200 }, (_, i) => ({ time_ns: '1', line: '', level: /** @type {const} */ (''), service: 's', trace_id: '', span_id: '', labels: { service_name: 's', request_id: `r${i}`, zone: i % 2 ? 'a' : 'b' } }));
  assert.deepEqual(logs.facets(rows).map((f) => f.label), ['service_name', 'zone']);
  assert.deepEqual(logs.facets(rows)[1].values, [['b', 100], ['a', 100]]);
});

test('the first question about a metric fits its type', () => {
  const q = (/** @type {string} */ name, /** @type {string} */ family, /** @type {string} */ kind, service = '') => metric.defaultQuery({ name, family, kind }, service);
  assert.equal(q('x_total', 'x', 'counter'), 'sum by (service_name) (rate(x_total[$__rate_interval]))');
  assert.equal(q('d_bucket', 'd', 'histogram', 'a"b'), 'histogram_quantile(0.95, sum by (le) (rate(d_bucket{service_name="a\\"b"}[$__rate_interval])))');
  assert.equal(q('d', 'd', 'histogram'), 'histogram_quantile(0.95, sum(rate(d[$__rate_interval])))');
  assert.equal(q('mem', 'mem', 'gauge'), 'mem');
  assert.equal(q('a.b', 'a.b', 'gauge'), '{"a.b"}');
});

test('metric names in PromQL', () => {
  assert.deepEqual(metric.metricNames('sum by (le) (rate(a_bucket{x="y_z"}[5m])) / on (job) b:c offset 5m'), ['a_bucket', 'b:c']);
  assert.deepEqual(metric.metricNames('1 + 2'), []);
});

test('units follow the question', () => {
  const list = /** @type {any} */ ([{ name: 'd_bucket', unit: 's' }, { name: 'd_sum', unit: 's' }, { name: 'b_total', unit: 'By' }, { name: 'm', unit: 'By' }]);
  assert.equal(metric.unitOf('histogram_quantile(0.95, sum by (le) (rate(d_bucket[5m])))', list), 's');
  assert.equal(metric.unitOf('rate(b_total[5m])', list), 'By/s');
  assert.equal(metric.unitOf('m', list), 'By');
  assert.equal(metric.unitOf('nobody', list), '');
});

test('placeholders and legends', () => {
  const typed = 'rate(x[$__rate_interval]) +';
  assert.equal(metric.unfilled(typed, 5, metric.fill(typed, 5).length + 1), typed.length + 1);
  assert.equal(metric.unfilled(typed, 5, 6), 6);
  assert.equal(metric.unfilled('a b', 5, 3), 3);
  assert.equal(metric.fill('rate(x[$__rate_interval])', 5), 'rate(x[60s])');
  assert.equal(metric.fill('rate(x[$__interval])', 30), 'rate(x[30s])');
  const all = [{ __name__: 'x', a: '1', b: '2' }, { __name__: 'x', a: '1', b: '3' }];
  assert.equal(metric.legend(all[0], all), '2');
  assert.equal(metric.legend({}, [{}]), 'value');
});

test('pasted texts lead somewhere', () => {
  const id = '0af7651916cd43dd8448eb211c80319c';
  const first = (/** @type {string} */ text) => recognise(text)[0];
  assert.deepEqual(first(id).path, `trace/${id}`);
  assert.deepEqual(first(`00-${id}-b7ad6b7169203331-01`), { kind: 'trace', label: `Open trace ${id}`, path: `trace/${id}`, query: { span: 'b7ad6b7169203331' } });
  assert.equal(first(`http://jaeger:16686/trace/${id}?uiFind=x`).path, `trace/${id}`);
  assert.equal(first(`level=error trace_id=${id} msg="x"`).path, `trace/${id}`);
  assert.equal(first('a1b2c3d4e5f60718').path, 'trace/0000000000000000a1b2c3d4e5f60718');
  assert.equal(first('1795000000').kind, 'time');
  assert.equal(first('2026-11-21T14:00:00Z').kind, 'time');
  assert.equal(first('duration > 1s').kind, 'traces');
  assert.equal(first('{ status = error }').kind, 'traces');
  assert.equal(first('error=true').kind, 'traces');
  assert.equal(first('{app="x"} |= "y"').kind, 'logs');
  assert.equal(first('rate(http_requests_total[5m])').kind, 'metrics');
  assert.equal(first('panicked at src/main.rs').kind, 'logs');
  assert.deepEqual(recognise('  '), []);
});

test('keys and chords', () => {
  assert.equal(keyName({ key: 'k', metaKey: true }), 'mod+k');
  assert.equal(keyName({ key: 'K', ctrlKey: true, shiftKey: true }), 'mod+k');
  assert.equal(keyName({ key: '?', shiftKey: true }), '?');
  assert.equal(keyName({ key: 'Enter', shiftKey: true }), 'shift+Enter');
  assert.equal(keyName({ key: ' ' }), 'Space');
  const c = chords(new Set(['g']));
  assert.deepEqual([c.press('g', 0), c.press('l', 100), c.press('g', 200), c.press('l', 5000), c.press('x', 5001)], ['', 'g l', '', 'l', 'x']);
  assert.equal(isTyping(/** @type {any} */ ({ tagName: 'TEXTAREA' })), true);
  assert.equal(isTyping(/** @type {any} */ ({ tagName: 'INPUT', type: 'checkbox' })), false);
  assert.equal(isTyping(null), false);
});
