//! An allocator that counts.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::{Audience, Kind, Registry, observe};

/// Counts what the system's allocator, or another one, hands out and gets back.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: trefoil::metric::CountingAllocator = trefoil::metric::CountingAllocator::system();
/// # fn main() {}
/// ```
#[derive(Debug)]
pub struct CountingAllocator<A = System>(A);

impl CountingAllocator {
    /// Over the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        CountingAllocator(System)
    }
}

impl<A> CountingAllocator<A> {
    /// Over another one.
    #[must_use]
    pub const fn over(allocator: A) -> Self {
        CountingAllocator(allocator)
    }
}

/// Counters, spread so that threads seldom share a cache line.
const STRIPES: usize = 16;

#[repr(align(64))]
struct Stripe {
    allocations: AtomicU64,
    allocated_bytes: AtomicU64,
    freed_bytes: AtomicU64,
}

static STRIPE: [Stripe; STRIPES] = [const {
    Stripe {
        allocations: AtomicU64::new(0),
        allocated_bytes: AtomicU64::new(0),
        freed_bytes: AtomicU64::new(0),
    }
}; STRIPES];

/// Whether it is in use at all.
static USED: AtomicBool = AtomicBool::new(false);

/// The stripe of this thread. TRAP: nothing here may allocate, so the threads are told apart
/// by where their stacks lie.
fn stripe() -> &'static Stripe {
    let here = 0u8;
    let address = std::ptr::from_ref(&here).addr() as u64;
    // Stacks are at least 64 KiB apart; the product spreads them.
    &STRIPE[((address >> 16).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as usize % STRIPES]
}

impl<A> CountingAllocator<A> {
    fn took(size: usize) {
        let stripe = stripe();
        if stripe.allocations.fetch_add(1, Relaxed) == 0 {
            USED.store(true, Relaxed);
        }
        stripe.allocated_bytes.fetch_add(size as u64, Relaxed);
    }

    fn gave(size: usize) {
        stripe().freed_bytes.fetch_add(size as u64, Relaxed);
    }
}

// SAFETY: every call is handed on unchanged to an allocator that keeps the contract of
// `GlobalAlloc`, and its answer is handed back unchanged; the counting between neither
// allocates nor panics.
unsafe impl<A: GlobalAlloc> GlobalAlloc for CountingAllocator<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that the inner allocator asks for.
        let memory = unsafe { self.0.alloc(layout) };
        if !memory.is_null() {
            Self::took(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: see `alloc`.
        let memory = unsafe { self.0.alloc_zeroed(layout) };
        if !memory.is_null() {
            Self::took(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: see `alloc`.
        unsafe { self.0.dealloc(memory, layout) };
        Self::gave(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: see `alloc`.
        let moved = unsafe { self.0.realloc(memory, layout, size) };
        if !moved.is_null() {
            Self::gave(layout.size());
            Self::took(size);
        }
        moved
    }
}

fn sum(of: impl Fn(&Stripe) -> &AtomicU64) -> u64 {
    STRIPE.iter().fold(0, |sum, stripe| sum.wrapping_add(of(stripe).load(Relaxed)))
}

/// Reports the allocator, if this one is in use.
pub(super) fn observe_allocator(registry: &Registry) {
    let about = ("process.allocator.allocations", "{allocation}", "Calls of the allocator.");
    observe::<(), u64>(registry, about, Kind::Counter, Audience::Both, |observer| {
        if USED.load(Relaxed) {
            observer.set(sum(|stripe| &stripe.allocations), ());
        }
    });
    let about = ("process.allocator.allocated", "By", "Memory that the allocator handed out.");
    observe::<(), u64>(registry, about, Kind::Counter, Audience::Both, |observer| {
        if USED.load(Relaxed) {
            observer.set(sum(|stripe| &stripe.allocated_bytes), ());
        }
    });
    let about = ("process.allocator.used", "By", "Memory handed out and not yet given back.");
    observe::<(), i64>(registry, about, Kind::UpDownCounter, Audience::Both, |observer| {
        if USED.load(Relaxed) {
            let freed = sum(|stripe| &stripe.freed_bytes);
            let allocated = sum(|stripe| &stripe.allocated_bytes);
            observer.set(allocated.wrapping_sub(freed).cast_signed(), ());
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is taken and given back, from many threads at once.
    #[test]
    fn it_counts_what_is_taken_and_given_back() {
        let allocator = CountingAllocator::system();
        let before = (sum(|s| &s.allocated_bytes), sum(|s| &s.freed_bytes));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for size in 1..200 {
                        let layout = Layout::from_size_align(size, 8).unwrap();
                        // SAFETY: the size is not zero; the memory goes back by the layout
                        // it was last taken with.
                        unsafe {
                            let memory = allocator.alloc(layout);
                            let memory = allocator.realloc(memory, layout, size * 2);
                            let doubled = Layout::from_size_align(size * 2, 8).unwrap();
                            allocator.dealloc(memory, doubled);
                        }
                    }
                });
            }
        });
        let sizes: u64 = (1..200).sum();
        assert_eq!(sum(|s| &s.allocated_bytes) - before.0, 4 * 3 * sizes);
        assert_eq!(sum(|s| &s.freed_bytes) - before.1, 4 * 3 * sizes);
    }
}
