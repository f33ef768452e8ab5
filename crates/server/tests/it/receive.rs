//! Every way in, with good requests.

use trefoil_wire::compression::{Encoding, compress};
use trefoil_wire::otlp::ExportResponse;
use trefoil_wire::protobuf::{Decode, Reader};

use crate::binary::{Server, request, shared};
use crate::grpc;
use crate::otlp::{self, SIGNALS, books, to_protobuf};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

#[test]
fn every_signal_comes_in_by_every_way() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    for (signal, message, path) in SIGNALS {
        let mut sent = 0;
        let mut next = || {
            sent += 3;
            otlp::request(signal, "ways", sent * 10, 3)
        };
        let http = format!("/v1/{signal}");
        // OTLP/HTTP on every port: JSON, protobuf, each compression.
        for address in [&server.http, &server.otlp_http, &server.otlp_grpc] {
            let response = request(address, "POST", &http, &[JSON], next().as_bytes());
            assert_eq!((response.status, response.text().as_str()), (200, "{}"), "{signal}");
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd, Encoding::Deflate]
            {
                let body = compress(encoding, &to_protobuf(message, &next())).unwrap();
                let headers = [PROTOBUF, ("content-encoding", encoding.as_str())];
                let response = request(address, "POST", &http, &headers, &body);
                assert_eq!(
                    (response.status, response.body.len()),
                    (200, 0),
                    "{signal} {encoding:?}"
                );
                assert!(response.head.contains("content-type: application/x-protobuf"));
            }
        }
        // OTLP/gRPC on every port.
        for address in [&server.http, &server.otlp_http, &server.otlp_grpc] {
            for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
                let body = compress(encoding, &to_protobuf(message, &next())).unwrap();
                let headers = [("grpc-encoding", encoding.as_str())];
                let body = grpc::frame(&body, encoding != Encoding::Identity);
                let reply = grpc::call(address, path, &headers, body).unwrap();
                assert_eq!(
                    (reply.code, &reply.body[..]),
                    (0, &[0; 5][..]),
                    "{signal} {encoding:?}"
                );
            }
        }
        // Empty requests are fine.
        assert_eq!(request(&server.http, "POST", &http, &[JSON], b"{}").status, 200);
        assert_eq!(request(&server.http, "POST", &http, &[PROTOBUF], b"").status, 200);
        assert_eq!(
            grpc::call(&server.otlp_grpc, path, &[], grpc::frame(b"", false)).unwrap().code,
            0
        );
        assert_eq!(books(&server, signal), (sent as f64, sent as f64, 0.0), "{signal}");
    }
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn partial_success_counts_what_was_refused_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let id = |n: u64| format!(r#""spanId":"{n:016x}""#);
    let text = otlp::request("traces", "partial", 0, 3).replace(&id(2), &id(0));
    let response = request(&server.http, "POST", "/v1/traces", &[JSON], text.as_bytes());
    let partial = response.json()["partialSuccess"].clone();
    assert_eq!((response.status, &partial["rejectedSpans"]), (200, &serde_json::json!("1")));
    assert!(partial["errorMessage"].as_str().unwrap().contains("spans[1].span_id"), "{partial}");

    let body = grpc::frame(&to_protobuf(SIGNALS[0].1, &text), false);
    let reply = grpc::call(&server.otlp_grpc, grpc::TRACES, &[], body).unwrap();
    assert_eq!(reply.code, 0);
    let response = ExportResponse::decode(Reader::new(&reply.body[5..])).unwrap();
    assert_eq!(response.rejected, 1);
    assert_eq!(books(&server, "traces"), (6.0, 4.0, 2.0));
}

#[test]
fn pages_of_allowed_origins_may_send() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--cors-origin=http://page.test"]);
    let preflight = |origin: &str| {
        let headers = [
            ("origin", origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type,x-own"),
        ];
        request(&server.otlp_http, "OPTIONS", "/v1/traces", &headers, b"")
    };
    let answer = preflight("http://page.test");
    assert_eq!(answer.status, 204);
    assert!(
        answer.head.contains("access-control-allow-origin: http://page.test"),
        "{}",
        answer.head
    );
    assert!(answer.head.contains("access-control-allow-headers: content-type,x-own"));
    assert!(!preflight("http://other.test").head.contains("access-control-allow-origin"));
    let headers = [JSON, ("origin", "http://page.test")];
    let answer = request(&server.otlp_http, "POST", "/v1/traces", &headers, b"{}");
    assert!(answer.status == 200 && answer.head.contains("access-control-allow-origin"));
}

/// Objects below all arrays with this key.
fn count(value: &serde_json::Value, key: &str) -> u64 {
    match value {
        serde_json::Value::Array(items) => items.iter().map(|item| count(item, key)).sum(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| match value {
                serde_json::Value::Array(items) if name == key => items.len() as u64,
                _ => count(value, key),
            })
            .sum(),
        _ => 0,
    }
}

#[test]
fn the_shared_requests_are_stored_whole() {
    let Some(shared) = shared() else { return };
    let dir = tempfile::tempdir().unwrap();
    let flags = ["--retention-traces=none", "--retention-metrics=none"];
    let server = Server::start(dir.path(), &flags);
    for (signal, key) in [("traces", "spans"), ("metrics", "dataPoints")] {
        let text =
            std::fs::read_to_string(shared.join(format!("data/otlp-{signal}.json"))).unwrap();
        let response =
            request(&server.otlp_http, "POST", &format!("/v1/{signal}"), &[JSON], text.as_bytes());
        assert_eq!((response.status, response.text().as_str()), (200, "{}"));
        let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        let sent: u64 = lines.map(|line: serde_json::Value| count(&line, key)).sum();
        assert!(sent > 100);
        assert_eq!(books(&server, signal), (sent as f64, sent as f64, 0.0));
    }
}
