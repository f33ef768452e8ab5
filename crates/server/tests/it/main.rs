//! Tests with the real binary.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    dead_code,
    reason = "tests may; parts wait for their callers"
)]

mod binary;
mod command_line;
mod grpc;
mod hostile;
mod kill;
mod lifecycle;
mod otlp;
mod read_back;
mod receive;
mod verbs;
