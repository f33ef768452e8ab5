use trefoil_otlp_messages::metrics::v1::exemplar::Value as ExemplarValue;
use trefoil_otlp_messages::metrics::v1::exponential_histogram_data_point::Buckets;
use trefoil_otlp_messages::metrics::v1::metric::Data;
use trefoil_otlp_messages::metrics::v1::number_data_point::Value as NumberValue;
use trefoil_otlp_messages::metrics::v1::summary_data_point::ValueAtQuantile;
use trefoil_otlp_messages::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, MetricsData, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum,
    Summary, SummaryDataPoint,
};
use trefoil_wire::otlp::metrics::Number;
use trefoil_wire::otlp::metrics::write::{self, MetricsWriter, Temporality};
use trefoil_wire::otlp::{metrics, schema};
use trefoil_wire::protobuf::Writer;

use crate::origin::{
    attributes, each_attribute, random_attributes, random_resource, random_scope, resource, scope,
    write_resource, write_scope, write_value,
};
use crate::random::Random;

#[test]
fn metrics_agree_with_prost() {
    crate::check(&schema::METRICS_REQUEST, random, read, write);
}

fn random(random: &mut Random) -> MetricsData {
    let resource_metrics = random.list(3, |random| ResourceMetrics {
        resource: random.option(random_resource),
        scope_metrics: random.list(3, |random| ScopeMetrics {
            scope: random.option(random_scope),
            metrics: random.list(4, random_metric),
            schema_url: random.text(),
        }),
        schema_url: random.text(),
    });
    MetricsData { resource_metrics }
}

fn random_metric(random: &mut Random) -> Metric {
    let temporality = random.below(2) as i32 + 1;
    let data = match random.below(5) {
        0 => Data::Gauge(Gauge { data_points: random.list(3, random_number) }),
        1 => Data::Sum(Sum {
            data_points: random.list(3, random_number),
            aggregation_temporality: temporality,
            is_monotonic: random.bool(),
        }),
        2 => Data::Histogram(Histogram {
            data_points: random.list(3, random_histogram),
            aggregation_temporality: temporality,
        }),
        3 => Data::ExponentialHistogram(ExponentialHistogram {
            data_points: random.list(3, random_exponential),
            aggregation_temporality: temporality,
        }),
        _ => Data::Summary(Summary { data_points: random.list(3, random_summary) }),
    };
    Metric {
        name: random.text(),
        description: random.text(),
        unit: random.text(),
        metadata: random_attributes(random),
        data: Some(data),
    }
}

fn random_number(random: &mut Random) -> NumberDataPoint {
    NumberDataPoint {
        attributes: random_attributes(random),
        start_time_unix_nano: random.wide(),
        time_unix_nano: random.wide(),
        exemplars: random.list(2, random_exemplar),
        flags: random.u32(),
        value: match random.below(3) {
            0 => None,
            1 => Some(NumberValue::AsInt(random.i64())),
            _ => Some(NumberValue::AsDouble(random.f64())),
        },
    }
}

fn random_exemplar(random: &mut Random) -> Exemplar {
    Exemplar {
        filtered_attributes: random_attributes(random),
        time_unix_nano: random.wide(),
        span_id: random.id(8),
        trace_id: random.id(16),
        value: Some(match random.bool() {
            true => ExemplarValue::AsInt(random.i64()),
            false => ExemplarValue::AsDouble(random.f64()),
        }),
    }
}

fn random_histogram(random: &mut Random) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: random_attributes(random),
        start_time_unix_nano: random.wide(),
        time_unix_nano: random.wide(),
        count: random.wide(),
        sum: random.option(Random::f64),
        bucket_counts: random.list(5, Random::wide),
        explicit_bounds: random.list(5, Random::f64),
        exemplars: random.list(2, random_exemplar),
        flags: random.u32(),
        min: random.option(Random::f64),
        max: random.option(Random::f64),
    }
}

fn random_exponential(random: &mut Random) -> ExponentialHistogramDataPoint {
    let buckets = |random: &mut Random| Buckets {
        offset: random.i32(),
        bucket_counts: random.list(5, Random::wide),
    };
    ExponentialHistogramDataPoint {
        attributes: random_attributes(random),
        start_time_unix_nano: random.wide(),
        time_unix_nano: random.wide(),
        count: random.wide(),
        sum: random.option(Random::f64),
        scale: random.i32(),
        zero_count: random.wide(),
        positive: random.option(buckets),
        negative: random.option(buckets),
        flags: random.u32(),
        exemplars: random.list(2, random_exemplar),
        min: random.option(Random::f64),
        max: random.option(Random::f64),
        zero_threshold: random.f64(),
    }
}

fn random_summary(random: &mut Random) -> SummaryDataPoint {
    SummaryDataPoint {
        attributes: random_attributes(random),
        start_time_unix_nano: random.wide(),
        time_unix_nano: random.wide(),
        count: random.wide(),
        sum: random.f64(),
        quantile_values: random
            .list(3, |random| ValueAtQuantile { quantile: random.f64(), value: random.f64() }),
        flags: random.u32(),
    }
}

