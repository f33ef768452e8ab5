//! A trace as a tree: who is whose parent, and the nested set that structural operators use.

use std::collections::HashMap;

use trefoil_store::model::{SpanId, SpanKind, StoredSpan};

use super::eval::service_name;

/// A whole trace, its spans by start time.
#[derive(Debug)]
pub(crate) struct Trace<'a> {
    pub(crate) spans: &'a [StoredSpan<'a>],
    pub(crate) nodes: Vec<Node>,
    /// The earliest span without a parent id.
    pub(crate) root: Option<usize>,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
}

/// A span's place in the tree.
///
/// `left`, `right` and `parent_left` are Tempo's nested set: a depth-first walk from the
/// roots numbers each span on the way down and on the way up. A root's `parent_left` is
/// −1; spans that no root reaches keep 0 in all three, and no structural operator ever
/// relates them. Source: Tempo, its nested set model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) parent: Option<usize>,
    pub(crate) children: Vec<usize>,
    pub(crate) left: i64,
    pub(crate) right: i64,
    pub(crate) parent_left: i64,
}

/// What a root has for its parent's left bound.
const ROOT_PARENT: i64 = -1;

impl<'a> Trace<'a> {
    pub(crate) fn new(spans: &'a [StoredSpan<'a>]) -> Self {
        let mut trace = Trace {
            spans,
            nodes: vec![Node::default(); spans.len()],
            root: None,
            start_ns: spans.iter().map(|s| s.span.start_ns).min().unwrap_or(0),
            end_ns: spans.iter().map(|s| s.span.end_ns).max().unwrap_or(0),
        };
        trace.link();
        trace.number();
        trace
    }

    /// Nanoseconds from the first start to the last end.
    pub(crate) fn duration_ns(&self) -> u64 {
        self.end_ns.saturating_sub(self.start_ns)
    }

    pub(crate) fn root_name(&self) -> Option<&str> {
        self.root.map(|at| &*self.spans[at].span.name)
    }

    pub(crate) fn root_service(&self) -> Option<&str> {
        self.root.and_then(|at| service_name(&self.spans[at].resource))
    }

    fn link(&mut self) {
        let mut by_id: HashMap<SpanId, Vec<usize>> = HashMap::with_capacity(self.spans.len());
        for (at, stored) in self.spans.iter().enumerate() {
            by_id.entry(stored.span.span_id).or_default().push(at);
        }
        for (at, stored) in self.spans.iter().enumerate() {
            let parent_id = stored.span.parent_span_id;
            if parent_id == [0; 8] {
                self.root = self.root.or(Some(at));
                continue;
            }
            let same_id = by_id.get(&parent_id).map_or(&[][..], Vec::as_slice);
            if let Some(parent) = self.parent_among(same_id, stored.span.kind).filter(|p| *p != at)
            {
                self.nodes[at].parent = Some(parent);
                self.nodes[parent].children.push(at);
            }
        }
    }

    /// Zipkin's clients and servers share a span id: a server's parent is then the client,
    /// anyone else's the server.
    fn parent_among(&self, same_id: &[usize], kind: SpanKind) -> Option<usize> {
        let wanted = if kind == SpanKind::Server { SpanKind::Client } else { SpanKind::Server };
        match same_id {
            [] => None,
            [one] => Some(*one),
            several => several.iter().copied().find(|at| self.spans[*at].span.kind == wanted),
        }
    }

    /// Walks without recursion: a trace may be as deep as it has spans.
    fn number(&mut self) {
        let mut bound = 1;
        let roots: Vec<usize> = (0..self.spans.len())
            .filter(|at| self.spans[*at].span.parent_span_id == [0; 8])
            .collect();
        for root in roots {
            self.nodes[root].left = bound;
            self.nodes[root].parent_left = ROOT_PARENT;
            bound += 1;
            let mut path = vec![(root, 0usize)];
            while let Some((at, next)) = path.last_mut() {
                let at = *at;
                let Some(&child) = self.nodes[at].children.get(*next) else {
                    self.nodes[at].right = bound;
                    bound += 1;
                    path.pop();
                    continue;
                };
                *next += 1;
                self.nodes[child].left = bound;
                self.nodes[child].parent_left = self.nodes[at].left;
                bound += 1;
                path.push((child, 0));
            }
        }
    }
}
