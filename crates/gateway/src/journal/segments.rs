//! The files of a journal: segments, each named by the number of its first record.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use uuid::Uuid;

use super::record::{self, Fault, Kind, Record, Start};

/// A segment that is longer makes place for the next, in bytes.
const SEGMENT: u64 = 64 * 1024 * 1024;
/// What has been applied is kept for this long, so that an older copy of the database can be fed again…
const KEEP_FOR: Duration = Duration::from_hours(7 * 24);
/// … and up to this many bytes.
const KEEP_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JournalError {
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
    #[error("{} {fault}", path.display())]
    Fault { path: PathBuf, fault: Fault },
    #[error("{} is of the journal of another replica, {found}: this folder is that of {owner}", path.display())]
    Foreign { path: PathBuf, found: Uuid, owner: Uuid },
    #[error("{} was taken away, replaced or cut off by somebody else while it was written", path.display())]
    Gone { path: PathBuf },
    #[error("{} begins with record {found}, but {wanted} comes next: a segment is missing", path.display())]
    Gap { path: PathBuf, found: u64, wanted: u64 },
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    let path = path.to_owned();
    |error| JournalError::Io { path, error }
}

fn fault_at(path: &Path) -> impl FnOnce(Fault) -> JournalError {
    let path = path.to_owned();
    |fault| JournalError::Fault { path, fault }
}

fn file_name(first: u64) -> String {
    format!("{first:020}.journal")
}

/// The file with the id of the replica.
pub(super) const REPLICA: &str = "replica";

/// The replica whose folder this is; none where there is no journal.
pub(super) fn owner(folder: &Path) -> Result<Option<Uuid>, JournalError> {
    let path = folder.join(REPLICA);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(io_at(&path))?,
    };
    let id = text.trim().parse().map_err(|_| io::Error::other("expected the id of a replica"));
    id.map(Some).map_err(io_at(&path))
}

/// Reads the start of a segment, which has to be of the folder's own replica.
fn read_start(path: &Path, bytes: &[u8]) -> Result<Option<Start>, JournalError> {
    let start = record::read_start(bytes).map_err(fault_at(path))?;
    if let Some(found) = start.and_then(|start| start.replica) {
        let owner = owner(path.parent().unwrap_or(path))?.unwrap_or_default();
        if found != owner {
            return Err(JournalError::Foreign { path: path.to_owned(), found, owner });
        }
    }
    Ok(start)
}

