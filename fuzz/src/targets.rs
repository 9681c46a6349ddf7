//! What inputs are given to, and what must hold whatever they are.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};

use wire::sse::{Frame, Framing, Splitter};
use wire::stream::{End, Event, Seen};
use wire::{DIALECTS, Dialect, Reply, Shape, Target as Model, collect, dialect};

use crate::corpus::{Corpus, Input, Kind, LONGEST_FRAME};

/// Something that reads inputs.
#[derive(Copy, Clone)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    dialect: Option<&'static dyn Dialect>,
}

/// What happened, as one number: inputs that differ in it did different things.
pub type Outcome = u64;

/// Something that must hold and does not.
pub type Broken = String;

/// All targets.
pub const TARGETS: [Target; 5] = [
    Target { name: "sse", dialect: None },
    Target { name: "openai_chat", dialect: Some(&wire::openai_chat::OpenaiChat) },
    Target { name: "openai_responses", dialect: Some(&wire::openai_responses::OpenaiResponses) },
    Target { name: "anthropic", dialect: Some(&wire::anthropic::Anthropic) },
    Target { name: "gemini", dialect: Some(&wire::gemini::Gemini) },
];

/// Whom requests are written for: an older and a newer model of each provider.
const MODELS: [(&str, &str, &str); 9] = [
    ("openai_chat", "openai", "gpt-4o"),
    ("openai_chat", "openai", "gpt-6.1-sol"),
    ("openai_chat", "deepseek", "deepseek-v4-pro"),
    ("openai_responses", "openai", "gpt-6.1-sol"),
    ("anthropic", "anthropic", "claude-sonnet-4-5"),
    ("anthropic", "anthropic", "claude-opus-5-5"),
    ("anthropic", "deepseek", "deepseek-v4-flash"),
    ("gemini", "gemini", "gemini-2.5-pro"),
    ("gemini", "gemini", "gemini-4-argon"),
];

impl Target {
    /// The target of that name.
    pub fn find(name: &str) -> Option<Self> {
        TARGETS.into_iter().find(|target| target.name == name)
    }

    /// What its inputs are made from.
    ///
    /// # Errors
    /// A fixture that cannot be read.
    pub fn corpus(&self) -> anyhow::Result<Corpus> {
        match self.dialect {
            Some(dialect) => Corpus::of(dialect),
            None => Corpus::of_streams(),
        }
    }

    /// Gives it an input.
    ///
    /// # Errors
    /// What does not hold. A panic is the target's own.
    pub fn run(&self, input: &Input) -> Result<Outcome, Broken> {
        let Some(dialect) = self.dialect else { return sse(&input.bytes) };
        match input.kind {
            Kind::Request => request(dialect, &input.bytes),
            Kind::Answer => answer(dialect, &input.bytes),
            Kind::Stream => stream(dialect, &input.bytes),
        }
    }
}

fn outcome(parts: impl std::hash::Hash) -> Outcome {
    let mut hasher = DefaultHasher::new();
    parts.hash(&mut hasher);
    hasher.finish()
}

/// A name without the numbers in it: there are too many.
fn general(name: &str) -> String {
    name.chars().filter(|c| !c.is_ascii_digit()).take(60).collect()
}

fn request(from: &dyn Dialect, body: &[u8]) -> Result<Outcome, Broken> {
    let chat = match from.read_request(body) {
        Ok(chat) => chat,
        Err(error) => {
            return Ok(outcome(("malformed", general(&error.path))));
        }
    };
    from.echo(body);
    let mut told = BTreeSet::new();
    for (to, provider, model) in MODELS {
        let target = Model { provider, model, max_output_tokens: Some(8_192), reasoning: false };
        let to = dialect(to).ok_or("no such dialect")?;
        match to.write_request(&chat, &target) {
            Ok(written) => {
                to.read_request(&written.body).map_err(|error| {
                    format!("{provider} is written what cannot be read: {error}")
                })?;
                // Names that clients made up are without number.
                let ours = written.dropped.iter().filter(|name| name.contains("->"));
                told.extend(ours.map(|name| general(name)));
                told.insert(written.dropped.len().min(12).to_string());
            }
            Err(refusal) if refusal.field.is_empty() || refusal.reason.is_empty() => {
                return Err("a refusal without a field or a reason".to_owned());
            }
            Err(refusal) => {
                told.insert(general(&refusal.reason));
            }
        }
    }
    let roles: Vec<_> = chat.turns.iter().take(6).map(|turn| turn.role as u8).collect();
    Ok(outcome((told, roles, chat.tools.len().min(3))))
}

