// A query box: a real textarea under a coloured copy of its text.

import { useEffect, useRef, useState } from 'preact/hooks';
import { h, html } from '../lib/html.js';
import { errorRange, lex } from '../lib/lex.js';
import { Problem } from './states.js';

/**
 * @param {{
 *   value: string, language: 'promql' | 'logql' | 'traceql', label: string, placeholder?: string,
 *   onRun: (text: string) => void, error?: import('../api.js').ApiError | null, stale?: boolean,
 *   children?: any,
 * }} props `value` is the query on screen; edits are a draft until it is run
 */
export function Editor({ value, language, label, placeholder, onRun, error, stale, children }) {
  const [draft, setDraft] = useState(value);
  const box = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const fit = () => {
    const at = box.current;
    if (!at) return;
    at.style.height = 'auto';
    at.style.height = `${Math.min(at.scrollHeight + 2, 240)}px`;
  };
  useEffect(() => setDraft(value), [value]);
  useEffect(fit, [draft]);
  const key = (/** @type {KeyboardEvent} */ event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      onRun(draft);
    }
  };
  const bad = error && draft === value ? errorRange(draft, error.at) : null;
  return html`<div>
    <div class="query">
      <div class="editor">
        <div class="back"></div>
        <textarea ref=${box} rows="1" aria-label=${label} data-search spellcheck=${false} autocapitalize="off" autocomplete="off"
          placeholder=${placeholder} value=${draft} aria-invalid=${Boolean(error)}
          onInput=${(/** @type {any} */ e) => setDraft(e.target.value)} onKeyDown=${key}></textarea>
        <pre aria-hidden="true">${painted(draft, language, bad)}</pre>
      </div>
      <button class="primary" onClick=${() => onRun(draft)}>Run</button>
      ${children}
    </div>
    ${error && bad && html`<pre class="mono problem-text" aria-hidden="true">${caret(draft, bad)}</pre>`}
    ${h(Problem, { error: error ?? null, stale })}
  </div>`;
}

/** @param {string} text @param {'promql' | 'logql' | 'traceql'} language @param {{ from: number, to: number } | null} bad */
function painted(text, language, bad) {
  let at = 0;
  const out = [];
  for (const token of lex(text, language)) {
    const from = at;
    at += token.text.length;
    if (!bad || at <= bad.from || from >= bad.to) {
      out.push(html`<span class=${`t-${token.kind}`}>${token.text}</span>`);
      continue;
    }
    const a = Math.max(bad.from - from, 0);
    const b = Math.min(bad.to - from, token.text.length);
    out.push(html`<span class=${`t-${token.kind}`}>${token.text.slice(0, a)}<span class="t-bad">${token.text.slice(a, b)}</span>${token.text.slice(b)}</span>`);
  }
  out.push('\n');
  return out;
}

/** The line in question with carets under the part that is wrong. @param {string} text @param {{ from: number, to: number }} bad */
function caret(text, bad) {
  const start = text.lastIndexOf('\n', bad.from - 1) + 1;
  const stop = text.indexOf('\n', bad.from);
  const line = text.slice(start, stop < 0 ? undefined : stop);
  const width = Math.max(1, Math.min(bad.to, start + line.length) - bad.from);
  return `${line}\n${' '.repeat(bad.from - start)}${'^'.repeat(width)}`;
}
