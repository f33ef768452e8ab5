//! gRPC below HTTP/2: message frames, status, the headers' small languages.
//!
//! Source: `PROTOCOL-HTTP2.md` of grpc/grpc, `google/rpc/{code,status,error_details}.proto`.

use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

use crate::base64;
use crate::json;
use crate::protobuf::{self, Reader, Writer};

/// Bytes in front of each message: a flag and a length.
pub const FRAME_HEADER_BYTES: usize = 5;

/// One message as it lies in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Whether the message is compressed as the header `grpc-encoding` says.
    pub compressed: bool,
    /// The message.
    pub message: &'a [u8],
}

/// Why a frame was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The first byte is neither 0 nor 1. To be answered with [`Code::Internal`].
    Flag(u8),
    /// The message is longer than allowed. To be answered with [`Code::ResourceExhausted`].
    TooLarge {
        /// Bytes announced.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FrameError::Flag(flag) => {
                write!(f, "the message begins with flag {flag}, expected 0 or 1; is this gRPC?")
            }
            FrameError::TooLarge { length, limit } => {
                write!(f, "a message of {length} bytes is larger than the limit of {limit} bytes")
            }
        }
    }
}

impl std::error::Error for FrameError {}

/// The first message of a stream and what follows it, or `None` if more bytes are needed.
///
/// # Errors
/// The bytes are not a frame, or the message is longer than `limit` bytes.
pub fn split_frame(bytes: &[u8], limit: usize) -> Result<Option<(Frame<'_>, &[u8])>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else {
        return match bytes.first() {
            Some(&flag) if flag > 1 => Err(FrameError::Flag(flag)),
            _ => Ok(None),
        };
    };
    let [flag, length @ ..] = *header;
    if flag > 1 {
        return Err(FrameError::Flag(flag));
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > limit {
        return Err(FrameError::TooLarge { length, limit });
    }
    if rest.len() < length {
        return Ok(None);
    }
    let (message, rest) = rest.split_at(length);
    Ok(Some((Frame { compressed: flag == 1, message }, rest)))
}

/// Appends a message with its header. `None`, and nothing appended, if it is 4 GiB or longer.
#[must_use]
pub fn push_frame(message: &[u8], compressed: bool, out: &mut Vec<u8>) -> Option<()> {
    let length = u32::try_from(message.len()).ok()?;
    out.push(u8::from(compressed));
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    Some(())
}

/// How a call ended: `grpc-status`, `google.rpc.Code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Well.
    Ok = 0,
    /// The caller gave up.
    Cancelled = 1,
    /// Not said.
    Unknown = 2,
    /// The request is wrong and stays wrong.
    InvalidArgument = 3,
    /// Too late.
    DeadlineExceeded = 4,
    /// No such thing.
    NotFound = 5,
    /// It is there already.
    AlreadyExists = 6,
    /// The caller may not.
    PermissionDenied = 7,
    /// Something is used up; try later if a retry hint is given.
    ResourceExhausted = 8,
    /// Not in this state.
    FailedPrecondition = 9,
    /// Given up because of another call.
    Aborted = 10,
    /// Beyond the end.
    OutOfRange = 11,
    /// Not supported.
    Unimplemented = 12,
    /// A bug or a broken peer.
    Internal = 13,
    /// Try again later.
    Unavailable = 14,
    /// Data is gone.
    DataLoss = 15,
    /// Who is calling is not known.
    Unauthenticated = 16,
}

impl Code {
    /// The code of a number; [`Code::Unknown`] for one that is not defined.
    #[must_use]
    pub fn from_number(number: u64) -> Code {
        const ALL: [Code; 17] = [
            Code::Ok,
            Code::Cancelled,
            Code::Unknown,
            Code::InvalidArgument,
            Code::DeadlineExceeded,
            Code::NotFound,
            Code::AlreadyExists,
            Code::PermissionDenied,
            Code::ResourceExhausted,
            Code::FailedPrecondition,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unimplemented,
            Code::Internal,
            Code::Unavailable,
            Code::DataLoss,
            Code::Unauthenticated,
        ];
        usize::try_from(number).ok().and_then(|i| ALL.get(i).copied()).unwrap_or(Code::Unknown)
    }
}

