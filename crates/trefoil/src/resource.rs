//! Who emits: the attributes of the resource, encoded once.

use trefoil_wire::otlp::ResourceWriter;
use trefoil_wire::protobuf::Writer;

use crate::value::Value;

/// The resource of all three signals.
#[derive(Debug)]
pub(crate) struct Resource {
    attributes: Vec<(String, Value)>,
    /// An OTLP `Resource` message.
    encoded: Vec<u8>,
}

impl Resource {
    pub(crate) fn new(attributes: Vec<(String, Value)>) -> Resource {
        let mut w = Writer::new();
        for (key, value) in &attributes {
            ResourceWriter(&mut w).attribute(key, |w| value.write(w));
        }
        Resource { attributes, encoded: w.into_bytes() }
    }

    pub(crate) fn attributes(&self) -> &[(String, Value)] {
        &self.attributes
    }

    /// An OTLP `Resource` message.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}
