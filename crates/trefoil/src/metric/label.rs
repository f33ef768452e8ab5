//! What tells the series of a metric apart: labels, typed where they are declared.

use std::borrow::Cow;

use crate::value::Value;

/// The labels of one measurement. Declared with [`labels!`](crate::labels).
pub trait Labels: Copy {
    /// How many combinations of values there are; 0 if they cannot be counted, or are so
    /// many that a table of them would be wasteful.
    const STATES: usize;

    /// Which of the combinations it is.
    #[doc(hidden)]
    fn state(&self) -> usize;

    /// Shows each label: its name, whether it is of high cardinality, its value.
    #[doc(hidden)]
    fn visit(&self, each: &mut dyn FnMut(&'static str, bool, LabelValue<'_>)) {
        let _ = each;
    }

    /// The same, for names that are not known before.
    #[doc(hidden)]
    #[inline]
    fn visit_any(&self, each: &mut dyn FnMut(Name<'_>, bool, LabelValue<'_>)) {
        self.visit(&mut |name, high, value| each(Name::Static(name), high, value));
    }

    /// The labels of one of the combinations.
    #[doc(hidden)]
    fn visit_state(state: usize, each: &mut dyn FnMut(&'static str, bool, LabelValue<'_>)) {
        let _ = (state, each);
    }
}

/// The type that an instrument names; its labels may borrow for the length of a call.
pub trait LabelSet: 'static {
    /// The labels, borrowed.
    type Of<'a>: Labels;
}

/// The value of one label.
pub trait Label: Copy {
    /// How many values there are; 0 if they cannot be counted.
    const STATES: usize = 0;

    /// Which of the values it is.
    #[doc(hidden)]
    fn state(&self) -> usize {
        0
    }

    /// One of the values.
    #[doc(hidden)]
    fn at(state: usize) -> LabelValue<'static> {
        let _ = state;
        LabelValue::Absent
    }

    /// The value as it is exported.
    fn value(&self) -> LabelValue<'_>;
}

/// Combinations beyond which there is no table of them, but a lookup.
#[doc(hidden)]
pub(super) const STATES_MAX: usize = 1024;

/// The value of a label, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum LabelValue<'a> {
    /// The series does not have the label.
    Absent,
    /// Text.
    Str(&'a str),
    /// An integer.
    Int(i64),
    /// A boolean.
    Bool(bool),
    /// A double.
    Double(f64),
}

/// A label's name. One that was declared is stored without a copy.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub enum Name<'a> {
    Static(&'static str),
    Borrowed(&'a str),
}

impl Name<'_> {
    #[inline]
    fn as_str(&self) -> &str {
        match self {
            Name::Static(name) | Name::Borrowed(name) => name,
        }
    }

    fn store(self) -> Cow<'static, str> {
        match self {
            Name::Static(name) => Cow::Borrowed(name),
            Name::Borrowed(name) => Cow::Owned(name.to_owned()),
        }
    }
}

/// Labels of a series, as they are kept.
pub(crate) type Stored = Box<[(Cow<'static, str>, Value)]>;

/// Finds a series by its labels without keeping them: hash, comparison, copy. `all` includes
/// labels of high cardinality. The order of the labels does not matter.
pub(super) trait Lookup: Labels {
    /// Of the values alone, which tell nearly all series apart.
    #[inline]
    fn hash(&self, seed: u64, all: bool) -> u64 {
        let mut sum = seed;
        self.visit_any(&mut |_, high, value| {
            if all || !high {
                sum = sum.wrapping_add(hash_value(seed, value));
            }
        });
        sum
    }

    #[inline]
    fn matches(&self, stored: &Stored, all: bool) -> bool {
        let mut at = 0;
        let mut equal = true;
        self.visit_any(&mut |name, high, value| {
            if (all || !high) && value != LabelValue::Absent && equal {
                let has = |(key, v): &(Cow<'static, str>, Value)| {
                    is_name(key, name.as_str()) && is_value(v, value)
                };
                equal = stored.get(at).is_some_and(has) || stored.iter().any(has);
                at += 1;
            }
        });
        equal && at == stored.len()
    }

    fn store(&self, all: bool) -> Stored {
        let mut labels = Vec::new();
        self.visit_any(&mut |name, high, value| {
            if (all || !high) && value != LabelValue::Absent {
                labels.push((name.store(), to_value(value)));
            }
        });
        labels.into()
    }
}

impl<L: Labels> Lookup for L {}

/// Declared names are the same text most of the time, and the same place.
#[inline]
fn is_name(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}

#[inline]
fn hash_value(seed: u64, value: LabelValue<'_>) -> u64 {
    match value {
        LabelValue::Absent => 0,
        LabelValue::Str(text) => hash_bytes(seed, text.as_bytes()),
        LabelValue::Int(number) => fold(seed ^ 1, number.cast_unsigned()),
        LabelValue::Bool(flag) => fold(seed ^ 2, u64::from(flag)),
        LabelValue::Double(number) => fold(seed ^ 3, number.to_bits()),
    }
}

/// Eight bytes a step, the last of which overlap those before. The seed is random for each
/// process, so that nobody outside can choose texts that collide.
#[inline]
fn hash_bytes(seed: u64, bytes: &[u8]) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).rotate_left(32);
    if let Some(last) = bytes.last_chunk::<8>() {
        for word in bytes.as_chunks::<8>().0 {
            hash = fold(hash, u64::from_le_bytes(*word));
        }
        return fold(hash, u64::from_le_bytes(*last));
    }
    let rest = match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>(), bytes) {
        (Some(first), Some(last), _) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        (_, _, [first, .., last]) => {
            u64::from(*first) << 16 | u64::from(bytes[bytes.len() / 2]) << 8 | u64::from(*last)
        }
        (_, _, [only]) => u64::from(*only),
        _ => 0,
    };
    fold(hash, rest)
}

