//! What is asked of a receiver of each signal, and what it answers.

pub mod trace {
    pub mod v1 {
        use prost::Message;

        use crate::trace::v1::ResourceSpans;

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportTraceServiceRequest {
            #[prost(message, repeated, tag = "1")]
            pub resource_spans: Vec<ResourceSpans>,
        }

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportTraceServiceResponse {
            #[prost(message, optional, tag = "1")]
            pub partial_success: Option<ExportTracePartialSuccess>,
        }

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportTracePartialSuccess {
            #[prost(int64, tag = "1")]
            pub rejected_spans: i64,
            #[prost(string, tag = "2")]
            pub error_message: String,
        }
    }
}

pub mod metrics {
    pub mod v1 {
        use prost::Message;

        use crate::metrics::v1::ResourceMetrics;

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportMetricsServiceRequest {
            #[prost(message, repeated, tag = "1")]
            pub resource_metrics: Vec<ResourceMetrics>,
        }

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportMetricsServiceResponse {
            #[prost(message, optional, tag = "1")]
            pub partial_success: Option<ExportMetricsPartialSuccess>,
        }

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportMetricsPartialSuccess {
            #[prost(int64, tag = "1")]
            pub rejected_data_points: i64,
            #[prost(string, tag = "2")]
            pub error_message: String,
        }
    }
}

pub mod logs {
    pub mod v1 {
        use prost::Message;

        use crate::logs::v1::ResourceLogs;

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportLogsServiceRequest {
            #[prost(message, repeated, tag = "1")]
            pub resource_logs: Vec<ResourceLogs>,
        }

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportLogsServiceResponse {
            #[prost(message, optional, tag = "1")]
            pub partial_success: Option<ExportLogsPartialSuccess>,
        }

        #[derive(Clone, PartialEq, Message)]
        pub struct ExportLogsPartialSuccess {
            #[prost(int64, tag = "1")]
            pub rejected_log_records: i64,
            #[prost(string, tag = "2")]
            pub error_message: String,
        }
    }
}
