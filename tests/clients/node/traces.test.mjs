// Spans from the official SDK come back through Tempo's and Jaeger's APIs as they were sent.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api';
import {
  InMemorySpanExporter,
  NodeTracerProvider,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-node';

import { resource, traces } from './exporters.mjs';
import { start } from './server.mjs';

const ATTRIBUTES = {
  text: 'grüße, 世界',
  empty: '',
  yes: true,
  no: false,
  int: -42,
  double: 0.1,
  texts: ['a', '', 'c'],
  ints: [1, -2, 3],
  bools: [true, false],
};

for (const [name, exporter] of Object.entries(traces)) {
  describe(`spans by ${name}`, () => {
    let server;
    let sent;
    before(async () => {
      server = await start();
      sent = await send(exporter(server));
    });
    after(() => server?.stop());

    test('come back from Tempo field by field', async () => {
      const answer = await server.get(`/tempo/api/traces/${sent[0].traceId}`);
      assert.deepEqual(byId(received(answer)), byId(sent));
    });

    test('come back from Jaeger', async () => {
      const { data } = await server.get(`/jaeger/api/traces/${sent[0].traceId}`);
      assert.equal(data.length, 1);
      const found = Object.fromEntries(data[0].spans.map((span) => [span.spanID, span]));
      for (const span of sent) {
        const jaeger = found[span.spanId];
        assert.equal(jaeger.operationName, span.name);
        assert.equal(jaeger.startTime, Number(span.start / 1000n));
        assert.equal(data[0].processes[jaeger.processID].serviceName, 'checkout');
        const tags = Object.fromEntries(jaeger.tags.map((tag) => [tag.key, tag.value]));
        for (const [key, [, value]] of Object.entries(span.attributes)) {
          if (!Array.isArray(value)) assert.deepEqual(tags[key], value, key);
        }
        assert.equal(jaeger.logs.length, span.events.length);
      }
      assert.equal(data[0].spans.length, sent.length);
    });

    test('are found by search', async () => {
      for (const q of ['{ span.text = "grüße, 世界" }', '{ status = error }', '{ kind = producer }']) {
        const { traces } = await server.get('/tempo/api/search', { q });
        assert.deepEqual(traces.map((found) => found.traceID.padStart(32, '0')), [sent[0].traceId], q);
      }
    });
  });
}

/** Sends a trace with everything in it; answers what the SDK gave to its exporter. */
async function send(exporter) {
  const memory = new InMemorySpanExporter();
  const spanProcessors = [new SimpleSpanProcessor(exporter), new SimpleSpanProcessor(memory)];
  const provider = new NodeTracerProvider({ resource, spanProcessors });
  const tracer = provider.getTracer('shop.checkout', '0.7');
  const other = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED };
  const links = [{ context: other, attributes: { why: 'retry', n: 1 } }];
  const root = tracer.startSpan('POST /orders', { kind: SpanKind.SERVER, attributes: ATTRIBUTES, links }, ROOT_CONTEXT);
  root.addEvent('accepted', { items: 3, sum: 9.5 });
  root.addEvent('no attributes');
  const inside = trace.setSpan(ROOT_CONTEXT, root);
  for (const [kind, number] of Object.entries(SpanKind).filter(([, n]) => typeof n === 'number')) {
    tracer.startSpan(`kind ${kind}`, { kind: number }, inside).end();
  }
  const failing = tracer.startSpan('fails', {}, inside);
  failing.recordException(new Error('no such order'));
  failing.setStatus({ code: SpanStatusCode.ERROR, message: 'no such order' });
  failing.end();
  root.setStatus({ code: SpanStatusCode.OK });
  root.end();
  await provider.forceFlush();
  // A shut-down memory exporter forgets.
  const spans = memory.getFinishedSpans().map(plain);
  await provider.shutdown();
  assert.equal(spans.length, 7);
  return spans;
}

function plain(span) {
  const { traceId, spanId } = span.spanContext();
  return {
    traceId,
    spanId,
    parent: span.parentSpanContext?.spanId ?? '',
    name: span.name,
    kind: span.kind + 1,
    start: nanoseconds(span.startTime),
    end: nanoseconds(span.endTime),
    status: [span.status.code, span.status.message ?? ''],
    attributes: typed(span.attributes),
    events: span.events.map((event) => [nanoseconds(event.time), event.name, typed(event.attributes)]),
    links: span.links.map((link) => [link.context.traceId, link.context.spanId, typed(link.attributes)]),
    resource: typed(span.resource.attributes),
    scope: [span.instrumentationScope.name, span.instrumentationScope.version ?? ''],
  };
}

const nanoseconds = ([seconds, rest]) => BigInt(seconds) * 1_000_000_000n + BigInt(rest);

/** Values with the type that OTLP gives them. */
function typed(attributes = {}) {
  const one = (value) => {
    if (Array.isArray(value)) return ['array', value.map(one)];
    if (typeof value === 'number') return [Number.isInteger(value) ? 'int' : 'double', value];
    return [typeof value === 'string' ? 'string' : 'bool', value];
  };
  return Object.fromEntries(Object.entries(attributes).map(([key, value]) => [key, one(value)]));
}

/** The same of what Tempo answered in JSON. */
function received(answer) {
  const spans = [];
  for (const batch of answer.batches ?? answer.resourceSpans) {
    for (const { scope = {}, spans: inScope } of batch.scopeSpans) {
      for (const span of inScope) {
        spans.push({
          traceId: id(span.traceId, 16),
          spanId: id(span.spanId, 8),
          parent: id(span.parentSpanId ?? '', 8),
          name: span.name,
          kind: number(span.kind, KINDS),
          start: BigInt(span.startTimeUnixNano),
          end: BigInt(span.endTimeUnixNano),
          status: [number(span.status?.code, CODES), span.status?.message ?? ''],
          attributes: values(span.attributes),
          events: (span.events ?? []).map((e) => [BigInt(e.timeUnixNano), e.name, values(e.attributes)]),
          links: (span.links ?? []).map((l) => [id(l.traceId, 16), id(l.spanId, 8), values(l.attributes)]),
          resource: values(batch.resource.attributes),
          scope: [scope.name ?? '', scope.version ?? ''],
        });
      }
    }
  }
  return spans;
}

const KINDS = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER'].map((k) => `SPAN_KIND_${k}`);
const CODES = ['UNSET', 'OK', 'ERROR'].map((code) => `STATUS_CODE_${code}`);

/** Tempo writes names of enums, OTLP/JSON their numbers. */
const number = (value = 0, names) => (typeof value === 'number' ? value : names.indexOf(value));

/** Tempo writes ids in base64, OTLP/JSON in hexadecimal. */
const id = (text, bytes) => (text.length === 2 * bytes ? text : Buffer.from(text, 'base64').toString('hex'));

function values(attributes = []) {
  const one = ({ stringValue, boolValue, intValue, doubleValue, arrayValue }) => {
    if (arrayValue) return ['array', (arrayValue.values ?? []).map(one)];
    if (intValue !== undefined) return ['int', Number(intValue)];
    if (doubleValue !== undefined) return ['double', doubleValue];
    if (boolValue !== undefined) return ['bool', boolValue];
    return ['string', stringValue];
  };
  return Object.fromEntries(attributes.map(({ key, value }) => [key, one(value)]));
}

const byId = (spans) => [...spans].sort((a, b) => (a.spanId < b.spanId ? -1 : 1));
