//! Which modules a module imports, read off its text.

/// Module specifiers of a script, in the order they appear.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Imports {
    /// `import … from 'x'`, `import 'x'`, `export … from 'x'`.
    pub(super) fixed: Vec<String>,
    /// `import('x')`.
    pub(super) lazy: Vec<String>,
}

/// Reads the specifiers. Our modules start every statement at the start of a line and put
/// specifiers in single quotes, so this needs no parser; the tests check that nothing is missed.
pub(super) fn of(script: &str) -> Imports {
    let mut imports = Imports::default();
    let mut statement = false;
    for line in script.lines() {
        statement |= line.starts_with("import ") || line.starts_with("export {");
        if statement {
            let from = line.split_once(" from '").or_else(|| line.split_once("import '"));
            if let Some((name, _)) = from.and_then(|(_, rest)| rest.split_once('\'')) {
                imports.fixed.push(name.to_owned());
            }
            statement = !line.trim_end().ends_with(';');
        }
        for part in line.split("import('").skip(1) {
            // `import('x').Type` and `typeof import('x')` stand in comments and load nothing.
            let name = part.split_once("'),").or_else(|| part.split_once("');"));
            if let Some((name, _)) = name.filter(|(name, _)| !name.contains('\'')) {
                imports.lazy.push(name.to_owned());
            }
        }
    }
    imports
}

/// The file a specifier means, seen from the file that names it. `None` if it leaves the folder.
pub(super) fn resolve(from: &str, specifier: &str) -> Option<String> {
    if let Some((_, file)) = BARE.iter().find(|(name, _)| *name == specifier) {
        return Some((*file).to_owned());
    }
    let mut path: Vec<&str> = from.split('/').collect();
    path.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => drop(path.pop()?),
            name => path.push(name),
        }
    }
    specifier.starts_with('.').then(|| path.join("/"))
}

/// The entries of the import map in `index.html`.
pub(super) const BARE: [(&str, &str); 5] = [
    ("preact", "vendor/preact.mjs"),
    ("preact/hooks", "vendor/hooks.mjs"),
    ("@preact/signals", "vendor/signals.mjs"),
    ("@preact/signals-core", "vendor/signals-core.mjs"),
    ("htm", "vendor/htm.mjs"),
];

/// Everything `app.js` needs before it runs: the browser is told to fetch it at once.
pub(super) fn first_route(read: &dyn Fn(&str) -> Option<Vec<u8>>) -> Vec<String> {
    let mut found = vec!["app.js".to_owned(), "vendor/signals-core.mjs".to_owned()];
    let mut at = 0;
    while let Some(name) = found.get(at).cloned() {
        at += 1;
        if name.starts_with("vendor/") {
            continue;
        }
        let text = read(&name).unwrap_or_default();
        for specifier in of(&String::from_utf8_lossy(&text)).fixed {
            match resolve(&name, &specifier) {
                Some(file) if !found.contains(&file) => found.push(file),
                _ => {}
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_static_and_lazy_specifiers() {
        let script = "import { a } from './a.js';\nimport {\n  b,\n} from '../b.js';\n\
                      import './c.js';\nexport { d } from './d.js';\n\
                      const x = () => import('./e.js');\n/** @type {import('./t.d.ts').T} */\nconst s = \"not from 'x'\";\n";
        let imports = of(script);
        assert_eq!(imports.fixed, ["./a.js", "../b.js", "./c.js", "./d.js"]);
        assert_eq!(imports.lazy, ["./e.js"]);
    }

    #[test]
    fn resolves_as_a_browser_does() {
        assert_eq!(resolve("page/logs.js", "../lib/time.js").as_deref(), Some("lib/time.js"));
        assert_eq!(resolve("app.js", "./url.js").as_deref(), Some("url.js"));
        assert_eq!(resolve("app.js", "preact").as_deref(), Some("vendor/preact.mjs"));
        assert_eq!(resolve("app.js", "../x.js"), None);
        assert_eq!(resolve("app.js", "left-pad"), None);
    }
}
