//! File systems that are full or turn read-only, and a process that stands still: what was
//! acknowledged is there, once, and the server says what is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::binary::{Response, Server, signal, try_request};
use crate::kill::{self, Random, Sent};
use crate::otlp::{self, SIGNALS, to_protobuf};

/// A file system of its own; unmounted when dropped.
struct Mount {
    dir: tempfile::TempDir,
    /// The file behind it, if it is no tmpfs.
    image: Option<tempfile::NamedTempFile>,
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
    }
}

impl Mount {
    /// `None`, loudly, where this is not permitted.
    fn tmpfs(size: &str) -> Option<Mount> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        match run("mount", &["-t", "tmpfs", "-o", &options, "tmpfs", dir.path().to_str().unwrap()])
        {
            Ok(()) => Some(Mount { dir, image: None }),
            Err(why) => skipped(&why),
        }
    }

    /// A file system with a journal, in a file.
    fn ext4(bytes: u64) -> Option<Mount> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(bytes).unwrap();
        let path = image.path().to_str().unwrap().to_owned();
        if let Err(why) = run("mkfs.ext4", &["-q", "-F", &path]) {
            return skipped(&why);
        }
        let mount = Mount { dir: tempfile::tempdir().unwrap(), image: Some(image) };
        match mount.mount_image() {
            Ok(()) => Some(mount),
            Err(why) => skipped(&why),
        }
    }

    fn mount_image(&self) -> Result<(), String> {
        let Some(image) = &self.image else { return Ok(()) };
        let (image, dir) = (image.path().to_str().unwrap(), self.dir.path().to_str().unwrap());
        run("mount", &["-o", "loop", image, dir])
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// As if the device had failed: every write is refused from now on.
    fn fail(&self) {
        let dir = self.dir.path().to_str().unwrap();
        run("mount", &["-o", "remount,abort", dir]).unwrap();
    }

    fn unmount(&self) {
        let dir = self.dir.path().to_str().unwrap();
        run("umount", &[dir]).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // It may be unmounted already.
        let _ = run("umount", &["-l", self.dir.path().to_str().unwrap()]);
    }
}

fn skipped(why: &str) -> Option<Mount> {
    eprintln!("SKIPPED: cannot mount a file system of its own: {why}");
    None
}

/// What was sent, and whether it was acknowledged.
struct Ledger {
    next: u64,
    sent: [Sent; 3],
}

impl Ledger {
    fn new() -> Self {
        Ledger { next: 1, sent: Default::default() }
    }

    /// Sends a request of each signal and gives the answers.
    fn send(&mut self, server: &Server) -> Vec<Response> {
        let mut answers = Vec::new();
        for (at, (name, message, _)) in SIGNALS.iter().enumerate() {
            let (first, count) = (self.next, 100);
            self.next += count;
            let body = to_protobuf(message, &otlp::request(name, "disk", first, count));
            let headers = [("content-type", "application/x-protobuf")];
            let path = format!("/v1/{name}");
            self.note(at, first, count, false);
            let answer = try_request(&server.otlp_http, "POST", &path, &headers, &body).unwrap();
            self.note(at, first, count, answer.status == 200);
            answers.push(answer);
        }
        answers
    }

    fn note(&self, signal: usize, first: u64, count: u64, acknowledged: bool) {
        let items = (first..first + count).map(|n| (n, acknowledged));
        self.sent[signal].lock().unwrap().extend(items);
    }

    /// Sends until every signal is taken.
    fn send_until_taken(&mut self, server: &Server) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.send(server).iter().any(|answer| answer.status != 200) {
            assert!(Instant::now() < deadline, "writing does not resume");
            std::thread::yield_now();
        }
    }
}

/// Takes the room of a file system but for so many bytes.
fn fill(dir: &Path, but_for: u64) -> PathBuf {
    use std::io::Write;
    let path = dir.join("filler");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut len = 0u64;
    for chunk in [1 << 20, 1 << 12, 1 << 9, 1] {
        let bytes = vec![0; chunk];
        while let Ok(n @ 1..) = file.write(&bytes) {
            len += n as u64;
        }
    }
    file.set_len(len.saturating_sub(but_for)).unwrap();
    path
}

