//! Values of attributes.

use std::borrow::Cow;

use trefoil_wire::otlp::ValueWriter;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Text.
    Str(Cow<'static, str>),
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// Several values.
    Array(Vec<Value>),
}

impl Value {
    /// Writes it as an `AnyValue` of OTLP.
    pub(crate) fn write(&self, w: &mut ValueWriter<'_>) {
        match self {
            Value::Str(value) => w.str(value),
            Value::Bool(value) => w.bool(*value),
            Value::Int(value) => w.int(*value),
            Value::Double(value) => w.double(*value),
            Value::Array(values) => w.array(|array| {
                for value in values {
                    array.item(|w| value.write(w));
                }
            }),
        }
    }
}

impl From<&'static str> for Value {
    fn from(value: &'static str) -> Self {
        Value::Str(Cow::Borrowed(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Value::Str(Cow::Owned(value))
    }
}

impl From<Cow<'static, str>> for Value {
    fn from(value: Cow<'static, str>) -> Self {
        Value::Str(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value::Double(value)
    }
}

macro_rules! from_integer {
    ($($integer:ty),*) => {$(
        impl From<$integer> for Value {
            fn from(value: $integer) -> Self {
                Value::Int(i64::from(value))
            }
        }
    )*};
}
from_integer!(i64, i32, i16, i8, u32, u16, u8);

/// Numbers beyond `i64::MAX` become text: OTLP has no unsigned integers.
impl From<u64> for Value {
    fn from(value: u64) -> Self {
        match i64::try_from(value) {
            Ok(value) => Value::Int(value),
            Err(_) => Value::from(value.to_string()),
        }
    }
}

/// See `u64`.
impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Value::from(value as u64)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(values: Vec<T>) -> Self {
        Value::Array(values.into_iter().map(Into::into).collect())
    }
}
