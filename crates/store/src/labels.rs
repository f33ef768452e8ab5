//! A set of labels in one allocation.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Labels sorted by name, without duplicates and without empty values.
///
/// The set is one shared byte string (`len name len value …`, lengths as varints):
/// cloning is a reference count, equality and hashing are a memory comparison, and a
/// million series cost a million allocations instead of twenty.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Labels(Arc<[u8]>);

impl Labels {
    /// The empty set.
    #[must_use]
    pub fn empty() -> Self {
        Labels(Arc::from([]))
    }

    /// Builds a set from pairs in any order; of two equal names the last one wins, and
    /// an empty value removes the label.
    #[must_use]
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in pairs {
            builder.set(name, value);
        }
        builder.build()
    }

    /// Builds a set from pairs that are sorted by name, each name once, no value empty: one
    /// allocation.
    #[must_use]
    pub fn from_sorted<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)> + Clone) -> Self {
        debug_assert!(pairs.clone().zip(pairs.clone().skip(1)).all(|((a, _), (b, _))| a < b));
        let mut bytes = Vec::with_capacity(pairs.clone().map(|(n, v)| n.len() + v.len() + 4).sum());
        for (name, value) in pairs {
            put_str(&mut bytes, name);
            put_str(&mut bytes, value);
        }
        Labels(Arc::from(bytes))
    }

    /// Takes bytes that [`Labels::as_bytes`] gave out; `None` if they are not a valid set.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut previous: Option<&str> = None;
        while !rest.is_empty() {
            let name = take_str(&mut rest)?;
            let value = take_str(&mut rest)?;
            if value.is_empty() || previous.is_some_and(|p| p >= name) {
                return None;
            }
            previous = Some(name);
        }
        Some(Labels(Arc::from(bytes)))
    }

    /// The encoded set: what a series is identified by on disk.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The value of a label.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.get_bytes(name)?).ok()
    }

    /// The same as bytes, which nothing need check to be UTF-8 again.
    pub(crate) fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        let mut rest = &*self.0;
        while !rest.is_empty() {
            let found = take_bytes(&mut rest)?;
            let value = take_bytes(&mut rest)?;
            if found == name.as_bytes() {
                return Some(value);
            }
        }
        None
    }

    /// The metric name, `__name__`.
    #[must_use]
    pub fn metric_name(&self) -> Option<&str> {
        self.get("__name__")
    }

    /// All pairs, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            Some((take_str(&mut rest)?, take_str(&mut rest)?))
        })
    }

    /// The same as bytes, which nothing need check to be UTF-8 again.
    pub fn iter_bytes(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            Some((take_bytes(&mut rest)?, take_bytes(&mut rest)?))
        })
    }

    /// Number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter_bytes().count()
    }

    /// True without any label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Sets are looked up by their encoded form; hashing and equality are that of the bytes.
impl Borrow<[u8]> for Labels {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Labels {
    fn default() -> Self {
        Labels::empty()
    }
}

/// As PromQL writes a selector: `{a="b", c="d"}`.
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, (name, value)) in self.iter().enumerate() {
            if i > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{name}={value:?}")?;
        }
        f.write_str("}")
    }
}

/// Sets are ordered as Prometheus orders them: pair by pair, name before value.
impl Ord for Labels {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        // Text orders as its bytes do, so nothing need be checked to be UTF-8 here. Sets of
        // one metric begin alike: what is equal is found first, all at once.
        let (mut a, mut b) = (&*self.0, &*other.0);
        let differ = first_difference(a, b);
        let len = a.len();
        loop {
            match (take_bytes(&mut a), take_bytes(&mut b)) {
                (None, None) => return std::cmp::Ordering::Equal,
                (Some(_), Some(_)) if len - a.len() <= differ => {}
                (x, y) if x == y => {}
                (x, y) => return x.cmp(&y),
            }
        }
    }
}

/// Where two byte strings differ first; the length of the shorter one if nowhere.
fn first_difference(a: &[u8], b: &[u8]) -> usize {
    let (wide_a, wide_b) = (a.chunks_exact(8), b.chunks_exact(8));
    let same = wide_a.zip(wide_b).take_while(|(x, y)| x == y).count() * 8;
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(x, y)| x == y).count()
}

impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Collects labels in any order.
#[derive(Clone, Default, Debug)]
pub struct LabelsBuilder {
    /// Sorted by name.
    pairs: Vec<(String, String)>,
}

