//! Whatever spans go into a part come out of it, bit for bit and in the same order.

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::filter::{Compare, Field, SpanFilter};
use crate::model::{Attribute, Event, Link, SpanKind, StatusCode};
use crate::part::{Damage, LEVEL_FLUSH, PartInfo, Signal};
use crate::row;
use crate::vfs::Memory;

/// Random numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Few ids, so that spans of a trace meet, repeat, and have parents here, elsewhere, nowhere.
fn span(random: &mut Random) -> Span<'static> {
    let id = |n: u64| n.to_be_bytes();
    let trace = u128::from(random.below(40)).to_be_bytes();
    let start_ns = match random.below(50) {
        0 => u64::MAX - random.below(3),
        _ => 1_000_000_000_000 + random.below(1 << 40),
    };
    let mut span = Span {
        trace_id: trace,
        span_id: id(random.below(30)),
        parent_span_id: id(random.below(60)),
        name: format!("n{}", random.below(4)).into(),
        kind: SpanKind::Server,
        start_ns,
        end_ns: start_ns.wrapping_add(random.below(1000)).wrapping_sub(200),
        ..Span::default()
    };
    if random.below(3) == 0 {
        span.status = StatusCode::Error;
        span.attributes = vec![Attribute { key: "a".into(), value: Value::Int(-5) }];
        span.events = vec![Event { time_ns: start_ns, name: "e".into(), ..Event::default() }];
        span.links = vec![Link { trace_id: [3; 16], span_id: [4; 8], ..Link::default() }];
    }
    span
}

fn encoded(span: &Span<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    row::put_span(&mut out, span).expect("it is flat");
    out
}

