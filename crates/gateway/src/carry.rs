//! What becomes of a stream's frames: they pass, or are read and written again. Metered in either case, by the same
//! reader.

use std::collections::BTreeSet;
use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;
use ledger::{Receipt, UsageReport};
use wire::problem::{Kind, Problem as WireProblem};
use wire::reply::Finish;
use wire::sse::Frame;
use wire::stream::{End, Event, Metered, Opening, Seen, Stage};
use wire::{Reader, Writer};

use crate::failure;
use crate::hops::Hops;
use crate::outbound::Carry;
use crate::pipeline::Attempt;
use crate::whole;

/// The carrier of one stream.
pub(crate) struct Carrier<'a> {
    attempt: &'a Attempt<'a>,
    reader: Box<dyn Reader>,
    way: Way,
    /// What the client gets next.
    out: Vec<u8>,
    /// What it gets once the receipt is committed.
    held: Vec<u8>,
    /// Whether the end is in sight, so that everything is held from now on.
    holding: bool,
    /// Whether the client has got an event that passed.
    passed: bool,
    /// What came last and is no event, such as the end of an array: of use only where the answer is whole.
    rest: Vec<u8>,
    /// Whether the last event came without the blank line behind it.
    unended: bool,
    /// Whether something came that cannot be read, or that the client cannot, and nothing of the provider's passes any more.
    garbled: bool,
    /// What went wrong with a stream that passes. Seldom anything does, and a stream has no room for it until then.
    problem: Option<Box<WireProblem>>,
    /// Whether a stream that passes has come to the end of what can be paid for.
    spent: bool,
}

enum Way {
    /// Bytes pass.
    Same {
        withhold_usage: bool,
        /// Seldom more than for a moment, and a stream has no room for it until then.
        told: Option<Box<Told>>,
    },
    /// Boxed, because a stream that passes has no room for it.
    Translated(Box<Translation>),
}

/// The frame that tells the usage. What it says of the costs is certain once there is a receipt.
struct Told {
    /// Where in what is held.
    at: Range<usize>,
    event: String,
    /// As it came.
    data: String,
}

struct Translation {
    writer: Box<dyn Writer>,
    events: Vec<Event>,
    /// The event that ends the stream, which waits for the receipt. Boxed, because nothing has room for it until then.
    last: Option<Box<Event>>,
    /// The blocks that have begun and are not complete.
    open: BTreeSet<u32>,
    hops: Hops,
}

impl<'a> Carrier<'a> {
    pub(crate) fn new(attempt: &'a Attempt<'a>) -> Self {
        let dialect = attempt.target.dialect();
        let (reader, way) = match &attempt.outbound.carry {
            Carry::Same { reader, withhold_usage } => {
                (reader(dialect), Way::Same { withhold_usage: *withhold_usage, told: None })
            }
            Carry::Translated { .. } => {
                let writer = attempt.inbound.face.writer(whole::shape(attempt));
                let (events, open, hops) = (Vec::new(), BTreeSet::new(), Hops::default());
                let translation = Translation { writer, events, last: None, open, hops };
                (dialect.reader(), Way::Translated(Box::new(translation)))
            }
        };
        Self {
            attempt,
            reader,
            way,
            out: Vec::new(),
            held: Vec::new(),
            holding: false,
            passed: false,
            rest: Vec::new(),
            unended: false,
            garbled: false,
            problem: None,
            spent: false,
        }
    }

    /// The content type of what is written here; none where the provider's own passes.
    pub(crate) fn content_type(&self) -> Option<HeaderValue> {
        match self.way {
            Way::Same { .. } => None,
            Way::Translated(_) if self.attempt.inbound.json_array => {
                Some(HeaderValue::from_static("application/json"))
            }
            Way::Translated(_) => Some(HeaderValue::from_static("text/event-stream")),
        }
    }

    pub(crate) fn passes(&self) -> bool {
        matches!(self.way, Way::Same { .. })
    }

    /// So many bytes come next, which mostly are what the client gets.
    pub(crate) fn expect(&mut self, bytes: usize) {
        if !self.holding {
            self.out.reserve(bytes);
        }
    }

