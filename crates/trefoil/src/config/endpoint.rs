//! Endpoints as people write them, to the URLs that exporters speak to.

use super::OtlpProtocol;
use super::draft::OtlpDraft;
use crate::account::Signal;

/// An endpoint of OTLP as it was written, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Without the scheme.
    rest: String,
    /// `None` where only `host:port` was written.
    secure: Option<bool>,
    port: Option<u16>,
    /// It is the whole URL of its signal; nothing is appended.
    pub(crate) whole: bool,
    /// What is spoken there unless somebody says otherwise or the port tells.
    pub(crate) implied: Option<OtlpProtocol>,
    /// Without a scheme a host that is not this machine is spoken to in TLS, as the
    /// specification has it; the documents' names mean plain text.
    pub(crate) strict: bool,
}

impl Endpoint {
    /// This machine, at the standard port of whichever protocol is spoken.
    pub(crate) fn local() -> Endpoint {
        Endpoint {
            rest: "localhost".to_owned(),
            secure: None,
            port: None,
            whole: false,
            implied: None,
            strict: false,
        }
    }

    /// `http://host:4318`, `https://host/base`, `host:4317`, `host`.
    pub(crate) fn parse(text: &str) -> Result<Endpoint, String> {
        let text = text.trim();
        let (secure, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("grpc") => (None, rest),
            Some(_) => return Err("expected http:// or https://".to_owned()),
            None => (None, text),
        };
        let rest = rest.trim_end_matches('/');
        let uri: http::Uri = format!("http://{rest}").parse().map_err(|_| EXPECTED.to_owned())?;
        let authority = uri.authority().ok_or_else(|| EXPECTED.to_owned())?;
        let host = authority.host();
        if host.is_empty() || authority.as_str().ends_with(':') || uri.query().is_some() {
            return Err(EXPECTED.to_owned());
        }
        // TRAP: `http` takes `host:70000` and answers that it has no port.
        let after_host = authority.as_str().rsplit_once(host).map_or("", |(_, rest)| rest);
        if after_host.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_err()) {
            return Err("expected a port, 1 to 65535".to_owned());
        }
        Ok(Endpoint {
            rest: rest.to_owned(),
            secure,
            port: authority.port_u16(),
            whole: false,
            implied: None,
            strict: false,
        })
    }

    pub(crate) fn whole(mut self) -> Endpoint {
        self.whole = true;
        self
    }

    pub(crate) fn implying(mut self, protocol: OtlpProtocol) -> Endpoint {
        self.implied = Some(protocol);
        self
    }

    pub(crate) fn strict(mut self) -> Endpoint {
        self.strict = true;
        self
    }

    /// What is spoken there: what was said, else what the port means, else what the name of
    /// the variable implies, else HTTP as the specification recommends.
    pub(super) fn protocol(&self, said: Option<OtlpProtocol>) -> OtlpProtocol {
        let by_port = match self.port {
            Some(4317) => Some(OtlpProtocol::Grpc),
            Some(4318) => Some(OtlpProtocol::HttpProtobuf),
            _ => None,
        };
        said.or(by_port).or(self.implied).unwrap_or(OtlpProtocol::HttpProtobuf)
    }

    fn is_secure(&self, insecure: Option<bool>) -> bool {
        if let Some(secure) = self.secure {
            return secure;
        }
        match insecure {
            Some(insecure) => !insecure,
            None => self.strict && !self.is_loopback(),
        }
    }

    fn is_loopback(&self) -> bool {
        let authority = self.rest.split('/').next().unwrap_or_default();
        let host = match self.port {
            Some(port) => authority.trim_end_matches(&format!(":{port}")[..]),
            None => authority,
        };
        host == "localhost" || host == "[::1]" || host.starts_with("127.")
    }
}

const EXPECTED: &str = "expected a URL as http://localhost:4318 or host:port as localhost:4317";

/// The URL that a signal is sent to.
pub(super) fn url(otlp: &OtlpDraft, signal: Signal) -> (OtlpProtocol, String) {
    let endpoint = &otlp.endpoint.value;
    let protocol = endpoint.protocol(otlp.protocol.value);
    let secure = endpoint.is_secure(otlp.insecure.value);
    let scheme = if secure { "https" } else { "http" };
    let (authority, path) = match endpoint.rest.split_once('/') {
        Some((authority, path)) => (authority, path),
        None => (endpoint.rest.as_str(), ""),
    };
    // With a scheme, a URL's own default port counts.
    let port = match (endpoint.port, endpoint.secure, protocol) {
        (None, None, OtlpProtocol::Grpc) => ":4317",
        (None, None, _) => ":4318",
        _ => "",
    };
    let url = match protocol {
        OtlpProtocol::Grpc => format!("{scheme}://{authority}{port}"),
        _ if endpoint.whole => format!("{scheme}://{authority}{port}/{path}"),
        _ => {
            let base = base_path(path);
            format!("{scheme}://{authority}{port}/{base}v1/{}", signal.as_str())
        }
    };
    (protocol, url)
}

/// The path before `v1/…`. A base that is already a signal's path is a common slip.
fn base_path(path: &str) -> String {
    let mut base = path;
    for signal in ["v1/traces", "v1/metrics", "v1/logs"] {
        base = base.strip_suffix(signal).unwrap_or(base);
    }
    let base = base.trim_end_matches('/');
    if base.is_empty() { String::new() } else { format!("{base}/") }
}
