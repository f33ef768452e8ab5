#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_wire::grpc::{
    FRAME_HEADER_BYTES, decode_message, encode_message, parse_timeout, push_frame, split_frame,
};

fuzz_target!(init: seeds::write("grpc"), |data: &[u8]| {
    let mut rest = data;
    let mut again = Vec::new();
    while let Ok(Some((frame, after))) = split_frame(rest, 1000) {
        assert!(frame.message.len() <= 1000);
        assert_eq!(rest.len(), FRAME_HEADER_BYTES + frame.message.len() + after.len());
        push_frame(frame.message, frame.compressed, &mut again).expect("short");
        rest = after;
    }
    assert!(data.starts_with(&again));
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = parse_timeout(text);
        let _ = decode_message(text);
        assert_eq!(decode_message(&encode_message(text)), text);
    }
});
