//! Declaring metrics: `metrics!`, `labels!`, `label_enum!`.

use std::borrow::Cow;

/// What is said of a metric when it is declared.
#[derive(Clone, Debug)]
pub struct Definition {
    pub(crate) name: Cow<'static, str>,
    pub(crate) description: Cow<'static, str>,
    pub(crate) unit: Cow<'static, str>,
    pub(crate) scope: Scope,
    pub(crate) buckets: Buckets,
    pub(crate) audience: Audience,
}

impl Definition {
    /// What [`metrics!`](crate::metrics) makes of a declaration.
    #[doc(hidden)]
    #[must_use]
    pub const fn declared(
        name: &'static str,
        description: &'static str,
        unit: &'static str,
        scope: (&'static str, &'static str),
        buckets: Buckets,
    ) -> Definition {
        Definition {
            name: Cow::Borrowed(name),
            description: Cow::Borrowed(description),
            unit: Cow::Borrowed(unit),
            scope: Scope { name: Cow::Borrowed(scope.0), version: Cow::Borrowed(scope.1) },
            buckets,
            audience: Audience::Both,
        }
    }
}

/// The library that records a metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Scope {
    pub(crate) name: Cow<'static, str>,
    pub(crate) version: Cow<'static, str>,
}

/// Who is shown a metric. A few facts go by two names: one of the semantic conventions, one
/// of Prometheus's world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    Both,
    /// Receivers of OTLP.
    Push,
    /// Those who scrape.
    Pull,
}

/// How a histogram counts.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Buckets {
    /// By the unit: the semantic conventions' bounds for seconds, powers of four for
    /// bytes, OpenTelemetry's default else. Exponential if the settings say so.
    #[default]
    Default,
    /// Upper bounds, ascending.
    Explicit(Cow<'static, [f64]>),
    /// Exponential buckets that adjust their scale.
    Exponential,
}

