// The left rail.

import { html } from '../lib/html.js';
import { href } from '../url.js';

/** Pages in the order of the rail; `key` follows `g`. */
export const PAGES = [
  { name: 'Overview', path: '', key: 'o', icon: 'M3 13h6V3H3zm8 4h6V9h-6zM3 17h6v-2H3zm8-10h6V3h-6z' },
  { name: 'Logs', path: 'logs', key: 'l', icon: 'M3 4h14v2H3zm0 5h14v2H3zm0 5h9v2H3z' },
  { name: 'Metrics', path: 'metrics', key: 'm', icon: 'M3 15l4-6 3 3 4-7 3 4v2.500l-3-4-4 6.500-3-3-2 3z' },
  { name: 'Traces', path: 'traces', key: 't', icon: 'M3 4h9v2.500H3zm3 5h9v2.500H6zm5 5h6v2.500h-6z' },
  { name: 'Services', path: 'services', key: 's', icon: 'M3 3h6v6H3zm8 0h6v6h-6zM3 11h6v6H3zm8 0h6v6h-6z' },
  { name: 'Map', path: 'map', key: 'p', icon: 'M4 8a2.500 2.500 0 1 1 2.400 3.200L8.500 14.300a2.500 2.500 0 1 1-1 .8L5.400 12A2.500 2.500 0 0 1 4 8zm9-4.500a2.500 2.500 0 1 1-1.700 4.300L8.900 9.200l-.5-1.100 2.500-1.300A2.500 2.500 0 0 1 13 3.500z' },
  { name: 'Status', path: 'status', key: 'i', icon: 'M10 2.500a7.500 7.500 0 1 1 0 15 7.500 7.500 0 0 1 0-15zM9 9v5h2V9zm0-3.500V7.500h2V5.500z' },
];

/** The page a path belongs to. @param {string} path */
export function pageOf(path) {
  const first = path.split('/')[0];
  return first === 'trace' ? 'traces' : first;
}

/** @param {{ path: string }} props */
export function Rail({ path }) {
  const current = pageOf(path);
  return html`<nav class="rail" aria-label="Pages">
    <a class="brand" href=${href('')} aria-label="Trefoil, overview">
      <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true"><g fill="currentColor"><circle cx="16" cy="9.500" r="6.500"/><circle cx="9" cy="18.500" r="6.500"/><circle cx="23" cy="18.500" r="6.500"/></g><path d="M16 16c0 6 1 9 3.500 13" fill="none" stroke="currentColor" stroke-width="2.500" stroke-linecap="round"/></svg>
      <span>Trefoil</span></a>
    ${PAGES.map((page) => html`<a href=${href(page.path)} aria-current=${current === page.path ? 'page' : undefined} title=${`${page.name} (g ${page.key})`}>
      <svg viewBox="0 0 20 20" width="16" height="16" aria-hidden="true"><path fill="currentColor" d=${page.icon}/></svg><span>${page.name}</span></a>`)}
  </nav>`;
}
