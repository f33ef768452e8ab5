// What is shown when there is nothing, not yet, not all, or something wrong.

import { useEffect, useState } from 'preact/hooks';
import { html } from '../lib/html.js';

/**
 * The line under a header while a question runs: nothing for 150 ms, then progress, after
 * three seconds with a way to stop.
 * @param {{ answer: { loading: boolean, since: number, stop: () => void } }} props
 */
export function Progress({ answer }) {
  const [, tick] = useState(0);
  useEffect(() => {
    if (!answer.loading) return undefined;
    const timer = setInterval(() => tick((n) => n + 1), 250);
    return () => clearInterval(timer);
  }, [answer.loading]);
  const took = answer.loading ? Date.now() - answer.since : 0;
  if (took < 150) return html`<div class="progress"></div>`;
  return html`<div class="progress on" role="status">
    ${took > 3000 && html`<span class="progress-text">running for ${Math.round(took / 1000)} s
      <button class="small" onClick=${answer.stop}>Stop</button></span>`}
    <span class="sr">loading</span>
  </div>`;
}

/**
 * An error, under the query it speaks of.
 * @param {{ error: { message: string, status: number } | null, stale?: boolean }} props
 */
export function Problem({ error, stale }) {
  if (!error) return null;
  return html`<div class="problem" role="alert">
    <span class="glyph" aria-hidden="true">✕</span>
    <span><span class="sr">Error: </span>${error.message}${stale && html`<span class="dim"> · below is the last good result</span>`}</span>
  </div>`;
}

/**
 * Nothing to show: what is missing, why, and what to do about it.
 * @param {{ what: string, why?: any, children?: any }} props
 */
export function Empty({ what, why, children }) {
  return html`<div class="empty"><p class="empty-what">${what}</p>${why && html`<p class="dim">${why}</p>`}${children && html`<div class="empty-fix">${children}</div>`}</div>`;
}

/** An answer that is not whole. @param {{ why: string | undefined }} props */
export function Partial({ why }) {
  return why ? html`<span class="chip partial" title=${why}><span aria-hidden="true">◐</span> partial: ${why}</span>` : null;
}
