//! For people: a trace is a tree with durations, what failed stands out.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt::Write as _;

use trefoil_wire::otlp::logs;
use trefoil_wire::otlp::metrics::{self, Data, HistogramPoint, Number, NumberPoint};
use trefoil_wire::otlp::trace::{self, Span};
use trefoil_wire::otlp::{AnyValue, Attributes};
use trefoil_wire::protobuf::Result;

use super::json::kind;
use super::service;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const YELLOW: &str = "33";

/// What lies deeper than this begins at the margin again: nobody reads further to the right.
const DEPTH_MAX: usize = 100;

struct Page<'o> {
    out: &'o mut String,
    colour: bool,
}

impl Page<'_> {
    fn write(&mut self, style: &str, text: impl std::fmt::Display) {
        // Writing to a string can not fail.
        let _ = match self.colour {
            true => write!(self.out, "\x1b[{style}m{text}\x1b[0m"),
            false => write!(self.out, "{text}"),
        };
    }

    fn attributes(&mut self, attributes: Attributes<'_>) -> Result<()> {
        for attribute in attributes {
            let attribute = attribute?;
            self.out.push(' ');
            self.write(DIM, format_args!("{}=", attribute.key));
            write_value(&attribute.value, self.out)?;
        }
        Ok(())
    }
}

/// Text without quotes where it can be read so.
fn write_value(value: &AnyValue<'_>, out: &mut String) -> Result<()> {
    match value {
        AnyValue::Str(text) if !text.is_empty() && !text.contains(is_in_the_way) => {
            out.push_str(text);
            Ok(())
        }
        other => other.write_json(out),
    }
}

fn is_in_the_way(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '"'
}

/// Spans of one request; those of one trace are shown together.
pub(super) fn spans(request: &[u8], colour: bool, out: &mut String) -> Result<()> {
    let mut page = Page { out, colour };
    for resource in trace::ExportRequest::new(request)?.resource_spans {
        let resource = resource?;
        let service = service(resource.resource.as_ref())?;
        let mut traces: Vec<(&[u8], Vec<Span<'_>>)> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        for scope in resource.scope_spans {
            for span in scope?.spans {
                let span = span?;
                let id = span.raw_trace_id.bytes();
                let place = *places.entry(id).or_insert(traces.len());
                match traces.get_mut(place) {
                    Some((_, spans)) => spans.push(span),
                    None => traces.push((id, vec![span])),
                }
            }
        }
        for (id, spans) in traces {
            trace(service, id, spans, &mut page)?;
        }
    }
    Ok(())
}

fn trace(service: &str, id: &[u8], mut spans: Vec<Span<'_>>, page: &mut Page<'_>) -> Result<()> {
    spans.sort_by_key(|span| span.start_time_unix_nano);
    let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    page.write(BOLD, format_args!("trace {hex}"));
    page.write(DIM, format_args!(" {service}"));
    page.out.push('\n');
    let here: HashMap<&[u8], usize> =
        spans.iter().enumerate().map(|(i, span)| (span.raw_span_id.bytes(), i)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut roots = Vec::new();
    for (i, span) in spans.iter().enumerate() {
        // A parent may be remote, in another batch, or, wrongly, the span itself.
        match here.get(span.raw_parent_span_id.bytes()) {
            Some(&parent) if parent != i => children[parent].push(i),
            _ => roots.push(i),
        }
    }
    let shown = RefCell::new(vec![false; spans.len()]);
    let tree = Tree { spans: &spans, children: &children, shown };
    // Behind the roots come spans that no root leads to: rings, and what lies too deep.
    for at in roots.into_iter().chain(0..spans.len()) {
        if !tree.shown.borrow()[at] {
            tree.write(at, "  ", true, 0, page)?;
        }
    }
    Ok(())
}

struct Tree<'t, 'a> {
    spans: &'t [Span<'a>],
    children: &'t [Vec<usize>],
    shown: RefCell<Vec<bool>>,
}

impl Tree<'_, '_> {
    fn write(
        &self,
        at: usize,
        indent: &str,
        is_last: bool,
        depth: usize,
        page: &mut Page<'_>,
    ) -> Result<()> {
        self.shown.borrow_mut()[at] = true;
        let (branch, below) = match (depth, is_last) {
            (0, _) => ("", ""),
            (_, true) => ("└─ ", "   "),
            (_, false) => ("├─ ", "│  "),
        };
        page.write(DIM, format_args!("{indent}{branch}"));
        line(&self.spans[at], page)?;
        let indent = format!("{indent}{below}");
        events(&self.spans[at], &indent, page)?;
        if depth == DEPTH_MAX {
            return Ok(());
        }
        let is_new = |child: &usize| !self.shown.borrow()[*child];
        let children: Vec<usize> = self.children[at].iter().copied().filter(is_new).collect();
        for (place, &child) in children.iter().enumerate() {
            self.write(child, &indent, place + 1 == children.len(), depth + 1, page)?;
        }
        Ok(())
    }
}

fn line(span: &Span<'_>, page: &mut Page<'_>) -> Result<()> {
    page.write(BOLD, span.name);
    let nanos = span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano);
    let _ = write!(page.out, "  {}  {}", duration(nanos), kind(span.kind));
    let status = span.status.unwrap_or_default();
    match status.code {
        2 => {
            page.out.push_str("  ");
            page.write(RED, "ERROR");
            if !status.message.is_empty() {
                let _ = write!(page.out, " {}", status.message);
            }
        }
        1 => page.out.push_str("  ok"),
        _ => {}
    }
    if !span.attributes.is_empty() {
        page.out.push(' ');
    }
    page.attributes(span.attributes)?;
    page.out.push('\n');
    Ok(())
}

