//! The command line: help, wrong flags, start and stop.

use crate::binary::trefoil;

fn run(args: &[&str]) -> (i32, String, String) {
    let output = trefoil().args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn help_and_version_go_to_standard_output() {
    for args in
        [&["help"][..], &["--help"], &["serve", "--help"], &["help", "serve"], &["version"], &[]]
    {
        let (code, out, err) = run(args);
        assert_eq!((code, err.as_str()), (0, ""), "{args:?}");
        assert!(out.contains("trefoil"), "{args:?}: {out}");
    }
}

#[test]
fn a_wrong_command_line_exits_2_and_says_what_was_meant() {
    let check = |args: &[&str], expected: &str| {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
        assert!(err.contains(expected), "{args:?}: {err}");
    };
    check(&["serv"], "did you mean `serve`?");
    check(&["--data", "x"], "a verb comes first");
    check(&["serve", "--otlp-grcp", "x"], "did you mean `--otlp-grpc`?");
    check(&["serve", "--http"], "--http");
    check(&["serve", "--http", "nowhere"], "an address is expected");
    check(&["serve", "--memory", "1MiB"], "at least 64MiB");
    check(&["serve", "--retention-logs", "soon"], "or none");
    check(&["serve", "word"], "`word`");
    check(&["serve", "--config", "/does/not/exist"], "cannot read /does/not/exist");
}

#[test]
fn print_config_shows_each_value_and_its_origin() {
    let output = trefoil()
        .args(["serve", "--print-config", "--memory=2GiB"])
        .env("TREFOIL_DATA", "/x")
        .output()
        .unwrap();
    let out = String::from_utf8_lossy(&output.stdout);
    assert!(
        out.lines().any(|l| l.starts_with("memory") && l.ends_with("\"2GiB\"  # command line")),
        "{out}"
    );
    assert!(
        out.lines().any(|l| l.starts_with("data") && l.ends_with("\"/x\"  # $TREFOIL_DATA")),
        "{out}"
    );
    assert!(out.lines().any(|l| l.starts_with("http ") && l.ends_with("# default")), "{out}");
    // What is printed is itself a settings file.
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    std::fs::write(&file, &*out).unwrap();
    let (code, again, err) = run(&["serve", "--print-config", "--config", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    assert!(again.lines().any(|l| l.starts_with("memory") && l.contains("\"2GiB\"")), "{again}");
}
