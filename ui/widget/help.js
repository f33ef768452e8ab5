// `?`: the keys.

import { HELP } from '../lib/keys.js';
import { h, html } from '../lib/html.js';
import { density, letters, theme } from '../prefs.js';
import { Dialog } from './dialog.js';

/** @param {{ close: () => void }} props */
export function Help({ close }) {
  const choose = (/** @type {import('@preact/signals').Signal<string>} */ pref, /** @type {string} */ label, /** @type {string[]} */ values) => html`<label>${label}
    <select value=${pref.value} onChange=${(/** @type {any} */ e) => { pref.value = e.target.value; }}>
      ${values.map((value) => html`<option value=${value}>${value}</option>`)}</select></label>`;
  const body = html`<h2>Keys</h2>
    <div class="help">${HELP.map(({ title, keys }) => html`<section><h3>${title}</h3><dl>
      ${keys.map(([key, what]) => html`<div><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl></section>`)}</div>
    <h2>Looks</h2>
    <div class="row">
      ${choose(theme, 'Theme', ['system', 'light', 'dark'])}
      ${choose(density, 'Density', ['compact', 'comfortable'])}
      ${choose(letters, 'Single-letter keys', ['on', 'off'])}
      <button class="end" onClick=${close}>Close</button>
    </div>`;
  return h(Dialog, { label: 'Keys', close, className: 'wide', children: body });
}
