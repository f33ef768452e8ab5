//! OTLP in JSON, both ways, as a translation of the protobuf form.
//!
//! Source: OTLP specification, "JSON Protobuf Encoding", over the JSON mapping of proto3.
//! Incoming JSON becomes protobuf bytes, so that only the views of protobuf say what a
//! request means. The messages come from [`schema`](super::schema).

use std::fmt::Write as _;

use crate::base64;
use crate::json::{Kind as JsonKind, Reader, Result, write_string};
use crate::protobuf::schema::{FieldType, Kind, Message};
use crate::protobuf::{self, Double, Field, Fixed64, ScalarsIter, Uint64, Writer};

/// Translates a message in JSON to protobuf, appended to `out`.
///
/// Names are taken in both styles (`traceId`, `trace_id`), unknown ones are passed over, 64-bit
/// integers are numbers or strings, enums are numbers or names, ids are hexadecimal.
///
/// # Errors
/// The text is not JSON, or a field holds what it can not; with path, line and column.
pub fn to_protobuf(message: &'static Message, json: &[u8], out: &mut Writer) -> Result<()> {
    let mut reader = Reader::from_bytes(json)?;
    read_message(message, &mut reader, out)?;
    reader.end()
}

fn read_message(
    message: &'static Message,
    reader: &mut Reader<'_>,
    out: &mut Writer,
) -> Result<()> {
    reader.object(|reader, key| {
        let named = |field: &&FieldType| field.json_name == key || field.name == key;
        let Some(field) = message.fields.iter().find(named) else { return reader.skip() };
        if reader.null()? {
            return Ok(());
        }
        if !field.repeated {
            return read_value(field, reader, out);
        }
        if matches!(field.kind, Kind::Message(_) | Kind::Str) {
            return reader.array(|reader| read_value(field, reader, out));
        }
        let open = out.open(field.number);
        reader.array(|reader| read_packed(field, reader, out))?;
        out.close(open);
        Ok(())
    })
}

/// One number of a packed field.
fn read_packed(field: &FieldType, reader: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
    match field.kind {
        Kind::Fixed64 => out.raw_fixed64(integer(reader, 0, u64::MAX.into())? as u64),
        Kind::Double => out.raw_fixed64(double(reader)?.to_bits()),
        Kind::Uint64 => out.raw_varint(integer(reader, 0, u64::MAX.into())? as u64),
        _ => return Err(reader.error("this list is not supported")),
    }
    Ok(())
}

fn read_value(field: &FieldType, reader: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
    let number = field.number;
    match field.kind {
        Kind::Message(message) => {
            let open = out.open(number);
            read_message(message(), reader, out)?;
            out.close(open);
        }
        Kind::Enum(names) => out.int(number, enumeration(names, reader)?),
        Kind::Str => out.str(number, &reader.string()?),
        Kind::Bytes => {
            let at = reader.clone();
            let bytes = base64::decode(&reader.string()?);
            out.bytes(number, &bytes.ok_or_else(|| at.error("not base64"))?);
        }
        Kind::Id => {
            let at = reader.clone();
            let bytes = from_hex(&reader.string()?);
            out.bytes(number, &bytes.ok_or_else(|| at.error("not hexadecimal"))?);
        }
        Kind::Bool => out.bool(number, reader.bool()?),
        Kind::Double => out.double(number, double(reader)?),
        Kind::Int64 => {
            out.int(number, integer(reader, i64::MIN.into(), i64::MAX.into())? as i64);
        }
        Kind::Uint64 => out.varint(number, integer(reader, 0, u64::MAX.into())? as u64),
        Kind::Fixed64 => out.fixed64(number, integer(reader, 0, u64::MAX.into())? as u64),
        Kind::Sfixed64 => {
            let value = integer(reader, i64::MIN.into(), i64::MAX.into())? as i64;
            out.fixed64(number, value.cast_unsigned());
        }
        Kind::Int32 => {
            out.int(number, integer(reader, i32::MIN.into(), i32::MAX.into())? as i64);
        }
        Kind::Sint32 => {
            out.sint(number, integer(reader, i32::MIN.into(), i32::MAX.into())? as i64);
        }
        Kind::Uint32 => out.varint(number, integer(reader, 0, u32::MAX.into())? as u64),
        Kind::Fixed32 => out.fixed32(number, integer(reader, 0, u32::MAX.into())? as u32),
    }
    Ok(())
}

