//! From names of metrics and values to names of Rust.

use super::registry::{Instrument, Metric};

/// What a metric is called within its service: `hypeman_images_pulls_total` is
/// `images_pulls`, `hypeman_exec_duration_seconds` is `exec_duration`.
pub(super) fn stem(metric: &Metric, service: &str) -> String {
    let name = metric.name.replace('.', "_");
    let name = name.strip_prefix(&format!("{service}_")).unwrap_or(&name);
    let name = name.strip_suffix("_total").unwrap_or(name);
    let is_duration = metric.instrument == Instrument::Histogram && metric.unit == "s";
    let name = if is_duration { name.strip_suffix("_seconds").unwrap_or(name) } else { name };
    name.to_owned()
}

/// `shut_down`, `shut-down` and `shut down` become `ShutDown`.
pub(super) fn pascal(text: &str) -> String {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut name = String::new();
    for word in words {
        let mut letters = word.chars();
        name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("N{name}") } else { name }
}

/// `http.route` becomes `http_route`; words of the language are put as raw names.
pub(super) fn field(text: &str) -> String {
    const KEYWORDS: [&str; 8] = ["as", "for", "in", "match", "ref", "type", "use", "where"];
    let name = text.replace(['.', '-', ' '], "_");
    if KEYWORDS.contains(&name.as_str()) { format!("r#{name}") } else { name }
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_are_made_of_words() {
        for (text, expect) in
            [("shut_down", "ShutDown"), ("PUT /api/v1/vm.boot", "PUTApiV1VmBoot"), ("0", "N0")]
        {
            assert_eq!(super::pascal(text), expect);
        }
        assert_eq!(super::field("http.route"), "http_route");
        assert_eq!(super::field("type"), "r#type");
    }
}
