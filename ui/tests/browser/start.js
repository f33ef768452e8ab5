// A server with data and a browser for the tests. TREFOIL_URL names a running server; else
// TREFOIL_BIN is started on a free port with a directory of its own.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { modules } from '../modules.js';

const require = createRequire(join(modules, 'x.js'));
const { chromium } = require('playwright-core');
export const axeSource = require('axe-core').source;

/** How long the server may take to come up, in milliseconds. */
const READY_MS = 15_000;

/** @returns {Promise<{ base: string, stop: () => Promise<void> }>} */
export async function server() {
  const named = process.env.TREFOIL_URL;
  if (named) return { base: named.replace(/\/(ui\/)?$/, ''), stop: async () => {} };
  const binary = process.env.TREFOIL_BIN;
  if (!binary) throw new Error('set TREFOIL_URL to a running server or TREFOIL_BIN to the binary');
  const dir = mkdtempSync(join(tmpdir(), 'trefoil-ui-'));
  const child = spawn(binary, ['serve', '--data', dir, '--http', '127.0.0.1:0', '--otlp-grpc', 'off', '--otlp-http', 'off'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  const base = await new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`the server did not come up:\n${said}`)), READY_MS);
    const read = (/** @type {Buffer} */ data) => {
      said += data;
      const found = /(http:\/\/[\d.:]+)\/ui\//.exec(said);
      if (found) {
        clearTimeout(timer);
        resolve(found[1]);
      }
    };
    child.stdout.on('data', read);
    child.stderr.on('data', read);
    child.on('exit', (code) => reject(new Error(`the server ended with ${code}:\n${said}`)));
  });
  const stop = async () => {
    child.kill('SIGTERM');
    await new Promise((resolve) => { child.on('exit', resolve); });
    rmSync(dir, { recursive: true, force: true });
  };
  return { base: /** @type {string} */ (base), stop };
}

/** @returns {Promise<import('playwright-core').Browser>} */
export function browser() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/**
 * A page whose errors are collected.
 * @param {import('playwright-core').Browser} b @param {'light' | 'dark'} [theme]
 */
export async function open(b, theme = 'light') {
  const context = await b.newContext({ viewport: { width: 1440, height: 860 }, colorScheme: theme, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const problems = /** @type {string[]} */ ([]);
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(`${page.url()}: ${message.text()}`); });
  page.on('pageerror', (error) => problems.push(`${page.url()}: ${error.message}`));
  page.setDefaultTimeout(10_000);
  return { page, problems, close: () => context.close() };
}