/// The segments of a folder in their order, each with the number of its first record by its name.
pub(super) fn list(folder: &Path) -> Result<Vec<(u64, PathBuf)>, JournalError> {
    let mut segments = Vec::new();
    for entry in fs::read_dir(folder).map_err(io_at(folder))? {
        let path = entry.map_err(io_at(folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(first) = name.strip_suffix(".journal").and_then(|first| first.parse().ok()) {
            segments.push((first, path));
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

/// The segment that is written.
pub(super) struct Writer {
    folder: PathBuf,
    path: PathBuf,
    file: File,
    length: u64,
    /// Whether the file ends with a whole record: not when a write failed, and so did taking back what it had written.
    whole: bool,
    next: u64,
    /// Records that are not written yet, and how many.
    buffer: Vec<u8>,
    prepared: u64,
}

impl Writer {
    /// Opens the last segment behind its last whole record, and cuts off what the writer before was stopped in the
    /// middle of.
    pub(super) fn open(folder: &Path, cursor: u64) -> Result<Self, JournalError> {
        let segments = list(folder)?;
        let Some((_, path)) = segments.last() else { return Self::create(folder, cursor + 1) };
        let bytes = fs::read(path).map_err(io_at(path))?;
        let Some(Start { first, end, .. }) = read_start(path, &bytes)? else {
            // Made by one who came no further.
            fs::remove_file(path).map_err(io_at(path))?;
            return Self::open(folder, cursor);
        };
        let (mut at, mut next) = (end, first);
        while let Some(found) = record::read(&bytes, at, next).map_err(fault_at(path))? {
            (at, next) = (found.end, next + 1);
        }
        if at < bytes.len() {
            let cut = bytes.len() - at;
            tracing::warn!(path = %path.display(), bytes = cut, "the end of the journal was cut off in the middle of a record");
        }
        let file = OpenOptions::new().append(true).open(path).map_err(io_at(path))?;
        let length = u64::try_from(at).unwrap_or(u64::MAX);
        file.set_len(length).and_then(|()| file.sync_all()).map_err(io_at(path))?;
        if next <= cursor {
            // The database knows more than this journal does, which then goes on behind it.
            return Self::create(folder, cursor + 1);
        }
        Ok(Self::begun(folder, path.clone(), file, length, next))
    }

    fn create(folder: &Path, first: u64) -> Result<Self, JournalError> {
        let path = folder.join(file_name(first));
        let start = record::start(first, owner(folder)?.unwrap_or_default());
        let create = || {
            let mut file = OpenOptions::new().append(true).create_new(true).open(&path)?;
            file.write_all(&start)?;
            file.sync_all()?;
            File::open(folder)?.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(io_at(&path))?;
        let length = u64::try_from(record::START).unwrap_or(u64::MAX);
        Ok(Self::begun(folder, path, file, length, first))
    }

    fn begun(folder: &Path, path: PathBuf, file: File, length: u64, next: u64) -> Self {
        let folder = folder.to_owned();
        Self { folder, path, file, length, whole: true, next, buffer: Vec::new(), prepared: 0 }
    }

    /// Sees that the file still stands under its name, as long as it was written: what somebody has taken away or cut off is read
    /// by nobody later.
    pub(super) fn look(&self) -> Result<(), JournalError> {
        use std::os::unix::fs::MetadataExt as _;
        let ours = self.file.metadata().map_err(io_at(&self.path))?;
        let is_there = fs::metadata(&self.path)
            .is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino()));
        if is_there && ours.len() >= self.length {
            Ok(())
        } else {
            Err(JournalError::Gone { path: self.path.clone() })
        }
    }

    /// The number of the last record.
    pub(super) fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// The file, to be synced by somebody else.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Writes to another file from now on.
    #[cfg(test)]
    pub(super) fn put(&mut self, file: File) -> File {
        std::mem::replace(&mut self.file, file)
    }

    /// Appends a record and returns its number. It outlives this process from now on, and once it is synced the machine.
    pub(super) fn append(
        &mut self,
        kind: Kind,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<u64, JournalError> {
        self.prepare(kind, body);
        self.flush()
    }

    /// Prepares a record, which is written by the next [`Writer::flush`] or [`Writer::append`] under the number that is
    /// returned.
    pub(super) fn prepare(&mut self, kind: Kind, body: impl FnOnce(&mut Vec<u8>)) -> u64 {
        let seq = self.next + self.prepared;
        record::write(&mut self.buffer, seq, kind, body);
        self.prepared += 1;
        seq
    }

    /// How much is prepared.
    pub(super) fn prepared_bytes(&self) -> u64 {
        u64::try_from(self.buffer.len()).unwrap_or(u64::MAX)
    }

    /// Writes what was prepared, all or nothing, and returns the number of the last record.
    pub(super) fn flush(&mut self) -> Result<u64, JournalError> {
        let written = self.write();
        if written.is_ok() {
            self.length += self.prepared_bytes();
            self.next += self.prepared;
        }
        self.buffer.clear();
        self.prepared = 0;
        written.map(|()| self.last())
    }

    fn write(&mut self) -> Result<(), JournalError> {
        // A part of a record must not stand before the next one.
        if !self.whole {
            self.file.set_len(self.length).map_err(io_at(&self.folder))?;
            self.whole = true;
        }
        self.file.write_all(&self.buffer).map_err(|error| {
            self.whole = self.file.set_len(self.length).is_ok();
            io_at(&self.folder)(error)
        })
    }

    /// Whether it is time for the next segment.
    pub(super) const fn is_full(&self) -> bool {
        self.length >= SEGMENT
    }

    /// Goes on in another segment, with nothing prepared. The one before is synced first.
    pub(super) fn turn(&mut self) -> Result<(), JournalError> {
        self.file.sync_all().map_err(io_at(&self.folder))?;
        let next = Self::create(&self.folder, self.next)?;
        let buffer = std::mem::take(&mut self.buffer);
        *self = Self { buffer, ..next };
        Ok(())
    }
}

/// Reads a journal from one record on, while somebody else may write it.
pub(super) struct Tail {
    folder: PathBuf,
    /// The number of the record that comes next.
    next: u64,
    segment: Option<Segment>,
}

/// The segment that is read.
struct Segment {
    path: PathBuf,
    /// The number of its first record.
    first: u64,
    file: File,
    /// Bytes of it, from `offset` on.
    bytes: Vec<u8>,
    offset: u64,
    /// Where the next record begins in `bytes`.
    at: usize,
}

impl Tail {
    /// Begins behind the record of that number.
    pub(super) fn behind(folder: &Path, seq: u64) -> Self {
        Self { folder: folder.to_owned(), next: seq + 1, segment: None }
    }

    /// One of the same folder that begins behind the record of that number.
    pub(super) fn back_to(&self, seq: u64) -> Self {
        Self::behind(&self.folder, seq)
    }

    /// The number of the last record that was given.
    pub(super) fn last(&self) -> u64 {
        self.next.saturating_sub(1)
    }

    /// Gives the next records, at most `most`, to `each`; fewer where the journal has no more yet.
    pub(super) fn read(
        &mut self,
        most: usize,
        mut each: impl FnMut(u64, Kind, &[u8]),
    ) -> Result<usize, JournalError> {
        let mut count = 0;
        while count < most {
            let Some(mut segment) =
                self.segment.take().map_or_else(|| self.open(), |s| Ok(Some(s)))?
            else {
                return Ok(count);
            };
            if let Some(record) = segment.record(self.next)? {
                each(self.next, record.kind, record.body);
                (segment.at, self.next, count) = (record.end, self.next + 1, count + 1);
            } else if !segment.read_on()? {
                match self.later(&segment)? {
                    // What was written before the next segment was made is in this one.
                    Some(_) if segment.read_on()? => {}
                    Some((first, _)) if first == self.next => continue,
                    Some((found, path)) => {
                        return Err(JournalError::Gap { path, found, wanted: self.next });
                    }
                    None => {
                        // A part of a record may still be taken back.
                        segment.bytes.truncate(segment.at);
                        self.segment = Some(segment);
                        return Ok(count);
                    }
                }
            }
            self.segment = Some(segment);
        }
        Ok(count)
    }

    /// The segment behind one, if there is one by now.
    fn later(&self, segment: &Segment) -> Result<Option<(u64, PathBuf)>, JournalError> {
        Ok(list(&self.folder)?.into_iter().find(|(first, _)| *first > segment.first))
    }

    /// Opens the segment that has the next record.
    fn open(&self) -> Result<Option<Segment>, JournalError> {
        let segments = list(&self.folder)?;
        let Some((named, path)) = segments.iter().rfind(|(first, _)| *first <= self.next) else {
            let Some((found, path)) = segments.into_iter().next() else { return Ok(None) };
            return Err(JournalError::Gap { path, found, wanted: self.next });
        };
        let file = File::open(path).map_err(io_at(path))?;
        let (path, first) = (path.clone(), *named);
        let mut segment = Segment { path, first, file, bytes: Vec::new(), offset: 0, at: 0 };
        while segment.bytes.len() < record::START && segment.read_on()? {}
        let start = read_start(&segment.path, &segment.bytes)?;
        let Some(Start { first: found, end, .. }) = start else { return Ok(None) };
        if found != first {
            return Err(JournalError::Gap { path: segment.path, found, wanted: first });
        }
        segment.at = end;
        let mut seq = first;
        while seq < self.next {
            if let Some(record) = segment.record(seq)? {
                (segment.at, seq) = (record.end, seq + 1);
            } else if !segment.read_on()? {
                return Ok(None);
            }
        }
        Ok(Some(segment))
    }
}

impl Segment {
    /// The next record, if it is there.
    fn record(&self, seq: u64) -> Result<Option<Record<'_>>, JournalError> {
        record::read(&self.bytes, self.at, seq).map_err(|fault| {
            let before = usize::try_from(self.offset).unwrap_or(usize::MAX);
            fault_at(&self.path)(fault.behind(before))
        })
    }

    /// Reads more of the file; whether there was more.
    fn read_on(&mut self) -> Result<bool, JournalError> {
        use std::os::unix::fs::FileExt as _;
        /// How much at a time, in bytes.
        const CHUNK: usize = 64 * 1024;
        self.bytes.drain(..self.at);
        self.offset += u64::try_from(self.at).unwrap_or(u64::MAX);
        self.at = 0;
        let length = self.bytes.len();
        self.bytes.resize(length + CHUNK, 0);
        let end = self.offset + u64::try_from(length).unwrap_or(u64::MAX);
        let room = self.bytes.get_mut(length..).unwrap_or_default();
        let read = self.file.read_at(room, end).map_err(io_at(&self.path))?;
        self.bytes.truncate(length + read);
        Ok(read > 0)
    }
}

/// How much room the disk of a folder has, in bytes.
pub(crate) fn room(folder: &Path) -> Result<u64, JournalError> {
    let disk = rustix::fs::statvfs(folder).map_err(|error| io_at(folder)(error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Syncs a journal that somebody else writes, and returns the number of the last record that is on the disk then.
pub(super) fn sync(folder: &Path) -> Result<u64, JournalError> {
    let Some((first, path)) = list(folder)?.into_iter().next_back() else { return Ok(0) };
    let mut tail = Tail::behind(folder, first.saturating_sub(1));
    while tail.read(usize::MAX, |_, _, _| {})? > 0 {}
    File::open(&path).and_then(|file| file.sync_data()).map_err(io_at(&path))?;
    Ok(tail.last())
}

/// Removes segments whose records have all been applied, once they are old or too many.
pub(super) fn tidy(folder: &Path, applied: u64) -> Result<(), JournalError> {
    let segments = list(folder)?;
    let mut kept = 0;
    // Each ends where the next one begins; the last one is written.
    for pair in segments.windows(2).rev() {
        let [(_, path), (next, _)] = pair else { continue };
        let known = fs::metadata(path).map_err(io_at(path))?;
        kept += known.len();
        #[expect(clippy::disallowed_methods, reason = "the age of a file, not a moment of ours")]
        let now = SystemTime::now();
        let age = known.modified().ok().and_then(|at| now.duration_since(at).ok());
        let is_old = age.is_some_and(|age| age > KEEP_FOR) || kept > KEEP_BYTES;
        if *next <= applied + 1 && is_old {
            fs::remove_file(path).map_err(io_at(path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
