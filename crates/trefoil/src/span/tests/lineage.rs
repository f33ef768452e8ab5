//! Whose child a span is.

use tracing::{Instrument, info, info_span};

use super::*;
use crate::context::{Baggage, TraceState};

#[track_caller]
fn check_child(child: &Left, parent: &Left) {
    assert_eq!((&child.parent, &child.trace), (&parent.id, &parent.trace), "{child:?} {parent:?}");
}

#[test]
fn children_are_siblings_where_they_should_be() {
    let rig = Rig::always_on();
    rig.run(|| {
        let root = info_span!("root").entered();
        info_span!("a").in_scope(|| drop(info_span!("aa").entered()));
        info_span!("b").in_scope(|| {});
        drop(root);
        drop(info_span!("next root"));
    });
    let [root, a, aa, b, next] = ["root", "a", "aa", "b", "next root"].map(|name| rig.one(name));
    assert_eq!((root.parent.as_str(), next.parent.as_str()), ("", ""));
    assert_ne!(root.trace, next.trace);
    for (child, parent) in [(&a, &root), (&aa, &a), (&b, &root)] {
        check_child(child, parent);
    }
}

#[test]
fn parents_that_are_named() {
    let rig = Rig::always_on();
    rig.run(|| {
        let one = info_span!("one");
        let two = info_span!("two").entered();
        drop(info_span!(parent: &one, "of one"));
        drop(info_span!(parent: None, "of none"));
        drop(info_span!("of two"));
        info!(parent: &one, "event of one");
        info!(parent: None, "event of none");
        drop(two);
        let id = one.id();
        drop(one);
        drop(info_span!(parent: id, "of one that ended"));
    });
    check_child(&rig.one("of one"), &rig.one("one"));
    check_child(&rig.one("of two"), &rig.one("two"));
    assert_eq!(rig.one("of none").parent, "");
    assert_eq!(rig.one("of one that ended").parent, "");
    assert_eq!(rig.one("one").events[0].0, "event of one");
    assert_eq!(rig.one("two").events, []);
}

#[test]
fn a_span_ends_with_its_last_handle_not_with_its_children() {
    let rig = Rig::always_on();
    rig.run(|| {
        let root = info_span!("root");
        let clone = root.clone();
        let child = info_span!(parent: &root, "child");
        drop(root);
        assert_eq!(rig.left().len(), 0);
        drop(clone);
        assert_eq!(rig.left().len(), 1);
        drop(child);
        assert_eq!(rig.left().len(), 2);
    });
    check_child(&rig.one("child"), &rig.one("root"));
}

#[test]
fn guards_in_any_order() {
    let rig = Rig::always_on();
    rig.run(|| {
        let [a, b, c] = ["a", "b", "c"].map(|name| info_span!("span", otel.name = name));
        let (in_a, in_b, in_c) = (a.enter(), b.enter(), c.enter());
        let again = a.enter();
        drop(in_b);
        drop(info_span!("in a"));
        drop(again);
        drop(info_span!("in c"));
        drop(in_a);
        drop(in_c);
        assert_eq!(current(), None);
    });
    check_child(&rig.one("in a"), &rig.one("a"));
    check_child(&rig.one("in c"), &rig.one("c"));
}

#[test]
fn spans_cross_threads() {
    let rig = Rig::always_on();
    let root = rig.run(|| info_span!("root"));
    std::thread::scope(|scope| {
        for number in 0..4 {
            let (root, rig) = (root.clone(), &rig);
            scope.spawn(move || {
                rig.run(|| {
                    let _in = root.enter();
                    let child = info_span!("child", number);
                    info!("from {number}");
                    // Ends on yet another thread.
                    std::thread::scope(|scope| {
                        scope.spawn(move || drop(child));
                    });
                });
            });
        }
    });
    drop(root);
    let root = rig.one("root");
    let left = rig.left();
    let children: Vec<_> = left.iter().filter(|span| span.name == "child").collect();
    assert_eq!((children.len(), root.events.len()), (4, 4));
    children.iter().for_each(|child| check_child(child, &root));
}

