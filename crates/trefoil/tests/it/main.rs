//! What leaves the process, decoded at the other end of a real socket.

mod child;
#[allow(clippy::unwrap_used)]
mod edge;
#[allow(clippy::unwrap_used, clippy::print_stderr, clippy::print_stdout)]
mod export;
#[allow(clippy::unwrap_used)]
mod grpc;
#[allow(clippy::unwrap_used)]
mod http_client;
#[allow(clippy::unwrap_used)]
mod http_server;
#[allow(clippy::unwrap_used)]
mod layers;
mod logs;
mod m4;
mod metric;
#[allow(clippy::unwrap_used)]
mod sampling;
#[cfg(unix)]
mod signals;
#[allow(clippy::unwrap_used)]
mod sql;
mod start;

// Each test uses a part of it.
#[allow(dead_code, clippy::unwrap_used)]
mod receiver;