fn write(vfs: &Memory, spans: &[Span<'_>]) -> PartInfo {
    let info = PartInfo {
        signal: Signal::Traces,
        id: 7,
        day: 0,
        first_number: 1,
        last_number: 1,
        rows: 0,
        bytes: 0,
        min_ns: 0,
        max_ns: 0,
        thinned: false,
    };
    let numbers = TraceNumbers::new(spans.iter().map(|s| (s.trace_id, clamp_time(s.start_ns))));
    let path = Path::new(&info.file_name()).to_owned();
    let mut writer = SpansWriter::create(vfs, &path, LEVEL_FLUSH, numbers).expect("created");
    let (mut resource, mut scope) = (Vec::new(), Vec::new());
    row::put_resource(&mut resource, &Resource::default()).expect("it is flat");
    row::put_scope(&mut scope, &crate::model::Scope::default()).expect("it is flat");
    for span in spans {
        let owner = Owner { resource: &resource, scope: &scope };
        writer.push("", owner, span).expect("written");
    }
    writer.finish().expect("finished");
    info
}

#[test]
fn spans_come_back_bit_for_bit_and_by_trace() {
    for seed in 0..12 {
        let random = &mut Random(seed);
        let count = [1, 10, 600, 1500][seed as usize % 4];
        let spans: Vec<Span<'_>> = (0..count).map(|_| span(random)).collect();
        let vfs = Memory::default();
        let info = write(&vfs, &spans);
        let damage = Arc::new(Damage::default());
        let opened = PartFile::open(Arc::new(vfs), Path::new(""), info, damage);
        let (file, footer) = opened.expect("it opens");
        let part = SpansPart::new(file, &footer).expect("the footer is whole");
        let Traces::Table(table) = &part.traces else { panic!("seed {seed}: no table") };
        let mut seen = Vec::new();
        for (at, block) in (0u32..).zip(&part.blocks) {
            let rows = part.read_whole(at, block).expect("readable").expect("whole");
            for row in 0..rows.block.len() {
                let number = rows.block.trace_number(row).expect("it has a number");
                let page = part.read_page(table.page_of(number).expect("a page"));
                let page = page.expect("readable").expect("whole");
                let ids = rows.ids(row, Some(&page)).expect("it has ids");
                let stored = rows.stored(&part, row, ids).expect("it is whole");
                let found = find(&part, table, stored.span.trace_id);
                let known = stored.span.trace_id == [0; 16] || found.contains(&(at, number));
                assert!(known, "seed {seed}: row {row} of block {at} is not found by its trace");
                seen.push(encoded(&stored.span));
            }
        }
        let expect: Vec<Vec<u8>> = spans.iter().map(encoded).collect();
        assert!(seen == expect, "seed {seed}: spans came back changed");
    }
}

/// Blocks of a trace, by way of index and page, each with the trace's number.
fn find(part: &SpansPart, table: &TraceTable, trace: TraceId) -> Vec<(u32, u64)> {
    let mut found = Vec::new();
    for (_, block) in table.index_blocks(trace) {
        let index = part.read_index(block).expect("readable").expect("whole");
        for number in table.numbers(&index, trace) {
            let page = part.read_page(table.page_of(number).expect("a page"));
            let page = page.expect("readable").expect("whole");
            if page.id(number) == Some(trace) {
                let blocks = page.blocks_of(number).expect("it is there");
                found.extend(blocks.into_iter().map(|block| (block, number)));
            }
        }
    }
    found
}

#[test]
fn a_cut_or_changed_page_is_no_panic() {
    let random = &mut Random(99);
    let spans: Vec<Span<'_>> = (0..200).map(|_| span(random)).collect();
    let vfs = Memory::default();
    let info = write(&vfs, &spans);
    let opened = PartFile::open(Arc::new(vfs), Path::new(""), info, Arc::default());
    let (file, footer) = opened.expect("it opens");
    let part = SpansPart::new(file, &footer).expect("the footer is whole");
    let Traces::Table(table) = &part.traces else { panic!("no table") };
    let info = &table.pages()[0];
    let structure = part.file.read(&info.structure).expect("readable").expect("whole");
    let ids = part.file.read(&info.ids).expect("readable").expect("whole");
    for cut in 0..structure.len() {
        assert!(TracePage::read(info, structure[..cut].to_vec(), &ids, 6).is_none());
        let mut changed = structure.clone();
        changed[cut] = changed[cut].wrapping_add(1 + random.below(255) as u8);
        if let Some(page) = TracePage::read(info, changed, &ids, 6) {
            for number in 0..300 {
                let _ = (page.blocks_of(number), page.span(number, 0, || 3), page.sum(number));
            }
        }
    }
}

/// A value of every kind, out of few, so that some occur in one block and not in another.
fn value(random: &mut Random) -> Value<'static> {
    let number = random.below(60) as i64 - 30;
    match random.below(8) {
        0 => Value::Int(number),
        1 => Value::Double(number as f64),
        2 => Value::Double(number as f64 + 0.5),
        3 => Value::Str(number.to_string().into()),
        4 => Value::Bool(number > 0),
        5 => Value::Bytes(vec![number as u8].into()),
        6 => Value::Array(vec![Value::Int(number), Value::Str("x".into()), Value::Bool(true)]),
        _ => Value::Str(format!("v{}", random.below(5000)).into()),
    }
}

fn compare(random: &mut Random) -> Compare {
    let value = value(random);
    match random.below(12) {
        0 => Compare::NotEqual(value),
        1 => Compare::Less(value),
        2 => Compare::GreaterEqual(value),
        3 => Compare::Exists,
        4 => Compare::Regex(regex::Regex::new("v1.*").expect("it is one")),
        _ => Compare::Equal(value),
    }
}

fn condition(random: &mut Random, depth: u32) -> SpanFilter {
    let key = format!("k{}", random.below(12));
    match random.below(if depth == 0 { 5 } else { 8 }) {
        0 => SpanFilter::Field(Field::Resource(key), compare(random)),
        1 => SpanFilter::Field(Field::Any(key), compare(random)),
        2 => {
            let name = Value::Str(format!("n{}", random.below(12)).into());
            SpanFilter::Field(Field::Name, Compare::Equal(name))
        }
        3 | 4 => SpanFilter::Field(Field::Span(key), compare(random)),
        5 => SpanFilter::And((0..2).map(|_| condition(random, depth - 1)).collect()),
        6 => SpanFilter::Or((0..2).map(|_| condition(random, depth - 1)).collect()),
        _ => SpanFilter::Not(Box::new(condition(random, depth - 1))),
    }
}

