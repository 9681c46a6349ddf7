//! A receipt as bytes, for a journal that is written before the database: what is read back is the row itself, so that
//! nothing is worked out twice.

use std::borrow::Cow;
use std::ops::Range;

use ledger::merkle::Hash;
use ledger::{Content, Held, Receipt};
use uuid::Uuid;

use crate::StoreError;
use crate::row::{Last, Row, content_of};

/// A receipt, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry(pub(crate) Row);

impl Entry {
    /// The entry of a receipt.
    ///
    /// # Errors
    /// [`StoreError::OutOfRange`] where a counter does not fit its column.
    pub fn of(receipt: &Receipt) -> Result<Self, StoreError> {
        Row::of(receipt).map(Self)
    }

    /// Writes it behind what `bytes` holds: ids of 16 bytes, numbers of 8 (little-endian), and texts behind their length
    /// of 4.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let hash = self.0.content_hash.0.unwrap_or_default();
        encode(&self.0.content(), &hash, bytes);
    }

    /// The same of a receipt of which nobody needs the entry.
    ///
    /// # Errors
    /// [`StoreError::OutOfRange`] where a counter does not fit its column. Nothing is written then.
    pub fn encode_receipt(receipt: &Receipt, bytes: &mut Vec<u8>) -> Result<(), StoreError> {
        content_of(receipt, |content, hash| encode(content, hash, bytes))
    }

    /// Reads what [`Entry::encode`] wrote, behind what `before` was read from.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the bytes are anything else.
    pub fn decode(bytes: &[u8], before: &mut Before) -> Result<Self, StoreError> {
        let read = Reader(bytes).read();
        let (content, hash) = read.ok_or_else(|| StoreError::corrupt("receipt in the journal"))?;
        if content.hash() == hash {
            Ok(Self(Row::with(&content, &hash, &mut before.0)))
        } else {
            Err(StoreError::corrupt(format!("receipt {} in the journal", content.ids[0])))
        }
    }
}

/// The entry that was read last: the next one mostly says much the same.
#[derive(Debug, Default)]
pub struct Before(Last);

/// Receipts as a journal has them, each with the number of its record: they are read when they are written to the database,
/// some at a time, so that a large batch is not in memory as rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    /// One behind the other: what grows is copied, and twice in memory meanwhile.
    pieces: Vec<Vec<u8>>,
    /// The number of each, and its place: in which piece, and where.
    records: Vec<(u64, usize, Range<usize>)>,
}

/// How much a piece holds, in bytes, unless one entry alone takes more.
const PIECE: usize = 64 * 1024;

