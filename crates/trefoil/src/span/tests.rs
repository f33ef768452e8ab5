//! Spans as they leave, through `tracing`'s macros, decoded again.

mod basics;
#[cfg(feature = "opentelemetry")]
mod bridge;
mod cost;
mod exemplars;
mod lineage;
mod model;
mod sampling;
mod stress;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use trefoil_wire::otlp::AnyValue;
use trefoil_wire::otlp::trace::Span as View;
use trefoil_wire::protobuf::{Decode, Reader};

use super::*;
use crate::account::Counts;
use crate::config::{BatchSettings, Console, ConsoleStream, LogSettings, SamplerSettings};
use crate::context::TraceFlags;
use crate::id::{SpanId, TraceId};
use crate::log::{Levels, Logs};
use crate::subscriber::Subscriber;

/// A store whose spans and log records can be looked at.
pub(super) struct Rig {
    pub(super) spans: Spans,
    pub(super) dispatch: tracing::Dispatch,
    pub(super) account: Arc<Account>,
    pub(super) log_account: Arc<Account>,
}

/// A span that left.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Left {
    pub(super) scope: &'static str,
    pub(super) urgent: bool,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) name: String,
    pub(super) kind: i32,
    pub(super) state: String,
    pub(super) flags: u32,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) attributes: BTreeMap<String, String>,
    pub(super) events: Vec<(String, BTreeMap<String, String>)>,
    pub(super) links: Vec<(String, String, BTreeMap<String, String>)>,
    pub(super) dropped: (u32, u32, u32),
    pub(super) status: (i32, String),
}

pub(super) fn settings(sampler: SamplerSettings) -> TraceSettings {
    TraceSettings {
        exporters: Vec::new(),
        levels: "info".to_owned(),
        sampler,
        keep: KeepSettings::default(),
        limits: SpanLimits::default(),
        batch: BatchSettings::default(),
        span_events: true,
        code_location: false,
    }
}

fn log_settings() -> LogSettings {
    LogSettings {
        exporters: Vec::new(),
        batch: BatchSettings::default(),
        console: Console::Off,
        console_stream: ConsoleStream::ByForm,
        levels: "info".to_owned(),
        subsystems: Vec::new(),
        limits: Default::default(),
        code_location: false,
        span_fields: Vec::new(),
        repeat_limit: None,
        body: crate::log::LogBody::Message,
        follow_sampling: true,
    }
}

impl Rig {
    pub(super) fn always_on() -> Rig {
        Rig::new(&settings(SamplerSettings::AlwaysOn))
    }

    pub(super) fn new(settings: &TraceSettings) -> Rig {
        Rig::with_baggage(settings, &[])
    }

    pub(super) fn with_baggage(settings: &TraceSettings, baggage: &[String]) -> Rig {
        let accounts = [(); 2].map(|()| Arc::new(Account::default()));
        let queues =
            accounts.clone().map(|a| Arc::new(Queue::new(BatchSettings::default(), a.clone())));
        let ([account, log_account], [queue, logs]) = (accounts, queues);
        let own =
            Logs::new(&log_settings(), &["test"], &[], logs.clone(), log_account.clone(), None);
        let mut spans = Spans::new(
            settings,
            baggage,
            true,
            Arc::new(Sampler::new(&settings.sampler)),
            (queue, Arc::clone(&account)),
            (logs, Arc::clone(&log_account)),
        );
        let store = Arc::get_mut(&mut spans.0).unwrap();
        store.spans_out = Outlet::Captured(Mutex::default());
        store.logs_out = Outlet::Captured(Mutex::default());
        let dispatch =
            Subscriber::new(spans.clone(), Levels::new(&settings.levels), Arc::new(own)).into();
        Rig { spans, dispatch, account, log_account }
    }

    /// The same, but what leaves is thrown away.
    pub(super) fn nowhere(settings: &TraceSettings) -> Rig {
        Rig::over_queue(settings, |store| store.spans_out = Outlet::Nowhere).0
    }

    /// The same, but what leaves goes to a queue, as in a program.
    pub(super) fn queued(settings: &TraceSettings) -> (Rig, Arc<Queue>) {
        Rig::over_queue(settings, |_| {})
    }

