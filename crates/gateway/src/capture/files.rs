//! The files of recordings: one after the other, so many bytes of them and so old as is set.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A file has an eighth of what is kept, and no more than this.
const LARGEST: u64 = 64 * 1024 * 1024;
/// After so long another begins, in microseconds.
const LONGEST: i64 = 3_600_000_000;
const BEGINNING: &str = "capture-";
const ENDING: &str = ".jsonl";

pub(super) struct Files {
    folder: PathBuf,
    most_bytes: u64,
    most_age: Duration,
    current: Option<Current>,
}

struct Current {
    file: File,
    path: PathBuf,
    bytes: u64,
    since: i64,
}

impl Files {
    /// Makes the folder, where there is none, and finds out whether it can be written to.
    pub(super) fn open(folder: &Path, most_bytes: u64, most_age: Duration) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut files = Self { folder: folder.to_owned(), most_bytes, most_age, current: None };
        let now = crate::clock::now();
        files.next(now)?;
        files.sweep(now);
        Ok(files)
    }

    fn largest(&self) -> u64 {
        (self.most_bytes / 8).min(LARGEST)
    }

    /// Writes a line.
    pub(super) fn write(&mut self, line: &[u8], now: i64) -> io::Result<()> {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        let is_full = self.current.as_ref().is_none_or(|current| {
            let is_large =
                current.bytes > 0 && current.bytes.saturating_add(length) > self.largest();
            is_large || now.saturating_sub(current.since) >= LONGEST
        });
        if is_full {
            self.next(now)?;
        }
        if let Some(current) = &mut self.current {
            current.bytes = current.bytes.saturating_add(length);
            current.file.write_all(line)?;
        }
        if is_full {
            self.sweep(now);
        }
        Ok(())
    }

    /// Begins another file, which nobody else may read.
    fn next(&mut self, now: i64) -> io::Result<()> {
        // One whose line was cut short by a full disk is never gone on with.
        self.current = None;
        let id = std::process::id();
        let path = self.folder.join(format!("{BEGINNING}{now:020}-{id}{ENDING}"));
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path)?;
        self.current = Some(Current { file, path, bytes: 0, since: now });
        Ok(())
    }

    /// Removes what is too old or too much, the oldest first; never the file that is being written.
    pub(super) fn sweep(&self, now: i64) {
        let mut all = self.all();
        all.sort_unstable();
        let mut bytes: u64 = all.iter().map(|(_, _, bytes)| bytes).sum();
        // The file that is being written may grow so much.
        let own = self.current.as_ref().map_or(0, |current| current.bytes);
        bytes = bytes.saturating_add(self.largest().saturating_sub(own));
        let oldest =
            now.saturating_sub(i64::try_from(self.most_age.as_micros()).unwrap_or(i64::MAX));
        for (since, path, length) in all {
            let is_own = self.current.as_ref().is_some_and(|current| current.path == path);
            // What was written last is up to as much younger than the name.
            let is_old = since.saturating_add(LONGEST) < oldest;
            if !is_own && (is_old || bytes > self.most_bytes) {
                match fs::remove_file(&path) {
                    Ok(()) => bytes = bytes.saturating_sub(length),
                    Err(error) => {
                        tracing::warn!(%error, path = %path.display(), "a recording was not removed");
                    }
                }
            }
        }
    }

    /// All recordings: since when, where, and how many bytes.
    fn all(&self) -> Vec<(i64, PathBuf, u64)> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let recording = |entry: fs::DirEntry| {
            let name = entry.file_name().into_string().ok()?;
            let middle = name.strip_prefix(BEGINNING)?.strip_suffix(ENDING)?;
            let since = middle.split_once('-')?.0.parse().ok()?;
            Some((since, entry.path(), entry.metadata().ok()?.len()))
        };
        entries.filter_map(recording).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    use super::{Files, LONGEST};

    const DAY: Duration = Duration::from_hours(24);

    fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
        let mut names: Vec<String> =
            entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn so_much_is_kept_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("below/recordings");
        let mut files = Files::open(&place, 80_000, DAY).unwrap();
        std::fs::write(place.join("capture-notes.txt"), "mine").unwrap();
        let now = crate::clock::now();
        let line = vec![b'x'; 4_000];
        for number in 0..100 {
            files.write(&line, now + number).unwrap();
            let bytes: u64 = files.all().iter().map(|(_, _, bytes)| bytes).sum();
            assert!(bytes <= 80_000, "{bytes} bytes after {number}");
        }
        let bytes: u64 = files.all().iter().map(|(_, _, bytes)| bytes).sum();
        assert!(bytes > 60_000, "{bytes}");
        let left = names(&place);
        assert!(left.contains(&"capture-notes.txt".to_owned()), "{left:?}");
        let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&place) & 0o777, 0o700);
        assert_eq!(mode(&files.all()[0].1) & 0o777, 0o600);
        // A line that is longer than a file is in one of its own.
        files.write(&vec![b'y'; 15_000], now + 200).unwrap();
    }

    #[test]
    fn what_is_old_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = Files::open(folder.path(), 1_000_000, DAY).unwrap();
        let now = crate::clock::now();
        files.write(b"first\n", now).unwrap();
        files.write(b"second\n", now + LONGEST).unwrap();
        assert_eq!(names(folder.path()).len(), 2);
        let day = 24 * LONGEST;
        files.sweep(now + day);
        assert_eq!(names(folder.path()).len(), 2);
        files.sweep(now + day + LONGEST + 1_000_000);
        assert_eq!(names(folder.path()).len(), 1);
        // The one that is being written stays.
        files.sweep(now + 9 * day);
        assert_eq!(names(folder.path()).len(), 1);
    }
}
