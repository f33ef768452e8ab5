//! Compressed bodies, with a ceiling on what comes out of them.

use std::fmt;
use std::io::{self, Read};

use flate2::read::{GzEncoder, MultiGzDecoder, ZlibDecoder, ZlibEncoder};

/// Largest window of a zstd frame: 2^23 bytes = 8 MiB, what RFC 8878 recommends decoders
/// to support. Larger ones would let a small body claim much memory.
#[cfg(feature = "zstd")]
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// No snappy body expands more than this: the densest element makes 64 bytes of 3.
#[cfg(feature = "snappy")]
const SNAPPY_RATIO_MAX: usize = 22;

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not at all.
    Identity,
    /// RFC 1952, one or more members.
    Gzip,
    /// `deflate` of HTTP: zlib, RFC 1950.
    Deflate,
    /// RFC 8878, one or more frames.
    #[cfg(feature = "zstd")]
    Zstd,
    /// Snappy's block format, as Prometheus remote write and Loki use it.
    #[cfg(feature = "snappy")]
    SnappyBlock,
}

impl Encoding {
    /// From the value of a `Content-Encoding` or `grpc-encoding` header. `None` if it is
    /// not supported; an absent header is [`Encoding::Identity`].
    #[must_use]
    pub fn from_header(value: &str) -> Option<Self> {
        let is = |name: &str| value.trim().eq_ignore_ascii_case(name);
        match () {
            () if is("") || is("identity") => Some(Encoding::Identity),
            () if is("gzip") || is("x-gzip") => Some(Encoding::Gzip),
            () if is("deflate") => Some(Encoding::Deflate),
            #[cfg(feature = "zstd")]
            () if is("zstd") => Some(Encoding::Zstd),
            #[cfg(feature = "snappy")]
            () if is("snappy") => Some(Encoding::SnappyBlock),
            () => None,
        }
    }

    /// The name in headers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Identity => "identity",
            Encoding::Gzip => "gzip",
            Encoding::Deflate => "deflate",
            #[cfg(feature = "zstd")]
            Encoding::Zstd => "zstd",
            #[cfg(feature = "snappy")]
            Encoding::SnappyBlock => "snappy",
        }
    }
}

/// Why a body was not decompressed.
#[derive(Debug)]
pub enum Error {
    /// More would come out than allowed.
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body is not what its header says.
    Damaged {
        /// What it should be.
        encoding: Encoding,
        /// What is wrong.
        why: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::TooLarge { limit } => {
                write!(f, "the body is larger than the limit of {limit} bytes when decompressed")
            }
            Error::Damaged { encoding, why } => {
                write!(f, "the body is not valid {}: {why}", encoding.as_str())
            }
        }
    }
}

impl std::error::Error for Error {}

/// Appends the decompressed body to `out`, at most `limit` bytes of it.
///
/// # Errors
/// The body is damaged or too large; `out` may hold a part of it then.
pub fn decompress(
    encoding: Encoding,
    body: &[u8],
    limit: usize,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let damaged = |error: io::Error| Error::Damaged { encoding, why: error.to_string() };
    let read = match encoding {
        Encoding::Identity => read_to(body, limit, out),
        Encoding::Gzip => read_to(MultiGzDecoder::new(body), limit, out),
        Encoding::Deflate => read_to(ZlibDecoder::new(body), limit, out),
        #[cfg(feature = "zstd")]
        Encoding::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(damaged)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(damaged)?;
            read_to(decoder, limit, out)
        }
        #[cfg(feature = "snappy")]
        Encoding::SnappyBlock => return decompress_snappy(body, limit, out),
    };
    match read {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::TooLarge { limit }),
        Err(error) => Err(damaged(error)),
    }
}

/// Reads to the end; false if there is more than `limit` bytes.
fn read_to(reader: impl Read, limit: usize, out: &mut Vec<u8>) -> io::Result<bool> {
    let read = reader.take(limit as u64 + 1).read_to_end(out)?;
    Ok(read <= limit)
}

