//! The one HTML page: its template filled in, and the policy that goes with it.

use sha2::{Digest, Sha256};

/// The page as it is sent.
#[derive(Debug)]
pub(super) struct Page {
    /// The document.
    pub(super) html: String,
    /// Its `Content-Security-Policy`.
    pub(super) policy: String,
}

/// Fills `{{base}}`, `{{files}}` and `{{preload}}` of the template.
pub(super) fn render(template: &str, prefix: &str, hash: &str, preload: &[String]) -> Page {
    let files = format!("a/{hash}");
    let links: String = preload
        .iter()
        .map(|name| format!("<link rel=\"modulepreload\" href=\"{files}/{name}\">\n"))
        .collect();
    let html = template
        .replace("{{base}}", &format!("{prefix}/ui/"))
        .replace("{{files}}", &files)
        .replace("{{preload}}", links.trim_end());
    let policy = policy(import_map(&html).unwrap_or(""));
    Page { html, policy }
}

/// Scripts only from here, but for the import map, which has to be inline and is named by its
/// hash; nothing is fetched from anywhere else, and nobody frames the page.
fn policy(import_map: &str) -> String {
    let hash = base64(&Sha256::digest(import_map.as_bytes()));
    format!(
        "default-src 'none'; script-src 'self' 'sha256-{hash}'; style-src 'self'; \
         img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'self'; \
         frame-ancestors 'self'"
    )
}

/// The text between the tags of the import map.
fn import_map(html: &str) -> Option<&str> {
    let (_, rest) = html.split_once("<script type=\"importmap\">")?;
    Some(rest.split_once("</script>")?.0)
}

/// RFC 4648, with padding: what a policy's hash is written in.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            if place <= chunk.len() {
                out.push(char::from(ALPHABET[(group >> (18 - 6 * place)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_rfc_4648_section_10_has_it() {
        for (plain, coded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
