//! How many frames of HTTP/2 a client may send that bring nothing. h2 bounds some of them (CONTINUATION, empty DATA, requests
//! taken back), and answers others for as long as they come, which takes a core: PING, SETTINGS, PRIORITY, `WINDOW_UPDATE`.
//!
//! Heads of frames are read as they pass, nothing is kept. A client has a credit of bytes: what it is sent adds to it, since that is
//! what it has to tell its window of, and so does time; frames that bring nothing use it up.

use std::io;

use tokio::time::Instant;

/// How much credit there is at most, and at first: `WINDOW_UPDATE`, 10,000 times.
const MOST: u32 = 128 * 1024;
/// What comes back each millisecond: 1,300 times `WINDOW_UPDATE` a second.
const EACH_MILLISECOND: u32 = 16;
/// What a frame takes beside its payload.
const FRAME: u32 = 8;
/// What one takes that is answered.
const ANSWERED: u32 = 32;

const PREFACE: u32 = 24;
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;

/// What a client of HTTP/2 has sent, frame by frame.
pub(crate) struct Frames {
    head: [u8; HEAD],
    /// How much of a head has come.
    have: usize,
    /// What comes before the next head: the rest of a payload, or of the preface.
    pass: u32,
    credit: u32,
    /// Up to when time has been counted.
    counted: Instant,
}

impl Frames {
    pub(crate) fn new(opened: Instant) -> Self {
        Self { head: [0; HEAD], have: 0, pass: PREFACE, credit: MOST, counted: opened }
    }

    /// Bytes have gone to the client.
    pub(crate) fn written(&mut self, count: usize) {
        self.give(u32::try_from(count).unwrap_or(MOST));
    }

    fn give(&mut self, more: u32) {
        self.credit = self.credit.saturating_add(more).min(MOST);
    }

    /// Bytes have come from the client, by `now`.
    ///
    /// # Errors
    /// Where it has sent too many frames that bring nothing: its connection ends.
    pub(crate) fn read(&mut self, mut bytes: &[u8], now: Instant) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.pass > 0 {
                let rest = usize::try_from(self.pass).unwrap_or(usize::MAX).min(bytes.len());
                self.pass -= u32::try_from(rest).unwrap_or(self.pass);
                bytes = bytes.get(rest..).unwrap_or_default();
                continue;
            }
            let Some(place) = self.head.get_mut(self.have..) else { break };
            let count = place.len().min(bytes.len());
            let (head, rest) = bytes.split_at(count);
            place.iter_mut().zip(head).for_each(|(place, byte)| *place = *byte);
            (bytes, self.have) = (rest, self.have + count);
            if self.have == HEAD {
                self.have = 0;
                self.frame(now)?;
            }
        }
        Ok(())
    }

    /// The head of a frame is there.
    fn frame(&mut self, now: Instant) -> io::Result<()> {
        let [high, middle, low, kind, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.pass = length;
        let takes = match kind {
            DATA if length > 0 => return Ok(()),
            DATA | HEADERS | CONTINUATION => FRAME,
            SETTINGS | PING => ANSWERED.saturating_add(length),
            _ => FRAME.saturating_add(length),
        };
        if self.credit < takes {
            let passed = now.saturating_duration_since(self.counted).as_millis();
            self.counted = now;
            let back = u32::try_from(passed).unwrap_or(u32::MAX).saturating_mul(EACH_MILLISECOND);
            self.give(back);
        }
        match self.credit.checked_sub(takes) {
            Some(left) => {
                self.credit = left;
                Ok(())
            }
            None => Err(io::Error::other("too many frames that bring nothing")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::{Frames, PREFACE};

    fn frame(kind: u8, length: u32) -> Vec<u8> {
        let [_, high, middle, low] = length.to_be_bytes();
        let mut bytes = vec![high, middle, low, kind, 0, 0, 0, 0, 1];
        bytes.resize(bytes.len() + usize::try_from(length).unwrap(), 7);
        bytes
    }

    fn begun(at: Instant) -> Frames {
        let mut frames = Frames::new(at);
        frames.read(&[1; PREFACE as usize], at).unwrap();
        frames
    }

    /// How many of such frames a client may send at once.
    fn most(frames: &mut Frames, one: &[u8], at: Instant) -> usize {
        let sent = std::iter::repeat_with(|| frames.read(one, at)).take(1_000_000);
        let sent = sent.take_while(Result::is_ok).count();
        // What is refused is not read to its end.
        frames.pass = 0;
        sent
    }

    #[test]
    fn frames_that_bring_nothing_are_counted() {
        let at = Instant::now();
        for (kind, length, expected) in [
            (2, 5, 10_082),
            (3, 4, 10_922),
            (4, 0, 4_096),
            (4, 6, 3_449),
            (6, 8, 3_276),
            (8, 4, 10_922),
            (0, 0, 16_384),
            (1, 0, 16_384),
            (9, 0, 16_384),
            (42, 16_376, 8),
            (0, 1, 1_000_000),
        ] {
            let sent = most(&mut begun(at), &frame(kind, length), at);
            assert_eq!(sent, expected, "{kind} {length}");
        }
    }

    #[test]
    fn credit_comes_back_with_time_and_answers() {
        let (begin, update) = (Instant::now(), frame(8, 4));
        let mut frames = begun(begin);
        most(&mut frames, &update, begin);
        let later = begin + Duration::from_secs(1);
        assert_eq!(most(&mut frames, &update, later), 1_334);
        frames.written(1_200);
        assert_eq!(most(&mut frames, &update, later), 100);
        frames.written(usize::MAX);
        assert_eq!(most(&mut frames, &update, later), 10_922, "never more than at first");
        let much_later = later + Duration::from_secs(10_000);
        assert_eq!(most(&mut frames, &update, much_later), 10_922);
    }

    /// However the bytes are cut.
    #[test]
    fn heads_are_found_in_any_pieces() {
        let stream: Vec<u8> = std::iter::repeat_with(|| {
            [frame(0, 100), frame(8, 4), frame(1, 30), frame(6, 8)].concat()
        })
        .take(50)
        .flatten()
        .collect();
        let whole = [vec![0; PREFACE as usize], stream].concat();
        let credit = |size: usize| {
            let at = Instant::now();
            let mut frames = Frames::new(at);
            whole.chunks(size).for_each(|piece| frames.read(piece, at).unwrap());
            (frames.credit, frames.have, frames.pass)
        };
        let expected = (128 * 1024 - 50 * (12 + 8 + 40), 0, 0);
        for size in [1, 2, 3, 8, 9, 10, 24, 25, 1_000, whole.len()] {
            assert_eq!(credit(size), expected, "{size}");
        }
    }
}
