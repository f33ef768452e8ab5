//! What is told of a trace without reading it is what reading it tells.

use trefoil_store::model::{Span, StatusCode, StoredSpan, Value};
use trefoil_store::{Batch, Compare, Field, SpanColumns, SpanFilter, Tally, TraceOverview};

use crate::make::{add_span, attribute, span, text};
use crate::states::in_every_state;

/// Forty traces whose spans lie in several appends and services, some without a root, some
/// with two, some with a span that came twice.
fn spans() -> Vec<(&'static str, Span<'static>)> {
    let mut spans = Vec::new();
    for n in 0..400u64 {
        let trace = (n % 40) as u8 + 1;
        let mut one = span(trace, (n / 40) as u8 + 1, 1_000 + n * 37 % 211, "");
        one.name = ["GET /a", "run", "query"][n as usize * 5 % 3].into();
        one.parent_span_id = if n % 40 % 7 != 0 && n % 90 < 60 { [9; 8] } else { [0; 8] };
        one.parent_span_id = if n % 40 % 13 == 11 { [9; 8] } else { one.parent_span_id };
        one.end_ns = one.start_ns + n * 13 % 97;
        one.status = if n % 11 == 0 { StatusCode::Error } else { StatusCode::Unset };
        if n % 3 == 0 {
            one.attributes.push(attribute("code", Value::Int((n % 5) as i64)));
        }
        let service = ["cart", "pay", ""][n as usize / 3 % 3];
        spans.push((service, one.clone()));
        if n == 207 {
            spans.push((service, one));
        }
    }
    spans
}

fn overview_of(spans: &[StoredSpan<'_>]) -> TraceOverview {
    let service = |s: &StoredSpan<'_>| s.resource.attributes[0].value.as_text().into_owned();
    let mut overview = TraceOverview {
        start_ns: spans.iter().map(|s| s.span.start_ns).min().unwrap(),
        end_ns: spans.iter().map(|s| s.span.end_ns).max().unwrap(),
        ..TraceOverview::default()
    };
    for stored in spans {
        let (count, errors) = overview.services.entry(service(stored)).or_default();
        *count += 1;
        *errors += u64::from(stored.span.status == StatusCode::Error);
    }
    let roots = spans.iter().filter(|s| s.span.parent_span_id == [0; 8]);
    let root = roots.min_by_key(|s| (s.span.start_ns, s.span.span_id));
    overview.root = root.map(|s| (service(s), s.span.name.clone().into_owned()));
    overview
}

#[test]
fn an_overview_is_what_the_spans_add_up_to() {
    let spans = spans();
    let field = |field, compare| SpanFilter::Field(field, compare);
    let filters = [
        SpanFilter::All,
        field(Field::Resource("service.name".into()), Compare::Equal(text("cart"))),
        field(Field::Span("code".into()), Compare::Equal(Value::Int(3))),
        field(Field::Span("code".into()), Compare::Greater(Value::Int(1))),
        field(Field::Status, Compare::Status(StatusCode::Error)),
        SpanFilter::And(vec![
            field(Field::Name, Compare::Equal(text("run"))),
            field(Field::Any("code".into()), Compare::Exists),
        ]),
        SpanFilter::Not(Box::new(field(Field::Span("code".into()), Compare::Exists))),
    ];
    in_every_state(|store| {
        for some in spans.chunks(150) {
            let mut batch = Batch::new();
            some.iter().for_each(|(service, span)| add_span(&mut batch, service, span));
            store.append(&batch).unwrap();
        }
        let (snapshot, tally) = (store.snapshot(), Tally::unlimited());
        let (mut with_root, mut without) = (0, 0);
        for trace in 1..=40u8 {
            let whole = snapshot.trace([trace; 16], &tally).unwrap();
            assert_eq!(whole.len(), 10, "trace {trace}");
            let overview = snapshot.trace_overview([trace; 16], &tally).unwrap();
            if trace == 207 % 40 + 1 {
                assert_eq!(overview, None, "a span came twice");
            } else {
                let overview = overview.unwrap();
                assert_eq!(overview, overview_of(&whole), "trace {trace}");
                with_root += usize::from(overview.root.is_some());
                without += usize::from(overview.root.is_none());
            }
            for filter in &filters {
                let expect: Vec<&StoredSpan<'_>> =
                    whole.iter().filter(|s| filter.matches(&s.span, &s.resource)).collect();
                let found = snapshot.trace_spans([trace; 16], filter, SpanColumns::ALL, &tally);
                let found = found.unwrap();
                let ids = |spans: &[&StoredSpan<'_>]| {
                    let mut all: Vec<_> =
                        spans.iter().map(|s| (s.span.start_ns, s.span.span_id)).collect();
                    all.sort_unstable();
                    all
                };
                let found: Vec<&StoredSpan<'_>> = found.iter().collect();
                assert_eq!(ids(&found), ids(&expect), "trace {trace} {filter:?}");
                assert!(
                    found.iter().all(|s| expect.iter().any(|e| e.span == s.span)),
                    "trace {trace} {filter:?}"
                );
            }
        }
        assert!(with_root > 10 && without > 2, "{with_root} {without}");
        assert_eq!(snapshot.trace_overview([77; 16], &tally).unwrap(), None);
    });
}
