//! A service of the fleet in a process of its own: `trefoil-fleet NAME …`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trefoil_fleet::service(std::env::args().skip(1))
}
