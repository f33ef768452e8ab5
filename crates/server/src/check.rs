//! `trefoil check`: checks query and settings files.

use crate::args::Exit;
use crate::console::say;

/// Runs the verb.
pub(crate) fn run(_: lexopt::Parser) -> Exit {
    say!("trefoil: check is not built yet");
    Exit::Failed
}
