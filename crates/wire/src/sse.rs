//! Server-sent events, as bytes come: <https://html.spec.whatwg.org/multipage/server-sent-events.html>. Also the other way
//! in which Gemini sends a stream: one JSON array in pieces.
//!
//! Whatever the borders at which bytes come, the frames are the same, and their raw bytes together are all that came.

use std::borrow::Cow;

/// One event of a stream, or a piece between two events (a comment, a blank line), which has no data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The value of `event:`; empty where it is missing.
    pub event: &'a str,
    /// The value of `data:`, lines joined by LF; empty where it is missing.
    pub data: Cow<'a, str>,
    /// The bytes of the frame as they came, with the blank line behind it.
    pub raw: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A frame of nothing but data.
    pub fn of_data(data: &'a str) -> Self {
        Self { event: "", data: Cow::Borrowed(data), raw: data.as_bytes() }
    }
}

/// How a stream is cut into frames.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    Sse,
    /// The elements of one JSON array.
    JsonArray,
}

/// A frame is longer than any that a provider sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of the stream is longer than {limit} bytes")]
pub struct TooLong {
    /// The most that is taken.
    pub limit: usize,
}

/// Cuts bytes into frames.
#[derive(Debug)]
pub struct Splitter {
    framing: Framing,
    limit: usize,
    /// What came of a frame that is not whole yet.
    pending: Vec<u8>,
    scan: Scan,
    begun: bool,
}

/// Where the search for the end of the pending frame stands.
#[derive(Clone, Copy, Debug, Default)]
struct Scan {
    /// Bytes looked at.
    at: usize,
    /// Server-sent events: where the line begins that is looked at.
    line: usize,
    /// JSON: how many objects and arrays are open inside the element.
    depth: u32,
    in_string: bool,
    escaped: bool,
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Splitter {
    /// Frames of at most `limit` bytes.
    pub fn new(framing: Framing, limit: usize) -> Self {
        Self { framing, limit, pending: Vec::new(), scan: Scan::default(), begun: false }
    }

    /// Takes the next bytes and gives every frame that they complete.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(Frame<'_>)) -> Result<(), TooLong> {
        // Mostly a chunk is whole frames, which then are not copied.
        let mut pending = std::mem::take(&mut self.pending);
        let buffer = if pending.is_empty() {
            bytes
        } else {
            pending.extend_from_slice(bytes);
            &pending
        };
        let mut start = 0;
        while let Some(rest) = buffer.get(start..)
            && let Some(length) = self.find_end(rest)
        {
            let (frame, _) = rest.split_at(length.min(rest.len()));
            each(self.parse(frame));
            start += frame.len();
            self.scan = Scan::default();
        }
        // What waits for its end stays where it is: it may be long, and come in many small pieces.
        if pending.is_empty() {
            pending.extend_from_slice(bytes.get(start..).unwrap_or_default());
        } else {
            pending.drain(..start);
        }
        self.pending = pending;
        if self.pending.len() > self.limit { Err(TooLong { limit: self.limit }) } else { Ok(()) }
    }

    /// Gives what is left when no more bytes come: an event without its blank line counts too.
    pub fn end(&mut self, mut each: impl FnMut(Frame<'_>)) {
        let rest = std::mem::take(&mut self.pending);
        self.scan = Scan::default();
        if !rest.is_empty() {
            each(self.parse(&rest));
        }
    }

    /// The length of the frame at the start of `buffer`, once its end is there.
    fn find_end(&mut self, buffer: &[u8]) -> Option<usize> {
        match self.framing {
            Framing::Sse => self.scan.blank_line(buffer),
            Framing::JsonArray => self.scan.element(buffer),
        }
    }

    fn parse<'a>(&mut self, raw: &'a [u8]) -> Frame<'a> {
        let begun = std::mem::replace(&mut self.begun, true);
        let text = if begun { raw } else { raw.strip_prefix(BYTE_ORDER_MARK).unwrap_or(raw) };
        match self.framing {
            Framing::Sse => event(text, raw),
            Framing::JsonArray => {
                // What stands between two elements comes before the element.
                let start = text.iter().position(|byte| *byte == b'{').unwrap_or(text.len());
                let element = text.get(start..).unwrap_or_default();
                Frame { event: "", data: lossy(element), raw }
            }
        }
    }
}

