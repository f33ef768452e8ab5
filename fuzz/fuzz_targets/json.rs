#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_wire::json::{Kind, Reader, write_string};

// serde_json is the judge: we take what it takes and refuse what it refuses.
fuzz_target!(init: seeds::write("json"), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        assert!(Reader::from_bytes(data).is_err());
        return;
    };
    let mut reader = Reader::new(text);
    let ours = reader.skip().and_then(|()| reader.end());
    let judge = serde_json::from_str::<serde_json::Value>(text);
    match (&ours, &judge) {
        (Ok(()), Err(error)) => {
            // It nests less deep than we do, and looks at the size of numbers.
            let told = error.to_string();
            assert!(told.contains("recursion limit") || told.contains("out of range"), "{told}");
        }
        (Err(error), Ok(_)) => panic!("{error}"),
        _ => {}
    }
    if let Ok(serde_json::Value::String(expected)) = &judge {
        let mut reader = Reader::new(text);
        assert_eq!(reader.peek(), Ok(Kind::String));
        assert_eq!(&*reader.string().expect("the judge took it"), expected);
        let mut written = String::new();
        write_string(expected, &mut written);
        assert_eq!(serde_json::from_str::<String>(&written).ok().as_ref(), Some(expected));
    }
});
