//! One number for all memory: queries give way, what comes in does not.

use crate::binary::{Server, request};
use crate::otlp::{self, SIGNALS, counter, to_protobuf};

#[test]
fn queries_that_would_take_all_memory_are_refused_and_writing_goes_on() {
    const MEMORY: f64 = (128u64 << 20) as f64;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--memory=128MiB", "--max-body=8MiB"]);
    let headers = [("content-type", "application/x-protobuf")];
    let send = |first: u64| {
        let (name, message, _) = SIGNALS[1];
        let body = to_protobuf(message, &otlp::request(name, "memory", first, 500));
        let answer = request(&server.otlp_http, "POST", "/v1/metrics", &headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    (0..8).for_each(|i| send(i * 500));
    let now = otlp::now_ns() / 1_000_000_000;
    // Four thousand series with eleven thousand points of 16 bytes each: 700 MB.
    let heavy = format!(
        "/api/v1/query_range?query=last_over_time(test_value[4h])&start={now}&end={}&step=1",
        now + 10_900
    );
    std::thread::scope(|scope| {
        let queries: Vec<_> = (0..3).map(|_| scope.spawn(|| server.get(&heavy))).collect();
        let mut first = 10_000;
        while !queries.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            send(first);
            first += 500;
        }
        for query in queries {
            let answer = query.join().unwrap();
            assert_eq!(answer.status, 422, "{}", answer.text().get(..300).unwrap_or_default());
            assert!(answer.text().contains("--memory"), "{}", answer.text());
        }
    });
    assert!(counter(&server, "trefoil_queries_starved_total") >= 3.0);
    let peak = peak_bytes(server.pid());
    eprintln!("peak {} MiB of {}", peak / 1024.0 / 1024.0, MEMORY / 1024.0 / 1024.0);
    // Between two looks a query may take some more.
    assert!(peak < MEMORY * 1.5, "{peak}");
    let small = server.get("/api/v1/query?query=count(test_value)");
    assert_eq!(small.status, 200, "{}", small.text());
}

/// The most memory the process has had. Source: proc_pid_status(5).
fn peak_bytes(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() * 1024.0
}
