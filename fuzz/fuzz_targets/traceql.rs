#![no_main]

use libfuzzer_sys::fuzz_target;
use trefoil_fuzz::seeds;
use trefoil_query::ErrorKind;
use trefoil_query::traceql::{parse, plain};

// What the plain forms are translated to must be TraceQL.
fuzz_target!(init: seeds::write("traceql"), |data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = parse(text) {
        trefoil_fuzz::check_query_error(&error, text);
    }
    match plain::translate(text) {
        Ok(translated) => {
            if let Err(error) = parse(&translated) {
                assert!(error.kind == ErrorKind::Limit, "{error} in {translated:?} from {text:?}");
            }
        }
        Err(error) => trefoil_fuzz::check_query_error(&error, text),
    }
});
