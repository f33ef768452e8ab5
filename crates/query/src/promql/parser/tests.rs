use super::super::parse;

#[test]
fn expressions_print_canonically() {
    for (text, canonical) in [
        ("1+2*3", "1 + 2 * 3"),
        ("-2^2", "-2 ^ 2"),
        ("up", "up"),
        ("sum", "sum"),
        ("sum  by(a,b) (up)", "sum by (a, b) (up)"),
        ("sum(up) without(a)", "sum without (a) (up)"),
        ("rate(x{a='b',c=~\"d.*\"}[5m] offset 1h)", "rate(x{a=\"b\",c=~\"d.*\"}[5m] offset 1h)"),
        ("x[1h30m:5m] @ 10", "x[1h30m:5m] @ 10.000"),
        ("{\"my.metric\", \"label.x\"=\"1\"}", "{\"my.metric\",\"label.x\"=\"1\"}"),
        ("a / on(x) group_left(y) b", "a / on (x) group_left (y) b"),
        ("a == bool 1", "a == bool 1"),
        ("topk(5, x)", "topk(5, x)"),
        ("x offset -(step()*2)", "x offset -(step() * 2)"),
        ("foo[2m*(10+5)]", "foo[2m * (10 + 5)]"),
        ("x[5m] smoothed", "x[5m] smoothed"),
        ("a + fill(0) b", "a + fill (0) b"),
        ("a + fill_left(-NaN) fill_right(NaN) b", "a + fill (NaN) b"),
        ("a @ -0.5", "a @ -0.500"),
        ("a offset -0.0001", "a offset 0s"),
        ("{\"inf\"} == {\"bool\"}", "{\"inf\"} == {\"bool\"}"),
        ("{\":\"} + {\"sum\"}", "{\":\"} + sum"),
        ("1e999 ^ a - -0", "Inf ^ a - -0"),
        ("a[min_of(1, 5m) * -2 + 1h]", "a[min_of(1, 5m) * -2 + 1h]"),
        ("max_over_time((up)[5m:])", "max_over_time((up)[5m:])"),
    ] {
        let parsed = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(parsed.to_string(), canonical, "{text}");
        let again = parse(canonical).unwrap_or_else(|why| panic!("{canonical}: {why}"));
        assert_eq!(again.to_string(), canonical, "printing must be stable");
    }
}

#[test]
fn errors_say_what_and_where() {
    for (text, at, message) in [
        ("", 1, "no expression found in input"),
        ("foo bar", 5, "unexpected identifier \"bar\""),
        ("(1", 1, "unclosed left parenthesis"),
        ("sum(", 5, "unexpected end of input"),
        ("foo[5m", 4, "unclosed left bracket"),
        ("1 +", 4, "unexpected end of input"),
        ("foo{a=1}", 7, "unexpected number \"1\" in label matching, expected string"),
        ("foo{a~\"b\"}", 6, "unexpected character: '~'"),
        ("{}", 1, "vector selector must contain at least one non-empty matcher"),
        ("{a=~\".*\"}", 1, "vector selector must contain at least one non-empty matcher"),
        ("foo{__name__=\"bar\"}", 5, "metric name must not be set twice: \"foo\" or \"bar\""),
        ("{__name__=\"bar\",\"foo\"}", 17, "metric name must not be set twice: \"bar\" or \"foo\""),
        ("{a=\"\\é\"}", 5, "unknown escape sequence in string: write \\\\ for a backslash"),
        ("{a=\"\\x+4\"}", 5, "unknown escape sequence in string: write \\\\ for a backslash"),
        ("nope(1)", 1, "unknown function with name \"nope\""),
        (
            "rate(foo)",
            6,
            "expected type range vector in call to function \"rate\", got instant vector",
        ),
        ("rate()", 1, "expected 1 argument(s) in call to \"rate\", got 0"),
        ("round(a, 1, 2)", 1, "expected at most 2 argument(s) in call to \"round\", got 3"),
        ("1 == 1", 1, "comparisons between scalars must use BOOL modifier"),
        ("1 + bool 1", 1, "bool modifier can only be used on comparison operators"),
        ("1 and 1", 1, "set operator \"and\" not allowed in binary scalar expression"),
        ("a + on(x) 1", 1, "vector matching only allowed between instant vectors"),
        ("a and on(x) group_left b", 1, "no grouping allowed for \"and\" operation"),
        (
            "a + on(x) group_left(x) b",
            1,
            "label \"x\" must not occur in ON and GROUP clause at once",
        ),
        ("foo[0.0001]", 5, "duration must be greater than 0 in range"),
        ("{__name__=~\"a\",\"foo\"}", 16, "metric name must not be set twice: \"a\" or \"foo\""),
        ("\"\\é\"", 2, "unknown escape sequence in string"),
        ("9999999999999y", 1, "bad number or duration syntax"),
        ("foo[0s]", 5, "duration must be greater than 0 in range"),
        ("foo[5x]", 5, "bad number or duration syntax: \"5x\""),
        ("\"a", 1, "unterminated quoted string"),
        (
            "-foo[5m]",
            1,
            "unary expression only allowed on expressions of type scalar or instant vector, got \"range vector\"",
        ),
        ("1[5m]", 1, "ranges only allowed for vector selectors"),
        ("foo offset 5m[5m]", 1, "no offset modifiers allowed before range"),
        (
            "sum(a, b)",
            1,
            "wrong number of arguments for aggregate expression provided, expected 1, got 2",
        ),
        ("foo{a=~\"(\"}", 8, ""),
    ] {
        let why = parse(text).map(|expr| expr.to_string()).expect_err(text);
        assert!(why.message.starts_with(message), "{text}: {}", why.message);
        assert_eq!(why.position(text), (1, at), "{text}: {}", why.message);
    }
}

#[test]
fn depth_and_length_are_bounded() {
    let deep = format!("{}1{}", "(".repeat(100_000), ")".repeat(100_000));
    let signs = format!("{}1", "-".repeat(100_000));
    let chain = vec!["a"; 30_000].join("+");
    let ranges = format!("a{}", "[1m:1m]".repeat(10_000));
    let spans = format!("a[{}1{}]", "(".repeat(50_000), ")".repeat(50_000));
    let long_span = format!("a[{}]", vec!["1"; 50_000].join("+"));
    for text in [deep, signs, chain, ranges, spans, long_span, "x".repeat(200_000)] {
        assert!(parse(&text).is_err());
    }
    let fine = vec!["a"; 100].join(" + ");
    assert!(parse(&fine).is_ok());
}