/// An integer as number or string. Forms like `1e3` and `5.0` count, as proto3 asks for.
fn integer(reader: &mut Reader<'_>, min: i128, max: i128) -> Result<i128> {
    let at = reader.clone();
    let text = match reader.peek()? {
        JsonKind::String => reader.string()?,
        _ => reader.number()?.into(),
    };
    let value = text.parse::<i128>().ok().or_else(|| {
        let value: f64 = text.parse().ok()?;
        // Beyond 2^53 such a form no longer says which integer is meant.
        let exact = value.fract() == 0.0 && value.abs() <= (1u64 << 53) as f64;
        exact.then_some(value as i128)
    });
    match value {
        Some(value) if (min..=max).contains(&value) => Ok(value),
        Some(_) => Err(at.error(format!("expected an integer from {min} to {max}"))),
        None => Err(at.error("expected an integer")),
    }
}

fn double(reader: &mut Reader<'_>) -> Result<f64> {
    if reader.peek()? == JsonKind::Number {
        let at = reader.clone();
        let value: f64 = reader.number()?.parse().map_err(|_| at.error("expected a number"))?;
        if value.is_infinite() {
            return Err(at.error("a number beyond the range of a double"));
        }
        return Ok(value);
    }
    let at = reader.clone();
    let text = reader.string()?;
    match &*text {
        "NaN" => Ok(f64::NAN),
        "Infinity" => Ok(f64::INFINITY),
        "-Infinity" => Ok(f64::NEG_INFINITY),
        // Rust also takes "inf" and the like.
        _ => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            _ => Err(at.error("expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"")),
        },
    }
}

fn enumeration(names: &[(&str, i32)], reader: &mut Reader<'_>) -> Result<i64> {
    if reader.peek()? != JsonKind::String {
        return Ok(integer(reader, i32::MIN.into(), i32::MAX.into())? as i64);
    }
    let at = reader.clone();
    let text = reader.string()?;
    match names.iter().find(|(name, _)| *name == text) {
        Some((_, number)) => Ok(i64::from(*number)),
        None => {
            let text: String = text.chars().take(40).collect();
            Err(at.error(format!("unknown name {text:?}, expected one like {:?}", names[0].0)))
        }
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    digits.chunks(2).map(|pair| Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)).collect()
}

/// How JSON is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As OTLP asks for: ids in hexadecimal, enums as numbers.
    Otlp,
    /// As Tempo answers: ids in base64, enums by name.
    Tempo,
}

/// Translates a message in protobuf to JSON, appended to `out`. Unknown fields are left out;
/// fields of the `.proto` files that are absent stay absent.
///
/// # Errors
/// The message is damaged or not valid; `out` may hold a part of it then.
pub fn from_protobuf(
    message: &'static Message,
    bytes: &[u8],
    style: Style,
    out: &mut String,
) -> protobuf::Result<()> {
    write_message(message, protobuf::Reader::new(bytes), style, out)
}

