//! A provider's stream to canonical events.

use super::citations;
use super::details::{self, Piece};
use super::names::minted;
use super::read_turns::{pictures, signature};
use super::skim::{Gauge, arguments_of, plain_thoughts, text_of};
use super::types::{CallDelta, Called, Chunk, Delta};
use super::{NAME, audio::Sound};
use crate::chat::{Block, Native, Seal};
use crate::json::Json;
use crate::reply::Finish;
use crate::sse::Frame;
use crate::stream::{End, Event, Metered, Opening, Reader, Seen, Stage};
use ledger::UsageReport;

/// Reads a stream of chat chunks, and of the older `text_completion` ones.
pub(super) struct StreamReader {
    gauge: Gauge,
    blocks: Blocks,
}

impl StreamReader {
    pub(super) fn new() -> Self {
        Self { gauge: Gauge::new(), blocks: Blocks::default() }
    }

    fn step(&mut self, step: super::skim::Step, out: &mut Vec<Event>) {
        if let Some(chunk) = step.chunk {
            let (id, model) = self.gauge.names();
            self.blocks.chunk(chunk, id, model, out);
        }
        if let Some(problem) = step.problem {
            out.push(Event::Problem(problem));
        }
        if step.done {
            self.finish(out);
        }
    }

    /// The usage comes last of all, so that the end is told only when everything is there.
    fn finish(&mut self, out: &mut Vec<Event>) {
        let seen = self.gauge.seen();
        self.blocks.start(&seen.id, &seen.model, out);
        self.blocks.close(&seen.id, out);
        out.extend(seen.usage.map(|report| Event::Usage(Metered::new(report))));
        // OpenAI says `stop` where a forced tool was called.
        let finish = match seen.finish.unwrap_or_default() {
            Finish::Stop if self.blocks.called() => Finish::ToolUse,
            finish => finish,
        };
        out.push(Event::Finish { finish, stop_sequence: None });
        out.push(Event::End);
    }
}

impl Reader for StreamReader {
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let step = self.gauge.take(frame);
        self.step(step, out);
    }

    fn end(&mut self, how: End, out: &mut Vec<Event>) {
        let step = self.gauge.end(how);
        self.step(step, out);
    }

    fn skim(&mut self, frame: &Frame<'_>) {
        self.gauge.skim(frame);
    }

    fn seen(&self) -> Seen {
        self.gauge.seen()
    }

    fn usage(&self) -> Option<UsageReport> {
        self.gauge.usage()
    }

    fn output_bytes(&self) -> u64 {
        self.gauge.output_bytes()
    }

    fn stage(&self) -> Stage {
        self.gauge.stage()
    }
}

/// The blocks of the first answer, as far as they have come.
#[derive(Default)]
struct Blocks {
    started: bool,
    next: u32,
    /// The block of text, refusal or thinking that is open; only ever one.
    line: Option<Line>,
    /// Of these only one is ever open: the others are closed, or wait.
    calls: Vec<Call>,
    /// Characters of text so far, which the places of citations count.
    characters: u64,
    sound: Sound,
    /// The state of calls that came before the call, by the call's id.
    early: Vec<(String, Seal)>,
}

#[derive(PartialEq, Clone, Copy)]
enum Kind {
    Text,
    Refusal,
    Thinking,
}

struct Line {
    kind: Kind,
    index: u32,
    /// The characters of text before it.
    base: u64,
    /// Thinking: the number that the provider gives it, where it does.
    number: Option<u64>,
    sealed: bool,
}

/// A call in the making.
#[derive(Default)]
struct Call {
    key: u64,
    /// The number of its block, once its name is known.
    index: Option<u32>,
    closed: bool,
    id: String,
    name: String,
    /// Arguments that came before the name, or while another call was open.
    waiting: String,
    /// All arguments, to know a call that is complete.
    arguments: String,
    seal: Option<Seal>,
    /// The id is ours.
    minted: bool,
    custom: bool,
}

impl Call {
    /// Whether there is more to tell of it bit by bit, or may be.
    fn waits(&self) -> bool {
        !(self.closed || self.custom || self.name.is_empty())
    }

