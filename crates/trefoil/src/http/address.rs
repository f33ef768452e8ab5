//! Who calls whom, without what should not be written down.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use http::{Extensions, HeaderMap, Uri, header};

/// What stands in for a value that is not recorded.
const REDACTED: &str = "REDACTED";

/// Parts of the names of parameters whose values are secrets.
const SECRETS: [&str; 14] = [
    "accesskey",
    "api_key",
    "apikey",
    "assertion",
    "auth",
    "code",
    "credential",
    "jwt",
    "password",
    "passwd",
    "secret",
    "session",
    "sig",
    "token",
];

/// Host and port of a server as its client names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Server<'a> {
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
}

impl<'a> Server<'a> {
    /// From the target of a request, else from its `Host`.
    pub(crate) fn of(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Server<'a>> {
        let authority = match uri.authority() {
            Some(authority) => authority.as_str(),
            None => headers.get(header::HOST)?.to_str().ok()?,
        };
        Server::parse(authority)
    }

    /// `[user@]host[:port]`
    fn parse(authority: &'a str) -> Option<Server<'a>> {
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        let (host, port) = match host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            Some((host, rest)) => (host, rest.strip_prefix(':')),
            None => host.split_once(':').map_or((host, None), |(h, p)| (h, Some(p))),
        };
        let port = port.and_then(|port| port.parse().ok());
        (!host.is_empty()).then_some(Server { host, port })
    }
}

/// The client as the connection tells it, else nothing.
pub(crate) fn peer(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "axum")]
    if let Some(axum::extract::ConnectInfo(address)) = extensions.get() {
        return Some(*address);
    }
    extensions.get::<SocketAddr>().copied()
}

/// The client as proxies tell it. Anyone can write these headers: only for servers that
/// cannot be reached but through proxies of one's own.
pub(crate) fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let first = headers.get("x-forwarded-for")?.to_str().ok()?.split(',').next()?.trim();
    match first.parse() {
        Ok(address) => Some(address),
        Err(_) => first.parse::<SocketAddr>().ok().map(|address| address.ip()),
    }
}

/// An address as text, without memory of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown {
    text: [u8; Shown::BYTES_MAX],
    len: usize,
}

impl Shown {
    /// Of `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`, the longest form there is.
    const BYTES_MAX: usize = 45;

    pub(crate) fn new(address: IpAddr) -> Shown {
        let mut text = [0; Shown::BYTES_MAX];
        let mut rest = &mut text[..];
        // All forms have room.
        let _ = write!(rest, "{address}");
        let len = Shown::BYTES_MAX - rest.len();
        Shown { text, len }
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

/// A query without its values: `a=REDACTED&b=REDACTED`. With `values` only those are taken out
/// whose names sound like secrets.
pub(crate) fn query(query: &str, values: bool) -> String {
    let mut out = String::with_capacity(query.len());
    for (i, parameter) in query.split('&').enumerate() {
        if i > 0 {
            out.push('&');
        }
        let (name, value) = match parameter.split_once('=') {
            Some((name, value)) => (name, value),
            // A parameter without a value may be one that is all value.
            None if values => (parameter, ""),
            None => ("", parameter),
        };
        let secret = !values || is_secret(name);
        out.push_str(name);
        if parameter.contains('=') {
            out.push('=');
        }
        if !value.is_empty() {
            out.push_str(if secret { REDACTED } else { value });
        }
    }
    out
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRETS.iter().any(|secret| name.contains(secret))
}

/// A URL without credentials, fragment, and values of its query.
pub(crate) fn url(uri: &Uri, values: bool) -> String {
    let mut out = String::new();
    if let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) {
        out.push_str(scheme);
        out.push_str("://");
        let authority = authority.as_str();
        match authority.rsplit_once('@') {
            // As the conventions ask for.
            Some((_, host)) => {
                out.push_str("REDACTED:REDACTED@");
                out.push_str(host);
            }
            None => out.push_str(authority),
        }
    }
    out.push_str(uri.path());
    if let Some(text) = uri.query() {
        out.push('?');
        out.push_str(&query(text, values));
    }
    out
}

/// A text of a header, if it is one.
pub(crate) fn text(headers: &HeaderMap, name: header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A length that a header states.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, header::CONTENT_LENGTH)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t2_servers_are_named_without_credentials_and_brackets() {
        for (authority, expect) in [
            ("example.com", Some(("example.com", None))),
            ("example.com:8080", Some(("example.com", Some(8080)))),
            ("user:pass@example.com:1", Some(("example.com", Some(1)))),
            ("[::1]:8080", Some(("::1", Some(8080)))),
            ("[::1]", Some(("::1", None))),
            ("example.com:x", Some(("example.com", None))),
            (":80", None),
            ("", None),
        ] {
            let server = Server::parse(authority).map(|server| (server.host, server.port));
            assert_eq!(server, expect, "{authority}");
        }
    }

    #[test]
    fn t2_queries_lose_their_values() {
        for (text, bare, with_values) in [
            ("a=1&b=2", "a=REDACTED&b=REDACTED", "a=1&b=2"),
            ("q=x&api_key=s3cr3t", "q=REDACTED&api_key=REDACTED", "q=x&api_key=REDACTED"),
            ("X-Amz-Signature=abc", "X-Amz-Signature=REDACTED", "X-Amz-Signature=REDACTED"),
            ("s3cr3t", "REDACTED", "s3cr3t"),
            ("a=", "a=", "a="),
            ("a=1=2", "a=REDACTED", "a=1=2"),
            ("", "", ""),
        ] {
            assert_eq!(query(text, false), bare, "{text}");
            assert_eq!(query(text, true), with_values, "{text}");
        }
    }

    #[test]
    fn t2_urls_lose_their_credentials() {
        let uri = "https://me:s3cr3t@example.com:8443/a/b?token=x&n=1".parse().unwrap();
        let expect = "https://REDACTED:REDACTED@example.com:8443/a/b?token=REDACTED&n=";
        assert_eq!(url(&uri, false), format!("{expect}REDACTED"));
        assert_eq!(url(&uri, true), format!("{expect}1"));
        assert_eq!(url(&"/a?b".parse().unwrap(), false), "/a?REDACTED");
    }

    #[test]
    fn addresses_are_shown_as_the_library_does() {
        for address in ["127.0.0.1", "255.255.255.255", "::1", "2001:db8::1", "::ffff:1.2.3.4"] {
            assert_eq!(Shown::new(address.parse().unwrap()).as_str(), address);
        }
        let longest = "1111:2222:3333:4444:5555:6666:7777:8888";
        assert_eq!(Shown::new(longest.parse().unwrap()).as_str(), longest);
    }

    #[test]
    fn proxies_name_the_client_first() {
        for (value, expect) in [
            ("203.0.113.7, 10.0.0.1", Some("203.0.113.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("203.0.113.7:4711", Some("203.0.113.7")),
            ("unknown", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", value.parse().unwrap());
            let client = forwarded(&headers).map(|address| address.to_string());
            assert_eq!(client.as_deref(), expect, "{value}");
        }
    }
}