/// `google.rpc.Status`: what OTLP answers with an error, in gRPC's
/// `grpc-status-details-bin` and as the body over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// What kind of error.
    pub code: Code,
    /// For people.
    pub message: String,
    /// When to try again: `RetryInfo`. Without it, `ResourceExhausted` means "never".
    pub retry_after: Option<Duration>,
}

impl Status {
    /// As protobuf.
    #[must_use]
    pub fn to_protobuf(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.varint_if_any(1, self.code as u64);
        w.str_if_any(2, &self.message);
        if let Some(delay) = self.retry_after {
            w.message(3, |w| {
                w.str(1, "type.googleapis.com/google.rpc.RetryInfo");
                w.message(2, |w| {
                    w.message(1, |w| {
                        w.varint_if_any(1, delay.as_secs());
                        w.varint_if_any(2, u64::from(delay.subsec_nanos()));
                    });
                });
            });
        }
        w.into_bytes()
    }

    /// From protobuf: the body of an OTLP/HTTP error, or what the details' header holds.
    ///
    /// # Errors
    /// The bytes are damaged.
    pub fn from_protobuf(bytes: &[u8]) -> protobuf::Result<Status> {
        let mut status = Status { code: Code::Ok, message: String::new(), retry_after: None };
        let mut reader = Reader::new(bytes);
        while let Some(field) = reader.next_field()? {
            match field.number {
                1 => status.code = Code::from_number(field.u64()?),
                2 => field.str()?.clone_into(&mut status.message),
                3 => status.retry_after = retry_info(field.reader()?)?.or(status.retry_after),
                _ => {}
            }
        }
        Ok(status)
    }

    /// From the value of the header `grpc-status-details-bin`. `None` if it is damaged.
    #[must_use]
    pub fn from_details_header(value: &str) -> Option<Status> {
        Status::from_protobuf(&base64::decode(value)?).ok()
    }

    /// As JSON, for answers to OTLP/JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = format!("{{\"code\":{},\"message\":", self.code as u8);
        json::write_string(&self.message, &mut out);
        if let Some(delay) = self.retry_after {
            let _ = write!(
                out,
                r#","details":[{{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"{}s"}}]"#,
                delay.as_secs_f64()
            );
        }
        out.push('}');
        out
    }

    /// The value of the header `grpc-status-details-bin`.
    #[must_use]
    pub fn to_details_header(&self) -> String {
        let mut out = String::new();
        base64::encode_into(&self.to_protobuf(), &mut out);
        out
    }
}

