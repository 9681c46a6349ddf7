//! The time that the formats take on the way of every request: `cargo bench -p wire`.

#[path = "../tests/hot/mod.rs"]
mod hot;

use divan::Bencher;
use divan::counter::BytesCount;
use wire::Dialect as _;
use wire::openai_chat::OpenaiChat;

fn main() {
    divan::main();
}

#[divan::bench(args = [30, 1024, 32 * 1024])]
fn peek_at_a_request(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = hot::request(bytes);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| hot::peek(&body));
}

#[divan::bench(args = [30, 1024, 32 * 1024])]
fn read_a_request(bencher: Bencher<'_, '_>, bytes: usize) {
    let body = hot::request(bytes);
    bencher.counter(BytesCount::new(body.len())).bench_local(|| hot::read(&body));
}

#[divan::bench]
fn write_a_request(bencher: Bencher<'_, '_>) {
    let chat = hot::read(&hot::request(30));
    bencher.bench_local(|| hot::write(&chat));
}

#[divan::bench]
fn read_a_reply(bencher: Bencher<'_, '_>) {
    let reply = hot::reply();
    bencher.bench_local(|| OpenaiChat.read_reply(&reply));
}

#[divan::bench]
fn read_the_usage_of_a_reply(bencher: Bencher<'_, '_>) {
    let reply = hot::reply();
    bencher.bench_local(|| OpenaiChat.read_body_usage(&reply));
}

#[divan::bench]
fn meter_an_event(bencher: Bencher<'_, '_>) {
    let (mut stream, event) = (hot::Stream::begun(), hot::event(" and more"));
    bencher.bench_local(|| {
        stream.take(event.as_bytes());
        stream.output_bytes()
    });
}
