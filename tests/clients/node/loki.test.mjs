// Loki transports of two logging libraries push, Loki's API answers back.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { pino } from 'pino';
import winston from 'winston';
import LokiTransport from 'winston-loki';

import { start } from './server.mjs';

describe('Loki transports', () => {
  let server;
  before(async () => {
    server = await start();
  });
  after(() => server?.stop());

  for (const json of [true, false]) {
    test(`winston-loki by ${json ? 'JSON' : 'protobuf in snappy'}`, async () => {
      const job = `winston-${json}`;
      const errors = [];
      const transport = new LokiTransport({
        host: server.http, labels: { job }, json, batching: false, replaceTimestamp: false,
        format: winston.format.json(), onConnectionError: (error) => errors.push(error),
      });
      const logger = winston.createLogger({ level: 'debug', transports: [transport] });
      logger.info({ message: 'order placed', labels: { tenant: 'a' } });
      logger.error('card refused: grüße');
      const found = await eventually(() => lines(server, `{job="${job}"}`), 2);
      assert.deepEqual(errors, []);
      assert.deepEqual(found.map(({ labels }) => labels.level).sort(), ['error', 'info']);
      const placed = found.find(({ line }) => line.includes('order placed'));
      assert.equal(placed.labels.tenant, 'a');
      assert.equal(placed.labels.detected_level, 'info');
      assert.ok(found.some(({ line }) => line.includes('card refused: grüße')));
    });
  }

  test('pino-loki', async () => {
    const transport = pino.transport({
      target: 'pino-loki',
      options: { host: server.http, labels: { app: 'pino' }, batching: false },
    });
    const logger = pino(transport);
    logger.warn({ user: 'ann' }, 'slow answer');
    logger.info('fast answer');
    const found = await eventually(() => lines(server, '{app="pino"} | json | user="ann"'), 1);
    assert.match(found[0].line, /slow answer/);
    const all = await lines(server, '{app="pino"}');
    assert.deepEqual(all.map(({ labels }) => labels.service_name), ['pino', 'pino']);
    transport.end();
  });
});

/** Each line with its time and labels. */
async function lines(server, query) {
  const { data } = await server.get('/loki/api/v1/query_range', { query, limit: '1000' });
  return data.result.flatMap(({ stream, values }) =>
    values.map(([at, line]) => ({ at, line, labels: stream })));
}

/** Asks until there are so many lines. */
async function eventually(ask, count) {
  const deadline = Date.now() + 20_000;
  for (;;) {
    const found = await ask();
    if (found.length >= count) return found;
    assert.ok(Date.now() < deadline, `only ${found.length} lines came`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
