//! The messages of OTLP as data.
//!
//! Source: `opentelemetry/proto/**/*.proto` of opentelemetry-proto 1.x. Fields of profiles
//! (`*_strindex`) are left out.

use crate::protobuf::schema::FieldType as F;
use crate::protobuf::schema::Kind::{
    Bool, Bytes, Double, Enum, Fixed32, Fixed64, Id, Int64, Message as M, Sfixed64, Sint32, Str,
    Uint32, Uint64,
};
use crate::protobuf::schema::Message;

/// `ExportTraceServiceRequest`.
pub static TRACE_REQUEST: Message = Message {
    name: "ExportTraceServiceRequest",
    fields: &[F::many(1, "resource_spans", "resourceSpans", M(|| &RESOURCE_SPANS))],
};

/// `ExportMetricsServiceRequest`.
pub static METRICS_REQUEST: Message = Message {
    name: "ExportMetricsServiceRequest",
    fields: &[F::many(1, "resource_metrics", "resourceMetrics", M(|| &RESOURCE_METRICS))],
};

/// `ExportLogsServiceRequest`.
pub static LOGS_REQUEST: Message = Message {
    name: "ExportLogsServiceRequest",
    fields: &[F::many(1, "resource_logs", "resourceLogs", M(|| &RESOURCE_LOGS))],
};

/// Tempo's `Trace` as its first API prints it: the field is called `batches`.
pub static TEMPO_TRACE: Message =
    Message { name: "Trace", fields: &[F::many(1, "batches", "batches", M(|| &RESOURCE_SPANS))] };

/// Tempo's `TraceByIDResponse`, the answer of its second API. `status` is 0 for complete.
pub static TEMPO_TRACE_BY_ID_RESPONSE: Message = Message {
    name: "TraceByIDResponse",
    fields: &[
        F::one(1, "trace", "trace", M(|| &TRACE_REQUEST)),
        F::one(2, "metrics", "metrics", M(|| &TEMPO_METRICS)),
        F::one(3, "status", "status", Enum(&[("COMPLETE", 0), ("PARTIAL", 1)])),
        F::one(4, "message", "message", Str),
    ],
};

static TEMPO_METRICS: Message = Message { name: "TraceByIDMetrics", fields: &[] };

/// `ExportTraceServiceResponse`.
pub static TRACE_RESPONSE: Message = Message {
    name: "ExportTraceServiceResponse",
    fields: &[F::one(1, "partial_success", "partialSuccess", M(|| &TRACE_PARTIAL_SUCCESS))],
};

static TRACE_PARTIAL_SUCCESS: Message = Message {
    name: "ExportTracePartialSuccess",
    fields: &[
        F::one(1, "rejected_spans", "rejectedSpans", Int64),
        F::one(2, "error_message", "errorMessage", Str),
    ],
};

/// `ExportMetricsServiceResponse`.
pub static METRICS_RESPONSE: Message = Message {
    name: "ExportMetricsServiceResponse",
    fields: &[F::one(1, "partial_success", "partialSuccess", M(|| &METRICS_PARTIAL_SUCCESS))],
};

static METRICS_PARTIAL_SUCCESS: Message = Message {
    name: "ExportMetricsPartialSuccess",
    fields: &[
        F::one(1, "rejected_data_points", "rejectedDataPoints", Int64),
        F::one(2, "error_message", "errorMessage", Str),
    ],
};

/// `ExportLogsServiceResponse`.
pub static LOGS_RESPONSE: Message = Message {
    name: "ExportLogsServiceResponse",
    fields: &[F::one(1, "partial_success", "partialSuccess", M(|| &LOGS_PARTIAL_SUCCESS))],
};

static LOGS_PARTIAL_SUCCESS: Message = Message {
    name: "ExportLogsPartialSuccess",
    fields: &[
        F::one(1, "rejected_log_records", "rejectedLogRecords", Int64),
        F::one(2, "error_message", "errorMessage", Str),
    ],
};

// opentelemetry/proto/common/v1 and resource/v1

static ANY_VALUE: Message = Message {
    name: "AnyValue",
    fields: &[
        F::one(1, "string_value", "stringValue", Str),
        F::one(2, "bool_value", "boolValue", Bool),
        F::one(3, "int_value", "intValue", Int64),
        F::one(4, "double_value", "doubleValue", Double),
        F::one(5, "array_value", "arrayValue", M(|| &ARRAY_VALUE)),
        F::one(6, "kvlist_value", "kvlistValue", M(|| &KEY_VALUE_LIST)),
        F::one(7, "bytes_value", "bytesValue", Bytes),
    ],
};

static ARRAY_VALUE: Message =
    Message { name: "ArrayValue", fields: &[F::many(1, "values", "values", M(|| &ANY_VALUE))] };

