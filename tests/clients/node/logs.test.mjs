// Log records from the official SDK come back through Loki's API.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { ROOT_CONTEXT, TraceFlags, trace } from '@opentelemetry/api';
import { SeverityNumber } from '@opentelemetry/api-logs';
import { LoggerProvider, SimpleLogRecordProcessor } from '@opentelemetry/sdk-logs';

import { logs, resource } from './exporters.mjs';
import { start } from './server.mjs';

const SPAN = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: TraceFlags.SAMPLED };

for (const [name, exporter] of Object.entries(logs)) {
  describe(`log records by ${name}`, () => {
    let server;
    before(async () => {
      server = await start();
    });
    after(() => server?.stop());

    test('come back with time, severity, attributes and trace', async () => {
      const timestamp = Date.now() - 60_000;
      await send(exporter(server), (logger) => {
        logger.emit({
          timestamp,
          severityNumber: SeverityNumber.WARN,
          severityText: 'WARN',
          body: 'order 17 refused',
          attributes: { 'order.id': 17, vip: true, sum: 9.5, note: 'grüße' },
          context: trace.setSpanContext(ROOT_CONTEXT, SPAN),
        });
        logger.emit({ timestamp: timestamp + 1, body: { user: 'ann', items: [1, 2] } });
      });
      const found = await lines(server, '{service_name="checkout"}');
      assert.deepEqual(found.map(({ at }) => at), [timestamp, timestamp + 1].map((ms) => `${ms}000000`));
      const [first, second] = found;
      assert.equal(first.line, 'order 17 refused');
      assert.deepEqual(JSON.parse(second.line), { user: 'ann', items: [1, 2] });
      const expect = {
        service_name: 'checkout',
        service_namespace: 'shop',
        order_id: '17',
        vip: 'true',
        sum: '9.5',
        note: 'grüße',
        severity_text: 'WARN',
        severity_number: '13',
        trace_id: SPAN.traceId,
        span_id: SPAN.spanId,
      };
      for (const [label, value] of Object.entries(expect)) assert.equal(first.labels[label], value, label);
      assert.equal(second.labels.trace_id, undefined);
    });
  });
}

async function send(exporter, use) {
  const processors = [new SimpleLogRecordProcessor({ exporter })];
  const provider = new LoggerProvider({ resource, processors });
  use(provider.getLogger('shop.checkout', '0.7'));
  await provider.forceFlush();
  await provider.shutdown();
}

/** Each line with its time and labels, oldest first. */
async function lines(server, query) {
  const { data } = await server.get('/loki/api/v1/query_range', { query, limit: '1000' });
  const all = data.result.flatMap(({ stream, values }) =>
    values.map(([at, line]) => ({ at, line, labels: stream })));
  return all.sort((a, b) => (BigInt(a.at) < BigInt(b.at) ? -1 : 1));
}