/// The delay of a `google.protobuf.Any` that holds a `RetryInfo`.
fn retry_info(mut any: Reader<'_>) -> protobuf::Result<Option<Duration>> {
    let (mut is_retry_info, mut delay) = (false, None);
    while let Some(field) = any.next_field()? {
        match field.number {
            1 => is_retry_info = field.str()?.ends_with("/google.rpc.RetryInfo"),
            // What another type holds need not be a message.
            2 if is_retry_info => {
                let mut info = field.reader()?;
                while let Some(field) = info.next_field()? {
                    if field.number == 1 {
                        delay = duration(field.reader()?)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(delay)
}

/// A `google.protobuf.Duration`; `None` if it is negative.
fn duration(mut reader: Reader<'_>) -> protobuf::Result<Option<Duration>> {
    let (mut seconds, mut nanos) = (0, 0);
    while let Some(field) = reader.next_field()? {
        match field.number {
            1 => seconds = field.i64()?,
            2 => nanos = field.i64()?,
            _ => {}
        }
    }
    let parts = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
    Ok(parts.map(|(seconds, nanos)| {
        Duration::from_secs(seconds) + Duration::from_nanos(u64::from(nanos))
    }))
}

/// The value of the header `grpc-message`: everything but printable ASCII percent-encoded.
#[must_use]
pub fn encode_message(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// Reads `grpc-message`. Wrong escapes stay as they are and bytes that are not UTF-8
/// become U+FFFD, because a message must never hide the error it comes with.
#[must_use]
pub fn decode_message(value: &str) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let escaped = match after {
            [high, low, ..] if byte == b'%' => hex_digit(*high).zip(hex_digit(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                out.push(high << 4 | low);
                rest = &after[2..];
            }
            None => {
                out.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex_digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Reads `grpc-timeout`: up to eight digits and a unit (`H`, `M`, `S`, `m`, `u`, `n`).
#[must_use]
pub fn parse_timeout(value: &str) -> Option<Duration> {
    let (&unit, digits) = value.as_bytes().split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = value.get(..digits.len())?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_split_as_they_arrive() {
        let mut stream = Vec::new();
        push_frame(b"abc", false, &mut stream).unwrap();
        push_frame(b"", true, &mut stream).unwrap();
        for cut in 0..8 {
            assert_eq!(split_frame(&stream[..cut], 10), Ok(None));
        }
        let (first, rest) = split_frame(&stream, 3).unwrap().unwrap();
        assert_eq!(first, Frame { compressed: false, message: b"abc" });
        let (second, rest) = split_frame(rest, 3).unwrap().unwrap();
        assert_eq!(second, Frame { compressed: true, message: b"" });
        assert!(rest.is_empty());
    }

    #[test]
    fn a_frame_too_long_is_refused_before_it_arrives() {
        let error = split_frame(&[0, 0xff, 0xff, 0xff, 0xff], 100).unwrap_err();
        let text = "a message of 4294967295 bytes is larger than the limit of 100 bytes";
        assert_eq!(error.to_string(), text);
        assert_eq!(split_frame(b"{", 100), Err(FrameError::Flag(b'{')));
        assert_eq!(split_frame(b"{\"a\":1}", 100), Err(FrameError::Flag(b'{')));
    }

    #[test]
    fn status_carries_the_retry_hint() {
        let status = Status {
            code: Code::ResourceExhausted,
            message: "memory is \"short\"".into(),
            retry_after: Some(Duration::from_millis(1500)),
        };
        let json = r#"{"code":8,"message":"memory is \"short\"","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}"#;
        assert_eq!(status.to_json(), json);
        // As `protoc --decode_raw` shows it: 1: 8, 2: text, 3 { 1: url, 2 { 1 { 1: 1, 2: 500000000 } } }
        let bytes = status.to_protobuf();
        assert_eq!(bytes[..4], [8, 8, 0x12, 17]);
        let tail = [0x12, 10, 0x0a, 8, 0x08, 1, 0x10, 0x80, 0xca, 0xb5, 0xee, 0x01];
        assert_eq!(bytes[bytes.len() - tail.len()..], tail);
        assert_eq!(base64::decode(&status.to_details_header()).unwrap(), bytes);
        assert_eq!(Status::from_details_header(&status.to_details_header()), Some(status));
    }

    #[test]
    fn damaged_details_are_no_status() {
        for wrong in ["!", "CAgS", "GgX//////w=="] {
            assert_eq!(Status::from_details_header(wrong), None, "{wrong}");
        }
        assert_eq!(Code::from_number(14), Code::Unavailable);
        assert_eq!(Code::from_number(16), Code::Unauthenticated);
        assert_eq!(Code::from_number(17), Code::Unknown);
        // Unpadded, as Go sends it; and details of another type.
        let status = Status::from_details_header("CAgaBQoBeBIA").unwrap();
        assert_eq!((status.code, status.retry_after), (Code::ResourceExhausted, None));
    }

    #[test]
    fn messages_are_percent_encoded_both_ways() {
        for text in ["", "plain text ~", "100% ünï\r\n\0"] {
            let encoded = encode_message(text);
            assert!(encoded.bytes().all(|b| (b' '..=b'~').contains(&b)));
            assert_eq!(decode_message(&encoded), text);
        }
        assert_eq!(encode_message("a%\n"), "a%25%0A");
        assert_eq!(decode_message("50% of %zz %4"), "50% of %zz %4");
        assert_eq!(decode_message("%ff"), "\u{fffd}");
    }

    #[test]
    fn timeouts_have_eight_digits_and_a_unit() {
        let check = |value: &str, expected: Option<Duration>| {
            assert_eq!(parse_timeout(value), expected, "{value}");
        };
        check("10S", Some(Duration::from_secs(10)));
        check("99999999H", Some(Duration::from_secs(99_999_999 * 3600)));
        check("2M", Some(Duration::from_secs(120)));
        check("100m", Some(Duration::from_millis(100)));
        check("100u", Some(Duration::from_micros(100)));
        check("0n", Some(Duration::ZERO));
        for wrong in ["", "S", "10", "10s", "-1S", "+1S", "1.5S", "999999999S", "1é"] {
            check(wrong, None);
        }
    }
}
