use super::*;

const FLAGS: &[Flag] = &[
    Flag { name: "config", value: "FILE", default: "", about: "settings file" },
    Flag { name: "http", value: "ADDR", default: "127.0.0.1:4316", about: "main port" },
    Flag { name: "cors-origin", value: "URL…", default: "", about: "allowed origins" },
    Flag { name: "standard-ports", value: "", default: "", about: "a switch" },
];

fn run(args: &[&str], variables: &[(&str, &str)]) -> Result<Values, String> {
    let variable = |name: &str| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    match parse(lexopt::Parser::from_args(args), FLAGS, variable)? {
        Parsed::Run(values) => Ok(values),
        Parsed::Help => Err("help".to_owned()),
    }
}

#[test]
fn the_command_line_wins_over_the_environment_over_the_file_over_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.toml");
    std::fs::write(
        &file,
        "http = \"file:1\"\nstandard_ports = true\ncors-origin = [\"a\", \"b\"]\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();

    let values = run(&["--config", file, "--http=flag:1"], &[("TREFOIL_HTTP", "env:1")]).unwrap();
    assert_eq!(values.get("http"), Some("flag:1"));
    let values = run(&["--config", file], &[("TREFOIL_HTTP", "env:1")]).unwrap();
    assert_eq!(values.get("http"), Some("env:1"));
    assert!(values.print().contains("# $TREFOIL_HTTP"), "{}", values.print());
    let values = run(&[], &[("TREFOIL_CONFIG", file)]).unwrap();
    assert_eq!(values.get("http"), Some("file:1"));
    assert_eq!(values.get("cors-origin"), Some("a,b"));
    assert_eq!(values.switch("standard-ports"), Ok(true));
    let values = run(&[], &[]).unwrap();
    assert_eq!(values.get("http"), Some("127.0.0.1:4316"));
    assert_eq!(values.switch("standard-ports"), Ok(false));
}

#[test]
fn lists_may_be_given_flag_by_flag() {
    let values = run(&["--cors-origin", "a", "--cors-origin", "b", "word"], &[]).unwrap();
    assert_eq!(values.get("cors-origin"), Some("a,b"));
    assert_eq!(values.words, ["word"]);
}

#[test]
fn a_wrong_flag_names_the_nearest() {
    let error = |args: &[&str]| run(args, &[]).unwrap_err();
    assert_eq!(error(&["--htp", "x"]), "unknown flag --htp; did you mean `--http`?");
    assert_eq!(error(&["--zzzzzz"]), "unknown flag --zzzzzz");
    assert!(error(&["--http"]).contains("--http"));
    assert!(error(&["--config", "/does/not/exist"]).contains("/does/not/exist"));
    assert_eq!(
        read_file("htpp = 1", FLAGS).unwrap_err(),
        "unknown key `htpp`; did you mean `http`?"
    );
    assert!(read_file("http = {a = 1}", FLAGS).unwrap_err().contains("key `http`"));
    let values = run(&["--standard-ports=maybe"], &[]).unwrap();
    assert!(values.switch("standard-ports").unwrap_err().starts_with("--standard-ports maybe"));
}

#[test]
fn the_help_shows_every_flag_with_its_default() {
    let text = help("serve", FLAGS, "");
    for flag in FLAGS {
        assert!(text.contains(&format!("--{}", flag.name)), "{text}");
    }
    assert!(text.contains("[127.0.0.1:4316]"));
}
