// Which command a key runs: pages register their keys while they are shown.

import { useLayoutEffect, useRef } from 'preact/hooks';
import { letters } from '../prefs.js';
import { chords, isTyping, keyName } from './keys.js';

/** @typedef {Record<string, (event: KeyboardEvent) => void | boolean>} Keys */

/** The layers of keys, the topmost last. */
const layers = /** @type {{ keys: () => Keys, modal: boolean }[]} */ ([]);
const chord = chords(new Set(['g', 't']));

/**
 * Registers keys while the component is shown. A command that returns false lets the browser
 * act as well. A modal layer hides those below.
 * @param {Keys} keys
 * @param {{ modal?: boolean }} [options]
 */
export function useKeys(keys, options = {}) {
  const current = useRef(keys);
  current.current = keys;
  // Not `useEffect`, which waits for a frame: a key that follows the one that closed a dialog
  // would still meet the dialog's keys and be lost.
  useLayoutEffect(() => {
    const layer = { keys: () => current.current, modal: options.modal ?? false };
    layers.push(layer);
    return () => { layers.splice(layers.indexOf(layer), 1); };
  }, []);
}

/** @param {KeyboardEvent} event */
function press(event) {
  if (event.defaultPrevented || event.isComposing) return;
  const name = keyName(event);
  const plain = !name.startsWith('mod+') && name.length === 1;
  if (plain && letters.value === 'off' && name !== '?') return;
  const typing = isTyping(event.target);
  if (typing && !name.startsWith('mod+') && name !== 'Escape') return;
  // Enter, Space and the arrows belong to the control that has the focus.
  const control = /** @type {HTMLElement} */ (event.target)?.closest?.('button, a, summary, select, [role=tab]');
  if (control && (name === 'Enter' || name === 'Space')) return;
  if (['Shift', 'Control', 'Meta', 'Alt'].includes(name.replace(/^(mod\+|shift\+|alt\+)+/, ''))) return;
  // On a log row `t` means its trace; whoever has the row registers `t` without a chord.
  const direct = find(name);
  const command = direct && name === 't' ? name : typing ? name : chord.press(name, Date.now());
  const run = command && find(command);
  if (run && run(event) !== false) event.preventDefault();
}

/** @param {string} command */
function find(command) {
  for (let at = layers.length - 1; at >= 0; at -= 1) {
    const run = layers[at].keys()[command];
    if (run) return run;
    if (layers[at].modal) return null;
  }
  return null;
}

/** Called once. */
export function listen() {
  addEventListener('keydown', press);
}
