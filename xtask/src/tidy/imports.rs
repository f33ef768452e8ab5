//! Words that a room must not say, because it must not know the thing.

use super::rust_source::{code_only, line_of, without_tests};
use super::{Findings, Tree};

struct Ban {
    /// Where: paths that begin so.
    room: &'static str,
    words: &'static [&'static str],
    reason: &'static str,
}

/// The network, the clock and the environment come in as values.
const PURE: &[&str] = &[
    "tokio",
    "hyper",
    "axum",
    "tonic",
    "tower",
    "reqwest",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::env",
    "SystemTime",
    "Instant::now",
];

const BANS: &[Ban] = &[
    Ban {
        room: "crates/store/src/",
        words: PURE,
        reason: "the store is synchronous, with no network and no clock of its own",
    },
    Ban {
        room: "crates/query/src/",
        words: PURE,
        reason: "queries are pure: no clock, no network",
    },
    Ban {
        room: "crates/query/src/",
        words: &["std::fs", "std::process"],
        reason: "queries read a snapshot, not files",
    },
    Ban {
        room: "crates/wire/src/",
        words: &["tokio", "hyper", "axum", "tonic", "std::net", "std::fs", "SystemTime"],
        reason: "wire turns bytes into views; it does no IO",
    },
    Ban {
        room: "crates/server/src/receive",
        words: &["trefoil_store", "trefoil_query", ".snapshot("],
        reason: "receive hands over to the pipeline and knows nothing behind it",
    },
    Ban {
        room: "crates/server/src/pipeline",
        words: &["trefoil_query", "crate::api", "crate::receive", ".snapshot("],
        reason: "the pipeline writes; it never reads and knows no protocol",
    },
    Ban {
        room: "crates/server/src/api",
        words: &["store.append("],
        reason: "the APIs read; writing goes through the pipeline",
    },
    Ban {
        room: "crates/fleet/src/",
        words: &["trefoil_server", "trefoil_store", "trefoil_query"],
        reason: "the fleet knows the server only by its address",
    },
];

pub(super) fn forbidden(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for file in tree.files.iter().filter(|file| file.has_extension("rs")) {
        let bans = BANS.iter().filter(|ban| file.path.starts_with(ban.room));
        let mut code = None;
        for ban in bans {
            if is_test(tree, &file.path) {
                break;
            }
            let code = code.get_or_insert_with(|| without_tests(&code_only(&file.text)));
            for word in ban.words {
                if let Some(at) = find_word(code, word) {
                    let line = line_of(code, at);
                    let fault = format!("{}:{line}: `{word}`: {}", file.path, ban.reason);
                    findings.faults.push(fault);
                }
            }
        }
    }
    findings
}

/// Whether a file is only compiled for tests: it, or a module around it, is declared so.
fn is_test(tree: &Tree, path: &str) -> bool {
    let Some((folder, name)) = path.trim_end_matches(".rs").rsplit_once('/') else { return false };
    if name == "tests" || folder.ends_with("/tests") {
        return true;
    }
    // Nothing declares the root of a crate. One folder may hold two: lib.rs and main.rs.
    if name == "lib" || name == "main" {
        return false;
    }
    let declarations =
        [format!("{folder}.rs"), format!("{folder}/lib.rs"), format!("{folder}/main.rs")];
    let parents = tree.files.iter().filter(|file| declarations.contains(&file.path));
    parents.into_iter().any(|parent| {
        let code = code_only(&parent.text);
        let declared = code.split("#[cfg(test)]").skip(1).any(|after| {
            let item = after.trim_start().lines().next().unwrap_or_default();
            item.ends_with(&format!("mod {name};"))
        });
        declared || (parent.path != path && is_test(tree, &parent.path))
    })
}

/// Where the word stands, not as a piece of a longer one.
fn find_word(code: &str, word: &str) -> Option<usize> {
    let joins = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).map(|(at, _)| at).find(|&at| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        let goes_on_before = word.starts_with(joins) && before.is_some_and(joins);
        let goes_on_after = word.ends_with(joins) && after.is_some_and(joins);
        !goes_on_before && !goes_on_after
    })
}

#[cfg(test)]
mod tests {
    use super::super::{File, Limits};
    use super::*;

    #[test]
    fn files_that_are_only_compiled_for_tests_may_say_what_they_like() {
        let file = |path: &str, text: &str| File { path: path.to_owned(), text: text.to_owned() };
        let tree = Tree {
            files: vec![
                file("a/src/lib.rs", "mod x;"),
                file("a/src/x.rs", "mod y;\n#[cfg(test)]\nmod script;"),
                file("a/src/x/script.rs", "mod inner;"),
            ],
            limits: Limits::default(),
        };
        assert!(is_test(&tree, "a/src/x/script.rs"));
        assert!(is_test(&tree, "a/src/x/script/inner.rs"));
        assert!(is_test(&tree, "a/src/x/tests.rs"));
        assert!(!is_test(&tree, "a/src/x/y.rs"));
        assert!(!is_test(&tree, "a/src/x.rs"));
        let roots = ["a/src/lib.rs", "a/src/main.rs"].map(|path| file(path, "mod x;"));
        let tree = Tree { files: roots.into(), limits: Limits::default() };
        assert!(!is_test(&tree, "a/src/main.rs"));
    }

    #[test]
    fn words_are_found_whole() {
        assert_eq!(find_word("use tokio::x;", "tokio"), Some(4));
        assert_eq!(find_word("use my_tokio::x;", "tokio"), None);
        assert_eq!(find_word("let tokios = 1;", "tokio"), None);
        assert_eq!(find_word("store.append(x)", ".append("), Some(5));
    }
}
