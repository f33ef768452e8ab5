// Live logs: asks for what is new every second, keeps the newest, counts what it could not show.

import { useEffect, useRef, useState } from 'preact/hooks';
import * as api from '../api.js';
import { compareNs, rows as readRows } from '../lib/logs.js';

/** Lines kept; older ones leave. */
const KEEP = 5000;
/** Lines one question may bring; more in one second are counted as skipped. */
const AT_ONCE = 1000;
const EVERY_MS = 1000;
/** Lines may arrive late by this much and still be shown. */
const LATE_MS = 5000;

/** @typedef {import('../types/api.d.ts').LogRow} LogRow */

/** @param {string} q '' stops */
export function useTail(q) {
  const [rows, setRows] = useState(/** @type {LogRow[]} */ ([]));
  const [waiting, setWaiting] = useState(/** @type {LogRow[]} */ ([]));
  const [paused, setPausedState] = useState(false);
  const [skipped, setSkipped] = useState(0);
  const [error, setError] = useState(/** @type {api.ApiError | null} */ (null));
  const hold = useRef(false);
  const setPaused = (/** @type {boolean} */ on) => {
    hold.current = on;
    setPausedState(on);
  };
  useEffect(() => {
    setRows([]);
    setWaiting([]);
    setSkipped(0);
    setError(null);
    setPaused(false);
    if (!q) return undefined;
    const abort = new AbortController();
    const seen = /** @type {Map<string, string>} */ (new Map());
    let timer = 0;
    let from = Date.now() - 60_000;
    const beat = async () => {
      try {
        const data = await api.logs(q, { from: `${from}000000`, to: `${Date.now() + 60_000}000000` }, AT_ONCE, 'backward', abort.signal);
        if (data.resultType !== 'streams') throw new api.ApiError('live shows lines; this query makes numbers of them', 0, {});
        const fresh = take(readRows(data.result), seen);
        if (fresh.length >= AT_ONCE) setSkipped((n) => n + AT_ONCE);
        if (fresh.length) (hold.current ? setWaiting : setRows)((before) => merge(fresh, before));
        from = Date.now() - LATE_MS;
        setError(null);
      } catch (failure) {
        if (abort.signal.aborted) return;
        setError(failure instanceof api.ApiError ? failure : new api.ApiError(String(failure), 0, {}));
      }
      timer = setTimeout(() => { void beat(); }, EVERY_MS);
    };
    void beat();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [q]);
  useEffect(() => {
    if (paused || !waiting.length) return;
    setRows((before) => merge(waiting, before));
    setWaiting([]);
  }, [paused, waiting]);
  return { rows, waiting: waiting.length, paused, setPaused, skipped, error };
}

/** What was not seen in the questions before. @param {LogRow[]} list @param {Map<string, string>} seen */
function take(list, seen) {
  const fresh = [];
  for (const row of list) {
    const key = `${row.time_ns} ${row.service} ${row.span_id} ${row.line}`;
    if (seen.has(key)) continue;
    seen.set(key, row.time_ns);
    fresh.push(row);
  }
  // Only what a later question can bring again needs to be remembered.
  if (seen.size > 4 * KEEP) {
    const old = [...seen.keys()].slice(0, seen.size - 2 * KEEP);
    for (const key of old) seen.delete(key);
  }
  return fresh;
}

/** @param {LogRow[]} fresh @param {LogRow[]} before */
function merge(fresh, before) {
  return [...fresh, ...before].sort((a, b) => compareNs(b.time_ns, a.time_ns)).slice(0, KEEP);
}
