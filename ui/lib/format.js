// Numbers, durations and times as people read them.

const UNITS = /** @type {[number, string][]} */ ([
  [86400e9, 'd'], [3600e9, 'h'], [60e9, 'm'], [1e9, 's'], [1e6, 'ms'], [1e3, 'µs'], [1, 'ns'],
]);

/**
 * A duration in nanoseconds with three significant digits: `1.23 ms`, `45.0 s`, `2 m 05 s`.
 * @param {number | null | undefined} ns
 * @returns {string}
 */
export function duration(ns) {
  if (ns == null || !Number.isFinite(ns)) return '–';
  if (ns < 0) return `−${duration(-ns)}`;
  if (ns === 0) return '0';
  if (ns >= 3600e9) {
    const minutes = Math.round(ns / 60e9);
    const hours = Math.floor(minutes / 60);
    if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
    return `${hours} h ${String(minutes % 60).padStart(2, '0')} m`;
  }
  if (ns >= 60e9) {
    const seconds = Math.round(ns / 1e9);
    if (seconds === 3600) return '1 h 00 m';
    return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`;
  }
  for (const [size, unit] of UNITS) {
    if (ns >= size) {
      const text = significant(ns / size);
      // 999.6 ms rounds to 1000: that is the next unit's 1.
      const next = UNITS[UNITS.findIndex((u) => u[0] === size) - 1];
      if (text === '1000' && next && next[0] <= 1e9) return `1.00 ${next[1]}`;
      return `${text} ${unit}`;
    }
  }
  return `${significant(ns)} ns`;
}

/**
 * Three significant digits without an exponent.
 * @param {number} value at least 0
 */
function significant(value) {
  if (value >= 100) return value.toFixed(0);
  if (value >= 10) return value.toFixed(1);
  return value.toFixed(2);
}

/**
 * A count or value: `1,234`, `12.3 k`, `4.56 M`, `0.0123`.
 * @param {number | null | undefined} value
 * @returns {string}
 */
export function number(value) {
  if (value == null) return '–';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '−Inf';
  if (value < 0) return `−${number(-value)}`;
  if (value >= 1e15) return value.toExponential(2);
  for (const [size, unit] of /** @type {[number, string][]} */ ([[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e4, 'k']])) {
    if (value >= size) return `${significant(value / (unit === 'k' ? 1e3 : size))} ${unit}`;
  }
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  if (value >= 1) return String(Number(value.toPrecision(4)));
  if (value === 0) return '0';
  return value < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

/**
 * Events per second: `0.25/s`, `12.0/s`, `3.40 k/s`.
 * @param {number} perSecond
 */
export function rate(perSecond) {
  if (!Number.isFinite(perSecond)) return '–';
  if (perSecond === 0) return '0/s';
  if (perSecond < 0.01) return '<0.01/s';
  return `${perSecond < 1e4 ? significant(perSecond) : number(perSecond)}/s`;
}

/**
 * A share: `0 %`, `0.42 %`, `12.3 %`, `100 %`.
 * @param {number} part
 * @param {number} whole
 */
export function percent(part, whole) {
  if (!whole) return '–';
  const share = (part / whole) * 100;
  if (share === 0) return '0 %';
  if (share < 0.01) return '<0.01 %';
  if (share >= 99.95) return part === whole ? '100 %' : '99.9 %';
  return `${share >= 10 ? share.toFixed(1) : share.toFixed(2)} %`;
}

/**
 * Bytes with binary units: `512 B`, `1.50 KiB`.
 * @param {number} value
 */
export function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let at = 0;
  let left = value;
  while (left >= 1024 && at < units.length - 1) {
    left /= 1024;
    at += 1;
  }
  return at === 0 ? `${left} B` : `${significant(left)} ${units[at]}`;
}

/**
 * How a value of a metric reads, by the metric's unit as the sender wrote it.
 * @param {number | null | undefined} value
 * @param {string} unit
 */
export function withUnit(value, unit) {
  if (value == null) return '–';
  switch (unit) {
    case 's': case 'seconds': return value === 0 ? '0' : duration(value * 1e9);
    case 'ms': case 'milliseconds': return value === 0 ? '0' : duration(value * 1e6);
    case 'us': case 'microseconds': return value === 0 ? '0' : duration(value * 1e3);
    case 'ns': case 'nanoseconds': return value === 0 ? '0' : duration(value);
    case 'By': case 'bytes': return value < 0 ? `−${bytes(-value)}` : bytes(Number(value.toPrecision(4)));
    case 'By/s': case 'bytes/s': return `${bytes(Number(value.toPrecision(4)))}/s`;
    case '/s': return rate(value);
    case '%': return `${number(value)} %`;
    case '': case '1': return number(value);
    default: return `${number(value)} ${unit.replace(/^\{(.*)\}$/, '$1')}`;
  }
}

/**
 * How a value changed: `+38 %`, `×3.1`, `−12 %`; empty if it hardly did or nothing was before.
 * @param {number} now
 * @param {number} before
 */
export function change(now, before) {
  if (!before || !now) return '';
  const ratio = now / before;
  if (ratio >= 2) return `×${ratio >= 10 ? ratio.toFixed(0) : ratio.toFixed(1)}`;
  const percents = Math.round((ratio - 1) * 100);
  if (Math.abs(percents) < 5) return '';
  return percents > 0 ? `+${percents} %` : `−${-percents} %`;
}

/**
 * How long ago: `now`, `12 s ago`, `5 m ago`, `3 d ago`.
 * @param {number} ms
 * @param {number} nowMs
 */
export function ago(ms, nowMs) {
  const seconds = Math.round((nowMs - ms) / 1000);
  if (seconds < -5) return `in ${duration(-seconds * 1e9)}`;
  if (seconds < 3) return 'now';
  if (seconds < 90) return `${seconds} s ago`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} m ago`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86400)} d ago`;
}

const two = (/** @type {number} */ n) => String(n).padStart(2, '0');

/** @param {Date} d @param {boolean} utc */
function fields(d, utc) {
  return utc
    ? [d.getUTCFullYear(), d.getUTCMonth() + 1, d.getUTCDate(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds()]
    : [d.getFullYear(), d.getMonth() + 1, d.getDate(), d.getHours(), d.getMinutes(), d.getSeconds()];
}

/**
 * `2026-11-21 00:12:05`.
 * @param {number} ms
 * @param {boolean} utc
 */
export function dateTime(ms, utc) {
  const d = new Date(ms);
  if (Number.isNaN(d.getTime())) return '–';
  const [y, mo, day, h, mi, s] = fields(d, utc);
  return `${y}-${two(mo)}-${two(day)} ${two(h)}:${two(mi)}:${two(s)}`;
}

/**
 * `00:12:05.123`.
 * @param {number} ms
 * @param {boolean} utc
 */
export function clock(ms, utc) {
  const d = new Date(ms);
  if (Number.isNaN(d.getTime())) return '–';
  const [, , , h, mi, s] = fields(d, utc);
  return `${two(h)}:${two(mi)}:${two(s)}.${String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, '0')}`;
}

/**
 * Milliseconds of Unix nanoseconds written as text, keeping three digits below.
 * @param {string} ns
 */
export function nsToMs(ns) {
  return ns.length > 6 ? Number(`${ns.slice(0, -6)}.${ns.slice(-6)}`) : Number(ns) / 1e6;
}
