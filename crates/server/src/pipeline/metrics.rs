//! Data points, translated to Prometheus series as Prometheus's own OTLP endpoint does by
//! default, and more: deltas are summed up, resource attributes that people ask by become
//! labels, `target_info` has the others.

pub(crate) mod cardinality;
pub(crate) mod delta;
mod exponential;
pub(crate) mod families;
pub(crate) mod known;
mod name;
mod series;

use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashMap;

use trefoil_store::model::{Exemplar, Metadata, MetricKind, STALE_NAN, Sample, SampleValue};
use trefoil_store::{Batch, Labels, ResourceIndex, ScopeIndex, SeriesHandle, SeriesIndex};
use trefoil_wire::otlp::metrics as wire;
use trefoil_wire::protobuf::{Error, Repeated};

use super::attribute::{check_name, resource, scope};
use super::refusal::ItemError;
use super::{Intake, Pipeline};
use delta::{Added, Step};
use exponential::Exponential;
use families::News;
use known::{Cursor, Handles, Key, KeyBytes};
use name::Shape;
use series::{Base, PointLabels};

/// Buckets of one explicit-bounds histogram; each becomes a series.
const BUCKETS_MAX: usize = 1024;
/// Exemplars of one data point that are kept.
const EXEMPLARS_MAX: usize = 64;

/// What must be settled once the batch is stored, or not.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// What was added to running totals; to be taken back if the batch is not stored.
    pub(super) added: Vec<Added>,
    /// What the batch says of families; to be remembered if it is stored.
    pub(super) families: Vec<News>,
    /// Points that went to an overflow series, and the metric of the first.
    pub(super) overflowed: (u64, String),
    /// Sums of what is too much, by series and time.
    sums: HashMap<(Labels, i64), f64>,
    /// Reused for the keys of all points.
    scratch: KeyBytes,
}

impl Effects {
    fn overflows(&mut self, metric: &str) {
        if self.overflowed.0 == 0 {
            metric.clone_into(&mut self.overflowed.1);
        }
        self.overflowed.0 += 1;
    }

    /// The sum of what has overflowed to a series at a time, this value included.
    fn sum(&mut self, labels: &Labels, time_ms: i64, value: f64) -> f64 {
        let sum = self.sums.entry((labels.clone(), time_ms)).or_insert(0.0);
        *sum += value;
        *sum
    }
}

/// Puts the data points of a request into the batch.
///
/// # Errors
/// The request is damaged.
pub(super) fn translate(
    pipeline: &Pipeline,
    request: &[u8],
    intake: &mut Intake<'_>,
    effects: &mut Effects,
) -> Result<(), Error> {
    for resource_metrics in wire::ExportRequest::new(request)?.resource_metrics {
        let resource_metrics = resource_metrics?;
        let home = resource(resource_metrics.resource.as_ref(), resource_metrics.schema_url)
            .and_then(|resource| {
                let base = Base::new(&resource, &pipeline.promoted)?;
                Ok((intake.batch.resource(&resource), base))
            });
        let mut latest_ms = None;
        for scope_metrics in resource_metrics.scope_metrics {
            let scope_metrics = scope_metrics?;
            let place = home.as_ref().map_err(|error| *error).and_then(|(resource, base)| {
                let scope = scope(scope_metrics.scope.as_ref(), scope_metrics.schema_url)?;
                let base =
                    if pipeline.promote_scope { base.with_scope(&scope)? } else { base.clone() };
                Ok(Place::new(pipeline, &mut intake.batch, *resource, &scope, base))
            });
            for metric in scope_metrics.metrics {
                match metric {
                    Ok(metric) => {
                        take(pipeline, intake, effects, &place, &metric, &mut latest_ms)?;
                    }
                    // Its points cannot be counted; the metric counts as one.
                    Err(error) => {
                        intake.received += 1;
                        intake.refusals.refuse(error.into(), 1, "")?;
                    }
                }
            }
        }
        if let (Ok((resource, base)), Some(time_ms)) = (&home, latest_ms) {
            target_info(pipeline, intake, effects, (*resource, base), time_ms);
        }
    }
    Ok(())
}

