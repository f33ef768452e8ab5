use super::*;
use crate::filter::LineFilter;
use crate::search::LineSearch;

struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 33) % end
    }
}

/// Text of all kinds of words, of few templates so that some are kept.
fn body(random: &mut Random, time_ns: u64) -> String {
    let mut out = String::new();
    let template = random.below(7);
    for word in 0..template + 2 {
        let n = random.below(1 << 31);
        let hex = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match template * 3 + word {
            0 => out += &format!("took {}.{:02}ms", n % 90, n % 100),
            1 => out += &format!(" req-{hex:016x} é"),
            2 => out += &format!("{:04}", n % 10_000),
            3 => {
                out +=
                    &format!("ts={}.{:06} ", time_ns / 1_000_000_000, time_ns / 1000 % 1_000_000);
            }
            4 => out += &format!("{n:X}/"),
            5 => out += "\nat frame",
            6 => out += &format!("({}:{})", ["a1", "b2", "c3"][(n % 3) as usize], n % 900),
            7 => {
                out += &format!(
                    "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
                    hex as u32,
                    n as u16,
                    n & 0xfff,
                    n >> 16 & 0xffff,
                    hex >> 16
                );
            }
            8 => out += &format!("{}", 7 * n % (1 << (n % 40))),
            9 => out += &format!("0{}{}", "0".repeat((n % 4) as usize), n % 77),
            10 => out += &format!("{time_ns}"),
            11 => out += &format!("x{}y {}", n, u64::MAX),
            12 => out += &"\n".repeat((n % 3) as usize),
            _ => out += &format!(",{}", [0, 5, 99_999_999_999_999_999u64][(n % 3) as usize]),
        }
    }
    out
}

/// Up to 400 bodies and their times; a few are no text.
fn bodies_and_times(seed: u64) -> (Vec<Vec<u8>>, Vec<u64>) {
    let mut random = Random(seed);
    let mut time_ns = 1_780_000_000_000_000_000;
    let (mut bodies, mut times) = (Vec::new(), Vec::new());
    for _ in 0..random.below(400) {
        time_ns += random.below(1 << 30);
        let mut bytes = body(&mut random, time_ns).into_bytes();
        if random.below(40) == 0 {
            bytes.push(0xff);
        }
        bodies.push(bytes);
        times.push(if random.below(30) == 0 { random.below(1 << 40) } else { time_ns });
    }
    (bodies, times)
}

fn push(writer: &mut LinesWriter, body: &[u8], time_ns: u64) {
    match std::str::from_utf8(body) {
        Ok(text) => writer.push(text, time_ns),
        Err(_) => writer.push_bytes(body),
    }
}

fn finish(writer: &LinesWriter) -> (Vec<u8>, Vec<u8>) {
    let (mut text, mut packed) = (Vec::new(), Vec::new());
    writer.finish(&mut text, &mut packed);
    (text, packed)
}

fn round_trip(bodies: &[Vec<u8>], times: &[u64]) -> (usize, usize) {
    let mut writer = LinesWriter::default();
    bodies.iter().zip(times).for_each(|(body, &time_ns)| push(&mut writer, body, time_ns));
    let (text, packed) = finish(&writer);
    let sizes = (text.len(), packed.len());
    let lines = Lines::read(text.clone(), packed.clone(), 0, bodies.len()).expect("our own bytes");
    for (row, (body, &time_ns)) in bodies.iter().zip(times).enumerate() {
        let mut out = Vec::new();
        assert!(lines.put(row, time_ns, &mut out));
        assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(body), "{row}");
        assert_eq!(&out, body);
    }
    assert!(!lines.put(bodies.len(), 0, &mut Vec::new()));
    check_needles(&lines, bodies);
    // What is cut off or changed is refused or read as something else.
    for cut in (0..packed.len()).step_by(1 + packed.len() / 20) {
        let mut bad = packed.clone();
        bad[cut] ^= 1 << (cut % 8);
        for bytes in [&packed[..cut], &bad[..]] {
            if let Some(lines) = Lines::read(text.clone(), bytes.to_vec(), 0, bodies.len()) {
                (0..bodies.len()).for_each(|row| {
                    let _ = lines.put(row, 7, &mut Vec::new());
                });
            }
        }
        let _ = Lines::read(text[..cut.min(text.len())].to_vec(), packed.clone(), 0, bodies.len());
    }
    sizes
}