    /// Whether nothing can follow.
    fn is_whole(&self) -> bool {
        self.arguments.trim_end().ends_with('}') && Json::parse(&self.arguments).is_some()
    }
}

impl Blocks {
    fn called(&self) -> bool {
        self.calls.iter().any(|call| !call.custom)
    }

    fn chunk(&mut self, chunk: Chunk, id: &str, model: &str, out: &mut Vec<Event>) {
        let choices = chunk.choices.unwrap_or_default();
        if choices.is_empty() {
            return;
        }
        self.start(id, model, out);
        for choice in choices {
            // Further answers are not carried.
            if choice.index.unwrap_or(0) != 0 {
                continue;
            }
            if let Some(text) = choice.text {
                self.text(Kind::Text, &text, out);
            }
            for delta in choice.delta.into_iter().chain(choice.message) {
                self.delta(delta, id, out);
            }
        }
    }

    fn start(&mut self, id: &str, model: &str, out: &mut Vec<Event>) {
        if !self.started {
            self.started = true;
            out.push(Event::Start { id: id.to_owned(), model: model.to_owned() });
        }
    }

    fn delta(&mut self, delta: Delta, answer: &str, out: &mut Vec<Event>) {
        let pieces: Vec<Piece> =
            details::pieces(delta.reasoning_details.as_deref().unwrap_or_default()).collect();
        // Thoughts told twice count once; where only the state is told with numbers, the text goes ahead of it.
        if pieces.iter().all(|piece| piece.text.is_empty())
            && let Some(thoughts) = plain_thoughts(&delta)
        {
            let number = pieces.iter().find_map(|piece| piece.index);
            self.think(thoughts, number, out);
        }
        for piece in pieces {
            self.piece(piece, out);
        }
        self.text(Kind::Text, &text_of(&delta), out);
        self.text(Kind::Refusal, delta.refusal.as_deref().unwrap_or_default(), out);
        for raw in delta.annotations.iter().flatten() {
            self.cite(raw, out);
        }
        for call in delta.tool_calls.into_iter().flatten() {
            self.call(call, answer, out);
        }
        if let Some(call) = delta.function_call {
            // The older way: one call, without an id.
            let call = CallDelta { index: Some(0), function: Some(call), ..CallDelta::default() };
            self.call(call, answer, out);
        }
        for block in pictures(delta.images.as_deref().unwrap_or_default()) {
            if let Block::Media(media) = block {
                self.whole(Opening::Media(media), out);
            }
        }
        if let Some(audio) = delta.audio {
            self.sound.add(audio);
        }
        if let Some(seal) = signature(delta.extra_content) {
            match self.calls.iter_mut().find(|call| call.seal.is_none() && !call.closed) {
                Some(call) => call.seal = Some(seal),
                None => self.seal(seal, None, out),
            }
        }
    }

    fn text(&mut self, kind: Kind, text: &str, out: &mut Vec<Event>) {
        if text.is_empty() {
            return;
        }
        let index = self.line(kind, None, out);
        if kind == Kind::Text {
            self.characters += text.chars().count() as u64;
        }
        out.push(Event::Text { index, text: text.to_owned() });
    }

    fn think(&mut self, text: &str, number: Option<u64>, out: &mut Vec<Event>) {
        if let Some(line) = &self.line
            && line.kind == Kind::Thinking
            && (line.sealed || number.is_some_and(|n| line.number.is_some_and(|own| own != n)))
        {
            self.close_line(out);
        }
        let index = self.line(Kind::Thinking, number, out);
        if !text.is_empty() {
            out.push(Event::Text { index, text: text.to_owned() });
        }
    }

    /// The number of the open block of that kind; opens one if there is none.
    fn line(&mut self, kind: Kind, number: Option<u64>, out: &mut Vec<Event>) -> u32 {
        match self.line.as_mut() {
            Some(line) if line.kind == kind => {
                line.number = line.number.or(number);
                line.index
            }
            _ => {
                self.close_line(out);
                let block = match kind {
                    Kind::Text => Opening::Text,
                    Kind::Refusal => Opening::Refusal,
                    Kind::Thinking => Opening::Thinking,
                };
                let index = self.open(block, out);
                let base = self.characters;
                self.line = Some(Line { kind, index, base, number, sealed: false });
                index
            }
        }
    }

