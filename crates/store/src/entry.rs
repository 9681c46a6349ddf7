//! A receipt as bytes, for a journal that is written before the database: what is read back is the row itself, so that
//! nothing is worked out twice.

use ledger::Receipt;
use uuid::Uuid;

use crate::StoreError;
use crate::row::Row;

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
        let Self(row) = self;
        for id in [row.request_id, row.account_id, row.user_id, row.key_id] {
            bytes.extend_from_slice(id.as_bytes());
        }
        for number in row.numbers() {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        let texts = [&row.surface, &row.provider, &row.model, &row.report];
        for text in texts.into_iter().chain([&row.usage_source, &row.outcome]) {
            put(bytes, text.as_bytes());
        }
        for text in [&row.model_served, &row.upstream_id] {
            bytes.push(u8::from(text.is_some()));
            put(bytes, text.as_deref().unwrap_or_default().as_bytes());
        }
        put(bytes, &row.content_hash);
        bytes.extend_from_slice(&row.absorbed.to_le_bytes());
        bytes.extend_from_slice(&row.bound.unwrap_or(-1).to_le_bytes());
        put(bytes, row.scopes.as_deref().unwrap_or_default());
    }

    /// Reads what [`Entry::encode`] wrote.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the bytes are anything else.
    pub fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let row =
            Reader(bytes).row().ok_or_else(|| StoreError::corrupt("receipt in the journal"))?;
        if row.is_intact() {
            Ok(Self(row))
        } else {
            Err(StoreError::corrupt(format!("receipt {} in the journal", row.request_id)))
        }
    }
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
    fn row(mut self) -> Option<Row> {
        let [request_id, account_id, user_id, key_id] =
            [self.id()?, self.id()?, self.id()?, self.id()?];
        let mut row = Row { request_id, account_id, user_id, key_id, ..Row::default() };
        for number in row.numbers_mut() {
            *number = i64::from_le_bytes(self.array()?);
        }
        row.surface = self.text()?;
        row.provider = self.text()?;
        row.model = self.text()?;
        row.report = self.text()?;
        row.usage_source = self.text()?;
        row.outcome = self.text()?;
        self.optional(&mut row.model_served)?;
        self.optional(&mut row.upstream_id)?;
        row.content_hash = self.bytes()?.to_vec();
        // Before there were holds, it ended here.
        if !self.0.is_empty() {
            row.absorbed = i64::from_le_bytes(self.array()?);
            row.bound = Some(i64::from_le_bytes(self.array()?)).filter(|bound| *bound >= 0);
            row.scopes = Some(self.bytes()?.to_vec()).filter(|scopes| !scopes.is_empty());
        }
        self.0.is_empty().then_some(row)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn id(&mut self) -> Option<Uuid> {
        self.array().map(Uuid::from_bytes)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }

    fn optional(&mut self, text: &mut Option<String>) -> Option<()> {
        let [is_there] = self.array()?;
        let found = self.text()?;
        *text = match is_there {
            0 if found.is_empty() => None,
            1 => Some(found),
            _ => return None,
        };
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let mut row = Row {
            request_id: Uuid::from_u128(1),
            account_id: Uuid::from_u128(2),
            user_id: Uuid::from_u128(3),
            key_id: Uuid::from_u128(4),
            surface: "native".into(),
            provider: "openai".into(),
            model: "gpt-4o".into(),
            report: "{}".into(),
            usage_source: "provider".into(),
            outcome: "ok".into(),
            model_served: Some("naïve".into()),
            ..Row::default()
        };
        for (value, number) in (-7..).zip(row.numbers_mut()) {
            *number = value;
        }
        (row.absorbed, row.bound) = (7, Some(8));
        let (kind, id) = (ledger::ScopeKind::Account, Uuid::from_u128(2));
        row.scopes = ledger::encode_scopes(&[ledger::Scope { kind, id, period_start: 9 }]);
        row.seal();
        Entry(row)
    }

    #[test]
    fn what_is_written_is_read() {
        let entry = entry();
        let mut bytes = b"before".to_vec();
        entry.encode(&mut bytes);
        let bytes = bytes.strip_prefix(b"before").unwrap();
        assert_eq!(Entry::decode(bytes).unwrap(), entry);
    }

    #[test]
    fn what_was_written_before_there_were_holds_is_read() {
        let mut old = entry();
        (old.0.absorbed, old.0.bound, old.0.scopes) = (0, None, None);
        old.0.seal();
        let mut bytes = Vec::new();
        old.encode(&mut bytes);
        assert_eq!(Entry::decode(&bytes).unwrap(), old);
        bytes.truncate(bytes.len() - 20);
        assert_eq!(Entry::decode(&bytes).unwrap(), old);
    }

    #[test]
    fn nothing_else_is_read() {
        let mut bytes = Vec::new();
        entry().encode(&mut bytes);
        for length in 0..bytes.len() {
            assert!(Entry::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(Entry::decode(&flipped).is_err(), "bit {bit}");
        }
        bytes.push(0);
        assert!(Entry::decode(&bytes).is_err(), "more than one");
    }
}
