// `html` is for DOM elements; components are called with `h(Component, props)`, whose props
// the type checker sees.

import htm from 'htm';
import { h } from 'preact';

/** @type {(strings: TemplateStringsArray, ...values: any[]) => any} */
export const html = htm.bind(/** @type {any} */ (h));
export { h };
