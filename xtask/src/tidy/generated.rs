//! Generated code that is checked in is what it was generated from says.

use super::{Findings, Tree};
use crate::codegen;

pub(super) fn fresh(_tree: &Tree) -> Findings {
    let faults = codegen::outdated().unwrap_or_else(|error| vec![error]);
    Findings { faults, ..Findings::default() }
}
