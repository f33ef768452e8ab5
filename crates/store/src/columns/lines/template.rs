//! Where the gaps of a line are.

use std::ops::Range;

/// Stands for a gap in a template: no text has this byte.
pub(super) const GAP: u8 = 0xff;

/// Groups of hexadecimal digits in an id such as `f81d4fae-7dec-11d0-a765-00a0c91e6bf6`.
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
const UUID_LEN: usize = 36;

const LETTER: u8 = 1;
const DIGIT: u8 = 2;

/// Letters and digits among all bytes: looked up in half the time that comparing takes.
const KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        if (byte as u8).is_ascii_alphabetic() {
            kinds[byte] = LETTER;
        } else if (byte as u8).is_ascii_digit() {
            kinds[byte] = DIGIT;
        }
        byte += 1;
    }
    kinds
};

/// Splits a line: appends its template, with a byte for each gap, and where the gaps are.
///
/// A gap is a word (letters and digits) that has a digit in it, or a group of a UUID: what
/// people write has none, what programs fill in nearly always does.
pub(super) fn split(line: &[u8], template: &mut Vec<u8>, gaps: &mut Vec<Range<usize>>) {
    let mut at = 0;
    let mut fixed_from = 0;
    while at < line.len() {
        if KINDS[usize::from(line[at])] == 0 {
            at += 1;
            continue;
        }
        let word = at;
        let mut kinds = 0;
        while at < line.len() && KINDS[usize::from(line[at])] != 0 {
            kinds |= KINDS[usize::from(line[at])];
            at += 1;
        }
        if is_uuid(&line[word..]) {
            template.extend_from_slice(&line[fixed_from..word]);
            at = word;
            for len in UUID_GROUPS {
                template.push(GAP);
                gaps.push(at..at + len);
                at += len + 1;
                if at < word + UUID_LEN {
                    template.push(b'-');
                }
            }
            at = word + UUID_LEN;
            fixed_from = at;
        } else if kinds & DIGIT != 0 {
            template.extend_from_slice(&line[fixed_from..word]);
            template.push(GAP);
            gaps.push(word..at);
            fixed_from = at;
        }
    }
    template.extend_from_slice(&line[fixed_from..]);
}

/// Whether text begins with a UUID that ends there.
fn is_uuid(text: &[u8]) -> bool {
    let Some(id) = text.get(..UUID_LEN).filter(|id| id[UUID_GROUPS[0]] == b'-') else {
        return false;
    };
    let mut at = 0;
    let fits = UUID_GROUPS.iter().all(|&len| {
        let group = &id[at..at + len];
        at += len + 1;
        group.iter().all(u8::is_ascii_hexdigit) && id.get(at - 1).is_none_or(|next| *next == b'-')
    });
    fits && !text.get(UUID_LEN).is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_words_with_digits() {
        let check = |line: &str, expect: &str, found: &[&str]| {
            let (mut template, mut gaps) = (Vec::new(), Vec::new());
            split(line.as_bytes(), &mut template, &mut gaps);
            let gaps: Vec<&str> = gaps.into_iter().map(|gap| &line[gap]).collect();
            let template: Vec<String> = template
                .split(|b| *b == GAP)
                .map(|part| String::from_utf8_lossy(part).into_owned())
                .collect();
            assert_eq!(template.join("<>"), expect);
            assert_eq!(gaps, found, "{line}");
        };
        check("", "", &[]);
        check("no gap", "no gap", &[]);
        check("took 12.50ms at u-007", "took <>.<> at u-<>", &["12", "50ms", "007"]);
        check("7", "<>", &["7"]);
        check("é1", "é<>", &["1"]);
        check(
            "id=abcdefab-cdef-4bcd-abcd-abcdefabcdef.",
            "id=<>-<>-<>-<>-<>.",
            &["abcdefab", "cdef", "4bcd", "abcd", "abcdefabcdef"],
        );
        check(
            "abcdefab-cdef-abcd-abcd-abcdefabcdefg",
            "abcdefab-cdef-abcd-abcd-abcdefabcdefg",
            &[],
        );
    }
}
