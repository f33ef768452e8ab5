//! The store from outside: what goes in comes out, in every state it can be in.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test says what it expects")]

mod answers;
mod fixture;
mod log_groups;
mod log_search;
mod make;
mod states;
mod threads;
mod traces;
