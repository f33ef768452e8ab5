// Colours for query texts: one small lexer that knows the words of the three languages.

const WORDS = /** @type {Record<string, Set<string>>} */ ({
  promql: new Set(('by without on ignoring group_left group_right offset and or unless bool sum avg min max count topk '
    + 'bottomk quantile stddev stdvar group count_values rate irate increase delta idelta deriv histogram_quantile '
    + 'avg_over_time sum_over_time min_over_time max_over_time count_over_time quantile_over_time last_over_time abs '
    + 'ceil floor round clamp clamp_min clamp_max time absent label_replace label_join sort sort_desc vector scalar').split(' ')),
  logql: new Set(('json logfmt pattern regexp unpack line_format label_format unwrap drop keep decolorize by without '
    + 'rate count_over_time bytes_rate bytes_over_time sum avg min max count topk bottomk and or').split(' ')),
  traceql: new Set(('status kind name duration error ok unset server client internal producer consumer resource span '
    + 'parent rootName rootServiceName traceDuration true false nil count avg min max sum select AND OR and or').split(' ')),
});

/** @typedef {'word' | 'string' | 'number' | 'op' | 'brace' | 'text'} Token */

const PATTERN = /("(?:[^"\\]|\\.)*"?|`[^`]*`?|'(?:[^'\\]|\\.)*'?)|(\b\d[\d.]*(?:[a-zµ]+)?\b|\$__\w+)|([A-Za-z_:][\w:.-]*)|([{}()[\]])|([=!<>~|&+\-*/%^,]+)|(\s+|.)/g;

/**
 * The text cut into coloured pieces; together they are the text again.
 * @param {string} text
 * @param {'promql' | 'logql' | 'traceql'} language
 * @returns {{ kind: Token, text: string }[]}
 */
export function lex(text, language) {
  const words = WORDS[language];
  const out = /** @type {{ kind: Token, text: string }[]} */ ([]);
  for (const match of text.matchAll(PATTERN)) {
    const kind = /** @type {Token} */ (match[1] ? 'string' : match[2] ? 'number' : match[3] ? (words.has(match[3]) ? 'word' : 'text')
      : match[4] ? 'brace' : match[5] ? 'op' : 'text');
    const last = out[out.length - 1];
    if (last && last.kind === kind) last.text += match[0];
    else out.push({ kind, text: match[0] });
  }
  return out;
}

/**
 * The character range an error speaks of, from the byte or line:column position the server
 * gave with it.
 * @param {string} text
 * @param {{ start?: number, end?: number, line?: number, column?: number }} at
 * @returns {{ from: number, to: number } | null}
 */
export function errorRange(text, at) {
  let from = -1;
  let to = -1;
  if (at.start !== undefined) {
    from = charAt(text, at.start);
    to = charAt(text, at.end ?? at.start);
  } else if (at.line !== undefined && at.column !== undefined) {
    const lines = text.split('\n');
    if (at.line > lines.length) return null;
    from = lines.slice(0, at.line - 1).reduce((sum, line) => sum + line.length + 1, 0) + at.column - 1;
  }
  if (from < 0) return null;
  from = Math.min(from, text.length);
  return { from, to: Math.max(to, Math.min(from + 1, text.length)) };
}

/** The index of a byte of the UTF-8 form. @param {string} text @param {number} byte */
function charAt(text, byte) {
  let bytes = 0;
  let i = 0;
  for (const c of text) {
    if (bytes >= byte) break;
    const code = /** @type {number} */ (c.codePointAt(0));
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    i += c.length;
  }
  return i;
}

/**
 * A position in an error message of Prometheus's, Loki's or our own form.
 * @param {string} message
 */
export function positionIn(message) {
  const match = /(?:line |at )?(\d+):(\d+):|line (\d+),? col(?:umn)? (\d+)/.exec(message);
  if (!match) return {};
  return { line: Number(match[1] ?? match[3]), column: Number(match[2] ?? match[4]) };
}
