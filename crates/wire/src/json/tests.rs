use super::*;

fn whole(text: &str) -> Result<()> {
    let mut reader = Reader::new(text);
    reader.skip()?;
    reader.end()
}

#[test]
fn what_the_rfc_allows_is_read() {
    for text in [
        "0",
        "-0",
        "1.5e+10",
        "1E5",
        "0.0",
        "\"\"",
        "\"\\u00e9\\n\\/\"",
        "[]",
        "{}",
        " [ 1 , 2 ] ",
        "{\"a\":{\"b\":[null,true,false]},\"a\":1}",
        "\"\\ud83d\\ude00\"",
        "\u{20}\"\u{7f}ü\"\r\n\t",
    ] {
        assert_eq!(whole(text), Ok(()), "{text}");
    }
}

#[test]
fn what_the_rfc_forbids_is_refused_with_line_and_column() {
    let check = |text: &str, expected: &str| {
        assert_eq!(whole(text).expect_err(text).to_string(), expected, "{text}");
    };
    check("", "the text ends where a value should be (line 1, column 1)");
    check("[1,\n 2,]", "[2]: expected a value (line 2, column 4)");
    check("[1 2]", "expected ',' or ']' (line 1, column 4)");
    check("{\"a\" 1}", "expected ':' (line 1, column 6)");
    check("{a:1}", "expected a key in quotes (line 1, column 2)");
    check("{\"ä\":{\"b\":[0,tru]}}", "ä.b[1]: expected true or false (line 1, column 14)");
    check("{\"a\":1,}", "expected a key in quotes (line 1, column 8)");
    check("nul", "expected null (line 1, column 1)");
    check("1 1", "expected the end of the text (line 1, column 3)");
    check("\"a\nb\"", "a control character in a string (line 1, column 3)");
    check("\"abc", "the string has no closing quote (line 1, column 1)");
    check("\"\\x\"", "an unknown escape in a string (line 1, column 2)");
    check("\"\\", "an unknown escape in a string (line 1, column 2)");
    for escape in ["\\ud800", "\\udc00", "\\ud800\\u0041", "\\u12", "\\u+123", "\\u12é"] {
        let text = format!("\"{escape}\"");
        check(&text, "not a Unicode character in a \\u escape (line 1, column 2)");
    }
    for number in ["01", "-", "1.", "1e", "1e+", "-a"] {
        check(number, "a number that is not written as JSON asks for (line 1, column 1)");
    }
    for other in [".5", "+1", "NaN", "'a'", "// a\n1"] {
        assert!(whole(other).is_err(), "{other}");
    }
}

#[test]
fn bytes_that_are_not_utf8_are_refused_where_they_are() {
    let error = Reader::from_bytes(b"[1,\n\"\xff\"]").unwrap_err();
    assert_eq!((error.line, error.column), (2, 2));
    assert!(Reader::from_bytes(b"\xef\xbb\xbf[]").unwrap().skip().is_ok());
}

#[test]
fn nesting_stops_at_the_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(whole(&nested(NESTING_MAX)), Ok(()));
    assert!(whole(&nested(NESTING_MAX + 1)).unwrap_err().message.contains("limit"));
    let objects = "{\"a\":".repeat(100_000);
    assert!(whole(&objects).unwrap_err().message.contains("limit"));
}

#[test]
fn strings_come_back_as_they_were_written() {
    let text: String = (0..0x2500).filter_map(char::from_u32).chain(['\u{10ffff}']).collect();
    let mut out = String::new();
    write_string(&text, &mut out);
    assert_eq!(Reader::new(&out).string().unwrap(), text);
    let mut reader = Reader::new(r#""\b\f\n\r\t\"\\\/\u0041\ud83d\ude00""#);
    assert_eq!(reader.string().unwrap(), "\u{8}\u{c}\n\r\t\"\\/A😀");
}
