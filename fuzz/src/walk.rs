//! Walks over views that touch everything a server would touch.

use trefoil_wire::otlp::json::{Style, from_protobuf, to_protobuf};
use trefoil_wire::otlp::{AnyValue, Attributes, Resource, Scope, logs, metrics, trace};
use trefoil_wire::protobuf::schema::Message;
use trefoil_wire::protobuf::{Decode, Error, Reader, Repeated, Result, Writer};

/// Walks a trace request and returns the number of spans.
///
/// # Errors
/// The first thing that is wrong.
pub fn traces(bytes: &[u8]) -> Result<usize> {
    let mut spans = 0;
    for resource_spans in trace::ExportRequest::new(bytes)?.resource_spans {
        let resource_spans = resource_spans?;
        resource(resource_spans.resource)?;
        for scope_spans in resource_spans.scope_spans {
            let scope_spans = scope_spans?;
            scope(scope_spans.scope)?;
            for item in scope_spans.spans {
                span(&item?)?;
                spans += 1;
            }
        }
    }
    Ok(spans)
}

fn span(span: &trace::Span<'_>) -> Result<()> {
    span.trace_id()?;
    span.span_id()?;
    span.parent_span_id()?;
    attributes(span.attributes)?;
    for event in span.events {
        attributes(event?.attributes)?;
    }
    for link in span.links {
        let link = link?;
        link.trace_id()?;
        link.span_id()?;
        attributes(link.attributes)?;
    }
    Ok(())
}

/// Walks a logs request and returns the number of records.
///
/// # Errors
/// The first thing that is wrong.
pub fn logs(bytes: &[u8]) -> Result<usize> {
    let mut records = 0;
    for resource_logs in logs::ExportRequest::new(bytes)?.resource_logs {
        let resource_logs = resource_logs?;
        resource(resource_logs.resource)?;
        for scope_logs in resource_logs.scope_logs {
            let scope_logs = scope_logs?;
            scope(scope_logs.scope)?;
            for record in scope_logs.log_records {
                let record = record?;
                let _ = record.trace_id();
                let _ = record.span_id();
                value(&record.body.unwrap_or_default())?;
                attributes(record.attributes)?;
                records += 1;
            }
        }
    }
    Ok(records)
}

/// Walks a metrics request and returns the number of data points.
///
/// # Errors
/// The first thing that is wrong.
pub fn metrics(bytes: &[u8]) -> Result<usize> {
    let mut points = 0;
    for resource_metrics in metrics::ExportRequest::new(bytes)?.resource_metrics {
        let resource_metrics = resource_metrics?;
        resource(resource_metrics.resource)?;
        for scope_metrics in resource_metrics.scope_metrics {
            let scope_metrics = scope_metrics?;
            scope(scope_metrics.scope)?;
            for metric in scope_metrics.metrics {
                let metric = metric?;
                attributes(metric.metadata)?;
                points += data(metric.data)?;
            }
        }
    }
    Ok(points)
}

fn data(data: metrics::Data<'_>) -> Result<usize> {
    match data {
        metrics::Data::Empty => Ok(0),
        metrics::Data::Gauge(points) => each(points, number_point),
        metrics::Data::Sum(sum) => each(sum.data_points, number_point),
        metrics::Data::Histogram(histogram) => each(histogram.data_points, |point| {
            attributes(point.attributes)?;
            point.bucket_counts.iter().try_for_each(|count| count.map(drop))?;
            point.explicit_bounds.iter().try_for_each(|bound| bound.map(drop))?;
            exemplars(point.exemplars)
        }),
        metrics::Data::ExponentialHistogram(histogram) => each(histogram.data_points, |point| {
            attributes(point.attributes)?;
            for buckets in [point.positive, point.negative].into_iter().flatten() {
                buckets.bucket_counts.iter().try_for_each(|count| count.map(drop))?;
            }
            exemplars(point.exemplars)
        }),
        metrics::Data::Summary(points) => each(points, |point| {
            attributes(point.attributes)?;
            point.quantile_values.iter().try_for_each(|quantile| quantile.map(drop))
        }),
    }
}

fn number_point(point: metrics::NumberPoint<'_>) -> Result<()> {
    attributes(point.attributes)?;
    exemplars(point.exemplars)
}

fn exemplars(exemplars: Repeated<'_, metrics::Exemplar<'_>>) -> Result<()> {
    for exemplar in exemplars {
        let exemplar = exemplar?;
        let _ = exemplar.trace_id();
        let _ = exemplar.span_id();
        attributes(exemplar.filtered_attributes)?;
    }
    Ok(())
}

fn each<'a, T: Decode<'a>>(
    items: Repeated<'a, T>,
    look: impl Fn(T) -> Result<()>,
) -> Result<usize> {
    let mut count = 0;
    for item in items {
        look(item?)?;
        count += 1;
    }
    assert_eq!(count, items.len());
    Ok(count)
}

fn resource(resource: Option<Resource<'_>>) -> Result<()> {
    resource.map_or(Ok(()), |resource| attributes(resource.attributes))
}

fn scope(scope: Option<Scope<'_>>) -> Result<()> {
    scope.map_or(Ok(()), |scope| attributes(scope.attributes))
}

/// Walks attributes with everything in them.
///
/// # Errors
/// The first thing that is wrong.
pub fn attributes(attributes: Attributes<'_>) -> Result<()> {
    attributes.iter().try_for_each(|pair| value(&pair?.value))
}

fn value(any: &AnyValue<'_>) -> Result<()> {
    match any {
        AnyValue::Array(items) => items.iter().try_for_each(|item| value(&item?)),
        AnyValue::Map(pairs) => attributes(*pairs),
        _ => Ok(()),
    }
}

/// Checks what must hold of any message: an error lies within the bytes and explains
/// itself, and what can be told in JSON is understood from it.
pub fn check(message: &'static Message, bytes: &[u8], walk: fn(&[u8]) -> Result<usize>) {
    let walked = walk(bytes);
    if let Err(error) = walked {
        explain(&error, message, bytes);
    }
    for style in [Style::Otlp, Style::Tempo] {
        let mut json = String::new();
        match from_protobuf(message, bytes, style, &mut json) {
            Err(error) => explain(&error, message, bytes),
            Ok(()) if style == Style::Otlp => assert_same_in_json(message, &json, walk),
            Ok(()) => {}
        }
    }
}

/// JSON of our own must be read, mean as much, and be written the same again.
fn assert_same_in_json(message: &'static Message, json: &str, walk: fn(&[u8]) -> Result<usize>) {
    let mut again = Writer::new();
    to_protobuf(message, json.as_bytes(), &mut again).unwrap_or_else(|e| panic!("{e}\n{json}"));
    if let Err(error) = walk(again.as_bytes()) {
        assert!(!error.is_structural(), "{error}\n{json}");
    }
    let mut json_again = String::new();
    from_protobuf(message, again.as_bytes(), Style::Otlp, &mut json_again).expect("our own bytes");
    // An empty list is written by neither, a list that was empty on the wire by the first.
    if !json.contains(":[]") {
        assert_eq!(json, json_again);
    }
}

/// Asks an error for everything it can say.
pub fn explain(error: &Error, message: &'static Message, bytes: &[u8]) {
    assert!(error.offset <= bytes.len());
    assert!(error.explain(message, bytes).len() < 10_000);
}

/// Walks the fields of a message of any type.
pub fn fields(bytes: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(bytes);
    let mut count = 0;
    while let Some(_field) = reader.next_field()? {
        count += 1;
    }
    Ok(count)
}