fn write_message(
    message: &'static Message,
    mut reader: protobuf::Reader<'_>,
    style: Style,
    out: &mut String,
) -> protobuf::Result<()> {
    // A repeated field may come in several runs, but is one list in JSON.
    let mut fields: Vec<(usize, Field<'_>)> = Vec::new();
    while let Some(field) = reader.next_field()? {
        if let Some(place) = message.fields.iter().position(|known| known.number == field.number) {
            fields.push((place, field));
        }
    }
    fields.sort_by_key(|&(place, _)| place);
    out.push('{');
    for (i, run) in fields.chunk_by(|a, b| a.0 == b.0).enumerate() {
        let described = &message.fields[run[0].0];
        let separator = if i == 0 { "" } else { "," };
        let _ = write!(out, "{separator}\"{}\":", described.json_name);
        if described.repeated {
            write_list(described, run, style, out)?;
        } else if let Some((_, last)) = run.last() {
            write_field(described, last, style, out)?;
        }
    }
    out.push('}');
    Ok(())
}

fn write_list(
    described: &'static FieldType,
    run: &[(usize, Field<'_>)],
    style: Style,
    out: &mut String,
) -> protobuf::Result<()> {
    let mut first = true;
    let mut separate = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
    };
    out.push('[');
    for (_, field) in run {
        match described.kind {
            Kind::Fixed64 => {
                for number in ScalarsIter::<Fixed64>::of(field) {
                    separate(out);
                    let _ = write!(out, "\"{}\"", number?);
                }
            }
            Kind::Uint64 => {
                for number in ScalarsIter::<Uint64>::of(field) {
                    separate(out);
                    let _ = write!(out, "\"{}\"", number?);
                }
            }
            Kind::Double => {
                for number in ScalarsIter::<Double>::of(field) {
                    separate(out);
                    write_double(number?, out);
                }
            }
            _ => {
                separate(out);
                write_field(described, field, style, out)?;
            }
        }
    }
    out.push(']');
    Ok(())
}

fn write_field(
    described: &'static FieldType,
    field: &Field<'_>,
    style: Style,
    out: &mut String,
) -> protobuf::Result<()> {
    // Writing to a string can not fail.
    let _ = match described.kind {
        Kind::Message(message) => {
            return write_message(message(), field.reader()?, style, out);
        }
        Kind::Enum(names) => {
            let number = field.i32()?;
            let name = names.iter().find(|(_, n)| *n == number).filter(|_| style == Style::Tempo);
            match name {
                Some((name, _)) => write!(out, "\"{name}\""),
                None => write!(out, "{number}"),
            }
        }
        Kind::Str => {
            write_string(field.str()?, out);
            Ok(())
        }
        Kind::Id if style == Style::Otlp => write_hex(field.bytes()?, out),
        Kind::Bytes | Kind::Id => {
            out.push('"');
            base64::encode_into(field.bytes()?, out);
            out.push('"');
            Ok(())
        }
        Kind::Bool => write!(out, "{}", field.bool()?),
        Kind::Double => {
            write_double(field.double()?, out);
            Ok(())
        }
        Kind::Int64 => write!(out, "\"{}\"", field.i64()?),
        Kind::Uint64 => write!(out, "\"{}\"", field.u64()?),
        Kind::Fixed64 => write!(out, "\"{}\"", field.fixed64()?),
        Kind::Sfixed64 => write!(out, "\"{}\"", field.fixed64()?.cast_signed()),
        Kind::Int32 => write!(out, "{}", field.i32()?),
        Kind::Sint32 => write!(out, "{}", field.sint32()?),
        Kind::Uint32 => write!(out, "{}", field.u32()?),
        Kind::Fixed32 => write!(out, "{}", field.fixed32()?),
    };
    Ok(())
}

fn write_hex(bytes: &[u8], out: &mut String) -> std::fmt::Result {
    out.push('"');
    for byte in bytes {
        write!(out, "{byte:02x}")?;
    }
    out.push('"');
    Ok(())
}

/// Shortest form that reads back as the same double.
fn write_double(value: f64, out: &mut String) {
    let _ = if value.is_nan() {
        write!(out, "\"NaN\"")
    } else if value.is_infinite() {
        write!(out, "\"{}Infinity\"", if value < 0.0 { "-" } else { "" })
    } else if value.fract() == 0.0 && value.abs() < 1e15 && value.to_bits() != (-0.0f64).to_bits() {
        write!(out, "{}", value as i64)
    } else {
        write!(out, "{value:?}")
    };
}

#[cfg(test)]
mod tests;
