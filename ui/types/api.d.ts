/** What `/ui/api/*` answers. Times are Unix milliseconds, durations nanoseconds, unless said otherwise. */

export interface Window3 { requests: number; errors: number; p95_ns: number }

export interface ServiceRow {
  name: string;
  /** Index into the palette; equal for every viewer. */
  color: number;
  requests: number;
  errors: number;
  p50_ns: number;
  p95_ns: number;
  prev: Window3;
  /** Requests per bucket, 60 of them. */
  spark: number[];
  spark_errors: number[];
  last_seen_ms: number;
}

export interface ErrorRow {
  service: string;
  color: number;
  message: string;
  source: 'span' | 'log';
  count: number;
  first_ms: number;
  last_ms: number;
  trace_id: string;
  span_id: string;
  /** First seen within the window: the one before had none. */
  fresh: boolean;
}

/** Why an answer is not whole, or empty. */
export type Partial_ = string;

export interface Overview {
  from_ms: number;
  to_ms: number;
  services: ServiceRow[];
  errors: ErrorRow[];
  partial: Partial_;
}

export interface Operation {
  name: string; kind: number; requests: number; errors: number;
  p50_ns: number; p95_ns: number; p99_ns: number; total_ns: number;
}

export interface ServiceDetail {
  name: string;
  color: number;
  times_ms: number[];
  step_ms: number;
  requests: number[];
  errors: number[];
  p50_ns: (number | null)[];
  p95_ns: (number | null)[];
  p99_ns: (number | null)[];
  operations: Operation[];
  instances: { instance: string; version: string; spans: number; last_ms: number }[];
  partial: Partial_;
}

export interface MapNode {
  name: string; color: number; kind: 'service' | 'database' | 'queue' | 'external';
  requests: number; errors: number; p95_ns: number;
}
export interface MapEdge { from: string; to: string; requests: number; errors: number; p95_ns: number }
export interface ServiceMap { nodes: MapNode[]; edges: MapEdge[]; partial: Partial_ }

export interface TraceHit {
  trace_id: string;
  root_service: string;
  root_name: string;
  start_ms: number;
  duration_ns: number;
  spans: number;
  errors: number;
  matched: number;
  /** The first matched span. */
  span_id: string;
  services: { name: string; color: number; spans: number; errors: number }[];
}
export interface TraceSearch {
  /** The TraceQL that ran: the text itself, or its translation. */
  query: string;
  translated: boolean;
  traces: TraceHit[];
  /** Which these are of how many, or empty if they are all that match. */
  more: string;
  partial: Partial_;
}

/** A trace in columns; row i of each list is span i, sorted by start. */
export interface TraceSkeleton {
  trace_id: string;
  /** Unix nanoseconds of the earliest start, as text (too big for a double). */
  start_ns: string;
  duration_ns: number;
  services: { name: string; color: number }[];
  names: string[];
  id: string[];
  /** Row of the parent, −1 for a root, −2 if the parent never arrived. */
  parent: number[];
  name: number[];
  service: number[];
  kind: number[];
  status: number[];
  /** Nanoseconds after the trace's start. */
  start: number[];
  duration: number[];
  /** Log records that carry the span's id. */
  logs: number[];
  events: number[];
  partial: Partial_;
}

export interface Attr { key: string; value: unknown; type: string }

export interface SpanDetail {
  trace_id: string; span_id: string; parent_span_id: string;
  name: string; kind: number; status: number; status_message: string;
  start_ns: string; end_ns: string; duration_ns: number; trace_state: string; flags: number;
  service: string;
  attributes: Attr[];
  events: { time_ns: string; offset_ns: number; name: string; attributes: Attr[] }[];
  links: { trace_id: string; span_id: string; attributes: Attr[] }[];
  resource: Attr[];
  scope: { name: string; version: string; attributes: Attr[] };
  dropped: { attributes: number; events: number; links: number };
}

export interface LogRow {
  /** Unix nanoseconds as text. */
  time_ns: string;
  level: 'error' | 'warn' | 'info' | 'debug' | 'trace' | '';
  service: string;
  line: string;
  trace_id: string;
  span_id: string;
  /** Everything else that is known of it. */
  labels: Record<string, string>;
}
export interface TraceLogs { rows: LogRow[]; partial: Partial_ }

export interface LogVolume {
  times_ms: number[]; step_ms: number;
  levels: { level: string; counts: number[] }[];
  total: number;
  partial: Partial_;
}

export interface MetricRow { name: string; family: string; kind: string; unit: string; help: string; series: number; services: string[] }
export interface Metrics { metrics: MetricRow[]; partial: Partial_ }

export interface ExemplarRow { time_ms: number; value: number; trace_id: string; span_id: string; series: Record<string, string> }
export interface Exemplars { exemplars: ExemplarRow[]; partial: Partial_ }

export interface SignalStatus {
  name: string; appended: number; head_items: number; head_bytes: number;
  part_items: number; part_bytes: number; parts: number; expired: number;
  received: number;
  refused: { reason: string; count: number }[];
}
export interface Status {
  version: string;
  now_ms: number;
  started_ms: number;
  /** Whether nothing was ever stored. */
  empty: boolean;
  signals: SignalStatus[];
  series: number; streams: number;
  wal_bytes: number; wal_syncs: number; replayed: number; damaged_blocks: number;
  poisoned: string | null;
  /** Export requests by transport, signal and status of the answer. */
  requests: { transport: string; signal: string; status: number; count: number }[];
  listening: { name: string; address: string }[];
  settings: { name: string; value: string }[];
}
