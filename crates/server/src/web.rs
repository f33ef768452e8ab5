//! The web app at `/ui/`, embedded in the binary.
//!
//! `index.html` is never cached and names everything else below `/ui/a/<hash>/`, where the
//! hash covers all files: whatever is there may be kept for ever, and a page never mixes two
//! versions. With `--ui-dir` the files come from disk instead and nothing is kept.

mod files;
mod imports;
mod page;

use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use crate::api::AppState;

/// The first path segments that are pages of the app; any other path is a 404.
const PAGES: [&str; 9] =
    ["", "logs", "metrics", "traces", "trace", "services", "map", "status", "keys"];

/// Stands for the hash when the files come from disk.
const UNHASHED: &str = "dev";

/// `/ui/` and what lies below, but for `/ui/api/`.
pub(crate) fn routes(ui_dir: Option<PathBuf>) -> Router<Arc<AppState>> {
    let web = Arc::new(Web::new(ui_dir));
    let at_root = Arc::clone(&web);
    Router::new()
        .route("/ui", get(|headers: HeaderMap| async move { redirect(&headers, "/ui/") }))
        .route(
            "/t/{id}",
            get(|extract::Path(id): extract::Path<String>, headers: HeaderMap| async move {
                redirect(&headers, &format!("/ui/trace/{}", only_hex(&id)))
            }),
        )
        .route("/ui/", get(|headers: HeaderMap| async move { at_root.answer("", &headers) }))
        .route(
            "/ui/{*path}",
            get(|extract::Path(path): extract::Path<String>, headers: HeaderMap| async move {
                web.answer(&path, &headers)
            }),
        )
}

/// Where the files come from.
#[derive(Debug)]
enum Web {
    /// The binary.
    Embedded { hash: String, files: Vec<File> },
    /// A folder, read at every request.
    Disk(PathBuf),
}

/// An embedded file.
#[derive(Debug)]
struct File {
    name: &'static str,
    bytes: &'static [u8],
    /// Filled when a browser first asks for it.
    gzip: OnceLock<Vec<u8>>,
}

impl Web {
    fn new(ui_dir: Option<PathBuf>) -> Web {
        if let Some(dir) = ui_dir {
            return Web::Disk(dir);
        }
        let mut hash = Sha256::new();
        for (name, bytes) in files::FILES {
            hash.update(name.len().to_le_bytes());
            hash.update(name);
            hash.update(bytes.len().to_le_bytes());
            hash.update(bytes);
        }
        let hash = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let file = |(name, bytes): &(&'static str, &'static [u8])| File {
            name,
            bytes,
            gzip: OnceLock::new(),
        };
        Web::Embedded { hash, files: files::FILES.iter().map(file).collect() }
    }

    fn hash(&self) -> &str {
        match self {
            Web::Embedded { hash, .. } => hash,
            Web::Disk(_) => UNHASHED,
        }
    }

    fn answer(&self, path: &str, headers: &HeaderMap) -> Response {
        if let Some(rest) = path.strip_prefix("a/") {
            return match rest.split_once('/') {
                Some((hash, name)) if hash == self.hash() => self.file(name, headers),
                Some(_) => not_found("this file belongs to another version of the app; reload"),
                None => not_found("no such file"),
            };
        }
        match path.split('/').next() {
            Some(first) if PAGES.contains(&first) => self.index(headers),
            _ => not_found("no such page; the app starts at /ui/"),
        }
    }

    fn index(&self, headers: &HeaderMap) -> Response {
        let Some(template) = self.read("index.html") else {
            return not_found("index.html is not in --ui-dir");
        };
        let preload = imports::first_route(&|name| self.read(name));
        let page = page::render(
            &String::from_utf8_lossy(&template),
            &prefix(headers),
            self.hash(),
            &preload,
        );
        let mut response = page.html.into_response();
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        if let Ok(policy) = HeaderValue::from_str(&page.policy) {
            out.insert(header::CONTENT_SECURITY_POLICY, policy);
        }
        harden(out);
        response
    }

    fn file(&self, name: &str, headers: &HeaderMap) -> Response {
        let Some(content_type) = content_type(name) else {
            return not_found("no such file");
        };
        let (body, encoded, cache) = match self {
            Web::Embedded { files, .. } => {
                let Some(file) = files.iter().find(|file| file.name == name) else {
                    return not_found("no such file");
                };
                let immutable = "public, max-age=31536000, immutable";
                if accepts_gzip(headers) {
                    let bytes =
                        file.gzip.get_or_init(|| gzip(file.bytes, flate2::Compression::best()));
                    (Body::from(bytes.clone()), true, immutable)
                } else {
                    (Body::from(file.bytes), false, immutable)
                }
            }
            Web::Disk(_) => match self.read(name) {
                Some(bytes) => (Body::from(bytes), false, "no-store"),
                None => return not_found("no such file in --ui-dir"),
            },
        };
        let mut response = Response::new(body);
        let out = response.headers_mut();
        out.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        out.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if encoded {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        harden(out);
        response
    }

    /// A file's bytes; only names without `..`, a root or a prefix.
    fn read(&self, name: &str) -> Option<Vec<u8>> {
        match self {
            Web::Embedded { files, .. } => {
                files.iter().find(|file| file.name == name).map(|file| file.bytes.to_vec())
            }
            Web::Disk(dir) => {
                let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
                let path = Path::new(name);
                path.components().all(plain).then(|| std::fs::read(dir.join(path)).ok())?
            }
        }
    }
}

/// Bytes packed for `Content-Encoding: gzip`.
pub(crate) fn gzip(bytes: &[u8], level: flate2::Compression) -> Vec<u8> {
    use std::io::Write;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), level);
    // Writing to memory does not fail; should it ever, an empty body is found by the tests.
    let _ = out.write_all(bytes);
    out.finish().unwrap_or_default()
}

/// Whether the asker takes `Content-Encoding: gzip`.
pub(crate) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(header::ACCEPT_ENCODING).iter();
    offered.filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|item| {
            let (name, q) = item.split_once(';').unwrap_or((item, ""));
            name.trim().eq_ignore_ascii_case("gzip") && !matches!(q.trim(), "q=0" | "q=0.0")
        })
    })
}

fn content_type(name: &str) -> Option<&'static str> {
    match Path::new(name).extension()?.to_str()? {
        "js" | "mjs" => Some("text/javascript; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "LICENSE" => Some("text/plain; charset=utf-8"),
        _ => None,
    }
}

fn harden(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

fn not_found(why: &'static str) -> Response {
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], format!("{why}\n"))
        .into_response()
}

fn redirect(headers: &HeaderMap, to: &str) -> Redirect {
    Redirect::temporary(&format!("{}{to}", prefix(headers)))
}

fn only_hex(text: &str) -> String {
    text.chars().filter(char::is_ascii_hexdigit).take(32).collect()
}

/// Longest path a proxy may put before ours.
const PREFIX_MAX: usize = 256;

/// The path a proxy cut off before it asked us (`X-Forwarded-Prefix`), without the slash at
/// its end. It lands in the page, so anything but plain path characters counts as absent.
fn prefix(headers: &HeaderMap) -> String {
    let text = headers.get("x-forwarded-prefix").and_then(|value| value.to_str().ok());
    let text = text.unwrap_or("").trim_end_matches('/');
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    let fits = text.starts_with('/') && !text.contains("//") && text.len() <= PREFIX_MAX;
    if fits && text.chars().all(plain) { text.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests;
