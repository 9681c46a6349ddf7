//! Anthropic Messages: streams, requests, answers and errors of our own making, and recorded ones.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

#[path = "anthropic/answers.rs"]
mod answers;
#[path = "anthropic/recorded.rs"]
mod recorded;
#[path = "anthropic/requests.rs"]
mod requests;
#[path = "anthropic/schemas_and_tools.rs"]
mod schemas_and_tools;
#[path = "anthropic/streams.rs"]
mod streams;
#[path = "anthropic/written_streams.rs"]
mod written_streams;

use wire::chat::Native;
use wire::sse::{Framing, Splitter};
use wire::stream::{End, Event, Seen, Shape};
use wire::{Chat, Dialect, Json, Target, Unsupported, Written, dialect};

const LONGEST_FRAME: usize = 1 << 20;

fn anthropic() -> &'static dyn Dialect {
    dialect("anthropic").unwrap()
}

fn json(text: &str) -> Json {
    Json::parse(text).unwrap()
}

fn native(field: &str, raw: &str) -> Native {
    Native { dialect: "anthropic", field: field.to_owned(), raw: json(raw) }
}

/// The events of a stream that came in these pieces and was closed then, and what was known at the end.
fn read_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<Event>, Seen) {
    let mut reader = anthropic().reader();
    let mut splitter = Splitter::new(Framing::Sse, LONGEST_FRAME);
    let mut events = Vec::new();
    for piece in pieces {
        splitter.push(piece, |frame| reader.frame(&frame, &mut events)).unwrap();
    }
    splitter.end(|frame| reader.frame(&frame, &mut events));
    reader.end(End::Closed, &mut events);
    reader.end(End::Broken, &mut events);
    (events, reader.seen())
}

/// The frames in these pieces: the name and data of each.
fn frames<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<(String, String)> {
    let mut splitter = Splitter::new(Framing::Sse, LONGEST_FRAME);
    let mut frames = Vec::new();
    let mut keep = |frame: wire::sse::Frame<'_>| {
        if !frame.data.is_empty() {
            frames.push((frame.event.to_owned(), frame.data.into_owned()));
        }
    };
    for piece in pieces {
        splitter.push(piece, &mut keep).unwrap();
    }
    splitter.end(&mut keep);
    frames
}

/// Panics where a border between two pieces changes anything. Events follow from frames, so of a long stream the events
/// are compared at every `stride`th byte only.
fn splits_alike(name: &str, stream: &str, stride: usize) {
    let bytes = stream.as_bytes();
    let (whole, whole_frames) = (read(stream), frames([bytes]));
    for at in 0..=bytes.len() {
        let (before, after) = bytes.split_at(at);
        if at % stride == 0 {
            assert_eq!(read_pieces([before, after]), whole, "{name} split at {at}");
        } else {
            assert!(frames([before, after]) == whole_frames, "{name} split at {at}");
        }
    }
    assert_eq!(read_pieces(bytes.chunks(1)), whole, "{name} in bytes");
}

fn read(stream: &str) -> (Vec<Event>, Seen) {
    read_pieces([stream.as_bytes()])
}

/// What is known after each frame, read for the counters only.
fn skimmed(stream: &str) -> Vec<Seen> {
    seen_along(stream, |reader, frame| reader.skim(frame))
}

/// What is known after each frame, read in full.
fn followed(stream: &str) -> Vec<Seen> {
    seen_along(stream, |reader, frame| reader.frame(frame, &mut Vec::new()))
}

fn seen_along(
    stream: &str,
    take: fn(&mut Box<dyn wire::Reader>, &wire::sse::Frame<'_>),
) -> Vec<Seen> {
    let mut reader = anthropic().reader();
    let mut splitter = Splitter::new(Framing::Sse, LONGEST_FRAME);
    let mut all = Vec::new();
    splitter
        .push(stream.as_bytes(), |frame| {
            take(&mut reader, &frame);
            all.push(reader.seen());
        })
        .unwrap();
    all
}

/// What a client gets of these events.
fn written(events: &[Event]) -> String {
    let mut writer = anthropic().writer(Shape {
        id: "msg_given".to_owned(),
        model: "given".to_owned(),
        ..Shape::default()
    });
    let mut out = Vec::new();
    for event in events {
        writer.event(event.clone(), &mut out);
    }
    String::from_utf8(out).unwrap()
}

/// Panics where the events break a promise of [`wire::Reader`].
fn keeps_promises(events: &[Event]) {
    let (mut open, mut next, mut finished) = (Vec::new(), 0, false);
    for (at, event) in events.iter().enumerate() {
        let last = at + 1 == events.len();
        match event {
            Event::Start { .. } => assert_eq!(at, 0, "the start comes first and once"),
            Event::Open { index, .. } => {
                assert_eq!((*index, finished), (next, false));
                next += 1;
                open.push(*index);
            }
            Event::Text { index, .. }
            | Event::Json { index, .. }
            | Event::Cite { index, .. }
            | Event::Seal { index, .. } => assert!(open.contains(index), "{event:?}"),
            Event::Close { index } => {
                assert!(open.contains(index), "{event:?}");
                open.retain(|other| other != index);
            }
            Event::Usage(_) => {}
            Event::Finish { .. } => {
                assert!(open.is_empty() && !finished);
                finished = true;
            }
            Event::Problem(_) => assert!(last, "nothing follows a problem"),
            Event::End => assert!(last && finished, "nothing follows the end"),
        }
    }
    assert!(matches!(events.last(), Some(Event::End | Event::Problem(_))));
}

fn target(model: &str) -> Target<'_> {
    Target { provider: "anthropic", model, max_output_tokens: Some(64_000), reasoning: false }
}

fn chat_of(body: &str) -> Chat {
    anthropic().read_request(body.as_bytes()).unwrap()
}

fn write_to(chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported> {
    anthropic().write_request(chat, target)
}

fn body_of(written: &Written) -> serde_json::Value {
    serde_json::from_slice(&written.body).unwrap()
}

/// The body written for a model, and what was dropped.
fn request_for(model: &str, chat: &Chat) -> (serde_json::Value, Vec<String>) {
    let written = write_to(chat, &target(model)).unwrap();
    (body_of(&written), written.dropped)
}
