use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use super::*;
use crate::attribute;
use crate::testing::capture;

#[test]
fn t5_the_documents_names_kinds_and_attributes() {
    let captured = capture("hypersdk");
    captured.run(|| {
        let export = job_export("job-123", "export-vm", "my-vm");
        export.set(attribute::VM_PATH, "/datacenter/vm/my-vm");
        export.add_event("job-started", &[]);
        let done = export.run(|export| {
            provider_operation("aws", "export-instance").succeed();
            http_request("GET", "/api/jobs").succeed();
            db_operation("SELECT", "jobs").succeed();
            export.set_attributes([attribute::HTTP_STATUS.of(200)]);
            Ok::<_, std::fmt::Error>(())
        });
        done.unwrap();
    });
    captured.assert_tree(
        r#"
        job.export http.status_code=200 job.id="job-123" job.name="export-vm" vm.name="my-vm" vm.path="/datacenter/vm/my-vm"
          * job-started
          provider.aws.export-instance (client) operation="export-instance" provider="aws"
          HTTP GET /api/jobs (server) http.method="GET" http.path="/api/jobs"
          db.SELECT (client) db.operation="SELECT" db.table="jobs"
        "#,
    );
}

#[test]
fn t6_the_fourteen_keys() {
    fn names<const N: usize>(keys: [Key<Text>; N]) -> [&'static str; N] {
        keys.map(Key::name)
    }
    use attribute::*;
    let texts = names([
        JOB_ID,
        JOB_NAME,
        JOB_STATUS,
        VM_NAME,
        VM_PATH,
        PROVIDER,
        OPERATION,
        USER_ID,
        USER_NAME,
        HTTP_METHOD,
        HTTP_PATH,
        ERROR_TYPE,
        ERROR_MESSAGE,
    ]);
    let expect = "job.id job.name job.status vm.name vm.path provider operation user.id user.name \
                  http.method http.path error.type error.message";
    assert_eq!(texts.join(" "), expect);
    assert_eq!(HTTP_STATUS.name(), "http.status_code");
}

/// Each way to end, with what was measured and what the span says.
#[test]
fn t5_however_work_ends_span_and_measurement_agree() {
    let captured = capture("x");
    let ends = &Mutex::new(Vec::new());
    let begin = |name: &'static str| {
        start(info_span!("work", otel.name = name)).measured(move |end| {
            ends.lock().unwrap().push((name, end.how.as_str(), end.error.map(str::to_owned)));
        })
    };
    captured.run(|| {
        begin("success").succeed();
        let result = begin("error").run(|_| Err::<(), _>(std::io::Error::other("refused")));
        assert_eq!(result.unwrap_err().to_string(), "refused");
        begin("declined").decline(&"wrong password");
        let early = || -> Result<(), std::fmt::Error> {
            let _work = begin("question mark");
            Err(std::fmt::Error)?;
            Ok(())
        };
        assert!(early().is_err());
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            begin("panic")
                .run(|_| -> Result<(), std::fmt::Error> { panic!("expected by the test") })
        }));
        assert!(panicked.is_err());
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(captured.instrument(async {
        let done = begin("async success").instrument(async { Ok::<_, std::fmt::Error>(1) }).await;
        assert_eq!(done, Ok(1));
        drop(begin("never polled").instrument(async { Ok::<_, std::fmt::Error>(()) }));
        let waits =
            begin("cancelled").instrument(std::future::pending::<Result<(), std::fmt::Error>>());
        tokio::select! {
            biased;
            _ = waits => unreachable!("it waits for ever"),
            () = tokio::task::yield_now() => {}
        }
    }));
    let ends = ends.lock().unwrap();
    let ends: Vec<String> =
        ends.iter().map(|(name, how, error)| format!("{name}: {how} {error:?}")).collect();
    let expect = [
        "success: success None",
        "error: failure Some(\"refused\")",
        "declined: failure Some(\"wrong password\")",
        "question mark: failure None",
        "panic: panicked None",
        "async success: success None",
        "never polled: cancelled None",
        "cancelled: cancelled None",
    ];
    assert_eq!(ends, expect);
    let tree = captured.tree();
    for line in [
        "success\n",
        "error ERROR \"refused\" error.type=\"Error\"\n  * exception exception.message=\"refused\" exception.type=\"Error\"\n",
        "declined\n",
        "question mark ERROR \"ended early\"\n",
        "panic ERROR \"panicked\"",
        "async success\n",
    ] {
        assert!(tree.contains(line), "no {line:?} in\n{tree}");
    }
    let cancelled: Vec<_> =
        captured.spans().into_iter().filter(|span| span.attribute("cancelled").is_some()).collect();
    assert_eq!(cancelled.len(), 2, "{tree}");
}
