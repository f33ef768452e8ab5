//! Metrics and their points.

pub mod v1 {
    use prost::{Enumeration, Message, Oneof};

    use crate::common::v1::{InstrumentationScope, KeyValue};
    use crate::resource::v1::Resource;

    #[derive(Clone, PartialEq, Message)]
    pub struct MetricsData {
        #[prost(message, repeated, tag = "1")]
        pub resource_metrics: Vec<ResourceMetrics>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ResourceMetrics {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_metrics: Vec<ScopeMetrics>,
        #[prost(string, tag = "3")]
        pub schema_url: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ScopeMetrics {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<InstrumentationScope>,
        #[prost(message, repeated, tag = "2")]
        pub metrics: Vec<Metric>,
        #[prost(string, tag = "3")]
        pub schema_url: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Metric {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub description: String,
        #[prost(string, tag = "3")]
        pub unit: String,
        #[prost(oneof = "metric::Data", tags = "5, 7, 9, 10, 11")]
        pub data: Option<metric::Data>,
        #[prost(message, repeated, tag = "12")]
        pub metadata: Vec<KeyValue>,
    }

    pub mod metric {
        use super::{ExponentialHistogram, Gauge, Histogram, Oneof, Sum, Summary};

        #[derive(Clone, PartialEq, Oneof)]
        pub enum Data {
            #[prost(message, tag = "5")]
            Gauge(Gauge),
            #[prost(message, tag = "7")]
            Sum(Sum),
            #[prost(message, tag = "9")]
            Histogram(Histogram),
            #[prost(message, tag = "10")]
            ExponentialHistogram(ExponentialHistogram),
            #[prost(message, tag = "11")]
            Summary(Summary),
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Gauge {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<NumberDataPoint>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Sum {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<NumberDataPoint>,
        #[prost(enumeration = "AggregationTemporality", tag = "2")]
        pub aggregation_temporality: i32,
        #[prost(bool, tag = "3")]
        pub is_monotonic: bool,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Histogram {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<HistogramDataPoint>,
        #[prost(enumeration = "AggregationTemporality", tag = "2")]
        pub aggregation_temporality: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ExponentialHistogram {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<ExponentialHistogramDataPoint>,
        #[prost(enumeration = "AggregationTemporality", tag = "2")]
        pub aggregation_temporality: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Summary {
        #[prost(message, repeated, tag = "1")]
        pub data_points: Vec<SummaryDataPoint>,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
    pub enum AggregationTemporality {
        Unspecified = 0,
        Delta = 1,
        Cumulative = 2,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct NumberDataPoint {
        #[prost(message, repeated, tag = "7")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        pub time_unix_nano: u64,
        #[prost(oneof = "number_data_point::Value", tags = "4, 6")]
        pub value: Option<number_data_point::Value>,
        #[prost(message, repeated, tag = "5")]
        pub exemplars: Vec<Exemplar>,
        #[prost(uint32, tag = "8")]
        pub flags: u32,
    }

    pub mod number_data_point {
        use super::Oneof;

        #[derive(Clone, Copy, PartialEq, Oneof)]
        pub enum Value {
            #[prost(double, tag = "4")]
            AsDouble(f64),
            #[prost(sfixed64, tag = "6")]
            AsInt(i64),
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct HistogramDataPoint {
        #[prost(message, repeated, tag = "9")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        pub count: u64,
        #[prost(double, optional, tag = "5")]
        pub sum: Option<f64>,
        #[prost(fixed64, repeated, tag = "6")]
        pub bucket_counts: Vec<u64>,
        #[prost(double, repeated, tag = "7")]
        pub explicit_bounds: Vec<f64>,
        #[prost(message, repeated, tag = "8")]
        pub exemplars: Vec<Exemplar>,
        #[prost(uint32, tag = "10")]
        pub flags: u32,
        #[prost(double, optional, tag = "11")]
        pub min: Option<f64>,
        #[prost(double, optional, tag = "12")]
        pub max: Option<f64>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ExponentialHistogramDataPoint {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        pub count: u64,
        #[prost(double, optional, tag = "5")]
        pub sum: Option<f64>,
        #[prost(sint32, tag = "6")]
        pub scale: i32,
        #[prost(fixed64, tag = "7")]
        pub zero_count: u64,
        #[prost(message, optional, tag = "8")]
        pub positive: Option<exponential_histogram_data_point::Buckets>,
        #[prost(message, optional, tag = "9")]
        pub negative: Option<exponential_histogram_data_point::Buckets>,
        #[prost(uint32, tag = "10")]
        pub flags: u32,
        #[prost(message, repeated, tag = "11")]
        pub exemplars: Vec<Exemplar>,
        #[prost(double, optional, tag = "12")]
        pub min: Option<f64>,
        #[prost(double, optional, tag = "13")]
        pub max: Option<f64>,
        #[prost(double, tag = "14")]
        pub zero_threshold: f64,
    }

    pub mod exponential_histogram_data_point {
        use super::Message;

        #[derive(Clone, PartialEq, Message)]
        pub struct Buckets {
            #[prost(sint32, tag = "1")]
            pub offset: i32,
            #[prost(uint64, repeated, tag = "2")]
            pub bucket_counts: Vec<u64>,
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct SummaryDataPoint {
        #[prost(message, repeated, tag = "7")]
        pub attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub start_time_unix_nano: u64,
        #[prost(fixed64, tag = "3")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "4")]
        pub count: u64,
        #[prost(double, tag = "5")]
        pub sum: f64,
        #[prost(message, repeated, tag = "6")]
        pub quantile_values: Vec<summary_data_point::ValueAtQuantile>,
        #[prost(uint32, tag = "8")]
        pub flags: u32,
    }

    pub mod summary_data_point {
        use super::Message;

        #[derive(Clone, Copy, PartialEq, Message)]
        pub struct ValueAtQuantile {
            #[prost(double, tag = "1")]
            pub quantile: f64,
            #[prost(double, tag = "2")]
            pub value: f64,
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct Exemplar {
        #[prost(message, repeated, tag = "7")]
        pub filtered_attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "2")]
        pub time_unix_nano: u64,
        #[prost(oneof = "exemplar::Value", tags = "3, 6")]
        pub value: Option<exemplar::Value>,
        #[prost(bytes = "vec", tag = "4")]
        pub span_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "5")]
        pub trace_id: Vec<u8>,
    }

    pub mod exemplar {
        use super::Oneof;

        #[derive(Clone, Copy, PartialEq, Oneof)]
        pub enum Value {
            #[prost(double, tag = "3")]
            AsDouble(f64),
            #[prost(sfixed64, tag = "6")]
            AsInt(i64),
        }
    }
}
