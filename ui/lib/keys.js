// Keys and chords. Pure: the page feeds it events and acts on what it returns.

/** How long the second key of a chord may take, in milliseconds. */
export const CHORD_MS = 1500;

/**
 * The name a key goes by in the key map: `mod+k`, `shift+Enter`, `?`, `e`.
 * @param {{ key: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, shiftKey?: boolean }} event
 */
export function keyName(event) {
  const key = event.key === ' ' ? 'Space' : event.key;
  const mod = event.ctrlKey || event.metaKey ? 'mod+' : '';
  const alt = event.altKey ? 'alt+' : '';
  // Shift is part of a printed character already (`?`, `E`).
  const shift = event.shiftKey && key.length > 1 ? 'shift+' : '';
  return `${mod}${alt}${shift}${mod && key.length === 1 ? key.toLowerCase() : key}`;
}

/**
 * Remembers the first key of a chord such as `g t`.
 * @param {ReadonlySet<string>} prefixes
 */
export function chords(prefixes) {
  let first = '';
  let since = 0;
  return {
    /**
     * The command a key completes, or '' if it only began a chord.
     * @param {string} name @param {number} nowMs
     */
    press(name, nowMs) {
      if (first && nowMs - since < CHORD_MS) {
        const chord = `${first} ${name}`;
        first = '';
        return chord;
      }
      first = '';
      if (prefixes.has(name)) {
        first = name;
        since = nowMs;
        return '';
      }
      return name;
    },
    get pending() {
      return first;
    },
  };
}

/**
 * Whether keys belong to the element that has the focus.
 * @param {EventTarget | null} target
 */
export function isTyping(target) {
  const element = /** @type {HTMLElement | null} */ (target);
  if (!element || !element.tagName) return false;
  const name = element.tagName;
  if (name === 'INPUT') return !['checkbox', 'radio', 'button', 'range'].includes(/** @type {HTMLInputElement} */ (element).type);
  return name === 'TEXTAREA' || name === 'SELECT' || element.isContentEditable;
}

/** The key map as the help shows it. */
export const HELP = /** @type {{ title: string, keys: [string, string][] }[]} */ ([
  { title: 'Everywhere', keys: [
    ['?', 'this help'], ['/', 'focus the search box'], ['⌘K / Ctrl K', 'go anywhere, paste anything'],
    ['g o', 'overview'], ['g l', 'logs'], ['g m', 'metrics'], ['g t', 'traces'], ['g s', 'services'], ['g p', 'map'], ['g i', 'status'],
    ['r', 'refresh'], ['Esc', 'close, one level'],
  ] },
  { title: 'Time', keys: [
    ['t ← / t →', 'pan by half'], ['t +', 'zoom in'], ['t - / t =', 'zoom out'], ['t a', 'make absolute'], ['t u', 'UTC or local'],
    ['t c / t v', 'copy / paste the range'],
  ] },
  { title: 'Lists', keys: [
    ['j / k  ↓ / ↑', 'next, previous row'], ['Enter', 'open'], ['t on a log', 'its trace'], ['Space', 'pause or resume live'],
  ] },
  { title: 'Query', keys: [['Enter', 'run'], ['⌘ Enter', 'run'], ['Shift Enter', 'new line']] },
  { title: 'Trace', keys: [
    ['← / →', 'collapse, expand'], ['[ / ]', 'collapse all, expand all'], ['e / E', 'next, previous error'],
    ['c', 'critical path'], ['z / Z', 'zoom to the span, reset'], ['l', 'the span’s logs'], ['m', 'the service’s metrics'],
  ] },
]);
