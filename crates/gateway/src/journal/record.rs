//! Records as bytes, with no file in sight.
//!
//! ```text
//! segment   "tollgate journal" · version u32 · first sequence number u64 · replica, 16 bytes · CRC-32 of all that, u32
//! record    length of the body u32 · CRC-32 of what follows u32 · sequence number u64 · kind u8 · body
//! ```
//!
//! Numbers are little-endian. Sequence numbers count up by one, over all segments. Segments of version 1 name no replica.

use uuid::Uuid;

/// What every segment begins with.
const MAGIC: &[u8; 16] = b"tollgate journal";
/// The version of all this.
const VERSION: u32 = 2;
/// The length of the start of a segment, in bytes.
pub(super) const START: usize = UNOWNED_START + 16;
/// The same where it names no replica.
const UNOWNED_START: usize = MAGIC.len() + 4 + 8 + 4;
/// The length of a record without its body.
const HEAD: usize = 4 + 4 + 8 + 1;
/// More than any body has, in bytes: a length beyond it is damage.
const MOST: usize = 1 << 20;

/// What a record says of a request.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It was admitted, with a hold on whatever it may spend.
    Held,
    /// It goes to a provider now.
    Dispatched,
    /// So much of the answer goes to the client now.
    Progress,
    /// The receipt of an attempt.
    Settled,
    /// It ended without a cost.
    Void,
}

impl Kind {
    const ALL: [Self; 5] =
        [Self::Held, Self::Dispatched, Self::Progress, Self::Settled, Self::Void];

    const fn byte(self) -> u8 {
        match self {
            Self::Held => b'H',
            Self::Dispatched => b'D',
            Self::Progress => b'P',
            Self::Settled => b'S',
            Self::Void => b'V',
        }
    }

    fn of(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.byte() == byte)
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) kind: Kind,
    pub(super) body: &'a [u8],
    /// Where the next one begins.
    pub(super) end: usize,
}

/// Why bytes are no journal of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("is no journal of this program")]
    Foreign,
    #[error("is of version {0}, this program knows {VERSION}: use the newer program")]
    TooNew(u32),
    #[error("is damaged at its byte {0}")]
    Damaged(usize),
    #[error(
        "has a record of a kind that is not known, {kind}, at its byte {at}: use the newer program"
    )]
    UnknownKind { kind: u8, at: usize },
}

impl Fault {
    /// The same fault where so many bytes stand before those that were read.
    pub(super) fn behind(self, before: usize) -> Self {
        match self {
            Self::Damaged(at) => Self::Damaged(before + at),
            Self::UnknownKind { kind, at } => Self::UnknownKind { kind, at: before + at },
            fault => fault,
        }
    }
}

/// The start of a segment.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// The number of its first record.
    pub(super) first: u64,
    /// Whose it is, where that is said.
    pub(super) replica: Option<Uuid>,
    /// Where the first record begins.
    pub(super) end: usize,
}

/// The start of a replica's segment whose first record has that number.
pub(super) fn start(first: u64, replica: Uuid) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(replica.as_bytes());
    let check = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&check.to_le_bytes());
    bytes
}

/// Reads the start of a segment; nothing where it was cut short.
pub(super) fn read_start(bytes: &[u8]) -> Result<Option<Start>, Fault> {
    let shared = bytes.len().min(MAGIC.len());
    if bytes.get(..shared) != MAGIC.get(..shared) {
        return Err(Fault::Foreign);
    }
    let Some(least) = bytes.get(..UNOWNED_START) else { return Ok(None) };
    let version = number(least, MAGIC.len());
    if version > VERSION {
        return Err(Fault::TooNew(version));
    }
    let end = if version == VERSION { START } else { UNOWNED_START };
    let Some(start) = bytes.get(..end) else { return Ok(None) };
    let (said, check) = start.split_at(end - 4);
    if crc32fast::hash(said) != number(check, 0) {
        return Err(Fault::Damaged(0));
    }
    let replica = said.get(UNOWNED_START - 4..).and_then(|id| Uuid::from_slice(id).ok());
    Ok(Some(Start { first: number_64(said, MAGIC.len() + 4), replica, end }))
}

/// Appends a record.
pub(super) fn write(bytes: &mut Vec<u8>, seq: u64, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) {
    let at = bytes.len();
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&seq.to_le_bytes());
    bytes.push(kind.byte());
    body(bytes);
    let length = u32::try_from(bytes.len() - at - HEAD).unwrap_or(u32::MAX);
    let check = crc32fast::hash(bytes.get(at + 8..).unwrap_or_default());
    let head = length.to_le_bytes().into_iter().chain(check.to_le_bytes());
    for (place, byte) in bytes.iter_mut().skip(at).zip(head) {
        *place = byte;
    }
}

