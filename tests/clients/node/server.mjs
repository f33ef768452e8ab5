// Starting, asking and stopping the real binary.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

const START_MS = 30_000;

/** Starts a server on free ports with a data directory of its own. */
export async function start() {
  const binary = process.env.TREFOIL_BIN;
  if (!binary) throw new Error('TREFOIL_BIN does not name the binary');
  const data = mkdtempSync(join(tmpdir(), 'trefoil-node-'));
  const ports = ['http', 'otlp-grpc', 'otlp-http'].map((port) => `--${port}=127.0.0.1:0`);
  const child = spawn(binary, ['serve', `--data=${join(data, 'store')}`, ...ports], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const lines = [];
  await new Promise((ready, failed) => {
    const late = setTimeout(() => failed(new Error(`not ready: ${lines.join('\n')}`)), START_MS);
    createInterface({ input: child.stderr })
      .on('line', (line) => {
        lines.push(line);
        // The last line of the start banner that is always there.
        if (line.trim().startsWith('retention')) ready(clearTimeout(late));
      })
      .on('close', () => failed(new Error(`it ended: ${lines.join('\n')}`)));
  });
  const address = (pattern) => {
    const found = lines.map((line) => line.match(pattern)).find(Boolean);
    if (!found) throw new Error(`no ${pattern} in ${lines.join('\n')}`);
    return found[1];
  };
  return {
    http: address(/web app +(http:\/\/[\d.:]+)/),
    grpc: address(/OTLP\/gRPC +(http:\/\/[\d.:]+)/),
    otlp: address(/OTLP\/HTTP +(http:\/\/[\d.:]+)/),

    /** The answer to a query, which must be one. */
    async get(path, parameters = {}) {
      const url = `${this.http}${path}?${new URLSearchParams(parameters)}`;
      const answer = await fetch(url, { headers: { accept: 'application/json' } });
      const text = await answer.text();
      if (answer.status !== 200) throw new Error(`${url}: ${answer.status} ${text.slice(0, 500)}`);
      return JSON.parse(text);
    },

    /** The number of an instant query that has just one. */
    async value(query) {
      const { data } = await this.get('/api/v1/query', { query });
      if (data.result.length !== 1) throw new Error(`${query}: ${JSON.stringify(data.result)}`);
      return Number(data.result[0].value[1]);
    },

    async stop() {
      const ended = new Promise((resolve) => child.on('exit', resolve));
      child.kill('SIGTERM');
      const code = await ended;
      rmSync(data, { recursive: true, force: true });
      if (code !== 0) throw new Error(`exit code ${code}: ${lines.join('\n')}`);
    },
  };
}
