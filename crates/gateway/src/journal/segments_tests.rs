use super::*;

/// Appends records with these bodies.
fn append(writer: &mut Writer, bodies: std::ops::Range<u8>) {
    for body in bodies {
        writer.append(Kind::Settled, |bytes| bytes.extend([body; 100])).unwrap();
    }
}

/// The first byte of every record that is there.
fn read(tail: &mut Tail) -> Result<Vec<u8>, JournalError> {
    let mut bodies = Vec::new();
    while tail.read(3, |_, _, body| bodies.push(body[0]))? > 0 {}
    Ok(bodies)
}

fn bodies(folder: &Path, behind: u64) -> Vec<u8> {
    read(&mut Tail::behind(folder, behind)).unwrap()
}

#[test]
fn what_is_appended_is_read_over_all_segments() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    let mut tail = Tail::behind(folder.path(), 0);
    assert!(read(&mut tail).unwrap().is_empty());
    append(&mut writer, 1..5);
    assert_eq!(read(&mut tail).unwrap(), [1, 2, 3, 4]);
    append(&mut writer, 5..7);
    writer.turn().unwrap();
    append(&mut writer, 7..9);
    assert_eq!(read(&mut tail).unwrap(), [5, 6, 7, 8]);
    assert_eq!((tail.last(), writer.last()), (8, 8));
    writer.turn().unwrap();
    drop(writer);

    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 9..10);
    assert_eq!(writer.last(), 9);
    assert_eq!(read(&mut tail).unwrap(), [9]);
    assert_eq!(bodies(folder.path(), 0), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(bodies(folder.path(), 6), [7, 8, 9]);
    assert!(bodies(folder.path(), 9).is_empty());
}

#[test]
fn a_record_that_was_cut_off_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 1..3);
    let mut tail = Tail::behind(folder.path(), 0);
    let path = folder.path().join(file_name(1));
    let whole = fs::read(&path).unwrap();
    append(&mut writer, 3..4);
    let longer = fs::read(&path).unwrap();
    drop(writer);
    for length in whole.len()..longer.len() {
        fs::write(&path, &longer[..length]).unwrap();
        assert_eq!(
            read(&mut tail).unwrap(),
            if length == whole.len() { vec![1, 2] } else { vec![] }
        );
        let writer = Writer::open(folder.path(), 0).unwrap();
        assert_eq!(writer.last(), 2, "{length} bytes");
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    // The reader has seen the beginning of a third record, and gets the one that was written instead.
    fs::write(&path, &longer[..longer.len() - 1]).unwrap();
    assert!(read(&mut tail).unwrap().is_empty());
    append(&mut Writer::open(folder.path(), 0).unwrap(), 7..8);
    assert_eq!(read(&mut tail).unwrap(), [7]);
}

/// A file that takes no more, as on a full disk, and then does.
#[test]
fn a_write_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 1..3);
    let path = folder.path().join(file_name(1));
    let good = writer.put(File::open(&path).unwrap());
    for _ in 0..2 {
        assert!(writer.append(Kind::Settled, |bytes| bytes.push(9)).is_err());
        assert!(!writer.whole);
    }
    // A part of it had been written.
    let mut part = fs::read(&path).unwrap();
    part.extend_from_within(record::START..record::START + 20);
    fs::write(&path, part).unwrap();
    writer.put(good);
    append(&mut writer, 3..4);
    assert_eq!((writer.last(), bodies(folder.path(), 0)), (3, vec![1, 2, 3]));
}

#[test]
fn a_segment_that_was_cut_off_at_its_start_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 1..3);
    writer.turn().unwrap();
    drop(writer);
    let [first, second] = [1, 3].map(|number| folder.path().join(file_name(number)));
    let before = fs::read(&first).unwrap();
    for length in 0..record::START {
        fs::write(&first, &before).unwrap();
        fs::write(&second, &record::start(3, Uuid::nil())[..length]).unwrap();
        let mut writer = Writer::open(folder.path(), 0).unwrap();
        assert_eq!(writer.last(), 2, "{length} bytes");
        append(&mut writer, 3..4);
        assert_eq!(bodies(folder.path(), 0), [1, 2, 3]);
    }
}