impl Entries {
    /// Adds record `seq`, behind all that are there: `entry` is what [`Entry::encode`] wrote.
    pub fn push(&mut self, seq: u64, entry: &[u8]) {
        let has_room = |piece: &Vec<u8>| piece.capacity() - piece.len() >= entry.len();
        if !self.pieces.last().is_some_and(has_room) {
            self.pieces.push(Vec::with_capacity(PIECE.max(entry.len())));
        }
        if let [before @ .., piece] = self.pieces.as_mut_slice() {
            let start = piece.len();
            piece.extend_from_slice(entry);
            self.records.push((seq, before.len(), start..piece.len()));
        }
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Those behind record `seq`, each with its number and as [`Entry::encode`] wrote it.
    pub fn behind(&self, seq: u64) -> impl ExactSizeIterator<Item = (u64, &[u8])> {
        let first = self.records.partition_point(|(number, ..)| *number <= seq);
        let records = self.records.get(first..).unwrap_or_default();
        records.iter().map(|(seq, piece, range)| {
            let entry = self.pieces.get(*piece).and_then(|piece| piece.get(range.clone()));
            (*seq, entry.unwrap_or_default())
        })
    }
}

impl FromIterator<(u64, Entry)> for Entries {
    fn from_iter<T: IntoIterator<Item = (u64, Entry)>>(entries: T) -> Self {
        let (mut all, mut bytes) = (Self::default(), Vec::new());
        for (seq, entry) in entries {
            bytes.clear();
            entry.encode(&mut bytes);
            all.push(seq, &bytes);
        }
        all
    }
}

fn encode(content: &Content<'_>, hash: &Hash, bytes: &mut Vec<u8>) {
    for id in content.ids {
        bytes.extend_from_slice(id.as_bytes());
    }
    for number in content.numbers {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    for text in content.texts {
        put(bytes, text.as_bytes());
    }
    for text in content.optional {
        bytes.push(u8::from(text.is_some()));
        put(bytes, text.unwrap_or_default().as_bytes());
    }
    put(bytes, hash);
    let Held { absorbed, bound, scopes } = &content.held;
    bytes.extend_from_slice(&absorbed.to_le_bytes());
    bytes.extend_from_slice(&bound.unwrap_or(-1).to_le_bytes());
    put(bytes, scopes.as_deref().unwrap_or_default());
}

fn put(bytes: &mut Vec<u8>, text: &[u8]) {
    // No text of a receipt comes near four gigabytes.
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text);
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn read(mut self) -> Option<(Content<'a>, Hash)> {
        let ids = [self.id()?, self.id()?, self.id()?, self.id()?];
        let mut numbers = [0; 14];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let mut texts = [""; 6];
        for text in &mut texts {
            *text = self.text()?;
        }
        let mut optional = [None; 2];
        for place in &mut optional {
            let is_there = self.is_there()?;
            let text = self.text()?;
            // One that is not there is written as an empty one.
            (is_there || text.is_empty()).then_some(())?;
            *place = is_there.then_some(text);
        }
        let hash = self.bytes()?.try_into().ok()?;
        let mut held = Held::default();
        // Before there were holds, it ended here.
        if !self.0.is_empty() {
            held.absorbed = self.number()?;
            held.bound = Some(self.number()?).filter(|bound| *bound >= 0);
            let scopes = Some(self.bytes()?).filter(|scopes| !scopes.is_empty());
            held.scopes = scopes.map(Cow::Borrowed);
        }
        self.0.is_empty().then_some((Content { ids, texts, optional, numbers, held }, hash))
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn id(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    fn number(&mut self) -> Option<i64> {
        self.array().map(i64::from_le_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.bytes()?).ok()
    }

    /// Whether the next text is there.
    fn is_there(&mut self) -> Option<bool> {
        let [is_there] = self.array()?;
        match is_there {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Entry, StoreError> {
        Entry::decode(bytes, &mut Before::default())
    }

    fn content() -> Content<'static> {
        let (kind, id) = (ledger::ScopeKind::Account, Uuid::from_u128(2));
        let scopes = ledger::encode_scopes(&[ledger::Scope { kind, id, period_start: 9 }]);
        Content {
            ids: [1, 2, 3, 4].map(Uuid::from_u128),
            texts: ["native", "openai", "gpt-4o", "{}", "provider", "ok"],
            optional: [Some("naïve"), None],
            numbers: [-7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6],
            held: Held { absorbed: 7, bound: Some(8), scopes: scopes.map(Cow::Owned) },
        }
    }

    fn of(content: &Content<'_>) -> Entry {
        Entry(Row::with(content, &content.hash(), &mut Last::default()))
    }

    fn entry() -> Entry {
        of(&content())
    }

    /// The same with one thing changed, whatever there is.
    fn changed() -> Vec<Content<'static>> {
        let mut all = Vec::new();
        let mut change = |change: &dyn Fn(&mut Content<'static>)| {
            let mut content = content();
            change(&mut content);
            all.push(content);
        };
        for place in 0..4 {
            change(&|content| content.ids[place] = Uuid::from_u128(9));
        }
        for place in 0..6 {
            change(&|content| content.texts[place] = "other");
        }
        for place in 0..14 {
            change(&|content| content.numbers[place] = 99);
        }
        for (place, other) in [(0, Some("other")), (0, None), (1, Some("other")), (1, Some(""))] {
            change(&|content| content.optional[place] = other);
        }
        change(&|content| content.held.absorbed = 0);
        change(&|content| content.held.bound = None);
        change(&|content| content.held.scopes = None);
        change(&|content| content.held.scopes = Some(Cow::Owned(vec![9; 25])));
        all
    }

    #[test]
    fn what_was_read_before_changes_nothing() {
        let (first, mut bytes) = (entry(), Vec::new());
        first.encode(&mut bytes);
        for content in changed() {
            let second = of(&content);
            let mut more = Vec::new();
            second.encode(&mut more);
            let mut before = Before::default();
            for (bytes, entry) in [(&bytes, &first), (&more, &second), (&bytes, &first)] {
                assert_eq!(Entry::decode(bytes, &mut before).unwrap(), *entry, "{content:?}");
            }
            assert_ne!(first, second, "{content:?}");
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let entry = entry();
        let mut bytes = b"before".to_vec();
        entry.encode(&mut bytes);
        let bytes = bytes.strip_prefix(b"before").unwrap();
        assert_eq!(decode(bytes).unwrap(), entry);
    }

    #[test]
    fn a_batch_has_what_was_pushed_however_long() {
        let lengths =
            [0, 1, PIECE / 2, PIECE / 2, PIECE / 2 - 1, 1, 3 * PIECE, 5, PIECE, PIECE + 1];
        let pushed: Vec<Vec<u8>> =
            (b'a'..).zip(lengths).map(|(byte, length)| vec![byte; length]).collect();
        let mut entries = Entries::default();
        for (seq, entry) in (10..).zip(&pushed) {
            entries.push(seq, entry);
        }
        assert_eq!(entries.len(), pushed.len());
        for behind in 0..21 {
            let found: Vec<(u64, &[u8])> = entries.behind(behind).collect();
            let wanted = (10..).zip(pushed.iter().map(Vec::as_slice));
            assert_eq!(found, wanted.filter(|(seq, _)| *seq > behind).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_was_written_before_there_were_holds_is_read() {
        let old = of(&Content { held: Held::default(), ..content() });
        let mut bytes = Vec::new();
        old.encode(&mut bytes);
        assert_eq!(decode(&bytes).unwrap(), old);
        bytes.truncate(bytes.len() - 20);
        assert_eq!(decode(&bytes).unwrap(), old);
    }

    #[test]
    fn nothing_else_is_read() {
        let mut bytes = Vec::new();
        entry().encode(&mut bytes);
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(&flipped).is_err(), "bit {bit}");
        }
        bytes.push(0);
        assert!(decode(&bytes).is_err(), "more than one");
    }
}
