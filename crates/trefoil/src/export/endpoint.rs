//! Addresses of receivers as people write them.

use http::Uri;
use http::uri::Authority;

/// Where a receiver listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// As it was written, for people.
    pub(super) text: String,
    /// `https`.
    pub(super) secure: bool,
    /// A name or an address, IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    /// Path and query, at least `/`.
    pub(super) path: String,
}

impl Endpoint {
    /// Reads `http://host:port/path`. Without a scheme it is plain HTTP.
    ///
    /// # Errors
    /// Says what is wrong and how it should look.
    pub(super) fn parse(text: &str, default_port: u16) -> Result<Endpoint, String> {
        let wrong = |why: &str| {
            format!("the endpoint `{text}` {why}; expected e.g. http://localhost:{default_port}")
        };
        let trimmed = text.trim();
        let with_scheme = match trimmed.contains("://") {
            true => trimmed.to_owned(),
            false => format!("http://{trimmed}"),
        };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong("is not a URL"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            other => {
                let other = other.unwrap_or_default();
                return Err(wrong(&format!("has the scheme {other}, not http or https")));
            }
        };
        let authority: &Authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("holds a user and password; send them as a header"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(wrong("has no host"));
        }
        let standard = if secure { 443 } else { default_port };
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let port = authority.port_u16().unwrap_or(standard);
        Ok(Endpoint { text: trimmed.to_owned(), secure, host, port, path })
    }

    /// The value of `Host` and `:authority`.
    pub(super) fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    pub(super) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_people_write_them() {
        let check = |text: &str, expect: (bool, &str, &str)| {
            let read = Endpoint::parse(text, 4317).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!((read.secure, &*read.authority(), &*read.path), expect, "{text}");
        };
        check("http://127.0.0.1:4318/v1/traces", (false, "127.0.0.1:4318", "/v1/traces"));
        check("127.0.0.1:4317", (false, "127.0.0.1:4317", "/"));
        check("localhost:4318", (false, "localhost:4318", "/"));
        check("collector", (false, "collector:4317", "/"));
        check("https://o11y.example.org/otlp?x=1", (true, "o11y.example.org:443", "/otlp?x=1"));
        check("http://[::1]:4317", (false, "[::1]:4317", "/"));
        check(" http://h ", (false, "h:4317", "/"));
    }

    #[test]
    fn wrong_endpoints_are_told_what_is_wrong() {
        let check = |text: &str, expect: &str| {
            let why = Endpoint::parse(text, 4317).expect_err(text);
            assert!(why.contains(expect) && why.contains("http://localhost:4317"), "{why}");
        };
        check("ftp://host", "scheme ftp");
        check("http://", "not a URL");
        check("", "not a URL");
        check("http://user:secret@host", "user and password");
        check("http://ho st", "not a URL");
    }
}
