//! Posting prepared requests as fast as they are answered.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Connections that post side by side, as a few collectors would.
const CONNECTIONS: usize = 4;
/// An answer that takes longer has been lost.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// How a load went.
pub(super) struct Loaded {
    pub(super) seconds: f64,
    /// Time of each request in milliseconds, sorted.
    latencies_ms: Vec<f64>,
}

impl Loaded {
    /// The latency that so many out of a hundred requests stayed below.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let last = self.latencies_ms.len().saturating_sub(1);
        self.latencies_ms.get(last * percent / 100).copied().unwrap_or(0.0)
    }
}

/// Posts each body once; every one must be taken whole.
///
/// # Errors
/// The first refusal or broken connection.
pub(super) fn all(address: &str, path: &str, bodies: &[Vec<u8>]) -> Result<Loaded, String> {
    let next = AtomicUsize::new(0);
    let begin = Instant::now();
    let connection = || -> Result<Vec<f64>, String> {
        let mut connection = Connection::open(address)?;
        let mut latencies = Vec::new();
        while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
            let start = Instant::now();
            connection.post(path, body)?;
            latencies.push(start.elapsed().as_secs_f64() * 1000.0);
        }
        Ok(latencies)
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(connection)).collect();
        threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let mut latencies_ms = Vec::new();
    for result in results {
        latencies_ms.extend(result.map_err(|_| "a connection's thread panicked".to_owned())??);
    }
    latencies_ms.sort_by(f64::total_cmp);
    Ok(Loaded { seconds, latencies_ms })
}

/// The body that a GET is answered with.
///
/// # Errors
/// An answer that is not a 200, or none.
pub(super) fn get(address: &str, path: &str) -> Result<Vec<u8>, String> {
    let mut connection = Connection::open(address)?;
    let head = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let sent = connection.stream.get_mut().write_all(head.as_bytes());
    sent.map_err(|error| format!("the connection broke: {error}"))?;
    match connection.answer().map_err(|error| format!("no answer: {error}"))? {
        (200, body) => Ok(body),
        (status, body) => {
            Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&body)))
        }
    }
}

struct Connection {
    address: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: &str) -> Result<Connection, String> {
        let failed = |error: std::io::Error| format!("cannot connect to {address}: {error}");
        let stream = TcpStream::connect(address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).map_err(failed)?;
        Ok(Connection { address: address.to_owned(), stream: BufReader::new(stream) })
    }

    fn post(&mut self, path: &str, body: &[u8]) -> Result<(), String> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-protobuf\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        let stream = self.stream.get_mut();
        let sent = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
        sent.map_err(|error| format!("the connection broke: {error}"))?;
        let (status, answer) = self.answer().map_err(|error| format!("no answer: {error}"))?;
        // An empty answer is full success; anything in it counts what was refused.
        if status != 200 || !answer.is_empty() {
            return Err(format!("answered {status}: {}", String::from_utf8_lossy(&answer)));
        }
        Ok(())
    }

    fn answer(&mut self) -> std::io::Result<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