    fn open(&mut self, block: Opening, out: &mut Vec<Event>) -> u32 {
        let index = self.next;
        self.next += 1;
        out.push(Event::Open { index, block });
        index
    }

    fn close_line(&mut self, out: &mut Vec<Event>) {
        out.extend(self.line.take().map(|line| Event::Close { index: line.index }));
    }

    /// A block that comes whole.
    fn whole(&mut self, block: Opening, out: &mut Vec<Event>) {
        self.close_line(out);
        let index = self.open(block, out);
        out.push(Event::Close { index });
    }

    fn piece(&mut self, piece: Piece, out: &mut Vec<Event>) {
        if let Some(native) = piece.native {
            return self.whole(Opening::Native(native), out);
        }
        if !piece.text.is_empty() {
            self.think(&piece.text, piece.index, out);
        }
        let Some(seal) = piece.seal else { return };
        if let (Some(id), true) = (piece.id, piece.text.is_empty()) {
            let mut calls = self.calls.iter_mut();
            if let Some(call) = calls.find(|call| call.id == id && !call.closed) {
                call.seal.get_or_insert(seal);
                return;
            }
            // Gemini's state with an id is that of a call.
            if seal.dialect == crate::gemini::NAME {
                self.early.push((id, seal));
                return;
            }
        }
        self.seal(seal, piece.index, out);
    }

    fn seal(&mut self, seal: Seal, number: Option<u64>, out: &mut Vec<Event>) {
        self.think("", number, out);
        if let Some(line) = self.line.as_mut() {
            line.sealed = true;
            out.push(Event::Seal { index: line.index, seal });
        }
    }

    fn cite(&mut self, raw: &Json, out: &mut Vec<Event>) {
        let Some(citation) = citations::one(raw) else {
            let (field, raw) = ("annotations".to_owned(), raw.clone());
            return self.whole(Opening::Native(Native { dialect: NAME, field, raw }), out);
        };
        let index = self.line(Kind::Text, None, out);
        let base = self.line.as_ref().map_or(0, |line| line.base);
        out.push(Event::Cite { index, citation: citations::relative(citation, base) });
    }

    fn call(&mut self, delta: CallDelta, answer: &str, out: &mut Vec<Event>) {
        let CallDelta { index, id, function, custom, extra_content } = delta;
        let is_custom = custom.is_some();
        let (name, part) = match (function, custom) {
            (_, Some(custom)) => (custom.name, custom.input.unwrap_or_default()),
            (Some(Called { name, arguments }), None) => {
                (name, arguments.as_ref().map(arguments_of).unwrap_or_default())
            }
            (None, None) => (None, String::new()),
        };
        let id = id.filter(|id| !id.is_empty());
        let name = name.filter(|name| !name.is_empty());
        let at = self.slot(index, id.as_deref(), name.as_deref(), &part);
        // Text that goes on behind a call is another block.
        self.close_line(out);
        let Some(call) = self.calls.get_mut(at) else { return };
        // A block that has been opened stays what it is, or nobody would close it.
        call.custom |= is_custom && call.index.is_none();
        call.seal = call.seal.take().or(signature(extra_content));
        // Later fragments repeat id and name, or leave them empty.
        if call.name.is_empty()
            && let Some(name) = name
        {
            call.name = name;
        }
        if call.id.is_empty() && call.index.is_none() {
            call.id = id.unwrap_or_default();
        }
        call.arguments.push_str(&part);
        call.waiting.push_str(&part);
        self.advance(answer, out);
    }

    /// Tells what has come of the call that is open. Clients take one item after the other: the next call waits until this
    /// one is complete, also where their pieces come in turns.
    fn advance(&mut self, answer: &str, out: &mut Vec<Event>) {
        while let Some(at) = self.open_call().or_else(|| self.calls.iter().position(Call::waits)) {
            self.tell(at, answer, out);
            let another = self.calls.iter().skip(at + 1).any(Call::waits);
            if !another || !self.calls.get(at).is_some_and(Call::is_whole) {
                return;
            }
            self.end_call(at, answer, out);
        }
    }

    fn open_call(&self) -> Option<usize> {
        self.calls.iter().position(|call| call.index.is_some() && call.waits())
    }

