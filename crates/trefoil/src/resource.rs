//! Who emits: the attributes of the resource, encoded once.

mod container;
mod instance;

use std::collections::BTreeMap;

use trefoil_wire::otlp::ResourceWriter;
use trefoil_wire::protobuf::Writer;

use crate::value::Value;

pub(crate) use instance::Instance;

/// The resource of all three signals.
#[derive(Debug)]
pub(crate) struct Resource {
    attributes: Vec<(String, Value)>,
    /// An OTLP `Resource` message.
    encoded: Vec<u8>,
}

impl Resource {
    pub(crate) fn new(attributes: Vec<(String, Value)>) -> Resource {
        let mut w = Writer::new();
        for (key, value) in &attributes {
            ResourceWriter(&mut w).attribute(key, |w| value.write(w));
        }
        Resource { attributes, encoded: w.into_bytes() }
    }

    pub(crate) fn attributes(&self) -> &[(String, Value)] {
        &self.attributes
    }

    /// The text of an attribute.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find_map(|(known, value)| match value {
            Value::Str(value) if known == key => Some(value.as_ref()),
            _ => None,
        })
    }

    /// An OTLP `Resource` message.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }
}

/// What can be found out about the machine and the process, under the names of
/// OpenTelemetry's semantic conventions. Nothing of it is secret: arguments of the command
/// line are left out.
pub(crate) fn detect(variables: &BTreeMap<String, String>) -> Vec<(String, Value)> {
    let mut attributes: Vec<(String, Value)> = Vec::new();
    let mut add = |key: &str, value: Value| attributes.push((key.to_owned(), value));
    add("host.name", host_name(variables).into());
    add("host.arch", architecture().into());
    add("os.type", operating_system().into());
    add("process.pid", i64::from(std::process::id()).into());
    if let Some(name) = executable() {
        add("process.executable.name", name.into());
    }
    for (key, value) in container::detect(variables) {
        add(key, value.into());
    }
    add("telemetry.sdk.name", "trefoil".into());
    add("telemetry.sdk.language", "rust".into());
    add("telemetry.sdk.version", env!("CARGO_PKG_VERSION").into());
    attributes
}

/// The host's name; in a container that is the container's.
pub(crate) fn host_name(variables: &BTreeMap<String, String>) -> String {
    let files = ["/proc/sys/kernel/hostname", "/etc/hostname"];
    let read = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let names = read.chain(variables.get("HOSTNAME").cloned());
    let mut names = names.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    names.next().unwrap_or_else(|| "localhost".to_owned())
}

fn executable() -> Option<String> {
    let path = std::env::current_exe().ok()?;
    Some(path.file_name()?.to_string_lossy().into_owned())
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm32",
        "powerpc64" => "ppc64",
        other => other,
    }
}

fn operating_system() -> &'static str {
    match std::env::consts::OS {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}
