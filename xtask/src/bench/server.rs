//! A release server on a fresh directory, watched from outside.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::workspace;

const START_WITHIN: Duration = Duration::from_secs(30);
/// A folder that has not changed for so long has settled.
const SETTLED_AFTER: Duration = Duration::from_secs(5);
const SETTLE_WITHIN: Duration = Duration::from_secs(90);
/// `/proc` counts CPU time in these; the kernel fixes them for user space.
const TICKS_PER_SECOND: f64 = 100.0;

/// Builds the server as users get it. `TREFOIL_BIN` names another one instead.
///
/// # Errors
/// If it does not compile.
pub(super) fn build() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("TREFOIL_BIN") {
        return Ok(PathBuf::from(path));
    }
    let mut command = workspace::cargo();
    command.args(["build", "--release", "--package", "trefoil-server", "--bin", "trefoil"]);
    let status = command.status().map_err(|error| format!("cannot run cargo: {error}"))?;
    if !status.success() {
        return Err("the server does not compile".to_owned());
    }
    Ok(workspace::target().join("release/trefoil"))
}

/// A running server; killed if it is dropped before it was stopped.
pub(super) struct Server {
    child: Child,
    data: PathBuf,
    /// Host and port of the web app and the query APIs.
    pub(super) web: String,
    /// Host and port of OTLP/HTTP.
    pub(super) otlp: String,
    /// From its start until it was ready.
    pub(super) ready_within: Duration,
}

impl Server {
    /// Starts it on a fresh directory, with all defaults but the ports.
    ///
    /// # Errors
    /// If it does not get ready.
    pub(super) fn start(binary: &Path, data: &Path) -> Result<Server, String> {
        if data.exists() {
            std::fs::remove_dir_all(data).map_err(|e| format!("{}: {e}", data.display()))?;
        }
        Server::start_again(binary, data)
    }

    /// Starts it on what another one left.
    ///
    /// # Errors
    /// If it does not get ready.
    pub(super) fn start_again(binary: &Path, data: &Path) -> Result<Server, String> {
        let begin = Instant::now();
        let ports = ["--http=127.0.0.1:0", "--otlp-grpc=off", "--otlp-http=127.0.0.1:0"];
        let mut child = Command::new(binary)
            .args(["serve", "--data"])
            .arg(data)
            .args(ports)
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        let (tell, told) = mpsc::channel();
        if let Some(stderr) = child.stderr.take() {
            // Reads on after the start, so that the server never waits for its own words.
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    let _ = tell.send(line);
                }
            });
        }
        let mut server = Server {
            child,
            data: data.to_owned(),
            web: String::new(),
            otlp: String::new(),
            ready_within: Duration::ZERO,
        };
        let deadline = begin + START_WITHIN;
        while let Ok(line) = told.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            let Some((name, url)) = line.split_once("http://") else { continue };
            let address = url.split('/').next().unwrap_or_default().to_owned();
            match name.trim() {
                "web app" => server.web = address,
                "OTLP/HTTP" => {
                    server.otlp = address;
                    server.ready_within = begin.elapsed();
                    return Ok(server);
                }
                _ => {}
            }
        }
        Err("the server did not get ready".to_owned())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// CPU seconds used so far, by user and kernel.
    ///
    /// # Errors
    /// Without `/proc`.
    pub(super) fn cpu_seconds(&self) -> Result<f64, String> {
        ticks(&self.proc_file("stat")?, 11)
    }

    /// The most memory that was resident at once, in bytes.
    ///
    /// # Errors
    /// Without `/proc`.
    pub(super) fn peak_memory(&self) -> Result<f64, String> {
        memory(self.pid(), "VmHWM:")
    }

    /// The memory that is resident now, in bytes.
    ///
    /// # Errors
    /// Without `/proc`.
    pub(super) fn memory(&self) -> Result<f64, String> {
        memory(self.pid(), "VmRSS:")
    }

    fn proc_file(&self, name: &str) -> Result<String, String> {
        read(&format!("/proc/{}/{name}", self.pid()))
    }

    /// Kills it, and starts another one on what it left.
    ///
    /// # Errors
    /// If the other one does not get ready.
    pub(super) fn kill_and_start(mut self, binary: &Path) -> Result<Server, String> {
        self.child.kill().map_err(|error| format!("cannot kill the server: {error}"))?;
        self.child.wait().map_err(|error| error.to_string())?;
        Server::start_again(binary, &self.data)
    }

    /// Waits until the data directory does not change any more: flushed and merged as far
    /// as the server does by itself.
    pub(super) fn settle(&self) {
        settle(&self.data);
    }

    /// Stops the server, which flushes what is still in memory; answers what it leaves and
    /// what it used; then removes the former.
    ///
    /// # Errors
    /// If it does not stop as it should.
    pub(super) fn stop(mut self) -> Result<Left, String> {
        let pid = self.pid().to_string();
        // Of children that ended only the sum is told.
        let before = ticks(&read("/proc/self/stat")?, 13)?;
        let told = Command::new("kill").args(["-TERM", &pid]).status();
        told.map_err(|error| format!("cannot stop the server: {error}"))?;
        let status = self.child.wait().map_err(|error| error.to_string())?;
        if !status.success() {
            return Err(format!("the server ended with {status}"));
        }
        let cpu_seconds = ticks(&read("/proc/self/stat")?, 13)? - before;
        let bytes = weigh(&self.data);
        std::fs::remove_dir_all(&self.data).map_err(|error| error.to_string())?;
        Ok(Left { bytes, cpu_seconds })
    }
}