#[test]
fn tasks_carry_their_spans() {
    let rig = Rig::always_on();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    rig.run(|| {
        let root = info_span!("root");
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                use tracing::instrument::WithSubscriber;
                let work = async move {
                    tokio::task::yield_now().await;
                    async { tokio::task::yield_now().await }.instrument(info_span!("leaf")).await;
                    assert!(current().is_some());
                };
                let task = work.instrument(info_span!(parent: &root, "task", number));
                runtime.spawn(task.with_current_subscriber())
            })
            .collect();
        tasks.into_iter().for_each(|task| runtime.block_on(task).unwrap());
    });
    let left = rig.left();
    let root = rig.one("root");
    let tasks: Vec<_> = left.iter().filter(|span| span.name == "task").collect();
    tasks.iter().for_each(|task| check_child(task, &root));
    for leaf in left.iter().filter(|span| span.name == "leaf") {
        assert_eq!(tasks.iter().filter(|task| task.id == leaf.parent).count(), 1);
    }
    assert_eq!(left.len(), 41);
}

#[test]
fn deep_recursion() {
    fn deeper(levels: u32) {
        let _span = info_span!("level", levels).entered();
        if levels > 0 {
            deeper(levels - 1);
        }
    }
    let rig = Rig::always_on();
    rig.run(|| deeper(1000));
    let left = rig.left();
    assert_eq!(left.len(), 1001);
    for pair in left.windows(2) {
        check_child(&pair[0], &pair[1]);
    }
}

/// A handle that is never dropped, an exit that never comes.
#[test]
fn leaks_spoil_nothing_else() {
    let rig = Rig::always_on();
    rig.run(|| {
        let leaked = info_span!("leaked");
        std::mem::forget(leaked.clone().entered());
        std::mem::forget(leaked);
        drop(info_span!("child of the leaked"));
        drop(info_span!(parent: None, "root"));
    });
    std::thread::scope(|scope| {
        scope.spawn(|| rig.run(|| drop(info_span!("elsewhere"))));
    });
    let names: Vec<String> = rig.left().into_iter().map(|span| span.name).collect();
    assert_eq!(names, ["child of the leaked", "root", "elsewhere"]);
    assert_eq!(rig.one("elsewhere").parent, "");
}

/// Ids that no span has, as anyone can make them.
#[test]
fn foreign_ids_do_no_harm() {
    let rig = Rig::always_on();
    rig.run(|| {
        let span = info_span!("s").entered();
        for id in [1, 2, 77, u64::MAX, 1 << 32, (1 << 32) + 1, (3 << 32) + 1, u64::MAX - 1] {
            if Some(id) == span.id().map(|id| id.into_u64()) {
                continue;
            }
            let id = tracing::span::Id::from_u64(id);
            tracing::dispatcher::get_default(|dispatch| {
                dispatch.enter(&id);
                dispatch.clone_span(&id);
                dispatch.record_follows_from(&id, &id);
                dispatch.try_close(id.clone());
                dispatch.try_close(id.clone());
                dispatch.exit(&id);
                dispatch.exit(&id);
            });
            drop(info_span!(parent: Some(id), "child"));
        }
    });
    assert_eq!(rig.left().len() as u64, rig.counts().produced);
    assert_eq!(rig.one("s").parent, "");
}

fn remote(flags: u8, state: &str) -> Context {
    let span = SpanContext {
        trace_id: TraceId([7; 16]),
        span_id: SpanId([9; 8]),
        flags: TraceFlags(flags),
        state: TraceState::from_members(state),
        remote: true,
    };
    Context::new(Some(span), [("user", "anna"), ("plan", "free")].into_iter().collect())
}

