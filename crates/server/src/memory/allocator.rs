//! What the allocator is told: glibc's keeps what was freed, in eight heaps for each core,
//! and a flush frees a whole head. Without a word it held five times what was in use, and a
//! third more at most.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use glibc as told;
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
use others as told;

pub(crate) use told::{give_back, set_up};

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    /// From so many bytes on a block is the system's own, and goes back when it is freed.
    /// Left alone, the allocator learns from the first large one to keep all of that size.
    const OWN_BYTES: i32 = 1 << 20;
    /// Free bytes at the end of a heap that stay.
    const END_BYTES: i32 = 4 << 20;

    /// As many heaps as cores, large blocks apart. To be called before there are threads.
    #[allow(unsafe_code)]
    pub(crate) fn set_up() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from).max(2);
        let set = |what, number| {
            // SAFETY: `mallopt` sets a number under the allocator's lock; a bad one is refused,
            // which changes nothing but how much memory is kept. Source: mallopt(3).
            unsafe { libc::mallopt(what, number) };
        };
        set(libc::M_ARENA_MAX, i32::try_from(cores).unwrap_or(i32::MAX));
        set(libc::M_MMAP_THRESHOLD, OWN_BYTES);
        set(libc::M_TRIM_THRESHOLD, END_BYTES);
    }

    /// Pages in which nothing is in use go back to the system.
    #[allow(unsafe_code)]
    pub(crate) fn give_back() {
        // SAFETY: `malloc_trim` takes the allocator's locks and touches free memory only.
        // Source: malloc_trim(3).
        unsafe { libc::malloc_trim(0) };
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod others {
    pub(crate) fn set_up() {}

    pub(crate) fn give_back() {}
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::super::resident_bytes;
    use super::*;

    #[test]
    fn what_was_freed_goes_back_although_something_is_in_use_behind_it() {
        const SIZE: usize = 64 << 20;
        let mut blocks: Vec<Vec<u8>> = (0..SIZE / 4096).map(|_| vec![1; 4096]).collect();
        let full = resident_bytes().expect("Linux tells");
        let last = blocks.pop();
        drop(blocks);
        give_back();
        let left = resident_bytes().expect("Linux tells");
        assert!(left + (SIZE as u64) / 2 < full, "{full} bytes, then {left}");
        drop(last);
    }
}
