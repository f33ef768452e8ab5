//! Log records, sorted into streams.

use trefoil_store::model::{Attribute, LogRecord, Value};
use trefoil_store::{Labels, LabelsBuilder};
use trefoil_wire::otlp::logs as wire;
use trefoil_wire::protobuf::Error;

use super::attribute::{self, attributes, label_name, resource, scope};
use super::refusal::ItemError;
use super::{Intake, Pipeline};

/// Resource attributes that become labels of the stream: Loki's default list (its setting
/// `default_resource_attributes_as_index_labels`), and `app`, by which Promtail's users and
/// the documents' queries select (S4). All others stay on the resource.
const STREAM_ATTRIBUTES: &[&str] = &[
    "app",
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];

/// What Loki calls a service that does not say its name.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service";
/// Bytes of a log body: the largest line that is still read by anybody.
pub(super) const BODY_BYTES_MAX: usize = 4 << 20;
/// Bytes of a label value; longer ones would be repeated in every index entry.
pub(super) const LABEL_BYTES_MAX: usize = 16 << 10;

/// Puts the log records of a request into the batch.
///
/// # Errors
/// The request is damaged.
pub(super) fn translate<'a>(
    pipeline: &Pipeline,
    request: &'a [u8],
    intake: &mut Intake<'a>,
) -> Result<(), Error> {
    let mut record = LogRecord::default();
    for resource_logs in wire::ExportRequest::new(request)?.resource_logs {
        let resource_logs = resource_logs?;
        let home = resource(resource_logs.resource.as_ref(), resource_logs.schema_url).and_then(
            |resource| {
                let stream = stream(&resource.attributes)?;
                Ok((intake.batch.resource(&resource), stream))
            },
        );
        for scope_logs in resource_logs.scope_logs {
            let scope_logs = scope_logs?;
            let count = scope_logs.log_records.len() as u64;
            intake.received += count;
            let place = home.as_ref().map_err(|error| *error).and_then(|(resource, stream)| {
                let scope = scope(scope_logs.scope.as_ref(), scope_logs.schema_url)?;
                Ok((*resource, intake.batch.scope(&scope), stream))
            });
            let (resource, scope, stream) = match place {
                Ok(place) => place,
                Err(error) => {
                    intake.refusals.refuse(error, count, "")?;
                    continue;
                }
            };
            for view in scope_logs.log_records {
                let read = view.map_err(ItemError::from).and_then(|view| {
                    fill(&mut record, &view, intake.now_ns)?;
                    intake.check_time(record.time_ns, pipeline.retention.logs)?;
                    Ok(())
                });
                match read {
                    Ok(()) => intake.batch.log(resource, scope, stream, &record),
                    Err(error) => intake.refusals.refuse(error, 1, "")?,
                }
            }
        }
    }
    Ok(())
}

/// The labels of the stream that records of this resource go to.
fn stream(resource: &[Attribute<'_>]) -> Result<Labels, ItemError> {
    let mut labels = LabelsBuilder::default();
    for attribute in resource {
        if STREAM_ATTRIBUTES.contains(&&*attribute.key) {
            let value = attribute::text(&attribute.value);
            if value.len() > LABEL_BYTES_MAX {
                return Err(ItemError::Rule("label_value_too_long"));
            }
            labels.set(&label_name(&attribute.key), &value);
        }
    }
    if labels.get("service_name").is_none() {
        labels.set("service_name", UNKNOWN_SERVICE);
    }
    Ok(labels.build())
}

/// Reads a record into one that is used again and again, for its list's capacity.
fn fill<'a>(
    record: &mut LogRecord<'a>,
    view: &wire::LogRecord<'a>,
    now_ns: i64,
) -> Result<(), ItemError> {
    record.time_ns = match (view.time_unix_nano, view.observed_time_unix_nano) {
        (0, 0) => now_ns.unsigned_abs(),
        (0, observed) => observed,
        (time, _) => time,
    };
    record.observed_ns = view.observed_time_unix_nano;
    // A number outside OTLP's 1 to 24 says nothing; the sender's word is kept in any case.
    record.severity = u8::try_from(view.severity_number).ok().filter(|n| *n <= 24).unwrap_or(0);
    record.severity_text = view.severity_text.into();
    record.body = match view.body {
        Some(body) => attribute::value(body, &mut { attribute::ELEMENTS_MAX })?,
        None => Value::Empty,
    };
    if attribute::size(&record.body) > BODY_BYTES_MAX {
        return Err(ItemError::Rule("body_too_long"));
    }
    record.dropped_attributes = view.dropped_attributes_count;
    record.flags = view.flags;
    record.trace_id = view.trace_id().unwrap_or_default();
    record.span_id = view.span_id().unwrap_or_default();
    record.event_name = view.event_name.into();
    attributes(view.attributes, &mut record.attributes)
}
