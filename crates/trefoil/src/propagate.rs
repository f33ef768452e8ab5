//! Context from and to the headers of other services.

mod b3;
mod baggage;
mod jaeger;
mod trace_context;

pub(crate) use baggage::percent_encoded;

use std::marker::PhantomData;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::PropagatorName;
use crate::context::{Context, SpanContext};
use crate::init::Handle;
use crate::subscriber::Subscriber;

/// The formats in which context is read and written. Clones share one list.
///
/// What comes from outside is bounded and may be anything: what is malformed is left out, and
/// nothing of it fails or panics.
#[derive(Clone, Debug)]
pub struct Propagators {
    names: Arc<[PropagatorName]>,
}

/// W3C trace context and baggage.
impl Default for Propagators {
    fn default() -> Self {
        Propagators::new(&[PropagatorName::TraceContext, PropagatorName::Baggage])
    }
}

impl Propagators {
    pub(crate) fn new(names: &[PropagatorName]) -> Propagators {
        Propagators { names: names.into() }
    }

    /// Those of the telemetry that this thread's spans go to; W3C's if there is none.
    #[must_use]
    pub fn current() -> Propagators {
        tracing::dispatcher::get_default(|dispatch| {
            let subscriber = dispatch.downcast_ref::<Subscriber>();
            subscriber.map(|subscriber| subscriber.propagators().clone())
        })
        .unwrap_or_default()
    }

    /// The context that headers carry. Of several formats that are there, the one that is
    /// configured first gives the parent.
    #[must_use]
    pub fn extract(&self, headers: &HeaderMap) -> Context {
        let fields = HeaderFields(headers);
        self.read(&fields)
    }

    /// The same from any carrier. `get` returns the value of a field by its name in lower case.
    /// Jaeger's baggage (`uberctx-…`), whose names are not known before, is not found this way.
    #[must_use]
    pub fn extract_with<'a>(&self, get: impl Fn(&str) -> Option<&'a str>) -> Context {
        self.read(&Getter(get, PhantomData))
    }

    /// Writes a context into headers, in all formats.
    pub fn inject(&self, context: &Context, headers: &mut HeaderMap) {
        self.inject_with(context, |name, value| {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        });
    }

    /// The same into any carrier: `set` is called with names in lower case and values.
    pub fn inject_with(&self, context: &Context, mut set: impl FnMut(&str, &str)) {
        for name in self.names.iter() {
            match name {
                PropagatorName::Baggage => baggage::write(&context.baggage, &mut set),
                PropagatorName::Jaeger => jaeger::write_baggage(&context.baggage, &mut set),
                _ => {}
            }
            match (&context.span, context.decided) {
                (Some(span), _) => write_span(*name, span, &mut set),
                (None, Some(sampled)) => write_decision(*name, sampled, &mut set),
                (None, None) => {}
            }
        }
    }

    fn read(&self, fields: &dyn Fields) -> Context {
        let mut context = Context::default();
        for name in self.names.iter() {
            match name {
                PropagatorName::Baggage if context.baggage.is_empty() => {
                    context.baggage = baggage::read(fields);
                }
                PropagatorName::Jaeger if context.baggage.is_empty() => {
                    context.baggage = jaeger::read_baggage(fields);
                }
                _ => {}
            }
            if context.span.is_none() {
                context.span = read_span(*name, fields);
            }
            if matches!(name, PropagatorName::B3 | PropagatorName::B3Multi) {
                context.decided = context.decided.or_else(|| b3::read_decision(fields));
            }
        }
        // A span says itself whether it is sampled.
        context.decided = context.decided.filter(|_| context.span.is_none());
        context
    }
}

fn read_span(name: PropagatorName, fields: &dyn Fields) -> Option<SpanContext> {
    match name {
        PropagatorName::TraceContext => trace_context::read(fields),
        PropagatorName::Jaeger => jaeger::read(fields),
        // Who is configured for one form of B3 is understood in the other, too.
        PropagatorName::B3 | PropagatorName::B3Multi => {
            b3::read_single(fields).or_else(|| b3::read_multi(fields))
        }
        PropagatorName::Baggage => None,
    }
}

fn write_span(name: PropagatorName, span: &SpanContext, set: &mut dyn FnMut(&str, &str)) {
    match name {
        PropagatorName::TraceContext => trace_context::write(span, set),
        PropagatorName::Jaeger => jaeger::write(span, set),
        PropagatorName::B3 => b3::write_single(span, set),
        PropagatorName::B3Multi => b3::write_multi(span, set),
        PropagatorName::Baggage => {}
    }
}

