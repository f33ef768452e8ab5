//! The binary `trefoil`.
fn main() {}
