//! What leaves the process, decoded at the other end of a real socket.

mod child;
mod start;

// Each test uses a part of it.
#[allow(dead_code, clippy::unwrap_used)]
mod receiver;
