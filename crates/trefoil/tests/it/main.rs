//! What leaves the process, decoded at the other end of a real socket.

// Each test uses a part of it.
#[allow(dead_code, clippy::unwrap_used)]
mod receiver;
