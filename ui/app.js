// The shell: rail, header, the page the URL names.

import { signal } from '@preact/signals';
import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { lost, retry, services } from './api.js';
import { useAnswer } from './ask.js';
import { h, html } from './lib/html.js';
import { listen, useKeys } from './lib/keymap.js';
import { theme } from './prefs.js';
import { go, href, now, place, scope, set, start } from './url.js';
import { Help } from './widget/help.js';
import { Palette } from './widget/palette.js';
import { PAGES, Rail, pageOf } from './widget/rail.js';
import { TimePicker } from './widget/timepicker.js';

/** Pages are fetched when first shown. @type {Record<string, () => Promise<{ Page: any }>>} */
const LOAD = {
  '': () => import('./page/overview.js'),
  logs: () => import('./page/logs.js'),
  metrics: () => import('./page/metrics.js'),
  traces: () => import('./page/traces.js'),
  trace: () => import('./page/trace.js'),
  services: () => import('./page/services.js'),
  service: () => import('./page/service.js'),
  map: () => import('./page/map.js'),
  status: () => import('./page/status.js'),
};

/** Pages fetched so far. */
const loaded = signal(/** @type {Record<string, any>} */ ({}));

/** Which module shows a path, and what it is called. @param {string} path */
function route(path) {
  const [first, second] = path.split('/');
  if (first === 'services' && second) return { key: 'service', title: second };
  if (first === 'trace') return { key: 'trace', title: `Trace ${(second ?? '').slice(0, 8)}` };
  return { key: first, title: PAGES.find((page) => page.path === first)?.name ?? '' };
}

function App() {
  const { path } = place.value;
  const { key, title } = route(path);
  const [open, setOpen] = useState(/** @type {'' | 'help' | 'palette'} */ (''));
  const [failed, setFailed] = useState('');
  const known = useAnswer(`services ${Math.floor(now.value / 30000)}`, services);
  useEffect(() => {
    document.title = title ? `${title} · Trefoil` : 'Trefoil';
    if (loaded.value[key] || !LOAD[key]) return;
    LOAD[key]().then(
      (module) => { loaded.value = { ...loaded.value, [key]: module.Page }; },
      () => setFailed('A part of the app could not be fetched: the server may have been updated.'),
    );
  }, [key, title]);
  const keys = /** @type {import('./lib/keymap.js').Keys} */ ({
    '?': () => setOpen('help'),
    'mod+k': () => setOpen('palette'),
    '/': () => focusSearch(),
    Escape: () => { /** @type {HTMLElement} */ (document.activeElement)?.blur?.(); return false; },
  });
  for (const page of PAGES) keys[`g ${page.key}`] = () => go(href(page.path));
  useKeys(keys);
  const Page = loaded.value[key];
  const list = known.data?.services ?? [];
  return html`<a class="skip" href="#main" onClick=${(/** @type {Event} */ e) => { e.preventDefault(); document.getElementById('main')?.focus(); }}>Skip to content</a>
    ${h(Rail, { path })}
    <header class="top">
      <h1>${title || 'Not found'}</h1>
      <label class="scope"><span class="sr">Service</span>
        <select aria-label="Service" title="Narrow to one service" value=${scope.value} onChange=${(/** @type {any} */ e) => set({ service: e.target.value })}>
          <option value="">all services</option>
          ${withCurrent(list.map((s) => s.name), scope.value).map((name) => html`<option value=${name}>${name}</option>`)}
        </select></label>
      <span class="grow"></span>
      ${pageOf(path) === 'traces' && key === 'trace' ? null : h(TimePicker, {})}
      <button class="icon" title="Go anywhere, paste anything (⌘K)" aria-label="⌘K, go anywhere" onClick=${() => setOpen('palette')}>⌘K</button>
      <button class="icon" title="Light or dark" aria-label="Switch theme" onClick=${nextTheme}>◐</button>
      <button class="icon" title="Keys and looks (?)" aria-label="Help" onClick=${() => setOpen('help')}>?</button>
    </header>
    ${h(Lost, {})}
    <main id="main" tabindex="-1" class=${lost.value ? 'stale' : ''}>
      ${failed && html`<div class="problem" role="alert">${failed} <button class="small" onClick=${() => location.reload()}>Reload</button></div>`}
      ${Page ? h(Page, {}) : !LOAD[key] && html`<div class="empty"><p class="empty-what">There is no page here.</p><p><a href=${href('')}>Overview</a></p></div>`}
    </main>
    ${open === 'help' && h(Help, { close: () => setOpen('') })}
    ${open === 'palette' && h(Palette, { close: () => setOpen(''), services: list })}`;
}

/** @param {string[]} names @param {string} current */
const withCurrent = (names, current) => (current && !names.includes(current) ? [current, ...names] : names);

function focusSearch() {
  const box = /** @type {HTMLElement | null} */ (document.querySelector('[data-search]'));
  box?.focus();
}

function nextTheme() {
  const dark = document.documentElement.hasAttribute('data-dark');
  theme.value = dark ? 'light' : 'dark';
}

/** The banner while the server does not answer. */
function Lost() {
  const [, tick] = useState(0);
  const away = lost.value;
  useEffect(() => {
    if (!away) return undefined;
    const timer = setInterval(() => tick((n) => n + 1), 500);
    return () => clearInterval(timer);
  }, [away !== null]);
  if (!away) return null;
  const wait = Math.max(0, Math.ceil((away.retryAt - Date.now()) / 1000));
  return html`<div class="lost" role="status"><span aria-hidden="true">⚠</span> Disconnected since ${new Date(away.since).toLocaleTimeString()}; what is shown is from before.
    Retrying in ${wait} s. <button class="small" onClick=${() => { void retry(); }}>Retry now</button></div>`;
}

start();
listen();
render(h(App, {}), /** @type {HTMLElement} */ (document.getElementById('app')));