/// Waits until a folder does not change any more.
pub(super) fn settle(folder: &Path) {
    let begin = Instant::now();
    let (mut size, mut since) = (weigh(folder), Instant::now());
    while since.elapsed() < SETTLED_AFTER && begin.elapsed() < SETTLE_WITHIN {
        wait(Duration::from_millis(250));
        let now = weigh(folder);
        if now != size {
            (size, since) = (now, Instant::now());
        }
    }
}

/// What is left of a server.
pub(super) struct Left {
    /// Of its data directory.
    pub(super) bytes: u64,
    /// From its start to its end.
    pub(super) cpu_seconds: f64,
}

/// The sum of two neighbouring fields of `/proc/…/stat` in seconds, counted after the
/// name: 11 is the process's own time by user and kernel, 13 that of its ended children.
pub(super) fn ticks(stat: &str, at: usize) -> Result<f64, String> {
    // The name of the process, in brackets, may hold blanks.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    match (field(at), field(at + 1)) {
        (Some(user), Some(kernel)) => Ok((user + kernel) / TICKS_PER_SECOND),
        _ => Err(format!("cannot read CPU time from `{stat}`")),
    }
}

pub(super) fn read(path: &str) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read {path}: {error}"))
}

impl Drop for Server {
    fn drop(&mut self) {
        // After a proper stop there is nothing left to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line of `/proc/…/status` that counts kilobytes, in bytes.
pub(super) fn memory(pid: u32, line: &str) -> Result<f64, String> {
    let status = read(&format!("/proc/{pid}/status"))?;
    let rest = status.lines().find_map(|text| text.strip_prefix(line));
    let kilobytes = rest.and_then(|text| text.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.map(|number| number * 1024.0).ok_or_else(|| format!("no {line}"))
}

/// Bytes of all files in a folder.
pub(super) fn weigh(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(about) if about.is_dir() => weigh(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    entries.filter_map(Result::ok).map(of).sum()
}

#[allow(clippy::disallowed_methods, reason = "nothing tells when a folder stops changing")]
pub(super) fn wait(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_time_is_read_after_the_name() {
        let stat = "12 (a b) c) S 1 2 3 4 5 6 7 8 9 10 150 50 30 20 0";
        assert_eq!(ticks(stat, 11), Ok(2.0));
        assert_eq!(ticks(stat, 13), Ok(0.5));
        assert!(ticks("12 (a)", 11).is_err());
    }
}