/// Where the metrics of one scope belong.
struct Place {
    resource: ResourceIndex,
    scope: ScopeIndex,
    base: Base,
    /// Of resource and scope.
    key: Key,
    /// Where the next point is known, most likely.
    cursor: Cell<Cursor>,
}

impl Place {
    fn new(
        pipeline: &Pipeline,
        batch: &mut Batch,
        resource: ResourceIndex,
        scope: &trefoil_store::model::Scope<'_>,
        base: Base,
    ) -> Place {
        let scope = batch.scope(scope);
        let mut bytes = KeyBytes::default();
        bytes.push(batch.resource_bytes(resource));
        bytes.push(batch.scope_bytes(scope));
        let key = pipeline.known.key(bytes.bytes());
        let cursor = Cell::new(pipeline.known.cursor(key));
        Place { resource, scope, base, key, cursor }
    }
}

/// Takes one metric in, or refuses all of it.
fn take(
    pipeline: &Pipeline,
    intake: &mut Intake<'_>,
    effects: &mut Effects,
    place: &Result<Place, ItemError>,
    metric: &wire::Metric<'_>,
    latest_ms: &mut Option<i64>,
) -> Result<(), Error> {
    let count = points(&metric.data);
    intake.received += count;
    let place = match place {
        Ok(place) => place,
        Err(error) => return intake.refusals.refuse(*error, count, metric.name),
    };
    let (name, family, key) = (None, place.key, place.key);
    let mut bytes = std::mem::take(&mut effects.scratch);
    bytes.clear();
    let (now_ns, overflows) = (intake.now_ns, false);
    let mut family = Family {
        pipeline,
        place,
        metric,
        name,
        family,
        key,
        bytes,
        now_ns,
        overflows,
        latest_ms,
        effects,
    };
    let translated = family.translate(intake);
    family.effects.scratch = family.bytes;
    match translated? {
        Ok(()) => Ok(()),
        Err(error) => intake.refusals.refuse(error, count, metric.name),
    }
}

/// Number of data points of a metric; a metric of unknown kind counts as one item.
fn points(data: &wire::Data<'_>) -> u64 {
    (match data {
        wire::Data::Empty => 1,
        wire::Data::Gauge(points) => points.len(),
        wire::Data::Sum(sum) => sum.data_points.len(),
        wire::Data::Histogram(histogram) => histogram.data_points.len(),
        wire::Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        wire::Data::Summary(points) => points.len(),
    }) as u64
}

/// The resource attributes that are no labels of the series, as the labels of a series
/// `target_info` with the value 1. Like Prometheus: only for a resource with an identity
/// and something else to tell.
fn target_info(
    pipeline: &Pipeline,
    intake: &mut Intake<'_>,
    effects: &mut Effects,
    (resource, base): (ResourceIndex, &Base),
    time_ms: i64,
) {
    let batch = &mut intake.batch;
    let scope = batch.scope(&trefoil_store::model::Scope::default());
    let mut bytes = KeyBytes::default();
    bytes.push(b"target_info");
    bytes.push(batch.resource_bytes(resource));
    let key = pipeline.known.key(bytes.bytes());
    let mut cursor = pipeline.known.cursor(key);
    let handles = match pipeline.known.get(&mut cursor, key) {
        Some(handles) => handles,
        None => {
            let Some(labels) = base.target_info() else { return };
            let handles = Handles::new(vec![pipeline.store.series_handle(labels)]);
            pipeline.known.insert(&mut cursor, key, handles.clone());
            handles
        }
    };
    for handle in &*handles {
        let series = batch.known_series(resource, scope, handle);
        let value = SampleValue::Float(1.0);
        batch.sample(series, &Sample { time_ms, start_ms: 0, value });
    }
    let metric = pipeline.known.key(b"target_info");
    if !pipeline.families.knows(metric) {
        let (name, help) = ("target_info".to_owned(), "Target metadata".to_owned());
        let metadata = Metadata { kind: MetricKind::Gauge, unit: String::new(), help };
        batch.metadata(&name, &metadata);
        effects.families.push(News { metric, name, metadata });
    }
}

