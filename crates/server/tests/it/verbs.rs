//! The verbs that ask a server or look at files.

use std::net::TcpListener;

use crate::binary::{Server, request, trefoil};
use crate::otlp;

/// Exit code, standard output, standard error.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = trefoil().args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// An address where nobody listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn a_wrong_query_is_shown_like_a_compiler_shows_it_without_any_server() {
    let (code, out, err) = run(&["query", "promql", "rate(up)", "--url", &nowhere()]);
    assert_eq!((code, out.as_str()), (2, ""), "{err}");
    assert!(err.starts_with("error: ") && err.contains(" --> query:1:"), "{err}");
    assert!(err.contains("\n1 | rate(up)\n") && err.contains('^'), "{err}");
    for args in [
        &["query", "promq", "up"][..],
        &["query", "promql"],
        &["query", "promql", "up", "--since", "soon"],
        &["query", "promql", "up", "-o", "xml"],
        &["query", "logql", "{a=\"b\"}", "--from", "1", "--since", "1h"],
    ] {
        assert_eq!(run(args).0, 2, "{args:?}");
    }
}

#[test]
fn without_a_server_the_exit_code_says_so() {
    let (code, out, err) = run(&["query", "promql", "up", "--url", &nowhere()]);
    assert_eq!((code, out.as_str()), (4, ""), "{err}");
    assert!(err.contains("trefoil serve"), "{err}");
}

#[test]
fn files_are_checked_by_their_ending() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = [
        file("a.promql", "sum(rate(http_requests_total[5m])) by (job)\n"),
        file("a.logql", "{app=\"a\"} |= \"x\""),
        file("a.traceql", "{ status = error }"),
        file("a.toml", "memory = \"2GiB\"\nretention-logs = \"none\"\n"),
    ];
    let (code, out, err) = run(&["check", &good[0], &good[1], &good[2], &good[3]]);
    assert_eq!((code, err.as_str(), out.lines().count()), (0, "", 4), "{out}");
    let check = |name: &str, text: &str, expected_code: i32, says: &str| {
        let (code, out, err) = run(&["check", &good[0], &file(name, text)]);
        assert_eq!(code, expected_code, "{name}: {err}");
        assert!(out.contains("a.promql: ok") && err.contains(says), "{name}: {err}");
    };
    check("b.promql", "sum(\n  ratee(x[5m]))", 1, "b.promql:2:");
    check("b.logql", "{", 1, "b.logql:1:");
    check("b.toml", "memry = 1", 1, "did you mean `memory`?");
    check("b.toml", "memory = \"lots\"", 1, "a size is expected");
    check("b.yaml", "groups: []", 2, "cannot yet");
    assert_eq!(run(&["check", "/does/not/exist.promql"]).0, 2);
    assert_eq!(run(&["check"]).0, 2);
}

#[test]
fn the_doctor_finds_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let url = format!("http://{}", server.http);
    let args = [
        "doctor",
        "--url",
        &url,
        "--otlp-grpc",
        &server.otlp_grpc,
        "--otlp-http",
        &server.otlp_http,
    ];
    let (code, out, err) = run(&args);
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    for finding in
        ["ok    trefoil ", "ok    OTLP/gRPC", "ok    OTLP/HTTP", "warn  traces: nothing received"]
    {
        assert!(out.contains(finding), "{finding}: {out}");
    }
    let text = otlp::request("traces", "x", 0, 1);
    let old = text.replace(
        &format!(r#""startTimeUnixNano":"{}"#, &text[text.find("Nano\":\"").unwrap() + 7..][..3]),
        r#""startTimeUnixNano":"000"#,
    );
    for text in [&text, &old] {
        let headers = [("content-type", "application/json")];
        assert_eq!(
            request(&server.otlp_http, "POST", "/v1/traces", &headers, text.as_bytes()).status,
            200
        );
    }
    let (_, out, _) = run(&args);
    assert!(out.contains("ok    traces: 1 items"), "{out}");
    assert!(out.contains("older_than_retention"), "{out}");
    let (code, out, _) = run(&["doctor", "--url", &nowhere()]);
    assert_eq!(code, 1);
    assert!(out.contains("fail  no server"), "{out}");
}