fn answer(from: &dyn Dialect, body: &[u8]) -> Result<Outcome, Broken> {
    let status = 200 + u16::from(body.first().copied().unwrap_or_default());
    let problem = from.read_problem(status, Some("1"), body);
    let (usage, looked) = (from.read_body_usage(body), from.look_at_body(body));
    if looked.map(|(usage, _)| usage) != usage {
        return Err("a quick look finds another usage".to_owned());
    }
    if let Ok(text) = std::str::from_utf8(body) {
        let _ = from.read_usage(text);
    }
    let reply = match from.read_reply(body) {
        Ok(reply) => reply,
        Err(error) => return Ok(outcome((general(&error.path), problem.kind as u8))),
    };
    for client in DIALECTS {
        client.write_problem(&problem);
        let body = client.write_reply(&reply, &Shape::default());
        client.read_reply(&body).map_err(|error| {
            format!("{} is written what cannot be read: {error}", client.name())
        })?;
        told_and_read(client, collect::events(reply.clone()))?;
    }
    Ok(outcome((reply.finish as u8, kinds(&reply), reply.usage.is_some())))
}

fn kinds(reply: &Reply) -> Vec<String> {
    let kind = |block: &wire::chat::Block| {
        let text = format!("{block:?}");
        general(text.split(['(', ' ', '{']).next().unwrap_or_default())
    };
    reply.blocks.iter().take(8).map(kind).collect()
}

/// Cuts a stream into frames, as it comes in pieces of that size.
fn frames(
    framing: Framing,
    bytes: &[u8],
    size: usize,
    mut each: impl FnMut(&Frame<'_>),
) -> Result<(), Broken> {
    let mut splitter = Splitter::new(framing, LONGEST_FRAME);
    for piece in bytes.chunks(size.max(1)) {
        splitter.push(piece, |frame| each(&frame)).map_err(|error| error.to_string())?;
    }
    splitter.end(|frame| each(&frame));
    Ok(())
}

/// Frames as they are kept: event, data, and all raw bytes together.
type Cut = (Vec<(String, String)>, Vec<u8>);

fn cut(framing: Framing, bytes: &[u8], size: usize) -> Result<Cut, Broken> {
    let (mut all, mut raw) = (Vec::new(), Vec::new());
    frames(framing, bytes, size, |frame| {
        if !frame.data.is_empty() || !frame.event.is_empty() {
            all.push((frame.event.to_owned(), frame.data.to_string()));
        }
        raw.extend_from_slice(frame.raw);
    })?;
    Ok((all, raw))
}

/// Wherever a stream is cut, the frames are the same and nothing is lost.
fn sse(bytes: &[u8]) -> Result<Outcome, Broken> {
    let mut told = Vec::new();
    for framing in [Framing::Sse, Framing::JsonArray] {
        let (whole, raw) = cut(framing, bytes, bytes.len())?;
        if raw != bytes {
            return Err(format!("{framing:?}: the raw bytes of all frames are not what came"));
        }
        let size = [1, 2, 7, 64].get(bytes.len() % 4).copied().unwrap_or(1);
        let pieces = cut(framing, bytes, size)?;
        if (&pieces.0, &pieces.1) != (&whole, &raw) {
            return Err(format!("{framing:?}: other frames in pieces of {size} bytes"));
        }
        let shapes: BTreeSet<(bool, usize)> = whole
            .iter()
            .map(|(event, data)| (event.is_empty(), data.lines().count().min(4)))
            .collect();
        told.push((whole.len().min(20), shapes));
    }
    Ok(outcome(told))
}

fn read(
    from: &dyn Dialect,
    framing: Framing,
    bytes: &[u8],
    size: usize,
) -> Result<(Vec<Event>, Seen), Broken> {
    let (mut reader, mut events) = (from.reader(), Vec::new());
    frames(framing, bytes, size, |frame| reader.frame(frame, &mut events))?;
    reader.end(End::Closed, &mut events);
    Ok((events, reader.seen()))
}

fn stream(from: &dyn Dialect, bytes: &[u8]) -> Result<Outcome, Broken> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let framing = if first == Some(&b'[') { Framing::JsonArray } else { Framing::Sse };
    let (events, seen) = read(from, framing, bytes, bytes.len())?;
    promises(&events)?;
    if read(from, framing, bytes, 3)?.0 != events {
        return Err("other events where the stream is cut elsewhere".to_owned());
    }
    let mut skimmer = from.reader();
    frames(framing, bytes, bytes.len(), |frame| skimmer.skim(frame))?;
    skimmer.end(End::Closed, &mut Vec::new());
    let skimmed = skimmer.seen();
    // Who skims does not look at what it does not need, and so does not find fault with it.
    if !seen.failed && !seen.model.is_empty() && known(&skimmed) != known(&seen) {
        return Err(format!("who skims knows {skimmed:?}, who reads {seen:?}"));
    }
    for client in DIALECTS {
        told_and_read(client, events.clone())?;
    }
    let kinds: BTreeSet<String> = events.iter().map(kind).collect();
    Ok(outcome((kinds, seen.finish.map(|finish| finish as u8), seen.whole, seen.failed)))
}

