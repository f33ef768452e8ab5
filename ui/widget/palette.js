// ⌘K: go anywhere; paste anything.

import { useState } from 'preact/hooks';
import { h, html } from '../lib/html.js';
import { recognise } from '../lib/paste.js';
import { theme, utc } from '../prefs.js';
import { go, href, refresh } from '../url.js';
import { Dialog } from './dialog.js';
import { PAGES } from './rail.js';

/** @param {{ close: () => void, services: { name: string }[] }} props */
export function Palette({ close, services }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const items = choices(text, services);
  const chosen = Math.min(at, Math.max(items.length - 1, 0));
  const run = (/** @type {number} */ i) => {
    close();
    items[i]?.run();
  };
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'ArrowDown') setAt(Math.min(chosen + 1, items.length - 1));
    else if (event.key === 'ArrowUp') setAt(Math.max(chosen - 1, 0));
    else if (event.key === 'Enter') run(chosen);
    else return;
    event.preventDefault();
  };
  const body = html`<input type="text" role="combobox" aria-expanded="true" aria-controls="palette-list" aria-label="Go to or paste"
      aria-activedescendant=${items.length ? `palette-${chosen}` : undefined} autocomplete="off" spellcheck=${false} data-1p-ignore
      placeholder="A page, a service, or paste a trace id, URL, log line, query, time…" value=${text}
      onInput=${(/** @type {any} */ e) => { setText(e.target.value); setAt(0); }} onKeyDown=${key} />
    <ul id="palette-list" role="listbox" aria-label="Choices">${items.map((item, i) => html`<li id=${`palette-${i}`} role="option"
      aria-selected=${i === chosen} class=${i === chosen ? 'on' : ''} onPointerMove=${() => setAt(i)} onClick=${() => run(i)}>
      <span class="dim kind">${item.kind}</span>${item.label}</li>`)}</ul>`;
  return h(Dialog, { label: 'Go to', close, className: 'palette', children: body });
}

/** @param {string} text @param {{ name: string }[]} services @returns {{ kind: string, label: string, run: () => void }[]} */
function choices(text, services) {
  const needle = text.trim().toLowerCase();
  const pages = PAGES.map(({ name, path }) => ({ kind: 'page', label: name, run: () => go(href(path)) }));
  const named = services.map(({ name }) => ({ kind: 'service', label: name, run: () => go(href(`services/${name}`)) }));
  const actions = [
    { kind: 'do', label: 'Refresh', run: refresh },
    { kind: 'do', label: 'Theme: light', run: () => { theme.value = 'light'; } },
    { kind: 'do', label: 'Theme: dark', run: () => { theme.value = 'dark'; } },
    { kind: 'do', label: 'Theme: as the system', run: () => { theme.value = 'system'; } },
    { kind: 'do', label: 'Times in UTC or local', run: () => { utc.value = !utc.value; } },
    { kind: 'do', label: 'Copy link', run: () => { void navigator.clipboard?.writeText(location.href); } },
  ];
  const found = [...pages, ...named, ...actions].filter(({ label }) => label.toLowerCase().includes(needle)).slice(0, 12);
  if (!needle) return found;
  const pasted = recognise(text).map(({ kind, label, path, query }) => ({ kind, label, run: () => go(href(path, query)) }));
  return /^[0-9a-f]{16,}$|^\d{10}/i.test(needle) || !found.length ? [...pasted, ...found] : [...found, ...pasted];
}
