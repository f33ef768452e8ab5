//! Proxies that the environment names and telemetry does not use.

use std::collections::{BTreeMap, BTreeSet};

use super::{ExporterSettings, Settings};

/// As other programs read them, the first that is set.
const FOR_HTTPS: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const FOR_HTTP: [&str; 4] = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPT: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Warns of each receiver that is spoken to directly although a proxy is named for it: where
/// only the proxy gets out, nothing would arrive, and nothing would say why.
pub(super) fn warn(
    settings: &Settings,
    variables: &BTreeMap<String, String>,
    warnings: &mut BTreeSet<String>,
) {
    let Settings { traces, metrics, logs, .. } = settings;
    let all = [&traces.exporters, &metrics.exporters, &logs.exporters];
    for endpoint in all.into_iter().flatten().filter_map(endpoint) {
        let Ok(uri) = endpoint.parse::<http::Uri>() else { continue };
        let Some(host) = uri.host() else { continue };
        let names = if uri.scheme_str() == Some("https") { FOR_HTTPS } else { FOR_HTTP };
        let Some((name, _)) = set(variables, &names) else { continue };
        let except = set(variables, &EXCEPT).map_or("", |(_, value)| value);
        if !is_this_machine(host) && !is_excepted(host, except) {
            warnings.insert(format!(
                "{name} is set, but telemetry does not speak through proxies: {host} is tried \
                 directly; send to a collector that can be reached, which may use the proxy, or \
                 name {host} in NO_PROXY if it can be reached without"
            ));
        }
    }
}

fn endpoint(exporter: &ExporterSettings) -> Option<&str> {
    match exporter {
        ExporterSettings::Otlp(otlp) => Some(&otlp.endpoint),
        ExporterSettings::JaegerCollector { endpoint, .. } => Some(endpoint),
        _ => None,
    }
}

fn set<'a>(
    variables: &'a BTreeMap<String, String>,
    names: &[&'a str],
) -> Option<(&'a str, &'a str)> {
    let value = |name: &&'a str| Some((*name, variables.get(*name)?.trim()));
    names.iter().filter_map(value).find(|(_, value)| !value.is_empty())
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Whether a list as `localhost,.example.org` holds the host or a domain it is in.
fn is_excepted(host: &str, list: &str) -> bool {
    list.split(',').map(str::trim).any(|except| {
        let domain = except.trim_start_matches("*.").trim_start_matches('.');
        let below = host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
        except == "*" || !domain.is_empty() && (host == domain || below)
    })
}
