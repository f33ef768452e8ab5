//! Who emitted.

pub mod v1 {
    use prost::Message;

    use crate::common::v1::{EntityRef, KeyValue};

    #[derive(Clone, PartialEq, Message)]
    pub struct Resource {
        #[prost(message, repeated, tag = "1")]
        pub attributes: Vec<KeyValue>,
        #[prost(uint32, tag = "2")]
        pub dropped_attributes_count: u32,
        #[prost(message, repeated, tag = "3")]
        pub entity_refs: Vec<EntityRef>,
    }
}
