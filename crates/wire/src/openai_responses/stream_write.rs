//! Canonical events to a client's stream, and to its whole answer: both come from the same items.

use super::items_out::{Called, Item, Piece};
use super::namespaces::{self, Member};
use super::read_items;
use super::response::{self, Head, State};
use super::{NAME, problem, search};
use crate::Problem;
use crate::chat::{MediaKind, Native, Source};
use crate::json::Json;
use crate::reply::{Finish, Reply};
use crate::seal;
use crate::searches::{self, Asked, Found, Returns, Step};
use crate::stream::{Event, Metered, Opening, Shape, Writer};

/// The answer to a client who asked for no stream.
pub(super) fn whole(reply: &Reply, shape: &Shape) -> Vec<u8> {
    let mut shape = shape.clone();
    shape.created = reply.created.unwrap_or(shape.created);
    let cost = shape.cost.take();
    let mut writer = StreamWriter::new(shape);
    writer.quiet = true;
    let mut unwanted = Vec::new();
    for event in crate::collect::events(reply.clone()) {
        let event = match event {
            Event::Usage(metered) => Event::Usage(Metered { cost: cost.clone(), ..metered }),
            event => event,
        };
        writer.event(event, &mut unwanted);
    }
    writer.answer.get().as_bytes().to_vec()
}

pub(super) struct StreamWriter {
    shape: Shape,
    head: Head,
    /// What the ids of items are made of.
    suffix: String,
    custom_tools: Vec<String>,
    /// The tools that the client has in groups.
    members: Vec<Member>,
    sequence: u64,
    items: Vec<Item>,
    /// Where a block that is open stands.
    open: Vec<(u32, Place)>,
    /// The item that has all its blocks, but may get one more, or turn out to have been cut.
    last: Option<usize>,
    /// What the next message says of itself.
    phase: Option<String>,
    /// Searches that are not over, by the name that their provider gives them.
    searches: Vec<(String, usize)>,
    /// Steps of another provider's tools that have not been told.
    steps: Vec<Json>,
    usage: Option<Metered>,
    finish: Finish,
    started: bool,
    over: bool,
    /// Whether only the whole answer is wanted.
    quiet: bool,
    answer: Json,
}

#[derive(Copy, Clone)]
struct Place {
    item: usize,
    /// The part of a message.
    part: usize,
}

/// The members of an event.
pub(super) type Members<'a> = Vec<(&'a str, Json)>;

impl StreamWriter {
    pub(super) fn new(shape: Shape) -> Self {
        let tools = response::tools(&shape.echo);
        let custom_tools = response::custom_tools(&tools);
        let members = namespaces::members(tools.iter());
        Self {
            shape,
            head: Head { id: String::new(), model: String::new() },
            suffix: String::new(),
            custom_tools,
            members,
            sequence: 0,
            items: Vec::new(),
            open: Vec::new(),
            last: None,
            phase: None,
            searches: Vec::new(),
            steps: Vec::new(),
            usage: None,
            finish: Finish::Stop,
            started: false,
            over: false,
            quiet: false,
            answer: Json::empty_object(),
        }
    }

