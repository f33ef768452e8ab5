//! A value and where it came from.

use std::fmt;

/// How strongly a value is meant; a later one wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    /// The crate's own default.
    Default,
    /// Found out about the machine and the process.
    Detected,
    /// A default that the program sets, below everything the operator says.
    Program,
    /// `OTEL_CONFIG_FILE`. Where there is a file, the layer of standard variables is empty.
    #[cfg_attr(not(feature = "config-file"), expect(dead_code, reason = "no file is read"))]
    File,
    /// `OTEL_*` as OpenTelemetry's specification has them.
    Standard,
    /// Names of the documents: `OTEL_ENDPOINT`, `ENVIRONMENT`, `JAEGER_*`…
    Document,
    /// The application's own prefix.
    Prefix,
    /// The program's last word.
    Builder,
}

/// Where a value came from, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) layer: Layer,
    /// The variable or the file; empty where the layer says it all.
    pub(crate) name: String,
}

impl Source {
    pub(crate) const DEFAULT: Source = Source { layer: Layer::Default, name: String::new() };

    pub(crate) const fn of(layer: Layer) -> Source {
        Source { layer, name: String::new() }
    }

    pub(crate) fn named(layer: Layer, name: &str) -> Source {
        Source { layer, name: name.to_owned() }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.layer {
            Layer::Default => f.write_str("default"),
            Layer::Detected => f.write_str("detected"),
            Layer::Program => f.write_str("the program's default"),
            Layer::Builder => f.write_str("the program"),
            Layer::File | Layer::Standard | Layer::Document | Layer::Prefix => {
                f.write_str(&self.name)
            }
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) source: Source,
}

impl<T> Given<T> {
    pub(crate) fn default(value: T) -> Given<T> {
        Given { value, source: Source::DEFAULT }
    }

    /// Replaces the value: layers are applied from the weakest to the strongest.
    pub(crate) fn set(&mut self, value: T, source: &Source) {
        self.value = value;
        self.source = source.clone();
    }
}
