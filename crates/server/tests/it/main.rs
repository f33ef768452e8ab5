//! Tests with the real binary.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests may")]

mod admin;
mod binary;
mod command_line;
mod demo;
mod disk;
mod grpc;
mod hostile;
mod kill;
mod lifecycle;
mod memory;
mod otlp;
mod read_back;
mod receive;
mod verbs;
