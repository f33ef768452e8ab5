#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_query::ErrorKind;
use trefoil_query::promql::{parse, parse_matchers};

// What is printed is the canonical form: it must be read, and printed the same again.
fuzz_target!(init: seeds::write("promql"), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = parse_matchers(text);
    match parse(text) {
        Ok(expr) => {
            let printed = expr.to_string();
            match parse(&printed) {
                Ok(again) => assert_eq!(again.to_string(), printed, "from {text:?}"),
                // The canonical form can be longer than the text, and over its limit.
                Err(error) => assert!(
                    error.kind == ErrorKind::Limit,
                    "{error} in {printed:?} from {text:?}"
                ),
            }
        }
        Err(error) => trefoil_fuzz::check_query_error(&error, text),
    }
});
