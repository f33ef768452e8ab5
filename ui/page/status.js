// Status: what came in, what is kept, what was refused.

import { bytes, number } from '../lib/format.js';
import { h, html } from '../lib/html.js';
import { root } from '../url.js';
import { Ingest, useStatus } from '../widget/ingest.js';
import { Problem } from '../widget/states.js';

export function Page() {
  const status = useStatus();
  const { data } = status;
  return html`<div class="page">
    ${h(Problem, { error: status.error, stale: Boolean(data) })}
    ${h(Ingest, { status })}
    ${data && html`
    <section><h2>Storage</h2>
      <table><thead><tr><th>Signal</th><th class="num">Stored since start</th><th class="num">In memory</th><th class="num">Memory</th><th class="num">On disk</th>
        <th class="num">Disk</th><th class="num">Per item</th><th class="num">Parts</th><th class="num">Expired</th></tr></thead>
      <tbody>${data.signals.map((s) => html`<tr><td>${s.name}</td><td class="num">${number(s.appended)}</td><td class="num">${number(s.head_items)}</td><td class="num">${bytes(s.head_bytes)}</td>
        <td class="num">${number(s.part_items)}</td><td class="num">${bytes(s.part_bytes)}</td><td class="num">${s.part_items ? `${(s.part_bytes / s.part_items).toFixed(1)} B` : '–'}</td>
        <td class="num">${number(s.parts)}</td><td class="num">${number(s.expired)}</td></tr>`)}</tbody></table>
      <p class="dim" style="margin-top:6px">${number(data.series)} metric series and ${number(data.streams)} log streams in memory · write-ahead log ${bytes(data.wal_bytes)}, ${number(data.wal_syncs)} syncs ·
        ${number(data.replayed)} items replayed at start · ${data.damaged_blocks ? html`<span class="error-text">✕ ${number(data.damaged_blocks)} damaged blocks</span>` : 'no damaged blocks'}</p></section>
    <section><h2>Receivers</h2>
      ${data.receivers.length ? html`<table><thead><tr><th>Receiver</th><th>Address</th><th class="num">Items taken</th><th class="num">Refused</th><th>Last problem</th></tr></thead>
      <tbody>${data.receivers.map((r) => html`<tr><td>${r.name}</td><td class="mono">${r.address}</td><td class="num">${number(r.received)}</td>
        <td class=${r.refused ? 'num warn-text' : 'num'}>${number(r.refused)}</td><td>${r.last_error || html`<span class="dim">none</span>`}</td></tr>`)}</tbody></table>` : html`<p class="dim">No receiver is open.</p>`}</section>
    <section><h2>Settings</h2><table class="kv"><tbody>${data.limits.map((l) => html`<tr><td>${l.name}</td><td class="val">${l.value}</td></tr>`)}</tbody></table></section>
    <p class="dim">trefoil ${data.version} · <a href=${`${root}metrics`} target="_blank">/metrics</a> · <a href=${`${root}-/ready`} target="_blank">/-/ready</a></p>`}
  </div>`;
}
