//! Places that never move: where open spans and undecided traces lie.
//!
//! A place is found by a [`Key`], its index and generation. A key that outlives what it
//! named finds nothing. Places are made in pages, each twice as large as the one before, and
//! are never given back; what they hold keeps its memory for the next user within limits.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::spin::Spin;

/// Pages there can be: the last of them ends beyond four million places.
const PAGES: usize = 17;
/// Places in the first page.
const FIRST_PAGE: u32 = 64;
/// Places that a thread keeps for itself.
pub(super) const CACHED_MAX: usize = 64;

/// Values in places that never move.
pub(super) struct Slab<T> {
    pages: [OnceLock<Page<T>>; PAGES],
    free: Mutex<Free>,
    places_max: AtomicU32,
}

/// Names a value as long as it lives. Never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(pub(super) NonZeroU64);

impl Key {
    pub(super) fn from_u64(key: u64) -> Option<Key> {
        NonZeroU64::new(key).map(Key)
    }

    pub(super) fn get(self) -> u64 {
        self.0.get()
    }

    fn new(index: u32, generation: u32) -> Key {
        // One more than the index, so that no key is zero.
        let key = u64::from(generation) << 32 | u64::from(index + 1);
        Key(NonZeroU64::MIN.saturating_add(key - 1))
    }

    /// A wrong key may say anything: an index beyond all pages finds nothing.
    fn index(self) -> u32 {
        (self.get() as u32).wrapping_sub(1)
    }

    fn generation(self) -> u32 {
        (self.get() >> 32) as u32
    }
}

type Page<T> = Box<[Place<T>]>;

struct Place<T> {
    /// Odd while the place is taken. Who looks at the value of another thread's place has
    /// locked it and looks here first; who takes a free place need not lock it for that reason.
    generation: AtomicU32,
    value: Spin<T>,
}

impl<T> Place<T> {
    /// The value, if it is taken and `is` the generation that is meant.
    #[inline]
    fn with<R>(&self, is: impl FnOnce(u32) -> bool, read: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.value.with(|value| {
            // Acquires what `take` wrote before it set the generation.
            let generation = self.generation.load(Ordering::Acquire);
            (generation & 1 == 1 && is(generation)).then(|| read(value))
        })
    }
}

/// Free places that a thread keeps for itself. Nobody else takes them.
pub(super) struct Cached(Vec<u32>);

impl Cached {
    pub(super) const fn new() -> Cached {
        Cached(Vec::new())
    }

    /// Forgets the places: the slab is gone.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

struct Free {
    indices: Vec<u32>,
    /// Places from here on were never used.
    fresh: u32,
}

impl<T: Default> Slab<T> {
    const PLACES_MAX: u32 = FIRST_PAGE * ((1 << PAGES) - 1);

    /// As many places as there can be.
    pub(super) fn lift_limit(&self) {
        self.places_max.store(Self::PLACES_MAX, Ordering::Relaxed);
    }

    pub(super) fn new(places_max: usize) -> Slab<T> {
        let all = Self::PLACES_MAX;
        Slab {
            pages: [const { OnceLock::new() }; PAGES],
            free: Mutex::new(Free { indices: Vec::new(), fresh: 0 }),
            places_max: AtomicU32::new(u32::try_from(places_max).unwrap_or(all).min(all)),
        }
    }

    /// Takes a place, from the thread's own ones if it can, and fills it.
    ///
    /// # Safety
    /// `cache` is new, or no other slab was ever given it since it was cleared.
    #[inline]
    #[allow(unsafe_code)]
    pub(super) unsafe fn take(
        &self,
        cache: &mut Cached,
        fill: impl FnOnce(Key, &mut T),
    ) -> Option<Key> {
        let index = match cache.0.pop() {
            Some(index) => index,
            None => self.refill(&mut cache.0)?,
        };
        let place = self.place(index)?;
        let generation = place.generation.load(Ordering::Relaxed).wrapping_add(1);
        let key = Key::new(index, generation);
        // SAFETY: the index came from this slab's free places, by what the caller promises, so
        // the place is free and no other thread takes it. Threads with an old key, or that look
        // at all places, lock it and find that the generation is even; they leave the value
        // alone. Those that used it last did so before it was freed, which happened in this
        // thread or before the lock on the list of free places was released to it.
        fill(key, unsafe { &mut *place.value.get() });
        place.generation.store(generation, Ordering::Release);
        Some(key)
    }