    fn tell(&mut self, at: usize, answer: &str, out: &mut Vec<Event>) {
        let next = self.next;
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.index.is_none() {
            if call.id.is_empty() {
                (call.id, call.minted) = (minted(answer, at), true);
            }
            call.index = Some(next);
            let block = Opening::ToolUse { id: call.id.clone(), name: call.name.clone() };
            self.next += 1;
            out.push(Event::Open { index: next, block });
        }
        let part = std::mem::take(&mut call.waiting);
        if let (Some(index), false) = (call.index, part.is_empty()) {
            out.push(Event::Json { index, part });
        }
    }

    /// Which call a fragment belongs to. Indexes and ids are not to be relied on: some servers leave them out, repeat
    /// them, or give all calls the same.
    fn slot(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        name: Option<&str>,
        part: &str,
    ) -> usize {
        let found = match index {
            Some(key) => self.calls.iter().rposition(|call| call.key == key),
            None => self.calls.len().checked_sub(1),
        };
        let same = found.filter(|at| {
            let Some(call) = self.calls.get(*at) else { return false };
            if let Some(id) = id {
                return call.id.is_empty() || call.minted || call.id == id;
            }
            let again = name.is_some() && !call.name.is_empty() && part.starts_with('{');
            !(again && Json::parse(&call.arguments).is_some())
        });
        let known = id.and_then(|id| self.calls.iter().position(|call| call.id == id));
        same.or(known).unwrap_or_else(|| {
            let key = index.unwrap_or(self.calls.len() as u64);
            self.calls.push(Call { key, ..Call::default() });
            self.calls.len() - 1
        })
    }

    /// Closes what is open when the answer is whole.
    fn close(&mut self, answer: &str, out: &mut Vec<Event>) {
        self.close_line(out);
        if let Some(media) = std::mem::take(&mut self.sound).media() {
            self.whole(Opening::Media(media), out);
        }
        // The open one goes first: no other begins before its end.
        for at in self.open_call().into_iter().chain(0..self.calls.len()) {
            self.end_call(at, answer, out);
        }
        for (_, seal) in std::mem::take(&mut self.early) {
            self.seal(seal, None, out);
            self.close_line(out);
        }
    }

    fn end_call(&mut self, at: usize, answer: &str, out: &mut Vec<Event>) {
        let mut calls = std::mem::take(&mut self.calls);
        if let Some(call) = calls.get_mut(at)
            && !std::mem::replace(&mut call.closed, true)
        {
            self.close_call(call, &minted(answer, at), out);
        }
        self.calls = calls;
    }

    fn close_call(&mut self, call: &Call, minted: &str, out: &mut Vec<Event>) {
        let id = if call.id.is_empty() { minted } else { &call.id };
        if call.custom {
            let (field, raw) = ("tool_calls".to_owned(), custom_call(id, call));
            return self.whole(Opening::Native(Native { dialect: NAME, field, raw }), out);
        }
        let early = self.early.iter().position(|(of, _)| of == id);
        let early = early.map(|at| self.early.remove(at).1);
        let index = call.index.unwrap_or_else(|| {
            let (id, name) = (id.to_owned(), call.name.clone());
            self.open(Opening::ToolUse { id, name }, out)
        });
        if !call.waiting.is_empty() {
            out.push(Event::Json { index, part: call.waiting.clone() });
        } else if call.arguments.is_empty() {
            out.push(Event::Json { index, part: "{}".to_owned() });
        }
        let seal = call.seal.clone().or(early);
        out.extend(seal.map(|seal| Event::Seal { index, seal }));
        out.push(Event::Close { index });
    }
}

/// A call of a tool that takes free text, as it stands in a whole answer.
fn custom_call(id: &str, call: &Call) -> Json {
    #[derive(serde::Serialize)]
    struct Custom<'a> {
        name: &'a str,
        input: &'a str,
    }
    #[derive(serde::Serialize)]
    struct Whole<'a> {
        id: &'a str,
        r#type: &'a str,
        custom: Custom<'a>,
    }
    let custom = Custom { name: &call.name, input: &call.arguments };
    Json::of(&Whole { id, r#type: "custom", custom })
}
