//! Ends by a signal, and forks: real processes (H7).

use std::process::Command;
use std::time::Duration;

use crate::child::{Played, play, plays};
use crate::receiver::{Protocol, Receiver};

const DEADLINE: Duration = Duration::from_secs(20);
const TERM: i32 = 15;

fn run(part: &str, receiver: &Receiver) -> Played {
    let url = receiver.url();
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", url.as_str());
    let protocol = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    play(part, &[endpoint, protocol, ("LOG_FORMAT", "off")])
}

fn install(flush_on_signals: bool) -> trefoil::Telemetry {
    let builder = trefoil::Trefoil::builder("svc").flush_on_signals(flush_on_signals);
    builder.install().expect("the first")
}

/// Tells this process to end, as an operator would.
fn tell(signal: &str) {
    let process = std::process::id().to_string();
    let kill = Command::new("kill").args([signal, &process]).status();
    assert!(kill.expect("there is a kill").success());
}

fn wait_for_the_end() -> ! {
    loop {
        std::thread::park();
    }
}

fn signal_of(played: &Played) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&played.status)
}

#[test]
fn h7_a_signal_loses_nothing_where_that_is_asked_for() {
    for (part, signal) in [("signals::part_term", TERM), ("signals::part_int", 2)] {
        let receiver = Receiver::start(Protocol::Http);
        let played = run(part, &receiver);
        assert_eq!(signal_of(&played), Some(signal), "{:?}: {}", played.status, played.stderr);
        assert_eq!(receiver.spans().len(), 1, "{}", played.stderr);
    }
    // So it would be without.
    let receiver = Receiver::start(Protocol::Http);
    let played = run("signals::part_unasked", &receiver);
    assert_eq!(signal_of(&played), Some(TERM), "{}", played.stderr);
    assert_eq!(receiver.spans().len(), 0);
}

/// A shell starts what it runs in the background deaf to SIGINT, and so it stays.
#[allow(unsafe_code)]
fn heed_interrupts() {
    // SAFETY: the default action is no code of ours, and no other thread sets this one.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

#[test]
fn part_term() {
    if plays("signals::part_term") {
        let _telemetry = install(true);
        tracing::info_span!("job").in_scope(|| {});
        tell("-TERM");
        wait_for_the_end();
    }
}

#[test]
fn part_int() {
    if plays("signals::part_int") {
        heed_interrupts();
        let _telemetry = install(true);
        tracing::info_span!("job").in_scope(|| {});
        tell("-INT");
        wait_for_the_end();
    }
}

#[test]
fn part_unasked() {
    if plays("signals::part_unasked") {
        let _telemetry = install(false);
        tracing::info_span!("job").in_scope(|| {});
        tell("-TERM");
        wait_for_the_end();
    }
}

/// A service that drains its requests when it is told to end must be left to do it, whoever
/// came first.
#[test]
fn h7_a_handler_of_the_application_stays_in_charge() {
    for part in ["signals::part_handler_before", "signals::part_handler_after"] {
        let receiver = Receiver::start(Protocol::Http);
        let played = run(part, &receiver);
        assert_eq!(played.status.code(), Some(7), "{part}: {}", played.stderr);
        let names: Vec<_> = receiver.spans().iter().map(|span| span.name.clone()).collect();
        assert_eq!(names, ["job", "draining"], "{part}: {}", played.stderr);
    }
}

fn drain(handler_first: bool) -> ! {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let code = runtime.expect("a runtime").block_on(async {
        let early = handler_first.then(|| signal(SignalKind::terminate()));
        let telemetry = install(true);
        let mut told = early.unwrap_or_else(|| signal(SignalKind::terminate())).expect("a handler");
        tracing::info_span!("job").in_scope(|| {});
        tell("-TERM");
        told.recv().await;
        // Longer than a flush takes: had it begun, this would be lost, or never be reached.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(telemetry.is_enabled());
        tracing::info_span!("draining").in_scope(|| {});
        drop(telemetry);
        7
    });
    // The guard is gone, and the code tells that the end was the application's.
    #[allow(clippy::disallowed_methods)]
    std::process::exit(code)
}

#[test]
fn part_handler_before() {
    if plays("signals::part_handler_before") {
        drain(true);
    }
}

#[test]
fn part_handler_after() {
    if plays("signals::part_handler_after") {
        drain(false);
    }
}

/// A child that forked has none of the threads that send. It must not wait for them, and a
/// signal to it is not one to its parent.
#[test]
fn h7_a_forked_child_ends_by_itself_and_its_parent_goes_on() {
    let receiver = Receiver::start(Protocol::Http);
    let played = run("signals::part_fork", &receiver);
    assert!(played.status.success(), "{:?}: {}", played.status, played.stderr);
    assert_eq!(receiver.spans().len(), 1, "{}", played.stderr);
}

#[test]
fn part_fork() {
    if plays("signals::part_fork") {
        let builder = trefoil::Trefoil::builder("svc").flush_on_signals(true);
        let telemetry = builder.install().expect("the first");
        tracing::info_span!("job").in_scope(|| {});
        let (code, signal) = fork(|| assert!(!telemetry.flush(DEADLINE).complete));
        assert_eq!((code, signal), (Some(0), None), "by exit, through atexit");
        let other = trefoil::Trefoil::builder("other").prometheus("127.0.0.1:0").build();
        let (code, signal) = fork(move || drop(other));
        assert_eq!((code, signal), (Some(0), None), "by dropping the guard");
        let (code, signal) = fork(wait_for_term);
        assert_eq!((code, signal), (None, Some(TERM)), "by a signal");
        assert!(telemetry.is_enabled());
        let report = telemetry.shutdown(DEADLINE);
        assert!(report.complete && report.traces.counts.exported == 1, "{report}");
    }
}

fn wait_for_term() {
    tell("-TERM");
    wait_for_the_end();
}

/// Runs `child` in a fork, and tells how that ended.
#[allow(unsafe_code)]
fn fork(child: impl FnOnce()) -> (Option<i32>, Option<i32>) {
    // SAFETY: nothing else of this test's process holds a lock that the child needs: it runs
    // one test, and telemetry's threads wait.
    let process = unsafe { libc::fork() };
    if process == 0 {
        child();
        // Runs what `atexit` knows, as the end of `main` does.
        #[allow(clippy::disallowed_methods)]
        std::process::exit(0);
    }
    assert!(process > 0, "the process forks");
    let mut status = 0;
    // SAFETY: waits for a child of our own, and writes to memory that is ours.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    let code = libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status));
    (code, libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status)))
}
