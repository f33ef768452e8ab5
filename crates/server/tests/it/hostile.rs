//! Wrong, damaged and oversized input to every receiver: a clear answer, the process
//! alive, its memory flat.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use trefoil_wire::compression::{Encoding, compress};

use crate::binary::{Server, request, try_request};
use crate::grpc;
use crate::otlp::{self, SIGNALS, books, counter, to_protobuf};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

/// Lists in lists, deeper than any parser should follow.
fn nested_json(depth: usize) -> String {
    format!(
        r#"{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{{"body":{}{}}}]}}]}}]}}"#,
        r#"{"arrayValue":{"values":["#.repeat(depth),
        "]}}".repeat(depth)
    )
}

/// The same in protobuf: AnyValue { array_value { values … } } around nothing.
fn nested_protobuf(depth: usize) -> Vec<u8> {
    let mut body = Vec::new();
    let wrap = |field: u8, inner: &[u8]| {
        let mut out = vec![field << 3 | 2];
        let mut length = inner.len();
        while length >= 0x80 {
            out.push(length as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend_from_slice(inner);
        out
    };
    for _ in 0..depth {
        body = wrap(5, &wrap(1, &body));
    }
    // LogRecord.body, ScopeLogs.log_records, ResourceLogs.scope_logs, resource_logs.
    [5, 2, 2, 1].iter().fold(body, |inner, field| wrap(*field, &inner))
}

/// A small body that becomes a large one: several members, each of the same megabyte, so
/// that making it takes no time.
fn bomb(encoding: Encoding) -> Vec<u8> {
    compress(encoding, &vec![0; 1 << 20]).unwrap().repeat(50)
}

/// Whether the process still does its work, with its memory within reason.
fn check_alive(server: &Server, rss_before: f64) {
    assert_eq!(server.get("/-/ready").status, 200);
    let response = request(
        &server.otlp_http,
        "POST",
        "/v1/logs",
        &[JSON],
        otlp::request("logs", "alive", 0, 1).as_bytes(),
    );
    assert_eq!(response.status, 200);
    let grown = counter(server, "process_resident_memory_bytes") - rss_before;
    assert!(grown < 150e6, "the process grew by {grown} bytes");
}

#[test]
fn wrong_http_requests_get_a_clear_4xx() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--max-body=1MiB"]);
    let rss = counter(&server, "process_resident_memory_bytes");
    for (signal, message, _) in SIGNALS {
        let path = format!("/v1/{signal}");
        let good = to_protobuf(message, &otlp::request(signal, "x", 0, 20));
        let check = |headers: &[(&str, &str)], body: &[u8], status: u16, says: &str| {
            for address in [&server.http, &server.otlp_http, &server.otlp_grpc] {
                let response = request(address, "POST", &path, headers, body);
                let text = response.text();
                assert_eq!(response.status, status, "{signal} {headers:?}: {text}");
                assert!(text.contains(says), "{signal} {headers:?} {status}: {text}");
            }
        };
        let gzip = ("content-encoding", "gzip");
        let zstd = ("content-encoding", "zstd");
        check(&[], &good, 415, "Content-Type is missing");
        check(&[("content-type", "text/plain")], &good, 415, "text/plain is not supported");
        check(&[("content-type", "application/grpc")], &good, 415, "not supported");
        check(&[PROTOBUF, ("content-encoding", "br")], &good, 415, "br is not supported");
        check(&[PROTOBUF, gzip], &good, 400, "not valid gzip");
        check(&[PROTOBUF, zstd], &good, 400, "not valid zstd");
        check(&[PROTOBUF], &compress(Encoding::Gzip, &good).unwrap(), 400, "at byte");
        let half = compress(Encoding::Gzip, &good).unwrap();
        check(&[PROTOBUF, gzip], &half[..half.len() / 2], 400, "not valid gzip");
        check(&[PROTOBUF], &good[..good.len() - 1], 400, "at byte");
        check(&[PROTOBUF], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 400, "at byte");
        check(&[JSON], b"{", 400, "column");
        check(&[JSON], b"[]", 400, "column");
        check(&[JSON], b"\xff", 400, "");
        check(&[JSON], &good, 400, "");
        check(&[PROTOBUF], &vec![0; 2 << 20], 413, "1048576 bytes");
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let bomb = bomb(encoding);
            let headers = [PROTOBUF, ("content-encoding", encoding.as_str())];
            check(&headers, &bomb, 413, "when decompressed");
        }
        for method in ["GET", "PUT"] {
            assert_eq!(request(&server.otlp_http, method, &path, &[JSON], b"").status, 405);
        }
        assert_eq!(books(&server, signal).1, 0.0, "nothing of all this is stored");
    }
    let unknown = request(&server.otlp_http, "POST", "/v1/profiles", &[JSON], b"{}");
    assert_eq!((unknown.status, unknown.text().contains("/v1/traces")), (404, true));
    check_alive(&server, rss);
}

#[test]
fn deep_nesting_is_refused_and_the_stack_holds() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let rss = counter(&server, "process_resident_memory_bytes");
    for depth in [500, 50_000] {
        let response =
            request(&server.otlp_http, "POST", "/v1/logs", &[JSON], nested_json(depth).as_bytes());
        assert_eq!(response.status, 400, "{}", response.text());
        let body = nested_protobuf(depth);
        let response = request(&server.otlp_http, "POST", "/v1/logs", &[PROTOBUF], &body);
        let text = response.text();
        // The request around the record is whole, so only the record is refused.
        assert!(response.status == 400 || text.contains("too_deep"), "{} {text}", response.status);
        let reply =
            grpc::call(&server.otlp_grpc, grpc::LOGS, &[], grpc::frame(&body, false)).unwrap();
        assert!(reply.code == 3 || !reply.body.is_empty(), "{reply:?}");
    }
    assert_eq!(books(&server, "logs").1, 0.0);
    check_alive(&server, rss);
}

