//! The meter API over a [`Registry`].

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use opentelemetry::metrics as api;
use opentelemetry::{InstrumentationScope, KeyValue, Value};

use crate::metric::{
    Buckets, Counter, Gauge, Histogram, Kind, LabelSet, LabelValue, Labels, MetricBuilder, Name,
    Number, Observer, Registry, UpDownCounter,
};

/// Makes instruments of the OpenTelemetry API that record into a registry.
///
/// ```
/// use opentelemetry::metrics::MeterProvider as _;
/// use std::sync::Arc;
///
/// let registry = Arc::new(trefoil::metric::Registry::new());
/// let provider = trefoil::opentelemetry::MeterProvider::new(registry);
/// provider.meter("a-library").u64_counter("things").build().add(1, &[]);
/// ```
#[derive(Clone, Debug)]
pub struct MeterProvider {
    registry: Arc<Registry>,
}

impl MeterProvider {
    /// A provider over a registry.
    #[must_use]
    pub fn new(registry: Arc<Registry>) -> MeterProvider {
        MeterProvider { registry }
    }
}

impl api::MeterProvider for MeterProvider {
    fn meter_with_scope(&self, scope: InstrumentationScope) -> api::Meter {
        api::Meter::new(Arc::new(Meter { registry: Arc::clone(&self.registry), scope }))
    }
}

/// The instruments of one library. Attributes of its scope are not kept.
struct Meter {
    registry: Arc<Registry>,
    scope: InstrumentationScope,
}

impl Meter {
    fn metric(
        &self,
        name: Cow<'static, str>,
        description: Option<Cow<'static, str>>,
        unit: Option<Cow<'static, str>>,
    ) -> MetricBuilder<'_> {
        let version = self.scope.version().unwrap_or_default().to_owned();
        self.registry
            .metric(name)
            .description(description.unwrap_or_default())
            .unit(unit.unwrap_or_default())
            .scope(self.scope.name().to_owned(), version)
    }

    fn histogram<T>(&self, builder: api::HistogramBuilder<'_, T>) -> Histogram<Attributes> {
        let buckets = match builder.boundaries {
            Some(bounds) => Buckets::Explicit(bounds.into()),
            None => Buckets::Default,
        };
        self.metric(builder.name, builder.description, builder.unit).buckets(buckets).histogram()
    }

    /// What the callbacks of an observable say is read with every collection.
    fn observe<I, V: Number>(&self, builder: api::AsyncInstrumentBuilder<'_, I, V>, kind: Kind) {
        let metric = self.metric(builder.name, builder.description, builder.unit);
        let observable = metric.observable::<Attributes, V>(kind);
        for callback in builder.callbacks {
            observable.observe(move |observer| callback(&Observing(observer)));
        }
    }
}

macro_rules! synchronous {
    ($($method:ident $api:ident $value:ty => $make:ident;)*) => {$(
        fn $method(
            &self,
            builder: api::InstrumentBuilder<'_, api::$api<$value>>,
        ) -> api::$api<$value> {
            let metric = self.metric(builder.name, builder.description, builder.unit);
            api::$api::new(Arc::new(metric.$make::<Attributes, $value>()))
        }
    )*};
}

macro_rules! observable {
    ($($method:ident $api:ident $value:ty => $kind:ident;)*) => {$(
        fn $method(
            &self,
            builder: api::AsyncInstrumentBuilder<'_, api::$api<$value>, $value>,
        ) -> api::$api<$value> {
            self.observe(builder, Kind::$kind);
            api::$api::new()
        }
    )*};
}

impl api::InstrumentProvider for Meter {
    synchronous! {
        u64_counter Counter u64 => counter;
        f64_counter Counter f64 => counter;
        i64_up_down_counter UpDownCounter i64 => up_down_counter;
        f64_up_down_counter UpDownCounter f64 => up_down_counter;
        u64_gauge Gauge u64 => gauge;
        i64_gauge Gauge i64 => gauge;
        f64_gauge Gauge f64 => gauge;
    }

    observable! {
        u64_observable_counter ObservableCounter u64 => Counter;
        f64_observable_counter ObservableCounter f64 => Counter;
        i64_observable_up_down_counter ObservableUpDownCounter i64 => UpDownCounter;
        f64_observable_up_down_counter ObservableUpDownCounter f64 => UpDownCounter;
        u64_observable_gauge ObservableGauge u64 => Gauge;
        i64_observable_gauge ObservableGauge i64 => Gauge;
        f64_observable_gauge ObservableGauge f64 => Gauge;
    }

    fn f64_histogram(
        &self,
        builder: api::HistogramBuilder<'_, api::Histogram<f64>>,
    ) -> api::Histogram<f64> {
        api::Histogram::new(Arc::new(self.histogram(builder)))
    }

    fn u64_histogram(
        &self,
        builder: api::HistogramBuilder<'_, api::Histogram<u64>>,
    ) -> api::Histogram<u64> {
        api::Histogram::new(Arc::new(self.histogram(builder)))
    }
}

impl<V: Number> api::SyncInstrument<V> for Counter<Attributes, V> {
    fn measure(&self, measurement: V, attributes: &[KeyValue]) {
        self.add(measurement, attributes);
    }
}

impl<V: Number> api::SyncInstrument<V> for UpDownCounter<Attributes, V> {
    fn measure(&self, measurement: V, attributes: &[KeyValue]) {
        self.add(measurement, attributes);
    }
}

impl<V: Number> api::SyncInstrument<V> for Gauge<Attributes, V> {
    fn measure(&self, measurement: V, attributes: &[KeyValue]) {
        self.set(measurement, attributes);
    }
}

