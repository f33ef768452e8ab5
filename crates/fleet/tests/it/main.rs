//! The fleet from outside: what leaves the process, as an OTLP receiver sees it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod emission;
mod receiver;
mod registry;