impl Scan {
    /// Lines end with LF, CR or CRLF; a CR that comes last may be either.
    fn blank_line(&mut self, buffer: &[u8]) -> Option<usize> {
        loop {
            let rest = buffer.get(self.at..)?;
            let Some(offset) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.at = buffer.len();
                return None;
            };
            let end = self.at + offset;
            let next = match (buffer.get(end), buffer.get(end + 1)) {
                (Some(b'\n'), _) => end + 1,
                (_, Some(b'\n')) => end + 2,
                (_, Some(_)) => end + 1,
                (_, None) => {
                    self.at = end;
                    return None;
                }
            };
            let blank = end == self.line;
            (self.at, self.line) = (next, next);
            if blank {
                return Some(next);
            }
        }
    }

    /// An element is an object; the array's own brackets and commas count as what stands before it.
    fn element(&mut self, buffer: &[u8]) -> Option<usize> {
        while let Some(byte) = buffer.get(self.at) {
            self.at += 1;
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'"' if self.depth > 0 => self.in_string = true,
                b'{' => self.depth += 1,
                b'[' if self.depth > 0 => self.depth += 1,
                b'}' | b']' if self.depth > 0 => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

fn event<'a>(text: &'a [u8], raw: &'a [u8]) -> Frame<'a> {
    let mut name: &str = "";
    let mut data: Option<Cow<'a, str>> = None;
    let mut rest = text;
    while !rest.is_empty() {
        let end = memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        let (field, value) = match memchr::memchr(b':', line) {
            Some(colon) => (line.get(..colon), line.get(colon + 1..)),
            None => (Some(line), None),
        };
        let value = value.unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            Some(b"data") => {
                let value = lossy(value);
                match &mut data {
                    None => data = Some(value),
                    Some(before) => {
                        let before = before.to_mut();
                        before.push('\n');
                        before.push_str(&value);
                    }
                }
            }
            Some(b"event") => name = std::str::from_utf8(value).unwrap_or_default(),
            _ => {}
        }
    }
    // Gemini may break off with an error that is bare JSON.
    let bare = || match text.trim_ascii() {
        json if json.starts_with(b"{") => lossy(json),
        _ => Cow::Borrowed(""),
    };
    Frame { event: name, data: data.unwrap_or_else(bare), raw }
}

/// Text in which every fault is a replacement character. Mostly there is none, which is found out much faster by itself.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1_000;

    fn frames(framing: Framing, chunks: &[&[u8]]) -> Vec<(String, String, Vec<u8>)> {
        let mut splitter = Splitter::new(framing, LIMIT);
        let mut all = Vec::new();
        let mut keep = |frame: Frame<'_>| {
            all.push((frame.event.to_owned(), frame.data.into_owned(), frame.raw.to_vec()));
        };
        for chunk in chunks {
            splitter.push(chunk, &mut keep).unwrap();
        }
        splitter.end(&mut keep);
        all
    }

    fn with_data(framing: Framing, text: &str) -> Vec<(String, String)> {
        let all = frames(framing, &[text.as_bytes()]);
        all.into_iter().filter(|(_, data, _)| !data.is_empty()).map(|(e, d, _)| (e, d)).collect()
    }

    fn pair(event: &str, data: &str) -> (String, String) {
        (event.to_owned(), data.to_owned())
    }

    #[test]
    fn lines_may_end_in_three_ways() {
        for end in ["\n", "\r\n", "\r"] {
            let text = ["\u{feff}event: a", "data: 1", "data:  2", "", ": note", "", "data:3", ""]
                .join(end);
            assert_eq!(
                with_data(Framing::Sse, &text),
                [pair("a", "1\n 2"), pair("", "3")],
                "{end:?}"
            );
        }
    }

    #[test]
    fn an_event_without_its_blank_line_counts_at_the_end() {
        assert_eq!(with_data(Framing::Sse, "data: 1\n\ndata: 2"), [pair("", "1"), pair("", "2")]);
    }

    #[test]
    fn a_bare_error_is_data() {
        let text = "{\"error\":{\"code\":500}}\n";
        assert_eq!(with_data(Framing::Sse, text), [pair("", text.trim())]);
    }

    #[test]
    fn elements_of_an_array() {
        let text = r#"[{"a":"}\"]{"} , {"b":[{}]}]"#;
        let expected = [pair("", r#"{"a":"}\"]{"}"#), pair("", r#"{"b":[{}]}"#)];
        assert_eq!(with_data(Framing::JsonArray, text), expected);
        assert_eq!(with_data(Framing::JsonArray, r#"{"error":1}"#), [pair("", r#"{"error":1}"#)]);
    }

    #[test]
    fn borders_of_chunks_change_nothing_and_no_byte_is_lost() {
        let sse = "\u{feff}: hi\r\n\r\nevent: x\ndata: {\"t\":\"ä€😀\"}\n\n\ndata: b\r\rdata: c";
        let array = "[{\"t\":\"ä€😀\"}\n,\r\n{\"u\":[1,{}]}\n]\n";
        for (framing, text) in [(Framing::Sse, sse), (Framing::JsonArray, array)] {
            let bytes = text.as_bytes();
            let whole = frames(framing, &[bytes]);
            let raw: Vec<u8> = whole.iter().flat_map(|(_, _, raw)| raw.clone()).collect();
            assert_eq!(raw, bytes);
            for at in 0..=bytes.len() {
                let (before, after) = bytes.split_at(at);
                assert_eq!(frames(framing, &[before, after]), whole, "split at {at}");
            }
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(frames(framing, &single), whole);
        }
    }

    #[test]
    fn a_frame_without_end_is_refused() {
        let mut splitter = Splitter::new(Framing::Sse, LIMIT);
        let line = [b'x'; LIMIT];
        assert_eq!(splitter.push(&line, |_| {}), Ok(()));
        assert_eq!(splitter.push(b"x", |_| {}), Err(TooLong { limit: LIMIT }));
    }
}
