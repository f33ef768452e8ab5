//! `trefoil doctor`: finds out why no data arrives.

use crate::args::Exit;
use crate::console::say;

/// Runs the verb.
pub(crate) fn run(_: lexopt::Parser) -> Exit {
    say!("trefoil: doctor is not built yet");
    Exit::Failed
}
