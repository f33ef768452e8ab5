#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, walk};
use trefoil_wire::otlp::schema::METRICS_REQUEST;

fuzz_target!(
    init: seeds::write("otlp_metrics"),
    |data: &[u8]| walk::check(&METRICS_REQUEST, data, walk::metrics)
);
