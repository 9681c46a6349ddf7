//! Unpacks the body of an answer as it comes, so that a stream is not held up and nothing grows to more than a little at once.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

/// What is unpacked at once: it becomes a megabyte at most.
const PIECE: usize = 1024;
/// When what is unpacked goes on, in bytes.
const ENOUGH: usize = 64 * 1024;

pub(super) struct Packed {
    gzip: MultiGzDecoder<Vec<u8>>,
    /// What is still to be unpacked.
    left: Bytes,
}

impl Default for Packed {
    fn default() -> Self {
        Self { gzip: MultiGzDecoder::new(Vec::new()), left: Bytes::new() }
    }
}

impl Packed {
    /// Takes what has come, once there is nothing left of what came before.
    pub(super) fn put(&mut self, bytes: Bytes) {
        self.left = bytes;
    }

    /// What is in all that has come, bit by bit; nothing where it takes more to tell.
    pub(super) fn next(&mut self) -> io::Result<Option<Bytes>> {
        while !self.left.is_empty() && self.gzip.get_ref().len() < ENOUGH {
            let piece = self.left.split_to(self.left.len().min(PIECE));
            self.gzip.write_all(&piece)?;
            // What the provider has pressed on with is there to be read.
            self.gzip.flush()?;
        }
        Ok(self.take())
    }

    /// What is left at the end, which has to be one.
    pub(super) fn end(&mut self) -> io::Result<Option<Bytes>> {
        self.gzip.try_finish()?;
        Ok(self.take())
    }

    fn take(&mut self) -> Option<Bytes> {
        let unpacked = std::mem::take(self.gzip.get_mut());
        (!unpacked.is_empty()).then(|| Bytes::from(unpacked))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use bytes::Bytes;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::{ENOUGH, Packed};

    fn packed(parts: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let mut out: Vec<Vec<u8>> = Vec::new();
        for part in parts {
            gzip.write_all(part).unwrap();
            gzip.flush().unwrap();
            out.push(std::mem::take(gzip.get_mut()));
        }
        out.push(gzip.finish().unwrap());
        out
    }

    fn all(packed: &mut Packed, bytes: Vec<u8>) -> Vec<Bytes> {
        packed.put(Bytes::from(bytes));
        std::iter::from_fn(|| packed.next().unwrap()).collect()
    }

    #[test]
    fn each_part_is_there_when_it_has_come() {
        let mut body = Packed::default();
        let mut parts = packed(&[b"data: 1\n\n", b"data: 2\n\n"]);
        let rest = parts.split_off(2).concat();
        let came: Vec<_> = parts.into_iter().map(|part| all(&mut body, part).concat()).collect();
        assert_eq!(came, [b"data: 1\n\n", b"data: 2\n\n"]);
        assert_eq!(all(&mut body, rest), Vec::<Bytes>::new());
        assert_eq!(body.end().unwrap(), None);
    }

    #[test]
    fn what_was_cut_or_is_none_is_an_error() {
        let whole = packed(&[b"hello"]).concat();
        let mut body = Packed::default();
        assert_eq!(all(&mut body, whole[..whole.len() - 3].to_vec()).concat(), b"hello");
        assert!(body.end().is_err());
        assert!(Packed::default().end().is_err());
        let mut body = Packed::default();
        body.put(Bytes::from_static(b"{ \"no\": \"gzip\" }"));
        assert!(body.next().is_err());
    }

    /// A little that becomes much comes in pieces.
    #[test]
    fn a_bomb_goes_off_bit_by_bit() {
        let nothing = vec![0; 64 * 1024 * 1024];
        let mut body = Packed::default();
        let pieces = all(&mut body, packed(&[&nothing]).concat());
        let longest = pieces.iter().map(Bytes::len).max().unwrap();
        assert!(longest <= ENOUGH + 2 * 1024 * 1024, "{longest}");
        assert_eq!(pieces.iter().map(Bytes::len).sum::<usize>(), nothing.len());
    }
}
