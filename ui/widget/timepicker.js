// The time range: always visible, presets, free text, pan and zoom.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { dateTime } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';
import { describe, parseRange, shift } from '../lib/time.js';
import { utc } from '../prefs.js';
import { every, now, range, rangeText, refresh, set, setRange } from '../url.js';

const PRESETS = ['5m', '15m', '1h', '3h', '6h', '12h', '1d', '3d', '7d'];
const REFRESH = [['0', 'off'], ['5', '5 s'], ['10', '10 s'], ['30', '30 s'], ['60', '1 m']];

export function TimePicker() {
  const [open, setOpen] = useState(false);
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const text = rangeText.value;
  const label = describe(text.from, text.to, (ms) => dateTime(ms, utc.value));
  useEffect(() => {
    if (!open) return undefined;
    const outside = (/** @type {Event} */ event) => {
      if (!box.current?.contains(/** @type {Node} */ (event.target))) setOpen(false);
    };
    addEventListener('pointerdown', outside);
    return () => removeEventListener('pointerdown', outside);
  }, [open]);
  useKeys({
    't ArrowLeft': () => setRange(shift(range.value, -0.5, 1)),
    't ArrowRight': () => setRange(shift(range.value, 0.5, 1)),
    't +': () => setRange(shift(range.value, 0, 0.5)),
    't -': () => setRange(shift(range.value, 0, 2)),
    't =': () => setRange(shift(range.value, 0, 2)),
    't a': () => setRange(range.value),
    't u': () => { utc.value = !utc.value; },
    't c': () => { void navigator.clipboard?.writeText(copyable()); },
    't v': () => { void navigator.clipboard?.readText().then((pasted) => { apply(pasted, () => {}); }); },
    r: refresh,
    ...(open ? { Escape: () => setOpen(false) } : {}),
  });
  const moved = (/** @type {number} */ move, /** @type {number} */ zoom) => () => setRange(shift(range.value, move, zoom));
  return html`<div class="time" ref=${box}>
    <button class="icon" title="Back half a screen (t ←)" aria-label="Back in time" onClick=${moved(-0.5, 1)}>‹</button>
    <button class="time-label" aria-expanded=${open} aria-haspopup="dialog" onClick=${() => setOpen(!open)}
      title=${`${dateTime(range.value.from, utc.value)} → ${dateTime(range.value.to, utc.value)}`}>${label}${utc.value && ' UTC'}</button>
    <button class="icon" title="On half a screen (t →)" aria-label="Forward in time" onClick=${moved(0.5, 1)}>›</button>
    <button class="icon" title="Zoom out (t -)" aria-label="Zoom out" onClick=${moved(0, 2)}>⊖</button>
    <select class="refresh" aria-label="Refresh by itself" title="Refresh by itself" value=${String(every.value)}
      onChange=${(/** @type {any} */ e) => set({ refresh: e.target.value }, true)}>
      ${REFRESH.map(([value, name]) => html`<option value=${value}>${value === '0' ? 'refresh off' : `every ${name}`}</option>`)}
    </select>
    <button class="icon" title="Refresh (r)" aria-label="Refresh" onClick=${refresh}>⟳</button>
    ${open && h(Choice, { close: () => setOpen(false) })}
  </div>`;
}

/** The range in a form that reads the same in any zone. */
function copyable() {
  const { from, to } = range.value;
  return `${new Date(from).toISOString()} to ${new Date(to).toISOString()}`;
}

/** @param {string} typed @param {() => void} done */
function apply(typed, done) {
  const parsed = parseRange(typed, Date.now(), utc.value);
  if (!parsed) return false;
  now.value = Date.now();
  set(parsed);
  done();
  return true;
}

/** @param {{ close: () => void }} props */
function Choice({ close }) {
  const [bad, setBad] = useState(false);
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  useLayoutEffect(() => input.current?.focus(), []);
  const submit = (/** @type {Event} */ event) => {
    event.preventDefault();
    setBad(!apply(input.current?.value ?? '', close));
  };
  const { from, to } = range.value;
  return html`<div class="popup time-popup" role="dialog" aria-label="Time range">
    <form onSubmit=${submit}>
      <label for="time-text">Range</label>
      <input id="time-text" ref=${input} type="text" autocomplete="off" data-1p-ignore data-lpignore="true" spellcheck=${false}
        placeholder="2h · now-1d/d · 14:00-14:30 · 2026-11-21 14:00" aria-invalid=${bad}
        aria-describedby="time-note" onInput=${() => setBad(false)} />
      <p id="time-note" class=${bad ? 'problem-text' : 'dim'}>${bad
        ? 'Not a time. Try 2h, now-1d/d, 14:00-14:30, an epoch, or RFC 3339.'
        : `${dateTime(from, utc.value)} → ${dateTime(to, utc.value)} ${utc.value ? 'UTC' : ''}`}</p>
    </form>
    <div class="presets">${PRESETS.map((preset) => html`<button class=${rangeText.value.from === `now-${preset}` && rangeText.value.to === 'now' ? 'small on' : 'small'}
      onClick=${() => apply(preset, close)}>${preset}</button>`)}</div>
    <label class="check"><input type="checkbox" checked=${utc.value} onChange=${() => { utc.value = !utc.value; }} /> UTC (t u)</label>
    <p><button class="small" onClick=${() => { setRange(range.value); close(); }}>Make absolute</button>
      <button class="small" onClick=${() => { void navigator.clipboard?.writeText(copyable()); }}>Copy</button></p>
  </div>`;
}