#[test]
fn remote_parents_state_and_baggage() {
    let rig = Rig::with_baggage(&settings(SamplerSettings::AlwaysOn), &["user".to_owned()]);
    rig.run(|| {
        let attached = remote(1, "vendor=x").attach();
        let server = info_span!("server");
        drop(attached);
        let child = info_span!(parent: &server, "child");
        let context = child.context();
        assert_eq!(context.baggage.get("plan"), Some("free"));
        let span = context.span.unwrap();
        assert_eq!((span.trace_id, span.state.as_str()), (TraceId([7; 16]), "vendor=x"));
        assert!(!span.remote && span.flags.is_sampled());
        drop((child, server));
        let late = info_span!("late");
        late.set_parent(&remote(3, ""));
        late.in_scope(|| drop(info_span!("late child")));
        // Others know it now.
        late.set_parent(&Context::default());
    });
    let server = rig.one("server");
    assert_eq!(
        (server.parent.as_str(), server.trace.as_str()),
        ("09".repeat(8).as_str(), "07".repeat(16).as_str())
    );
    assert_eq!((server.flags, server.state.as_str()), (0x301, "vendor=x"));
    let child = rig.one("child");
    check_child(&child, &server);
    assert_eq!((child.flags, child.state.as_str()), (0x101, "vendor=x"));
    assert_eq!(child.attributes, map(&[("user", "anna")]));
    let late = rig.one("late");
    assert_eq!((late.flags, late.parent.as_str()), (0x303, "09".repeat(8).as_str()));
    check_child(&rig.one("late child"), &late);
}

#[test]
fn context_as_threads_and_tasks_hand_it_on() {
    let rig = Rig::always_on();
    rig.run(|| {
        assert_eq!(Context::current(), Context::default());
        let span = info_span!("root").entered();
        let context = Context::current();
        assert_eq!(context, span.context());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                rig.run(|| {
                    let _attached = context.clone().attach();
                    assert_eq!(Context::current(), context);
                    drop(info_span!("there"));
                });
            });
        });
        // Baggage that joins inside the span goes with its children.
        let baggage: Baggage = [("k", "v")].into_iter().collect();
        let attached = Context::current().with_baggage(baggage.clone()).attach();
        let inner = info_span!("inner");
        assert_eq!(inner.context().baggage, baggage);
        assert_eq!(Context::current().baggage, baggage);
        drop(attached);
        assert!(Context::current().baggage.is_empty());
        // A context around the span changes neither it nor its children.
        drop(span);
        let around = remote(1, "").attach();
        let root = info_span!(parent: None, "other").entered();
        assert_eq!(Context::current().span.unwrap().trace_id, TraceId([7; 16]));
        drop((root, around));
        // Baggage without a parent.
        let _attached = Context::new(None, baggage.clone()).attach();
        assert_eq!(info_span!("alone").context().baggage, baggage);
    });
    check_child(&rig.one("there"), &rig.one("root"));
    check_child(&rig.one("inner"), &rig.one("root"));
    assert_eq!(rig.one("alone").parent, "");
}

#[test]
fn two_stores_on_one_thread() {
    let [outer, inner] = [Rig::always_on(), Rig::always_on()];
    for round in 0..3 {
        outer.run(|| {
            let _span = info_span!("outer", round).entered();
            inner.run(|| {
                drop(info_span!("inner root"));
                let _span = info_span!("inner").entered();
                outer.run(|| drop(info_span!("outer again")));
                drop(info_span!("inner child"));
            });
            drop(info_span!("outer child"));
        });
    }
    for (rig, names) in [
        (&outer, ["outer again", "outer child", "outer"].as_slice()),
        (&inner, &["inner root", "inner child", "inner"]),
    ] {
        let left = rig.left();
        let expect = (0..3).flat_map(|_| names.iter().copied());
        assert!(left.iter().map(|span| span.name.as_str()).eq(expect), "{left:?}");
    }
    assert!(inner.left().iter().all(|span| span.parent.is_empty() == (span.name != "inner child")));
}

#[test]
fn fields_of_the_spans_around() {
    let rig = Rig::always_on();
    rig.run(|| {
        let _outer = info_span!("outer", a = 1, b = 2).entered();
        let inner = info_span!("inner", a = "inner").entered();
        let mut seen = Vec::new();
        let id = inner.id().unwrap().into_u64();
        rig.spans
            .with_fields_of(id, &mut |key, value| seen.push(format!("{key}={}", text(&value))));
        assert_eq!(seen, ["a=inner", "a=1", "b=2"]);
    });
}
