//! TraceQL.
