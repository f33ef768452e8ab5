//! Decodes a message of OTLP and encodes it again, so that someone else can look at both:
//! `tests/clients/python/test_otlp_messages.py`.
//!
//! The argument is the message's full name, standard input its bytes. Standard output gets
//! them as they are encoded again, standard error says what was read.

use std::error::Error;
use std::fmt::Debug;
use std::io::{Read as _, Write as _};

use prost::Message;
use trefoil_otlp_messages::collector::logs::v1::{
    ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use trefoil_otlp_messages::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use trefoil_otlp_messages::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use trefoil_otlp_messages::logs::v1::LogsData;
use trefoil_otlp_messages::metrics::v1::MetricsData;
use trefoil_otlp_messages::trace::v1::TracesData;

fn main() -> Result<(), Box<dyn Error>> {
    let name = std::env::args().nth(1).ok_or("which message?")?;
    let mut bytes = Vec::new();
    std::io::stdin().read_to_end(&mut bytes)?;
    let again = match name.strip_prefix("opentelemetry.proto.").unwrap_or(&name) {
        "trace.v1.TracesData" => again::<TracesData>,
        "metrics.v1.MetricsData" => again::<MetricsData>,
        "logs.v1.LogsData" => again::<LogsData>,
        "collector.trace.v1.ExportTraceServiceRequest" => again::<ExportTraceServiceRequest>,
        "collector.trace.v1.ExportTraceServiceResponse" => again::<ExportTraceServiceResponse>,
        "collector.metrics.v1.ExportMetricsServiceRequest" => again::<ExportMetricsServiceRequest>,
        "collector.metrics.v1.ExportMetricsServiceResponse" => {
            again::<ExportMetricsServiceResponse>
        }
        "collector.logs.v1.ExportLogsServiceRequest" => again::<ExportLogsServiceRequest>,
        "collector.logs.v1.ExportLogsServiceResponse" => again::<ExportLogsServiceResponse>,
        _ => return Err(format!("{name} is not declared").into()),
    };
    again(&bytes)
}

fn again<M: Message + Default + Debug>(bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    let message = M::decode(bytes)?;
    std::io::stderr().write_all(format!("{message:?}").as_bytes())?;
    std::io::stdout().write_all(&message.encode_to_vec())?;
    Ok(())
}
