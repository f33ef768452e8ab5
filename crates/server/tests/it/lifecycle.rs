//! Start, stop, and what stands in the way.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::binary::{Server, request, signal, trefoil};
use crate::otlp;

/// Runs `serve` with flags that make it fail and gives what it says.
fn fails(flags: &[&str]) -> String {
    let ports = ["--http=127.0.0.1:0", "--otlp-grpc=off", "--otlp-http=off"];
    let mut child =
        trefoil().arg("serve").args(ports).args(flags).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it started in spite of {flags:?}");
        }
        std::thread::yield_now();
    }
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.trim().lines().count(), 1, "{text}");
    text
}

#[test]
fn serve_starts_answers_and_stops() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert!(server.banner.len() <= 8);
    assert_eq!(server.get("/-/healthy").status, 200);
    assert_eq!(server.get("/-/ready").status, 200);
    assert!(server.get("/metrics").text().contains("trefoil_build_info{version="));
    assert_eq!(server.get("/").status, 307);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn what_stands_in_the_way_gets_one_line_that_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data = data.to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = fails(&["--data", data, "--http", &address]);
    assert!(text.contains("is taken by another process") && text.contains("--http"), "{text}");
    let text = fails(&["--data", data, "--otlp-grpc", &address]);
    assert!(text.contains("--otlp-grpc"), "{text}");
    let text = fails(&["--data", data, "--http", "192.0.2.1:4316"]);
    assert!(text.contains("no address of this machine"), "{text}");
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let text = fails(&["--data", file.join("below").to_str().unwrap()]);
    assert!(text.contains("--data"), "{text}");
}

#[test]
fn a_second_process_on_the_same_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = Server::start(dir.path(), &[]);
    let text = fails(&["--data", dir.path().to_str().unwrap()]);
    assert!(
        text.contains("in use by another trefoil process") && text.contains("--data"),
        "{text}"
    );
    assert_eq!(first.get("/-/ready").status, 200);
    assert_eq!(first.terminate(), Some(0));
    assert_eq!(Server::start(dir.path(), &[]).terminate(), Some(0));
}

#[test]
fn sigterm_lets_an_open_request_finish() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let body = otlp::request("logs", "late", 0, 1);
    let mut stream = TcpStream::connect(&server.otlp_http).unwrap();
    let head = format!(
        "POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    // Another request's answer tells that the server has read the first one's head.
    assert_eq!(request(&server.otlp_http, "GET", "/-/ready", &[], b"").status, 200);
    signal(server.pid(), "TERM");
    wait_until_closed(&server.otlp_http);
    stream.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn a_second_signal_stops_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    // An open request keeps the server from stopping.
    let mut stream = TcpStream::connect(&server.otlp_http).unwrap();
    stream.write_all(b"POST /v1/logs HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n").unwrap();
    assert_eq!(request(&server.otlp_http, "GET", "/-/ready", &[], b"").status, 200);
    signal(server.pid(), "INT");
    wait_until_closed(&server.otlp_http);
    let started = Instant::now();
    signal(server.pid(), "INT");
    assert!(server.wait().is_some_and(|code| code != 0));
    assert!(started.elapsed() < Duration::from_secs(5));
}

/// Waits until nobody listens there any more.
fn wait_until_closed(address: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "still listening");
        std::thread::yield_now();
    }
}
