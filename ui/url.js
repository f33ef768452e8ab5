// The URL is the state: what is on screen can be read off the address bar, and the other way.

import { computed, effect, signal } from '@preact/signals';
import { resolve } from './lib/time.js';
import { utc } from './prefs.js';

/** Path of the app on this server, e.g. `/ui/` or `/proxy/trefoil/ui/`. */
const base = typeof document === 'undefined' ? '/ui/' : new URL(document.baseURI).pathname;

/** Path of the server's root, for the APIs beside us. */
export const root = base.replace(/ui\/$/, '');

/**
 * Where we are.
 * @typedef {{ path: string, query: Record<string, string> }} Place
 */

/** @param {Location | URL} url @returns {Place} */
function read(url) {
  const path = url.pathname.startsWith(base) ? url.pathname.slice(base.length) : '';
  return { path: decodeURI(path).replace(/\/$/, ''), query: Object.fromEntries(new URLSearchParams(url.search)) };
}

export const place = signal(typeof location === 'undefined' ? { path: '', query: {} } : read(location));

/** The moment the screen shows: `now` in a range means this. */
export const now = signal(Date.now());

/** Texts of the range as the URL has them. */
export const rangeText = computed(() => ({ from: place.value.query.from || 'now-15m', to: place.value.query.to || 'now' }));

/** The range in Unix milliseconds. */
export const range = computed(() => resolve(rangeText.value.from, rangeText.value.to, now.value, utc.value));

/** Pages that move on by themselves unless told otherwise: what they show is not read line by line. */
const MOVING = ['', 'services', 'map'];

/** Seconds between refreshes by themselves, 0 for none. */
export const every = computed(() => {
  const chosen = place.value.query.refresh;
  if (chosen !== undefined) return Number(chosen) || 0;
  return rangeText.value.to === 'now' && MOVING.includes(place.value.path.split('/')[0]) ? 10 : 0;
});

/** The service everything is narrowed to, or ''. */
export const scope = computed(() => place.value.query.service || '');

/** Keys that go with us from page to page. */
const STICKY = ['from', 'to', 'refresh', 'service'];

/**
 * The address of a page, with the range and scope kept unless `query` says otherwise. An empty
 * value removes a key.
 * @param {string} path
 * @param {Record<string, string | number | undefined>} [query]
 */
export function href(path, query = {}) {
  const all = /** @type {Record<string, string>} */ ({});
  for (const key of STICKY) if (place.value.query[key]) all[key] = place.value.query[key];
  return address(path, { ...all, ...query });
}

/** @param {string} path @param {Record<string, string | number | undefined>} query */
function address(path, query) {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== '');
  const text = new URLSearchParams(pairs.map(([key, value]) => [key, String(value)])).toString().replace(/\+/g, '%20');
  return `${base}${path.split('/').map(encodeURIComponent).join('/')}${text ? `?${text}` : ''}`;
}

/**
 * Goes to an address that `href` made.
 * @param {string} to
 * @param {boolean} [replace] for small moves that the back button should skip
 */
export function go(to, replace = false) {
  const url = new URL(to, document.baseURI);
  if (replace) history.replaceState(null, '', url);
  else history.pushState(null, '', url);
  const before = place.value;
  place.value = read(url);
  if (before.path !== place.value.path) now.value = Date.now();
}

/**
 * Changes keys of the current page.
 * @param {Record<string, string | number | undefined>} patch
 * @param {boolean} [replace]
 */
export function set(patch, replace = false) {
  go(address(place.value.path, { ...place.value.query, ...patch }), replace);
}

/** Shows an absolute range. @param {{ from: number, to: number }} r @param {boolean} [replace] */
export function setRange(r, replace = false) {
  set({ from: String(Math.round(r.from)), to: String(Math.round(r.to)) }, replace);
}

/** Moves `now` on; everything that depends on the range is asked again. */
export function refresh() {
  now.value = Date.now();
}

/** Called once: back and forward buttons, clicks on links, the refresh timer. */
export function start() {
  addEventListener('popstate', () => {
    place.value = read(location);
  });
  addEventListener('click', (event) => {
    const link = /** @type {HTMLElement} */ (event.target)?.closest?.('a[href]');
    if (!(link instanceof HTMLAnchorElement) || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target || link.hasAttribute('download')) return;
    if (link.origin !== location.origin || !link.pathname.startsWith(base) || link.pathname.startsWith(`${base}a/`)) return;
    event.preventDefault();
    go(link.href);
  });
  let timer = 0;
  effect(() => {
    clearInterval(timer);
    const seconds = every.value;
    if (seconds > 0) timer = setInterval(() => { if (!document.hidden) refresh(); }, seconds * 1000);
  });
}
