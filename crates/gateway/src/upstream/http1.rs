//! HTTP/1.1 as a client has it, [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112): bytes in, bytes out, and no socket.

use std::mem::MaybeUninit;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};

/// How long the head of an answer may be.
const HEAD_LIMIT_BYTES: usize = 32 * 1024;
const MOST_HEADERS: usize = 100;
/// How much may stand in a chunked body that is not content: extensions of chunks, trailers.
const ASIDE_LIMIT_BYTES: u32 = 16 * 1024;

/// The headers of an answer that somebody asks for. Providers send about thirty more, of limits and of networks between, and each
/// would be checked, kept and given back.
static KNOWN: [(&str, HeaderName); 8] = [
    ("connection", CONNECTION),
    ("content-encoding", CONTENT_ENCODING),
    ("content-length", CONTENT_LENGTH),
    ("content-type", CONTENT_TYPE),
    ("retry-after", RETRY_AFTER),
    ("retry-after-ms", HeaderName::from_static("retry-after-ms")),
    ("transfer-encoding", TRANSFER_ENCODING),
    ("x-should-retry", HeaderName::from_static("x-should-retry")),
];

/// An answer that is not HTTP/1.1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("a head that is not HTTP/1.1: {0}")]
    Head(#[from] httparse::Error),
    #[error("a head of more than {HEAD_LIMIT_BYTES} bytes")]
    LongHead,
    #[error("a header that cannot be")]
    Header,
    #[error("a protocol that nobody asked for")]
    Upgrade,
    #[error("a content-length that is no number, or two of them")]
    Length,
    #[error("a transfer-encoding other than chunked")]
    Encoding,
    #[error("a chunk that does not begin with its length, or does not end there")]
    Chunk,
    #[error("more than {ASIDE_LIMIT_BYTES} bytes beside the content of chunks")]
    Aside,
}

/// How much room most heads of requests take, in bytes.
const HEAD_BYTES: usize = 512;

/// Writes the head of a request.
pub(super) struct HeadWriter(Vec<u8>);

impl HeadWriter {
    pub(super) fn new(method: &Method, path: &str) -> Self {
        let mut head = Self(Vec::with_capacity(HEAD_BYTES));
        head.put(&[method.as_str().as_bytes(), b" ", path.as_bytes(), b" HTTP/1.1\r\n"]);
        head
    }

    fn put(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.0.extend_from_slice(part);
        }
    }

    pub(super) fn header(&mut self, name: &HeaderName, value: &HeaderValue) {
        self.put(&[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"]);
    }

    /// All of it, with the length of the body where there is one.
    pub(super) fn end(mut self, body: Option<usize>) -> Vec<u8> {
        if let Some(length) = body {
            self.put(&[b"content-length: ", length.to_string().as_bytes(), b"\r\n"]);
        }
        self.put(&[b"\r\n"]);
        self.0
    }
}

/// What the head of an answer says. Of its headers it has those in [`KNOWN`].
#[derive(Debug)]
pub(super) struct Head {
    pub(super) answer: Response<()>,
    pub(super) body: Decoder,
    /// Whether another request may follow on the connection.
    pub(super) stays: bool,
}

/// Reads the head of the answer at the beginning of `bytes`, and where its body begins. Nothing if it is not all there.
/// What only informs, such as `100 Continue`, is passed over.
pub(super) fn read_head(bytes: &Bytes) -> Result<Option<(Head, usize)>, Malformed> {
    let mut begin = 0;
    loop {
        let rest = bytes.get(begin..).unwrap_or_default();
        let mut slots = [const { MaybeUninit::uninit() }; MOST_HEADERS];
        let mut parsed = httparse::Response::new(&mut []);
        let read = httparse::ParserConfig::default().parse_response_with_uninit_headers(
            &mut parsed,
            rest,
            &mut slots,
        )?;
        let httparse::Status::Complete(length) = read else {
            let fits = bytes.len() < HEAD_LIMIT_BYTES;
            return if fits { Ok(None) } else { Err(Malformed::LongHead) };
        };
        begin += length;
        let status = StatusCode::from_u16(parsed.code.unwrap_or(0));
        let status = status.map_err(|_| Malformed::Header)?;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Malformed::Upgrade);
        }
        if status.is_informational() {
            continue;
        }
        let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
        let mut answer = Response::new(());
        *answer.status_mut() = status;
        *answer.version_mut() = version;
        *answer.headers_mut() = headers(bytes, parsed.headers)?;
        let (body, stays) = framing(&answer)?;
        return Ok(Some((Head { answer, body, stays }, begin)));
    }
}

fn headers(bytes: &Bytes, parsed: &[httparse::Header<'_>]) -> Result<HeaderMap, Malformed> {
    let mut headers = HeaderMap::with_capacity(KNOWN.len());
    for header in parsed {
        let is = |(name, _): &&(&str, HeaderName)| name.eq_ignore_ascii_case(header.name);
        let Some((_, name)) = KNOWN.iter().find(is) else { continue };
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(header.value));
        headers.append(name, value.map_err(|_| Malformed::Header)?);
    }
    Ok(headers)
}

