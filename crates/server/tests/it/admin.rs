//! Backup, restore, verify, stats, delete: on a running server and on its directory.

use std::path::{Path, PathBuf};

use crate::binary::{Server, request, trefoil};
use crate::otlp::{self, SIGNALS, to_protobuf};

/// Exit code and everything printed.
fn run(args: &[&str]) -> (i32, String) {
    let output = trefoil().args(args).output().unwrap();
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), text)
}

fn send(server: &Server, service: &str, first: u64, count: u64) {
    for (name, message, _) in SIGNALS {
        let body = to_protobuf(message, &otlp::request(name, service, first, count));
        let headers = [("content-type", "application/x-protobuf")];
        let path = format!("/v1/{name}");
        let answer = request(&server.otlp_http, "POST", &path, &headers, &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// Series, log records and spans of a service, as queries see them.
fn seen(server: &Server, service: &str) -> [usize; 3] {
    let json = |path: &str| server.get(path).json();
    let series = json(&format!("/api/v1/series?match[]=test_value{{job=%22{service}%22}}"));
    let logs = json(&format!(
        "/loki/api/v1/query_range?query={{service_name=%22{service}%22}}&limit=1000"
    ));
    let streams = logs["data"]["result"].as_array().unwrap();
    let spans =
        json(&format!("/tempo/api/search?q={{resource.service.name=%22{service}%22}}&limit=1000"));
    [
        series["data"].as_array().unwrap().len(),
        streams.iter().map(|s| s["values"].as_array().unwrap().len()).sum(),
        spans["traces"].as_array().map_or(0, Vec::len),
    ]
}

fn parts(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(data.join("parts")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_running_server_is_backed_up_verified_measured_and_cleaned() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let server = Server::start(&data, &[]);
    send(&server, "cart", 0, 20);
    send(&server, "pay", 100, 10);
    assert_eq!((seen(&server, "cart"), seen(&server, "pay")), ([20; 3], [10; 3]));
    let url = format!("http://{}", server.http);

    let (code, text) = run(&["backup", "monday", "--url", &url]);
    assert_eq!(code, 0, "{text}");
    let backup = data.join("backups/monday");
    assert!(text.contains(backup.to_str().unwrap()), "{text}");
    for bad in ["monday", "../out", "/tmp/x", "a/b"] {
        let (code, text) = run(&["backup", bad, "--url", &url]);
        assert_eq!(code, 1, "{bad}: {text}");
    }

    let (code, text) = run(&["stats", "--url", &url]);
    assert_eq!(code, 0, "{text}");
    for word in ["traces", "bytes/item", "spans by service", "cart", "test_value", "30"] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let (code, text) = run(&["verify", "--url", &url]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("all checksums hold"), "{text}");

    let (code, text) = run(&["delete", "--service", "cart", "--url", &url]);
    assert_eq!((code, text.trim()), (0, "deleted 20 spans, 20 log records, 20 samples"));
    assert_eq!((seen(&server, "cart"), seen(&server, "pay")), ([0; 3], [10; 3]));
    send(&server, "cart", 300, 2);
    assert_eq!(seen(&server, "cart"), [2; 3], "what comes afterwards is not meant");
    let (code, text) = run(&["delete", "--url", &url]);
    assert_eq!(code, 2, "{text}");

    // Pages of other origins cannot send the header unasked.
    let answer = request(&server.http, "POST", "/-/admin/delete?service=pay", &[], b"");
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(answer.text().contains("x-trefoil-admin"));
    assert_eq!(server.get("/-/admin/stats").status, 405);
    let headers = [("x-trefoil-admin", "1")];
    let answer = request(&server.otlp_http, "POST", "/-/admin/stats", &headers, b"");
    assert_eq!(answer.status, 404, "on the main port only");
    let (code, text) = run(&["stats", "--data", data.to_str().unwrap()]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("--url"), "{text}");
    assert_eq!(server.terminate(), Some(0));

    let restored = root.path().join("restored");
    let restored_text = restored.to_str().unwrap();
    let (code, text) = run(&["restore", backup.to_str().unwrap(), "--data", restored_text]);
    assert_eq!(code, 0, "{text}");
    let (code, text) = run(&["verify", "--data", restored_text]);
    assert_eq!(code, 0, "{text}");
    let server = Server::start(&restored, &[]);
    assert_eq!((seen(&server, "cart"), seen(&server, "pay")), ([20; 3], [10; 3]));
}

#[test]
fn damage_is_found_named_and_set_aside_without_a_server() {
    let root = tempfile::tempdir().unwrap();
    let data = root.path().join("data");
    let server = Server::start(&data, &[]);
    send(&server, "cart", 0, 50);
    assert_eq!(server.terminate(), Some(0));
    let text = data.to_str().unwrap();
    let damaged = parts(&data).remove(1);
    let mut bytes = std::fs::read(&damaged).unwrap();
    bytes[20] ^= 4;
    std::fs::write(&damaged, bytes).unwrap();

    let (code, out) = run(&["verify", "--data", text]);
    assert_eq!(code, 1, "{out}");
    let name = damaged.file_name().unwrap().to_str().unwrap();
    assert!(out.contains(&format!("{name}: the block at byte 8")), "{out}");
    let (code, out) = run(&["verify", "--data", text, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, report["damaged"].as_array().unwrap().len()), (1, 1));

    let (code, out) = run(&["verify", "--quarantine", "--data", text]);
    assert_eq!(code, 0, "{out}");
    assert!(
        out.contains("1 damaged parts were moved") && data.join("quarantine").join(name).is_file()
    );
    let (code, out) = run(&["verify", "--data", text]);
    assert_eq!(code, 0, "{out}");
    let server = Server::start(&data, &[]);
    let whole = seen(&server, "cart").iter().filter(|count| **count == 50).count();
    assert_eq!(whole, 2, "one signal has lost its rows, the others have all");
    assert!(server.get("/metrics").text().contains("\ntrefoil_quarantined_files 1\n"));
    assert_eq!(run(&["verify", "--data", "/nonexistent"]).0, 1);
}
