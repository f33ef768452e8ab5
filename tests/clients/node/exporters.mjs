// The official exporters: protobuf and JSON over HTTP, and gRPC.
import { OTLPLogExporter as LogsGrpc } from '@opentelemetry/exporter-logs-otlp-grpc';
import { OTLPLogExporter as LogsJson } from '@opentelemetry/exporter-logs-otlp-http';
import { OTLPLogExporter as LogsProto } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPMetricExporter as MetricsGrpc } from '@opentelemetry/exporter-metrics-otlp-grpc';
import { OTLPMetricExporter as MetricsJson } from '@opentelemetry/exporter-metrics-otlp-http';
import { OTLPMetricExporter as MetricsProto } from '@opentelemetry/exporter-metrics-otlp-proto';
import { OTLPTraceExporter as TracesGrpc } from '@opentelemetry/exporter-trace-otlp-grpc';
import { OTLPTraceExporter as TracesJson } from '@opentelemetry/exporter-trace-otlp-http';
import { OTLPTraceExporter as TracesProto } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';

const over = (signal, Proto, Json, Grpc) => ({
  proto: (server, more) => new Proto({ url: `${server.otlp}/v1/${signal}`, ...more }),
  json: (server, more) => new Json({ url: `${server.otlp}/v1/${signal}`, ...more }),
  gzip: (server, more) =>
    new Proto({ url: `${server.otlp}/v1/${signal}`, compression: 'gzip', ...more }),
  grpc: (server, more) => new Grpc({ url: server.grpc, ...more }),
});

/** Each exporter by name, made for a server. */
export const traces = over('traces', TracesProto, TracesJson, TracesGrpc);
export const metrics = over('metrics', MetricsProto, MetricsJson, MetricsGrpc);
export const logs = over('logs', LogsProto, LogsJson, LogsGrpc);

export const resource = resourceFromAttributes({
  'service.name': 'checkout',
  'service.namespace': 'shop',
  'service.instance.id': 'checkout-1',
  'host.cpus': 8,
  'host.virtual': true,
});