/// Declares metrics: the doc comment is the description.
///
/// They are recorded from any thread at any time, also before [`init`](crate::init): what is
/// counted counts from its first use. A metric that is never used is not exported.
///
/// ```
/// use trefoil::{Counter, Gauge, Histogram};
///
/// trefoil::label_enum! {
///     /// How it ended.
///     pub enum Status { Success, Failure }
/// }
/// trefoil::labels! {
///     /// Labels of an export.
///     pub struct Export<'a> {
///         provider: &'a str,
///         status: Status,
///     }
/// }
/// trefoil::metrics! {
///     /// Exports by outcome.
///     pub static EXPORTS: Counter<Export<'_>> = "exports_total";
///     /// Duration of exports.
///     pub static EXPORT_DURATION: Histogram = "export_duration_seconds", unit "s", buckets [1.0, 10.0, 60.0];
///     /// Jobs that wait.
///     pub static QUEUE_LENGTH: Gauge = "queue_length";
/// }
///
/// EXPORTS.inc(Export { provider: "vsphere", status: Status::Success });
/// EXPORT_DURATION.record(12.5, ());
/// QUEUE_LENGTH.set(3.0, ());
/// ```
#[macro_export]
macro_rules! metrics {
    ($(
        $(#[doc = $doc:expr])*
        $vis:vis static $name:ident : $instrument:ty = $metric:literal
            $(, unit $unit:literal)?
            $(, buckets $buckets:tt)?
        ;
    )*) => {$(
        $(#[doc = $doc])*
        $vis static $name: $instrument = <$instrument>::declare($crate::metric::Definition::declared(
            $metric,
            concat!($($doc),*),
            concat!($($unit)?),
            (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")),
            $crate::__buckets!($($buckets)?),
        ));
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __buckets {
    () => {
        $crate::metric::Buckets::Default
    };
    (exponential) => {
        $crate::metric::Buckets::Exponential
    };
    ([$($bound:expr),* $(,)?]) => {
        $crate::metric::Buckets::Explicit(::std::borrow::Cow::Borrowed(&[$($bound),*]))
    };
}

/// Declares the labels of a metric.
///
/// A label is named after its field, or as said behind `as`. Labels marked
/// `#[high_cardinality]` are recorded only if the settings say so. Enums of
/// [`label_enum!`](crate::label_enum), `bool`, integers, `&str` and options of them are values.
///
/// ```
/// trefoil::labels! {
///     /// Labels of a request.
///     pub struct Request<'a> {
///         /// The template, never the path itself.
///         route: &'a str as "http.route",
///         status: u16 as "http.response.status_code",
///         #[high_cardinality]
///         user: Option<&'a str> as "user.id",
///     }
/// }
/// ```
#[macro_export]
macro_rules! labels {
    ($(
        $(#[$attribute:meta])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? { $($fields:tt)* }
    )*) => {$(
        $crate::__labels! { @field [$(#[$attribute])*] [$vis] [$name] [$($life)?] [] [] [false] $($fields)* }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __labels {
    // An attribute of the next field.
    (@field $head:tt $vis:tt $name:tt $life:tt $done:tt [$($docs:tt)*] [$high:tt]
        #[high_cardinality] $($rest:tt)*) => {
        $crate::__labels! { @field $head $vis $name $life $done [$($docs)*] [true] $($rest)* }
    };
    (@field $head:tt $vis:tt $name:tt $life:tt $done:tt [$($docs:tt)*] [$high:tt]
        #[$($attribute:tt)*] $($rest:tt)*) => {
        $crate::__labels! { @field $head $vis $name $life $done [$($docs)* #[$($attribute)*]] [$high] $($rest)* }
    };
    (@field $head:tt $vis:tt $name:tt $life:tt $done:tt $docs:tt $high:tt pub $($rest:tt)*) => {
        $crate::__labels! { @field $head $vis $name $life $done $docs $high $($rest)* }
    };
    // A field with a name of its own, the last one or not.
    (@field $head:tt $vis:tt $name:tt $life:tt [$($done:tt)*] [$($docs:tt)*] [$high:tt]
        $field:ident : $type:ty as $label:literal $(, $($rest:tt)*)?) => {
        $crate::__labels! { @field $head $vis $name $life
            [$($done)* { [$($docs)*] $high $field ($type) ($label) }] [] [false] $($($rest)*)? }
    };
    (@field $head:tt $vis:tt $name:tt $life:tt [$($done:tt)*] [$($docs:tt)*] [$high:tt]
        $field:ident : $type:ty $(, $($rest:tt)*)?) => {
        $crate::__labels! { @field $head $vis $name $life
            [$($done)* { [$($docs)*] $high $field ($type) (stringify!($field)) }] [] [false] $($($rest)*)? }
    };
    (@field [$($head:tt)*] [$vis:vis] [$name:ident] [$($life:lifetime)?]
        [$({ [$($docs:tt)*] $high:literal $field:ident ($type:ty) ($label:expr) })*] [] [false]) => {
        $($head)*
        #[derive(Clone, Copy, Debug)]
        #[allow(missing_docs)]
        $vis struct $name $(<$life>)? {
            $($($docs)* pub $field: $type,)*
        }

        impl $(<$life>)? $crate::metric::Labels for $name $(<$life>)? {
            const STATES: usize = $crate::metric::states(&[$(<$type as $crate::metric::Label>::STATES),*]);

            #[inline]
            fn state(&self) -> usize {
                let state = 0;
                $(let state = state * <$type as $crate::metric::Label>::STATES
                    + $crate::metric::Label::state(&self.$field);)*
                state
            }

            #[inline]
            fn visit(
                &self,
                each: &mut dyn FnMut(&'static str, bool, $crate::metric::LabelValue<'_>),
            ) {
                $(each($label, $high, $crate::metric::Label::value(&self.$field));)*
            }

            fn visit_state(
                state: usize,
                each: &mut dyn FnMut(&'static str, bool, $crate::metric::LabelValue<'_>),
            ) {
                // The first label changes last.
                let rest: usize = 1 $(* <$type as $crate::metric::Label>::STATES)*;
                $(
                    let states = usize::max(<$type as $crate::metric::Label>::STATES, 1);
                    let rest = rest / states;
                    each($label, $high, <$type as $crate::metric::Label>::at(state / rest % states));
                )*
                let _ = (rest, state, each);
            }
        }

        $crate::__label_set! { $name $($life)? }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __label_set {
    ($name:ident) => {
        impl $crate::metric::LabelSet for $name {
            type Of<'a> = $name;
        }
    };
    ($name:ident $life:lifetime) => {
        impl $crate::metric::LabelSet for $name<'static> {
            type Of<'a> = $name<'a>;
        }
    };
}

/// Declares a label whose values are known. They are exported in snake case, or as said
/// behind `=`.
///
/// ```
/// trefoil::label_enum! {
///     /// Of a machine.
///     pub enum State { Running, ShutDown, Unknown = "n/a" }
/// }
/// assert_eq!(State::ShutDown.as_str(), "shut_down");
/// ```
#[macro_export]
macro_rules! label_enum {
    ($(
        $(#[$attribute:meta])*
        $vis:vis enum $name:ident {
            $($(#[$doc:meta])* $variant:ident $(= $text:literal)?),+ $(,)?
        }
    )*) => {$(
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs)]
        $vis enum $name {
            $($(#[$doc])* $variant,)+
        }

        #[allow(dead_code)]
        impl $name {
            /// All values, in the order of their declaration.
            $vis const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The label's value.
            #[must_use]
            $vis const fn as_str(self) -> &'static str {
                match self {
                    $($name::$variant => $crate::__label_text!($variant $($text)?),)+
                }
            }
        }

        impl $crate::metric::Label for $name {
            const STATES: usize = $name::ALL.len();

            #[inline]
            fn state(&self) -> usize {
                *self as usize
            }

            fn at(state: usize) -> $crate::metric::LabelValue<'static> {
                match $name::ALL.get(state) {
                    Some(value) => $crate::metric::LabelValue::Str(value.as_str()),
                    None => $crate::metric::LabelValue::Absent,
                }
            }

            fn value(&self) -> $crate::metric::LabelValue<'_> {
                $crate::metric::LabelValue::Str(self.as_str())
            }
        }
    )*};
}

#[doc(hidden)]
#[macro_export]
macro_rules! __label_text {
    ($variant:ident) => {{
        const LENGTH: usize = $crate::metric::snake_length(stringify!($variant));
        const BYTES: [u8; LENGTH] = $crate::metric::snake(stringify!($variant));
        match ::std::str::from_utf8(&BYTES) {
            Ok(text) => text,
            Err(_) => stringify!($variant),
        }
    }};
    ($variant:ident $text:literal) => {
        $text
    };
}

/// Bytes of a name in snake case.
#[doc(hidden)]
#[must_use]
pub const fn snake_length(name: &str) -> usize {
    let bytes = name.as_bytes();
    let mut length = bytes.len();
    let mut i = 1;
    while i < bytes.len() {
        length += begins_word(bytes, i) as usize;
        i += 1;
    }
    length
}

/// A name in snake case.
#[doc(hidden)]
#[must_use]
pub const fn snake<const LENGTH: usize>(name: &str) -> [u8; LENGTH] {
    let bytes = name.as_bytes();
    let mut snake = [0; LENGTH];
    let (mut i, mut at) = (0, 0);
    while i < bytes.len() {
        if i > 0 && begins_word(bytes, i) {
            snake[at] = b'_';
            at += 1;
        }
        snake[at] = bytes[i].to_ascii_lowercase();
        at += 1;
        i += 1;
    }
    snake
}

/// A capital behind a small letter or digit, or before one: `ShutDown`, `HTTPError`.
const fn begins_word(bytes: &[u8], i: usize) -> bool {
    if !bytes[i].is_ascii_uppercase() {
        return false;
    }
    let before = bytes[i - 1];
    before.is_ascii_lowercase()
        || before.is_ascii_digit()
        || (before.is_ascii_uppercase() && i + 1 < bytes.len() && bytes[i + 1].is_ascii_lowercase())
}

/// Combinations of labels with so many values each; 0 if that cannot be said or is too much.
#[doc(hidden)]
#[must_use]
pub const fn states(of_labels: &[usize]) -> usize {
    let mut product = 1;
    let mut i = 0;
    while i < of_labels.len() {
        product *= of_labels[i];
        if product == 0 || product > super::label::STATES_MAX {
            return 0;
        }
        i += 1;
    }
    product
}
