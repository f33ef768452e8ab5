#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, walk};
use trefoil_wire::otlp::schema::LOGS_REQUEST;

fuzz_target!(
    init: seeds::write("otlp_logs"),
    |data: &[u8]| walk::check(&LOGS_REQUEST, data, walk::logs)
);
