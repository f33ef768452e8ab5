//! Signals that end a process: SIGTERM, as Kubernetes and systemd stop a service, and SIGINT.
//!
//! By itself such a signal ends the process on the spot: no guard is dropped, no `atexit` runs.
//! Here it is caught, what waits is sent, and then it is raised again, so that the process ends
//! as it would have, with the status that its parent expects.
//!
//! A handler that the application has is never replaced. One that it installs later, as tokio's
//! `signal` does, may call ours after its own; then ours sees that it is not in charge any more
//! and does nothing.

use std::io::{PipeReader, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::IntoRawFd as _;
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Once, Weak};

use libc::c_int;

use super::Parts;

const SIGNALS: [c_int; 2] = [libc::SIGTERM, libc::SIGINT];

/// Where the handler writes which signal came. Never closed: a handler may always run.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// After a fork the child shares the pipe, but its signals are its own.
static PROCESS: AtomicI32 = AtomicI32::new(0);

/// Sends what waits when the process is told to end. Signals that have a handler, or are
/// ignored, are left alone.
pub(super) fn watch(parts: &Arc<Parts>) -> Result<(), String> {
    static ONCE: Once = Once::new();
    let mut done = Ok(());
    ONCE.call_once(|| done = start(Arc::downgrade(parts)));
    done
}

fn start(parts: Weak<Parts>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("signals cannot be caught: {error}");
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    let work = move || wait(reader, &parts);
    std::thread::Builder::new().name("trefoil-signal".to_owned()).spawn(work).map_err(failed)?;
    PIPE.store(writer.into_raw_fd(), Ordering::Relaxed);
    PROCESS.store(std::process::id().cast_signed(), Ordering::Relaxed);
    SIGNALS.into_iter().filter(|signal| is_default(*signal)).for_each(catch);
    Ok(())
}

/// The handler itself may do next to nothing: the work is done here.
fn wait(mut reader: PipeReader, parts: &Weak<Parts>) {
    let mut signal = [0];
    if reader.read_exact(&mut signal).is_err() {
        return;
    }
    if let Some(parts) = parts.upgrade() {
        parts.shutdown_and_tell();
    }
    end_by(signal[0].into());
}

#[allow(unsafe_code)]
fn is_default(signal: c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with no new action this only writes the one in force to memory that is ours. It
    // may be called from a signal handler (POSIX, 2.4.3).
    let known = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: the call has succeeded, so it has written all of it.
    known == 0 && unsafe { action.assume_init() }.sa_sigaction == libc::SIG_DFL
}

#[allow(unsafe_code)]
fn catch(signal: c_int) {
    // SAFETY: a `sigaction` of zeros is one without flags and with an empty mask.
    let mut action = unsafe { MaybeUninit::<libc::sigaction>::zeroed().assume_init() };
    action.sa_sigaction = on_signal as extern "C" fn(c_int) as usize;
    // Once: a second signal ends the process at once, for whoever does not want to wait.
    action.sa_flags = libc::SA_RESTART | libc::SA_RESETHAND;
    // SAFETY: the action is complete, and its handler does only what handlers may. A failure
    // means that nothing is caught, which leaves things as they were.
    unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
}

/// TRAP: it may interrupt any code, the allocator among it. Nothing here allocates, locks or
/// panics.
#[allow(unsafe_code)]
extern "C" fn on_signal(signal: c_int) {
    // SAFETY: `getpid` always succeeds and may be called from a signal handler.
    if unsafe { libc::getpid() } != PROCESS.load(Ordering::Relaxed) {
        // Where we were in charge the signal means again what it meant, see `SA_RESETHAND`.
        end_by(signal);
        return;
    }
    if !is_default(signal) {
        // Somebody else is in charge, and has called us besides.
        return;
    }
    let byte = [signal as u8];
    // SAFETY: `write` may be called from a signal handler and reads one byte, which is there.
    // The pipe is never closed and never full: it takes two bytes at most.
    unsafe { libc::write(PIPE.load(Ordering::Relaxed), byte.as_ptr().cast(), 1) };
}

/// Ends the process as the signal would have, unless somebody has a handler for it meanwhile.
#[allow(unsafe_code)]
fn end_by(signal: c_int) {
    if is_default(signal) {
        // SAFETY: signals this very process. Both may be called from a signal handler.
        unsafe { libc::kill(libc::getpid(), signal) };
    }
}
