// Points and ranges in time, as people type them and as the URL keeps them.

const UNIT_MS = /** @type {Record<string, number>} */ ({
  ms: 1, s: 1e3, m: 60e3, h: 3600e3, d: 86400e3, w: 7 * 86400e3, y: 365 * 86400e3,
});

/**
 * `90s`, `1h30m`, `2d` in milliseconds, or null.
 * @param {string} text
 * @returns {number | null}
 */
export function parseDuration(text) {
  const pattern = /(\d+(?:\.\d+)?)(ms|[smhdwy])/gy;
  let total = 0;
  let end = 0;
  for (let match = pattern.exec(text); match; match = pattern.exec(text)) {
    total += Number(match[1]) * UNIT_MS[match[2]];
    end = pattern.lastIndex;
  }
  return end === text.length && end > 0 ? total : null;
}

/**
 * A point in time: `now`, `now-1h`, `now-1d/d`, RFC 3339, `2026-11-21 14:00`, `14:00`, epoch
 * seconds or milliseconds. Null if it is none of these.
 * @param {string} text
 * @param {number} nowMs
 * @param {boolean} utc how a time without a zone is read
 * @returns {number | null}
 */
export function parsePoint(text, nowMs, utc) {
  const t = text.trim();
  const relative = /^now(?:([+-])([0-9.a-z]+))?(?:\/([dhm]))?$/.exec(t);
  if (relative) {
    let at = nowMs;
    if (relative[1]) {
      const span = parseDuration(relative[2]);
      if (span === null) return null;
      at += relative[1] === '-' ? -span : span;
    }
    return relative[3] ? floorTo(at, relative[3], utc) : at;
  }
  if (/^\d{9,10}$/.test(t)) return Number(t) * 1000;
  if (/^\d{12,13}$/.test(t)) return Number(t);
  if (/^\d{18,19}$/.test(t)) return Math.floor(Number(t) / 1e6);
  const short = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(t);
  if (short) {
    const day = floorTo(nowMs, 'd', utc);
    const ms = Number(short[1]) * 3600e3 + Number(short[2]) * 60e3 + Number(short[3] ?? 0) * 1e3;
    return Number(short[1]) < 24 && Number(short[2]) < 60 ? day + ms : null;
  }
  const long = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:?\d{2})?)?$/.exec(t);
  if (!long) return null;
  const clock = long[2] ?? '00:00';
  const parsed = Date.parse(`${long[1]}T${clock.length === 5 ? `${clock}:00` : clock}${long[3] ?? (utc ? 'Z' : '')}`);
  return Number.isNaN(parsed) ? null : parsed;
}

/** @param {number} ms @param {string} unit @param {boolean} utc */
function floorTo(ms, unit, utc) {
  if (unit === 'm') return Math.floor(ms / 60e3) * 60e3;
  const d = new Date(ms);
  if (utc) {
    return unit === 'h' ? d.setUTCMinutes(0, 0, 0) : d.setUTCHours(0, 0, 0, 0);
  }
  return unit === 'h' ? d.setMinutes(0, 0, 0) : d.setHours(0, 0, 0, 0);
}

/**
 * What somebody typed into the time box: `2h`, `now-1d/d`, `14:00-14:30`, `A to B`, a single
 * point (then ± 5 minutes). Gives the two texts of the URL, or null.
 * @param {string} text
 * @param {number} nowMs
 * @param {boolean} utc
 * @returns {{ from: string, to: string } | null}
 */
export function parseRange(text, nowMs, utc) {
  const t = text.trim().replace(/^last\s+/i, '');
  const plain = t.replace(/\s+/g, '');
  const span = parseDuration(plain);
  if (span !== null && span > 0) return { from: `now-${plain}`, to: 'now' };
  const halves = t.split(/\s+(?:to|until|–|—|-)\s+|\s*(?:\.\.|→|–)\s*/);
  const pair = halves.length === 2 ? halves : /^(\d{1,2}:\d{2}(?::\d{2})?)-(\d{1,2}:\d{2}(?::\d{2})?)$/.exec(t)?.slice(1);
  if (pair) {
    const from = parsePoint(pair[0], nowMs, utc);
    const to = parsePoint(pair[1], nowMs, utc);
    if (from === null || to === null || from >= to) return null;
    return { from: keep(pair[0], from), to: keep(pair[1], to) };
  }
  const point = parsePoint(t, nowMs, utc);
  if (point === null) return null;
  if (t.startsWith('now') && point < nowMs) return { from: t, to: 'now' };
  return { from: String(point - 300e3), to: String(point + 300e3) };
}

/** @param {string} text @param {number} ms */
const keep = (text, ms) => (text.trim().startsWith('now') ? text.trim() : String(ms));

/**
 * The range two texts of the URL mean now.
 * @param {string} from
 * @param {string} to
 * @param {number} nowMs
 * @param {boolean} utc
 * @returns {{ from: number, to: number }}
 */
export function resolve(from, to, nowMs, utc) {
  const end = parsePoint(to, nowMs, utc) ?? nowMs;
  const start = parsePoint(from, nowMs, utc) ?? end - 3600e3;
  return start < end ? { from: Math.floor(start), to: Math.floor(end) } : { from: end - 3600e3, to: end };
}

/**
 * How a range reads on the button.
 * @param {string} from
 * @param {string} to
 * @param {(ms: number) => string} show
 */
export function describe(from, to, show) {
  const last = /^now-([0-9a-z.]+)$/.exec(from);
  if (to === 'now' && last) return `last ${last[1]}`;
  const part = (/** @type {string} */ t) => (/^\d{12,13}$/.test(t) ? show(Number(t)) : t);
  return `${part(from)} → ${part(to)}`;
}

/**
 * The range moved by a share of itself (−0.5: half a screen back) or zoomed (2: twice as wide).
 * @param {{ from: number, to: number }} range
 * @param {number} move
 * @param {number} zoom
 * @returns {{ from: number, to: number }}
 */
export function shift(range, move, zoom) {
  const width = range.to - range.from;
  const middle = (range.from + range.to) / 2 + width * move;
  const half = Math.max((width * zoom) / 2, 500);
  return { from: Math.round(middle - half), to: Math.round(middle + half) };
}

/**
 * A step in seconds that gives about `points` points, from a list people can read.
 * @param {number} widthMs
 * @param {number} points
 */
export function step(widthMs, points) {
  const exact = widthMs / 1000 / points;
  const steps = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400];
  return steps.find((s) => s >= exact) ?? Math.ceil(exact / 86400) * 86400;
}
