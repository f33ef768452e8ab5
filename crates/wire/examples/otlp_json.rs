//! Translates OTLP between protobuf and JSON, so that someone else can look at it:
//! `tests/clients/python/test_otlp_json.py`.
//!
//! The arguments are the message's name and `to` or `from`, standard input is the message.

use std::error::Error;
use std::io::{Read as _, Write as _};

use trefoil_wire::otlp::json::{Style, from_protobuf, to_protobuf};
use trefoil_wire::otlp::schema;
use trefoil_wire::protobuf::Writer;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, direction] = &arguments[..] else { return Err("which message, to or from?".into()) };
    let described = [
        &schema::TRACE_REQUEST,
        &schema::METRICS_REQUEST,
        &schema::LOGS_REQUEST,
        &schema::TRACE_RESPONSE,
        &schema::METRICS_RESPONSE,
        &schema::LOGS_RESPONSE,
    ];
    let described = described.into_iter().find(|message| message.name == name);
    let described = described.ok_or("no such message")?;
    let mut message = Vec::new();
    std::io::stdin().read_to_end(&mut message)?;
    if direction == "to" {
        let mut json = String::new();
        from_protobuf(described, &message, Style::Otlp, &mut json)?;
        std::io::stdout().write_all(json.as_bytes())?;
    } else {
        let mut writer = Writer::new();
        to_protobuf(described, &message, &mut writer)?;
        std::io::stdout().write_all(writer.as_bytes())?;
    }
    Ok(())
}
