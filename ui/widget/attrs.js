// Attributes: key, value, and what one can do with them.

import { html } from '../lib/html.js';

/**
 * @param {{
 *   attrs: { key: string, value: unknown }[],
 *   actions?: (key: string, value: string) => { sign: string, title: string, href?: string, run?: () => void }[],
 *   caption: string,
 * }} props
 */
export function Attributes({ attrs, actions, caption }) {
  if (!attrs.length) return html`<p class="dim">No ${caption}.</p>`;
  return html`<table class="kv"><caption class="sr">${caption}</caption><tbody>${attrs.map(({ key, value }) => {
    const text = show(value);
    return html`<tr><td>${key}</td><td class="val">${text}</td>${actions && html`<td class="acts">${actions(key, text).map(({ sign, title, href, run }) => (href
      ? html`<a href=${href} title=${title} aria-label=${title}>${sign}</a>`
      : html`<button title=${title} aria-label=${title} onClick=${(/** @type {Event} */ e) => { e.stopPropagation(); run?.(); }}>${sign}</button>`))}</td>`}</tr>`;
  })}</tbody></table>`;
}

/** @param {unknown} value */
export function show(value) {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
