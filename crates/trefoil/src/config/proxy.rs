//! Proxies that the environment names: which receiver is reached through which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use http::{HeaderValue, Uri};
use trefoil_wire::base64;

use super::parse::percent_decode;
use super::{ExporterSettings, OtlpSettings, Settings};

/// As other programs read them, the first that is set.
const FOR_HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const FOR_HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
/// Set in every CGI program (RFC 3875).
const CGI: &str = "REQUEST_METHOD";
const EXCEPT: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// A proxy for HTTP, itself spoken to in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proxy {
    /// A name or an address, IPv6 without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `Proxy-Authorization`. A secret, and marked as one.
    pub(crate) authorization: Option<HeaderValue>,
    /// The variable that names it.
    pub(crate) named_by: &'static str,
}

impl Proxy {
    /// `host:port`, for people.
    pub(super) fn authority(&self) -> String {
        let Proxy { host, port, .. } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }

    /// Reads `http://user:password@host:port`. Without a scheme it is plain HTTP.
    ///
    /// # Errors
    /// Says what is wrong, without the value: it may hold a password.
    fn parse(named_by: &'static str, text: &str) -> Result<Proxy, String> {
        let wrong = || "names no proxy; expected e.g. http://proxy:3128".to_owned();
        let with_scheme = match text.contains("://") {
            true => text.to_owned(),
            false => format!("http://{text}"),
        };
        let uri: Uri = with_scheme.parse().map_err(|_| wrong())?;
        if let Some(scheme) = uri.scheme_str().filter(|scheme| *scheme != "http") {
            return Err(format!("names a proxy that speaks {scheme}, and only http is known"));
        }
        let authority = uri.authority().ok_or_else(wrong)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(wrong());
        }
        let authorization = match authority.as_str().rsplit_once('@') {
            Some((user, _)) => Some(basic(user).ok_or_else(wrong)?),
            None => None,
        };
        let port = authority.port_u16().unwrap_or(80);
        Ok(Proxy { host, port, authorization, named_by })
    }
}

impl ExporterSettings {
    /// What its receiver is reached through.
    pub(super) fn proxy(&self) -> Option<&Proxy> {
        match self {
            ExporterSettings::Otlp(OtlpSettings { proxy, .. })
            | ExporterSettings::JaegerCollector { proxy, .. } => proxy.as_deref(),
            _ => None,
        }
    }
}

/// `Basic` of RFC 7617, from what stands before the `@` of a URL.
fn basic(user: &str) -> Option<HeaderValue> {
    let mut user = percent_decode(user)?;
    if !user.contains(':') {
        user.push(':');
    }
    let mut text = "Basic ".to_owned();
    base64::encode_into(user.as_bytes(), &mut text);
    let mut value = HeaderValue::try_from(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Gives each receiver the proxy that is named for it.
pub(super) fn apply(
    settings: &mut Settings,
    variables: &BTreeMap<String, String>,
    warnings: &mut BTreeSet<String>,
) {
    let Settings { traces, metrics, logs, .. } = settings;
    let all = [&mut traces.exporters, &mut metrics.exporters, &mut logs.exporters];
    for exporter in all.into_iter().flatten() {
        let (ExporterSettings::Otlp(OtlpSettings { endpoint, proxy, .. })
        | ExporterSettings::JaegerCollector { endpoint, proxy, .. }) = exporter
        else {
            continue;
        };
        let Ok(uri) = endpoint.parse::<Uri>() else { continue };
        let Some((name, value)) = named_for(&uri, variables) else { continue };
        match Proxy::parse(name, value) {
            Ok(found) => *proxy = Some(Box::new(found)),
            Err(why) => {
                let host = uri.host().unwrap_or_default();
                warnings.insert(format!("{name} {why}; {host} is tried directly"));
            }
        }
    }
}

/// The variable that names a proxy for a receiver, and its value.
fn named_for<'a>(
    receiver: &Uri,
    variables: &'a BTreeMap<String, String>,
) -> Option<(&'static str, &'a str)> {
    let host = receiver.host()?.trim_matches(['[', ']']);
    let except = set(variables, EXCEPT).map_or("", |(_, value)| value);
    if is_this_machine(host) || is_excepted(host, receiver.port_u16(), except) {
        return None;
    }
    let secure = receiver.scheme_str() == Some("https");
    // TRAP: in a CGI program HTTP_PROXY is what a visitor's header `Proxy` says.
    let of_visitor = |name: &str| name == "HTTP_PROXY" && variables.contains_key(CGI);
    let names = if secure { FOR_HTTPS } else { FOR_HTTP };
    set(variables, names.into_iter().filter(|name| !of_visitor(name)))
}

fn set(
    variables: &BTreeMap<String, String>,
    names: impl IntoIterator<Item = &'static str>,
) -> Option<(&'static str, &str)> {
    let value = |name: &'static str| Some((name, variables.get(name)?.trim()));
    names.into_iter().filter_map(value).find(|(_, value)| !value.is_empty())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Whether a list as `localhost,.example.org,10.0.0.0/8,db:5432` holds the host, a domain or a
/// network it is in.
fn is_excepted(host: &str, port: Option<u16>, list: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let list = list.to_ascii_lowercase();
    list.split(',').map(str::trim).any(|except| {
        if except == "*" || is_in_network(&host, except) {
            return true;
        }
        // More than one colon is an IPv6 address.
        let (name, only) = match except.split_once(':') {
            Some((name, digits)) if !digits.contains(':') => (name, digits.parse::<u16>().ok()),
            _ => (except, None),
        };
        let domain = name.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']);
        let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        let at_port = only.is_none() || only == port;
        at_port && !domain.is_empty() && (host == domain || below)
    })
}

/// Whether an address is in a network as `10.0.0.0/8`.
fn is_in_network(host: &str, network: &str) -> bool {
    let read = || {
        let (base, length) = network.split_once('/')?;
        Some((host.parse().ok()?, base.parse().ok()?, length.parse::<u32>().ok()?))
    };
    match read() {
        Some((IpAddr::V4(host), IpAddr::V4(base), length @ 0..=32)) => {
            (host.to_bits() ^ base.to_bits()).leading_zeros() >= length
        }
        Some((IpAddr::V6(host), IpAddr::V6(base), length @ 0..=128)) => {
            (host.to_bits() ^ base.to_bits()).leading_zeros() >= length
        }
        _ => false,
    }
}