    /// Takes one frame.
    pub(crate) fn frame(&mut self, frame: &Frame<'_>) {
        match &mut self.way {
            // What stands behind an error would look like an end.
            Way::Same { .. } if self.holding && self.reader.stage() == Stage::Failed => {}
            Way::Same { withhold_usage, told } => {
                self.reader.skim(frame);
                let stage = self.reader.stage();
                self.holding |= stage != Stage::Running;
                if stage == Stage::Failed && self.problem.is_none() {
                    // A reader that has seen nothing else takes the frame for what it is.
                    let mut events = Vec::new();
                    self.attempt.target.dialect().reader().frame(frame, &mut events);
                    self.problem = events.into_iter().find_map(problem_of).map(Box::new);
                    // What the provider itself says of its failure passes, but to clients who read it in another form.
                    let face = self.attempt.inbound.face;
                    self.garbled = (face.openrouter && face.is(wire::openai_chat::NAME))
                        || self.problem.as_ref().is_some_and(|it| it.kind == Kind::Malformed);
                }
                if self.garbled {
                    return;
                }
                self.passed |= !self.holding && !frame.data.is_empty();
                let out = if self.holding { &mut self.held } else { &mut self.out };
                if *withhold_usage && wire::openai_chat::is_usage_only(frame) {
                    // Asked for by us alone.
                } else if let Some(data) = for_openrouter(self.attempt, frame, &*self.reader) {
                    let begun = out.len();
                    out.extend_from_slice(&named(frame.event, &data));
                    if self.holding && wire::openai_chat::may_tell_usage(&frame.data) {
                        let (event, data) = (frame.event.to_owned(), frame.data.to_string());
                        *told = Some(Box::new(Told { at: begun..out.len(), event, data }));
                    }
                } else {
                    out.extend_from_slice(frame.raw);
                }
            }
            Way::Translated(translation) => {
                self.reader.frame(frame, &mut translation.events);
                translation.hops.map(&mut translation.events);
                self.write();
            }
        }
    }

    /// Takes what came behind the last whole frame. Half a frame is none: a client that got it could not read what is
    /// said behind it.
    pub(crate) fn rest(&mut self, frame: &Frame<'_>) {
        let is_last = self.is_over();
        if !is_last && frame.data.is_empty() {
            self.rest.extend_from_slice(frame.raw);
        } else if is_last || is_whole(&frame.data) {
            self.frame(frame);
            self.unended = true;
        }
    }

    /// Writes the events read so far.
    fn write(&mut self) {
        let Way::Translated(translation) = &mut self.way else { return };
        let Translation { writer, events, last, open, .. } = &mut **translation;
        for mut event in events.drain(..) {
            match &event {
                Event::Open { index, .. } => drop(open.insert(*index)),
                Event::Close { index } => drop(open.remove(index)),
                _ => {}
            }
            if matches!(event, Event::End | Event::Problem(_)) {
                *last = Some(Box::new(event));
                break;
            }
            self.holding |= matches!(event, Event::Finish { .. });
            adapt(self.attempt, &mut event);
            let out = if self.holding { &mut self.held } else { &mut self.out };
            writer.event(event, out);
        }
    }

    /// Whether more has come than comments and an error in front of the first event.
    pub(crate) fn is_begun(&self) -> bool {
        let ends_well = self.holding && self.reader.stage() != Stage::Failed;
        self.passed || ends_well || !self.passes()
    }

    /// What the client gets of the frames taken so far. Comments in front of the first event wait for it, because until then
    /// another target can answer; but where the client has the head, they are what tells it that its answer is coming.
    pub(crate) fn take(&mut self, has_head: bool) -> Bytes {
        let is_due = has_head || self.is_begun() || self.out.len() > MOST_COMMENTS;
        match &mut self.way {
            Way::Same { .. } if !is_due => return Bytes::new(),
            Way::Same { .. } => {}
            // No room is kept until more comes.
            Way::Translated(translation) => translation.events.shrink_to_fit(),
        }
        Bytes::from(std::mem::take(&mut self.out))
    }

    /// Takes the end of the provider's stream. Returns a token where the answer goes on with another request; the next
    /// frames are of its answer.
    pub(crate) fn end(&mut self, how: End, client_stays: bool) -> Option<String> {
        match &mut self.way {
            Way::Same { .. } => {
                let mut events = Vec::new();
                self.reader.end(how, &mut events);
                let problem = || events.into_iter().find_map(problem_of).map(Box::new);
                self.problem = self.problem.take().or_else(problem);
                None
            }
            Way::Translated(translation) => {
                let Translation { events, hops, .. } = &mut **translation;
                self.reader.end(how, events);
                let seen = self.reader.seen();
                let token = hops.next(&seen).filter(|_| client_stays);
                let is_cut_short = seen.whole && seen.finish.is_none() && token.is_none();
                if is_cut_short {
                    Hops::give_up(events);
                }
                hops.map(events);
                if token.is_some() {
                    hops.go_on(events, seen);
                    self.reader = self.attempt.target.dialect().reader();
                }
                self.write();
                token
            }
        }
    }

