//! What the tests of this dialect share.

use wire::sse::{Frame, Framing, Splitter};
use wire::stream::{End, Event, Opening, Seen};
use wire::{Dialect, Reader, Shape};

pub(crate) const GEMINI: &dyn Dialect = &wire::gemini::Gemini;
const LIMIT: usize = 10_000_000;

/// Sends bytes in these pieces to `each`, frame by frame, as a gateway does.
pub(crate) fn frames(framing: Framing, pieces: &[&[u8]], mut each: impl FnMut(&Frame<'_>)) {
    let mut splitter = Splitter::new(framing, LIMIT);
    for piece in pieces {
        splitter.push(piece, |frame| each(&frame)).unwrap();
    }
    splitter.end(|frame| each(&frame));
}

pub(crate) fn read_pieces(framing: Framing, pieces: &[&[u8]]) -> (Vec<Event>, Seen) {
    let (mut reader, mut out) = (GEMINI.reader(), Vec::new());
    frames(framing, pieces, |frame| reader.frame(frame, &mut out));
    reader.end(End::Closed, &mut out);
    let length = out.len();
    reader.end(End::Broken, &mut out);
    assert_eq!(out.len(), length, "the end counts once");
    (out, reader.seen())
}

pub(crate) fn read(text: &str) -> (Vec<Event>, Seen) {
    read_pieces(Framing::Sse, &[text.as_bytes()])
}

pub(crate) fn skim(framing: Framing, text: &str) -> Seen {
    let mut reader: Box<dyn Reader> = GEMINI.reader();
    frames(framing, &[text.as_bytes()], |frame| reader.skim(frame));
    reader.end(End::Closed, &mut Vec::new());
    reader.seen()
}

pub(crate) fn write(events: &[Event], shape: &Shape) -> String {
    let (mut writer, mut out) = (GEMINI.writer(shape.clone()), Vec::new());
    for event in events {
        writer.event(event.clone(), &mut out);
    }
    let length = out.len();
    writer.event(Event::End, &mut out);
    assert!(!ended(events) || out.len() == length, "nothing after the end");
    out.truncate(length);
    String::from_utf8(out).unwrap()
}

fn ended(events: &[Event]) -> bool {
    matches!(events.last(), Some(Event::End | Event::Problem(_)))
}

/// Events in short, to be compared with what one expects.
pub(crate) fn lines(events: &[Event]) -> Vec<String> {
    events.iter().map(line).collect()
}

fn line(event: &Event) -> String {
    match event {
        Event::Start { id, model } => format!("start {id} {model}"),
        Event::Open { index, block } => format!(
            "{index} open {}",
            match block {
                Opening::Text => "text".to_owned(),
                Opening::Refusal => "refusal".to_owned(),
                Opening::Thinking => "thinking".to_owned(),
                Opening::ToolUse { id, name } => format!("call {name} {id}"),
                Opening::Media(media) => format!("media {:?}", media.mime),
                Opening::Native(native) => format!("native {}", native.field),
            }
        ),
        Event::Text { index, text } => format!("{index} text {text}"),
        Event::Json { index, part } => format!("{index} json {part}"),
        Event::Cite { index, citation } => {
            format!("{index} cite {} {:?}", citation.url, citation.span)
        }
        Event::Seal { index, seal } => format!("{index} seal {} {}", seal.dialect, seal.value),
        Event::Close { index } => format!("{index} close"),
        Event::Usage(metered) => {
            let total = metered.report.total();
            format!("usage {} {}", total.input_tokens(), total.output_tokens())
        }
        Event::Finish { finish, .. } => format!("finish {finish:?}"),
        Event::Problem(problem) => format!("problem {:?} {}", problem.kind, problem.message),
        Event::End => "end".to_owned(),
    }
}

/// The promises of a reader, of whatever it read.
pub(crate) fn keeps_its_promises(events: &[Event]) -> Result<(), String> {
    let (mut open, mut next, mut finished, mut ended) = (Vec::new(), 0, false, false);
    for (at, event) in events.iter().enumerate() {
        if ended {
            return Err(format!("{at}: something after the end"));
        }
        let first = events.iter().take_while(|event| matches!(event, Event::Usage(_))).count();
        if at == first && !matches!(event, Event::Start { .. } | Event::Problem(_)) {
            return Err("no start".to_owned());
        }
        match event {
            Event::Start { .. } if at > first => return Err(format!("{at}: a second start")),
            Event::Open { index, .. } if *index == next => {
                next += 1;
                open.push(*index);
            }
            Event::Open { .. } => return Err(format!("{at}: the wrong number")),
            Event::Close { index } if open.contains(index) => open.retain(|one| one != index),
            Event::Text { index, .. }
            | Event::Json { index, .. }
            | Event::Cite { index, .. }
            | Event::Seal { index, .. }
            | Event::Close { index } => {
                if !open.contains(index) {
                    return Err(format!("{at}: block {index} is not open"));
                }
            }
            Event::Finish { .. } if finished || !open.is_empty() => {
                return Err(format!("{at}: a finish too many or too early"));
            }
            Event::Finish { .. } => finished = true,
            Event::End | Event::Problem(_) => {
                ended = true;
                if !open.is_empty() {
                    return Err(format!("{at}: blocks are open at the end"));
                }
            }
            Event::Start { .. } | Event::Usage(_) => {}
        }
    }
    if ended { Ok(()) } else { Err("no end".to_owned()) }
}

/// The bytes of text, thinking and arguments in events.
pub(crate) fn output_bytes(events: &[Event]) -> u64 {
    let bytes = events.iter().map(|event| match event {
        Event::Text { text, .. } => text.len(),
        Event::Json { part, .. } => part.len(),
        Event::Open { block: Opening::Media(_), .. } => 4_000,
        _ => 0,
    });
    bytes.sum::<usize>() as u64
}
