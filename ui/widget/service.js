// A service's name with its colour, everywhere the same.

import { html } from '../lib/html.js';
import { href } from '../url.js';

/** @param {{ name: string, color: number, link?: boolean }} props */
export function Service({ name, color, link = true }) {
  const dot = html`<span class=${`dot c${color % 8}`} aria-hidden="true"></span>`;
  if (!name) return html`<span class="dim">unknown service</span>`;
  return link ? html`<a class="nowrap" href=${href(`services/${name}`)}>${dot}${name}</a>` : html`<span class="nowrap">${dot}${name}</span>`;
}