/// Reads the record at `at`, which has to have that number; nothing where the bytes end before it does, as they do when
/// the writer was stopped in the middle of it.
///
/// # Errors
/// The bytes are damaged: there is more behind what cannot be read.
pub(super) fn read(bytes: &[u8], at: usize, seq: u64) -> Result<Option<Record<'_>>, Fault> {
    if let Some(end) = whole(bytes, at, seq) {
        let kind = bytes.get(at + HEAD - 1).copied().unwrap_or_default();
        let body = bytes.get(at + HEAD..end).unwrap_or_default();
        let kind = Kind::of(kind).ok_or(Fault::UnknownKind { kind, at })?;
        return Ok(Some(Record { kind, body, end }));
    }
    // Of a tail that was cut off nothing can be read. What has a later record behind it was whole once.
    let later = at + 1..bytes.len().saturating_sub(HEAD - 1);
    let is_later = |place: &usize| {
        let found = number_64(bytes, place + 8);
        found > seq && found - seq < MOST as u64 && whole(bytes, *place, found).is_some()
    };
    if later.into_iter().any(|place| is_later(&place)) { Err(Fault::Damaged(at)) } else { Ok(None) }
}

/// The end of the record at `at`, if it is whole and has that number.
fn whole(bytes: &[u8], at: usize, seq: u64) -> Option<usize> {
    bytes.get(at..at.checked_add(HEAD)?)?;
    let length = usize::try_from(number(bytes, at)).ok().filter(|length| *length <= MOST)?;
    let end = at.checked_add(HEAD + length)?;
    let checked = bytes.get(at + 8..end)?;
    let same = number_64(bytes, at + 8) == seq && crc32fast::hash(checked) == number(bytes, at + 4);
    same.then_some(end)
}

fn number(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    four.map_or(0, |four| u32::from_le_bytes(*four))
}

fn number_64(bytes: &[u8], at: usize) -> u64 {
    let eight = bytes.get(at..).and_then(|rest| rest.first_chunk());
    eight.map_or(0, |eight| u64::from_le_bytes(*eight))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Uuid = Uuid::from_u128(7);

    /// Records of different lengths, and where each begins.
    fn journal(size: usize) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut starts) = (start(1, OWNER), Vec::new());
        while bytes.len() < size {
            starts.push(bytes.len());
            let seq = starts.len() as u64;
            let body = vec![b'a'; starts.len() * 7 % 300];
            write(&mut bytes, seq, Kind::Settled, |bytes| bytes.extend_from_slice(&body));
        }
        (bytes, starts)
    }

    #[test]
    fn what_is_written_is_read() {
        let (bytes, starts) = journal(64 * 1024);
        let start = Start { first: 1, replica: Some(OWNER), end: START };
        assert_eq!(read_start(&bytes), Ok(Some(start)));
        let mut at = START;
        for (start, seq) in starts.iter().zip(1..) {
            assert_eq!(at, *start);
            let record = read(&bytes, at, seq).unwrap().unwrap();
            assert_eq!((record.kind, record.body.len() as u64), (Kind::Settled, seq * 7 % 300));
            at = record.end;
        }
        assert_eq!((at, read(&bytes, at, starts.len() as u64 + 1)), (bytes.len(), Ok(None)));
    }

    #[test]
    fn cut_at_every_byte_it_is_a_prefix() {
        let (bytes, starts) = journal(64 * 1024);
        for length in 0..START {
            assert_eq!(read_start(&bytes[..length]), Ok(None), "{length} bytes");
        }
        for length in START..bytes.len() {
            // Those before are as they were.
            let seq = starts.partition_point(|start| *start <= length);
            let cut = starts[seq - 1];
            assert_eq!(read(&bytes[..length], cut, seq as u64), Ok(None), "{length} bytes");
        }
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let (mut bytes, starts) = journal(64 * 1024);
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let seq = starts.partition_point(|start| *start <= bit / 8);
            if seq == 0 {
                assert!(read_start(&bytes).is_err(), "bit {bit}");
            } else {
                // The last one looks as if it had been cut off.
                let at = starts[seq - 1];
                let expected = if seq == starts.len() { Ok(None) } else { Err(Fault::Damaged(at)) };
                assert_eq!(read(&bytes, at, seq as u64), expected, "bit {bit}");
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn what_an_older_program_wrote_is_read() {
        let mut older = MAGIC.to_vec();
        older.extend_from_slice(&1_u32.to_le_bytes());
        older.extend_from_slice(&9_u64.to_le_bytes());
        older.extend_from_slice(&crc32fast::hash(&older).to_le_bytes());
        let start = Start { first: 9, replica: None, end: older.len() };
        write(&mut older, 9, Kind::Settled, |_| {});
        assert_eq!(read_start(&older), Ok(Some(start)));
        assert_eq!(read(&older, start.end, 9).unwrap().unwrap().end, older.len());
    }

    #[test]
    fn what_a_newer_program_wrote_is_refused() {
        let mut newer = MAGIC.to_vec();
        newer.extend_from_slice(&3_u32.to_le_bytes());
        newer.extend_from_slice(&[0; 28]);
        assert_eq!(read_start(&newer), Err(Fault::TooNew(3)));
        let mut bytes = start(7, OWNER);
        write(&mut bytes, 7, Kind::Settled, |_| {});
        let at = START + HEAD - 1;
        bytes[at] = b'Q';
        let check = crc32fast::hash(&bytes[START + 8..]).to_le_bytes();
        bytes[START + 4..START + 8].copy_from_slice(&check);
        assert_eq!(read(&bytes, START, 7), Err(Fault::UnknownKind { kind: b'Q', at: START }));
    }
}