#[test]
fn what_is_taken_away_from_under_the_writer_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file_name(1));
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 1..3);
    writer.look().unwrap();
    let copy = folder.path().join("copy");
    fs::copy(&path, &copy).unwrap();
    fs::rename(&copy, &path).unwrap();
    assert!(matches!(writer.look(), Err(JournalError::Gone { .. })));
    fs::remove_file(&path).unwrap();
    assert!(matches!(writer.look(), Err(JournalError::Gone { .. })));
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 1..3);
    File::options().write(true).open(&path).unwrap().set_len(20).unwrap();
    append(&mut writer, 3..4);
    assert!(matches!(writer.look(), Err(JournalError::Gone { .. })));
}

#[test]
fn a_segment_of_another_replica_is_refused() {
    let [folder, other] = [1, 2].map(|replica| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(REPLICA), Uuid::from_u128(replica).to_string()).unwrap();
        append(&mut Writer::open(folder.path(), 0).unwrap(), 1..3);
        folder
    });
    assert_eq!(bodies(folder.path(), 0), [1, 2]);
    let [ours, theirs] = [&folder, &other].map(|folder| folder.path().join(file_name(1)));
    fs::copy(theirs, ours).unwrap();
    let fault = read(&mut Tail::behind(folder.path(), 0)).unwrap_err();
    assert!(matches!(fault, JournalError::Foreign { found, .. } if found.as_u128() == 2));
    let fault = Writer::open(folder.path(), 0).err().unwrap();
    assert!(matches!(fault, JournalError::Foreign { owner, .. } if owner.as_u128() == 1));
}

#[test]
fn damage_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    append(&mut writer, 1..4);
    writer.turn().unwrap();
    append(&mut writer, 4..6);
    let path = folder.path().join(file_name(1));
    let mut bytes = fs::read(&path).unwrap();
    let second = record::START + (bytes.len() - record::START) / 3;
    bytes[second + 50] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let fault = read(&mut Tail::behind(folder.path(), 0)).unwrap_err().to_string();
    assert!(fault.contains(path.to_str().unwrap()), "{fault}");
    assert!(fault.contains(&format!("damaged at its byte {second}")), "{fault}");

    // A segment that ends early, with another behind it.
    bytes[second + 50] ^= 1;
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    let fault = read(&mut Tail::behind(folder.path(), 0)).unwrap_err();
    assert!(matches!(fault, JournalError::Gap { found: 4, wanted: 3, .. }), "{fault}");

    fs::remove_file(&path).unwrap();
    let fault = read(&mut Tail::behind(folder.path(), 0)).unwrap_err();
    assert!(matches!(fault, JournalError::Gap { found: 4, wanted: 1, .. }), "{fault}");
    assert_eq!(bodies(folder.path(), 3), [4, 5]);
}

#[test]
fn a_journal_goes_on_behind_what_the_database_knows() {
    let folder = tempfile::tempdir().unwrap();
    append(&mut Writer::open(folder.path(), 0).unwrap(), 1..3);
    let mut writer = Writer::open(folder.path(), 70).unwrap();
    append(&mut writer, 9..10);
    assert_eq!(writer.last(), 71);
    assert_eq!(bodies(folder.path(), 70), [9]);
}

#[test]
fn old_segments_go_once_they_are_applied() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(folder.path(), 0).unwrap();
    for round in 0..4 {
        append(&mut writer, round..round + 1);
        let path = folder.path().join(file_name(u64::from(round) + 1));
        let age = KEEP_FOR + Duration::from_mins(1);
        #[expect(clippy::disallowed_methods, reason = "the age of a file, not a moment of ours")]
        let old = SystemTime::now() - age;
        // The third is young.
        if round != 2 {
            File::options().append(true).open(path).unwrap().set_modified(old).unwrap();
        }
        writer.turn().unwrap();
    }
    let left =
        || list(folder.path()).unwrap().into_iter().map(|(first, _)| first).collect::<Vec<_>>();
    tidy(folder.path(), 0).unwrap();
    assert_eq!(left(), [1, 2, 3, 4, 5]);
    tidy(folder.path(), 1).unwrap();
    assert_eq!(left(), [2, 3, 4, 5]);
    tidy(folder.path(), 4).unwrap();
    assert_eq!(left(), [3, 5]);
}
