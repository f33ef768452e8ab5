// Loki's answers as rows, and LogQL texts made from clicks.

/** @typedef {import('../types/api.d.ts').LogRow} LogRow */

/** The query for every line: Loki refuses `{}`, so it names a label that all streams have. */
export const ALL = '{service_name=~".+"}';

/** Levels from worst to least, with the letter that stands for each. */
export const LEVELS = /** @type {const} */ ([
  ['error', 'E'], ['warn', 'W'], ['info', 'I'], ['debug', 'D'], ['trace', 'T'], ['', '·'],
]);

/** @param {string} level */
export const letter = (level) => LEVELS.find(([name]) => name === level)?.[1] ?? '·';

/**
 * One of our levels for whatever a sender wrote: a name in any case, or OTLP's number.
 * @param {string | undefined} text
 * @returns {LogRow['level']}
 */
export function levelOf(text) {
  const t = (text ?? '').trim().toLowerCase();
  if (/^\d+$/.test(t)) {
    const n = Number(t);
    if (n < 1 || n > 24) return '';
    return /** @type {const} */ (['trace', 'debug', 'info', 'warn', 'error', 'error'])[Math.floor((n - 1) / 4)];
  }
  if (/^(error|err|fatal|critical|crit|alert|emerg|emergency|panic|severe)\d?$/.test(t)) return 'error';
  if (/^(warn|warning)\d?$/.test(t)) return 'warn';
  if (/^(info|information|informational|notice)\d?$/.test(t)) return 'info';
  if (/^(debug|dbg)\d?$/.test(t)) return 'debug';
  return /^(trace|verbose|finest)\d?$/.test(t) ? 'trace' : '';
}

/** Labels that are columns of their own. */
const OWN = new Set(['trace_id', 'span_id', 'traceid', 'spanid', 'service_name']);

/**
 * Rows of Loki's `streams` result, newest first.
 * @param {{ stream: Record<string, string>, values: [string, string, Record<string, any>?][] }[]} streams
 * @returns {LogRow[]}
 */
export function rows(streams) {
  const out = /** @type {LogRow[]} */ ([]);
  for (const { stream, values } of streams) {
    for (const [time_ns, line, more] of values) {
      const labels = more ? { ...stream, ...more.structuredMetadata, ...more.parsed } : stream;
      out.push(row(time_ns, line, labels));
    }
  }
  return out.sort((a, b) => compareNs(b.time_ns, a.time_ns));
}

/** @param {string} time_ns @param {string} line @param {Record<string, string>} labels @returns {LogRow} */
function row(time_ns, line, labels) {
  return {
    time_ns,
    line,
    level: levelOf(labels.detected_level || labels.level || labels.severity_text || labels.severity_number),
    service: labels.service_name ?? labels.service ?? labels.job ?? labels.app ?? '',
    trace_id: hex(labels.trace_id ?? labels.traceid ?? labels.TraceID, 32),
    span_id: hex(labels.span_id ?? labels.spanid, 16),
    labels,
  };
}

/** @param {string | undefined} text @param {number} length */
const hex = (text, length) => (text && text.length === length && /^[0-9a-f]+$/i.test(text) && !/^0+$/.test(text) ? text.toLowerCase() : '');

/**
 * Compares Unix nanoseconds written as text.
 * @param {string} a @param {string} b
 */
export function compareNs(a, b) {
  return a.length - b.length || (a < b ? -1 : Number(a > b));
}

/**
 * How often each value of each label occurs in the rows, the most telling labels first.
 * @param {LogRow[]} list
 * @returns {{ label: string, values: [string, number][], more: number }[]}
 */
export function facets(list) {
  const counts = /** @type {Map<string, Map<string, number>>} */ (new Map());
  const add = (/** @type {string} */ label, /** @type {string} */ value) => {
    const values = counts.get(label) ?? new Map();
    counts.set(label, values.set(value, (values.get(value) ?? 0) + 1));
  };
  for (const r of list) {
    for (const [label, value] of Object.entries(r.labels)) if (!OWN.has(label) || label === 'service_name') add(label, value);
  }
  const first = ['service_name', 'detected_level', 'level', 'severity_text'];
  const rank = (/** @type {string} */ label) => {
    const at = first.indexOf(label);
    return at < 0 ? first.length : at;
  };
  return [...counts]
    // A label that is different on nearly every row is an identifier: nothing to choose from.
    .filter(([label, values]) => rank(label) < first.length || values.size <= 8 || values.size * 3 < [...values.values()].reduce((a, b) => a + b, 0))
    .sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b))
    .map(([label, values]) => {
      const sorted = [...values].sort((a, b) => b[1] - a[1]);
      return { label, values: sorted.slice(0, 8), more: Math.max(0, sorted.length - 8) };
    });
}

/**
 * Text as a LogQL (or TraceQL, PromQL) string.
 * @param {string} text
 */
export function quote(text) {
  return `"${text.replace(/\\/g, '\\\\').replace(/"/g, '\\"').replace(/\n/g, '\\n').replace(/\t/g, '\\t').replace(/\r/g, '\\r')}"`;
}

/**
 * Where the stream selector of a LogQL text ends, or −1.
 * @param {string} query
 */
export function selectorEnd(query) {
  let quoted = '';
  for (let i = query.indexOf('{'); i >= 0 && i < query.length; i += 1) {
    const c = query[i];
    if (quoted) {
      if (c === '\\' && quoted === '"') i += 1;
      else if (c === quoted) quoted = '';
    } else if (c === '"' || c === '`') quoted = c;
    else if (c === '}') return i;
  }
  return -1;
}

/**
 * The query narrowed by a label: stream labels go into the selector, all others into a
 * label filter at the end.
 * @param {string} query
 * @param {string} label
 * @param {'=' | '!='} op
 * @param {string} value
 * @param {ReadonlySet<string>} streamLabels
 */
export function withFilter(query, label, op, value, streamLabels) {
  const text = query.trim() || ALL;
  if (!streamLabels.has(label)) return `${text} | ${label}${op}${quote(value)}`;
  const end = selectorEnd(text);
  if (end < 0) return `{${label}${op}${quote(value)}}`;
  const inside = text.slice(text.indexOf('{') + 1, end).trim().replace(/,$/, '');
  const matchers = `${label}${op}${quote(value)}`;
  return `{${inside ? `${inside}, ` : ''}${matchers}}${text.slice(end + 1)}`;
}

/**
 * LogQL for what was typed: LogQL stays, anything else is searched for in the lines.
 * @param {string} text
 */
export function fromBox(text) {
  const t = text.trim();
  if (!t) return ALL;
  if (t.startsWith('{') || /^[a-z_]+\s*(\(|by\b|without\b)/.test(t)) return t;
  if (/^\|[=~>]|^!=|^!~|^\|\s*\w/.test(t)) return `${ALL} ${t}`;
  return `${ALL} |= ${quote(t)}`;
}

