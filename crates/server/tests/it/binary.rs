//! Starts the real binary on free ports and speaks HTTP with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running `trefoil serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// `host:port` of the main port.
    pub(crate) http: String,
    /// `host:port` for OTLP/gRPC.
    pub(crate) otlp_grpc: String,
    /// `host:port` for OTLP/HTTP.
    pub(crate) otlp_http: String,
    /// What the banner said.
    pub(crate) banner: Vec<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Status line and headers, as they came.
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }
}

pub(crate) fn trefoil() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trefoil"));
    // Whatever the developer has set must not change what is tested.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TREFOIL_")) {
        command.env_remove(name);
    }
    command
}

impl Server {
    /// Starts on free ports and waits for the banner.
    pub(crate) fn start(data: &Path, flags: &[&str]) -> Server {
        let mut child = trefoil()
            .args([
                "serve",
                "--http=127.0.0.1:0",
                "--otlp-grpc=127.0.0.1:0",
                "--otlp-http=127.0.0.1:0",
            ])
            .arg("--data")
            .arg(data)
            .args(flags)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut banner = Vec::new();
        while !banner.iter().any(|line: &String| line.contains("retention")) {
            match lines.next() {
                Some(line) => banner.push(line.unwrap()),
                None => panic!("did not start: {banner:?}"),
            }
        }
        // What it says later goes to the test's own output.
        std::thread::spawn(move || {
            lines.map_while(Result::ok).for_each(|line| eprintln!("  | {line}"));
        });
        let address = |word: &str| {
            let line = banner.iter().find(|line| line.contains(word)).unwrap();
            let rest = line.split("http://").nth(1).unwrap();
            rest.split('/').next().unwrap().to_owned()
        };
        let (http, otlp_grpc, otlp_http) =
            (address("web app"), address("OTLP/gRPC"), address("OTLP/HTTP"));
        Server { child, http, otlp_grpc, otlp_http, banner }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        request(&self.http, "GET", path, &[], b"")
    }

    /// Sends SIGTERM and gives the exit code.
    pub(crate) fn terminate(self) -> Option<i32> {
        signal(self.pid(), "TERM");
        self.wait()
    }

    /// Waits for its end and gives the exit code.
    pub(crate) fn wait(mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }

    /// Kills as a power cut would kill the process.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// One request on a connection of its own.
pub(crate) fn request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    try_request(address, method, path, headers, body)
        .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
}

pub(crate) fn try_request(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut head = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    // The server may refuse by the headers and close before it has read the body.
    let _ = stream.write_all(body);
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    match parse_response(&bytes) {
        Some(response) => Ok(response),
        None => Err(read.err().unwrap_or_else(|| std::io::ErrorKind::UnexpectedEof.into())),
    }
}

fn parse_response(bytes: &[u8]) -> Option<Response> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = &bytes[end + 4..];
    let body =
        if head.contains("transfer-encoding: chunked") { unchunk(body)? } else { body.to_vec() };
    Some(Response { status, head, body })
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size =
            usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 2 + size + 2..)?;
    }
}

/// The directory with data and conformance suites beside the checkout; `None`, loudly, without it.
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let dir = std::env::var_os("TREFOIL_SHARED").map_or(beside, PathBuf::from);
    if dir.join("data").is_dir() {
        return Some(dir);
    }
    eprintln!("SKIPPED: no data at {}; set TREFOIL_SHARED", dir.display());
    None
}
