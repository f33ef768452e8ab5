//! Servers and clients of HTTP: spans, metrics, an access log, context in the headers.
//!
//! Names and rules are those of OpenTelemetry's semantic conventions for HTTP, 1.30 and later.
//! What could hold secrets is not recorded: headers, credentials in URLs, values of queries.

mod access;
mod address;
mod body;
mod client;
mod exchange;
mod instruments;
mod method;
mod route;
mod server;

pub(crate) use address::{Server, peer};
pub(crate) use body::{End, Watch, panic_message};
#[cfg(feature = "reqwest")]
pub(crate) use client::{Call, ClientOptions};
#[cfg(feature = "reqwest")]
pub(crate) use instruments::ClientMetrics;

#[cfg(feature = "grpc")]
pub(crate) use exchange::exception;

pub use body::Observed;
pub use client::{HttpClientLayer, HttpClientService};
pub use route::Route;
pub use server::{HttpLayer, HttpService, Trust};