fn read(bytes: &[u8]) -> MetricsData {
    let request = metrics::ExportRequest::new(bytes).unwrap();
    let resource_metrics = request.resource_metrics.iter().map(|view| view.unwrap());
    let resource_metrics = resource_metrics.map(|view| ResourceMetrics {
        resource: view.resource.map(resource),
        scope_metrics: view.scope_metrics.iter().map(|view| read_scope(view.unwrap())).collect(),
        schema_url: view.schema_url.to_owned(),
    });
    MetricsData { resource_metrics: resource_metrics.collect() }
}

fn read_scope(view: metrics::ScopeMetrics<'_>) -> ScopeMetrics {
    let all = view.metrics.iter().map(|metric| metric.unwrap());
    let metrics = all.map(|metric| Metric {
        name: metric.name.to_owned(),
        description: metric.description.to_owned(),
        unit: metric.unit.to_owned(),
        metadata: attributes(metric.metadata),
        data: read_data(metric.data),
    });
    ScopeMetrics {
        metrics: metrics.collect(),
        scope: view.scope.map(scope),
        schema_url: view.schema_url.to_owned(),
    }
}

fn read_data(data: metrics::Data<'_>) -> Option<Data> {
    Some(match data {
        metrics::Data::Empty => return None,
        metrics::Data::Gauge(points) => Data::Gauge(Gauge {
            data_points: points.iter().map(|point| read_number(point.unwrap())).collect(),
        }),
        metrics::Data::Sum(sum) => Data::Sum(Sum {
            data_points: sum.data_points.iter().map(|point| read_number(point.unwrap())).collect(),
            aggregation_temporality: sum.aggregation_temporality,
            is_monotonic: sum.is_monotonic,
        }),
        metrics::Data::Histogram(all) => Data::Histogram(Histogram {
            data_points: all.data_points.iter().map(|p| read_histogram(p.unwrap())).collect(),
            aggregation_temporality: all.aggregation_temporality,
        }),
        metrics::Data::ExponentialHistogram(all) => {
            Data::ExponentialHistogram(ExponentialHistogram {
                data_points: all.data_points.iter().map(|p| read_exponential(p.unwrap())).collect(),
                aggregation_temporality: all.aggregation_temporality,
            })
        }
        metrics::Data::Summary(points) => Data::Summary(Summary {
            data_points: points.iter().map(|point| read_summary(point.unwrap())).collect(),
        }),
    })
}

fn read_number(view: metrics::NumberPoint<'_>) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(view.attributes),
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        exemplars: view.exemplars.iter().map(|exemplar| read_exemplar(exemplar.unwrap())).collect(),
        flags: view.flags,
        value: view.value.map(|value| match value {
            Number::Int(value) => NumberValue::AsInt(value),
            Number::Double(value) => NumberValue::AsDouble(value),
        }),
    }
}

fn read_exemplar(view: metrics::Exemplar<'_>) -> Exemplar {
    Exemplar {
        filtered_attributes: attributes(view.filtered_attributes),
        time_unix_nano: view.time_unix_nano,
        span_id: view.span_id().unwrap().to_vec(),
        trace_id: view.trace_id().unwrap().to_vec(),
        value: view.value.map(|value| match value {
            Number::Int(value) => ExemplarValue::AsInt(value),
            Number::Double(value) => ExemplarValue::AsDouble(value),
        }),
    }
}

fn read_histogram(view: metrics::HistogramPoint<'_>) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: attributes(view.attributes),
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        count: view.count,
        sum: view.sum,
        bucket_counts: view.bucket_counts.iter().map(|count| count.unwrap()).collect(),
        explicit_bounds: view.explicit_bounds.iter().map(|bound| bound.unwrap()).collect(),
        exemplars: view.exemplars.iter().map(|exemplar| read_exemplar(exemplar.unwrap())).collect(),
        flags: view.flags,
        min: view.min,
        max: view.max,
    }
}

fn read_exponential(view: metrics::ExponentialHistogramPoint<'_>) -> ExponentialHistogramDataPoint {
    let buckets = |view: metrics::Buckets<'_>| Buckets {
        offset: view.offset,
        bucket_counts: view.bucket_counts.iter().map(|count| count.unwrap()).collect(),
    };
    ExponentialHistogramDataPoint {
        attributes: attributes(view.attributes),
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        count: view.count,
        sum: view.sum,
        scale: view.scale,
        zero_count: view.zero_count,
        positive: view.positive.map(buckets),
        negative: view.negative.map(buckets),
        flags: view.flags,
        exemplars: view.exemplars.iter().map(|exemplar| read_exemplar(exemplar.unwrap())).collect(),
        min: view.min,
        max: view.max,
        zero_threshold: view.zero_threshold,
    }
}

fn read_summary(view: metrics::SummaryPoint<'_>) -> SummaryDataPoint {
    let quantiles = view.quantile_values.iter().map(|quantile| quantile.unwrap());
    SummaryDataPoint {
        attributes: attributes(view.attributes),
        start_time_unix_nano: view.start_time_unix_nano,
        time_unix_nano: view.time_unix_nano,
        count: view.count,
        sum: view.sum,
        quantile_values: quantiles
            .map(|at| ValueAtQuantile { quantile: at.quantile, value: at.value })
            .collect(),
        flags: view.flags,
    }
}