    /// The value, if it still lives. `read` must not call foreign code: the place is locked.
    #[inline]
    pub(super) fn with<R>(&self, key: Key, read: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.place(key.index())?.with(|generation| generation == key.generation(), read)
    }

    /// As [`Slab::with`]; `read` says whether the value was needed for the last time, which is
    /// returned, too.
    #[inline]
    pub(super) fn with_last(
        &self,
        key: Key,
        cache: &mut Cached,
        read: impl FnOnce(&mut T) -> bool,
    ) -> Option<bool> {
        let place = self.place(key.index())?;
        let is_last = place.with(
            |generation| generation == key.generation(),
            |value| {
                let is_last = read(value);
                if is_last {
                    place.generation.store(key.generation().wrapping_add(1), Ordering::Relaxed);
                }
                is_last
            },
        )?;
        if is_last {
            cache.0.push(key.index());
            if cache.0.len() > CACHED_MAX {
                self.give_back(cache, CACHED_MAX / 2);
            }
        }
        Some(is_last)
    }

    /// Gives places of a thread to all, but for `keep` of them, without what they hold.
    #[cold]
    pub(super) fn give_back(&self, cache: &mut Cached, keep: usize) {
        // The oldest of them: the youngest are those that the processor's cache holds.
        let count = cache.0.len().saturating_sub(keep);
        for &index in &cache.0[..count] {
            if let Some(place) = self.place(index) {
                place.value.with(|value| *value = T::default());
            }
        }
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.indices.extend(cache.0.drain(..count));
    }

    /// Places that were ever used.
    pub(super) fn used(&self) -> u32 {
        self.free.lock().unwrap_or_else(PoisonError::into_inner).fresh
    }

    /// What lies at a place, if it is taken.
    pub(super) fn at<R>(&self, index: u32, read: impl FnOnce(&mut T) -> R) -> Option<R> {
        let place = self.pages[page_of(index)?.0].get()?.get(page_of(index)?.1)?;
        place.with(|_| true, read)
    }

    #[cold]
    fn refill(&self, cache: &mut Vec<u32>) -> Option<u32> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.indices.is_empty() {
            let count = self
                .places_max
                .load(Ordering::Relaxed)
                .saturating_sub(free.fresh)
                .min(CACHED_MAX as u32 / 2);
            let first = free.fresh;
            free.fresh += count;
            // In reverse: the lowest is used first.
            cache.extend((first..first + count).rev());
        } else {
            let from = free.indices.len().saturating_sub(CACHED_MAX / 2);
            cache.extend(free.indices.drain(from..));
        }
        cache.pop()
    }

    #[inline]
    fn place(&self, index: u32) -> Option<&Place<T>> {
        // Few programs have more spans open at once than these.
        match self.pages[0].get().and_then(|first| first.get(index as usize)) {
            Some(place) => Some(place),
            None => self.place_behind(index),
        }
    }

    #[inline(never)]
    fn place_behind(&self, index: u32) -> Option<&Place<T>> {
        let (page, within) = page_of(index)?;
        let page = match self.pages[page].get() {
            Some(page) => page,
            None => self.make_page(page, index)?,
        };
        page.get(within)
    }

    #[cold]
    fn make_page(&self, page: usize, index: u32) -> Option<&[Place<T>]> {
        if index >= self.free.lock().unwrap_or_else(PoisonError::into_inner).fresh {
            return None;
        }
        Some(self.pages[page].get_or_init(|| {
            let places = FIRST_PAGE << page;
            let free = || Place { generation: AtomicU32::new(0), value: Spin::new(T::default()) };
            (0..places).map(|_| free()).collect()
        }))
    }
}