#[test]
fn wrong_grpc_calls_get_a_status() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--max-body=1MiB"]);
    let rss = counter(&server, "process_resident_memory_bytes");
    const INVALID: i32 = 3;
    const EXHAUSTED: i32 = 8;
    const UNIMPLEMENTED: i32 = 12;
    for (signal, message, path) in SIGNALS {
        let good = to_protobuf(message, &otlp::request(signal, "x", 0, 20));
        let check = |headers: &[(&str, &str)], body: Vec<u8>, code: i32, says: &str| {
            let reply = grpc::call(&server.otlp_grpc, path, headers, body).unwrap();
            assert_eq!(reply.code, code, "{signal} {headers:?}: {reply:?}");
            assert!(reply.message.contains(says), "{signal} {headers:?}: {reply:?}");
            assert!(reply.has_details || code < 0);
        };
        let gzip = ("grpc-encoding", "gzip");
        check(&[], Vec::new(), INVALID, "ends within a message");
        check(&[], vec![0, 0, 0], INVALID, "ends within a message");
        check(&[], b"GET / HTTP".to_vec(), INVALID, "flag");
        check(&[], grpc::frame(&good, false)[..good.len()].to_vec(), INVALID, "ends within");
        check(&[], grpc::frame(&good, false).repeat(2), INVALID, "one message");
        check(&[], grpc::frame(&good[..good.len() - 1], false), INVALID, "at byte");
        check(&[], grpc::frame(&good, true), INVALID, "no grpc-encoding");
        check(&[gzip], grpc::frame(&good, true), INVALID, "not valid gzip");
        check(&[("grpc-encoding", "br")], grpc::frame(&good, true), UNIMPLEMENTED, "br");
        check(&[], vec![0, 0xff, 0xff, 0xff, 0xff], EXHAUSTED, "limit");
        check(&[], grpc::frame(&vec![0; 2 << 20], false), EXHAUSTED, "1048");
        check(&[gzip], grpc::frame(&bomb(Encoding::Gzip), true), EXHAUSTED, "decompressed");
        check(&[("content-type", "text/plain")], Vec::new(), -415, "");
        assert_eq!(books(&server, signal).1, 0.0, "nothing of all this is stored");
    }
    let reply =
        grpc::call(&server.otlp_grpc, "/grpc.health.v1.Health/Check", &[], Vec::new()).unwrap();
    assert_eq!(reply.code, UNIMPLEMENTED);
    check_alive(&server, rss);
}

#[test]
fn bytes_that_are_no_http_at_all_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let rss = counter(&server, "process_resident_memory_bytes");
    let long_header = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    // A SETTINGS frame that claims 16 MiB, and frames of random bytes.
    let settings = [&preface[..], &[0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0]].concat();
    let noise: Vec<u8> =
        (0..100_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let noise_after_preface = [&preface[..], &noise].concat();
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec();
    let smuggled = b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    for bytes in [
        long_header.as_bytes(),
        many_headers.as_bytes(),
        &settings,
        &noise,
        &noise_after_preface,
        &tls_hello,
        smuggled,
    ] {
        for address in [&server.http, &server.otlp_grpc, &server.otlp_http] {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // The server may close while we write.
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{:?}", String::from_utf8_lossy(&answer));
        }
    }
    check_alive(&server, rss);
}

#[test]
fn a_slow_client_is_dropped_and_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let mut slow: Vec<TcpStream> =
        (0..200).map(|_| TcpStream::connect(&server.otlp_http).unwrap()).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /v1/logs HT").unwrap();
    }
    let text = otlp::request("logs", "quick", 0, 1);
    assert_eq!(
        request(&server.otlp_http, "POST", "/v1/logs", &[JSON], text.as_bytes()).status,
        200
    );
    // Who has not begun a request after 10 s is dropped.
    for bytes in [&b""[..], b"PRI * HT"] {
        let mut silent = TcpStream::connect(&server.otlp_http).unwrap();
        silent.write_all(bytes).unwrap();
        silent.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        silent.read_to_end(&mut answer).expect("the server closes the connection");
    }
}

#[test]
fn more_than_fits_in_memory_is_refused_with_a_hint_when_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    // A quarter of 64 MiB for requests in flight; each of these wants 7 MiB and never ends.
    let server = Server::start(dir.path(), &["--memory=64MiB", "--max-body=8MiB"]);
    let head = "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 7340032\r\n\r\n";
    let holders: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = TcpStream::connect(&server.otlp_http).unwrap();
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    // Until both have their share.
    let body = vec![b' '; 7 << 20];
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let refused = loop {
        let answer = try_request(&server.otlp_http, "POST", "/v1/logs", &[JSON], &body);
        match answer {
            Ok(answer) if answer.status == 429 => break answer,
            _ if std::time::Instant::now() > deadline => panic!("never refused: {answer:?}"),
            _ => {}
        }
    };
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    assert!(refused.text().contains("try again"), "{}", refused.text());
    let reply = grpc::call(&server.otlp_grpc, grpc::LOGS, &[], grpc::frame(&body, false)).unwrap();
    assert_eq!((reply.code, reply.has_details), (8, true), "{reply:?}");
    drop(holders);
    let text = otlp::request("logs", "after", 0, 1);
    assert_eq!(
        request(&server.otlp_http, "POST", "/v1/logs", &[JSON], text.as_bytes()).status,
        200
    );
}