    /// The rest of the answer cannot be had.
    pub(crate) fn broke_off(&mut self, problem: WireProblem) {
        if let Way::Translated(translation) = &mut self.way {
            translation.events.push(Event::Problem(problem));
            translation.hops.map(&mut translation.events);
            self.write();
        }
    }

    /// Whether the provider's answer is whole or failed, whatever still comes.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.last_event(), Some(Event::Problem(_)))
            || matches!(self.reader.stage(), Stage::Whole | Stage::Failed)
    }

    /// The event that ends a stream which is translated, once it has come.
    fn last_event(&self) -> Option<&Event> {
        match &self.way {
            Way::Same { .. } => None,
            Way::Translated(translation) => translation.last.as_deref(),
        }
    }

    /// How much of the answer has come, and what was said of its usage.
    pub(crate) fn progress(&self) -> (u64, Option<UsageReport>) {
        let so_far = (self.reader.output_bytes(), self.reader.usage());
        match &self.way {
            Way::Same { .. } => so_far,
            Way::Translated(translation) => translation.hops.added_to(so_far.0, so_far.1),
        }
    }

    pub(crate) fn seen(&self) -> Seen {
        let seen = self.reader.seen();
        match &self.way {
            Way::Same { .. } => seen,
            Way::Translated(translation) => translation.hops.with(seen),
        }
    }

    /// What went wrong with a stream that has no proper end.
    pub(crate) fn problem(&self) -> WireProblem {
        if let Some(Event::Problem(problem)) = self.last_event() {
            return problem.clone();
        }
        self.problem.as_deref().cloned().unwrap_or_else(|| {
            let mut problem = WireProblem::own(Kind::Upstream, "the answer broke off");
            problem.upstream = true;
            problem
        })
    }

    /// Tells a client what was settled, whatever the provider said of it: counters that cannot be right are not what is
    /// charged.
    pub(crate) fn settled(&mut self, receipt: &Receipt) {
        let cost = whole::settled_cost(self.attempt, receipt);
        match &mut self.way {
            Way::Translated(translation) if translation.last.as_deref() == Some(&Event::End) => {
                let metered = Metered { report: receipt.report.clone(), cost };
                translation.writer.event(Event::Usage(metered), &mut self.held);
            }
            Way::Same { told, .. } => {
                if let (Some(told), Some(cost)) = (told.take(), cost) {
                    let dialect = self.attempt.target.dialect();
                    let data = wire::openai_chat::add_cost(&told.data, dialect, &cost);
                    self.held.splice(told.at, named(&told.event, &data));
                }
            }
            Way::Translated(_) => {}
        }
    }

    /// Replaces the end by an error of our own.
    pub(crate) fn fail(&mut self, problem: &WireProblem) {
        self.held.clear();
        match &mut self.way {
            Way::Same { .. } => self.write_last(vec![Event::Problem(problem.clone())]),
            Way::Translated(_) => self.cut(Event::Problem(problem.clone())),
        }
    }

    /// The rest of the answer is not passed on, for this reason.
    pub(crate) fn cut_off(&mut self, problem: WireProblem) {
        match &mut self.way {
            Way::Same { .. } => self.problem = Some(Box::new(problem)),
            Way::Translated(_) => self.cut(Event::Problem(problem)),
        }
    }

    /// What ends a stream that is translated.
    fn cut(&mut self, event: Event) {
        if let Way::Translated(translation) = &mut self.way {
            translation.last = Some(Box::new(event));
        }
    }

    /// There is no credit for more of the answer: it ends as one that has reached its ceiling. Where bytes have passed and
    /// their format has blocks and numbers to go on with, which nobody has kept, it ends with an error.
    pub(crate) fn run_dry(&mut self) {
        let face = self.attempt.inbound.face;
        match &mut self.way {
            Way::Same { .. } => {
                self.spent =
                    !face.is(wire::anthropic::NAME) && !face.is(wire::openai_responses::NAME);
                self.problem = Some(Box::new(failure::overdrawn()));
            }
            Way::Translated(translation) => {
                translation.events.clear();
                let open = std::mem::take(&mut translation.open);
                translation.events.extend(open.into_iter().map(|index| Event::Close { index }));
                translation.events.push(FULL);
                self.write();
                self.cut(Event::End);
            }
        }
    }

    fn write_last(&mut self, events: Vec<Event>) {
        let (seen, mut shape) = (self.reader.seen(), whole::shape(self.attempt));
        if !seen.id.is_empty() {
            // It goes on with what has passed.
            shape.id = seen.id;
        }
        let mut writer = self.attempt.inbound.face.writer(shape);
        let mut said = Vec::new();
        for event in events {
            writer.event(event, &mut said);
        }
        if self.attempt.inbound.json_array {
            // It is one more element of the array that has begun.
            if (self.passed || !self.held.is_empty())
                && let Some(bracket) = said.first_mut()
            {
                *bracket = b',';
            }
        } else if self.unended {
            self.held.extend_from_slice(b"\n\n");
        }
        self.held.append(&mut said);
    }

    /// What ends the client's answer, after the receipt.
    pub(crate) fn last(&mut self) -> Bytes {
        if self.passes() && (self.garbled || !self.is_over()) {
            let seen = self.reader.seen();
            let start = Event::Start { id: seen.id, model: seen.model };
            let events = if self.spent {
                vec![start, FULL, Event::End]
            } else {
                vec![Event::Problem(self.problem())]
            };
            self.write_last(events);
        } else if self.passes() {
            if self.unended && !self.attempt.inbound.json_array {
                // Without the blank line its client's parser would keep the last event to itself.
                self.held.extend_from_slice(b"\n\n");
            }
            self.held.append(&mut self.rest);
            if self.attempt.inbound.json_array && !self.held.trim_ascii_end().ends_with(b"]") {
                self.held.push(b']');
            }
        }
        if let Way::Translated(translation) = &mut self.way
            && let Some(event) = translation.last.take()
        {
            translation.writer.event(*event, &mut self.held);
        }
        let mut last = std::mem::take(&mut self.out);
        last.append(&mut self.held);
        Bytes::from(last)
    }

    pub(crate) fn ping(&self) -> &'static [u8] {
        match &self.way {
            // The provider's own signs of life pass.
            Way::Same { .. } => b"",
            Way::Translated(translation) => translation.writer.ping(),
        }
    }
}

