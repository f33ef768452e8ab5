#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::{seeds, store};
use trefoil_store::Store;

struct Base {
    scratch: store::Scratch,
    manifest: Vec<u8>,
}

// The input is the content of the only record in the log.
fuzz_target!(init: seeds::write("store_wal"), |data: &[u8]| {
    static BASE: OnceLock<Base> = OnceLock::new();
    let base = BASE.get_or_init(|| {
        let scratch = store::Scratch::new();
        let empty = scratch.fresh("empty");
        Store::open(&empty, store::settings()).expect("empty").close().expect("empty");
        let manifest = std::fs::read(empty.join("manifest")).expect("a manifest");
        Base { scratch, manifest }
    });
    let dir = base.scratch.fresh("store");
    std::fs::write(dir.join("manifest"), &base.manifest).expect("room");
    let segment = dir.join("wal").join(store::SEGMENT_NAME);
    std::fs::write(segment, store::segment(data)).expect("room");
    store::exercise(&dir);
});