/// Only B3 has a decision without a span.
fn write_decision(name: PropagatorName, sampled: bool, set: &mut dyn FnMut(&str, &str)) {
    let state = if sampled { "1" } else { "0" };
    match name {
        PropagatorName::B3 => set("b3", state),
        PropagatorName::B3Multi => set("x-b3-sampled", state),
        _ => {}
    }
}

impl Context {
    /// Writes it into headers, in the formats of the telemetry in force.
    pub fn inject(&self, headers: &mut HeaderMap) {
        Propagators::current().inject(self, headers);
    }
}

impl Handle {
    /// The formats in which context travels.
    #[must_use]
    pub fn propagators(&self) -> Propagators {
        Propagators::new(&self.parts.settings.propagators)
    }

    /// The context that a caller's headers, or gRPC's metadata, carry. Attach it, and spans
    /// that begin under it are the caller's children.
    #[must_use]
    pub fn extract(&self, headers: &HeaderMap) -> Context {
        self.propagators().extract(headers)
    }
}

/// Tells a client its trace: `traceresponse`, of the drafts of W3C trace context.
pub(crate) fn respond(span: &SpanContext, headers: &mut HeaderMap) {
    trace_context::write(span, &mut |name, value| {
        if name == "traceparent"
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(HeaderName::from_static("traceresponse"), value);
        }
    });
}

/// Header fields by name, in lower case; a field may stand several times.
trait Fields {
    fn each<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8]));

    /// Fields whose name begins with `prefix`: the rest of the name and the value.
    fn each_prefixed<'a>(&'a self, prefix: &str, take: &mut dyn FnMut(&'a str, &'a str));

    /// The value of a field that must stand once.
    fn single<'a>(&'a self, name: &str) -> Option<&'a [u8]> {
        let (mut found, mut times) = (None, 0);
        self.each(name, &mut |value| {
            found = Some(value);
            times += 1;
        });
        // White space around it belongs to the field's line, not to its value.
        found.filter(|_| times == 1).map(<[u8]>::trim_ascii)
    }

    /// The first value of a field.
    fn first<'a>(&'a self, name: &str) -> Option<&'a str> {
        let mut found = None;
        self.each(name, &mut |value| found = found.or(Some(value)));
        found.map(text)
    }

    /// What stands between the commas of all values of a field.
    fn each_member<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a str)) {
        self.each(name, &mut |value| {
            value.split(|&byte| byte == b',').for_each(|member| take(text(member)));
        });
    }
}

/// A value or a part of it as text, without the white space around it. What is not text becomes
/// something that is malformed everywhere.
fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or("\u{fffd}").trim_matches(OWS)
}

/// Optional white space of HTTP.
const OWS: [char; 2] = [' ', '\t'];

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
static BAGGAGE: HeaderName = HeaderName::from_static("baggage");

struct HeaderFields<'h>(&'h HeaderMap);

impl Fields for HeaderFields<'_> {
    fn each<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        // Names that every request is asked for are not parsed each time.
        let values = match name {
            "traceparent" => self.0.get_all(&TRACEPARENT),
            "tracestate" => self.0.get_all(&TRACESTATE),
            "baggage" => self.0.get_all(&BAGGAGE),
            other => self.0.get_all(other),
        };
        values.into_iter().for_each(|value| take(value.as_bytes()));
    }

    fn each_prefixed<'a>(&'a self, prefix: &str, take: &mut dyn FnMut(&'a str, &'a str)) {
        for (name, value) in self.0 {
            if let (Some(rest), Ok(value)) = (name.as_str().strip_prefix(prefix), value.to_str()) {
                take(rest, value);
            }
        }
    }
}

struct Getter<'g, F>(F, PhantomData<&'g str>);

impl<'g, F: Fn(&str) -> Option<&'g str>> Fields for Getter<'g, F> {
    fn each<'a>(&'a self, name: &str, take: &mut dyn FnMut(&'a [u8])) {
        if let Some(value) = (self.0)(name) {
            take(value.as_bytes());
        }
    }

    fn each_prefixed<'a>(&'a self, _: &str, _: &mut dyn FnMut(&'a str, &'a str)) {}
}

/// A lower-case hexadecimal number of exactly `N` bytes.
fn hex<const N: usize>(text: impl AsRef<[u8]>) -> Option<[u8; N]> {
    let text = text.as_ref();
    if text.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
