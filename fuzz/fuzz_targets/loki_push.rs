#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, walk};
use trefoil_wire::loki_push::{PUSH_REQUEST, PushRequest, parse_labels, to_protobuf};
use trefoil_wire::protobuf::{Result, Writer};

fuzz_target!(init: seeds::write("loki_push"), |data: &[u8]| {
    match look(data, false) {
        Ok(()) => {}
        Err(error) => walk::explain(&error, &PUSH_REQUEST, data),
    }
    let mut out = Writer::new();
    if to_protobuf(data, &mut out).is_ok() {
        look(out.as_bytes(), true).expect("our own bytes");
    }
    if let Ok(text) = std::str::from_utf8(data)
        && let Err(error) = parse_labels(text)
    {
        assert!(error.offset <= text.len());
    }
});

/// What was JSON has labels that can be read and times that fit.
fn look(bytes: &[u8], was_json: bool) -> Result<()> {
    for stream in PushRequest::new(bytes)?.streams {
        let stream = stream?;
        // JSON may name a label twice or bring too many; everything else was checked.
        if let Err(error) = parse_labels(stream.labels) {
            let excused = error.message.contains("twice") || error.message.contains("more than");
            assert!(!was_json || excused, "{error}: {}", stream.labels);
        }
        for entry in stream.entries {
            let entry = entry?;
            assert!(!was_json || entry.time_unix_nano().is_some());
            entry.structured_metadata.iter().try_for_each(|pair| pair.map(drop))?;
        }
    }
    Ok(())
}