/// Page and place in it.
#[inline]
fn page_of(index: u32) -> Option<(usize, usize)> {
    let number = index.checked_add(FIRST_PAGE)?;
    let page = (number / FIRST_PAGE).ilog2();
    let within = number - (FIRST_PAGE << page);
    ((page as usize) < PAGES).then_some((page as usize, within as usize))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    #[allow(unsafe_code)]
    fn take<T: Default>(
        slab: &Slab<T>,
        cache: &mut Cached,
        fill: impl FnOnce(&mut T),
    ) -> Option<Key> {
        // SAFETY: each test uses its caches with one slab.
        unsafe { slab.take(cache, |_, value| fill(value)) }
    }

    #[test]
    fn pages_follow_each_other() {
        let mut expect = (0, 0);
        for index in 0..FIRST_PAGE * 63 {
            assert_eq!(page_of(index), Some(expect), "{index}");
            expect.1 += 1;
            if expect.1 == (FIRST_PAGE as usize) << expect.0 {
                expect = (expect.0 + 1, 0);
            }
        }
        assert_eq!(page_of(u32::MAX), None);
    }

    #[test]
    fn keys_find_what_lives_and_nothing_else() {
        let slab = Slab::<u64>::new(1000);
        let mut cache = Cached::new();
        let first = take(&slab, &mut cache, |value| *value = 7).unwrap();
        assert_eq!(slab.with(first, |value| *value), Some(7));
        assert_eq!(slab.with_last(first, &mut cache, |_| false), Some(false));
        assert_eq!(slab.with_last(first, &mut cache, |value| *value == 7), Some(true));
        assert_eq!(slab.with(first, |value| *value), None);
        assert_eq!(slab.with_last(first, &mut cache, |_| true), None);
        let second = take(&slab, &mut cache, |value| *value = 8).unwrap();
        assert_ne!(first, second);
        assert_eq!(first.index(), second.index());
        assert_eq!(slab.with(first, |value| *value), None);
        for wrong in [1, 2, 77, u64::MAX, 1 << 32, (1 << 32) + 50, (1 << 32) + 5_000_000] {
            assert_eq!(slab.with(Key::from_u64(wrong).unwrap(), |_| ()), None, "{wrong}");
        }
    }

    #[test]
    fn as_many_places_as_it_may_have() {
        let slab = Slab::<u64>::new(1000);
        let mut cache = Cached::new();
        let keys: Vec<Key> = std::iter::from_fn(|| take(&slab, &mut cache, |_| ())).collect();
        assert_eq!(keys.len(), 1000);
        for key in keys {
            slab.with_last(key, &mut cache, |_| true).unwrap();
        }
        slab.give_back(&mut cache, 0);
        assert_eq!(slab.free.lock().unwrap().indices.len(), 1000);
    }

    /// Threads that hand each other keys, some of them twice, while one looks at all places:
    /// each value is freed once, and what a thread reads is whole.
    #[test]
    fn threads_share_places() {
        let slab = Slab::<[u64; 4]>::new(100_000);
        let (sender, receiver) = std::sync::mpsc::channel::<Key>();
        let receiver = Mutex::new(receiver);
        let freed = std::sync::atomic::AtomicU64::new(0);
        let all = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !all.load(Ordering::Relaxed) {
                    for index in 0..slab.used() {
                        let whole = slab.at(index, |place| place.iter().all(|v| *v == place[0]));
                        assert_ne!(whole, Some(false), "place {index} was seen half filled");
                    }
                    std::thread::yield_now();
                }
            });
            for number in 0..4 {
                let (slab, sender) = (&slab, sender.clone());
                scope.spawn(move || {
                    let mut cache = Cached::new();
                    for round in 0..20_000_u64 {
                        let value = round * 4 + number;
                        let key = take(slab, &mut cache, |place| *place = [value; 4]).unwrap();
                        slab.with(key, |place| place.iter_mut().for_each(|v| *v += 1)).unwrap();
                        sender.send(key).unwrap();
                        sender.send(key).unwrap();
                    }
                    slab.give_back(&mut cache, 0);
                });
            }
            drop(sender);
            for _ in 0..3 {
                scope.spawn(|| {
                    let mut cache = Cached::new();
                    loop {
                        let next = receiver.lock().unwrap().recv();
                        let Ok(key) = next else { break };
                        let mut whole = false;
                        let found = slab.with_last(key, &mut cache, |place| {
                            whole = place.iter().all(|value| *value == place[0]);
                            true
                        });
                        if found.is_some() {
                            assert!(whole);
                            if freed.fetch_add(1, Ordering::Relaxed) + 1 == 80_000 {
                                all.store(true, Ordering::Relaxed);
                            }
                        }
                    }
                    slab.give_back(&mut cache, 0);
                });
            }
        });
        assert_eq!(freed.load(Ordering::Relaxed), 80_000);
        let free = slab.free.lock().unwrap();
        assert_eq!(free.indices.len(), free.fresh as usize);
    }
}
