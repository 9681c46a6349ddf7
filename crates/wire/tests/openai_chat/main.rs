//! Chat Completions and Completions: streams, requests and answers, both ways.
#![expect(clippy::unwrap_used, reason = "a test; helpers of tests are not exempt by themselves")]

mod answers;
mod completions;
mod history;
mod property;
mod recordings;
mod requests;
mod streams;

use wire::sse::{Frame, Framing, Splitter};
use wire::stream::{Cost, End, Metered, Opening, Seen};
use wire::{Dialect, Event, Reader, Shape, dialect};

pub(crate) const LIMIT: usize = 1_000_000;

pub(crate) fn chat() -> &'static dyn Dialect {
    dialect("openai_chat").unwrap()
}

macro_rules! fixtures {
    ($($name:ident = $file:literal;)*) => {
        $(pub(crate) const $name: &str = include_str!(concat!("../../../testkit/fixtures/", $file, "_stream.sse"));)*
        pub(crate) const FIXTURES: &[(&str, &str)] = &[$(($file, $name),)*];
    };
}

fixtures! {
    TEXT = "openai/text";
    PARALLEL_TOOLS = "openai/parallel_tools";
    TRUNCATED_TOOL = "openai/truncated_tool";
    REFUSAL = "openai/refusal";
    ERROR = "openai/error";
    CUT = "openai/cut";
    TWO_ANSWERS = "openai/two_answers";
    MODERATED = "openai/moderated";
    SEARCH = "openai/search";
    AUDIO = "openai/audio";
    COMPLETION = "openai/completion";
    THINKING = "deepseek/thinking";
    DEEPSEEK_TOOL = "deepseek/tool";
    RUNNING_USAGE = "deepseek/running_usage";
    BROKEN_OFF = "deepseek/broken_off";
}

/// Every frame of a stream that comes in these pieces.
pub(crate) fn frames(pieces: &[&[u8]], mut each: impl FnMut(Frame<'_>)) {
    let mut splitter = Splitter::new(Framing::Sse, LIMIT);
    for piece in pieces {
        splitter.push(piece, &mut each).unwrap();
    }
    splitter.end(each);
}

pub(crate) fn read_pieces(pieces: &[&[u8]]) -> (Vec<Event>, Seen) {
    let mut reader = chat().reader();
    let mut events = Vec::new();
    frames(pieces, |frame| reader.frame(&frame, &mut events));
    reader.end(End::Closed, &mut events);
    reader.end(End::Broken, &mut events);
    (events, reader.seen())
}

pub(crate) fn read(stream: &str) -> (Vec<Event>, Seen) {
    read_pieces(&[stream.as_bytes()])
}

/// A stream of these chunks, with its end.
pub(crate) fn stream(chunks: &[&str]) -> String {
    let chunks = chunks.iter().chain(&["[DONE]"]);
    chunks.map(|chunk| format!("data: {chunk}\n\n")).collect::<Vec<_>>().concat()
}

/// A stream of one answer with these deltas.
pub(crate) fn deltas(deltas: &[&str], finish: &str) -> String {
    let chunk = |delta: &str, finish: &str| {
        format!(
            r#"{{"id":"c1","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
        )
    };
    let mut chunks: Vec<String> = deltas.iter().map(|delta| chunk(delta, "null")).collect();
    chunks.push(chunk("{}", &format!("\"{finish}\"")));
    stream(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Events in a line each, for people and for tests.
pub(crate) fn told(events: &[Event]) -> Vec<String> {
    events.iter().map(one).collect()
}

fn one(event: &Event) -> String {
    match event {
        Event::Start { id, model } => format!("start {id} {model}"),
        Event::Open { index, block } => match block {
            Opening::Text => format!("{index} text"),
            Opening::Refusal => format!("{index} refusal"),
            Opening::Thinking => format!("{index} thinking"),
            Opening::ToolUse { id, name } => format!("{index} call {id} {name}"),
            Opening::Media(media) => format!("{index} {}", media.kind.name()),
            Opening::Native(native) => format!("{index} {}", native.field),
        },
        Event::Text { index, text } => format!("{index} +{text}"),
        Event::Json { index, part } => format!("{index} +{part}"),
        Event::Cite { index, citation } => {
            format!("{index} cites {} {:?}", citation.url, citation.span)
        }
        Event::Seal { index, seal } => format!("{index} seal {} {}", seal.dialect, seal.value),
        Event::Close { index } => format!("{index} end"),
        Event::Usage(Metered { report, .. }) => {
            let total = report.total();
            format!("usage {} {}", total.input_tokens(), total.output_tokens())
        }
        Event::Finish { finish, .. } => format!("finish {finish:?}"),
        Event::Problem(problem) => format!("problem {:?}: {}", problem.kind, problem.message),
        Event::End => "end".to_owned(),
    }
}

pub(crate) fn shape() -> Shape {
    Shape {
        id: "gen-1".to_owned(),
        model: "vendor/model".to_owned(),
        created: 1_793_000_000,
        include_usage: true,
        ..Shape::default()
    }
}

pub(crate) fn cost() -> Cost {
    Cost {
        charge: "0.00105".to_owned(),
        upstream: "0.001".to_owned(),
        is_byok: false,
        upstream_parts: None,
    }
}

/// The bytes of these events for a client.
pub(crate) fn written(events: Vec<Event>, shape: Shape) -> String {
    let mut writer = chat().writer(shape);
    let mut bytes = Vec::new();
    for event in events {
        writer.event(event, &mut bytes);
    }
    String::from_utf8(bytes).unwrap()
}

/// The JSON of each frame.
pub(crate) fn chunks(stream: &str) -> Vec<serde_json::Value> {
    let frames = stream.split_terminator("\n\n");
    let data = frames.map(|frame| frame.strip_prefix("data: ").unwrap());
    data.filter(|data| *data != "[DONE]").map(|data| serde_json::from_str(data).unwrap()).collect()
}

/// What is known after skimming, frame by frame, and after reading: never a difference.
pub(crate) fn skims_alike(name: &str, stream: &str, new: fn() -> Box<dyn Reader>) {
    let (mut skimmer, mut reader) = (new(), new());
    let mut number = 0;
    frames(&[stream.as_bytes()], |frame| {
        skimmer.skim(&frame);
        reader.frame(&frame, &mut Vec::new());
        number += 1;
        assert_eq!(skimmer.seen(), reader.seen(), "{name}, frame {number}: {}", frame.data);
    });
    for end in [End::Broken, End::Closed] {
        skimmer.end(end, &mut Vec::new());
        reader.end(end, &mut Vec::new());
        assert_eq!(skimmer.seen(), reader.seen(), "{name}, end");
    }
}
