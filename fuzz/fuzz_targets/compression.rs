#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_wire::compression::{Encoding, Error, compress, decompress};

const LIMIT: usize = 1 << 16;

// The first byte says how the rest is compressed, and whether to compress it first.
fuzz_target!(init: seeds::write("compression"), |data: &[u8]| {
    let Some((&which, body)) = data.split_first() else { return };
    let encoding = match which % 4 {
        0 => Encoding::Gzip,
        1 => Encoding::Deflate,
        2 => Encoding::Zstd,
        _ => Encoding::SnappyBlock,
    };
    let mut out = Vec::new();
    if which < 128 {
        match decompress(encoding, body, LIMIT, &mut out) {
            Ok(()) => assert!(out.len() <= LIMIT),
            Err(Error::TooLarge { limit }) => assert_eq!(limit, LIMIT),
            Err(error) => assert!(!error.to_string().is_empty()),
        }
        assert!(out.capacity() <= 4 * LIMIT);
    } else {
        let packed = compress(encoding, body).expect("memory is there");
        decompress(encoding, &packed, body.len(), &mut out).expect("our own");
        assert_eq!(out, body);
    }
});
