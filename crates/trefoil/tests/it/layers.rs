//! Other layers of `tracing-subscriber` around telemetry.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Subscriber, error, info, info_span, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::registry::LookupSpan;
use trefoil::{Builder, Console, Signal, Trefoil};

use crate::receiver::{Protocol, Receiver};

const DEADLINE: Duration = Duration::from_secs(20);

fn service(receiver: &Receiver) -> Builder {
    Trefoil::builder("layered")
        .variables([("ENV", "test")])
        .console(Console::Off)
        .runtime_metrics(false)
        .otlp(&receiver.url())
}

/// Where a layer writes.
#[derive(Clone, Default)]
pub(crate) struct Text(Arc<Mutex<Vec<u8>>>);

impl Text {
    pub(crate) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Keeps something at each span, and tells what it finds.
#[derive(Clone, Default)]
struct Watching<const N: u8> {
    seen: Arc<Mutex<Vec<String>>>,
    kept: Arc<()>,
}

struct Kept<const N: u8> {
    fields: String,
    _alive: Arc<()>,
}

impl<const N: u8> Visit for Kept<N> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.fields.push_str(&format!("{}={value:?};", field.name()));
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>, const N: u8> Layer<S> for Watching<N> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut kept = Kept::<N> { fields: String::new(), _alive: Arc::clone(&self.kept) };
        attributes.record(&mut kept);
        context.span(id).expect("a new span is there").extensions_mut().insert(kept);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let scope = context.event_scope(event);
        let names: Vec<_> = scope.into_iter().flatten().map(|span| span.name()).collect();
        self.seen.lock().unwrap().push(format!("event in {names:?}"));
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let span = context.span(&id).expect("a span is there until all have heard of its end");
        let extensions = span.extensions();
        let kept: &Kept<N> = extensions.get().expect("what was kept");
        if span.name() == "of a layer" {
            return;
        }
        let line = format!("{} closes: {}", span.name(), kept.fields);
        self.seen.lock().unwrap().push(line);
        // A layer may use spans itself.
        drop(extensions);
        drop(info_span!("of a layer").entered());
        assert!(context.span(&id).is_some(), "it is still there");
    }
}

fn work() {
    let root = info_span!("root", a = 1).entered();
    let child = info_span!("child", b = "x").entered();
    info!("first");
    drop(child);
    warn!("second");
    error!(parent: None, "outside");
    drop(root);
}

#[test]
fn t2_other_layers_see_what_telemetry_sends() {
    let receiver = Receiver::start(Protocol::Http);
    let (text, warnings) = (Text::default(), Text::default());
    let watching = Watching::<1>::default();
    let writer = |text: &Text| {
        let text = text.clone();
        move || text.clone()
    };
    let full = tracing_subscriber::fmt::layer().with_ansi(false).without_time();
    let full = full.with_span_events(FmtSpan::FULL).with_writer(writer(&text));
    let only_warnings = tracing_subscriber::fmt::layer().with_ansi(false).without_time();
    let only_warnings = only_warnings.with_writer(writer(&warnings)).with_filter(LevelFilter::WARN);
    let no_children = Watching::<2>::default();
    let filtered = no_children.clone().with_filter(filter_fn(|m| m.name() != "child"));
    let watch = watching.clone();
    let (telemetry, dispatch) = service(&receiver)
        .layers(move |ours| ours.with(full).with(watch).with(only_warnings).with(filtered))
        .build();
    tracing::dispatcher::with_default(&dispatch, || (0..3).for_each(|_| work()));

    let seen = std::mem::take(&mut *watching.seen.lock().unwrap());
    let once = [
        r#"event in ["child", "root"]"#,
        "child closes: b=\"x\";",
        r#"event in ["root"]"#,
        "event in []",
        "root closes: a=1;",
    ];
    assert_eq!(seen, once.repeat(3));
    // One here, one in the layer.
    assert_eq!(Arc::strong_count(&watching.kept), 2, "what was kept goes with its span");
    let seen = std::mem::take(&mut *no_children.seen.lock().unwrap());
    // What is right inside a span that a filter hides has no scope for that layer:
    // `tracing-subscriber` looks for the nearest visible span in a `Registry` alone.
    let once = ["event in []", r#"event in ["root"]"#, "event in []", "root closes: a=1;"];
    assert_eq!(seen, once.repeat(3));

    let lines = text.lines();
    let child: Vec<_> =
        lines.iter().filter(|line| line.contains("root{a=1}:child{b=\"x\"}")).collect();
    let what = ["new", "enter", "first", "exit", "close"];
    assert_eq!(child.len(), 3 * what.len(), "{lines:#?}");
    assert!(child.iter().zip(what.iter().cycle()).all(|(line, what)| line.contains(what)));
    let warned = warnings.lines();
    assert_eq!(warned.len(), 6, "{warned:#?}");

    let handle = telemetry.handle();
    let report = telemetry.shutdown(DEADLINE);
    assert_eq!(report.lost(), 0, "{report}");
    let spans = receiver.spans();
    assert_eq!(spans.iter().filter(|span| span.name == "child").count(), 3);
    for child in spans.iter().filter(|span| span.name == "child") {
        let parent = spans.iter().find(|span| span.span_id == child.parent_span_id).unwrap();
        assert_eq!(parent.name, "root");
    }
    assert_eq!(handle.counts(Signal::Traces).exported, spans.len() as u64);
}

#[test]
fn t8_layers_work_without_telemetry() {
    let text = Text::default();
    let writer = text.clone();
    let (telemetry, dispatch) = Trefoil::builder("layered")
        .variables([("OTEL_SDK_DISABLED", "true")])
        .console(Console::Off)
        .layers(move |ours| {
            let layer = tracing_subscriber::fmt::layer().with_ansi(false).without_time();
            ours.with(layer.with_writer(move || writer.clone()))
        })
        .build();
    tracing::dispatcher::with_default(&dispatch, work);
    assert!(text.lines()[0].contains("root{a=1}:child{b=\"x\"}"), "{:?}", text.lines());
    assert_eq!(telemetry.counts(Signal::Traces).exported, 0);
    drop(telemetry);
}

/// More open spans than telemetry has places for: layers insist on finding each.
#[test]
fn every_span_is_found_by_layers() {
    let watching = Watching::<1>::default();
    let watch = watching.clone();
    let receiver = Receiver::start(Protocol::Http);
    let (telemetry, dispatch) = service(&receiver).layers(|ours| ours.with(watch)).build();
    tracing::dispatcher::with_default(&dispatch, || {
        let open: Vec<_> = (0..1000).map(|n| info_span!("open", n)).collect();
        let threads: Vec<_> = open.chunks(250).map(<[_]>::to_vec).collect();
        drop(open);
        std::thread::scope(|scope| {
            for spans in threads {
                let dispatch = &dispatch;
                scope.spawn(move || tracing::dispatcher::with_default(dispatch, || drop(spans)));
            }
        });
    });
    assert_eq!(watching.seen.lock().unwrap().len(), 1000);
    // One here, one in the layer.
    assert_eq!(Arc::strong_count(&watching.kept), 2);
    drop(telemetry.shutdown(DEADLINE));
}