/// For each body whether it has a text, as far as that is known.
fn decide(lines: &Lines, text: &str) -> Vec<Option<bool>> {
    let conditions = [LineFilter::Contains(text.to_owned())];
    lines.decide(&LineSearch::new(&conditions).conditions()[0])
}

/// A body that contains a text is not decided to lack it.
fn check_needles(lines: &Lines, bodies: &[Vec<u8>]) {
    let random = &mut Random(bodies.len() as u64);
    for (row, body) in bodies.iter().enumerate() {
        let Ok(text) = std::str::from_utf8(body) else { continue };
        let from = random.below(text.len() as u64 + 1) as usize;
        let to = (from + random.below(20) as usize).min(text.len());
        let Some(piece) = text.get(from..to) else { continue };
        let decided = decide(lines, piece);
        assert!(decided[row] != Some(false), "{text:?} {from}..{to}");
    }
    let nowhere = decide(lines, "00zz00");
    assert_eq!(nowhere, vec![Some(false); bodies.len()]);
}

#[test]
fn bodies_come_back_bit_by_bit() {
    for seed in 0..25 {
        let (bodies, times) = bodies_and_times(seed);
        round_trip(&bodies, &times);
    }
    round_trip(&[], &[]);
    let long = vec![b'\n'; BODY_MAX + 1];
    round_trip(&[long, b"".to_vec(), b"\n".to_vec()], &[1, 2, 3]);
}

/// Whether bodies come as text or as other blocks have them: it is the same block.
#[test]
fn bodies_that_were_taken_apart_before_make_the_same_block() {
    const BLOCKS: usize = 3;
    let mut apart = 0;
    for seed in 0..25 {
        let (bodies, times) = bodies_and_times(seed);
        let rows = || bodies.iter().zip(times.iter().copied()).enumerate();
        let mut whole = LinesWriter::default();
        rows().for_each(|(_, (body, time_ns))| push(&mut whole, body, time_ns));

        let mut writers: [LinesWriter; BLOCKS] = Default::default();
        let mut counts = [0; BLOCKS];
        let mut places = Vec::new();
        for (n, (body, time_ns)) in rows() {
            let block = n * n % BLOCKS;
            push(&mut writers[block], body, time_ns);
            places.push((block, counts[block]));
            counts[block] += 1;
        }
        let blocks: Vec<Lines> = writers
            .iter()
            .zip(counts)
            .map(|(writer, count)| {
                let (text, packed) = finish(writer);
                Lines::read(text, packed, 0, count).expect("our own bytes")
            })
            .collect();
        let mut merged = LinesWriter::default();
        let mut known: [KnownTemplates; BLOCKS] = Default::default();
        for ((n, (body, time_ns)), (block, row)) in rows().zip(places) {
            // What is known of a block that was written before is of no use.
            let known = known[block].of_block(usize::from(n > 0));
            match merged.push_apart(&blocks[block], row, time_ns, known) {
                Some(bytes) => {
                    assert_eq!(bytes, body.len(), "seed {seed}, row {n}");
                    apart += 1;
                }
                None => push(&mut merged, body, time_ns),
            }
        }
        assert_eq!(finish(&merged), finish(&whole), "seed {seed}");
        assert_eq!(merged.take_words().finish(), whole.take_words().finish(), "seed {seed}");
    }
    assert!(apart > 2000, "only {apart} bodies came apart");
}

