// What a user likes, kept in this browser.

import { effect, signal } from '@preact/signals';

/** @param {string} key @param {string} fallback */
function stored(key, fallback) {
  const name = `trefoil.${key}`;
  let start = fallback;
  try {
    start = localStorage.getItem(name) ?? fallback;
  } catch { /* closed to us: the choice lasts as long as the page */ }
  const pref = signal(start);
  effect(() => {
    try {
      if (pref.value === fallback) localStorage.removeItem(name);
      else localStorage.setItem(name, pref.value);
    } catch { /* as above */ }
  });
  return pref;
}

/** `system`, `light` or `dark`. */
export const theme = stored('theme', 'system');
/** `compact` or `comfortable`. */
export const density = stored('density', 'compact');
const zone = stored('zone', 'local');
/** Whether letters alone are commands (WCAG 2.1.4 wants a switch). */
export const letters = stored('letters', 'on');

/** Times are shown and read in UTC. */
export const utc = signal(zone.value === 'utc');

const system = typeof matchMedia === 'undefined' ? null : matchMedia('(prefers-color-scheme: dark)');
const systemDark = signal(system?.matches ?? false);
system?.addEventListener('change', (event) => { systemDark.value = event.matches; });

/** The theme on screen. */
export const shown = signal(/** @type {'light' | 'dark'} */ ('light'));

effect(() => { zone.value = utc.value ? 'utc' : 'local'; });
effect(() => {
  shown.value = theme.value === 'system' ? (systemDark.value ? 'dark' : 'light') : /** @type {'light' | 'dark'} */ (theme.value);
  if (typeof document === 'undefined') return;
  const at = document.documentElement;
  if (theme.value === 'system') at.removeAttribute('data-theme');
  else at.setAttribute('data-theme', theme.value);
  at.toggleAttribute('data-dark', shown.value === 'dark');
  if (density.value === 'comfortable') at.setAttribute('data-density', 'comfortable');
  else at.removeAttribute('data-density');
});
