//! What all signals have: values, attributes and scopes.

pub mod v1 {
    use prost::{Message, Oneof};

    #[derive(Clone, PartialEq, Message)]
    pub struct AnyValue {
        #[prost(oneof = "any_value::Value", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
        pub value: Option<any_value::Value>,
    }

    pub mod any_value {
        use super::{ArrayValue, KeyValueList, Oneof};

        #[derive(Clone, PartialEq, Oneof)]
        pub enum Value {
            #[prost(string, tag = "1")]
            StringValue(String),
            #[prost(bool, tag = "2")]
            BoolValue(bool),
            #[prost(int64, tag = "3")]
            IntValue(i64),
            #[prost(double, tag = "4")]
            DoubleValue(f64),
            #[prost(message, tag = "5")]
            ArrayValue(ArrayValue),
            #[prost(message, tag = "6")]
            KvlistValue(KeyValueList),
            #[prost(bytes = "vec", tag = "7")]
            BytesValue(Vec<u8>),
            /// Of profiles, like `key_strindex`: in other signals nobody may send it.
            #[prost(int32, tag = "8")]
            StringValueStrindex(i32),
        }
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct ArrayValue {
        #[prost(message, repeated, tag = "1")]
        pub values: Vec<AnyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct KeyValueList {
        #[prost(message, repeated, tag = "1")]
        pub values: Vec<KeyValue>,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
        #[prost(int32, tag = "3")]
        pub key_strindex: i32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct InstrumentationScope {
        #[prost(string, tag = "1")]
        pub name: String,
        #[prost(string, tag = "2")]
        pub version: String,
        #[prost(message, repeated, tag = "3")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "4")]
        pub dropped_attributes_count: u32,
    }

    #[derive(Clone, PartialEq, Message)]
    pub struct EntityRef {
        #[prost(string, tag = "1")]
        pub schema_url: String,
        #[prost(string, tag = "2")]
        pub r#type: String,
        #[prost(string, repeated, tag = "3")]
        pub id_keys: Vec<String>,
        #[prost(string, repeated, tag = "4")]
        pub description_keys: Vec<String>,
    }
}
