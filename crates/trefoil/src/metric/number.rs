//! What is counted: integers or doubles, kept as 64 bits.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use trefoil_wire::otlp::metrics::Number as WireNumber;

/// `u64`, `i64` or `f64`.
pub trait Number: Copy + PartialOrd + Send + Sync + 'static + sealed::Sealed {
    #[doc(hidden)]
    const ZERO: Self;
    #[doc(hidden)]
    fn to_bits(self) -> u64;
    #[doc(hidden)]
    fn from_bits(bits: u64) -> Self;
    /// Integers wrap around.
    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
    #[doc(hidden)]
    fn as_f64(self) -> f64;
}

mod sealed {
    pub trait Sealed {
        fn wire(self) -> super::WireNumber;
    }
}

pub(super) fn wire<V: Number>(value: V) -> WireNumber {
    sealed::Sealed::wire(value)
}

macro_rules! integer {
    ($type:ty) => {
        impl Number for $type {
            const ZERO: Self = 0;

            fn to_bits(self) -> u64 {
                self as u64
            }

            fn from_bits(bits: u64) -> Self {
                bits as $type
            }

            fn plus(self, other: Self) -> Self {
                self.wrapping_add(other)
            }

            fn as_f64(self) -> f64 {
                self as f64
            }
        }
    };
}
integer!(u64);
integer!(i64);

impl Number for f64 {
    const ZERO: Self = 0.0;

    fn to_bits(self) -> u64 {
        self.to_bits()
    }

    fn from_bits(bits: u64) -> Self {
        f64::from_bits(bits)
    }

    fn plus(self, other: Self) -> Self {
        self + other
    }

    fn as_f64(self) -> f64 {
        self
    }
}

impl sealed::Sealed for u64 {
    /// OTLP knows signed integers alone.
    fn wire(self) -> WireNumber {
        WireNumber::Int(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl sealed::Sealed for i64 {
    fn wire(self) -> WireNumber {
        WireNumber::Int(self)
    }
}

impl sealed::Sealed for f64 {
    fn wire(self) -> WireNumber {
        WireNumber::Double(self)
    }
}

/// Adds, for a cell that this thread alone writes: no locked instruction.
#[inline]
pub(super) fn add_alone<V: Number>(cell: &AtomicU64, value: V) {
    cell.store(V::from_bits(cell.load(Relaxed)).plus(value).to_bits(), Relaxed);
}

/// Adds to a cell that many write.
pub(super) fn add_shared<V: Number>(cell: &AtomicU64, value: V) {
    let add = |bits| Some(V::from_bits(bits).plus(value).to_bits());
    // The closure always gives a value, so there is nothing to handle.
    let _ = cell.fetch_update(Relaxed, Relaxed, add);
}

pub(super) fn read<V: Number>(cell: &AtomicU64) -> V {
    V::from_bits(cell.load(Relaxed))
}
