//! Log records.

pub mod v1 {
    use prost::{Enumeration, Message};

    use crate::common::v1::{AnyValue, InstrumentationScope, KeyValue};
    use crate::resource::v1::Resource;

    #[derive(Clone, PartialEq, Message)]
    pub struct LogsData {
        #[prost(message, repeated, tag = "1")]
        pub resource_logs: Vec<ResourceLogs>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ResourceLogs {
        #[prost(message, optional, tag = "1")]
        pub resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")]
        pub scope_logs: Vec<ScopeLogs>,
        #[prost(string, tag = "3")]
        pub schema_url: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ScopeLogs {
        #[prost(message, optional, tag = "1")]
        pub scope: Option<InstrumentationScope>,
        #[prost(message, repeated, tag = "2")]
        pub log_records: Vec<LogRecord>,
        #[prost(string, tag = "3")]
        pub schema_url: String,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct LogRecord {
        #[prost(fixed64, tag = "1")]
        pub time_unix_nano: u64,
        #[prost(fixed64, tag = "11")]
        pub observed_time_unix_nano: u64,
        #[prost(enumeration = "SeverityNumber", tag = "2")]
        pub severity_number: i32,
        #[prost(string, tag = "3")]
        pub severity_text: String,
        #[prost(message, optional, tag = "5")]
        pub body: Option<AnyValue>,
        #[prost(message, repeated, tag = "6")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "7")]
        pub dropped_attributes_count: u32,
        #[prost(fixed32, tag = "8")]
        pub flags: u32,
        #[prost(bytes = "vec", tag = "9")]
        pub trace_id: Vec<u8>,
        #[prost(bytes = "vec", tag = "10")]
        pub span_id: Vec<u8>,
        #[prost(string, tag = "12")]
        pub event_name: String,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
    pub enum SeverityNumber {
        Unspecified = 0,
        Trace = 1,
        Trace2 = 2,
        Trace3 = 3,
        Trace4 = 4,
        Debug = 5,
        Debug2 = 6,
        Debug3 = 7,
        Debug4 = 8,
        Info = 9,
        Info2 = 10,
        Info3 = 11,
        Info4 = 12,
        Warn = 13,
        Warn2 = 14,
        Warn3 = 15,
        Warn4 = 16,
        Error = 17,
        Error2 = 18,
        Error3 = 19,
        Error4 = 20,
        Fatal = 21,
        Fatal2 = 22,
        Fatal3 = 23,
        Fatal4 = 24,
    }
}
