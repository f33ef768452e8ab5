// What comes in, in one line.

import { useEffect, useRef } from 'preact/hooks';
import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { bytes, number, rate } from '../lib/format.js';
import { html } from '../lib/html.js';
import { signal } from '@preact/signals';

/** How often the counters are read, in milliseconds. */
const EVERY_MS = 2000;

const beat = signal(0);

/** The server's counters, read again every two seconds while shown. */
export function useStatus() {
  const answer = useAnswer(`status ${beat.value}`, api.status);
  useEffect(() => {
    const timer = setInterval(() => { if (!document.hidden) beat.value += 1; }, EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return answer;
}

/** @typedef {import('../types/api.d.ts').Status} Status */

/** @param {{ status: { data: Status | null } }} props */
export function Ingest({ status }) {
  const { data } = status;
  const seen = useRef(/** @type {Status[]} */ ([]));
  if (data && seen.current[seen.current.length - 1]?.now_ms !== data.now_ms) seen.current = [...seen.current.slice(-5), data];
  const first = seen.current[0];
  if (!data) return html`<div class="strip dim">…</div>`;
  const seconds = (data.now_ms - first.now_ms) / 1000;
  const refused = data.signals.reduce((sum, s) => sum + s.refused.reduce((n, r) => n + r.count, 0), 0);
  const disk = data.signals.reduce((sum, s) => sum + s.part_bytes, data.wal_bytes);
  return html`<div class="strip" aria-label="What comes in">
    ${data.signals.map((s, i) => {
      const perSecond = seconds > 0 ? Math.max(0, (s.appended - first.signals[i].appended) / seconds) : NaN;
      return html`<div><b>${rate(perSecond)}</b> ${s.name} <span class="dim">(${number(s.head_items + s.part_items)} kept)</span></div>`;
    })}
    <div><b>${number(data.series)}</b> series</div>
    <div class=${refused ? 'warn-text' : ''}><b>${number(refused)}</b> refused</div>
    <div><b>${bytes(disk)}</b> on disk</div>
    ${data.damaged_blocks > 0 && html`<div class="error-text">✕ ${data.damaged_blocks} damaged blocks set aside</div>`}
    ${data.poisoned && html`<div class="error-text">✕ writing has stopped: ${data.poisoned}</div>`}
  </div>`;
}
