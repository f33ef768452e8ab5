#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_store::encodings::Column;

// Kind, number of rows, then the bytes of the column. What can be read must come back from
// being written again.
fuzz_target!(init: seeds::write("store_columns"), |data: &[u8]| {
    let [kind, low, high, bytes @ ..] = data else { return };
    let rows = usize::from(u16::from_le_bytes([*low, *high]));
    let like = match kind % 7 {
        0 => Column::Numbers(vec![0; rows]),
        1 => Column::Strings(vec![Vec::new(); rows]),
        2 => Column::Ids(vec![[0; 16]; rows]),
        3 => Column::Attributes(vec![Vec::new(); rows]),
        4 => Column::Packed(vec![0; rows]),
        5 => Column::Lines { times_ns: vec![1_780_000_000_123_456_789; rows], bodies: Vec::new() },
        _ => Column::Floats { times_ms: Vec::new(), values: vec![0.0; rows] },
    };
    let Some(read) = like.decode_like(bytes) else { return };
    let again = read.decode_like(&read.encode()).expect("our own bytes");
    assert!(again.same_bits(&read), "{read:?} became {again:?}");
});
