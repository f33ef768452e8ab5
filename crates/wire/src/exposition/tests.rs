use std::path::PathBuf;

use super::*;

fn refusal(text: &str, format: Format) -> String {
    parse(text, format).expect_err(text).to_string()
}

#[test]
fn the_openmetrics_conformance_cases_hold() {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("TREFOIL_SHARED").map_or(beside, PathBuf::from);
    let folder = shared.join("conformance/openmetrics");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: {} is not there", folder.display());
        return;
    };
    let (mut good, mut bad) = (0, 0);
    let mut wrong = Vec::new();
    for entry in entries {
        let case = entry.unwrap().path();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(case.join("metrics")).unwrap();
        let expected = std::fs::read_to_string(case.join("test.json")).unwrap();
        let should_parse = expected.contains("\"shouldParse\": true");
        assert!(should_parse || expected.contains("\"shouldParse\": false"), "{name}");
        match (should_parse, parse(&text, Format::OpenMetrics)) {
            (true, Ok(_)) => good += 1,
            (false, Err(_)) => bad += 1,
            (true, Err(error)) => wrong.push(format!("{name} was refused: {error}")),
            (false, Ok(_)) => wrong.push(format!("{name} was accepted")),
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!((good, bad), (44, 167));
}

#[test]
fn samples_of_openmetrics_come_with_everything() {
    let text = "# TYPE h_seconds histogram\n# UNIT h_seconds seconds\n# HELP h_seconds a \\\"b\\\" \\n c\n\
        h_seconds_bucket{le=\"0.5\",a=\"x\\\"\\\\\\ny\"} 1 1.5 # {trace_id=\"ab\"} 0.25 1.25\n\
        h_seconds_bucket{le=\"+Inf\",a=\"x\\\"\\\\\\ny\"} 2 1.5\n# EOF\n";
    let families = parse(text, Format::OpenMetrics).unwrap();
    let [family] = &families[..] else { panic!() };
    assert_eq!((family.name, family.kind, family.unit), ("h_seconds", Kind::Histogram, "seconds"));
    assert_eq!(family.help, "a \"b\" \n c");
    let sample = &family.samples[0];
    assert_eq!((sample.name, sample.value, sample.time_ms), ("h_seconds_bucket", 1.0, Some(1500)));
    assert_eq!((sample.label("le"), sample.label("a")), (Some("0.5"), Some("x\"\\\ny")));
    let exemplar = sample.exemplar.as_ref().unwrap();
    assert_eq!(exemplar.labels, [("trace_id", Cow::Borrowed("ab"))]);
    assert_eq!((exemplar.value, exemplar.time_ms), (0.25, Some(1250)));
    assert_eq!(family.samples[1].exemplar, None);
}

/// The example of the format's own page.
#[test]
fn the_example_of_prometheus_is_read() {
    let text = r#"
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
http_request_duration_seconds_count 144320

# Finally a summary, which has a complex representation, too:
# HELP rpc_duration_seconds A summary of the RPC duration in seconds.
# TYPE rpc_duration_seconds summary
rpc_duration_seconds{quantile="0.01"} 3102
rpc_duration_seconds_sum 1.7560473e+07
rpc_duration_seconds_count 2693
"#;
    let families = parse(text, Format::Prometheus).unwrap();
    let shape: Vec<_> = families.iter().map(|f| (f.name, f.kind, f.samples.len())).collect();
    let expected = [
        ("http_requests_total", Kind::Counter, 2),
        ("msdos_file_access_time_seconds", Kind::Unknown, 1),
        ("metric_without_timestamp_and_labels", Kind::Unknown, 1),
        ("something_weird", Kind::Unknown, 1),
        ("http_request_duration_seconds", Kind::Histogram, 4),
        ("rpc_duration_seconds", Kind::Summary, 3),
    ];
    assert_eq!(shape, expected);
    assert_eq!(families[0].samples[0].time_ms, Some(1_395_066_363_000));
    assert_eq!(families[1].samples[0].label("path"), Some("C:\\DIR\\FILE.TXT"));
    let weird = &families[3].samples[0];
    assert_eq!((weird.value, weird.time_ms), (f64::INFINITY, Some(-3_982_045)));
}

#[test]
fn prometheus_forgives_blanks_commas_and_order() {
    let check = |text: &str, samples: usize| {
        let families = parse(text, Format::Prometheus).unwrap_or_else(|e| panic!("{text:?}: {e}"));
        assert_eq!(families.iter().map(|f| f.samples.len()).sum::<usize>(), samples, "{text:?}");
    };
    check("", 0);
    check("a 1", 1);
    check("\t a\t{ b = \"c\" , d=\"e\", }\t1   2 \r\n", 1);
    check("a{}1\na 2\n", 2);
    check("#comment\n# FOO bar\n#\n", 0);
    check("# HELP a\n# TYPE  a   counter\na 1\nb 1\na 2\n", 3);
    check("# TYPE a counter\n# TYPE b gauge\na 1\n", 1);
}

#[test]
fn what_neither_format_allows_is_refused_with_the_line() {
    let check = |text: &str, expected: &str| {
        assert_eq!(refusal(text, Format::Prometheus), expected, "{text}");
    };
    check("a 1\na b\n", "line 2: \"b\" is not a number");
    check("a", "line 1: expected a space and a value, got \"\"");
    check("1a 1", "line 1: expected the name of a metric, got \"1a 1\"");
    check("a{b=\"c\" 1", "line 1: expected ',' or '}' behind label \"b\"");
    check("a{b=\"c", "line 1: the value of label \"b\" has no closing quote");
    check("a{b=\"c\\", "line 1: the value of label \"b\" has no closing quote");
    check("a{b=\"c\",b=\"d\"} 1", "line 1: label \"b\" comes twice");
    check("a 1 1.5", "line 1: \"1.5\" is not a time in milliseconds");
    check("a 1 1 1", "line 1: unexpected \"1\" behind the sample");
    check("# TYPE a info", "line 1: \"info\" is not a type of metric");
    let check = |text: &str, expected: &str| {
        assert_eq!(refusal(text, Format::OpenMetrics), expected, "{text}");
    };
    check("a 1\n", "line 1: the text must end in '# EOF'");
    check("\n# EOF", "line 1: expected the name of a metric, got \"\"");
    check("a 1\na 1\n# EOF", "line 2: \"a\" comes twice with the same labels");
}

fn written(format: Format) -> String {
    let exemplar = Exemplar {
        labels: vec![("trace_id", Cow::Borrowed("abc"))],
        value: 0.3,
        time_ms: Some(1_600_000_000_007),
    };
    let mut w = Writer::new(format);
    w.family("requests", Kind::Counter, "", "All \"requests\"\nand \\ more.");
    w.counter(&[("path", "/a\"b\\c\n")], 12.0, Some(&exemplar));
    w.counter(&[], 1e300, None);
    w.family("temp_celsius", Kind::Gauge, "celsius", "");
    w.gauge(&[], -0.5);
    w.gauge(&[("a", "nan")], f64::NAN);
    w.family("duration_seconds", Kind::Histogram, "seconds", "Time.");
    let buckets = [(0.5, 1, Some(&exemplar)), (1.0, 1, None), (f64::INFINITY, 4, None)];
    w.histogram(&[("x", "y")], buckets, 7.25);
    w.family("size", Kind::Summary, "", "");
    w.summary(&[], &[(0.5, 2.0), (1.0, f64::NAN)], 3, 4.5);
    w.family("build", Kind::Info, "", "Build.");
    w.info(&[("version", "1.0")]);
    w.finish()
}

#[test]
fn openmetrics_is_written_so_that_its_rules_hold() {
    let text = written(Format::OpenMetrics);
    let expected = "\
# HELP requests All \\\"requests\\\"\\nand \\\\ more.
# TYPE requests counter
requests_total{path=\"/a\\\"b\\\\c\\n\"} 12 # {trace_id=\"abc\"} 0.3 1600000000.007
requests_total 1e300
# TYPE temp_celsius gauge
# UNIT temp_celsius celsius
temp_celsius -0.5
temp_celsius{a=\"nan\"} NaN
# HELP duration_seconds Time.
# TYPE duration_seconds histogram
# UNIT duration_seconds seconds
duration_seconds_bucket{x=\"y\",le=\"0.5\"} 1 # {trace_id=\"abc\"} 0.3 1600000000.007
duration_seconds_bucket{x=\"y\",le=\"1.0\"} 1
duration_seconds_bucket{x=\"y\",le=\"+Inf\"} 4
duration_seconds_count{x=\"y\"} 4
duration_seconds_sum{x=\"y\"} 7.25
# TYPE size summary
size{quantile=\"0.5\"} 2
size{quantile=\"1.0\"} NaN
size_count 3
size_sum 4.5
# HELP build Build.
# TYPE build info
build_info{version=\"1.0\"} 1
# EOF
";
    assert_eq!(text, expected);
    let families = parse(&text, Format::OpenMetrics).unwrap();
    assert_eq!(families.len(), 5);
    assert_eq!(families[0].help, "All \"requests\"\nand \\ more.");
    assert_eq!(families[0].samples[0].label("path"), Some("/a\"b\\c\n"));
    let exemplar = families[0].samples[0].exemplar.as_ref().unwrap();
    assert_eq!(exemplar.time_ms, Some(1_600_000_000_007));
}

#[test]
fn prometheus_text_is_written_so_that_it_reads_back() {
    let text = written(Format::Prometheus);
    assert!(text.starts_with(
        "# HELP requests_total All \"requests\"\\nand \\\\ more.\n# TYPE requests_total counter\n"
    ));
    assert!(text.contains("duration_seconds_bucket{x=\"y\",le=\"1\"} 1\n"));
    assert!(text.contains("# TYPE build_info gauge\nbuild_info{version=\"1.0\"} 1\n"));
    assert!(!text.contains(" # ") && !text.contains("EOF") && !text.contains("UNIT"));
    let families = parse(&text, Format::Prometheus).unwrap();
    let kinds: Vec<_> = families.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [Kind::Counter, Kind::Gauge, Kind::Histogram, Kind::Summary, Kind::Gauge]);
    assert_eq!(families[0].help, "All \"requests\"\nand \\ more.");
}

#[test]
fn what_a_format_can_not_hold_is_left_out() {
    let long = Exemplar { labels: vec![("a", "x".repeat(128).into())], value: 1.0, time_ms: None };
    let mut w = Writer::new(Format::OpenMetrics);
    w.family("a", Kind::Counter, "", "");
    w.counter(&[], 1.0, Some(&long));
    w.family("h", Kind::Histogram, "", "");
    w.histogram(&[], [(1.0, 1, None)], 0.0);
    assert_eq!(w.finish(), "# TYPE a counter\na_total 1\n# TYPE h histogram\n# EOF\n");
}