/// Items of each signal that queries find.
fn found(server: &Server) -> usize {
    let now = otlp::now_ns() / 1_000_000_000 + 2;
    let answer = server.get(&format!("/api/v1/query?query=count(test_value)&time={now}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"]["result"][0]["value"][1].as_str().map_or(0, |n| n.parse().unwrap())
}

#[test]
fn a_file_system_filled_to_the_last_byte_costs_nothing_but_time() {
    let Some(disk) = Mount::tmpfs("64m") else { return };
    for (reserve, left) in [("8MiB", 10 << 20), ("0", 1 << 20)] {
        let data = disk.path().join(format!("data-{reserve}"));
        let flags = ["--memory=64MiB", "--max-body=8MiB", &format!("--disk-reserve={reserve}")];
        let mut ledger = Ledger::new();
        let server = Server::start(&data, &flags);
        ledger.send_until_taken(&server);
        let filler = fill(disk.path(), left);
        let deadline = Instant::now() + Duration::from_secs(120);
        let refused = loop {
            let answers = ledger.send(&server);
            if let Some(refused) = answers.into_iter().find(|answer| answer.status != 200) {
                break refused;
            }
            assert!(Instant::now() < deadline, "the disk does not fill");
        };
        assert_eq!(refused.status, 503, "{}", refused.text());
        assert!(refused.head.contains("\r\nretry-after: "), "{}", refused.head);
        assert!(refused.text().contains("disk"), "{}", refused.text());
        if reserve != "0" {
            let ready = server.get("/-/ready");
            assert_eq!(ready.status, 503);
            assert!(ready.text().contains("--disk-reserve"), "{}", ready.text());
            assert!(server.get("/metrics").text().contains("\ntrefoil_disk_full 1\n"));
        }
        let before = found(&server);
        assert!(before > 0);
        // Now nothing at all is left, and the process dies.
        let mut rest = std::fs::OpenOptions::new().append(true).open(&filler).unwrap();
        while std::io::Write::write(&mut rest, &[0; 512]).is_ok_and(|n| n > 0) {}
        // An open file keeps its room when it is removed.
        drop(rest);
        server.kill();
        let server = Server::start(&data, &flags);
        assert_eq!(found(&server), before, "with {reserve} in reserve");
        assert!(ledger.send(&server).iter().all(|answer| answer.status == 503));
        std::fs::remove_file(&filler).unwrap();
        ledger.send_until_taken(&server);
        server.kill();
        kill::check(&data, 1, &ledger.sent);
        std::fs::remove_dir_all(&data).unwrap();
    }
}

#[test]
fn a_file_system_that_turns_read_only_stops_writing_and_not_reading() {
    let Some(disk) = Mount::ext4(64 << 20) else { return };
    let data = disk.path().join("data");
    let flags = ["--memory=64MiB", "--max-body=8MiB", "--disk-reserve=1MiB"];
    let server = Server::start(&data, &flags);
    let mut ledger = Ledger::new();
    (0..5).for_each(|_| ledger.send_until_taken(&server));
    let before = found(&server);
    disk.fail();
    for _ in 0..3 {
        for answer in ledger.send(&server) {
            assert_eq!(answer.status, 503, "{}", answer.text());
        }
    }
    let ready = server.get("/-/ready");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert!(ready.text().to_lowercase().contains("read-only"), "{}", ready.text());
    assert!(server.get("/metrics").text().contains("\ntrefoil_poisoned 1\n"));
    assert_eq!(found(&server), before);
    server.kill();
    disk.unmount();
    disk.mount_image().unwrap();
    let server = Server::start(&data, &flags);
    assert!(found(&server) >= before);
    ledger.send_until_taken(&server);
    server.kill();
    kill::check(&data, 1, &ledger.sent);
}

#[test]
fn a_process_that_is_stopped_and_continued_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--memory=64MiB", "--max-body=8MiB"]);
    let sent: [Sent; 3] = Default::default();
    let next = Arc::new(AtomicU64::new(1));
    let gone = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for at in 0..3 {
            let (sent, next, gone, server) = (&sent[at], &next, &gone, &server.otlp_http);
            scope.spawn(move || kill::send(server, at, next, sent, gone, Random(at as u64 + 7)));
        }
        let acknowledged = || -> usize {
            let of = |sent: &Sent| sent.lock().unwrap().values().filter(|acked| **acked).count();
            sent.iter().map(of).sum()
        };
        for _ in 0..3 {
            let goal = acknowledged() + 500;
            let deadline = Instant::now() + Duration::from_secs(60);
            while acknowledged() < goal {
                assert!(Instant::now() < deadline, "nothing is acknowledged any more");
                std::thread::yield_now();
            }
            signal(server.pid(), "STOP");
            kill::wait(Duration::from_millis(700));
            signal(server.pid(), "CONT");
        }
        gone.store(true, Relaxed);
    });
    assert_eq!(server.get("/-/ready").status, 200);
    server.kill();
    kill::check(dir.path(), 1, &sent);
}
