//! Exporters of the file.

use super::tree::Node;
use super::{Choice, Reading, SignalDraft};
use crate::account::Signal;
use crate::config::draft::OtlpDraft;
use crate::config::endpoint::Endpoint;
use crate::config::{ExporterSettings, OtlpProtocol, finish, parse, standard};

impl Reading {
    /// The exporter that a mapping of one key names.
    pub(super) fn exporter(&mut self, signal: Signal, node: &Node) -> Option<Choice> {
        let kind = node.keys().next();
        let inner = kind.and_then(|kind| node.get(kind));
        let (Some(kind), Some(inner)) = (kind, inner) else {
            self.problem(node, "expected an exporter, as otlp_http");
            return None;
        };
        match kind {
            "otlp_http" => Some(self.otlp(signal, inner, false)),
            "otlp_grpc" => Some(self.otlp(signal, inner, true)),
            // Records are on the console already.
            "console" if signal == Signal::Logs => None,
            "console" => Some(Choice::Stdout { json: false }),
            "otlp_file/development" => self.otlp_file(inner),
            _ => {
                self.problem(node, &format!("there is no exporter {kind}"));
                None
            }
        }
    }

    fn otlp(&mut self, signal: Signal, node: &Node, grpc: bool) -> Choice {
        self.known(
            node,
            &[
                "endpoint",
                "tls",
                "headers",
                "headers_list",
                "compression",
                "timeout",
                "encoding",
                "temporality_preference",
                "default_histogram_aggregation",
            ],
        );
        let source = self.source.clone();
        let mut own = SignalDraft::unset();
        let otlp = &mut own.otlp;
        let encoding = self.parsed(node, "encoding", |text| match text {
            "protobuf" => Ok(OtlpProtocol::HttpProtobuf),
            "json" => Ok(OtlpProtocol::HttpJson),
            _ => Err("expected protobuf or json".to_owned()),
        });
        let http = encoding.unwrap_or(OtlpProtocol::HttpProtobuf);
        otlp.protocol.set(Some(if grpc { OtlpProtocol::Grpc } else { http }), &source);
        if let Some(endpoint) = self.parsed(node, "endpoint", Endpoint::parse) {
            otlp.endpoint.set(endpoint.whole().strict(), &source);
        }
        if let Some(gzip) = self.parsed(node, "compression", standard::compression) {
            otlp.gzip.set(gzip, &source);
        }
        if let Some(timeout) = self.parsed(node, "timeout", parse::timeout_millis) {
            otlp.timeout.set(timeout, &source);
        }
        self.headers(otlp, node);
        self.tls(otlp, node.get("tls"));
        Choice::Built(ExporterSettings::Otlp(finish::otlp(signal, &own)))
    }

    /// Entries win over those of the list.
    fn headers(&mut self, otlp: &mut OtlpDraft, node: &Node) {
        let mut headers = self.parsed(node, "headers_list", parse::headers).unwrap_or_default();
        for entry in node.items("headers") {
            let (Some(name), Some(value)) = (entry.text("name"), entry.text("value")) else {
                // "If an entry's .value is null, the entry is ignored."
                continue;
            };
            let name = name.to_ascii_lowercase();
            let allowed = http::HeaderName::try_from(name.as_str()).is_ok()
                && http::HeaderValue::try_from(value).is_ok();
            if !allowed {
                self.problem(entry, "HTTP does not allow this header");
                continue;
            }
            headers.retain(|(known, _)| *known != name);
            headers.push((name, value.to_owned()));
        }
        otlp.headers.set(headers, &self.source);
    }

    fn tls(&mut self, otlp: &mut OtlpDraft, node: Option<&Node>) {
        let Some(node) = node else { return };
        let names = [
            "ca_file",
            "certificate_file",
            "key_file",
            "cert_file",
            "client_key_file",
            "client_certificate_file",
            "insecure",
        ];
        self.known(node, &names);
        if let Some(insecure) = self.parsed(node, "insecure", parse::bool) {
            otlp.insecure.set(Some(insecure), &self.source);
        }
        // Each with its name in 1.0 and the one of the release candidates.
        let first = |names: [&str; 2]| names.into_iter().find_map(|name| node.text(name));
        if let Some(file) = first(["ca_file", "certificate_file"]) {
            otlp.ca.set(Some(file.into()), &self.source);
        }
        if let Some(file) = first(["key_file", "client_key_file"]) {
            otlp.client_key.set(Some(file.into()), &self.source);
        }
        if let Some(file) = first(["cert_file", "client_certificate_file"]) {
            otlp.client_certificate.set(Some(file.into()), &self.source);
        }
    }

    fn otlp_file(&mut self, node: &Node) -> Option<Choice> {
        match node.text("output_stream") {
            None | Some("stdout") => Some(Choice::Stdout { json: true }),
            Some(_) => {
                self.problem(node, "of output streams there is stdout alone");
                None
            }
        }
    }
}
