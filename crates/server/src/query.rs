//! `trefoil query`: asks a running server.

use crate::args::Exit;
use crate::console::say;

/// Runs the verb.
pub(crate) fn run(_: lexopt::Parser) -> Exit {
    say!("trefoil: query is not built yet");
    Exit::Failed
}