static KEY_VALUE_LIST: Message =
    Message { name: "KeyValueList", fields: &[F::many(1, "values", "values", M(|| &KEY_VALUE))] };

static KEY_VALUE: Message = Message {
    name: "KeyValue",
    fields: &[F::one(1, "key", "key", Str), F::one(2, "value", "value", M(|| &ANY_VALUE))],
};

static RESOURCE: Message = Message {
    name: "Resource",
    fields: &[
        F::many(1, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(2, "dropped_attributes_count", "droppedAttributesCount", Uint32),
        F::many(3, "entity_refs", "entityRefs", M(|| &ENTITY_REF)),
    ],
};

static ENTITY_REF: Message = Message {
    name: "EntityRef",
    fields: &[
        F::one(1, "schema_url", "schemaUrl", Str),
        F::one(2, "type", "type", Str),
        F::many(3, "id_keys", "idKeys", Str),
        F::many(4, "description_keys", "descriptionKeys", Str),
    ],
};

static SCOPE: Message = Message {
    name: "InstrumentationScope",
    fields: &[
        F::one(1, "name", "name", Str),
        F::one(2, "version", "version", Str),
        F::many(3, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(4, "dropped_attributes_count", "droppedAttributesCount", Uint32),
    ],
};

// opentelemetry/proto/trace/v1

static RESOURCE_SPANS: Message = Message {
    name: "ResourceSpans",
    fields: &[
        F::one(1, "resource", "resource", M(|| &RESOURCE)),
        F::many(2, "scope_spans", "scopeSpans", M(|| &SCOPE_SPANS)),
        F::one(3, "schema_url", "schemaUrl", Str),
    ],
};

static SCOPE_SPANS: Message = Message {
    name: "ScopeSpans",
    fields: &[
        F::one(1, "scope", "scope", M(|| &SCOPE)),
        F::many(2, "spans", "spans", M(|| &SPAN)),
        F::one(3, "schema_url", "schemaUrl", Str),
    ],
};

const SPAN_KIND: &[(&str, i32)] = &[
    ("SPAN_KIND_UNSPECIFIED", 0),
    ("SPAN_KIND_INTERNAL", 1),
    ("SPAN_KIND_SERVER", 2),
    ("SPAN_KIND_CLIENT", 3),
    ("SPAN_KIND_PRODUCER", 4),
    ("SPAN_KIND_CONSUMER", 5),
];

static SPAN: Message = Message {
    name: "Span",
    fields: &[
        F::one(1, "trace_id", "traceId", Id),
        F::one(2, "span_id", "spanId", Id),
        F::one(3, "trace_state", "traceState", Str),
        F::one(4, "parent_span_id", "parentSpanId", Id),
        F::one(16, "flags", "flags", Fixed32),
        F::one(5, "name", "name", Str),
        F::one(6, "kind", "kind", Enum(SPAN_KIND)),
        F::one(7, "start_time_unix_nano", "startTimeUnixNano", Fixed64),
        F::one(8, "end_time_unix_nano", "endTimeUnixNano", Fixed64),
        F::many(9, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(10, "dropped_attributes_count", "droppedAttributesCount", Uint32),
        F::many(11, "events", "events", M(|| &EVENT)),
        F::one(12, "dropped_events_count", "droppedEventsCount", Uint32),
        F::many(13, "links", "links", M(|| &LINK)),
        F::one(14, "dropped_links_count", "droppedLinksCount", Uint32),
        F::one(15, "status", "status", M(|| &STATUS)),
    ],
};

static EVENT: Message = Message {
    name: "Event",
    fields: &[
        F::one(1, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(2, "name", "name", Str),
        F::many(3, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(4, "dropped_attributes_count", "droppedAttributesCount", Uint32),
    ],
};

static LINK: Message = Message {
    name: "Link",
    fields: &[
        F::one(1, "trace_id", "traceId", Id),
        F::one(2, "span_id", "spanId", Id),
        F::one(3, "trace_state", "traceState", Str),
        F::many(4, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(5, "dropped_attributes_count", "droppedAttributesCount", Uint32),
        F::one(6, "flags", "flags", Fixed32),
    ],
};

const STATUS_CODE: &[(&str, i32)] =
    &[("STATUS_CODE_UNSET", 0), ("STATUS_CODE_OK", 1), ("STATUS_CODE_ERROR", 2)];

static STATUS: Message = Message {
    name: "Status",
    fields: &[F::one(2, "message", "message", Str), F::one(3, "code", "code", Enum(STATUS_CODE))],
};

// opentelemetry/proto/metrics/v1

static RESOURCE_METRICS: Message = Message {
    name: "ResourceMetrics",
    fields: &[
        F::one(1, "resource", "resource", M(|| &RESOURCE)),
        F::many(2, "scope_metrics", "scopeMetrics", M(|| &SCOPE_METRICS)),
        F::one(3, "schema_url", "schemaUrl", Str),
    ],
};

static SCOPE_METRICS: Message = Message {
    name: "ScopeMetrics",
    fields: &[
        F::one(1, "scope", "scope", M(|| &SCOPE)),
        F::many(2, "metrics", "metrics", M(|| &METRIC)),
        F::one(3, "schema_url", "schemaUrl", Str),
    ],
};

/// `Metric`.
pub static METRIC: Message = Message {
    name: "Metric",
    fields: &[
        F::one(1, "name", "name", Str),
        F::one(2, "description", "description", Str),
        F::one(3, "unit", "unit", Str),
        F::one(5, "gauge", "gauge", M(|| &GAUGE)),
        F::one(7, "sum", "sum", M(|| &SUM)),
        F::one(9, "histogram", "histogram", M(|| &HISTOGRAM)),
        F::one(10, "exponential_histogram", "exponentialHistogram", M(|| &EXPONENTIAL_HISTOGRAM)),
        F::one(11, "summary", "summary", M(|| &SUMMARY)),
        F::many(12, "metadata", "metadata", M(|| &KEY_VALUE)),
    ],
};

const TEMPORALITY: &[(&str, i32)] = &[
    ("AGGREGATION_TEMPORALITY_UNSPECIFIED", 0),
    ("AGGREGATION_TEMPORALITY_DELTA", 1),
    ("AGGREGATION_TEMPORALITY_CUMULATIVE", 2),
];

static GAUGE: Message = Message {
    name: "Gauge",
    fields: &[F::many(1, "data_points", "dataPoints", M(|| &NUMBER_DATA_POINT))],
};

static SUM: Message = Message {
    name: "Sum",
    fields: &[
        F::many(1, "data_points", "dataPoints", M(|| &NUMBER_DATA_POINT)),
        F::one(2, "aggregation_temporality", "aggregationTemporality", Enum(TEMPORALITY)),
        F::one(3, "is_monotonic", "isMonotonic", Bool),
    ],
};

static HISTOGRAM: Message = Message {
    name: "Histogram",
    fields: &[
        F::many(1, "data_points", "dataPoints", M(|| &HISTOGRAM_DATA_POINT)),
        F::one(2, "aggregation_temporality", "aggregationTemporality", Enum(TEMPORALITY)),
    ],
};

static EXPONENTIAL_HISTOGRAM: Message = Message {
    name: "ExponentialHistogram",
    fields: &[
        F::many(1, "data_points", "dataPoints", M(|| &EXPONENTIAL_HISTOGRAM_DATA_POINT)),
        F::one(2, "aggregation_temporality", "aggregationTemporality", Enum(TEMPORALITY)),
    ],
};

static SUMMARY: Message = Message {
    name: "Summary",
    fields: &[F::many(1, "data_points", "dataPoints", M(|| &SUMMARY_DATA_POINT))],
};

static NUMBER_DATA_POINT: Message = Message {
    name: "NumberDataPoint",
    fields: &[
        F::many(7, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(2, "start_time_unix_nano", "startTimeUnixNano", Fixed64),
        F::one(3, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(4, "as_double", "asDouble", Double),
        F::one(6, "as_int", "asInt", Sfixed64),
        F::many(5, "exemplars", "exemplars", M(|| &EXEMPLAR)),
        F::one(8, "flags", "flags", Uint32),
    ],
};

static HISTOGRAM_DATA_POINT: Message = Message {
    name: "HistogramDataPoint",
    fields: &[
        F::many(9, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(2, "start_time_unix_nano", "startTimeUnixNano", Fixed64),
        F::one(3, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(4, "count", "count", Fixed64),
        F::one(5, "sum", "sum", Double),
        F::many(6, "bucket_counts", "bucketCounts", Fixed64),
        F::many(7, "explicit_bounds", "explicitBounds", Double),
        F::many(8, "exemplars", "exemplars", M(|| &EXEMPLAR)),
        F::one(10, "flags", "flags", Uint32),
        F::one(11, "min", "min", Double),
        F::one(12, "max", "max", Double),
    ],
};

static EXPONENTIAL_HISTOGRAM_DATA_POINT: Message = Message {
    name: "ExponentialHistogramDataPoint",
    fields: &[
        F::many(1, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(2, "start_time_unix_nano", "startTimeUnixNano", Fixed64),
        F::one(3, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(4, "count", "count", Fixed64),
        F::one(5, "sum", "sum", Double),
        F::one(6, "scale", "scale", Sint32),
        F::one(7, "zero_count", "zeroCount", Fixed64),
        F::one(8, "positive", "positive", M(|| &BUCKETS)),
        F::one(9, "negative", "negative", M(|| &BUCKETS)),
        F::one(10, "flags", "flags", Uint32),
        F::many(11, "exemplars", "exemplars", M(|| &EXEMPLAR)),
        F::one(12, "min", "min", Double),
        F::one(13, "max", "max", Double),
        F::one(14, "zero_threshold", "zeroThreshold", Double),
    ],
};

static BUCKETS: Message = Message {
    name: "Buckets",
    fields: &[
        F::one(1, "offset", "offset", Sint32),
        F::many(2, "bucket_counts", "bucketCounts", Uint64),
    ],
};

static SUMMARY_DATA_POINT: Message = Message {
    name: "SummaryDataPoint",
    fields: &[
        F::many(7, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(2, "start_time_unix_nano", "startTimeUnixNano", Fixed64),
        F::one(3, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(4, "count", "count", Fixed64),
        F::one(5, "sum", "sum", Double),
        F::many(6, "quantile_values", "quantileValues", M(|| &VALUE_AT_QUANTILE)),
        F::one(8, "flags", "flags", Uint32),
    ],
};

static VALUE_AT_QUANTILE: Message = Message {
    name: "ValueAtQuantile",
    fields: &[F::one(1, "quantile", "quantile", Double), F::one(2, "value", "value", Double)],
};

static EXEMPLAR: Message = Message {
    name: "Exemplar",
    fields: &[
        F::many(7, "filtered_attributes", "filteredAttributes", M(|| &KEY_VALUE)),
        F::one(2, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(3, "as_double", "asDouble", Double),
        F::one(6, "as_int", "asInt", Sfixed64),
        F::one(4, "span_id", "spanId", Id),
        F::one(5, "trace_id", "traceId", Id),
    ],
};

// opentelemetry/proto/logs/v1

static RESOURCE_LOGS: Message = Message {
    name: "ResourceLogs",
    fields: &[
        F::one(1, "resource", "resource", M(|| &RESOURCE)),
        F::many(2, "scope_logs", "scopeLogs", M(|| &SCOPE_LOGS)),
        F::one(3, "schema_url", "schemaUrl", Str),
    ],
};

static SCOPE_LOGS: Message = Message {
    name: "ScopeLogs",
    fields: &[
        F::one(1, "scope", "scope", M(|| &SCOPE)),
        F::many(2, "log_records", "logRecords", M(|| &LOG_RECORD)),
        F::one(3, "schema_url", "schemaUrl", Str),
    ],
};

const SEVERITY: &[(&str, i32)] = &[
    ("SEVERITY_NUMBER_UNSPECIFIED", 0),
    ("SEVERITY_NUMBER_TRACE", 1),
    ("SEVERITY_NUMBER_TRACE2", 2),
    ("SEVERITY_NUMBER_TRACE3", 3),
    ("SEVERITY_NUMBER_TRACE4", 4),
    ("SEVERITY_NUMBER_DEBUG", 5),
    ("SEVERITY_NUMBER_DEBUG2", 6),
    ("SEVERITY_NUMBER_DEBUG3", 7),
    ("SEVERITY_NUMBER_DEBUG4", 8),
    ("SEVERITY_NUMBER_INFO", 9),
    ("SEVERITY_NUMBER_INFO2", 10),
    ("SEVERITY_NUMBER_INFO3", 11),
    ("SEVERITY_NUMBER_INFO4", 12),
    ("SEVERITY_NUMBER_WARN", 13),
    ("SEVERITY_NUMBER_WARN2", 14),
    ("SEVERITY_NUMBER_WARN3", 15),
    ("SEVERITY_NUMBER_WARN4", 16),
    ("SEVERITY_NUMBER_ERROR", 17),
    ("SEVERITY_NUMBER_ERROR2", 18),
    ("SEVERITY_NUMBER_ERROR3", 19),
    ("SEVERITY_NUMBER_ERROR4", 20),
    ("SEVERITY_NUMBER_FATAL", 21),
    ("SEVERITY_NUMBER_FATAL2", 22),
    ("SEVERITY_NUMBER_FATAL3", 23),
    ("SEVERITY_NUMBER_FATAL4", 24),
];

static LOG_RECORD: Message = Message {
    name: "LogRecord",
    fields: &[
        F::one(1, "time_unix_nano", "timeUnixNano", Fixed64),
        F::one(11, "observed_time_unix_nano", "observedTimeUnixNano", Fixed64),
        F::one(2, "severity_number", "severityNumber", Enum(SEVERITY)),
        F::one(3, "severity_text", "severityText", Str),
        F::one(5, "body", "body", M(|| &ANY_VALUE)),
        F::many(6, "attributes", "attributes", M(|| &KEY_VALUE)),
        F::one(7, "dropped_attributes_count", "droppedAttributesCount", Uint32),
        F::one(8, "flags", "flags", Fixed32),
        F::one(9, "trace_id", "traceId", Id),
        F::one(10, "span_id", "spanId", Id),
        F::one(12, "event_name", "eventName", Str),
    ],
};
