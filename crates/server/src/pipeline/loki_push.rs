//! Loki pushes: streams whose labels the sender chose.
//!
//! As in Loki, a stream without `service_name` gets one from the label that names its
//! service, or `unknown_service` (`discover_service_name`). A line's metadata `trace_id`
//! and `span_id` become the record's own ids, so that the line is found from its trace.

use trefoil_store::model::{Attribute, LogRecord, Resource, Scope, Value};
use trefoil_store::{Labels, LabelsBuilder};
use trefoil_wire::loki_push::{Entry, PushRequest, Stream, parse_labels};
use trefoil_wire::protobuf::Error;

use super::attribute::{ATTRIBUTES_MAX, KEY_BYTES_MAX, VALUE_BYTES_MAX};
use super::logs::{BODY_BYTES_MAX, LABEL_BYTES_MAX, UNKNOWN_SERVICE};
use super::refusal::ItemError;
use super::{Intake, Pipeline};

/// Labels that name a service, in Loki's order (its setting `discover_service_name`).
const SERVICE_LABELS: [&str; 13] = [
    "service",
    "app",
    "application",
    "app_name",
    "name",
    "app_kubernetes_io_name",
    "container",
    "container_name",
    "k8s_container_name",
    "component",
    "workload",
    "job",
    "k8s_job_name",
];

/// Puts the lines of a push into the batch.
///
/// # Errors
/// The request is damaged.
pub(super) fn translate<'a>(
    pipeline: &Pipeline,
    request: &'a [u8],
    intake: &mut Intake<'a>,
) -> Result<(), Error> {
    let scope = intake.batch.scope(&Scope::default());
    for stream in PushRequest::new(request)?.streams {
        let stream: Stream<'a> = stream?;
        let count = stream.entries.len() as u64;
        intake.received += count;
        let labels = match labels(stream.labels) {
            Ok(labels) => labels,
            Err(reason) => {
                intake.refusals.refuse(ItemError::Rule(reason), count, stream.labels)?;
                continue;
            }
        };
        let resource = intake.batch.resource(&resource(&labels));
        for entry in stream.entries {
            let mut record = LogRecord::default();
            let read = entry.map_err(ItemError::from).and_then(|entry| {
                fill(&mut record, &entry)?;
                intake.check_time(record.time_ns, pipeline.retention.logs)?;
                Ok(())
            });
            match read {
                Ok(()) => intake.batch.log(resource, scope, &labels, &record),
                Err(error) => intake.refusals.refuse(error, 1, stream.labels)?,
            }
        }
    }
    Ok(())
}

/// The labels of a stream, with the name of its service.
fn labels(text: &str) -> Result<Labels, &'static str> {
    let pairs = parse_labels(text).map_err(|_| "invalid_labels")?;
    let mut labels = LabelsBuilder::default();
    for (name, value) in &pairs {
        if value.len() > LABEL_BYTES_MAX {
            return Err("label_value_too_long");
        }
        labels.set(name, value);
    }
    if labels.build().is_empty() {
        return Err("no_labels");
    }
    if labels.get("service_name").is_none() {
        let named = SERVICE_LABELS.iter().find_map(|name| labels.get(name).map(str::to_owned));
        labels.set("service_name", named.as_deref().unwrap_or(UNKNOWN_SERVICE));
    }
    Ok(labels.build())
}

/// The service is the resource, so that its lines stand beside its traces and metrics.
fn resource(labels: &Labels) -> Resource<'_> {
    let mut resource = Resource::default();
    if let Some(name) = labels.get("service_name").filter(|name| *name != UNKNOWN_SERVICE) {
        let value = Value::Str(name.into());
        resource.attributes.push(Attribute { key: "service.name".into(), value });
    }
    resource
}

fn fill<'a>(record: &mut LogRecord<'a>, entry: &Entry<'a>) -> Result<(), ItemError> {
    let time_ns = entry.time_unix_nano().ok_or("timestamp_out_of_range")?;
    record.time_ns = u64::try_from(time_ns).map_err(|_| "timestamp_out_of_range")?;
    if entry.line.len() > BODY_BYTES_MAX {
        return Err(ItemError::Rule("body_too_long"));
    }
    record.body = Value::Str(entry.line.into());
    if entry.structured_metadata.len() > ATTRIBUTES_MAX {
        return Err(ItemError::Rule("too_many_attributes"));
    }
    for pair in entry.structured_metadata {
        let pair = pair?;
        if pair.name.len() > KEY_BYTES_MAX {
            return Err(ItemError::Rule("attribute_key_too_long"));
        }
        if pair.value.len() > VALUE_BYTES_MAX {
            return Err(ItemError::Rule("attribute_value_too_long"));
        }
        if pair.name == "trace_id" && id(pair.value, &mut record.trace_id) {
            continue;
        }
        if pair.name == "span_id" && id(pair.value, &mut record.span_id) {
            continue;
        }
        let value = Value::Str(pair.value.into());
        record.attributes.push(Attribute { key: pair.name.into(), value });
    }
    Ok(())
}

/// Reads an id in lower-case hex: in any other form it stays the text that it is, so that
/// what was pushed is what is answered.
fn id<const N: usize>(text: &str, out: &mut [u8; N]) -> bool {
    let digit = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != 2 * N || !text.as_bytes().iter().all(digit) {
        return false;
    }
    let mut read = [0; N];
    for (at, byte) in read.iter_mut().enumerate() {
        match u8::from_str_radix(&text[2 * at..2 * at + 2], 16) {
            Ok(value) => *byte = value,
            Err(_) => return false,
        }
    }
    // All zero means "none" and would be lost.
    if read == [0; N] {
        return false;
    }
    *out = read;
    true
}
