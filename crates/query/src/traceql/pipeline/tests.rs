//! Structural operators against their definition, on random trees.

use std::sync::Arc;

use trefoil_store::model::{Resource, Scope, Span, StoredSpan};

use super::*;

/// xorshift64*: a seed is enough to run a failure again.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }
}

/// Spans whose parent is an earlier one, none, or unknown. The ids come in a random order,
/// so parents may stand behind their children.
fn random_trace(random: &mut Random) -> Vec<StoredSpan<'static>> {
    let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
    let mut spans: Vec<StoredSpan<'static>> = Vec::new();
    for id in 1..=1 + random.below(14) as u64 {
        let parent = match random.below(10) {
            0 => 0,
            1 => 999,
            _ if id == 1 => 0,
            _ => 1 + random.below(id as usize - 1) as u64,
        };
        let span = Span {
            span_id: id.to_be_bytes(),
            parent_span_id: parent.to_be_bytes(),
            ..Span::default()
        };
        let at = random.below(spans.len() + 1);
        spans.insert(at, StoredSpan { span, resource: resource.clone(), scope: scope.clone() });
    }
    spans
}

/// The chain of ancestors, nearest first, and whether it ends at a root.
fn ancestors(trace: &Trace<'_>, at: usize) -> (Vec<usize>, bool) {
    let mut out = Vec::new();
    let mut last = at;
    while let Some(parent) =
        trace.spans.iter().position(|s| s.span.span_id == trace.spans[last].span.parent_span_id)
    {
        out.push(parent);
        last = parent;
    }
    (out, trace.spans[last].span.parent_span_id == [0; 8])
}

/// Whether `r` has the relation to `l`, word for word as the operators are defined.
fn is_related(relation: Relation, trace: &Trace<'_>, l: usize, r: usize) -> bool {
    let ((l_up, l_rooted), (r_up, r_rooted)) = (ancestors(trace, l), ancestors(trace, r));
    let holds = match relation {
        Relation::Child => r_up.first() == Some(&l),
        Relation::Parent => l_up.first() == Some(&r),
        Relation::Descendant => r_up.contains(&l),
        Relation::Ancestor => l_up.contains(&r),
        Relation::Sibling => l != r && l_up.first() == r_up.first(),
    };
    holds && l_rooted && r_rooted
}

#[test]
fn structural_operators_do_what_they_are_defined_to_do() {
    let relations = [
        Relation::Child,
        Relation::Parent,
        Relation::Descendant,
        Relation::Ancestor,
        Relation::Sibling,
    ];
    let seed =
        std::env::var("TREFOIL_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_121);
    let mut random = Random(seed);
    let mut found = 0;
    for round in 0..2_000 {
        let spans = random_trace(&mut random);
        let trace = Trace::new(&spans);
        let mut pick =
            || -> Vec<usize> { (0..spans.len()).filter(|_| random.below(3) > 0).collect() };
        let (lhs, rhs) = (pick(), pick());
        for relation in relations {
            let any_l = |r: &usize| lhs.iter().any(|l| is_related(relation, &trace, *l, *r));
            let any_r = |l: &usize| rhs.iter().any(|r| is_related(relation, &trace, *l, *r));
            let right: Vec<usize> = rhs.iter().copied().filter(any_l).collect();
            let not: Vec<usize> = rhs.iter().copied().filter(|r| !any_l(r)).collect();
            let mut both: Vec<usize> =
                right.iter().copied().chain(lhs.iter().copied().filter(any_r)).collect();
            both.sort_unstable();
            both.dedup();
            for (mode, expected) in [(Mode::Right, right), (Mode::Not, not), (Mode::Union, both)] {
                let got = relate(relation, mode, &trace, &lhs, &rhs);
                assert_eq!(
                    got, expected,
                    "{relation:?} {mode:?}, round {round}; again with TREFOIL_SEED={seed}"
                );
                found += got.len();
            }
        }
    }
    assert!(found > 50_000, "the trees are too plain: only {found} spans were related");
}

#[test]
fn a_trace_that_is_one_long_chain_needs_no_stack() {
    let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
    let spans: Vec<StoredSpan<'_>> = (1..=100_000u64)
        .map(|id| StoredSpan {
            span: Span {
                span_id: id.to_be_bytes(),
                parent_span_id: (id - 1).to_be_bytes(),
                ..Span::default()
            },
            resource: resource.clone(),
            scope: scope.clone(),
        })
        .collect();
    let trace = Trace::new(&spans);
    let all: Vec<usize> = (0..spans.len()).collect();
    assert_eq!(relate(Relation::Descendant, Mode::Right, &trace, &all, &all).len(), 99_999);
    assert_eq!(relate(Relation::Ancestor, Mode::Right, &trace, &all, &all).len(), 99_999);
    assert_eq!(trace.nodes[99_999].left, 100_000);
}

#[test]
fn spans_that_are_each_others_parents_are_related_to_nothing() {
    let (resource, scope) = (Arc::new(Resource::default()), Arc::new(Scope::default()));
    let span = |id: u64, parent: u64| StoredSpan {
        span: Span {
            span_id: id.to_be_bytes(),
            parent_span_id: parent.to_be_bytes(),
            ..Span::default()
        },
        resource: resource.clone(),
        scope: scope.clone(),
    };
    let spans = [span(1, 2), span(2, 1), span(3, 3)];
    let trace = Trace::new(&spans);
    for relation in [Relation::Child, Relation::Descendant, Relation::Sibling] {
        assert!(relate(relation, Mode::Right, &trace, &[0, 1, 2], &[0, 1, 2]).is_empty());
    }
}
