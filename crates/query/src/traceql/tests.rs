//! TraceQL's tests: the scripts of `testdata/traceql`, and what scripts cannot say.

mod jaeger;
mod load;
mod script;
mod thinned;

use std::path::Path;

use super::{parse, plain};
use crate::error::Error;
use crate::limits::{DEPTH_MAX, TEXT_MAX};
use script::Place;

#[test]
fn scripts() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/traceql");
    let mut files: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let (mut evals, mut failures) = (0, Vec::new());
    for file in files.iter().filter(|f| f.extension().is_some_and(|e| e == "test")) {
        let text = std::fs::read_to_string(file).unwrap();
        for place in [Place::Head, Place::Parts] {
            let outcome = script::run(&file.display().to_string(), &text, place);
            evals += outcome.evals;
            failures.extend(outcome.failures.into_iter().map(|f| format!("{place:?}: {f}")));
        }
    }
    assert!(failures.is_empty(), "{} of {evals} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(evals >= 1_200, "only {evals} evals were found in {}", dir.display());
    println!("{evals} evals in {} scripts", files.len());
}

/// A runner that accepted everything would prove nothing.
#[test]
fn the_runner_notices_what_is_wrong() {
    let load = "load\n  trace 1 at 0s\n    a@s id=1 0s 1s\n";
    let wrong = [
        ("eval search { }\n  trace 2: 1\n", "trace 2"),
        ("eval search { }\n  trace 1: 2\n", "1"),
        ("eval search { }\n  none\n", "none"),
        ("eval search { name = \"b\" }\n  trace 1: 1\n", "none"),
        ("eval search { }\n", "asserts nothing"),
        ("eval fail { }\n  at 0: nonsense\n", "did not fail"),
        ("eval fail {\n  at 0: nonsense\n", "nonsense"),
        ("eval plain error=true\n  { }\n", "status = error"),
        ("eval range 0s 10s 10s { } | rate()\n  {} 1 1\n", "__name__"),
        ("eval dance { }\n  none\n", "dance"),
    ];
    for (eval, complaint) in wrong {
        let outcome = script::run("test", &format!("{load}{eval}"), Place::Head);
        assert_eq!(outcome.failures.len(), 1, "{eval}");
        assert!(outcome.failures[0].contains(complaint), "{eval}: {}", outcome.failures[0]);
        assert!(outcome.failures[0].starts_with("test:4:"), "{}", outcome.failures[0]);
    }
}

#[test]
fn nesting_is_refused_before_the_stack_ends() {
    let deep = 50_000;
    let texts = [
        format!("{{ {}true{} }}", "(".repeat(deep), ")".repeat(deep)),
        format!("{}{{ }}{}", "(".repeat(deep), ")".repeat(deep)),
        format!("{{ {}true }}", "!".repeat(deep)),
        format!("{{ 1 {} = 1 }}", "- .a ".repeat(20_000)),
        format!("{{ .a {} = 1 }}", "^ .a ".repeat(20_000)),
        format!("{{ }} {}", ">> { } ".repeat(15_000)),
        format!("{}{{ }} | rate(){}", "(".repeat(deep), ")".repeat(deep)),
        format!("{{}} | {}count() > 1", "-".repeat(deep)),
        format!("{{}} | count() {} > 1", "+ count()".repeat(10_000)),
        format!("({{}} | rate()) {}", "+ 1 - ({} | rate())".repeat(5_000)),
    ];
    for text in texts {
        let error = parse(&text).unwrap_err();
        assert!(error.message.contains("deeper than"), "{text:.60}: {error}");
    }
    assert!(parse(&" ".repeat(TEXT_MAX + 1)).is_err());
}

#[test]
fn long_flat_chains_are_fine() {
    let terms: Vec<String> = (0..5_000).map(|i| format!(".a = {i}")).collect();
    parse(&format!("{{ {} }}", terms.join(" || "))).unwrap();
    let spansets = vec!["{ }"; DEPTH_MAX - 2];
    parse(&spansets.join(" || ")).unwrap();
}

/// Every prefix and every text with one byte changed parses or is refused, never panics.
#[test]
fn damaged_texts_never_panic() {
    let whole = [
        r#"{ span."a b".c =~ "x.*" && (duration > 1.5s || !.y) } >> { parent.resource.z = nil } | by(name) | avg(.q) > 2 with (a=1)"#,
        r#"({ status = error } | rate() by (resource.service.name)) / 2 - ({} | quantile_over_time(duration, .9, 1)) | topk(3) > 5 // end"#,
        r#"{ event:name != `raw` && "é\n\u00e9" = .é } &~ ( { } | count() ^ 2 >= -1 ) | select(link:spanID, name) | coalesce()"#,
        r#"tags.x='y' AND NOT (a>1 or b:"c")"#,
    ];
    for text in whole {
        for (at, c) in text.char_indices() {
            check(&text[..at]);
            check(&text[at..]);
            for other in ["{", ")", "\"", "\\", "-", "9", "\u{1F980}", "|", ".", " nil ", "!"] {
                check(&format!("{}{other}{}", &text[..at], &text[at + c.len_utf8()..]));
            }
        }
    }
}

/// An error speaks of a place in the text, and a translation is TraceQL.
fn check(text: &str) {
    let place = |error: Error| {
        let range = error.span.clone();
        assert!(text.get(range).is_some(), "{error} at {:?} of {text:?}", error.span);
    };
    if let Err(error) = parse(text) {
        place(error);
    }
    match plain::translate(text) {
        Ok(translated) => drop(parse(&translated).unwrap()),
        Err(error) => place(error),
    }
}
