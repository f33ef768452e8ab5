use super::*;
use crate::protobuf::Writer;

/// Each entry as `labels time line metadata`.
fn show(bytes: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    for stream in PushRequest::new(bytes).unwrap().streams {
        let stream = stream.unwrap();
        let labels = parse_labels(stream.labels).unwrap();
        for entry in stream.entries {
            let entry = entry.unwrap();
            let metadata: Vec<_> = entry
                .structured_metadata
                .iter()
                .map(|pair| pair.map(|pair| (pair.name, pair.value)).unwrap())
                .collect();
            let time = entry.time_unix_nano().unwrap();
            out.push(format!("{labels:?} {time} {:?} {metadata:?}", entry.line));
        }
    }
    out
}

fn from_json(json: &str) -> std::result::Result<Vec<String>, String> {
    let mut w = Writer::new();
    to_protobuf(json.as_bytes(), &mut w).map_err(|error| error.to_string())?;
    Ok(show(w.as_bytes()))
}

#[test]
fn a_push_in_protobuf_is_read() {
    let mut w = Writer::new();
    w.message(1, |w| {
        w.str(1, r#"{app="shop"}"#);
        w.message(2, |w| {
            w.message(1, |w| {
                w.int(1, 1_700_000_000);
                w.varint(2, 123);
            });
            w.str(2, "a line");
            w.message(3, |w| {
                w.str(1, "trace_id");
                w.str(2, "ab");
            });
        });
        w.varint(3, 99);
    });
    let expected =
        r#"[("app", "shop")] 1700000000000000123 "a line" [("trace_id", "ab")]"#.to_owned();
    assert_eq!(show(w.as_bytes()), [expected]);
}

#[test]
fn a_push_in_json_is_read() {
    let json = r#"{"streams": [
        {"stream": {"app": "a \"b\" \\ \n é", "level": ""}, "values": [
            ["1700000000000000001", "first"],
            [-1, "second", {"k": "v", "": ""}]
        ], "unknown": [1]},
        {"values": [["0", ""]], "stream": {}}
    ]}"#;
    let labels = r#"[("app", "a \"b\" \\ \n é"), ("level", "")]"#;
    let expected = [
        format!(r#"{labels} 1700000000000000001 "first" []"#),
        format!(r#"{labels} -1 "second" [("k", "v"), ("", "")]"#),
        r#"[] 0 "" []"#.to_owned(),
    ];
    assert_eq!(from_json(json).unwrap(), expected);
}

#[test]
fn a_wrong_push_in_json_is_refused_with_its_place() {
    let check = |json: &str, expected: &str| assert_eq!(from_json(json), Err(expected.into()));
    check("{}", "expected a field \"streams\" (line 1, column 1)");
    check(
        r#"{"streams":[{"values":[]}]}"#,
        "streams[0]: expected a field \"stream\" with the labels (line 1, column 13)",
    );
    check(
        r#"{"streams":[{"stream":{"a-b":"c"}}]}"#,
        "streams[0].stream.a-b: not a label name: letters, digits and '_' are (line 1, column 30)",
    );
    let values = |values: &str| format!(r#"{{"streams":[{{"stream":{{}},"values":[{values}]}}]}}"#);
    let place = "streams[0].values[0]";
    check(
        &values(r#"["now","x"]"#),
        &format!("{place}[0]: expected a time in Unix nanoseconds (line 1, column 37)"),
    );
    check(
        &values(r#"["1"]"#),
        &format!("{place}: expected at least a time and a line (line 1, column 36)"),
    );
    check(
        &values(r#"["1","x",{"a":1}]"#),
        &format!("{place}[2].a: expected a string, got a number (line 1, column 50)"),
    );
    check(
        &values(r#"["1","x",{},4]"#),
        &format!("{place}[3]: expected time, line and metadata, and no more (line 1, column 48)"),
    );
}

#[test]
fn labels_are_read_as_selectors_write_them() {
    let check = |text: &str, expected: &[(&str, &str)]| {
        let got = parse_labels(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let got: Vec<_> = got.iter().map(|(name, value)| (*name, &**value)).collect();
        assert_eq!(got, expected, "{text}");
    };
    check("{}", &[]);
    check(" { a = \"b\" , c=`d\\n`, } ", &[("a", "b"), ("c", "d\\n")]);
    check(r#"{a="\"\\\n\t\x41\101\u00e9\U0001f600é"}"#, &[("a", "\"\\\n\tAAé😀é")]);
    check(r#"{a="\xc3\xa9"}"#, &[("a", "é")]);
}

#[test]
fn wrong_labels_are_refused_with_their_place() {
    let check = |text: &str, expected: &str| {
        assert_eq!(parse_labels(text).expect_err(text).to_string(), expected, "{text}");
    };
    check("", "labels: expected '{' at byte 0");
    check("{a", "labels: expected '=' at byte 2");
    check("{a=b}", "labels: expected a value in quotes at byte 3");
    check("{a=\"b}", "labels: the value has no closing quote at byte 3");
    check("{a=\"b\n\"}", "labels: the value has no closing quote at byte 3");
    check("{a=`b}", "labels: the value has no closing quote at byte 3");
    check("{a=\"b\\\"}", "labels: the value has no closing quote at byte 3");
    check("{a=\"b\" c=\"d\"}", "labels: expected ',' or '}' at byte 7");
    check("{a=\"b\",a=\"d\"}", "labels: the same name comes twice at byte 7");
    check("{,}", "labels: expected a label name at byte 1");
    check("{é=\"b\"}", "labels: expected a label name at byte 1");
    check("{a=\"b\"}x", "labels: expected the end behind '}' at byte 7");
    for escape in ["\\q", "\\x4", "\\xgg", "\\400", "\\08", "\\ud800", "\\U00110000", "\\u12é"] {
        check(&format!("{{a=\"{escape}\"}}"), "labels: an unknown escape at byte 4");
    }
    check("{a=\"\\xff\"}", "labels: the value is not UTF-8 at byte 3");
    let many: String = (0..=LABELS_MAX).map(|i| format!("l{i}=\"\",")).collect();
    assert!(parse_labels(&format!("{{{many}}}")).is_err());
}

#[test]
fn a_time_beyond_64_bits_is_not_a_time() {
    let mut w = Writer::new();
    w.message(1, |w| w.message(2, |w| w.message(1, |w| w.int(1, i64::MAX))));
    let stream = PushRequest::new(w.as_bytes()).unwrap().streams.iter().next().unwrap().unwrap();
    assert_eq!(stream.entries.iter().next().unwrap().unwrap().time_unix_nano(), None);
}
