//! What a port speaks, from the first bytes of its answers.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longest that each greeting waits for its answer.
const PATIENCE: Duration = Duration::from_millis(700);

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speaks {
    Http1,
    Http2,
    Tls,
    Unknown,
}

/// Greets the port in HTTP/2, then in HTTP/1; what does not understand a greeting says so in
/// its own language.
pub(super) fn sniff(address: SocketAddr) -> Speaks {
    let http2 = first_bytes(address, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0");
    match http2.as_deref().map_or(Speaks::Unknown, speaks) {
        Speaks::Unknown => {
            let greeting = b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            first_bytes(address, greeting).as_deref().map_or(Speaks::Unknown, speaks)
        }
        known => known,
    }
}

fn first_bytes(address: SocketAddr, greeting: &[u8]) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(greeting).ok()?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 64];
    // A reset after some bytes still leaves those bytes.
    while bytes.len() < 9 {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend(&buffer[..read]),
        }
    }
    Some(bytes)
}

fn speaks(bytes: &[u8]) -> Speaks {
    const SETTINGS: u8 = 4;
    match bytes {
        [b'H', b'T', b'T', b'P', b'/', ..] => Speaks::Http1,
        // An alert (21) or a handshake (22) of a version 3.x.
        [21 | 22, 3, 0..=4, ..] => Speaks::Tls,
        // A frame: three bytes of length, then its type. HTTP/2 begins with SETTINGS.
        [0, _, _, SETTINGS, _, 0, 0, 0, 0, ..] => Speaks::Http2,
        _ => Speaks::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_known_by_their_first_bytes() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], Speaks::Http1),
            (b"HTTP/1.0 505 x", Speaks::Http1),
            (b"\0\0\x12\x04\0\0\0\0\0\0\x03", Speaks::Http2),
            (b"\x15\x03\x01\0\x02\x02\x0a", Speaks::Tls),
            (b"\x16\x03\x03\0\x7a", Speaks::Tls),
            (b"", Speaks::Unknown),
            (b"220 mail.example ESMTP", Speaks::Unknown),
        ] {
            assert_eq!(speaks(bytes), expected, "{bytes:?}");
        }
    }
}
