//! `trefoil demo` as a user has it: one URL, data soon, a clean end.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::binary::{request, signal, trefoil};

/// What the issue promises.
const DATA_WITHIN: Duration = Duration::from_secs(10);

struct Demo {
    child: Child,
    /// `host:port` of the one URL it prints.
    http: String,
    data: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(flags: &[&str]) -> Demo {
    let ports = ["--http=127.0.0.1:0", "--otlp-grpc=127.0.0.1:0", "--otlp-http=127.0.0.1:0"];
    let mut child =
        trefoil().arg("demo").args(ports).args(flags).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut banner = Vec::new();
    while !banner.iter().any(|line: &String| line.contains("Ctrl-C")) {
        match lines.next() {
            Some(line) => banner.push(line.unwrap()),
            None => panic!("did not start: {banner:?}"),
        }
    }
    std::thread::spawn(move || {
        lines.map_while(Result::ok).for_each(|line| eprintln!("  | {line}"));
    });
    let urls: Vec<_> = banner.iter().filter(|line| line.contains("http://")).collect();
    assert_eq!(urls.len(), 1, "one URL: {banner:?}");
    let http = urls[0].split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned();
    let data = banner.iter().find_map(|line| line.trim().strip_prefix("data")).unwrap();
    let data = data.split_whitespace().next().unwrap().to_owned();
    Demo { child, http, data }
}

/// Asks until the answer is as wanted or the time is over.
fn wait_for(within: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < within, "{what}: not after {within:?}");
        std::thread::park_timeout(Duration::from_millis(100));
    }
}

fn stored(http: &str) -> impl Iterator<Item = u64> {
    let metrics = request(http, "GET", "/metrics", &[], b"").text();
    ["traces", "metrics", "logs"].into_iter().map(move |signal| {
        let name = format!("trefoil_stored_items_total{{signal=\"{signal}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
        line.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    })
}

#[test]
fn shows_all_signals_of_all_services_within_ten_seconds_and_ends_on_ctrl_c() {
    let begin = Instant::now();
    let mut demo = start(&["--rate=30"]);
    wait_for(DATA_WITHIN, "all three signals", || stored(&demo.http).all(|items| items > 0));
    wait_for(DATA_WITHIN.saturating_sub(begin.elapsed()), "all four services", || {
        let answer = request(&demo.http, "GET", "/jaeger/api/services", &[], b"").json();
        ["ghostworks", "hypeman", "hypersdk", "metald"].iter().all(|service| {
            let listed = answer["data"].as_array();
            listed.is_some_and(|listed| listed.iter().any(|name| name == service))
        })
    });
    assert!(Path::new(&demo.data).is_dir());
    signal(demo.child.id(), "INT");
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    assert!(!Path::new(&demo.data).exists(), "{} is left behind", demo.data);
}

#[test]
fn keeps_a_directory_that_was_chosen_and_fails_as_it_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("kept");
    let mut demo =
        start(&["--rate=30", "--data", data.to_str().unwrap(), "--break=provider=errors:100%"]);
    wait_for(DATA_WITHIN * 2, "a failed export", || {
        let path = "/jaeger/api/traces?service=hypersdk&operation=provider.export\
                    &tags=%7B%22error%22%3A%22true%22%7D";
        let answer = request(&demo.http, "GET", path, &[], b"").json();
        answer["data"].as_array().is_some_and(|traces| !traces.is_empty())
    });
    signal(demo.child.id(), "TERM");
    assert_eq!(demo.child.wait().unwrap().code(), Some(0));
    assert!(data.is_dir());
}

#[test]
fn lists_what_can_be_broken() {
    let output = trefoil().args(["demo", "--list-breaks"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    for name in ["database=slow", "provider=errors", "auth=", "vmm=", "billing="] {
        assert!(text.contains(name), "{text}");
    }
    let output = trefoil().args(["demo", "--break", "moon"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("nothing called `moon`"));
}
