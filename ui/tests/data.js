// Makes telemetry of a small shop and posts it as OTLP/JSON: four services, errors, slow spots,
// logs with trace ids, metrics with exemplars. Deterministic but for the time it is placed at.
//
// node tests/data.js http://127.0.0.1:4316 [traces]

/** A small generator of numbers in [0, 1): the same for the same seed. @param {number} seed */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const attr = (/** @type {string} */ key, /** @type {string | number | boolean} */ value) => ({
  key,
  value: typeof value === 'string' ? { stringValue: value } : typeof value === 'boolean' ? { boolValue: value }
    : Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value },
});
const attrs = (/** @type {Record<string, string | number | boolean>} */ o) => Object.entries(o).map(([k, v]) => attr(k, v));
const ns = (/** @type {number} */ ms) => `${Math.floor(ms)}${String(Math.round((ms % 1) * 1e6)).padStart(6, '0')}`;

const SERVICES = ['gateway', 'checkout', 'payment', 'inventory'];
const resource = (/** @type {string} */ name) => ({ attributes: attrs({ 'service.name': name, 'service.version': '1.4.2', 'service.instance.id': `${name}-1`, 'deployment.environment.name': 'test' }) });

/**
 * @param {{ traces: number, endMs: number, spanMs: number, seed?: number }} options
 * @returns {{ traces: any, logs: any, metrics: any, ids: { error: string, ok: string, errorSpan: string } }}
 */
export function make({ traces, endMs, spanMs, seed = 7 }) {
  const rand = random(seed);
  const hex = (/** @type {number} */ n) => Array.from({ length: n }, () => Math.floor(rand() * 256).toString(16).padStart(2, '0')).join('');
  const spans = /** @type {Record<string, any[]>} */ (Object.fromEntries(SERVICES.map((s) => [s, []])));
  const records = /** @type {Record<string, any[]>} */ (Object.fromEntries(SERVICES.map((s) => [s, []])));
  const ids = { error: '', ok: '', errorSpan: '' };
  const exemplars = [];
  for (let n = 0; n < traces; n += 1) {
    const at = endMs - spanMs + (spanMs * (n + rand())) / traces;
    const traceId = hex(16);
    const late = n > traces * 0.6;
    const failed = rand() < (late ? 0.18 : 0.03);
    const slow = rand() < 0.06 ? 1200 : 0;
    const add = (/** @type {string} */ service, /** @type {string} */ parent, /** @type {string} */ name, /** @type {number} */ kind, /** @type {number} */ from, /** @type {number} */ took, /** @type {any} */ more = {}) => {
      const spanId = hex(8);
      spans[service].push({ traceId, spanId, parentSpanId: parent, name, kind, startTimeUnixNano: ns(from), endTimeUnixNano: ns(from + took), status: {}, ...more });
      return spanId;
    };
    const log = (/** @type {string} */ service, /** @type {string} */ spanId, /** @type {number} */ time, /** @type {number} */ severityNumber, /** @type {string} */ severityText, /** @type {string} */ text, /** @type {any} */ extra = {}) => {
      records[service].push({ timeUnixNano: ns(time), observedTimeUnixNano: ns(time), severityNumber, severityText, body: { stringValue: text }, traceId, spanId, attributes: attrs(extra) });
    };
    const pay = 20 + rand() * 40 + slow;
    const total = 60 + rand() * 60 + pay;
    const broken = failed ? { status: { code: 2, message: 'card declined by provider' } } : {};
    const root = add('gateway', '', 'POST /checkout', 2, at, total, { attributes: attrs({ 'http.request.method': 'POST', 'http.route': '/checkout', 'http.response.status_code': failed ? 502 : 200 }), ...(failed ? { status: { code: 2 } } : {}) });
    const call = add('gateway', root, 'checkout.Place', 3, at + 3, total - 8, { attributes: attrs({ 'rpc.system': 'grpc', 'server.address': 'checkout' }), ...(failed ? { status: { code: 2 } } : {}) });
    const place = add('checkout', call, 'checkout.Place', 2, at + 5, total - 12, { attributes: attrs({ 'rpc.method': 'Place', 'tenant.id': `t-${n % 5}`, 'cart.items': n % 7 }), ...(failed ? { status: { code: 2, message: 'payment failed' } } : {}) });
    const stock = add('checkout', place, 'inventory.Reserve', 3, at + 8, 18);
    const reserve = add('inventory', stock, 'inventory.Reserve', 2, at + 9, 15);
    for (let row = 0; row < 3; row += 1) add('inventory', reserve, 'SELECT stock', 3, at + 10 + row * 4, 3, { attributes: attrs({ 'db.system.name': 'postgresql', 'db.namespace': 'stock', 'db.query.text': 'SELECT count FROM stock WHERE sku = $1' }) });
    const charge = add('checkout', place, 'payment.Charge', 3, at + 30, pay + 4, broken);
    const server = add('payment', charge, 'payment.Charge', 2, at + 32, pay, {
      ...broken,
      attributes: attrs({ 'payment.provider': rand() < 0.5 ? 'acme' : 'globex', 'payment.amount': Math.round(rand() * 10000) / 100 }),
      events: failed ? [{ timeUnixNano: ns(at + 32 + pay - 1), name: 'exception', attributes: attrs({ 'exception.type': 'CardDeclined', 'exception.message': 'card declined by provider', 'exception.stacktrace': 'CardDeclined: card declined by provider\n  at charge (payment.rs:42)\n  at serve (main.rs:17)' }) }] : [],
    });
    log('gateway', root, at + 1, 9, 'INFO', `POST /checkout accepted for tenant t-${n % 5}`, { 'http.route': '/checkout' });
    if (n % 4 === 0) log('inventory', reserve, at + 12, 5, 'DEBUG', `reserved ${n % 7} items`, { sku: `sku-${n % 11}` });
    if (slow) log('payment', server, at + 33, 13, 'WARN', `provider answers slowly: ${Math.round(pay)} ms`, { provider: 'acme' });
    if (failed) {
      log('payment', server, at + 32 + pay - 0.5, 17, 'ERROR', `charge failed: card declined by provider (order ${1000 + n})`, { order: 1000 + n });
      ids.error = traceId;
      ids.errorSpan = server;
    } else ids.ok = traceId;
    exemplars.push({ timeUnixNano: ns(at + total), asDouble: total / 1000, traceId, spanId: root });
  }
  return { traces: { resourceSpans: SERVICES.map((s) => ({ resource: resource(s), scopeSpans: [{ scope: { name: 'shop', version: '1' }, spans: spans[s] }] })) },
    logs: { resourceLogs: SERVICES.map((s) => ({ resource: resource(s), scopeLogs: [{ scope: { name: 'shop' }, logRecords: records[s] }] })) },
    metrics: metrics(endMs, spanMs, exemplars, rand), ids };
}

