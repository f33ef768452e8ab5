//! What the manifests say: who depends on whom, and on how much.

use super::{File, Findings, Tree};

/// Which of our crates a crate may depend on: ARCHITECTURE.md, "One-way arrows".
const ARROWS: &[(&str, &[&str])] = &[
    ("crates/otlp-messages", &[]),
    ("crates/wire", &[]),
    ("crates/store", &[]),
    ("crates/query", &["trefoil-store"]),
    ("crates/server", &["trefoil-wire", "trefoil-store", "trefoil-query", "trefoil-fleet"]),
    ("crates/fleet", &["trefoil"]),
    ("crates/trefoil", &["trefoil-wire"]),
    ("xtask", &["trefoil-wire"]),
];

/// What any of our crates may use in its tests, and nowhere else.
const JUDGES: &[&str] = &["trefoil-otlp-messages"];

/// What may be called after OpenTelemetry: its API, for which the crate has a switch.
///
/// Everything else of that name is the stock SDK or brings it. Those who take our crate should
/// not compile it, and only `bench/sdk` sets the two side by side.
const OPENTELEMETRY: &[&str] = &["opentelemetry"];

/// Workspaces of their own, with dependencies that nothing else may have.
const ALONE: &[&str] = &["bench/sdk", "fuzz"];

pub(super) fn directions(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (folder, manifest) in manifests_of(tree) {
        let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == folder) else {
            let fault = format!("{folder}: a new crate needs its row in xtask/src/tidy/crates.rs");
            findings.faults.push(fault);
            continue;
        };
        for (section, name) in dependencies(&manifest.text) {
            let ours = name == "trefoil" || name.starts_with("trefoil-");
            // A crate names itself to test with more of its features.
            let in_tests = section == "dev-dependencies";
            let itself = in_tests && folder == format!("crates/{name}");
            let judge = in_tests && JUDGES.contains(&name.as_str());
            if ours && !itself && !judge && !allowed.contains(&name.as_str()) {
                let fault = format!("{folder}: [{section}] {name} points the wrong way");
                findings.faults.push(fault);
            }
        }
    }
    findings
}

pub(super) fn manifests(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for (folder, manifest) in manifests_of(tree) {
        let text = &manifest.text;
        let mut demand = |holds: bool, what: &str| {
            if !holds {
                findings.faults.push(format!("{}: {what}", manifest.path));
            }
        };
        demand(text.contains("[lints]\nworkspace = true"), "add `[lints] workspace = true`");
        demand(text.contains("license.workspace = true"), "take the licence from the workspace");
        demand(!text.contains("build ="), "no build scripts: they spoil caching");
        demand(!exists(tree, &format!("{folder}/build.rs")), "no build.rs: it spoils caching");
        let is_library = exists(tree, &format!("{folder}/src/lib.rs"));
        demand(
            !is_library || folder == "crates/trefoil" || text.contains("doctest = false"),
            "an internal library says `doctest = false`: each doctest is a link",
        );
        let tests = integration_tests(tree, &folder);
        demand(tests <= 1, "one integration-test binary at most, tests/it/main.rs");
        for line in text.lines().filter(|line| line.contains("version = \"")) {
            demand(false, &format!("versions stand in the root manifest: `{line}`"));
        }
    }
    findings
}

pub(super) fn locked(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    let Some(lock) = tree.files.iter().find(|file| file.path == "Cargo.lock") else {
        findings.faults.push("Cargo.lock is missing: the binary's versions are pinned".to_owned());
        return findings;
    };
    let number = lock.text.matches("[[package]]").count() as u64;
    let budget = tree.limits.get("locked_packages").unwrap_or(0);
    findings.notes.push(format!("{number} packages locked, budget {budget}"));
    if number > budget {
        findings.faults.push(format!(
            "{number} packages are locked, the budget is {budget}: drop a dependency or a feature \
             (`cargo tree --duplicates`), or raise it in xtask/tidy.toml with a reason"
        ));
    }
    findings
}

