// A Prometheus matrix as lines, and as the table that is always one click away.

import { useMemo, useState } from 'preact/hooks';
import { LineChart } from '../chart/line.js';
import { h, html } from '../lib/html.js';
import { legend } from '../lib/metric.js';

/** Series in the table at most. */
const ROWS_MAX = 500;

/** @typedef {{ metric: Record<string, string>, values?: [number, string][], histograms?: any[] }} Series */

/**
 * Series on one common time axis; a time a series has no value at is a gap.
 * @param {Series[]} result
 */
export function align(result) {
  const all = new Set(/** @type {number[]} */ ([]));
  for (const { values = [] } of result) for (const [t] of values) all.add(t);
  const times = [...all].sort((a, b) => a - b);
  const index = new Map(times.map((t, i) => [t, i]));
  const labels = result.map(({ metric }) => metric);
  const lines = result.map(({ metric, values = [] }, at) => {
    const column = /** @type {(number | null)[]} */ (new Array(times.length).fill(null));
    for (const [t, v] of values) {
      const value = Number(v.replace('Inf', 'Infinity'));
      column[/** @type {number} */ (index.get(t))] = Number.isFinite(value) ? value : null;
    }
    const error = /^(error|failure|failed|fatal)$/i.test(metric.level ?? metric.detected_level ?? metric.status ?? metric.outcome ?? '');
    return { name: legend(metric, labels), values: column, error: error && result.length > 1, color: at };
  });
  return { times: times.map((t) => t * 1000), lines };
}

/**
 * @param {{ result: Series[], format: (v: number | null | undefined) => string, range: { from: number, to: number }, caption: string,
 *   dots?: import('../chart/line.js').Dot[], height?: number }} props
 */
export function Matrix({ result, format, range, caption, dots, height = 300 }) {
  const [table, setTable] = useState(false);
  const { times, lines } = useMemo(() => align(result), [result]);
  return html`<div>
    <div class="row" style="margin-bottom:4px"><span class="dim">${result.length} series</span><span class="grow"></span>
      <button class="small" aria-pressed=${table} onClick=${() => setTable(!table)}>${table ? 'Chart' : 'Table'}</button></div>
    ${table ? h(Table, { result, format }) : h(LineChart, { times, lines, format, caption, height, dots, range })}
  </div>`;
}

/** @param {{ result: Series[], format: (v: number | null | undefined) => string }} props */
function Table({ result, format }) {
  const names = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return html`<div class="scroll"><table><thead><tr>${names.map((name) => html`<th>${name}</th>`)}<th class="num">Last</th><th class="num">Least</th><th class="num">Most</th><th class="num">Mean</th></tr></thead>
    <tbody>${result.slice(0, ROWS_MAX).map(({ metric, values = [] }) => {
      const numbers = values.map(([, v]) => Number(v)).filter(Number.isFinite);
      const sum = numbers.reduce((a, b) => a + b, 0);
      return html`<tr>${names.map((name) => html`<td class="mono">${metric[name] ?? ''}</td>`)}<td class="num">${format(numbers.at(-1))}</td>
        <td class="num">${format(numbers.length ? numbers.reduce((a, b) => Math.min(a, b)) : null)}</td><td class="num">${format(numbers.length ? numbers.reduce((a, b) => Math.max(a, b)) : null)}</td>
        <td class="num">${format(numbers.length ? sum / numbers.length : null)}</td></tr>`;
    })}</tbody></table>${result.length > ROWS_MAX && html`<p class="dim">Showing ${ROWS_MAX} of ${result.length} series.</p>`}</div>`;
}
