// One function per endpoint, and the one way to ask.

import { signal } from '@preact/signals';
import { positionIn } from './lib/lex.js';
import { fill, unfilled } from './lib/metric.js';
import { now, root } from './url.js';

/** An answer that says no. */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {number} status HTTP status
   * @param {{ start?: number, end?: number, line?: number, column?: number }} at the part of the query it speaks of
   */
  constructor(message, status, at) {
    super(message);
    this.status = status;
    this.at = at;
  }
}

/** When the server stopped answering, and when it is asked again; null while it answers. */
export const lost = signal(/** @type {{ since: number, retryAt: number } | null} */ (null));

/**
 * @template T
 * @param {string} path below the server's root
 * @param {Record<string, string | number | undefined>} query
 * @param {AbortSignal} [abort]
 * @returns {Promise<T>}
 */
async function get(path, query, abort) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const text = new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString();
  let response;
  try {
    response = await fetch(`${root}${path}${text ? `?${text}` : ''}`, { signal: abort, headers: { accept: 'application/json' } });
  } catch (error) {
    if (abort?.aborted) throw error;
    retryLater(1);
    throw new ApiError('the server does not answer', 0, {});
  }
  lost.value = null;
  const body = await response.text();
  if (!response.ok) throw problem(response.status, body);
  try {
    return JSON.parse(body);
  } catch {
    throw new ApiError(`the answer of ${path} is not JSON: ${body.slice(0, 80)}`, response.status, {});
  }
}

/** @param {number} status @param {string} body */
function problem(status, body) {
  let message = body.trim();
  let at = /** @type {{ start?: number, end?: number }} */ ({});
  try {
    const json = JSON.parse(body);
    message = json.error?.message ?? json.error ?? json.message ?? json.errors?.[0]?.msg ?? message;
    if (typeof json.start === 'number') at = { start: json.start, end: json.end };
  } catch { /* plain text */ }
  if (!message) message = status === 404 ? 'not found' : `HTTP status ${status}`;
  return new ApiError(String(message), status, at.start === undefined ? positionIn(String(message)) : at);
}

let timer = 0;
/** Asks whether the server is back, after 1, 2, 4, 8, then every 15 seconds. @param {number} seconds */
function retryLater(seconds) {
  if (lost.value && timer) return;
  lost.value = { since: lost.value?.since ?? Date.now(), retryAt: Date.now() + seconds * 1000 };
  timer = setTimeout(() => { void retry(Math.min(seconds * 2, 15)); }, seconds * 1000);
}

/** @param {number} [next] seconds until the try after this one */
export async function retry(next = 1) {
  clearTimeout(timer);
  timer = 0;
  try {
    await fetch(`${root}-/ready`);
    lost.value = null;
    now.value = Date.now();
  } catch {
    retryLater(next);
  }
}

/** @typedef {{ from: number, to: number }} Range */
/** @typedef {AbortSignal | undefined} Abort */

/** @param {Range} r @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').Overview>} */
export const overview = (r, abort) => get('ui/api/overview', { ...r }, abort);
/** @param {string} name @param {Range} r @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').ServiceDetail>} */
export const service = (name, r, abort) => get('ui/api/service', { name, ...r }, abort);
/** @param {Range} r @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').ServiceMap>} */
export const map = (r, abort) => get('ui/api/map', { ...r }, abort);
/** @param {Abort} [abort] @returns {Promise<{ services: { name: string, color: number }[] }>} */
export const services = (abort) => get('ui/api/services', {}, abort);
/** @param {string} q @param {Range} r @param {number} limit @param {'new' | ''} first which ones when there are more @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').TraceSearch>} */
export const traces = (q, r, limit, first, abort) => get('ui/api/traces', { q, limit, first, ...r }, abort);
/** @param {string} id @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').TraceSkeleton>} */
export const trace = (id, abort) => get(`ui/api/trace/${id}`, {}, abort);
/** @param {string} id @param {string} span @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').SpanDetail>} */
export const span = (id, span, abort) => get(`ui/api/trace/${id}/span/${span}`, {}, abort);
/** @param {string} id @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').TraceLogs>} */
export const traceLogs = (id, abort) => get(`ui/api/trace/${id}/logs`, {}, abort);
/** @param {string} q @param {Range} r @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').LogVolume>} */
export const logVolume = (q, r, abort) => get('ui/api/logs/volume', { q, ...r }, abort);
/** @param {Range} r @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').Metrics>} */
export const metrics = (r, abort) => get('ui/api/metrics', { ...r }, abort);
/** @param {string[]} names @param {Range} r @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').Exemplars>} */
export const exemplars = (names, r, abort) => get('ui/api/exemplars', { names: names.join(','), ...r }, abort);
/** @param {Abort} [abort] @returns {Promise<import('./types/api.d.ts').Status>} */
export const status = (abort) => get('ui/api/status', {}, abort);

/** @typedef {{ stream: Record<string, string>, values: [string, string, Record<string, any>?][] }} LokiStream */

/**
 * Log lines, newest first.
 * @param {string} query @param {{ from: string, to: string }} ns bounds in Unix nanoseconds
 * @param {number} limit @param {'backward' | 'forward'} direction @param {Abort} [abort]
 * @returns {Promise<{ resultType: string, result: any[] }>}
 */
export async function logs(query, ns, limit, direction, abort) {
  const answer = /** @type {any} */ (await get('loki/api/v1/query_range', { query, start: ns.from, end: ns.to, limit, direction }, abort));
  return answer.data;
}

/** @typedef {{ metric: Record<string, string>, values: [number, string][] }} Matrix */

/**
 * @param {string} query @param {Range} r @param {number} step seconds @param {Abort} [abort]
 * @returns {Promise<{ resultType: string, result: any, warnings: string[] }>}
 */
export async function queryRange(query, r, step, abort) {
  const params = { query: fill(query, step), start: r.from / 1000, end: r.to / 1000, step };
  const answer = /** @type {any} */ (await get('api/v1/query_range', params, abort).catch((error) => {
    if (error instanceof ApiError && error.at.line === 1) error.at.column = unfilled(query, step, error.at.column ?? 1);
    throw error;
  }));
  return { ...answer.data, warnings: answer.warnings ?? [] };
}
