//! One item of each signal, as a request of OTLP.

use trefoil_wire::protobuf::Writer;

use crate::account::Signal;
use crate::resource::Resource;

/// The name of what is sent.
pub(super) const NAME: &str = "trefoil.doctor";

/// An export request with one item in it, at `now_ns` Unix nanoseconds.
///
/// The requests of the three signals have the same shape: resource, scope, item. Source of
/// the numbers: opentelemetry-proto 1.x.
pub(super) fn request(signal: Signal, resource: &Resource, now_ns: u64) -> Vec<u8> {
    let mut w = Writer::new();
    w.message(1, |w| {
        w.bytes(1, resource.encoded());
        w.message(2, |w| {
            w.message(1, |w| w.str(1, NAME));
            w.message(2, |w| match signal {
                Signal::Traces => span(w, now_ns),
                Signal::Metrics => metric(w, now_ns),
                Signal::Logs => record(w, now_ns),
            });
        });
    });
    w.into_bytes()
}

fn span(w: &mut Writer, now_ns: u64) {
    use std::hash::BuildHasher as _;
    // The standard library's keys are random, which is all that these ids need.
    let random = |n: u8| std::hash::RandomState::new().hash_one((now_ns, n)) | 1;
    let trace_id = [random(1).to_be_bytes(), random(2).to_be_bytes()].concat();
    w.bytes(1, &trace_id);
    w.bytes(2, &random(3).to_be_bytes());
    w.str(5, NAME);
    const INTERNAL: u64 = 1;
    w.varint(6, INTERNAL);
    w.fixed64(7, now_ns);
    w.fixed64(8, now_ns);
    w.fixed32(16, 1);
}

fn metric(w: &mut Writer, now_ns: u64) {
    w.str(1, NAME);
    w.str(2, "Sent by the doctor to see whether it arrives; always 1.");
    w.message(5, |gauge| {
        gauge.message(1, |point| {
            point.fixed64(3, now_ns);
            point.fixed64(6, 1);
        });
    });
}

fn record(w: &mut Writer, now_ns: u64) {
    const INFO: u64 = 9;
    w.fixed64(1, now_ns);
    w.fixed64(11, now_ns);
    w.varint(2, INFO);
    w.str(3, "INFO");
    w.message(5, |body| body.str(1, "sent by the doctor to see whether it arrives"));
}
