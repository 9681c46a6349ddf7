//! The body of a request: read, and unpacked where it comes compressed, both within the limit.

use std::io::{self, Read};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout_at};

use crate::app::App;
use crate::limits::{self, Taken};
use crate::problem::Problem;
use crate::unread;

/// The most memory that a body may ask for to be unpacked: 2 to the power of 23 bytes, which RFC 8878 wants supported.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Bodies up to here are copied out of the connection's buffer, in bytes.
const SMALL: usize = 4 * 1024;

/// A body that comes more slowly than this has its time, and no more, in bytes.
const LEAST_PER_SECOND: usize = 64 * 1024;

/// What is unpacked at once, in bytes.
const PIECE: u64 = 64 * 1024;

/// How a body is packed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Zstd,
}

/// A body, as long as it may be in memory.
pub(crate) struct Whole {
    pub(crate) bytes: Bytes,
    pub(crate) held: Taken,
}

/// Reads a body up to `limit` bytes, counted as they come and again unpacked, if it comes in time and there is room.
pub(crate) async fn read(
    app: &App,
    headers: &HeaderMap,
    body: Body,
    limit: u32,
) -> Result<Whole, Problem> {
    let encoding = encoding(headers);
    let announced = body.size_hint().lower();
    let room = match app.limits.bodies.take(0).filter(|_| app.limits.bodies.has(announced)) {
        _ if announced > limit.into() => Err(too_large(limit)),
        room => room.ok_or_else(limits::overloaded),
    };
    let (encoding, held) = match (encoding, room) {
        (Ok(encoding), Ok(held)) => (encoding, held),
        (Err(problem), _) | (_, Err(problem)) => {
            unread::refused(app, headers, body).await;
            return Err(problem);
        }
    };
    let whole = read_packed(app, body, limit, held).await?;
    let Some(encoding) = encoding else { return Ok(whole) };
    tokio::task::spawn_blocking(move || unpack(encoding, whole, limit))
        .await
        .map_err(Problem::internal)?
}

/// Of a body that is too long the rest is thrown away, so that the client reads the refusal.
async fn read_packed(
    app: &App,
    mut body: Body,
    limit: u32,
    mut held: Taken,
) -> Result<Whole, Problem> {
    let patience = app.live.load().network.body_timeout();
    let begun = Instant::now();
    let (mut whole, mut first) = (BytesMut::new(), Bytes::new());
    loop {
        let came = first.len() + whole.len();
        let until = begun + patience + Duration::from_secs((came / LEAST_PER_SECOND) as u64);
        let Ok(frame) = timeout_at(until, body.frame()).await else { return Err(too_slow()) };
        let Some(frame) = frame else { break };
        let frame =
            frame.map_err(|_| Problem::bad_request("the request body did not arrive whole"))?;
        let bytes = frame.into_data().unwrap_or_default();
        if came + bytes.len() > size(limit) {
            unread::rest(body, unread::until(app)).await;
            return Err(too_large(limit));
        }
        if !held.more(bytes.len() as u64) {
            drop((whole, first, bytes, held));
            unread::rest(body, unread::until(app)).await;
            return Err(limits::overloaded());
        }
        // Mostly a body comes in one piece, which then is not copied.
        if first.is_empty() && whole.is_empty() {
            first = bytes;
        } else {
            if whole.is_empty() {
                // Memory that nothing has been written to is none.
                let left = usize::try_from(body.size_hint().lower()).unwrap_or_default();
                whole.reserve(came + bytes.len() + left);
            }
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&bytes);
        }
    }
    if !whole.is_empty() {
        return Ok(Whole { bytes: whole.freeze(), held });
    }
    // A request lives as long as its answer, and would keep the connection from using its buffer again.
    let bytes = if first.len() <= SMALL { Bytes::copy_from_slice(&first) } else { first };
    Ok(Whole { bytes, held })
}

/// 408: the client takes too long.
fn too_slow() -> Problem {
    let message = "the request body did not arrive in time";
    Problem::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", message)
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

fn unpack(encoding: Encoding, packed: Whole, limit: u32) -> Result<Whole, Problem> {
    let Whole { bytes, mut held } = packed;
    let (packed, room) = (&bytes[..], &mut held);
    let unpacked = match encoding {
        Encoding::Gzip => read_all(flate2::read::MultiGzDecoder::new(packed), limit, room),
        // Meant is the form of zlib; some send the bare one.
        Encoding::Deflate if is_zlib(packed) => {
            read_all(flate2::read::ZlibDecoder::new(packed), limit, room)
        }
        Encoding::Deflate => read_all(flate2::read::DeflateDecoder::new(packed), limit, room),
        Encoding::Zstd => unzstd(packed, limit, room),
    };
    match unpacked {
        Ok(unpacked) if unpacked.len() > size(limit) => Err(too_large(limit)),
        Ok(unpacked) => Ok(Whole { bytes: Bytes::from(unpacked), held }),
        Err(error) if error.kind() == io::ErrorKind::OutOfMemory => Err(limits::overloaded()),
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

fn unzstd(bytes: &[u8], limit: u32, held: &mut Taken) -> io::Result<Vec<u8>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG)?;
    read_all(decoder, limit, held)
}

/// Reads at most one byte more than the limit, as long as there is room for it.
fn read_all(reader: impl Read, limit: u32, held: &mut Taken) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    let mut reader = reader.take(u64::from(limit) + 1);
    loop {
        let count = (&mut reader).take(PIECE).read_to_end(&mut unpacked)?;
        if count == 0 {
            return Ok(unpacked);
        }
        if !held.more(count as u64) {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
    }
}
