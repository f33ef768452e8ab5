//! `trefoil demo`: the server with a fleet of services that emit telemetry.

use crate::args::Exit;
use crate::console::say;

/// Runs the verb.
pub(crate) fn run(_: lexopt::Parser) -> Exit {
    say!("trefoil: the demo is not built yet; `trefoil serve` is");
    Exit::Failed
}
