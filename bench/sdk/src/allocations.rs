//! Allocations of a thread.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::{AddAssign, Sub};

/// So many allocations of so many bytes.
#[derive(Clone, Copy, Default)]
pub(crate) struct Count {
    pub(crate) allocations: u64,
    pub(crate) bytes: u64,
}

impl Sub for Count {
    type Output = Count;

    fn sub(self, other: Count) -> Count {
        Count { allocations: self.allocations - other.allocations, bytes: self.bytes - other.bytes }
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Count) {
        self.allocations += other.allocations;
        self.bytes += other.bytes;
    }
}

pub(crate) fn of_this_thread() -> Count {
    COUNT.get()
}

thread_local! {
    static COUNT: Cell<Count> = const { Cell::new(Count { allocations: 0, bytes: 0 }) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator unchanged; counting touches only a
// constant-initialised thread-local without a destructor, which never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        counted(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        counted(size);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

fn counted(bytes: usize) {
    let _ = COUNT.try_with(|count| {
        let Count { allocations, bytes: sum } = count.get();
        count.set(Count { allocations: allocations + 1, bytes: sum + bytes as u64 });
    });
}
