//! OTLP against messages that share nothing with ours: `trefoil-otlp-messages`, which the
//! official descriptors judge and prost encodes, is the judge of views, writers and JSON.
#![allow(clippy::unwrap_used, reason = "these are tests")]

mod logs;
mod metrics;
mod origin;
mod random;
mod trace;

use prost::Message;
use trefoil_wire::otlp::json::{Style, from_protobuf, to_protobuf};
use trefoil_wire::protobuf::Writer;
use trefoil_wire::protobuf::schema::Message as Described;

/// Requests to try. Each is made from its own seed, which a failure names.
const REQUESTS: u64 = 300;

/// Checks one kind of request: views see what prost wrote, prost reads what the writers
/// write, and JSON says the same.
fn check<M: Message + Default + PartialEq + std::fmt::Debug>(
    described: &'static Described,
    make: fn(&mut random::Random) -> M,
    read: fn(&[u8]) -> M,
    write: fn(&M, &mut Writer),
) {
    for seed in 1..=REQUESTS {
        let message = make(&mut random::Random::new(seed));
        let bytes = message.encode_to_vec();
        assert_eq!(read(&bytes), message, "seed {seed}: views");

        let mut writer = Writer::new();
        write(&message, &mut writer);
        assert_eq!(
            M::decode(writer.as_bytes()).ok().as_ref(),
            Some(&message),
            "seed {seed}: writers"
        );

        let mut json = String::new();
        from_protobuf(described, &bytes, Style::Otlp, &mut json).unwrap();
        let mut writer = Writer::new();
        to_protobuf(described, json.as_bytes(), &mut writer).unwrap();
        assert_eq!(M::decode(writer.as_bytes()).ok().as_ref(), Some(&message), "seed {seed}: JSON");
    }
}