/// Blocks differ in names and keys, as those of services do.
fn attributed(random: &mut Random, row: u64) -> Span<'static> {
    let block = row / BLOCK_ROWS as u64;
    let attribute = |random: &mut Random| Attribute {
        key: format!("k{}", (block * 3 + random.below(6)) % 12).into(),
        value: value(random),
    };
    let mut span = span(random);
    span.name = format!("n{}", block + random.below(3)).into();
    span.attributes = (0..random.below(4)).map(|_| attribute(random)).collect();
    span.events.iter_mut().for_each(|event| event.attributes = vec![attribute(random)]);
    span.links.iter_mut().for_each(|link| link.attributes = vec![attribute(random)]);
    span
}

#[test]
fn a_block_that_a_sieve_rules_out_never_had_a_match() {
    let (mut ruled_out, mut in_vain, mut kept) = (0, 0, 0);
    for seed in 0..6 {
        let random = &mut Random(seed);
        let spans: Vec<Span<'_>> = (0..2500).map(|row| attributed(random, row)).collect();
        let vfs = Memory::default();
        let info = write(&vfs, &spans);
        let opened = PartFile::open(Arc::new(vfs), Path::new(""), info, Arc::default());
        let (file, footer) = opened.expect("it opens");
        let part = SpansPart::new(file, &footer).expect("the footer is whole");
        let nobody = Resource::default();
        for _ in 0..400 {
            let filter = condition(random, 2).anchored();
            let sought = Sought::of(&filter);
            for (block, spans) in part.blocks.iter().zip(spans.chunks(BLOCK_ROWS)) {
                let may = may_be_in(&part, block, &sought);
                let is = spans.iter().any(|span| filter.matches(span, &nobody));
                assert!(may || !is, "seed {seed}: {filter:?} has a match in a block ruled out");
                ruled_out += u32::from(!may);
                in_vain += u32::from(may && !is && !matches!(sought, Sought::Nothing));
                kept += u32::from(is);
            }
        }
        mentioned(&part, &spans);
    }
    assert!(ruled_out > 4 * in_vain && kept > 500, "{ruled_out} {in_vain} {kept}");
}

fn may_be_in(part: &SpansPart, block: &SpanBlockInfo, sought: &Sought) -> bool {
    let sieve = block.sieve.expect("it has one");
    let page = part.file.read(&part.sieve_pages[sieve.page as usize]);
    sought.may_be_in(sieve.of(&page.expect("readable").expect("whole")))
}

/// Every attribute of spans, events and links is found by the text of its value.
fn mentioned(part: &SpansPart, spans: &[Span<'_>]) {
    for (block, spans) in part.blocks.iter().zip(spans.chunks(BLOCK_ROWS)) {
        for span in spans.iter().step_by(7) {
            let events = span.events.iter().flat_map(|event| &event.attributes);
            let links = span.links.iter().flat_map(|link| &link.attributes);
            for attribute in span.attributes.iter().chain(events).chain(links) {
                let text = match &attribute.value {
                    Value::Int(v) => v.to_string(),
                    Value::Double(v) => format!("{v:?}"),
                    Value::Bool(v) => v.to_string(),
                    Value::Bytes(bytes) => format!("{:02X}", bytes[0]),
                    Value::Str(text) => text.to_string(),
                    _ => "x".to_owned(),
                };
                let filter = SpanFilter::Mentions(attribute.key.to_string(), text);
                assert!(may_be_in(part, block, &Sought::of(&filter)), "{filter:?}");
            }
        }
    }
    let absent = SpanFilter::Mentions("k1".to_owned(), "nowhere".to_owned());
    let may = part.blocks.iter().filter(|block| may_be_in(part, block, &Sought::of(&absent)));
    assert!(may.count() < part.blocks.len(), "a sieve lets everything pass");
}