fn write(data: &MetricsData, w: &mut Writer) {
    for resource_metrics in &data.resource_metrics {
        MetricsWriter(w).resource_metrics(|w| {
            if let Some(resource) = &resource_metrics.resource {
                w.resource(|w| write_resource(resource, w));
            }
            for scope_metrics in &resource_metrics.scope_metrics {
                w.scope_metrics(|w| {
                    if let Some(scope) = &scope_metrics.scope {
                        w.scope(|w| write_scope(scope, w));
                    }
                    for metric in &scope_metrics.metrics {
                        w.metric(|w| write_metric(metric, w));
                    }
                    w.schema_url(&scope_metrics.schema_url);
                });
            }
            w.schema_url(&resource_metrics.schema_url);
        });
    }
}

fn write_metric(metric: &Metric, w: &mut write::MetricWriter<'_>) {
    let temporality =
        |number| if number == 1 { Temporality::Delta } else { Temporality::Cumulative };
    w.names(&metric.name, &metric.description, &metric.unit);
    each_attribute(&metric.metadata, w, |w, k, v| w.metadata(k, |w| write_value(v, w)));
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => w.gauge(|w| {
            for point in &gauge.data_points {
                w.point(|w| write_number(point, w));
            }
        }),
        Data::Sum(sum) => w.sum(temporality(sum.aggregation_temporality), sum.is_monotonic, |w| {
            for point in &sum.data_points {
                w.point(|w| write_number(point, w));
            }
        }),
        Data::Histogram(all) => w.histogram(temporality(all.aggregation_temporality), |w| {
            for point in &all.data_points {
                w.point(|w| write_histogram(point, w));
            }
        }),
        Data::ExponentialHistogram(all) => {
            w.exponential_histogram(temporality(all.aggregation_temporality), |w| {
                for point in &all.data_points {
                    w.point(|w| write_exponential(point, w));
                }
            });
        }
        Data::Summary(summary) => w.summary(|w| {
            for point in &summary.data_points {
                w.point(|w| write_summary(point, w));
            }
        }),
    }
}

fn write_number(point: &NumberDataPoint, w: &mut write::NumberPointWriter<'_>) {
    each_attribute(&point.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.times(point.start_time_unix_nano, point.time_unix_nano);
    match point.value {
        Some(NumberValue::AsInt(value)) => w.value(Number::Int(value)),
        Some(NumberValue::AsDouble(value)) => w.value(Number::Double(value)),
        None => {}
    }
    for exemplar in &point.exemplars {
        w.exemplar(|w| write_exemplar(exemplar, w));
    }
    w.flags(point.flags);
}

fn write_exemplar(exemplar: &Exemplar, w: &mut write::ExemplarWriter<'_>) {
    each_attribute(&exemplar.filtered_attributes, w, |w, k, v| {
        w.filtered_attribute(k, |w| write_value(v, w));
    });
    w.time_unix_nano(exemplar.time_unix_nano);
    w.value(match exemplar.value.unwrap() {
        ExemplarValue::AsInt(value) => Number::Int(value),
        ExemplarValue::AsDouble(value) => Number::Double(value),
    });
    let (trace_id, span_id) = (&exemplar.trace_id[..], &exemplar.span_id[..]);
    w.ids(&trace_id.try_into().unwrap(), &span_id.try_into().unwrap());
}

fn write_histogram(point: &HistogramDataPoint, w: &mut write::HistogramPointWriter<'_>) {
    each_attribute(&point.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.times(point.start_time_unix_nano, point.time_unix_nano);
    w.totals(point.count, point.sum);
    w.buckets(&point.bucket_counts, &point.explicit_bounds);
    w.extremes(point.min, point.max);
    for exemplar in &point.exemplars {
        w.exemplar(|w| write_exemplar(exemplar, w));
    }
    w.flags(point.flags);
}

fn write_exponential(
    point: &ExponentialHistogramDataPoint,
    w: &mut write::ExponentialHistogramPointWriter<'_>,
) {
    each_attribute(&point.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.times(point.start_time_unix_nano, point.time_unix_nano);
    w.totals(point.count, point.sum);
    w.scale(point.scale, point.zero_count, point.zero_threshold);
    if let Some(buckets) = &point.positive {
        w.positive(buckets.offset, &buckets.bucket_counts);
    }
    if let Some(buckets) = &point.negative {
        w.negative(buckets.offset, &buckets.bucket_counts);
    }
    w.extremes(point.min, point.max);
    for exemplar in &point.exemplars {
        w.exemplar(|w| write_exemplar(exemplar, w));
    }
    w.flags(point.flags);
}

fn write_summary(point: &SummaryDataPoint, w: &mut write::SummaryPointWriter<'_>) {
    each_attribute(&point.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.times(point.start_time_unix_nano, point.time_unix_nano);
    w.totals(point.count, point.sum);
    for at in &point.quantile_values {
        w.quantile(at.quantile, at.value);
    }
    w.flags(point.flags);
}
