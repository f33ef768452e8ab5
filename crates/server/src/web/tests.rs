use std::collections::BTreeSet;
use std::path::PathBuf;

use axum::http::Request;
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::*;
use crate::api;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui")
}

fn embedded(name: &str) -> Option<Vec<u8>> {
    Web::new(None).read(name)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

async fn get(path: &str, headers: &[(&str, &str)]) -> Answer {
    let store = trefoil_store::Store::in_memory(trefoil_store::Settings::default());
    let app = api::router(&AppState::for_tests(store, 0));
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

/// The address of an asset, as the page names it.
async fn asset(name: &str) -> String {
    let page = get("/ui/", &[]).await;
    let (_, rest) = page.text().split_once("src=\"a/").unwrap();
    let (hash, _) = rest.split_once('/').unwrap();
    format!("/ui/a/{hash}/{name}")
}

#[test]
fn every_file_of_the_app_is_embedded_and_nothing_else() {
    fn walk(dir: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{prefix}{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), &format!("{name}/"), found);
            } else {
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&folder(), "", &mut found);
    let for_development = |name: &str| {
        ["tests/", "types/", "node_modules/"].iter().any(|dir| name.starts_with(dir))
            || [
                "package.json",
                "package-lock.json",
                "jsconfig.json",
                ".npmrc",
                "vendor/vendor.toml",
            ]
            .contains(&name)
    };
    found.retain(|name| !for_development(name));
    let listed: BTreeSet<String> =
        files::FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed, "web/files.rs and the folder ui/ differ");
}

#[test]
fn every_import_leads_to_an_embedded_file() {
    let mut checked = 0;
    for (name, bytes) in files::FILES {
        if !name.ends_with(".js") {
            continue;
        }
        let text = std::str::from_utf8(bytes).unwrap();
        let imports = imports::of(text);
        for specifier in imports.fixed.iter().chain(&imports.lazy) {
            let file = imports::resolve(name, specifier);
            let known = file.as_deref().is_some_and(|file| embedded(file).is_some());
            assert!(known, "{name} imports {specifier}, which is not there");
            checked += 1;
        }
        // The reader goes by how our modules are written; this notices if one is not.
        let froms = text.lines().filter(|line| line.contains(" from '")).count();
        assert!(imports.fixed.len() >= froms, "{name}: an import was not read");
    }
    assert!(checked > 50, "only {checked} imports were found");
}

#[test]
fn the_import_map_of_the_page_names_the_vendored_files() {
    let page = String::from_utf8(embedded("index.html").unwrap()).unwrap();
    for (name, file) in imports::BARE {
        assert!(page.contains(&format!("\"{name}\":\"./{{{{files}}}}/{file}\"")), "{name}");
        assert!(embedded(file).is_some(), "{file}");
    }
}

#[test]
fn components_are_called_so_that_the_type_checker_sees_their_props() {
    for (name, bytes) in files::FILES {
        if name.ends_with(".js") && !name.starts_with("vendor/") {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(!text.contains("<${"), "{name}: use h(Component, props), not <${{Component}}>");
        }
    }
}

