//! How much memory is asked for on the way of every request. Time differs from machine to machine; this does not, so that
//! whoever makes it more is told.

mod hot;

use allocation_counter::measure;
use wire::Dialect as _;
use wire::openai_chat::OpenaiChat;

/// Runs it twice, because the first time some things are made that stay.
fn count(what: impl Fn()) -> u64 {
    what();
    measure(&what).count_total
}

#[test]
fn a_body_that_passes_is_not_copied() {
    for bytes in [30, 32 * 1024] {
        let body = hot::request(bytes);
        let taken = measure(|| drop(hot::peek(&body)));
        // The model's name.
        assert!(taken.count_total <= 1, "{bytes} bytes: {taken:?}");
        assert!(taken.bytes_total < 64, "{bytes} bytes: {taken:?}");
    }
}

#[test]
fn an_event_that_passes_takes_nothing() {
    let mut stream = hot::Stream::begun();
    let (event, before) = (hot::event(" and more"), stream.output_bytes());
    let taken = measure(|| {
        for _ in 0..100 {
            stream.take(event.as_bytes());
        }
    });
    assert_eq!(taken.count_total, 0, "{taken:?}");
    assert_eq!(stream.output_bytes() - before, 900);
}

#[test]
fn what_is_translated_takes_little() {
    let (body, reply) = (hot::request(30), hot::reply());
    let chat = hot::read(&body);
    for (what, most, taken) in [
        ("read a request", 14, count(|| drop(hot::read(&body)))),
        ("write a request", 25, count(|| drop(hot::write(&chat)))),
        ("read a reply", 15, count(|| drop(OpenaiChat.read_reply(&reply)))),
        ("read its usage", 5, count(|| drop(OpenaiChat.read_body_usage(&reply)))),
    ] {
        println!("{what}: {taken} allocations");
        assert!(taken <= most, "{what}: {taken} allocations, more than {most}");
    }
}
