// A modal panel: takes the focus, keeps it, gives it back.

import { useLayoutEffect, useRef } from 'preact/hooks';
import { html } from '../lib/html.js';
import { useKeys } from '../lib/keymap.js';

/** @param {{ label: string, close: () => void, children?: any, className?: string }} props */
export function Dialog({ label, close, children, className }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  useKeys({ Escape: close }, { modal: true });
  // Before the next key arrives, so that nothing typed is lost.
  useLayoutEffect(() => {
    const before = /** @type {HTMLElement | null} */ (document.activeElement);
    const first = /** @type {HTMLElement | null | undefined} */ (box.current?.querySelector('input, button, a[href]'));
    (first ?? box.current)?.focus();
    return () => before?.focus?.();
  }, []);
  const trap = (/** @type {KeyboardEvent} */ event) => {
    if (event.key !== 'Tab') return;
    const all = /** @type {HTMLElement[]} */ ([...(box.current?.querySelectorAll('input, button, a[href], select, textarea') ?? [])]);
    if (!all.length) return;
    const last = all[all.length - 1];
    if (event.shiftKey && document.activeElement === all[0]) {
      event.preventDefault();
      last.focus();
    } else if (!event.shiftKey && document.activeElement === last) {
      event.preventDefault();
      all[0].focus();
    }
  };
  return html`<div class="backdrop" onPointerDown=${(/** @type {any} */ e) => { if (e.target === e.currentTarget) close(); }}>
    <div class=${`dialog ${className ?? ''}`} role="dialog" aria-modal="true" aria-label=${label} tabindex="-1" ref=${box} onKeyDown=${trap}>${children}</div>
  </div>`;
}
