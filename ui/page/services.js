// Services: the overview's table over the whole width.

import * as api from '../api.js';
import { useAnswer } from '../ask.js';
import { h, html } from '../lib/html.js';
import { range, scope, set } from '../url.js';
import { Empty, Partial, Problem, Progress } from '../widget/states.js';
import { Services } from './overview.js';

export function Page() {
  const r = range.value;
  const answer = useAnswer(`overview ${r.from} ${r.to}`, (abort) => api.overview(r, abort));
  const { data } = answer;
  const list = (data?.services ?? []).filter((s) => !scope.value || s.name === scope.value);
  return html`<div class="page">
    ${h(Progress, { answer })}
    ${h(Problem, { error: answer.error, stale: Boolean(data) })}
    ${data && h(Partial, { why: data.partial })}
    ${data && (list.length ? h(Services, { services: list, from: data.from_ms, to: data.to_ms }) : h(Empty, {
      what: '0 services',
      why: 'A service is known by its spans: a server or consumer span, or a root, within the range.',
      children: html`<button onClick=${() => set({ from: 'now-1d', to: 'now' })}>Last 24 h</button><button onClick=${() => set({ from: 'now-7d', to: 'now' })}>Last 7 d</button>`,
    }))}
  </div>`;
}
