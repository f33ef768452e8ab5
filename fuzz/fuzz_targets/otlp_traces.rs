#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, walk};
use trefoil_wire::otlp::schema::TRACE_REQUEST;

fuzz_target!(
    init: seeds::write("otlp_traces"),
    |data: &[u8]| walk::check(&TRACE_REQUEST, data, walk::traces)
);