/// How a sum or histogram relates to the points before it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Temporality {
    Delta,
    Cumulative,
}

fn temporality(number: i32) -> Result<Temporality, ItemError> {
    match number {
        1 => Ok(Temporality::Delta),
        2 => Ok(Temporality::Cumulative),
        _ => Err(ItemError::Rule("temporality_unspecified")),
    }
}

/// One metric on its way to the batch.
struct Family<'f, 'a> {
    pipeline: &'f Pipeline,
    place: &'f Place,
    metric: &'f wire::Metric<'a>,
    /// The translated name, once it was asked for.
    name: Option<String>,
    /// Of the metric, wherever it comes from, and of it at this place.
    family: Key,
    key: Key,
    bytes: KeyBytes,
    /// When the request came.
    now_ns: i64,
    /// The series of the current point are those that have what is too much.
    overflows: bool,
    /// Latest time of any sample of the resource.
    latest_ms: &'f mut Option<i64>,
    effects: &'f mut Effects,
}

/// What every kind of data point has.
struct Common<'c> {
    attributes: trefoil_wire::otlp::Attributes<'c>,
    time_ms: i64,
    start_ms: i64,
    /// There is no value: the series ended.
    is_stale: bool,
}

/// Makes the labels of all series of a point, given those that they have in common and
/// the family's name.
type Make<'m> = &'m mut dyn FnMut(&mut PointLabels<'_>, &str) -> Vec<Labels>;

impl<'f, 'a> Family<'f, 'a> {
    /// Translates the metric. The inner error refuses all its points, the outer one the
    /// request.
    fn translate(&mut self, intake: &mut Intake<'_>) -> Result<Result<(), ItemError>, Error> {
        let metric = *self.metric;
        let kind = match self.prepare() {
            Ok(kind) => kind,
            Err(error) => return Ok(Err(error)),
        };
        let before = intake.refusals.total();
        let total = points(&metric.data);
        let read = match metric.data {
            wire::Data::Sum(sum) => temporality(sum.aggregation_temporality),
            wire::Data::Histogram(histogram) => temporality(histogram.aggregation_temporality),
            wire::Data::ExponentialHistogram(histogram) => {
                temporality(histogram.aggregation_temporality)
            }
            _ => Ok(Temporality::Cumulative),
        };
        let temporality = match read {
            Ok(temporality) => temporality,
            Err(error) => return Ok(Err(error)),
        };
        match metric.data {
            // `prepare` refused it.
            wire::Data::Empty => {}
            wire::Data::Gauge(points)
            | wire::Data::Sum(wire::Points { data_points: points, .. }) => {
                self.each(intake, points, |family, intake, point| {
                    family.number(intake, &point, temporality)
                })?;
            }
            wire::Data::Histogram(histogram) => {
                self.each(intake, histogram.data_points, |family, intake, point| {
                    family.histogram(intake, &point, temporality)
                })?;
            }
            wire::Data::ExponentialHistogram(histogram) => {
                self.each(intake, histogram.data_points, |family, intake, point| {
                    family.exponential(intake, &point, temporality)
                })?;
            }
            wire::Data::Summary(points) => {
                self.each(intake, points, |family, intake, point| family.summary(intake, &point))?;
            }
        }
        if intake.refusals.total() - before < total && !self.pipeline.families.knows(self.family) {
            let unit = metric.unit.to_owned();
            let metadata = Metadata { kind, unit, help: metric.description.to_owned() };
            let name = match self.name() {
                Ok(name) => name.to_owned(),
                Err(error) => return Ok(Err(error)),
            };
            if self.pipeline.families.is_news(&name, &metadata) {
                intake.batch.metadata(&name, &metadata);
            }
            self.effects.families.push(News { metric: self.family, name, metadata });
        }
        Ok(Ok(()))
    }

    /// Translates the name and says what kind of family it is.
    fn prepare(&mut self) -> Result<MetricKind, ItemError> {
        check_name(self.metric.name)?;
        check_name(self.metric.unit)?;
        let (mark, kind) = match &self.metric.data {
            wire::Data::Empty => return Err(ItemError::Rule("no_data")),
            wire::Data::Gauge(_) => (b"g", MetricKind::Gauge),
            wire::Data::Sum(sum) if sum.is_monotonic => (b"c", MetricKind::Counter),
            wire::Data::Sum(_) => (b"u", MetricKind::Gauge),
            wire::Data::Histogram(_) => (b"h", MetricKind::Histogram),
            wire::Data::ExponentialHistogram(_) => (b"e", MetricKind::Histogram),
            wire::Data::Summary(_) => (b"s", MetricKind::Summary),
        };
        self.bytes.push(mark);
        for text in [self.metric.name, self.metric.unit, self.metric.description] {
            self.bytes.push(text.as_bytes());
        }
        self.family = self.pipeline.known.key(self.bytes.bytes());
        self.bytes.clear();
        self.bytes.push_key(self.place.key);
        self.bytes.push_key(self.family);
        self.key = self.pipeline.known.key(self.bytes.bytes());
        Ok(kind)
    }

    /// The translated name.
    fn name(&mut self) -> Result<&str, ItemError> {
        if self.name.is_none() {
            let shape = match &self.metric.data {
                wire::Data::Gauge(_) => Shape::Gauge,
                wire::Data::Sum(sum) if sum.is_monotonic => Shape::Counter,
                _ => Shape::Other,
            };
            self.name = name::translate(self.metric.name, self.metric.unit, shape);
        }
        self.name.as_deref().ok_or(ItemError::Rule("empty_name"))
    }

    /// Runs `translate` on each point; a refused one keeps the others.
    fn each<T: trefoil_wire::protobuf::Decode<'a>>(
        &mut self,
        intake: &mut Intake<'_>,
        points: Repeated<'a, T>,
        mut translate: impl FnMut(&mut Self, &mut Intake<'_>, T) -> Result<(), ItemError>,
    ) -> Result<(), Error> {
        for point in points {
            let result = match point {
                Ok(point) => translate(self, intake, point),
                Err(error) => Err(error.into()),
            };
            if let Err(error) = result {
                intake.refusals.refuse(error, 1, self.metric.name)?;
            }
        }
        Ok(())
    }

    fn common<'c>(
        &self,
        intake: &mut Intake<'_>,
        attributes: trefoil_wire::otlp::Attributes<'c>,
        (start_ns, time_ns): (u64, u64),
        flags: u32,
    ) -> Result<Common<'c>, ItemError> {
        let time_ms = intake.check_time(time_ns, self.pipeline.retention.metrics)? / 1_000_000;
        Ok(Common {
            attributes,
            time_ms,
            start_ms: i64::try_from(start_ns / 1_000_000).unwrap_or(0),
            is_stale: flags & wire::NO_RECORDED_VALUE != 0,
        })
    }

    /// The series of a point. `more` adds to the key what they depend on besides the
    /// attributes; `make` is only called if they were not seen before.
    fn series(
        &mut self,
        common: &Common<'_>,
        more: impl FnOnce(&mut KeyBytes),
        make: Make<'_>,
    ) -> Result<Handles, ItemError> {
        self.overflows = false;
        self.bytes.clear();
        self.bytes.push_key(self.key);
        self.bytes.push_messages(&common.attributes);
        more(&mut self.bytes);
        let pipeline = self.pipeline;
        let known = &pipeline.known;
        let key = known.key(self.bytes.bytes());
        let place = self.place;
        let mut cursor = place.cursor.get();
        if let Some(handles) = known.get(&mut cursor, key) {
            place.cursor.set(cursor);
            return Ok(handles);
        }
        let mut labels = place.base.with_attributes(common.attributes)?;
        let name = self.name()?.to_owned();
        if !pipeline.cardinality.admits(&name, &labels, self.now_ns) {
            // The end of one of many series is not the end of all; and the running total of
            // deltas that come and go would be nobody's.
            if common.is_stale || self.is_delta() {
                return Err(ItemError::Rule("too_many_series"));
            }
            labels = place.base.overflow();
            self.overflows = true;
            self.effects.overflows(&name);
        }
        let all = make(&mut labels, &name);
        let handle = |labels| pipeline.store.series_handle(labels);
        let handles = Handles::new(all.into_iter().map(handle).collect());
        if !self.overflows {
            known.insert(&mut cursor, key, handles.clone());
            place.cursor.set(cursor);
        }
        Ok(handles)
    }

    /// The one series of a point that has no more.
    fn only_series(&mut self, common: &Common<'_>) -> Result<SeriesHandle, ItemError> {
        let handles = self.series(common, |_| (), &mut |labels, name| {
            labels.set("__name__", name.to_owned());
            vec![labels.build()]
        })?;
        match handles {
            Handles::One(handle) => Ok(handle),
            Handles::Many(handles) => handles.first().cloned().ok_or(ItemError::Rule("empty_name")),
        }
    }

    fn is_delta(&self) -> bool {
        let number = match &self.metric.data {
            wire::Data::Sum(sum) => sum.aggregation_temporality,
            wire::Data::Histogram(histogram) => histogram.aggregation_temporality,
            wire::Data::ExponentialHistogram(histogram) => histogram.aggregation_temporality,
            _ => 0,
        };
        matches!(temporality(number), Ok(Temporality::Delta))
    }

    /// Adds a sample to a series. What overflows is summed up over the request; of gauges
    /// the last one counts.
    fn put(
        &mut self,
        batch: &mut Batch,
        common: &Common<'_>,
        series: &SeriesHandle,
        value: f64,
    ) -> SeriesIndex {
        let value = if common.is_stale { STALE_NAN } else { value };
        let adds_up = self.overflows && !matches!(self.metric.data, wire::Data::Gauge(_));
        let value = match adds_up {
            true => self.effects.sum(series.labels(), common.time_ms, value),
            false => value,
        };
        self.put_value(batch, common, series, SampleValue::Float(value))
    }

    fn put_value(
        &mut self,
        batch: &mut Batch,
        common: &Common<'_>,
        series: &SeriesHandle,
        value: SampleValue,
    ) -> SeriesIndex {
        let series = batch.known_series(self.place.resource, self.place.scope, series);
        let (time_ms, start_ms) = (common.time_ms, common.start_ms);
        batch.sample(series, &Sample { time_ms, start_ms, value });
        *self.latest_ms = Some(self.latest_ms.map_or(time_ms, |latest| latest.max(time_ms)));
        series
    }

    fn number(
        &mut self,
        intake: &mut Intake<'_>,
        point: &wire::NumberPoint<'_>,
        temporality: Temporality,
    ) -> Result<(), ItemError> {
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        let mut common = self.common(intake, point.attributes, times, point.flags)?;
        let mut value = match point.value {
            Some(value) => value.as_f64(),
            None if common.is_stale => 0.0,
            None => return Err(ItemError::Rule("no_value")),
        };
        let exemplars = exemplars(point.exemplars)?;
        let handle = self.only_series(&common)?;
        if temporality == Temporality::Delta && !common.is_stale {
            let mut values = [value];
            self.add_to_total(handle.labels(), &mut common, 0, &mut values)?;
            value = values[0];
        }
        let series = self.put(&mut intake.batch, &common, &handle, value);
        for exemplar in &exemplars {
            intake.batch.exemplar(series, exemplar);
        }
        Ok(())
    }

    fn add_to_total(
        &mut self,
        key: &Labels,
        common: &mut Common<'_>,
        layout: u64,
        values: &mut [f64],
    ) -> Result<(), ItemError> {
        let step = Step { start_ms: common.start_ms, time_ms: common.time_ms, layout };
        let (start_ms, added) =
            self.pipeline.totals.add(key, step, values).map_err(delta::Refused::reason)?;
        common.start_ms = start_ms;
        self.effects.added.push(added);
        Ok(())
    }

    /// A histogram with explicit bounds: `_bucket` series with cumulated counts, `_count`,
    /// and `_sum` if there is one.
    fn histogram(
        &mut self,
        intake: &mut Intake<'_>,
        point: &wire::HistogramPoint<'_>,
        temporality: Temporality,
    ) -> Result<(), ItemError> {
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        let mut common = self.common(intake, point.attributes, times, point.flags)?;
        let bounds = bounds(point)?;
        // count, sum, then the buckets: one list, because deltas are added all together.
        let mut values = vec![point.count as f64, point.sum.unwrap_or(0.0)];
        for count in point.bucket_counts.iter().take(BUCKETS_MAX + 2) {
            values.push(count? as f64);
        }
        let buckets = values.len() - 2;
        if buckets > BUCKETS_MAX {
            return Err(ItemError::Rule("too_many_buckets"));
        }
        if buckets != bounds.len() + 1 && !(buckets == 0 && bounds.is_empty()) && !common.is_stale {
            return Err(ItemError::Rule("bucket_mismatch"));
        }
        let exemplars = exemplars(point.exemplars)?;
        let has_sum = point.sum.is_some();
        let handles = self.histogram_series(&common, point, &bounds)?;
        // The last stands for all of them in the totals.
        let Some((key, handles)) = handles.split_last() else { return Ok(()) };
        if temporality == Temporality::Delta && !common.is_stale {
            let layout = layout(&bounds, has_sum);
            self.add_to_total(key.labels(), &mut common, layout, &mut values)?;
        }
        let mut series = Vec::with_capacity(handles.len());
        let mut cumulated = 0.0;
        for (at, handle) in handles.iter().enumerate() {
            let value = match at.cmp(&bounds.len()) {
                Ordering::Less => {
                    cumulated += values.get(2 + at).copied().unwrap_or(0.0);
                    cumulated
                }
                // +Inf, then the count, then the sum.
                _ if at < bounds.len() + 2 => values[0],
                _ => values[1],
            };
            series.push(self.put(&mut intake.batch, &common, handle, value));
        }
        for exemplar in &exemplars {
            let at = bounds.partition_point(|bound| *bound < exemplar.value);
            intake.batch.exemplar(series[at], exemplar);
        }
        Ok(())
    }

    /// The `_bucket` series, the last of them `+Inf`, `_count`, `_sum` if there is one; and
    /// last one that is not stored, of the family's own name.
    fn histogram_series(
        &mut self,
        common: &Common<'_>,
        point: &wire::HistogramPoint<'_>,
        bounds: &[f64],
    ) -> Result<Handles, ItemError> {
        let has_sum = point.sum.is_some();
        let more = |key: &mut KeyBytes| {
            key.push_numbers(&point.explicit_bounds);
            key.push(&[u8::from(has_sum)]);
        };
        self.series(common, more, &mut |labels, name| {
            let mut all = Vec::with_capacity(bounds.len() + 4);
            labels.set("__name__", format!("{name}_bucket"));
            for bound in bounds {
                labels.set("le", shortest(*bound));
                all.push(labels.build());
            }
            labels.set("le", "+Inf");
            all.push(labels.build());
            labels.set("le", "");
            for (suffix, is) in [("_count", true), ("_sum", has_sum), ("", true)] {
                if is {
                    labels.set("__name__", format!("{name}{suffix}"));
                    all.push(labels.build());
                }
            }
            all
        })
    }

    /// An exponential histogram: samples of a native histogram.
    fn exponential(
        &mut self,
        intake: &mut Intake<'_>,
        point: &wire::ExponentialHistogramPoint<'_>,
        temporality: Temporality,
    ) -> Result<(), ItemError> {
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        let mut common = self.common(intake, point.attributes, times, point.flags)?;
        let handle = self.only_series(&common)?;
        if common.is_stale {
            self.put(&mut intake.batch, &common, &handle, STALE_NAN);
            return Ok(());
        }
        let exemplars = exemplars(point.exemplars)?;
        let mut histogram = Exponential::read(point)?;
        if temporality == Temporality::Delta {
            let step = Step { start_ms: common.start_ms, time_ms: common.time_ms, layout: 0 };
            let (start_ms, added) = self
                .pipeline
                .totals
                .add_exponential(handle.labels(), step, &mut histogram)
                .map_err(delta::Refused::reason)?;
            common.start_ms = start_ms;
            self.effects.added.push(added);
        }
        let value = SampleValue::Histogram(Box::new(histogram.to_native()));
        let series = self.put_value(&mut intake.batch, &common, &handle, value);
        for exemplar in &exemplars {
            intake.batch.exemplar(series, exemplar);
        }
        Ok(())
    }

    /// A summary: one series per quantile, `_sum` and `_count`.
    fn summary(
        &mut self,
        intake: &mut Intake<'_>,
        point: &wire::SummaryPoint<'_>,
    ) -> Result<(), ItemError> {
        let times = (point.start_time_unix_nano, point.time_unix_nano);
        let common = self.common(intake, point.attributes, times, point.flags)?;
        if point.quantile_values.len() > BUCKETS_MAX {
            return Err(ItemError::Rule("too_many_buckets"));
        }
        let quantiles: Vec<_> = point.quantile_values.iter().collect::<Result<_, _>>()?;
        let more = |key: &mut KeyBytes| {
            for at in &quantiles {
                key.push(&at.quantile.to_bits().to_le_bytes());
            }
        };
        let handles = self.series(&common, more, &mut |labels, name| {
            let mut all = Vec::with_capacity(quantiles.len() + 2);
            for suffix in ["_count", "_sum"] {
                labels.set("__name__", format!("{name}{suffix}"));
                all.push(labels.build());
            }
            labels.set("__name__", name.to_owned());
            for at in &quantiles {
                labels.set("quantile", shortest(at.quantile));
                all.push(labels.build());
            }
            all
        })?;
        let values = [point.count as f64, point.sum].into_iter();
        let values = values.chain(quantiles.iter().map(|at| at.value));
        for (handle, value) in handles.iter().zip(values) {
            self.put(&mut intake.batch, &common, handle, value);
        }
        Ok(())
    }
}

