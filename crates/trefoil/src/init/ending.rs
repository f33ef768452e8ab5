//! Ends of the process that drop no guard: panics, and `exit`.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::Parts;

/// Longest that a panic waits for its record to leave.
const PANIC_FLUSH: Duration = Duration::from_secs(1);

/// Whom the handler of `exit` has to flush.
static AT_EXIT: Mutex<Option<Weak<Parts>>> = Mutex::new(None);

/// Records panics, and sends what waits when the process is about to end.
pub(super) fn watch(parts: &Arc<Parts>) {
    let former = std::panic::take_hook();
    let watched = Arc::downgrade(parts);
    std::panic::set_hook(Box::new(move |info| {
        // TRAP: a panic inside the hook aborts. Whatever goes wrong here, the former hook
        // has its say.
        let _ = catch_unwind(AssertUnwindSafe(|| on_panic(info, &watched)));
        former(info);
    }));
    *AT_EXIT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::downgrade(parts));
    register_at_exit();
}

fn on_panic(info: &PanicHookInfo<'_>, parts: &Weak<Parts>) {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    let Some(parts) = parts.upgrade() else { return };
    // A value whose `Debug` panics while it is recorded must not come here again.
    if INSIDE.try_with(|inside| inside.replace(true)).unwrap_or(true) {
        return;
    }
    record(info);
    // A task's panic is caught and the service goes on: its record leaves in its turn, and
    // no worker waits for a receiver. Where the process is about to end nobody else sends.
    let thread = std::thread::current();
    if cfg!(panic = "abort") || thread.name() == Some("main") {
        parts.flush(PANIC_FLUSH);
    }
    let _ = INSIDE.try_with(|inside| inside.set(false));
}

fn record(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let message = payload(info.payload());
    let location = info.location();
    tracing::error!(
        target: "panic",
        {
            exception.message = message,
            "exception.type" = "panic",
            code.file.path = location.map(std::panic::Location::file),
            code.line.number = location.map(std::panic::Location::line),
            thread.name = thread.name(),
        },
        "panicked: {message}",
    );
}

fn payload(payload: &dyn Any) -> &str {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        text
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text
    } else {
        "(a value that is no text)"
    }
}

/// `std::process::exit` drops nothing; what waits leaves from here.
#[cfg(unix)]
#[allow(unsafe_code)]
fn register_at_exit() {
    static ONCE: std::sync::Once = std::sync::Once::new();

    unsafe extern "C" {
        fn atexit(callback: extern "C" fn()) -> std::ffi::c_int;
    }

    ONCE.call_once(|| {
        // SAFETY: C's `atexit`, which the standard library links on every Unix, takes a
        // function without arguments that does not unwind; `at_exit` catches panics, lives
        // as long as the program, and may run on any thread. A failure means that nothing
        // is called, which leaves things as they were.
        let _ = unsafe { atexit(at_exit) };
    });
}

#[cfg(not(unix))]
fn register_at_exit() {}

#[cfg_attr(not(unix), allow(dead_code))]
extern "C" fn at_exit() {
    let _ = catch_unwind(|| {
        // A guard that was dropped has said it all: then nothing upgrades, or the report of
        // the first shutdown is there.
        let watched = AT_EXIT.try_lock().ok().and_then(|mut watched| watched.take());
        if let Some(parts) = watched.and_then(|weak| weak.upgrade()) {
            let timeout = parts.settings.shutdown_timeout;
            parts.shutdown(timeout);
        }
    });
}
