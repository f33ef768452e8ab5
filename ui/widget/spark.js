// Sixty little bars, the failed part in red.

import { html } from '../lib/html.js';

/** @param {{ counts: number[], errors: number[], label: string }} props */
export function Spark({ counts, errors, label }) {
  const max = Math.max(1, ...counts);
  const width = 2;
  const height = 18;
  return html`<svg class="spark" width=${counts.length * width} height=${height} role="img" aria-label=${label}>
    ${counts.map((count, i) => {
      const tall = count ? Math.max(1, (count / max) * height) : 0;
      const red = errors[i] ? Math.max(1.5, (errors[i] / max) * height) : 0;
      return tall ? html`<rect class="r" x=${i * width} y=${height - tall} width=${width - 0.4} height=${tall} />
        ${red ? html`<rect class="e" x=${i * width} y=${height - red} width=${width - 0.4} height=${red} />` : null}` : null;
    })}</svg>`;
}
