// Every kind of metric from the official SDK, read through Prometheus's API.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import {
  AggregationTemporality,
  AggregationType,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';

import { metrics, resource } from './exporters.mjs';
import { start } from './server.mjs';

for (const [name, exporter] of Object.entries(metrics)) {
  describe(`metrics by ${name}`, () => {
    let server;
    before(async () => {
      server = await start();
    });
    after(() => server?.stop());

    test('counters, gauges and histograms keep their numbers', async () => {
      await record(exporter(server), (meter) => {
        const orders = meter.createCounter('orders', { description: 'Orders.' });
        orders.add(3, { kind: 'new' });
        orders.add(4.5, { kind: 'new' });
        meter.createUpDownCounter('queue.length').add(-2);
        meter.createGauge('oven', { unit: 'Cel' }).record(212.5);
        meter.createObservableCounter('io', { unit: 'By' }).addCallback((io) => io.observe(2 ** 40));
        const advice = { explicitBucketBoundaries: [0.1, 1] };
        const latency = meter.createHistogram('latency', { unit: 's', advice });
        for (const seconds of [0.05, 0.5, 5]) latency.record(seconds, { route: '/x' });
      });
      assert.equal(await server.value('orders_total{kind="new",job="shop/checkout"}'), 7.5);
      assert.equal(await server.value('queue_length'), -2);
      assert.equal(await server.value('oven_celsius'), 212.5);
      assert.equal(await server.value('io_bytes_total'), 2 ** 40);
      assert.equal(await server.value('latency_seconds_count{route="/x"}'), 3);
      assert.equal(await server.value('latency_seconds_bucket{le="+Inf"}'), 3);
      assert.equal(await server.value('latency_seconds_bucket{le="0.1"}'), 1);
      assert.equal(await server.value('latency_seconds_sum'), 5.55);
      assert.equal(await server.value('target_info'), 1);
    });

    test('exponential histograms become native histograms', async () => {
      const aggregation = { type: AggregationType.EXPONENTIAL_HISTOGRAM };
      await record(exporter(server), (meter) => {
        const size = meter.createHistogram('size');
        for (const value of [0, 1, 2, 100]) size.record(value);
      }, [{ instrumentName: 'size', aggregation }]);
      assert.equal(await server.value('histogram_count(size)'), 4);
      assert.equal(await server.value('histogram_sum(size)'), 103);
    });

    test('deltas are summed up', async () => {
      const temporalityPreference = AggregationTemporality.DELTA;
      await record(exporter(server, { temporalityPreference }), async (meter, flush) => {
        const orders = meter.createCounter('delta');
        for (const number of [5, 3]) {
          orders.add(number);
          await flush();
        }
        orders.add(4);
      });
      assert.equal(await server.value('delta_total'), 12);
    });
  });
}

/** Records with a meter and sends it all. */
async function record(exporter, use, views = []) {
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 });
  const provider = new MeterProvider({ resource, readers: [reader], views });
  await use(provider.getMeter('shop.checkout', '0.7'), () => provider.forceFlush());
  await provider.forceFlush();
  await provider.shutdown();
}