/// In bytes.
const MOST_COMMENTS: usize = 16_384;
/// The end of an answer that may not be longer.
const FULL: Event = Event::Finish { finish: Finish::Length, stop_sequence: None };

fn problem_of(event: Event) -> Option<WireProblem> {
    if let Event::Problem(problem) = event { Some(problem) } else { None }
}

/// Whether the data of an event that may be torn are all there.
fn is_whole(data: &str) -> bool {
    data.trim() == "[DONE]" || serde_json::from_str::<serde::de::IgnoredAny>(data).is_ok()
}

/// Puts the client's tool names back and says what it costs where the client is told.
fn adapt(attempt: &Attempt<'_>, event: &mut Event) {
    match event {
        Event::Open { block: Opening::ToolUse { name, .. }, .. } => {
            attempt.outbound.carry.restore(name);
        }
        Event::Usage(Metered { report, cost }) => *cost = whole::cost(attempt, report),
        _ => {}
    }
}

/// A frame that passes as a client of `OpenRouter` takes it: the usage with what it costs, and none that is null; an answer
/// of Responses with all that its SDKs ask for.
fn for_openrouter(attempt: &Attempt<'_>, frame: &Frame<'_>, reader: &dyn Reader) -> Option<String> {
    if !attempt.inbound.face.openrouter {
        return None;
    }
    let data = if wire::openai_chat::may_tell_usage(&frame.data) {
        let cost = whole::cost(attempt, &reader.seen().usage?)?;
        wire::openai_chat::add_cost(&frame.data, attempt.target.dialect(), &cost)
    } else if attempt.inbound.face.is(wire::openai_chat::NAME) {
        wire::openai_chat::without_null_usage(&frame.data)?
    } else if attempt.inbound.face.is(wire::openai_responses::NAME) {
        wire::openai_responses::with_required(&frame.data)?
    } else {
        return None;
    };
    (data != frame.data).then_some(data)
}

fn named(event: &str, data: &str) -> Vec<u8> {
    let event = if event.is_empty() { String::new() } else { format!("event: {event}\n") };
    format!("{event}data: {}\n\n", data.replace('\n', "\ndata: ")).into_bytes()
}
