use std::fs::File;

use super::super::segments::Tail;
use super::*;

/// The first byte of every record that is in the file, with its number.
fn read(folder: &std::path::Path) -> Vec<(u64, u8)> {
    let mut found = Vec::new();
    let mut tail = Tail::behind(folder, 0);
    tail.read(usize::MAX, |seq, _, body| found.push((seq, body[0]))).unwrap();
    found
}

#[test]
fn a_group_is_written_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = Written::new(Writer::open(folder.path(), 0).unwrap());
    let [first, second] = [1, 2].map(|body| written.begin(|bytes| bytes.push(body)));
    assert_eq!((first, second, written.last(), written.oldest()), (1, 2, 0, 1));
    assert!(read(folder.path()).is_empty());
    written.flush();
    assert_eq!(read(folder.path()), [(1, 1), (2, 2)]);

    // Who has ended is needed until that is written.
    let settled = written.settle(first, |bytes| bytes.push(3));
    assert_eq!((settled, written.settled(), written.oldest()), (3, 0, 1));
    // Whatever is written at once takes along what is prepared.
    written.append(Kind::Progress, |bytes| bytes.push(4)).unwrap();
    assert_eq!((written.settled(), written.oldest(), written.last()), (3, 2, 4));
    assert_eq!(read(folder.path()), [(1, 1), (2, 2), (3, 3), (4, 4)]);

    // Nothing that is prepared is lost between two segments.
    written.settle(second, |bytes| bytes.push(5));
    written.turn().unwrap();
    assert_eq!((written.settled(), written.oldest()), (5, 6));
    written.append(Kind::Progress, |bytes| bytes.push(6)).unwrap();
    assert_eq!(read(folder.path())[4..], [(5, 5), (6, 6)]);
}

#[test]
fn a_group_that_cannot_be_written_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut written = Written::new(Writer::open(folder.path(), 0).unwrap());
    let held = written.begin(|bytes| bytes.push(1));
    written.flush();

    let read_only = File::open(folder.path().join("00000000000000000001.journal")).unwrap();
    let good = written.writer.put(read_only);
    let other = written.begin(|bytes| bytes.push(2));
    written.settle(held, |bytes| bytes.push(3));
    let fate = Arc::clone(&written.group.fate);
    assert!(told(&fate).is_ok() && other == 2);
    written.flush();
    assert!(told(&fate).is_err(), "everybody in it hears of it");
    // What has not ended is still needed, and what has not begun is not.
    assert_eq!((written.settled(), written.running.len(), written.oldest()), (0, 1, held));

    // The next group has the same numbers, and another fate.
    written.writer.put(good);
    let again = written.begin(|bytes| bytes.push(4));
    let later = Arc::clone(&written.group.fate);
    written.flush();
    assert_eq!((again, written.running.len()), (2, 2));
    assert!(told(&later).is_ok() && told(&fate).is_err());
    assert_eq!(read(folder.path()), [(1, 1), (2, 4)]);
}
