//! Repository routines: `cargo xtask test`, `bench`, `tidy`.
fn main() {}
