//! Batches on disk: across restarts, within their limit, damaged.

use std::path::Path;

use super::*;
use crate::config::SpoolSettings;

fn service(receiver: &Receiver, folder: &Path, bytes_max: u64) -> Service {
    let settings = otlp(OtlpProtocol::HttpProtobuf, receiver, Signal::Traces);
    let spool = Some(SpoolSettings { folder: folder.to_owned(), bytes_max });
    Service::start(Exporters { spool, ..spans_to(settings) })
}

fn numbers(receiver: &Receiver) -> Vec<u64> {
    let number = |span: &Span| u64::from_be_bytes(span.span_id.clone().try_into().unwrap());
    receiver.spans().iter().map(number).collect()
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false if path.extension().is_some_and(|kind| kind == "otlp") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

#[test]
fn h6_what_was_not_sent_is_sent_after_a_restart_the_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.fault(Fault::Refused);
    let before = service(&receiver, folder.path(), 64 << 20);
    for _ in 0..6 {
        before.spans(400);
        before.exporting.flush(PATIENCE);
    }
    before.spans(100);
    let lost = before.exporting.shutdown(PATIENCE);
    assert_eq!(lost, Default::default(), "nothing is lost by the end");
    assert_eq!(before.counts().pending(), 2500, "it lies on disk");
    receiver.fault(Fault::None);
    let after = service(&receiver, folder.path(), 64 << 20);
    receiver.wait("all of it has come", |receiver| receiver.spans().len() >= 2500);
    assert_eq!(numbers(&receiver), (1..=2500).collect::<Vec<_>>());
    wait("it is counted", || after.counts().exported == 2500);
    assert_eq!(after.counts().pending(), 0);
    assert_eq!(files(folder.path()), [] as [std::path::PathBuf; 0]);
    after.spans(1);
    assert_eq!(after.exporting.flush(PATIENCE).traces, 0);
    assert_eq!(receiver.spans().len(), 2501);
    after.counts();
}

#[test]
fn an_outage_while_it_runs_loses_no_more_than_the_limit_says_and_errors_last() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.fault(Fault::BlackHole);
    let settings = otlp(OtlpProtocol::HttpProtobuf, &receiver, Signal::Traces);
    let timeout = Duration::from_millis(100);
    let spool = Some(SpoolSettings { folder: folder.path().to_owned(), bytes_max: 100_000 });
    let to = spans_to(OtlpSettings { timeout, ..settings });
    let service = Service::start(Exporters { spool, ..to });
    for _ in 0..40 {
        service.spans(100);
        service.span("jobs", Priority::Error);
        service.exporting.flush(PATIENCE);
        let bytes: u64 = files(folder.path()).iter().map(|f| f.metadata().unwrap().len()).sum();
        assert!(bytes <= 100_000, "{bytes}");
    }
    let counts = service.counts();
    assert!(counts.dropped(Dropped::QueueFull) > 1000, "{counts:?}");
    receiver.fault(Fault::None);
    wait("the spool is empty", || service.counts().pending() == 0);
    let arrived = numbers(&receiver);
    let errors = arrived.iter().filter(|number| *number % 101 == 0).count();
    assert_eq!(errors, 40, "all of them");
    assert_eq!(arrived.len() as u64, service.counts().exported);
}

#[test]
fn a_damaged_file_is_counted_and_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.fault(Fault::Refused);
    let before = service(&receiver, folder.path(), 64 << 20);
    for count in [10, 20, 30, 40] {
        before.spans(count);
        before.exporting.flush(PATIENCE);
    }
    before.exporting.shutdown(PATIENCE);
    let written = files(folder.path());
    assert_eq!(written.len(), 4);
    let mut bytes = std::fs::read(&written[1]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&written[1], &bytes).unwrap();
    std::fs::write(&written[2], b"TRF").unwrap();
    std::fs::write(written[2].with_file_name("unfinished"), b"TRF").unwrap();
    receiver.fault(Fault::None);
    let after = service(&receiver, folder.path(), 64 << 20);
    wait("all is done", || after.counts().produced == 100 && after.counts().pending() == 0);
    let counts = after.counts();
    assert_eq!((counts.exported, counts.dropped(Dropped::Refused)), (50, 50));
    assert_eq!(receiver.spans().len(), 50);
}

#[test]
fn processes_share_a_folder_and_inherit_from_those_that_are_gone() {
    let folder = tempfile::tempdir().unwrap();
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    receiver.fault(Fault::Refused);
    let both = [(); 2].map(|()| service(&receiver, folder.path(), 64 << 20));
    for one in &both {
        one.spans(10);
        one.exporting.flush(PATIENCE);
    }
    assert_eq!(files(folder.path()).len(), 2);
    for one in &both {
        assert_eq!(one.exporting.shutdown(PATIENCE), Default::default());
    }
    receiver.fault(Fault::None);
    let after = service(&receiver, folder.path(), 64 << 20);
    wait("all is done", || after.counts().produced == 20 && after.counts().pending() == 0);
    assert_eq!(files(folder.path()), [] as [std::path::PathBuf; 0]);
    assert_eq!(receiver.spans().len(), 20);
}

#[test]
fn a_folder_that_cannot_be_used_costs_the_spool_alone() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let receiver = receiver_of(OtlpProtocol::HttpProtobuf);
    let service = service(&receiver, file.path(), 64 << 20);
    service.spans(3);
    assert_eq!(service.exporting.flush(PATIENCE).traces, 0);
    assert_eq!(service.counts().exported, 3);
}
