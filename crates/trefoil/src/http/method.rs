//! Methods, schemes and versions as the conventions spell them.

use http::{Method, Version, uri::Scheme};

crate::label_enum! {
    /// The methods of RFC 9110 and RFC 5789; whatever else a client sends is one value, so
    /// that it cannot make series.
    pub(crate) enum KnownMethod {
        Connect = "CONNECT",
        Delete = "DELETE",
        Get = "GET",
        Head = "HEAD",
        Options = "OPTIONS",
        Patch = "PATCH",
        Post = "POST",
        Put = "PUT",
        Trace = "TRACE",
        Other = "_OTHER",
    }

    /// How the client came.
    pub(crate) enum KnownScheme {
        Http = "http",
        Https = "https",
        Other = "_OTHER",
    }

    /// Of the protocol.
    pub(crate) enum KnownVersion {
        Http09 = "0.9",
        Http10 = "1.0",
        Http11 = "1.1",
        Http2 = "2",
        Http3 = "3",
    }
}

impl KnownMethod {
    pub(crate) fn new(method: &Method) -> KnownMethod {
        match *method {
            Method::CONNECT => KnownMethod::Connect,
            Method::DELETE => KnownMethod::Delete,
            Method::GET => KnownMethod::Get,
            Method::HEAD => KnownMethod::Head,
            Method::OPTIONS => KnownMethod::Options,
            Method::PATCH => KnownMethod::Patch,
            Method::POST => KnownMethod::Post,
            Method::PUT => KnownMethod::Put,
            Method::TRACE => KnownMethod::Trace,
            _ => KnownMethod::Other,
        }
    }

    /// What the span's name begins with.
    pub(crate) fn in_name(self) -> &'static str {
        match self {
            KnownMethod::Other => "HTTP",
            known => known.as_str(),
        }
    }

    /// The method as it was sent, if that is not a known one.
    pub(crate) fn original(self, method: &Method) -> Option<&str> {
        matches!(self, KnownMethod::Other).then(|| method.as_str())
    }
}

impl KnownScheme {
    pub(crate) fn new(scheme: Option<&Scheme>) -> KnownScheme {
        match scheme {
            None => KnownScheme::Http,
            Some(scheme) if *scheme == Scheme::HTTP => KnownScheme::Http,
            Some(scheme) if *scheme == Scheme::HTTPS => KnownScheme::Https,
            Some(_) => KnownScheme::Other,
        }
    }

    pub(crate) fn default_port(self) -> Option<u16> {
        match self {
            KnownScheme::Http => Some(80),
            KnownScheme::Https => Some(443),
            KnownScheme::Other => None,
        }
    }
}

impl KnownVersion {
    pub(crate) fn new(version: Version) -> KnownVersion {
        match version {
            Version::HTTP_09 => KnownVersion::Http09,
            Version::HTTP_10 => KnownVersion::Http10,
            Version::HTTP_2 => KnownVersion::Http2,
            Version::HTTP_3 => KnownVersion::Http3,
            _ => KnownVersion::Http11,
        }
    }
}