impl LabelsBuilder {
    /// Starts from an existing set.
    #[must_use]
    pub fn from_labels(labels: &Labels) -> Self {
        LabelsBuilder { pairs: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) {
        match self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)) {
            Ok(at) if value.is_empty() => drop(self.pairs.remove(at)),
            Ok(at) => value.clone_into(&mut self.pairs[at].1),
            Err(_) if value.is_empty() => {}
            Err(at) => self.pairs.insert(at, (name.to_owned(), value.to_owned())),
        }
    }

    /// The value set so far.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
        Some(&self.pairs[at].1)
    }

    /// All pairs set so far, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }

    /// Number of labels set so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// True if none is set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Removes all labels for which `keep` is false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }

    /// The finished set.
    #[must_use]
    pub fn build(&self) -> Labels {
        let mut bytes = Vec::with_capacity(self.pairs.len() * 24);
        for (name, value) in &self.pairs {
            put_str(&mut bytes, name);
            put_str(&mut bytes, value);
        }
        Labels(Arc::from(bytes))
    }
}

/// Writes sets whose pairs come sorted, unique and without empty values already.
#[derive(Default, Debug)]
pub(crate) struct LabelsWriter {
    bytes: Vec<u8>,
}

impl LabelsWriter {
    /// Takes texts as bytes that were found to be UTF-8 before.
    pub(crate) fn push(&mut self, name: &[u8], value: &[u8]) {
        put_bytes(&mut self.bytes, name);
        put_bytes(&mut self.bytes, value);
    }

    /// The set of the pairs since the last one.
    pub(crate) fn finish(&mut self) -> Labels {
        let labels = Labels(Arc::from(&self.bytes[..]));
        self.bytes.clear();
        labels
    }

    /// The same; if the set is the last one, it is shared.
    pub(crate) fn finish_like(&mut self, last: &mut Labels) -> Labels {
        if *last.as_bytes() == *self.bytes {
            self.bytes.clear();
        } else {
            *last = self.finish();
        }
        last.clone()
    }
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

fn put_bytes(out: &mut Vec<u8>, text: &[u8]) {
    let mut len = text.len();
    while len >= 0x80 {
        out.push((len & 0x7f) as u8 | 0x80);
        len >>= 7;
    }
    out.push(len as u8);
    out.extend_from_slice(text);
}

fn take_str<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(rest)?).ok()
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let mut len = 0usize;
    let mut shift = 0;
    loop {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        len |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
        if shift > 28 {
            return None;
        }
    }
    let text = rest.get(..len)?;
    *rest = &rest[len..];
    Some(text)
}

#[cfg(test)]
mod tests {
    /// Pairs are compared one by one: not their bytes, which begin with lengths.
    #[test]
    fn sets_are_ordered_pair_by_pair() {
        let texts = ["", "a", "b", "aa", "ab", "abcdefghi", "abcdefghj", "z", &"x".repeat(200)];
        let mut sets = Vec::new();
        for (i, name) in texts.iter().enumerate().skip(1) {
            for value in texts.iter().skip(1) {
                for other in &texts {
                    let other = (texts[(i + 3) % texts.len()], *other);
                    sets.push(Labels::from_pairs([(*name, *value), other]));
                    sets.push(Labels::from_pairs([("__name__", *value), (*name, *value), other]));
                }
            }
        }
        for a in &sets {
            for b in &sets {
                assert_eq!(a.cmp(b), a.iter().cmp(b.iter()), "{a:?} {b:?}");
            }
        }
    }

    use super::*;

    #[test]
    fn sorted_unique_and_round_trips() {
        let long = "x".repeat(300);
        let labels =
            Labels::from_pairs([("b", "2"), ("a", "0"), ("a", "1"), ("z", ""), ("l", &long)]);
        let pairs: Vec<_> = labels.iter().collect();
        assert_eq!(pairs, [("a", "1"), ("b", "2"), ("l", long.as_str())]);
        let as_bytes = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        assert!(labels.iter_bytes().eq(as_bytes));
        assert_eq!(Labels::from_bytes(labels.as_bytes()), Some(labels.clone()));
        assert_eq!(labels.get("b"), Some("2"));
        assert_eq!(labels.get("c"), None);
        assert_eq!(Labels::from_sorted(pairs.iter().copied()), labels);
    }

    #[test]
    fn refuses_bytes_that_are_no_set() {
        for bad in [&[5][..], &[1, b'b', 1, b'x', 1, b'a', 1, b'x'], &[1, b'a', 0], &[0xff; 9]] {
            assert_eq!(Labels::from_bytes(bad), None, "{bad:?}");
        }
    }
}