/// The explicit bounds without a last `+Inf`, which some senders add.
fn bounds(point: &wire::HistogramPoint<'_>) -> Result<Vec<f64>, ItemError> {
    let mut bounds = Vec::new();
    for bound in point.explicit_bounds {
        let bound = bound?;
        if bounds.len() == BUCKETS_MAX {
            return Err(ItemError::Rule("too_many_buckets"));
        }
        if bound.is_nan() || bounds.last().is_some_and(|last| *last >= bound) {
            return Err(ItemError::Rule("bounds_not_ascending"));
        }
        bounds.push(bound);
    }
    Ok(bounds)
}

/// Tells histograms with other bounds apart (FNV-1a over their bits).
fn layout(bounds: &[f64], has_sum: bool) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ u64::from(has_sum);
    for byte in bounds.iter().flat_map(|bound| bound.to_bits().to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash
}

/// A bound or quantile as Prometheus writes it in a label: shortest, without exponent.
fn shortest(number: f64) -> String {
    if number == f64::INFINITY {
        "+Inf".to_owned()
    } else if number == f64::NEG_INFINITY {
        "-Inf".to_owned()
    } else {
        number.to_string()
    }
}

/// Characters of an exemplar's labels together, as OpenMetrics allows. Ids come first;
/// what of the attributes does not fit is left out, all together.
const EXEMPLAR_CHARS_MAX: usize = 128;

fn exemplars(views: Repeated<'_, wire::Exemplar<'_>>) -> Result<Vec<Exemplar>, ItemError> {
    let mut exemplars = Vec::new();
    for view in views.iter().take(EXEMPLARS_MAX) {
        let view = view?;
        let Some(value) = view.value else { continue };
        let mut labels = PointLabels::default();
        if let Some(id) = view.trace_id() {
            labels.set("trace_id", hex(&id));
        }
        if let Some(id) = view.span_id() {
            labels.set("span_id", hex(&id));
        }
        let with_ids = labels.build();
        labels.add_attributes(view.filtered_attributes)?;
        let all = labels.build();
        let chars: usize = all.iter().map(|(n, v)| n.chars().count() + v.chars().count()).sum();
        exemplars.push(Exemplar {
            time_ms: i64::try_from(view.time_unix_nano / 1_000_000).unwrap_or(0),
            value: value.as_f64(),
            labels: if chars <= EXEMPLAR_CHARS_MAX { all } else { with_ids },
        });
    }
    Ok(exemplars)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
