// Status: what came in, what is kept, what was refused.

import { ago, bytes, number } from '../lib/format.js';
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
    <section><h2>What came in</h2>
      <table><thead><tr><th>Signal</th><th class="num">Received</th><th class="num">Refused</th><th>Why</th></tr></thead>
      <tbody>${data.signals.map((s) => html`<tr><td>${s.name}</td><td class="num">${number(s.received)}</td><td class=${s.refused.length ? 'num warn-text' : 'num'}>${number(s.refused.reduce((n, r) => n + r.count, 0))}</td>
        <td>${s.refused.length ? s.refused.map((r) => html`<span class="chip">${r.reason} ${number(r.count)}</span> `) : html`<span class="dim">nothing refused</span>`}</td></tr>`)}</tbody></table></section>
    <section><h2>Requests to receivers</h2>
      ${data.requests.length ? html`<table><thead><tr><th>By</th><th>Signal</th><th>Answered</th><th class="num">Requests</th></tr></thead>
      <tbody>${data.requests.map((r) => html`<tr><td>${r.transport}</td><td>${r.signal}</td><td class=${isFailure(r) ? 'warn-text' : ''}>${isFailure(r) ? '▲ ' : ''}${r.status}</td><td class="num">${number(r.count)}</td></tr>`)}</tbody></table>`
        : html`<p class="dim">None since the server started ${ago(data.started_ms, data.now_ms)}.</p>`}
      <p class="row">${data.listening.map((l) => html`<span class="chip">${l.name} <span class="mono">${l.address}</span></span>`)}</p></section>
    <section><h2>Settings</h2><table class="kv"><tbody>${data.settings.map((l) => html`<tr><td>${l.name}</td><td class="val">${l.value}</td></tr>`)}</tbody></table></section>
    <p class="dim">trefoil ${data.version} · <a href=${`${root}metrics`} target="_blank">/metrics</a> · <a href=${`${root}-/ready`} target="_blank">/-/ready</a></p>`}
  </div>`;
}

/** HTTP counts failures from 400, gRPC from 1. @param {{ transport: string, status: number }} r */
function isFailure(r) {
  return /grpc/i.test(r.transport) ? r.status !== 0 : r.status >= 400;
}