/// What must be known of an answer without reading all of it.
fn known(seen: &Seen) -> (&str, &str, String) {
    let Seen { usage, usage_final, whole, finish, continuation, .. } = seen;
    (&seen.id, &seen.model, format!("{usage:?} {usage_final} {whole} {finish:?} {continuation:?}"))
}

fn kind(event: &Event) -> String {
    let text = match event {
        Event::Open { block, .. } => format!("{block:?}"),
        event => format!("{event:?}"),
    };
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// Writes events for a client, who must get an end exactly where there is one.
fn told_and_read(client: &dyn Dialect, events: Vec<Event>) -> Result<(), Broken> {
    let whole = matches!(events.last(), Some(Event::End));
    let (mut writer, mut out) = (client.writer(Shape::default()), Vec::new());
    for event in events {
        writer.event(event, &mut out);
    }
    let (again, _) = read(client, Framing::Sse, &out, out.len())?;
    promises(&again).map_err(|broken| format!("{} as written: {broken}", client.name()))?;
    let ended = matches!(again.last(), Some(Event::End));
    // An answer that the provider itself broke off is an error for those who have no word for it.
    if ended && !whole {
        return Err(format!("{}: an end that was none", client.name()));
    }
    Ok(())
}

/// What a reader promises of its events.
fn promises(events: &[Event]) -> Result<(), Broken> {
    let (mut open, mut next) = (BTreeSet::new(), 0);
    let (mut started, mut finished) = (false, false);
    let last = events.len().saturating_sub(1);
    for (at, event) in events.iter().enumerate() {
        let fine = match event {
            Event::Start { .. } => !std::mem::replace(&mut started, true),
            Event::Open { index, .. } => {
                let fine = started && *index == next;
                next += 1;
                open.insert(*index);
                fine
            }
            Event::Text { index, .. }
            | Event::Json { index, .. }
            | Event::Cite { index, .. }
            | Event::Seal { index, .. } => open.contains(index),
            Event::Close { index } => open.remove(index),
            // Known ahead of the start, it is the first word.
            Event::Usage(_) => started || at == 0,
            Event::Finish { .. } => {
                let fine = !finished && open.is_empty() && started;
                finished = true;
                fine
            }
            Event::End => at == last && open.is_empty(),
            // What a failure cuts may be open.
            Event::Problem(_) => at == last,
        };
        if !fine {
            return Err(format!("event {at} is out of place: {event:?}"));
        }
    }
    match events.last() {
        Some(Event::End | Event::Problem(_)) => Ok(()),
        _ => Err("no end".to_owned()),
    }
}