/** @param {number} endMs @param {number} spanMs @param {any[]} exemplars @param {() => number} rand */
function metrics(endMs, spanMs, exemplars, rand) {
  const bounds = [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];
  const start = ns(endMs - spanMs);
  const points = /** @type {number[]} */ ([]);
  for (let t = endMs - spanMs; t <= endMs; t += 15000) points.push(t);
  const one = (/** @type {string} */ service, /** @type {number} */ at) => {
    const step = 8 + at * 5;
    const histogram = points.map((t, i) => {
      const counts = bounds.map((_, b) => i * (b === 2 ? step : b === 3 ? Math.ceil(step / 2) : 1));
      counts.push(i);
      const count = counts.reduce((a, b) => a + b, 0);
      return { startTimeUnixNano: start, timeUnixNano: ns(t), count: String(count), sum: count * 0.13, bucketCounts: counts.map(String), explicitBounds: bounds, attributes: attrs({ 'http.request.method': 'POST', 'http.route': '/checkout' }),
        exemplars: service === 'gateway' ? exemplars.filter((e) => Math.abs(Number(e.timeUnixNano.slice(0, -6)) - t) < 7500).slice(0, 2) : [] };
    });
    return [
      { name: 'http.server.request.duration', unit: 's', description: 'Duration of HTTP server requests.', histogram: { aggregationTemporality: 2, dataPoints: histogram } },
      { name: 'orders.placed', unit: '{order}', description: 'Orders placed.', sum: { aggregationTemporality: 2, isMonotonic: true, dataPoints: points.map((t, i) => ({ startTimeUnixNano: start, timeUnixNano: ns(t), asInt: String(i * (3 + at)) })) } },
      { name: 'process.memory.usage', unit: 'By', description: 'Resident memory.', gauge: { dataPoints: points.map((t, i) => ({ timeUnixNano: ns(t), asDouble: (80 + at * 20 + 12 * Math.sin(i / 9) + rand() * 4) * 2 ** 20 })) } },
    ];
  };
  return { resourceMetrics: SERVICES.map((s, i) => ({ resource: resource(s), scopeMetrics: [{ scope: { name: 'shop' }, metrics: one(s, i) }] })) };
}

/**
 * One trace with many spans.
 * @param {number} n @param {number} endMs
 */
export function big(n, endMs) {
  const rand = random(99);
  const hex = (/** @type {number} */ k) => Array.from({ length: k }, () => Math.floor(rand() * 256).toString(16).padStart(2, '0')).join('');
  const traceId = hex(16);
  const start = endMs - 60000;
  const root = hex(8);
  const spans = [{ traceId, spanId: root, parentSpanId: '', name: 'batch', kind: 2, startTimeUnixNano: ns(start), endTimeUnixNano: ns(start + 30000), status: {} }];
  let parents = [root];
  for (let i = 1; i < n; i += 1) {
    const spanId = hex(8);
    const at = start + (30000 * i) / n;
    spans.push({ traceId, spanId, parentSpanId: parents[Math.floor(rand() * parents.length)], name: `step ${i % 37}`, kind: 1, startTimeUnixNano: ns(at), endTimeUnixNano: ns(Math.min(start + 30000, at + 5 + rand() * 200)), status: i % 997 === 0 ? { code: 2, message: 'planned' } : {} });
    if (i % 20 === 0) parents = [...parents.slice(-12), spanId];
  }
  return { id: traceId, traces: { resourceSpans: [{ resource: resource('batcher'), scopeSpans: [{ scope: { name: 'batch' }, spans }] }] } };
}

/** @param {string} base @param {string} signal @param {any} body */
export async function post(base, signal, body) {
  const response = await fetch(`${base}/v1/${signal}`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok || JSON.parse(text || '{}').partialSuccess?.errorMessage) throw new Error(`${signal}: ${response.status} ${text}`);
}

/** Makes and posts everything. @param {string} base @param {number} traces @param {number} [seed] */
export async function fill(base, traces, seed) {
  const made = make({ traces, endMs: Date.now(), spanMs: 40 * 60000, seed });
  await post(base, 'traces', made.traces);
  await post(base, 'logs', made.logs);
  await post(base, 'metrics', made.metrics);
  return made.ids;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const base = process.argv[2] ?? 'http://127.0.0.1:4316';
  console.log(await fill(base, Number(process.argv[3] ?? 300)));
}