/// Multiplies to 128 bits and folds the halves together.
#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a ^ 0x9e37_79b9_7f4a_7c15) * u128::from(b ^ 0xe703_7ed1_a0b4_28db);
    (product as u64) ^ ((product >> 64) as u64)
}

#[inline]
fn is_value(stored: &Value, value: LabelValue<'_>) -> bool {
    match (stored, value) {
        (Value::Str(a), LabelValue::Str(b)) => **a == *b,
        (Value::Int(a), LabelValue::Int(b)) => *a == b,
        (Value::Bool(a), LabelValue::Bool(b)) => *a == b,
        (Value::Double(a), LabelValue::Double(b)) => a.to_bits() == b.to_bits(),
        _ => false,
    }
}

fn to_value(value: LabelValue<'_>) -> Value {
    match value {
        LabelValue::Str(text) => Value::from(text.to_owned()),
        LabelValue::Int(number) => Value::Int(number),
        LabelValue::Bool(flag) => Value::Bool(flag),
        LabelValue::Double(number) => Value::Double(number),
        LabelValue::Absent => Value::from(""),
    }
}

/// No labels: one series.
impl Labels for () {
    const STATES: usize = 1;

    fn state(&self) -> usize {
        0
    }
}

impl LabelSet for () {
    type Of<'a> = ();
}

/// Labels whose names are known only while the program runs: `&[("queue", "mail".into())]`.
#[derive(Debug)]
pub struct AnyLabels;

impl LabelSet for AnyLabels {
    type Of<'a> = &'a [(&'a str, LabelValue<'a>)];
}

/// Of a name that comes twice the last value counts.
impl Labels for &[(&str, LabelValue<'_>)] {
    const STATES: usize = 0;

    fn state(&self) -> usize {
        0
    }

    fn visit_any(&self, each: &mut dyn FnMut(Name<'_>, bool, LabelValue<'_>)) {
        for (i, (name, value)) in self.iter().enumerate() {
            if !self[i + 1..].iter().any(|(later, _)| later == name) {
                each(Name::Borrowed(name), false, *value);
            }
        }
    }
}

impl Label for &str {
    fn value(&self) -> LabelValue<'_> {
        LabelValue::Str(self)
    }
}

/// So that labels may borrow what a caller owns.
impl Label for &String {
    fn value(&self) -> LabelValue<'_> {
        LabelValue::Str(self)
    }
}

impl Label for bool {
    const STATES: usize = 2;

    fn state(&self) -> usize {
        usize::from(*self)
    }

    fn at(state: usize) -> LabelValue<'static> {
        LabelValue::Bool(state != 0)
    }

    fn value(&self) -> LabelValue<'_> {
        LabelValue::Bool(*self)
    }
}

/// `None` leaves the label out.
impl<T: Label> Label for Option<T> {
    const STATES: usize = if T::STATES == 0 { 0 } else { T::STATES + 1 };

    fn state(&self) -> usize {
        self.as_ref().map_or(0, |value| value.state() + 1)
    }

    fn at(state: usize) -> LabelValue<'static> {
        if state == 0 { LabelValue::Absent } else { T::at(state - 1) }
    }

    fn value(&self) -> LabelValue<'_> {
        self.as_ref().map_or(LabelValue::Absent, Label::value)
    }
}

macro_rules! integer_labels {
    ($($integer:ty),*) => {$(
        impl Label for $integer {
            fn value(&self) -> LabelValue<'_> {
                LabelValue::Int(i64::from(*self))
            }
        }

        impl From<$integer> for LabelValue<'_> {
            fn from(value: $integer) -> Self {
                LabelValue::Int(i64::from(value))
            }
        }
    )*};
}
integer_labels!(i64, i32, i16, i8, u32, u16, u8);

impl<'a> From<&'a str> for LabelValue<'a> {
    fn from(value: &'a str) -> Self {
        LabelValue::Str(value)
    }
}

impl<'a> From<&'a String> for LabelValue<'a> {
    fn from(value: &'a String) -> Self {
        LabelValue::Str(value)
    }
}

impl From<bool> for LabelValue<'_> {
    fn from(value: bool) -> Self {
        LabelValue::Bool(value)
    }
}

impl From<f64> for LabelValue<'_> {
    fn from(value: f64) -> Self {
        LabelValue::Double(value)
    }
}
