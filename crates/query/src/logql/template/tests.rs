use super::{Context, Template};

fn run(template: &str) -> Result<String, String> {
    let labels = [
        ("path", "/a b/c"),
        ("status", "200"),
        ("dur", "1.5s"),
        ("size", "2KB"),
        ("empty", ""),
        ("json", r#"[{"query":"a","n":1},{"query":"b"}]"#),
        ("from", "1679577215"),
    ];
    let get = |name: &str| labels.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
    let all = || {
        let mut all: Vec<_> =
            labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        all.sort();
        all
    };
    Template::new(template)?.run(&Context {
        labels: &get,
        all: &all,
        line: "the line",
        time_ns: 1_622_505_600_123_456_789,
        now_ns: 1_700_000_000_000_000_000,
    })
}

/// The outputs are those that Loki's page "LogQL template functions" and Go's
/// `text/template` and `fmt` pages give.
#[test]
fn documented_examples() {
    let cases = [
        ("plain", "plain"),
        ("{{.path}}", "/a b/c"),
        ("{{ .path | replace \" \" \"_\" | trunc 5 | upper }}", "/A_B/"),
        ("{{ .missing }}|", "|"),
        (
            "{{ if and (contains \"he\" \"hello\") (contains \"llo\" \"hello\") }} yes {{end}}",
            " yes ",
        ),
        (
            "{{ if contains \"x\" .path }}t{{else if contains \"he\" \"hello\"}}yes{{else}}no{{end}}",
            "yes",
        ),
        ("{{ __line__ | upper }}", "THE LINE"),
        (
            "{{ __timestamp__ | date \"2006-01-02T15:04:05.00Z-07:00\" }}",
            "2021-06-01T00:00:00.12Z+00:00",
        ),
        ("{{ __timestamp__ | unixEpoch }}", "1622505600"),
        ("{{ __timestamp__ }}", "2021-06-01 00:00:00.123456789 +0000 UTC"),
        ("{{ date \"2006-01-02\" now }}", "2023-11-14"),
        ("{{ .dur | duration }}", "1.5"),
        ("{{ duration_seconds \"1m\" }}", "60"),
        ("{{ toDate \"2006-01-02\" \"2021-11-02\" | unixEpoch }}", "1635811200"),
        (
            "{{ toDateInZone \"2006-01-02T15:04:05Z\" \"UTC\" \"2021-11-02T01:02:03Z\" | unixEpochMillis }}",
            "1635814923000",
        ),
        ("{{date \"2006-01-02\" (unixToTime .from)}}", "2023-03-23"),
        ("{{ alignLeft 5 \"hello world\"}}|{{ alignLeft 5 \"hi\"}}|", "hello|hi   |"),
        ("{{ alignRight 5 \"hello world\"}}|{{ alignRight 5 \"hi\"}}", "world|   hi"),
        ("{{ \"foo\" | b64enc }} {{ b64dec \"Zm9v\" }}", "Zm9v foo"),
        ("{{ .size | bytes }}", "2000"),
        (
            "{{ default \"-\" \"\" }} {{ default \"-\" \"foo\" }} {{.empty | default \"-\"}}",
            "- foo -",
        ),
        ("{{ range $q := fromJson .json }}[{{ $q.query }}]{{ end }}", "[a][b]"),
        ("{{ range $i, $q := fromJson .json }}{{$i}}{{ end }}", "01"),
        ("{{ indent 2 \"a\\nb\" }}|{{ nindent 1 \"a\" }}", "  a\n  b|\n a"),
        ("{{ repeat 3 \"hello\" }}", "hellohellohello"),
        ("{{ printf \"%-8.3s|%5s|%q\" .status \"x\" \"y\" }}", "200     |    x|\"y\""),
        (
            "{{ printf \"%05d %x %.2f %v %t %%\" 42 255 3.14159 1.5 true }}",
            "00042 ff 3.14 1.5 true %",
        ),
        ("{{ printf \"%d\" .status }}", "%!d(string=200)"),
        ("{{ substr 0 5 \"hello world\"}} {{ substr 6 11 \"hello world\"}}", "hello world"),
        ("{{ title \"hello world\"}} {{ lower \"HELLO\" }}", "Hello World hello"),
        (
            "{{ trim \"  a \" }} {{ trimAll \"$\" \"$5.00\" }} {{ trimPrefix \"-\" \"-hello\" }} {{ trimSuffix \"-\" \"hello-\" }}",
            "a 5.00 hello hello",
        ),
        ("{{ trunc 5 \"hello world\"}} {{ trunc -5 \"hello world\"}}", "hello world"),
        ("{{ urlencode .path }} {{ urldecode \"a%2Fb+c\" }}", "%2Fa+b%2Fc a/b c"),
        (
            "{{ add 3 2 5 }} {{ addf 3.5 2 5 }} {{ ceil 123.001 }} {{ div 10 2}} {{ divf 10 2 4}}",
            "10 10.5 124 5 1.25",
        ),
        ("{{ \"3.5\" | float64 }} {{ floor 123.9999 }} {{ \"3\" | int }}", "3.5 123 3"),
        ("{{ max 1 2 3 }} {{ maxf 1 2.5 3 }} {{ min 1 2 3 }} {{ minf 1 2.5 3 }}", "3 3 1 1"),
        ("{{ mul 5 2 3}} {{ mulf 5.5 2 2.5 }} {{ mod 10 3}}", "30 27.5 1"),
        ("{{ round 123.555555 3 }} {{ round 123.88571428571 5 .2 }}", "123.556 123.88572"),
        ("{{ sub 5 2 }} {{ subf  5.5 2 1.5 }}", "3 2"),
        ("{{ count \"a|b\" \"abab\" }} {{ count \"o\" \"foo\" }}", "4 2"),
        ("{{ regexReplaceAll \"(a*)bc\" \"aabc\" \"${1}a\" }}", "aaa"),
        ("{{ regexReplaceAllLiteral \"(ts=)\" \"ts=1\" \"$1\" }}", "$11"),
        ("{{ if eq .status \"200\" }}ok{{ end }}", "ok"),
        (
            "{{ with .path }}<{{ . }}>{{ end }}{{ with .empty }}x{{ else }}none{{ end }}",
            "</a b/c>none",
        ),
        ("{{ $x := .status }}{{ $x }}{{ $x = \"2\" }}{{ $x }}", "2002"),
        ("a {{- .status -}} b", "a200b"),
        ("{{/* note */}}x", "x"),
        ("{{ if gt (int .status) 199 }}{{ not false }}{{ end }}", "true"),
        ("{{ len .status }}{{ index (fromJson .json) 1 }}", "3map[query:b]"),
        ("{{ print 1 2 \"a\" }} {{ .json | fromJson | len }}", "1 2a 2"),
        ("{{ Replace .path \"/\" \"-\" 1 }} {{ ToUpper \"a\" }}", "-a b/c A"),
        ("{{ 1e3 }} {{ 0.00001 }} {{ 0x10 }}", "1000 1e-05 16"),
    ];
    for (template, expected) in cases {
        assert_eq!(run(template).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn refused_when_parsed() {
    for template in [
        "{{",
        "{{ .a",
        "{{ nosuch .a }}",
        "{{ if .a }}x",
        "{{ end }}",
        "{{ .a | }}",
        "{{ }}",
        "{{ \"a }}",
        "{{ (.a }}",
        "{{ .a) }}",
        "{{ define \"x\" }}{{ end }}",
        "{{ $nope }}",
        "{{ .a .b }}",
        "{{ else }}",
        "{{ 1x }}",
        "{{/* open }}",
    ] {
        assert!(Template::new(template).is_err(), "{template}");
    }
    assert!(Template::new(&"{{if .a}}".repeat(1000)).is_err());
    assert!(Template::new(&format!("{{{{ {} }}}}", "(".repeat(1000))).is_err());
}

#[test]
fn errors_while_running() {
    for template in [
        "{{ div 1 0 }}",
        "{{ eq 1 \"1\" }}",
        "{{ duration \"x\" }}",
        "{{ bytes \"x\" }}",
        "{{ lower }}",
        "{{ repeat 10000000 \"x\" }}",
        "{{ unixToTime \"12\" }}",
        "{{ toDateInZone \"2006\" \"Europe/Berlin\" \"2021\" }}",
        "{{ b64dec \"!\" }}",
        "{{ .path.inner }}",
        "{{ count \"(\" \"x\" }}",
        "{{ printf \"%99999999d\" 1 }}",
    ] {
        assert!(run(template).is_err(), "{template}");
    }
}

#[test]
fn tells_which_labels_it_reads() {
    let read = |text: &str| {
        let mut names = Vec::new();
        let known = Template::new(text).expect(text).each_label(&mut |n| names.push(n.to_owned()));
        (known, names)
    };
    assert_eq!(
        read("{{.a}} {{ if .b }}{{ lower .c }}{{ end }}"),
        (true, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()])
    );
    assert!(!read("{{ . }}").0);
    assert!(!read("{{ range $k, $v := . }}{{$k}}{{ end }}").0);
}