fn events(span: &Span<'_>, indent: &str, page: &mut Page<'_>) -> Result<()> {
    for event in span.events {
        let event = event?;
        let after = event.time_unix_nano.saturating_sub(span.start_time_unix_nano);
        page.write(DIM, format_args!("{indent}· +{} ", duration(after)));
        page.out.push_str(event.name);
        page.attributes(event.attributes)?;
        page.out.push('\n');
    }
    Ok(())
}

/// Three figures and a unit.
fn duration(nanos: u64) -> String {
    let (value, unit) = match nanos {
        0..1_000 => return format!("{nanos} ns"),
        1_000..1_000_000 => (nanos as f64 / 1e3, "µs"),
        1_000_000..1_000_000_000 => (nanos as f64 / 1e6, "ms"),
        _ => (nanos as f64 / 1e9, "s"),
    };
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {unit}")
}

/// A record a line: time of day in UTC, severity, where from, what.
pub(super) fn logs(request: &[u8], colour: bool, out: &mut String) -> Result<()> {
    let mut page = Page { out, colour };
    for resource in logs::ExportRequest::new(request)?.resource_logs {
        for scope in resource?.scope_logs {
            let scope = scope?;
            for record in scope.log_records {
                let record = record?;
                let millis = record.time_unix_nano / 1_000_000 % 86_400_000;
                let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
                let (seconds, millis) = (millis / 1000 % 60, millis % 1000);
                page.write(DIM, format_args!("{hours:02}:{minutes:02}:{seconds:02}.{millis:03} "));
                let style = match record.severity_number {
                    17.. => RED,
                    13.. => YELLOW,
                    _ => DIM,
                };
                page.write(style, format_args!("{:>5} ", record.severity_text));
                page.write(DIM, format_args!("{}: ", scope.scope.map_or("", |scope| scope.name)));
                write_body(&record.body.unwrap_or_default(), page.out)?;
                page.attributes(record.attributes)?;
                page.out.push('\n');
            }
        }
    }
    Ok(())
}

fn write_body(body: &AnyValue<'_>, out: &mut String) -> Result<()> {
    match body {
        AnyValue::Str(text) => {
            out.push_str(text);
            Ok(())
        }
        other => other.write_json(out),
    }
}

/// A point a line.
pub(super) fn metrics(request: &[u8], out: &mut String) -> Result<()> {
    for resource in metrics::ExportRequest::new(request)?.resource_metrics {
        for scope in resource?.scope_metrics {
            for metric in scope?.metrics {
                let metric = metric?;
                match metric.data {
                    Data::Gauge(points) => numbers(&metric, points.iter(), out)?,
                    Data::Sum(points) => numbers(&metric, points.data_points.iter(), out)?,
                    Data::Histogram(points) => {
                        for point in points.data_points {
                            histogram(&metric, &point?, out)?;
                        }
                    }
                    Data::ExponentialHistogram(points) => {
                        for point in points.data_points {
                            let point = point?;
                            series(&metric, point.attributes, out)?;
                            totals(point.count, point.sum, metric.unit, out);
                        }
                    }
                    Data::Summary(points) => {
                        for point in points {
                            let point = point?;
                            series(&metric, point.attributes, out)?;
                            totals(point.count, Some(point.sum), metric.unit, out);
                        }
                    }
                    Data::Empty => {}
                }
            }
        }
    }
    Ok(())
}

fn series(
    metric: &metrics::Metric<'_>,
    attributes: Attributes<'_>,
    out: &mut String,
) -> Result<()> {
    out.push_str(metric.name);
    for (i, attribute) in attributes.iter().enumerate() {
        let attribute = attribute?;
        let _ = write!(out, "{}{}=", if i == 0 { '{' } else { ',' }, attribute.key);
        attribute.value.write_json(out)?;
    }
    out.push_str(if attributes.is_empty() { " " } else { "} " });
    Ok(())
}

fn numbers<'a>(
    metric: &metrics::Metric<'_>,
    points: impl Iterator<Item = Result<NumberPoint<'a>>>,
    out: &mut String,
) -> Result<()> {
    for point in points {
        let point = point?;
        series(metric, point.attributes, out)?;
        let _ = match point.value {
            Some(Number::Int(value)) => write!(out, "{value}"),
            Some(Number::Double(value)) => write!(out, "{value}"),
            None => write!(out, "-"),
        };
        let _ = writeln!(out, "{}{}", if metric.unit.is_empty() { "" } else { " " }, metric.unit);
    }
    Ok(())
}

fn histogram(
    metric: &metrics::Metric<'_>,
    point: &HistogramPoint<'_>,
    out: &mut String,
) -> Result<()> {
    series(metric, point.attributes, out)?;
    totals(point.count, point.sum, metric.unit, out);
    Ok(())
}

fn totals(count: u64, sum: Option<f64>, unit: &str, out: &mut String) {
    let _ = write!(out, "count {count}");
    if let Some(sum) = sum {
        let space = if unit.is_empty() { "" } else { " " };
        let _ = write!(out, " sum {sum}{space}{unit}");
        if count > 0 {
            let _ = write!(out, " mean {:.4}{space}{unit}", sum / count as f64);
        }
    }
    out.push('\n');
}
