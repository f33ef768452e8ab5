// The PromQL that shows a metric best, by its type.

import { quote } from './logs.js';

/** @typedef {import('../types/api.d.ts').MetricRow} MetricRow */

/**
 * Label matchers of a PromQL selector, or nothing.
 * @param {Record<string, string>} labels
 */
export function selector(labels) {
  const pairs = Object.entries(labels).filter(([, value]) => value !== '');
  return pairs.length ? `{${pairs.map(([name, value]) => `${name}=${quote(value)}`).join(', ')}}` : '';
}

/**
 * A metric's name as PromQL takes it, matchers included.
 * @param {string} name
 * @param {Record<string, string>} labels
 */
export function vector(name, labels) {
  if (/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) return name + selector(labels);
  const rest = selector(labels);
  return `{${quote(name)}${rest ? `, ${rest.slice(1)}` : '}'}`;
}

/**
 * The first question about a metric: counters as a rate, histograms as quantiles, the rest as
 * they are.
 * @param {Pick<MetricRow, 'name' | 'family' | 'kind'>} metric
 * @param {string} service narrows to one service if given
 */
export function defaultQuery(metric, service) {
  const labels = /** @type {Record<string, string>} */ (service ? { service_name: service } : {});
  const { name, family, kind } = metric;
  const range = '[$__rate_interval]';
  if (kind === 'histogram') {
    if (name.endsWith('_bucket')) {
      return `histogram_quantile(0.95, sum by (le) (rate(${vector(name, labels)}${range})))`;
    }
    if (name === family) return `histogram_quantile(0.95, sum(rate(${vector(name, labels)}${range})))`;
    return `sum by (service_name) (rate(${vector(name, labels)}${range}))`;
  }
  if (kind === 'counter' || (kind !== 'gauge' && /_(total|count|sum)$/.test(name))) {
    return `sum by (service_name) (rate(${vector(name, labels)}${range}))`;
  }
  return vector(name, labels);
}

/**
 * Unit of what the query shows, as far as the metric tells.
 * @param {string} query
 * @param {MetricRow[]} metrics
 */
export function unitOf(query, metrics) {
  const names = metricNames(query);
  const metric = metrics.find((m) => names.includes(m.name));
  if (!metric) return '';
  if (/\bhistogram_quantile\b/.test(query)) return metric.unit;
  if (/\bcount(_values|_over_time)?\s*(by|without|\()/.test(query)) return '';
  const perSecond = /\bi?rate\s*\(/.test(query);
  if (perSecond && /_(bucket|count)$/.test(metric.name)) return '/s';
  if (perSecond) return metric.unit === 'By' || metric.unit === 'bytes' ? 'By/s' : metric.unit && !metric.unit.startsWith('{') && metric.unit !== '1' ? `${metric.unit}/s` : '/s';
  return metric.unit;
}

/**
 * Names in a PromQL text that can be metrics.
 * @param {string} query
 * @returns {string[]}
 */
export function metricNames(query) {
  const bare = query.replace(/"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`/g, '""').replace(/\{[^}]*\}/g, '{}')
    .replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ').replace(/\[[^\]]*\]/g, '');
  const words = bare.match(/(?<![\w.:])[a-zA-Z_:][a-zA-Z0-9_:]*(?!\s*\()\b/g) ?? [];
  const not = new Set(['by', 'without', 'on', 'ignoring', 'and', 'or', 'unless', 'bool', 'offset', 'inf', 'nan', 'group_left', 'group_right', 'atan2']);
  return [...new Set(words.filter((word) => !not.has(word.toLowerCase()) && !new RegExp(`\\b${word}\\s*(\\(|by\\b)`).test(bare)))];
}

/**
 * Fills the placeholders that depend on the step: `$__rate_interval` spans at least four scrapes.
 * @param {string} query
 * @param {number} stepSeconds
 */
export function fill(query, stepSeconds) {
  return query
    .replaceAll('$__rate_interval', `${Math.max(60, stepSeconds * 4)}s`)
    .replaceAll('$__interval', `${stepSeconds}s`);
}

/**
 * The column of the text as typed that a column of the filled text stands for; both from 1.
 * @param {string} query @param {number} stepSeconds @param {number} column
 */
export function unfilled(query, stepSeconds, column) {
  let typed = 0;
  let filled = 0;
  for (const part of query.split(/(\$__(?:rate_)?interval)/)) {
    const { length } = fill(part, stepSeconds);
    // Inside a placeholder the place is its start.
    if (column - 1 < filled + length) return typed + 1 + (part.startsWith('$__') ? 0 : column - 1 - filled);
    typed += part.length;
    filled += length;
  }
  return typed + 1;
}

/**
 * A series' name in a legend: what tells it apart from the others.
 * @param {Record<string, string>} labels
 * @param {Record<string, string>[]} all
 */
export function legend(labels, all) {
  const { __name__: name = '', ...rest } = labels;
  const differs = Object.entries(rest).filter(([key, value]) => all.some((other) => other[key] !== value));
  const shown = differs.length || all.length > 1 ? differs : Object.entries(rest).slice(0, 3);
  const text = shown.map(([key, value]) => (shown.length === 1 ? value : `${key}=${value}`)).join(' ');
  const names = new Set(all.map((other) => other.__name__ ?? ''));
  return [names.size > 1 || !text ? name : '', text].filter(Boolean).join(' ') || 'value';
}