pub(super) fn stock_sdk(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for lock in tree.files.iter().filter(|file| is_lock_without_sdk(&file.path)) {
        let named = locked_names(&lock.text).filter(|name| name.contains("opentelemetry"));
        for name in named.filter(|name| !OPENTELEMETRY.contains(name)) {
            findings.faults.push(format!(
                "{}: {name} is or brings the stock OpenTelemetry SDK; see who wants it (`cargo tree \
                 -i {name} --workspace -e all`), and take `trefoil-otlp-messages` for OTLP's types",
                lock.path
            ));
        }
    }
    findings
}

/// The workspace's own lock and that of the fuzz targets.
fn is_lock_without_sdk(path: &str) -> bool {
    path.ends_with("Cargo.lock") && !path.starts_with("bench/sdk/")
}

fn locked_names(lock: &str) -> impl Iterator<Item = &str> {
    lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'))
}

/// Member manifests with their folders.
fn manifests_of(tree: &Tree) -> impl Iterator<Item = (String, &File)> {
    tree.files.iter().filter_map(|file| {
        let folder = file.path.strip_suffix("/Cargo.toml")?;
        (!ALONE.contains(&folder)).then(|| (folder.to_owned(), file))
    })
}

fn exists(tree: &Tree, path: &str) -> bool {
    tree.files.iter().any(|file| file.path == path)
}

fn integration_tests(tree: &Tree, folder: &str) -> usize {
    let prefix = format!("{folder}/tests/");
    let root = |file: &&File| {
        let rest = file.path.strip_prefix(&prefix);
        rest.is_some_and(|rest| {
            (rest.ends_with(".rs") && !rest.contains('/')) || rest.ends_with("/main.rs")
        })
    };
    tree.files.iter().filter(root).count()
}

/// Names in all dependency tables, each with the table it stands in.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.clone_into(&mut section);
            // `[dependencies.name]`
            if let Some((table, name)) = section.split_once("dependencies.") {
                found.push((format!("{table}dependencies"), name.to_owned()));
            }
        } else if section.ends_with("dependencies")
            && let Some((name, _)) = line.split_once(['=', '.'])
        {
            found.push((section.clone(), name.trim().trim_matches('"').to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::Limits;
    use super::*;

    #[test]
    fn the_stock_sdk_is_found_in_a_lock_unless_it_is_the_benchs() {
        let text = "[[package]]\nname = \"opentelemetry\"\n\n[[package]]\n\
                    name = \"opentelemetry_sdk\"\ndependencies = [\n \"opentelemetry\",\n]\n";
        let tree = |path: &str| Tree {
            files: vec![File { path: path.to_owned(), text: text.to_owned() }],
            limits: Limits::default(),
        };
        let faults = |path| stock_sdk(&tree(path)).faults;
        assert_eq!(faults("bench/sdk/Cargo.lock"), [""; 0]);
        for path in ["Cargo.lock", "fuzz/Cargo.lock"] {
            let [fault] = &faults(path)[..] else { panic!("one fault in {path}") };
            assert!(fault.contains("opentelemetry_sdk is or brings"), "{fault}");
        }
    }

    #[test]
    fn judges_stand_in_dev_dependencies_alone() {
        let faults = |section: &str| {
            let text = format!("[{section}]\ntrefoil-otlp-messages = {{ workspace = true }}\n");
            let files = vec![File { path: "crates/wire/Cargo.toml".to_owned(), text }];
            directions(&Tree { files, limits: Limits::default() }).faults.len()
        };
        assert_eq!([faults("dev-dependencies"), faults("dependencies")], [0, 1]);
    }

    #[test]
    fn dependencies_are_found_in_every_form() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\nb.workspace = true\n\
                        [dev-dependencies.c]\npath = \"y\"\n[target.x.dependencies]\nd = {}\n";
        let names: Vec<_> = dependencies(manifest).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }
}