/// What templates and gaps decide is so.
#[test]
fn what_is_decided_is_so() {
    // Of texts and patterns: how often a body was decided to satisfy, not to, or neither.
    let mut counts = [[0; 3]; 2];
    for seed in 0..25 {
        let (bodies, times) = bodies_and_times(seed);
        let mut writer = LinesWriter::default();
        bodies.iter().zip(&times).for_each(|(body, &time)| push(&mut writer, body, time));
        let (text, packed) = finish(&writer);
        let lines = Lines::read(text, packed, 0, bodies.len()).expect("our own bytes");
        let random = &mut Random(seed + 1000);
        for _ in 0..20.min(bodies.len()) {
            let Ok(text) = str::from_utf8(&bodies[random.below(bodies.len() as u64) as usize])
            else {
                continue;
            };
            let from = random.below(text.len() as u64) as usize;
            let to = (from + 1 + random.below(9) as usize).min(text.len());
            let Some(piece) = text.get(from..to) else { continue };
            let edges = [("", ""), (r"\b", r"\b"), ("(?m)^", ""), ("", "$"), ("(?i).", ".?")];
            let (before, after) = edges[random.below(edges.len() as u64) as usize];
            let escaped = regex::escape(piece);
            let pattern = regex::Regex::new(&format!("{before}{escaped}{after}")).unwrap();
            for filter in [
                LineFilter::Contains(piece.to_owned()),
                LineFilter::NotContains(piece.to_owned()),
                LineFilter::Regex(pattern.clone()),
                LineFilter::NotRegex(pattern.clone()),
            ] {
                let conditions = [filter.clone()];
                let search = LineSearch::new(&conditions);
                let decided = lines.decide(&search.conditions()[0]);
                for (row, body) in bodies.iter().enumerate() {
                    let Ok(body) = str::from_utf8(body) else { continue };
                    let is_so = |says: bool| says == filter.matches(body);
                    assert!(decided[row].is_none_or(is_so), "seed {seed}: {filter:?}, {body:?}");
                    let kind = matches!(filter, LineFilter::Regex(_) | LineFilter::NotRegex(_));
                    counts[usize::from(kind)][decided[row].map_or(2, usize::from)] += 1;
                }
            }
        }
    }
    // Most pieces are of words in gaps.
    let [texts, patterns] = counts;
    assert!(texts.iter().chain(&patterns).all(|count| *count > 1000), "{texts:?} {patterns:?}");
}

/// Bodies need not be put together, nor gaps be read, for what templates decide.
#[test]
fn gaps_are_read_when_they_are_needed() {
    let bodies: Vec<String> = (0..100).map(|n| format!("request {n} done in {n}ms")).collect();
    let mut writer = LinesWriter::default();
    bodies.iter().for_each(|body| writer.push(body, 1));
    let (text, packed) = finish(&writer);
    let lines = Lines::read(text, packed, 0, bodies.len()).expect("our own bytes");
    assert_eq!(decide(&lines, "done in"), vec![Some(true); 100]);
    assert_eq!(decide(&lines, "request failed"), vec![Some(false); 100]);
    assert!(lines.gaps.get().is_none());
    assert_eq!(decide(&lines, " 7").iter().filter(|is| **is != Some(false)).count(), 19);
    assert!(lines.gaps.get().is_some());
}

#[test]
fn what_lines_have_in_common_is_kept_once() {
    let times: Vec<u64> = (0..2000).map(|n| 1_780_000_000_000_000_000 + n * 999_983_017).collect();
    let bodies: Vec<Vec<u8>> = times
        .iter()
        .zip(0u64..)
        .map(|(time_ns, n)| {
            let (seconds, micros) = (time_ns / 1_000_000_000, time_ns / 1000 % 1_000_000);
            let id = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            format!(r#"{{"ts":"{seconds}.{micros:06}","msg":"it is done","id":"{id:016x}"}}"#)
        })
        .map(String::into_bytes)
        .collect();
    let (text, packed) = round_trip(&bodies, &times);
    // The time costs nothing, the id what it tells.
    assert!(text < 100 && packed < 2000 * 8 + 100, "{text} {packed}");
}
/// As versions 5 to 8 of a part have them: written by the last of these from the same bodies.
#[test]
fn the_older_order_comes_back() {
    let (bodies, times) = bodies_and_times(3);
    let text = include_bytes!("../../../tests/fixtures/lines-v8/text");
    let packed = include_bytes!("../../../tests/fixtures/lines-v8/packed");
    let lines = Lines::read_older(text.to_vec(), packed, bodies.len()).expect("written once");
    for (row, (body, &time_ns)) in bodies.iter().zip(&times).enumerate() {
        let mut out = Vec::new();
        assert!(lines.put(row, time_ns, &mut out));
        assert_eq!(&out, body);
    }
    check_needles(&lines, &bodies);
    for cut in 0..packed.len() {
        let mut bad = packed.to_vec();
        bad[cut] ^= 1 << (cut % 8);
        for bytes in [&packed[..cut], &bad] {
            if let Some(lines) = Lines::read_older(text.to_vec(), bytes, bodies.len()) {
                (0..bodies.len()).for_each(|row| {
                    let _ = lines.put(row, 7, &mut Vec::new());
                });
            }
        }
    }
}