#[test]
fn vendored_files_are_the_ones_the_manifest_names() {
    let manifest = std::fs::read_to_string(folder().join("vendor/vendor.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let mut named = BTreeSet::new();
    for package in manifest["package"].as_array().unwrap() {
        for key in ["name", "version", "licence", "integrity"] {
            assert!(!package[key].as_str().unwrap().is_empty());
        }
        for file in package["file"].as_array().unwrap() {
            let name = file["file"].as_str().unwrap();
            let bytes = std::fs::read(folder().join("vendor").join(name)).unwrap();
            let hash: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hash, file["sha256"].as_str().unwrap(), "vendor/{name} was changed");
            named.insert(format!("vendor/{name}"));
        }
    }
    let listed = files::FILES.iter().map(|(name, _)| (*name).to_owned());
    let listed: BTreeSet<_> = listed.filter(|name| name.starts_with("vendor/")).collect();
    assert_eq!(named, listed);
}

/// Budgets: what the first page loads, all of it, the styles; kilobytes after gzip.
#[test]
fn the_app_stays_small() {
    let size = |name: &str| gzip(&embedded(name).unwrap(), flate2::Compression::best()).len();
    let first: usize = imports::first_route(&|name| embedded(name))
        .iter()
        .chain(&["page/overview.js".to_owned()])
        .map(|name| size(name))
        .sum();
    let scripts = files::FILES.iter().map(|(name, _)| *name);
    let all: usize = scripts.filter(|name| name.ends_with("js")).map(size).sum();
    assert!(first <= 70_000, "the first route loads {first} bytes");
    assert!(all <= 150_000, "all scripts together have {all} bytes");
    assert!(size("style.css") <= 15_000);
    let raw: usize = files::FILES.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(raw <= 700_000, "{raw} bytes are embedded");
    eprintln!("first route {first} B, all scripts {all} B, embedded {raw} B");
}

#[test]
fn our_modules_stay_readable() {
    for (name, bytes) in files::FILES {
        if name.ends_with(".js") && !name.starts_with("vendor/") {
            let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
            assert!(lines <= 400, "{name} has {lines} lines");
        }
    }
}

#[tokio::test]
async fn a_page_is_served_fresh_with_a_policy_and_names_hashed_files() {
    for path in
        ["/ui/", "/ui/logs", "/ui/trace/0af7651916cd43dd8448eb211c80319c", "/ui/services/a.b"]
    {
        let page = get(path, &[]).await;
        assert_eq!(page.status, StatusCode::OK, "{path}");
        assert_eq!(page.header(header::CACHE_CONTROL), "no-cache");
        assert!(page.text().contains("<base href=\"/ui/\">"));
        assert!(!page.text().contains("{{"), "a placeholder is left");
        let policy = page.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'; script-src 'self' 'sha256-"), "{policy}");
        assert!(!policy.contains("unsafe"));
    }
    assert_eq!(get("/ui", &[]).await.header(header::LOCATION), "/ui/");
}

#[tokio::test]
async fn files_are_kept_for_ever_and_compressed_when_asked() {
    let path = asset("app.js").await;
    let plain = get(&path, &[]).await;
    assert_eq!(plain.body, embedded("app.js").unwrap());
    assert!(plain.header(header::CACHE_CONTROL).contains("immutable"));
    assert_eq!(plain.header(header::CONTENT_TYPE), "text/javascript; charset=utf-8");
    let packed = get(&path, &[("accept-encoding", "br, gzip;q=0.8")]).await;
    assert_eq!(packed.header(header::CONTENT_ENCODING), "gzip");
    assert!(packed.body.len() < plain.body.len());
    let mut unpacked = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed.body[..]), &mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain.body);
    let refused = get(&path, &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(refused.header(header::CONTENT_ENCODING), "");
}

#[tokio::test]
async fn what_is_not_there_is_a_404_and_never_the_page() {
    let good = asset("app.js").await;
    for path in [
        good.replace("app.js", "nope.js"),
        good.replace("app.js", "types/api.d.ts"),
        good.replace("app.js", "..%2fCargo.toml"),
        "/ui/a/0000000000000000/app.js".to_owned(),
        "/ui/a/".to_owned(),
        "/ui/nope".to_owned(),
        "/ui/app.js".to_owned(),
        "/ui/api/nope".to_owned(),
    ] {
        let answer = get(&path, &[]).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.text().contains("<html"), "{path}");
    }
}

#[tokio::test]
async fn a_proxy_may_put_a_path_before_ours() {
    let base = async |prefix: &str| {
        let page = get("/ui/logs", &[("x-forwarded-prefix", prefix)]).await;
        let (_, rest) = page.text().split_once("<base href=\"").unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    assert_eq!(base("/tools/trefoil/").await, "/tools/trefoil/ui/");
    for bad in ["//evil.example", "tools", "/a\"><script>", "/a b", "/%22"] {
        assert_eq!(base(bad).await, "/ui/", "{bad}");
    }
    let moved = get("/t/0AF7651916CD43DD8448EB211C80319C", &[("x-forwarded-prefix", "/x")]).await;
    assert_eq!(moved.header(header::LOCATION), "/x/ui/trace/0AF7651916CD43DD8448EB211C80319C");
}

#[tokio::test]
async fn from_disk_nothing_is_kept_and_nothing_above_is_read() {
    let web = Web::new(Some(folder()));
    let none = HeaderMap::new();
    let answer = web.answer("a/dev/app.js", &none);
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
    for path in ["a/dev/../Cargo.toml", "a/dev/lib/../app.js", "a/dev//etc/passwd.js"] {
        assert_eq!(web.answer(path, &none).status(), StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!(web.answer("", &none).status(), StatusCode::OK);
}
