//! Samplers of the file.

use std::time::Duration;

use super::Reading;
use super::tree::Node;
use crate::config::sampler::{ratio, under_parent};
use crate::config::{SamplerSettings, parse};

impl Reading {
    /// The sampler that a mapping of one key names.
    pub(super) fn sampler(&mut self, node: &Node) -> Option<SamplerSettings> {
        let Some(kind) = node.keys().next() else {
            self.problem(node, "expected a sampler, as parent_based");
            return None;
        };
        let empty = Node::null(node.line());
        let inner = node.get(kind).unwrap_or(&empty);
        match kind {
            "always_on" => Some(SamplerSettings::AlwaysOn),
            "always_off" => Some(SamplerSettings::AlwaysOff),
            "trace_id_ratio_based" | "probability/development" => {
                Some(ratio(self.parsed(inner, "ratio", parse::ratio).unwrap_or(1.0)))
            }
            "parent_based" => Some(self.parent_based(inner)),
            "jaeger_remote/development" | "jaeger_remote" => self.jaeger_remote(inner),
            _ => {
                self.problem(node, &format!("there is no sampler {kind}"));
                None
            }
        }
    }

    fn parent_based(&mut self, node: &Node) -> SamplerSettings {
        // A parent's decision is kept here, whichever it was.
        for (key, kept) in [
            ("remote_parent_sampled", "always_on"),
            ("remote_parent_not_sampled", "always_off"),
            ("local_parent_sampled", "always_on"),
            ("local_parent_not_sampled", "always_off"),
        ] {
            let Some(child) = node.get(key) else { continue };
            if !child.is_null() && child.keys().next() != Some(kept) {
                self.problem(child, &format!("{key} is always {kept}"));
            }
        }
        let root = node.get("root").filter(|root| !root.is_null());
        let root = root.and_then(|root| self.sampler(root));
        under_parent(root.unwrap_or(SamplerSettings::AlwaysOn))
    }

    fn jaeger_remote(&mut self, node: &Node) -> Option<SamplerSettings> {
        let Some(endpoint) = node.text("endpoint") else {
            self.problem(node, "jaeger_remote has no endpoint");
            return None;
        };
        let interval = self.parsed(node, "interval", parse::interval_millis);
        let initial = node.get("initial_sampler").and_then(|node| self.sampler(node));
        Some(SamplerSettings::JaegerRemote {
            endpoint: endpoint.to_owned(),
            interval: interval.unwrap_or(Duration::from_secs(60)),
            initial: Box::new(initial.unwrap_or(SamplerSettings::AlwaysOff)),
        })
    }
}
