use trefoil_otlp_messages::logs::v1::{LogRecord, LogsData, ResourceLogs, ScopeLogs};
use trefoil_wire::otlp::{logs, schema};
use trefoil_wire::protobuf::Writer;

use crate::origin::{
    attributes, each_attribute, random_attributes, random_resource, random_scope, random_value,
    resource, scope, value, write_resource, write_scope, write_value,
};
use crate::random::Random;

#[test]
fn logs_agree_with_prost() {
    crate::check(&schema::LOGS_REQUEST, random, read, write);
}

fn random(random: &mut Random) -> LogsData {
    let resource_logs = random.list(3, |random| ResourceLogs {
        resource: random.option(random_resource),
        scope_logs: random.list(3, |random| ScopeLogs {
            scope: random.option(random_scope),
            log_records: random.list(3, random_record),
            schema_url: random.text(),
        }),
        schema_url: random.text(),
    });
    LogsData { resource_logs }
}

fn random_record(random: &mut Random) -> LogRecord {
    LogRecord {
        time_unix_nano: random.wide(),
        observed_time_unix_nano: random.wide(),
        severity_number: random.below(25) as i32,
        severity_text: random.text(),
        body: random.option(|random| random_value(random, 3)),
        attributes: random_attributes(random),
        dropped_attributes_count: random.u32(),
        flags: random.u32(),
        trace_id: random.option(|random| random.id(16)).unwrap_or_default(),
        span_id: random.option(|random| random.id(8)).unwrap_or_default(),
        event_name: random.text(),
    }
}

fn read(bytes: &[u8]) -> LogsData {
    let request = logs::ExportRequest::new(bytes).unwrap();
    let resource_logs = request.resource_logs.iter().map(|view| view.unwrap());
    let resource_logs = resource_logs.map(|view| ResourceLogs {
        resource: view.resource.map(resource),
        scope_logs: view.scope_logs.iter().map(|view| read_scope_logs(view.unwrap())).collect(),
        schema_url: view.schema_url.to_owned(),
    });
    LogsData { resource_logs: resource_logs.collect() }
}

fn read_scope_logs(view: logs::ScopeLogs<'_>) -> ScopeLogs {
    let records = view.log_records.iter().map(|record| record.unwrap());
    let log_records = records.map(|record| LogRecord {
        time_unix_nano: record.time_unix_nano,
        observed_time_unix_nano: record.observed_time_unix_nano,
        severity_number: record.severity_number,
        severity_text: record.severity_text.to_owned(),
        body: record.body.as_ref().map(value),
        attributes: attributes(record.attributes),
        dropped_attributes_count: record.dropped_attributes_count,
        flags: record.flags,
        trace_id: record.trace_id().map(Vec::from).unwrap_or_default(),
        span_id: record.span_id().map(Vec::from).unwrap_or_default(),
        event_name: record.event_name.to_owned(),
    });
    ScopeLogs {
        log_records: log_records.collect(),
        scope: view.scope.map(scope),
        schema_url: view.schema_url.to_owned(),
    }
}

fn write(data: &LogsData, w: &mut Writer) {
    for resource_logs in &data.resource_logs {
        logs::LogsWriter(w).resource_logs(|w| {
            if let Some(resource) = &resource_logs.resource {
                w.resource(|w| write_resource(resource, w));
            }
            for scope_logs in &resource_logs.scope_logs {
                w.scope_logs(|w| {
                    if let Some(scope) = &scope_logs.scope {
                        w.scope(|w| write_scope(scope, w));
                    }
                    for record in &scope_logs.log_records {
                        w.log_record(|w| write_record(record, w));
                    }
                    w.schema_url(&scope_logs.schema_url);
                });
            }
            w.schema_url(&resource_logs.schema_url);
        });
    }
}

fn write_record(record: &LogRecord, w: &mut logs::LogRecordWriter<'_>) {
    w.times(record.time_unix_nano, record.observed_time_unix_nano);
    w.severity(record.severity_number as u8, &record.severity_text);
    if let Some(body) = &record.body {
        w.body(|w| write_value(body, w));
    }
    each_attribute(&record.attributes, w, |w, k, v| w.attribute(k, |w| write_value(v, w)));
    w.dropped_attributes_count(record.dropped_attributes_count);
    w.flags(record.flags);
    if let Ok(id) = record.trace_id[..].try_into() {
        w.trace_id(&id);
    }
    if let Ok(id) = record.span_id[..].try_into() {
        w.span_id(&id);
    }
    w.event_name(&record.event_name);
}
