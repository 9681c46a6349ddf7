//! The body of a request: read, and unpacked where it comes compressed, both within the limit.

use std::io::{self, Read};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;

use crate::problem::Problem;
use crate::unread;

/// The most memory that a body may ask for to be unpacked: 2 to the power of 23 bytes, which RFC 8878 wants supported.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bodies up to here are copied out of the connection's buffer, in bytes.
const SMALL: usize = 4 * 1024;

/// How a body is packed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Zstd,
}

/// Reads a body up to `limit` bytes, counted as they come and again unpacked.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limit: u32) -> Result<Bytes, Problem> {
    let encoding = match encoding(headers) {
        Ok(encoding) => encoding,
        Err(problem) => {
            unread::refused(headers, body).await;
            return Err(problem);
        }
    };
    let bytes = read_packed(body, limit).await?;
    let Some(encoding) = encoding else { return Ok(bytes) };
    let unpacked = tokio::task::spawn_blocking(move || unpack(encoding, &bytes, limit));
    unpacked.await.map_err(Problem::internal)?
}

/// Of a body that is too long the rest is thrown away, so that the client reads the refusal.
async fn read_packed(mut body: Body, limit: u32) -> Result<Bytes, Problem> {
    let (mut whole, mut first) = (BytesMut::new(), Bytes::new());
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|_| Problem::bad_request("the request body did not arrive whole"))?;
        let bytes = frame.into_data().unwrap_or_default();
        if first.len() + whole.len() + bytes.len() > size(limit) {
            unread::rest(body).await;
            return Err(too_large(limit));
        }
        // Mostly a body comes in one piece, which then is not copied.
        if first.is_empty() && whole.is_empty() {
            first = bytes;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&bytes);
        }
    }
    if !whole.is_empty() {
        return Ok(whole.freeze());
    }
    // A request lives as long as its answer, and would keep the connection from using its buffer again.
    Ok(if first.len() <= SMALL { Bytes::copy_from_slice(&first) } else { first })
}

fn size(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

fn too_large(limit: u32) -> Problem {
    let message = format!("the request body is larger than {limit} bytes");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message)
}

fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Problem> {
    let mut found = None;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        for name in value.to_str().unwrap_or("?").split(',').map(str::trim) {
            let encoding = match name.to_ascii_lowercase().as_str() {
                "" | "identity" => continue,
                "gzip" | "x-gzip" => Encoding::Gzip,
                "deflate" => Encoding::Deflate,
                "zstd" => Encoding::Zstd,
                _ => return Err(unsupported()),
            };
            if found.replace(encoding).is_some() {
                return Err(unsupported());
            }
        }
    }
    Ok(found)
}

fn unsupported() -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "unsupported_encoding",
        "content-encoding: expected one of gzip, deflate and zstd, or none",
    )
}

fn unpack(encoding: Encoding, bytes: &[u8], limit: u32) -> Result<Bytes, Problem> {
    let unpacked = match encoding {
        Encoding::Gzip => read_all(flate2::read::MultiGzDecoder::new(bytes), limit),
        // Meant is the form of zlib; some send the bare one.
        Encoding::Deflate if is_zlib(bytes) => {
            read_all(flate2::read::ZlibDecoder::new(bytes), limit)
        }
        Encoding::Deflate => read_all(flate2::read::DeflateDecoder::new(bytes), limit),
        Encoding::Zstd => unzstd(bytes, limit),
    };
    match unpacked {
        Ok(unpacked) if unpacked.len() > size(limit) => Err(too_large(limit)),
        Ok(unpacked) => Ok(Bytes::from(unpacked)),
        Err(_) => {
            let message = "the request body is not what its content-encoding says";
            Err(Problem::bad_request(message))
        }
    }
}

fn is_zlib(bytes: &[u8]) -> bool {
    matches!(bytes, [first, second, ..]
        if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31))
}

fn unzstd(bytes: &[u8], limit: u32) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    read_all(decoder, limit)
}

/// Reads at most one byte more than the limit.
fn read_all(reader: impl Read, limit: u32) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(u64::from(limit) + 1).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}
