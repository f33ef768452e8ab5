#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::part::Part;
use trefoil_fuzz::{seeds, store};
use trefoil_store::Store;

struct Base {
    scratch: store::Scratch,
    manifest: Vec<u8>,
    parts: Vec<(String, Vec<u8>, Part)>,
}

// The first byte picks a part, the second a piece of it; the rest are changes.
fuzz_target!(init: seeds::write("store_parts"), |data: &[u8]| {
    static BASE: OnceLock<Base> = OnceLock::new();
    let base = BASE.get_or_init(base);
    let [part, piece, edits @ ..] = data else { return };
    let dir = base.scratch.fresh("store");
    std::fs::write(dir.join("manifest"), &base.manifest).expect("room");
    let chosen = usize::from(*part) % base.parts.len();
    for (i, (name, bytes, part)) in base.parts.iter().enumerate() {
        let path = dir.join("parts").join(name);
        if i == chosen {
            let mut part = part.clone();
            let piece = usize::from(*piece) % part.pieces();
            part.edit(piece, edits);
            std::fs::write(path, part.file(piece + 1 == part.pieces())).expect("room");
        } else {
            std::fs::write(path, bytes).expect("room");
        }
    }
    store::exercise(&dir);
});

fn base() -> Base {
    let scratch = store::Scratch::new();
    let dir = scratch.fresh("base");
    let made = Store::open(&dir, store::thinning()).expect("empty");
    for _ in 0..2 {
        // The spans of the first are only counted by then.
        made.maintain(store::NOW_NS).expect("room");
        made.append(&store::batch()).expect("room");
        made.flush().expect("room");
    }
    made.close().expect("room");
    let manifest = std::fs::read(dir.join("manifest")).expect("a manifest");
    let parts: Vec<_> = store::files(&dir, "parts")
        .into_iter()
        .map(|(name, bytes)| {
            let part = Part::parse(&bytes).expect("our own part");
            assert_same(&bytes, &part);
            (name, bytes, part)
        })
        .collect();
    assert!(parts.len() >= 3, "a part for each signal");
    Base { scratch, manifest, parts }
}

/// What is put together unchanged must have the same pieces.
fn assert_same(bytes: &[u8], part: &Part) {
    let again = Part::parse(&part.file(false)).expect("our own part");
    assert_eq!(again.pieces(), part.pieces());
    assert!(part.pieces() > 1 && !bytes.is_empty());
}
