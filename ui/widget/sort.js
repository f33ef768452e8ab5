// A table head that sorts, and keys that walk through rows.

import { useState } from 'preact/hooks';
import { html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';

/**
 * @param {{ name: string, id: string, sort: string, onSort: (id: string) => void, num?: boolean, title?: string }} props
 *   `sort` is the column's id, with `-` in front when descending
 */
export function Head({ name, id, sort, onSort, num, title }) {
  const on = sort.replace('-', '') === id;
  const down = sort.startsWith('-');
  return html`<th class=${num ? 'num' : ''} title=${title} aria-sort=${on ? (down ? 'descending' : 'ascending') : 'none'}>
    <button onClick=${() => onSort(on && down ? id : `-${id}`)}>${name}${on ? (down ? ' ↓' : ' ↑') : ''}</button></th>`;
}

/**
 * j, k and the arrows over a list.
 * @param {number} count
 * @param {(i: number) => void} open
 * @param {(i: number) => void} [show] scrolls the row into view
 * @returns {[number, (i: number) => void]}
 */
export function useRows(count, open, show) {
  const [at, setAt] = useState(-1);
  const move = (/** @type {number} */ step) => {
    if (!count) return false;
    const next = Math.max(0, Math.min(count - 1, at + step));
    setAt(next);
    show?.(next);
    return true;
  };
  useKeys({
    j: () => move(1),
    k: () => move(-1),
    ArrowDown: () => move(1),
    ArrowUp: () => move(-1),
    Enter: () => (at >= 0 && at < count ? open(at) : false),
  });
  return [Math.min(at, count - 1), setAt];
}

/** Scrolls a row of a table into view. @param {string} prefix of the rows' ids */
export function scrollTo(prefix) {
  return (/** @type {number} */ i) => document.getElementById(`${prefix}${i}`)?.scrollIntoView({ block: 'nearest' });
}
