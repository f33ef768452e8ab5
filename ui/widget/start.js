// The page before anything has arrived: how to send, ready to be copied.

import { useState } from 'preact/hooks';
import { html, h } from '../lib/html.js';

/** @param {{ text: string, label: string }} props */
export function Snippet({ text, label }) {
  const [done, setDone] = useState(false);
  const copy = () => {
    void navigator.clipboard?.writeText(text).then(() => {
      setDone(true);
      setTimeout(() => setDone(false), 1500);
    });
  };
  return html`<div class="snippet"><pre tabindex="0" aria-label=${label}>${text}</pre><button class="small" onClick=${copy} aria-label=${`Copy: ${label}`}>${done ? 'Copied' : 'Copy'}</button></div>`;
}

export function Start() {
  const host = location.hostname || '127.0.0.1';
  const http = `http://${host}:4318`;
  const grpc = `http://${host}:4317`;
  const [tab, setTab] = useState('env');
  const tabs = /** @type {Record<string, [string, string]>} */ ({
    env: ['Any SDK', `export OTEL_EXPORTER_OTLP_ENDPOINT=${http}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf\nexport OTEL_SERVICE_NAME=my-service`],
    grpc: ['gRPC', `export OTEL_EXPORTER_OTLP_ENDPOINT=${grpc}\nexport OTEL_EXPORTER_OTLP_PROTOCOL=grpc\nexport OTEL_SERVICE_NAME=my-service`],
    python: ['Python', `pip install opentelemetry-distro opentelemetry-exporter-otlp\nopentelemetry-bootstrap -a install\nOTEL_SERVICE_NAME=my-service OTEL_EXPORTER_OTLP_ENDPOINT=${grpc} \\\n  opentelemetry-instrument python app.py`],
    node: ['Node', `npm install @opentelemetry/api @opentelemetry/auto-instrumentations-node\nOTEL_SERVICE_NAME=my-service OTEL_EXPORTER_OTLP_ENDPOINT=${http} \\\n  node --require @opentelemetry/auto-instrumentations-node/register app.js`],
    collector: ['Collector', `exporters:\n  otlp_http/trefoil:\n    endpoint: ${http}\nservice:\n  pipelines:\n    traces:  { receivers: [otlp], exporters: [otlp_http/trefoil] }\n    metrics: { receivers: [otlp], exporters: [otlp_http/trefoil] }\n    logs:    { receivers: [otlp], exporters: [otlp_http/trefoil] }`],
    curl: ['One span by curl', curl(http)],
  });
  return html`<div class="page"><div class="start">
    <h2 style="font-size:17px">Nothing has arrived yet</h2>
    <p class="waiting" role="status">Listening. This page turns into the overview with the first span, log record or sample.</p>
    <ol>
      <li>Point a service here:
        <div class="tabs" role="tablist" aria-label="Ways to send">${Object.entries(tabs).map(([id, [name]]) => html`<button role="tab" id=${`tab-${id}`} aria-selected=${tab === id} aria-controls="tab-panel" onClick=${() => setTab(id)}>${name}</button>`)}</div>
        <div role="tabpanel" id="tab-panel" aria-labelledby=${`tab-${tab}`}>${h(Snippet, { text: tabs[tab][1], label: tabs[tab][0] })}</div></li>
      <li>Or see it with services of its own: ${h(Snippet, { text: 'trefoil demo', label: 'demo' })}</li>
      <li>Still nothing? ${h(Snippet, { text: 'trefoil doctor', label: 'doctor' })}
        <p class="dim">The most common mistakes: OTLP/gRPC sent to the HTTP port 4318, OTLP/HTTP sent to the gRPC port 4317, <code>https://</code> to a port without TLS, or a service in a container that means itself by <code>localhost</code>.</p></li>
    </ol>
  </div></div>`;
}

/** @param {string} http */
function curl(http) {
  const hex = (/** @type {number} */ n) => Array.from(crypto.getRandomValues(new Uint8Array(n)), (b) => b.toString(16).padStart(2, '0')).join('');
  const ms = Date.now();
  const span = { traceId: hex(16), spanId: hex(8), name: 'hello', kind: 2, startTimeUnixNano: `${ms - 42}000000`, endTimeUnixNano: `${ms}000000` };
  const resource = { attributes: [{ key: 'service.name', value: { stringValue: 'curl' } }] };
  return `curl -sS ${http}/v1/traces -H 'content-type: application/json' -d '${JSON.stringify({ resourceSpans: [{ resource, scopeSpans: [{ spans: [span] }] }] })}'`;
}
