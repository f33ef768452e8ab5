use std::panic::{AssertUnwindSafe, catch_unwind};

use super::*;
use crate::span::SpanExt;

#[test]
fn spans_and_logs_become_the_same_text_in_each_run() {
    let captured = capture("shop");
    captured.run(|| {
        let order = tracing::info_span!("order", order.id = 7, paid = false);
        let _in = order.enter();
        tracing::info_span!("charge", otel.kind = "client").in_scope(|| {
            tracing::warn!(attempt = 2, "card refused");
        });
        let ship = tracing::info_span!("ship");
        ship.add_event("packed", &[("boxes", 2.into())]);
        ship.record_error(&std::fmt::Error);
    });
    captured.assert_logs(r#"WARN "card refused" attempt=2 in charge"#);
    assert_eq!(captured.logs()[0].trace_id, Some(captured.spans()[0].trace_id));
    let tree = captured.tree();
    assert!(tree.starts_with("order order.id=7 paid=false\n  charge (client)\n"), "{tree}");
    assert!(tree.contains("\n  ship ERROR"), "{tree}");
    assert!(tree.contains("\n    * packed boxes=2\n"), "{tree}");
}

#[test]
fn what_is_not_as_expected_is_shown_with_both_sides() {
    let captured = capture("shop");
    captured.run(|| tracing::info_span!("order").in_scope(|| ()));
    let failed = catch_unwind(AssertUnwindSafe(|| captured.assert_tree("order\n  charge")));
    let message = failed.unwrap_err();
    let message = message.downcast_ref::<String>().unwrap();
    assert!(message.contains("  order\n-   charge\n"), "{message}");
}

#[test]
fn captures_do_not_see_each_other_and_follow_futures_and_threads() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (one, two) = (capture("one"), capture("two"));
    let work = |name: &'static str| async move {
        tracing::info_span!("work", name).in_scope(tokio::task::yield_now).await;
    };
    runtime.block_on(async {
        tokio::join!(one.instrument(work("one")), two.instrument(work("two")));
    });
    one.assert_tree("work name=\"one\"");
    two.assert_tree("work name=\"two\"");
    let dispatch = two.dispatch().clone();
    std::thread::spawn(move || with_default(&dispatch, || tracing::info!("elsewhere")));
    two.wait_for("the thread's record", |captured| captured.logs().len() == 1);
}

#[test]
fn metrics_of_the_process_are_seen_as_what_changed() {
    crate::label_enum! {
        enum Status { Success, Failure }
    }
    crate::labels! {
        struct Of { status: Status }
    }
    crate::metrics! {
        /// For this test alone.
        static CAPTURED: crate::Counter<Of> = "captured_total";
        /// For this test alone.
        static TOOK: crate::Histogram = "captured_seconds", unit "s";
    }
    CAPTURED.add(5, Of { status: Status::Success });
    let captured = capture("shop");
    CAPTURED.add(2, Of { status: Status::Success });
    CAPTURED.add(1, Of { status: Status::Failure });
    TOOK.record(0.5, ());
    let text = captured.metric_text();
    let mine: String = text
        .lines()
        .filter(|line| line.starts_with("captured_"))
        .map(|line| line.to_owned() + "\n")
        .collect();
    assert_text(
        "
        captured_seconds n=1
        captured_total{status=\"failure\"} 1
        captured_total{status=\"success\"} 2
        ",
        &mine,
    );
}