impl api::SyncInstrument<f64> for Histogram<Attributes> {
    fn measure(&self, measurement: f64, attributes: &[KeyValue]) {
        self.record(measurement, attributes);
    }
}

impl api::SyncInstrument<u64> for Histogram<Attributes> {
    fn measure(&self, measurement: u64, attributes: &[KeyValue]) {
        self.record(measurement as f64, attributes);
    }
}

/// What a callback of the API writes to.
struct Observing<'a, 'o, V: Number>(&'a Observer<'o, Attributes, V>);

impl<V: Number> api::AsyncInstrument<V> for Observing<'_, '_, V> {
    fn observe(&self, measurement: V, attributes: &[KeyValue]) {
        self.0.set(measurement, attributes);
    }
}

/// Labels as the API gives them. Of a key that comes twice the last value counts.
#[derive(Debug)]
struct Attributes;

impl LabelSet for Attributes {
    type Of<'a> = &'a [KeyValue];
}

impl Labels for &[KeyValue] {
    const STATES: usize = 0;

    fn state(&self) -> usize {
        0
    }

    fn visit_any(&self, each: &mut dyn FnMut(Name<'_>, bool, LabelValue<'_>)) {
        for (i, pair) in self.iter().enumerate() {
            if self[i + 1..].iter().any(|later| later.key == pair.key) {
                continue;
            }
            let name = Name::Borrowed(pair.key.as_str());
            match &pair.value {
                Value::Bool(value) => each(name, false, LabelValue::Bool(*value)),
                Value::I64(value) => each(name, false, LabelValue::Int(*value)),
                Value::F64(value) => each(name, false, LabelValue::Double(*value)),
                Value::String(value) => each(name, false, LabelValue::Str(value.as_str())),
                other => each(name, false, LabelValue::Str(&other.as_str())),
            }
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Meter({})", self.scope.name())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::metrics::MeterProvider as _;
    use trefoil_wire::exposition::Format;

    use super::*;

    /// All kinds of the API, beside an instrument of ours.
    #[test]
    fn instruments_of_the_api_appear_beside_ours() {
        let registry = Arc::new(Registry::new());
        let ours: Counter = registry.metric("ours_total").counter();
        ours.inc(());
        let provider = MeterProvider::new(Arc::clone(&registry));
        let scope = InstrumentationScope::builder("lib").with_version("2").build();
        let meter = provider.meter_with_scope(scope);
        let labels = [KeyValue::new("b", 2), KeyValue::new("a", "old"), KeyValue::new("a", "new")];
        let counter = meter.u64_counter("theirs").with_unit("By").with_description("D.").build();
        counter.add(3, &labels);
        counter.add(4, &[labels[2].clone(), labels[0].clone()]);
        meter.f64_counter("theirs.seconds").with_unit("s").build().add(0.5, &[]);
        meter.i64_up_down_counter("level").build().add(-2, &[]);
        meter.f64_up_down_counter("level.f").build().add(-0.5, &[]);
        meter.u64_gauge("g.u").build().record(1, &[]);
        meter.i64_gauge("g.i").build().record(-1, &[]);
        meter.f64_gauge("g.f").build().record(1.5, &[]);
        let bounds = vec![1.0, 2.0];
        meter.f64_histogram("h").with_boundaries(bounds).build().record(1.5, &[]);
        meter.u64_histogram("h.u").with_boundaries(Vec::new()).build().record(7, &[]);
        let _ = meter.u64_observable_counter("o.c").with_callback(|o| o.observe(9, &[])).build();
        let _ = meter.f64_observable_counter("o.cf").with_callback(|o| o.observe(9.5, &[])).build();
        let array = Value::Array(vec![1i64, 2].into());
        let _ = meter
            .i64_observable_up_down_counter("o.l")
            .with_callback(move |o| o.observe(-9, &[KeyValue::new("list", array.clone())]))
            .with_callback(|o| o.observe(5, &[KeyValue::new("list", true)]))
            .build();
        let _ = meter.f64_observable_gauge("o.g").with_callback(|o| o.observe(2.5, &[])).build();
        // A meter of the same scope is the same meter.
        provider
            .meter_with_scope(InstrumentationScope::builder("lib").with_version("2").build())
            .u64_counter("theirs")
            .with_unit("By")
            .build()
            .add(1, &labels);

        let text = registry.write_text(Format::Prometheus, None);
        let samples: Vec<_> = text.lines().filter(|line| !line.starts_with("# TYPE")).collect();
        let expect = [
            "g_f 1.5",
            "g_i -1",
            "g_u 1",
            "h_bucket{le=\"1\"} 0",
            "h_bucket{le=\"2\"} 1",
            "h_bucket{le=\"+Inf\"} 1",
            "h_count 1",
            "h_sum 1.5",
            "h_u_bucket{le=\"+Inf\"} 1",
            "h_u_count 1",
            "h_u_sum 7",
            "level -2",
            "level_f -0.5",
            "o_c_total 9",
            "o_cf_total 9.5",
            "o_g 2.5",
            "o_l{list=\"true\"} 5",
            "o_l{list=\"[1,2]\"} -9",
            "ours_total 1",
            "# HELP theirs_bytes_total D.",
            "theirs_bytes_total{b=\"2\",a=\"new\"} 8",
            "theirs_seconds_total 0.5",
        ];
        let mut sorted = samples.clone();
        sorted.sort_unstable();
        let mut expect_sorted = expect.to_vec();
        expect_sorted.sort_unstable();
        assert_eq!(sorted, expect_sorted, "{text}");
        let collected = registry.collect();
        let theirs = collected.iter().find(|metric| metric.definition.name == "theirs").unwrap();
        assert_eq!(
            (&*theirs.definition.scope.name, &*theirs.definition.scope.version),
            ("lib", "2")
        );
    }
}
