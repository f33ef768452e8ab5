#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, walk};
use trefoil_wire::otlp::json::to_protobuf;
use trefoil_wire::otlp::schema::{LOGS_REQUEST, METRICS_REQUEST, TRACE_REQUEST};
use trefoil_wire::protobuf::Writer;

// The first byte says which request the JSON should be.
fuzz_target!(init: seeds::write("otlp_json"), |data: &[u8]| {
    let Some((which, json)) = data.split_first() else { return };
    let mut out = Writer::new();
    let (message, walk) = match which % 3 {
        0 => (&TRACE_REQUEST, walk::traces as fn(&[u8]) -> _),
        1 => (&METRICS_REQUEST, walk::metrics as fn(&[u8]) -> _),
        _ => (&LOGS_REQUEST, walk::logs as fn(&[u8]) -> _),
    };
    match to_protobuf(message, json, &mut out) {
        Ok(()) => walk::check(message, out.as_bytes(), walk),
        Err(error) => assert!(error.line > 0 && error.column > 0 && !error.message.is_empty()),
    }
});
