use std::fmt::Write as _;

use super::labels::name_length;
use crate::json::{Kind, Reader, Result};
use crate::protobuf::Writer;

/// Translates a push in JSON to protobuf, appended to `out`:
/// `{"streams": [{"stream": {"app": "shop"}, "values": [["1700000000000000000", "line", {"k": "v"}]]}]}`.
///
/// # Errors
/// The text is not JSON or not a push; with path, line and column.
pub fn to_protobuf(json: &[u8], out: &mut Writer) -> Result<()> {
    let mut reader = Reader::from_bytes(json)?;
    let mut any = false;
    reader.object(|reader, key| match key {
        "streams" => {
            any = true;
            reader.array(|reader| read_stream(reader, out))
        }
        _ => reader.skip(),
    })?;
    reader.end()?;
    if any { Ok(()) } else { Err(Reader::new("").error("expected a field \"streams\"")) }
}

fn read_stream(reader: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
    let open = out.open(1);
    let at = reader.clone();
    let mut labelled = false;
    reader.object(|reader, key| match key {
        "stream" => {
            labelled = true;
            let labels = read_labels(reader)?;
            out.str(1, &labels);
            Ok(())
        }
        "values" => reader.array(|reader| read_entry(reader, out)),
        _ => reader.skip(),
    })?;
    out.close(open);
    if labelled { Ok(()) } else { Err(at.error("expected a field \"stream\" with the labels")) }
}

/// Labels as the protobuf form has them: `{app="shop"}`.
fn read_labels(reader: &mut Reader<'_>) -> Result<String> {
    let mut labels = "{".to_owned();
    reader.object(|reader, name| {
        if name.is_empty() || name_length(name) != name.len() {
            return Err(reader.error("not a label name: letters, digits and '_' are"));
        }
        let value = reader.string()?;
        let separator = if labels.len() > 1 { "," } else { "" };
        let _ = write!(labels, "{separator}{name}=\"");
        for character in value.chars() {
            match character {
                '\\' => labels.push_str("\\\\"),
                '"' => labels.push_str("\\\""),
                '\n' => labels.push_str("\\n"),
                other => labels.push(other),
            }
        }
        labels.push('"');
        Ok(())
    })?;
    labels.push('}');
    Ok(labels)
}

/// `[time, line]` or `[time, line, {metadata}]`.
fn read_entry(reader: &mut Reader<'_>, out: &mut Writer) -> Result<()> {
    let open = out.open(2);
    let at = reader.clone();
    let mut place = 0;
    reader.array(|reader| {
        place += 1;
        match place {
            1 => write_time(read_time(reader)?, out),
            2 => out.str(2, &reader.string()?),
            3 => reader.object(|reader, name| {
                let value = reader.string()?;
                out.message(3, |w| {
                    w.str(1, name);
                    w.str(2, &value);
                });
                Ok(())
            })?,
            _ => return Err(reader.error("expected time, line and metadata, and no more")),
        }
        Ok(())
    })?;
    out.close(open);
    if place < 2 {
        return Err(at.error("expected at least a time and a line"));
    }
    Ok(())
}

fn read_time(reader: &mut Reader<'_>) -> Result<i64> {
    let at = reader.clone();
    let text = match reader.peek()? {
        Kind::Number => reader.number()?.into(),
        _ => reader.string()?,
    };
    text.parse().map_err(|_| at.error("expected a time in Unix nanoseconds"))
}

fn write_time(nanoseconds: i64, out: &mut Writer) {
    out.message(1, |w| {
        w.int(1, nanoseconds.div_euclid(1_000_000_000));
        w.varint(2, nanoseconds.rem_euclid(1_000_000_000).cast_unsigned());
    });
}