#[cfg(feature = "snappy")]
fn decompress_snappy(body: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Error> {
    let damaged = |why: String| Error::Damaged { encoding: Encoding::SnappyBlock, why };
    let length = snap::raw::decompress_len(body).map_err(|error| damaged(error.to_string()))?;
    if length > limit {
        return Err(Error::TooLarge { limit });
    }
    if length / SNAPPY_RATIO_MAX > body.len() {
        return Err(damaged(format!("{} bytes can not hold {length}", body.len())));
    }
    let start = out.len();
    out.resize(start + length, 0);
    let written = snap::raw::Decoder::new()
        .decompress(body, &mut out[start..])
        .map_err(|error| damaged(error.to_string()))?;
    out.truncate(start + written);
    Ok(())
}

/// Compresses a body, fast rather than small.
///
/// # Errors
/// Memory is short, or a snappy body is larger than 4 GiB.
pub fn compress(encoding: Encoding, body: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match encoding {
        Encoding::Identity => out.extend_from_slice(body),
        Encoding::Gzip => {
            GzEncoder::new(body, flate2::Compression::fast()).read_to_end(&mut out)?;
        }
        Encoding::Deflate => {
            ZlibEncoder::new(body, flate2::Compression::fast()).read_to_end(&mut out)?;
        }
        #[cfg(feature = "zstd")]
        Encoding::Zstd => out = zstd::bulk::compress(body, 1)?,
        #[cfg(feature = "snappy")]
        Encoding::SnappyBlock => {
            out = snap::raw::Encoder::new().compress_vec(body).map_err(io::Error::other)?;
        }
    }
    Ok(out)
}

/// The checksum of gzip and zip: CRC-32 with the polynomial of IEEE 802.3.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Encoding; 5] = [
        Encoding::Identity,
        Encoding::Gzip,
        Encoding::Deflate,
        Encoding::Zstd,
        Encoding::SnappyBlock,
    ];

    fn decompressed(encoding: Encoding, body: &[u8], limit: usize) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        decompress(encoding, body, limit, &mut out).map_err(|error| error.to_string())?;
        Ok(out)
    }

    #[test]
    fn each_encoding_comes_back_up_to_the_limit_and_not_beyond() {
        for length in [0, 1, 1000, 100_000] {
            let plain: Vec<u8> = (0..length).map(|i: u32| (i.wrapping_mul(i) >> 7) as u8).collect();
            for encoding in ALL {
                let body = compress(encoding, &plain).unwrap();
                assert_eq!(decompressed(encoding, &body, plain.len()).as_ref(), Ok(&plain));
                if let Some(limit) = plain.len().checked_sub(1) {
                    let refused = format!(
                        "the body is larger than the limit of {limit} bytes when decompressed"
                    );
                    assert_eq!(decompressed(encoding, &body, limit), Err(refused), "{encoding:?}");
                }
            }
        }
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let limit = 1 << 18;
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd] {
            let bomb = compress(encoding, &vec![0; 8 << 20]).unwrap();
            assert!(bomb.len() < limit);
            let mut out = Vec::new();
            let refused = decompress(encoding, &bomb, limit, &mut out);
            assert!(matches!(refused, Err(Error::TooLarge { limit: l }) if l == limit));
            assert!(out.capacity() < 4 * limit, "{encoding:?}: {}", out.capacity());
        }
        // 64 MiB claimed by six bytes.
        let claim = [0x80, 0x80, 0x80, 0x20, 0x00, 0x41];
        let mut out = Vec::new();
        assert!(decompress(Encoding::SnappyBlock, &claim, 64 << 20, &mut out).is_err());
        assert_eq!(out.capacity(), 0);
    }

    #[test]
    fn several_members_and_frames_are_one_body() {
        for encoding in [Encoding::Gzip, Encoding::Zstd] {
            let body = [compress(encoding, b"one ").unwrap(), compress(encoding, b"two").unwrap()]
                .concat();
            assert_eq!(decompressed(encoding, &body, 100).unwrap(), b"one two");
        }
    }

    #[test]
    fn damage_is_refused_and_named() {
        for encoding in &ALL[1..] {
            let body = compress(*encoding, &[b'x'; 5000]).unwrap();
            let cut = &body[..body.len() - 3];
            let why = decompressed(*encoding, cut, 10_000).expect_err(encoding.as_str());
            let start = format!("the body is not valid {}: ", encoding.as_str());
            assert!(why.starts_with(&start) && why.len() > start.len(), "{why}");
            assert!(decompressed(*encoding, b"not compressed", 10_000).is_err());
        }
        // The checksum at the end of a gzip member counts.
        let mut body = compress(Encoding::Gzip, b"checked").unwrap();
        let at = body.len() - 6;
        body[at] ^= 1;
        assert!(decompressed(Encoding::Gzip, &body, 100).is_err());
    }

    #[test]
    fn a_zstd_frame_with_a_huge_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        io::Write::write_all(&mut encoder, &[1; 1000]).unwrap();
        let body = encoder.finish().unwrap();
        let why = decompressed(Encoding::Zstd, &body, 10_000).unwrap_err();
        assert!(why.contains("memory"), "{why}");
    }

    #[test]
    fn crc32_is_the_one_of_the_catalogues() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn header_names_are_known_in_any_case() {
        for encoding in ALL {
            assert_eq!(Encoding::from_header(encoding.as_str()), Some(encoding));
        }
        assert_eq!(Encoding::from_header(" GZip"), Some(Encoding::Gzip));
        assert_eq!(Encoding::from_header("br"), None);
        assert_eq!(Encoding::from_header("gzip, zstd"), None);
    }
}