    /// Writes one event. Its data is one line whatever a client's or provider's JSON held between its tokens.
    fn send(&mut self, kind: &str, members: &[(&str, Json)], out: &mut Vec<u8>) {
        if self.quiet {
            return;
        }
        let sequence = self.sequence;
        self.sequence += 1;
        let head =
            format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{sequence}");
        out.extend_from_slice(head.as_bytes());
        for (name, value) in members {
            out.extend_from_slice(format!(",\"{name}\":").as_bytes());
            let blank = |byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte };
            out.extend(value.get().bytes().map(blank));
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn send_all(
        &mut self,
        at: usize,
        frames: Vec<(&'static str, Members<'static>)>,
        out: &mut Vec<u8>,
    ) {
        for (kind, mut members) in frames {
            members.push(("output_index", Json::of(&at)));
            self.send(kind, &members, out);
        }
    }

    fn response(&self, state: &State<'_>) -> Json {
        let output: Vec<Json> = self.items.iter().map(Item::json).collect();
        // What is counted so far is no bill.
        let usage = self.usage.as_ref().filter(|_| !matches!(state, State::Begun));
        response::object(&self.shape, &self.head, state, &output, usage)
    }

    fn start(&mut self, id: &str, model: &str, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let given = |id: &str| id.strip_prefix("resp_").map(str::to_owned);
        let ours = || Some(self.shape.id.clone()).filter(|id| !id.is_empty());
        self.suffix = given(id)
            .or_else(|| ours().map(|id| given(&id).unwrap_or(id)))
            .unwrap_or_else(|| id.to_owned());
        self.head.id = format!("resp_{}", self.suffix);
        self.head.model =
            if model.is_empty() { self.shape.model.clone() } else { model.to_owned() };
        for kind in ["response.created", "response.in_progress"] {
            let response = self.response(&State::Begun);
            self.send(kind, &[("response", response)], out);
        }
    }

    fn open(&mut self, index: u32, opening: Opening, out: &mut Vec<u8>) {
        self.start("", "", out);
        match opening {
            Opening::Text => self.open_part(index, Piece::text(), out),
            Opening::Refusal => self.open_part(index, Piece::refusal(), out),
            Opening::Thinking => {
                let item = Item::thinking(self.id("rs"));
                self.open_item(index, item, out);
            }
            Opening::ToolUse { id, name } => {
                let called = self.called(id, name);
                let item = Item::call(self.id(if called.custom { "ctc" } else { "fc" }), called);
                self.open_item(index, item, out);
            }
            Opening::Media(media) => {
                let picture = match media.source {
                    Source::Base64(data) if media.kind == MediaKind::Image => Some(data),
                    _ => None,
                };
                if let Some(data) = picture {
                    let item = Item::picture(self.id("ig"), data);
                    self.open_item(index, item, out);
                } else if let Some(said) = media.transcript {
                    self.open_part(index, Piece::text(), out);
                    self.text(index, &said, out);
                }
            }
            Opening::Native(native) => self.native(index, native, out),
        }
    }

    /// The tool as the client knows it.
    fn called(&self, id: String, name: String) -> Called {
        let Some(member) = self.members.iter().find(|member| member.flat == name) else {
            let custom = self.custom_tools.contains(&name);
            return Called { id, name, group: None, custom };
        };
        let (name, group) = (member.name.clone(), Some(member.group.clone()));
        Called { id, name, group, custom: member.custom }
    }

    /// What only this dialect knows; of that of others, searches have a place here.
    fn native(&mut self, index: u32, native: Native, out: &mut Vec<u8>) {
        if native.dialect != NAME {
            self.step(&native, out);
            return;
        }
        if read_items::is_mark(&native) {
            self.settle(false, out);
            self.phase = read_items::phase(&native);
        } else if let Some(kind) = native.field.strip_prefix(read_items::ANNOTATION) {
            // It belongs to a text that a stream has closed by now; the whole answer still takes it.
            let message = self.last.and_then(|at| self.items.get_mut(at));
            if let Some(item) = message.filter(|_| self.quiet && !kind.is_empty()) {
                item.annotate(native.raw);
            }
        } else if !native.field.starts_with(read_items::IN_CONTENT) {
            self.open_item(index, Item::native(native.raw), out);
        }
    }

    /// A step of a tool that ran at another provider. Behind the last one follows what that provider wants back, as the state
    /// of a reasoning item.
    fn step(&mut self, native: &Native, out: &mut Vec<u8>) {
        let returns = searches::returns(native);
        if returns.is_some() {
            self.steps.push(native.raw.clone());
        }
        let step = searches::step(native);
        let shown = step.as_ref().is_some_and(|step| step.found.is_some());
        if let Some(Step { id, asked, found }) = step {
            self.search(&id, asked, found, out);
        }
        if returns == Some(Returns::Last) || (returns.is_none() && shown) {
            self.state_of_steps(native.dialect, out);
        }
    }

    fn search(&mut self, id: &str, asked: Option<Asked>, found: Option<Found>, out: &mut Vec<u8>) {
        if let Some(asked) = asked {
            let item = Item::search(self.id(search::PREFIX), asked);
            let at = self.add(item, out);
            let frames = self.items.get(at).map(Item::searching).unwrap_or_default();
            self.send_all(at, frames, out);
            self.searches.push((id.to_owned(), at));
        }
        let Some(found) = found else { return };
        let known = self.searches.iter().rposition(|(search, _)| search == id);
        let Some((_, at)) = known.map(|known| self.searches.remove(known)) else { return };
        let Some(item) = self.items.get_mut(at) else { return };
        let frames = item.searched(found);
        self.send_all(at, frames, out);
        self.done(at, false, out);
    }

    /// Tells that an item is complete.
    fn done(&mut self, at: usize, cut: bool, out: &mut Vec<u8>) {
        let Some(item) = self.items.get_mut(at) else { return };
        item.settle(cut);
        let done = item.json();
        self.send_all(at, vec![("response.output_item.done", vec![("item", done)])], out);
    }

    fn state_of_steps(&mut self, dialect: &'static str, out: &mut Vec<u8>) {
        let state = searches::seal(dialect, &std::mem::take(&mut self.steps));
        self.settle(false, out);
        self.carry(seal::wrap(&state, NAME), out);
    }

    /// A reasoning item that holds nothing but state.
    fn carry(&mut self, envelope: String, out: &mut Vec<u8>) {
        let carrier = Item::carrier(self.id("rs"), envelope);
        let (at, json) = (self.items.len(), carrier.json());
        let frames = vec![
            ("response.output_item.added", vec![("item", carrier.begun())]),
            ("response.output_item.done", vec![("item", json)]),
        ];
        self.items.push(carrier);
        self.send_all(at, frames, out);
    }

    fn id(&self, prefix: &str) -> String {
        format!("{prefix}_{}_{}", self.suffix, self.items.len())
    }

    /// Tells of an item; its number.
    fn add(&mut self, item: Item, out: &mut Vec<u8>) -> usize {
        self.settle(false, out);
        let (at, begun) = (self.items.len(), item.begun());
        self.items.push(item);
        self.send_all(at, vec![("response.output_item.added", vec![("item", begun)])], out);
        at
    }

    fn open_item(&mut self, index: u32, item: Item, out: &mut Vec<u8>) {
        let item = self.add(item, out);
        self.open.push((index, Place { item, part: 0 }));
    }

    /// A part of the message that is being written, or of a new one.
    fn open_part(&mut self, index: u32, piece: Piece, out: &mut Vec<u8>) {
        let current = self
            .last
            .filter(|at| self.phase.is_none() && self.items.get(*at).is_some_and(Item::is_message));
        let at = if let Some(at) = current {
            self.last = None;
            at
        } else {
            let phase = self.phase.take();
            let message = Item::message(self.id("msg"), phase);
            self.add(message, out)
        };
        let Some(item) = self.items.get_mut(at) else { return };
        let (part, frames) = item.add_part(piece);
        self.open.push((index, Place { item: at, part }));
        self.send_all(at, frames, out);
    }

    fn at(&mut self, index: u32) -> Option<(Place, &mut Item)> {
        let (_, place) = self.open.iter().rev().find(|(open, _)| *open == index).copied()?;
        self.items.get_mut(place.item).map(|item| (place, item))
    }

    fn text(&mut self, index: u32, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        if let Some((place, item)) = self.at(index) {
            let frames = item.add_text(place.part, text);
            self.send_all(place.item, frames, out);
        }
    }

    fn close(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some((place, item)) = self.at(index) else { return };
        let frames = item.close(place.part);
        self.send_all(place.item, frames, out);
        self.open.retain(|(open, _)| *open != index);
        if self.last != Some(place.item) && !self.open.iter().any(|(_, p)| p.item == place.item) {
            self.settle(false, out);
            self.last = Some(place.item);
        }
    }

    /// Ends the item that waits for it. `cut`: the answer ends in the middle of it.
    fn settle(&mut self, cut: bool, out: &mut Vec<u8>) {
        let Some(at) = self.last.take() else { return };
        let Some(item) = self.items.get_mut(at) else { return };
        item.settle(cut);
        let (state, done) = (item.state_of_call(), item.json());
        if let Some(envelope) = state {
            // Ahead of the call's end, because the state belongs to it.
            self.carry(envelope, out);
        }
        self.send_all(at, vec![("response.output_item.done", vec![("item", done)])], out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start("", "", out);
        let cut = matches!(self.finish, Finish::Length | Finish::Filter | Finish::Failed);
        let still: Vec<u32> = self.open.iter().map(|(index, _)| *index).collect();
        for index in still {
            self.close(index, out);
        }
        self.settle(cut, out);
        for (_, at) in std::mem::take(&mut self.searches) {
            self.done(at, true, out);
        }
        if !self.steps.is_empty() {
            self.state_of_steps(searches::RETURNING, out);
        }
        let state = State::Over(self.finish);
        let kind = match state.status() {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        self.answer = self.response(&state);
        self.send(kind, &[("response", self.answer.clone())], out);
        self.over = true;
    }

    fn fail(&mut self, problem: &Problem, out: &mut Vec<u8>) {
        self.over = true;
        let error = problem::object(problem);
        if self.started {
            for item in &mut self.items {
                item.cut();
            }
            let response = self.response(&State::Failed(&error));
            self.send("response.failed", &[("response", response)], out);
        }
        // SDKs raise an exception for this one alone, and for the object in it, which is not in the book.
        let (_, message) = problem.shown();
        let members = [
            ("code", Json::of(&problem::code(problem))),
            ("message", Json::of(&message)),
            ("param", Json::of(&())),
            ("error", error),
        ];
        self.send("error", &members, out);
    }
}

impl Writer for StreamWriter {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            Event::Start { id, model } => self.start(&id, &model, out),
            Event::Open { index, block } => self.open(index, block, out),
            Event::Text { index, text } | Event::Json { index, part: text } => {
                self.text(index, &text, out);
            }
            Event::Cite { index, citation } => {
                if let Some((place, item)) = self.at(index) {
                    let frames = item.cite(place.part, &citation);
                    self.send_all(place.item, frames, out);
                }
            }
            Event::Seal { index, seal } => {
                let whole = self.quiet;
                if let Some((_, item)) = self.at(index) {
                    item.seal(seal, whole);
                }
            }
            Event::Close { index } => self.close(index, out),
            Event::Usage(metered) => self.usage = Some(metered),
            Event::Finish { finish, .. } => self.finish = finish,
            Event::Problem(problem) => self.fail(&problem, out),
            Event::End => self.end(out),
        }
    }

    fn ping(&self) -> &'static [u8] {
        b": keep-alive\n\n"
    }
}