    fn over_queue(settings: &TraceSettings, change: impl FnOnce(&mut Store)) -> (Rig, Arc<Queue>) {
        let mut rig = Rig::new(settings);
        let account = Arc::clone(&rig.account);
        let queue = Arc::new(Queue::new(BatchSettings::default(), Arc::clone(&account)));
        let own =
            Logs::new(&log_settings(), &["test"], &[], queue.clone(), Arc::clone(&account), None);
        let sampler = Arc::new(Sampler::new(&settings.sampler));
        let log = (queue.clone(), Arc::clone(&account));
        let mut spans = Spans::new(settings, &[], true, sampler, (queue.clone(), account), log);
        change(Arc::get_mut(&mut spans.0).unwrap());
        let levels = Levels::new(&settings.levels);
        rig.dispatch = Subscriber::new(spans.clone(), levels, Arc::new(own)).into();
        rig.spans = spans;
        (rig, queue)
    }

    pub(super) fn run<T>(&self, work: impl FnOnce() -> T) -> T {
        tracing::dispatcher::with_default(&self.dispatch, work)
    }

    /// All that left so far, in order.
    pub(super) fn left(&self) -> Vec<Left> {
        let captured = self.spans.0.spans_out.captured();
        captured.iter().map(|(scope, priority, bytes)| decode(scope, *priority, bytes)).collect()
    }

    /// The span of this name that left.
    pub(super) fn one(&self, name: &str) -> Left {
        let mut found = self.left();
        found.retain(|span| span.name == name);
        assert_eq!(found.len(), 1, "spans called {name} among {:?}", self.left());
        found.remove(0)
    }

    pub(super) fn logs(&self) -> Vec<Vec<u8>> {
        self.spans.0.logs_out.captured().into_iter().map(|(_, _, bytes)| bytes).collect()
    }

    pub(super) fn counts(&self) -> Counts {
        self.account.read()
    }
}

impl Outlet {
    fn captured(&self) -> Vec<(&'static str, Priority, Vec<u8>)> {
        match self {
            Outlet::Captured(captured) => captured.lock().unwrap().clone(),
            Outlet::Nowhere | Outlet::Queue(_) => panic!("nothing is captured"),
        }
    }
}

fn decode(scope: &'static str, priority: Priority, bytes: &[u8]) -> Left {
    let view = View::decode(Reader::new(bytes)).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    Left {
        scope,
        urgent: priority == Priority::Error,
        trace: hex(&view.trace_id().unwrap()),
        id: hex(&view.span_id().unwrap()),
        parent: view.parent_span_id().unwrap().map(|id| hex(&id)).unwrap_or_default(),
        name: view.name.to_owned(),
        kind: view.kind,
        state: view.trace_state.to_owned(),
        flags: view.flags,
        start: view.start_time_unix_nano,
        end: view.end_time_unix_nano,
        attributes: pairs(&view.attributes),
        events: view
            .events
            .iter()
            .map(|event| event.map(|e| (e.name.to_owned(), pairs(&e.attributes))).unwrap())
            .collect(),
        links: view
            .links
            .iter()
            .map(|link| {
                let link = link.unwrap();
                let (trace, span) = (link.trace_id().unwrap(), link.span_id().unwrap());
                (hex(&trace), hex(&span), pairs(&link.attributes))
            })
            .collect(),
        dropped: (
            view.dropped_attributes_count,
            view.dropped_events_count,
            view.dropped_links_count,
        ),
        status: view.status.map(|s| (s.code, s.message.to_owned())).unwrap_or_default(),
    }
}

fn pairs(attributes: &trefoil_wire::otlp::Attributes<'_>) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    for attribute in attributes {
        let attribute = attribute.unwrap();
        let value = text(&attribute.value);
        let before = pairs.insert(attribute.key.to_owned(), value);
        assert_eq!(before, None, "{} stands twice", attribute.key);
    }
    pairs
}

fn text(value: &AnyValue<'_>) -> String {
    match value {
        AnyValue::Empty => "-".to_owned(),
        AnyValue::Str(value) => (*value).to_owned(),
        AnyValue::Bool(value) => value.to_string(),
        AnyValue::Int(value) => value.to_string(),
        AnyValue::Double(value) => format!("{value:?}"),
        AnyValue::Array(values) => {
            let values: Vec<_> = values.iter().map(|value| text(&value.unwrap())).collect();
            format!("[{}]", values.join(","))
        }
        AnyValue::Map(_) | AnyValue::Bytes(_) => panic!("unexpected {value:?}"),
    }
}

/// Attributes as a test writes them.
pub(super) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}
