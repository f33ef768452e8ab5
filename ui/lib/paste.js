// What a pasted text is, and where it leads.

import { ALL, quote } from './logs.js';

/**
 * @typedef {{ kind: string, label: string, path: string, query: Record<string, string> }} Target
 */

/**
 * Recognises a trace id, a `traceparent`, a URL of Jaeger, Tempo or Grafana with a trace id in
 * it, a point in time, PromQL, LogQL, TraceQL; anything else is a text to look for in logs.
 * @param {string} input
 * @returns {Target[]} the likeliest first
 */
export function recognise(input) {
  const text = input.trim();
  if (!text) return [];
  const trace = traceId(text);
  if (trace) {
    const query = trace.span ? { span: trace.span } : {};
    return [
      { kind: 'trace', label: `Open trace ${trace.id}`, path: `trace/${trace.id}`, query: /** @type {Record<string, string>} */ (query) },
      { kind: 'logs', label: `Find ${trace.id} in logs`, path: 'logs', query: { q: `${ALL} |= ${quote(trace.id)}` } },
    ];
  }
  const out = /** @type {Target[]} */ ([]);
  const time = timeOf(text);
  if (time) {
    out.push({ kind: 'time', label: `Show the five minutes around ${new Date(time).toISOString()}`, path: '', query: { from: String(time - 300e3), to: String(time + 300e3) } });
  }
  if (looksLikeTraceQl(text)) out.push({ kind: 'traces', label: 'Search traces', path: 'traces', query: { q: text } });
  if (/^\{[^}]*\}\s*(\||!|$)/.test(text) && !looksLikeTraceQl(text)) out.push({ kind: 'logs', label: 'Search logs', path: 'logs', query: { q: text } });
  if (looksLikePromQl(text)) out.push({ kind: 'metrics', label: 'Chart this PromQL', path: 'metrics', query: { q: text } });
  if (!out.some((o) => o.kind === 'logs')) {
    const line = text.split('\n').find((l) => l.trim()) ?? text;
    out.push({ kind: 'logs', label: `Find “${line.slice(0, 60)}” in logs`, path: 'logs', query: { q: `${ALL} |= ${quote(line.trim().slice(0, 200))}` } });
  }
  return out;
}

/** @param {string} text */
function traceId(text) {
  const parent = /\b[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}\b/i.exec(text);
  if (parent) return { id: parent[1].toLowerCase(), span: parent[2].toLowerCase() };
  if (/^[0-9a-f]{32}$|^[0-9a-f]{16}$/i.test(text)) return { id: text.toLowerCase().padStart(32, '0'), span: '' };
  const inside = /(?:trace[s]?(?:[_-]?id)?["'=:/\s%A-F0-9]{1,8}|^|[^0-9a-f])([0-9a-f]{32})(?![0-9a-f])/i.exec(text);
  return inside ? { id: inside[1].toLowerCase(), span: '' } : null;
}

/** @param {string} text */
function timeOf(text) {
  if (/^\d{10}$/.test(text)) return Number(text) * 1000;
  if (/^\d{13}$/.test(text)) return Number(text);
  if (/^\d{19}$/.test(text)) return Math.floor(Number(text) / 1e6);
  if (!/^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}/.test(text) || text.length > 40) return 0;
  return Date.parse(text.replace(' ', 'T')) || 0;
}

/** @param {string} text */
function looksLikeTraceQl(text) {
  return /\b(status|duration|kind|name|rootName|traceDuration)\s*(=|!=|>|<)|(^|[{&|\s])(span|resource|tags)?\.\w|^error\s*=|^operation\s*=/.test(text)
    && !/\|=|\|~/.test(text);
}

/** @param {string} text */
function looksLikePromQl(text) {
  return /^[a-zA-Z_:][\w:]*\s*(\{[^}]*\})?(\[[^\]]+\])?$/.test(text) ? /[_:{]/.test(text) : /^\w+\s*(by|without)?\s*\(.*\)/s.test(text);
}