/// How long the body is (RFC 9112, 6.3), and whether the connection goes on after it (9.3).
fn framing(answer: &Response<()>) -> Result<(Decoder, bool), Malformed> {
    let headers = answer.headers();
    let old = answer.version() == Version::HTTP_10;
    let stays = if old { says(headers, "keep-alive") } else { !says(headers, "close") };
    if matches!(answer.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) {
        return Ok((Decoder::Length(0), stays));
    }
    let length = content_length(headers)?;
    if let Some(encoding) = headers.get(TRANSFER_ENCODING) {
        let one = headers.get_all(TRANSFER_ENCODING).iter().count() == 1;
        if old || !one || !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::Encoding);
        }
        // One that says both may be a trick on whatever stands between.
        return Ok((Decoder::chunked(), stays && length.is_none()));
    }
    Ok(match length {
        Some(length) => (Decoder::Length(length), stays),
        None => (Decoder::UntilClosed, false),
    })
}

fn says(headers: &HeaderMap, wanted: &str) -> bool {
    let lines = headers.get_all(CONNECTION).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Malformed> {
    let mut found = None;
    for line in headers.get_all(CONTENT_LENGTH) {
        let line = line.to_str().map_err(|_| Malformed::Length)?;
        for word in line.split(',').map(str::trim) {
            if word.is_empty() || !word.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Malformed::Length);
            }
            let length: u64 = word.parse().map_err(|_| Malformed::Length)?;
            if found.is_some_and(|found| found != length) {
                return Err(Malformed::Length);
            }
            found = Some(length);
        }
    }
    Ok(found)
}

/// Where in the body of an answer its reader stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// So much is to come.
    Length(u64),
    Chunked {
        at: At,
        /// What has been passed over beside the content, in bytes.
        aside: u32,
    },
    UntilClosed,
}

/// Where in a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// In the length of a chunk, which has had so many digits.
    Size {
        size: u64,
        digits: u8,
    },
    /// Behind it.
    Extension {
        size: u64,
    },
    SizeLf {
        size: u64,
    },
    /// So much of the chunk is to come.
    Content(u64),
    ContentCr,
    ContentLf,
    /// At the beginning of a line of trailers, or within.
    Trailer {
        begins: bool,
    },
    TrailerLf {
        last: bool,
    },
    End,
}

impl Decoder {
    const fn chunked() -> Self {
        Self::Chunked { at: At::Size { size: 0, digits: 0 }, aside: 0 }
    }

    /// Whether the body is whole. One that lasts until the connection ends is never known to be.
    pub(super) const fn is_over(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked { at: At::End, .. })
    }

    /// Takes what has come of the body from `input`, appends what is content to `out`, and says how much of the input
    /// belongs to it: all, unless the body ends before.
    pub(super) fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => Ok(content(left, input, out)),
            Self::Chunked { at, aside } => decode_chunks(at, aside, input, out),
            Self::UntilClosed => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
        }
    }
}

/// Appends what `input` has of the content of which so much is to come.
fn content(left: &mut u64, input: &[u8], out: &mut Vec<u8>) -> usize {
    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let taken = input.get(..here).unwrap_or_default();
    out.extend_from_slice(taken);
    *left = left.saturating_sub(taken.len() as u64);
    taken.len()
}

fn decode_chunks(
    at: &mut At,
    aside: &mut u32,
    input: &[u8],
    out: &mut Vec<u8>,
) -> Result<usize, Malformed> {
    let mut used = 0;
    while *at != At::End {
        let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) else { break };
        if let At::Content(left) = at {
            used += content(left, rest, out);
            if *left == 0 {
                *at = At::ContentCr;
            }
            continue;
        }
        let Some(&byte) = rest.first() else { break };
        if matches!(at, At::Extension { .. } | At::Trailer { .. }) {
            *aside += 1;
            if *aside > ASIDE_LIMIT_BYTES {
                return Err(Malformed::Aside);
            }
        }
        *at = at.after(byte)?;
        used += 1;
    }
    Ok(used)
}

impl At {
    /// The place behind one byte that is not content.
    fn after(self, byte: u8) -> Result<Self, Malformed> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, _) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                let size = size.checked_mul(16).and_then(|size| size.checked_add(digit));
                let digits = digits.checked_add(1);
                match (size, digits) {
                    (Some(size), Some(digits)) => Self::Size { size, digits },
                    _ => return Err(Malformed::Chunk),
                }
            }
            (Self::Size { size, digits: 1.. } | Self::Extension { size }, b'\r') => {
                Self::SizeLf { size }
            }
            // A line that only seems to end, for whatever stands between.
            (Self::Extension { .. }, b'\n') => return Err(Malformed::Chunk),
            (Self::Size { size, digits: 1.. }, b';' | b' ' | b'\t')
            | (Self::Extension { size }, _) => Self::Extension { size },
            (Self::SizeLf { size: 0 } | Self::TrailerLf { last: false }, b'\n') => {
                Self::Trailer { begins: true }
            }
            (Self::SizeLf { size }, b'\n') => Self::Content(size),
            (Self::ContentCr, b'\r') => Self::ContentLf,
            (Self::ContentLf, b'\n') => Self::Size { size: 0, digits: 0 },
            (Self::Trailer { begins }, b'\r') => Self::TrailerLf { last: begins },
            (Self::Trailer { .. }, _) => Self::Trailer { begins: false },
            (Self::TrailerLf { last: true }, b'\n') => Self::End,
            _ => return Err(Malformed::Chunk),
        })
    }
}

#[cfg(test)]
#[path = "http1_tests.rs"]
mod tests;
