//! A provider's stream to canonical events; a whole answer is a stream of one element.
//!
//! There is no mark of the end: an answer is whole when a `finishReason`, or the block of the prompt, was seen before
//! the body ended. Text comes in pieces that belong together as long as their kind stays the same; a call comes whole.
//!
//! Long answers of Gemini 4 come in hops: `finishReason: CONTINUATION` ends a stream but not the answer. The reader then
//! gives [`Event::End`] without [`Event::Finish`], and `Seen::continuation` has the token that brings the rest, also
//! where a stream broke off behind one. Whoever sends the next request adds up the usage of the hops, and leaves out the
//! `Start` of all but the first and the `End` of all but the last.

use ledger::UsageReport;
use serde_json::value::RawValue;

use super::element::{Element, Watch};
use super::grounding::Sources;
use super::types::{Blob, FileData, FunctionCall, Part};
use super::{NAME, names, read_parts, signature};
use crate::Problem;
use crate::chat::{Native, Seal};
use crate::json::Json;
use crate::problem::Kind;
use crate::reply::Finish;
use crate::sse::Frame;
use crate::stream::{End, Event, Metered, Opening, Reader, Seen, Stage};

#[derive(Default)]
pub(super) struct StreamReader {
    watch: Watch,
    started: bool,
    done: bool,
    open: Option<(u32, Open)>,
    next: u32,
    calls: usize,
    sources: Sources,
    /// The signature that stands behind the open text.
    trailing: Option<Seal>,
    /// The usage that was told last.
    told: Option<UsageReport>,
}

/// A block that more may come of.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Open {
    Text,
    Thinking,
}

impl Reader for StreamReader {
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>) {
        let data = frame.data.trim();
        if self.done || is_empty(data) {
            return;
        }
        match self.watch.take(data) {
            Ok(element) => self.element(&element, out),
            Err(problem) => self.fail(problem, out),
        }
    }

    fn end(&mut self, how: End, out: &mut Vec<Event>) {
        if self.done {
            return;
        }
        if self.watch.has_ended() {
            self.watch.end();
            let finish = self.watch.finish();
            self.finish(finish, out);
            return;
        }
        let kind = if how == End::Idle { Kind::Timeout } else { Kind::Upstream };
        self.fail(Problem::own(kind, "the provider's stream was cut before the answer's end"), out);
    }

    /// Every element has counters, so there is none to skip. But nothing is copied out of it: of texts only the length is
    /// taken, of most of the rest not even that.
    fn skim(&mut self, frame: &Frame<'_>) {
        let data = frame.data.trim();
        if !self.done && !is_empty(data) {
            self.done = self.watch.take(data).is_err();
        }
    }

    fn seen(&self) -> Seen {
        self.watch.seen()
    }

    fn usage(&self) -> Option<UsageReport> {
        self.watch.usage()
    }

    fn output_bytes(&self) -> u64 {
        self.watch.output_bytes()
    }

    fn stage(&self) -> Stage {
        self.watch.stage()
    }
}

/// Whether a frame is a blank line or a comment, or the mark that copies of `OpenAI`'s streams end with.
fn is_empty(data: &str) -> bool {
    data.is_empty() || data == "[DONE]"
}

impl StreamReader {
    /// Reads a whole answer. Where nothing says why it ended, it just did.
    pub(super) fn whole(&mut self, text: &str) -> Result<Vec<Event>, Problem> {
        let mut out = Vec::new();
        let element = self.watch.take(text)?;
        let empty = element.candidates.iter().flatten().next().is_none();
        if empty && !self.watch.has_ended() && self.watch.usage.report(true).is_none() {
            let message = "an answer has candidates or promptFeedback";
            return Err(Problem::own(Kind::Malformed, message));
        }
        self.element(&element, &mut out);
        // Long answers that stop at the limit of one request: nobody asks for the rest of a whole answer.
        let unsaid = if self.watch.has_ended() { Finish::Length } else { Finish::Stop };
        self.finish(Some(self.watch.finish().unwrap_or(unsaid)), &mut out);
        Ok(out)
    }

    fn element(&mut self, element: &Element<'_>, out: &mut Vec<Event>) {
        // Ahead of the start, because some clients look for the tokens of the prompt there alone.
        self.usage(out);
        if !self.started {
            self.started = true;
            let (id, model) = (self.watch.id().to_owned(), self.watch.model().to_owned());
            out.push(Event::Start { id, model });
        }
        let candidates = element.candidates.iter().flatten();
        for candidate in candidates.filter(|candidate| candidate.is_first()) {
            if let Some(grounding) = candidate.grounding_metadata {
                self.sources.ask(grounding.get());
                // Ahead of the text that rests on them, if that has not begun.
                if self.open.is_none_or(|(_, open)| open != Open::Text) {
                    self.searched(out);
                }
            }
            for part in candidate.parts() {
                self.part(part, out);
            }
            if let Some(grounding) = candidate.grounding_metadata {
                self.sources.take(grounding.get());
            }
        }
    }

    fn searched(&mut self, out: &mut Vec<Event>) {
        if let Some(native) = self.sources.searched() {
            let index = self.next(Opening::Native(native), out);
            out.push(Event::Close { index });
        }
    }

    fn usage(&mut self, out: &mut Vec<Event>) {
        let report = self.watch.usage.report(true);
        if report != self.told {
            self.told.clone_from(&report);
            out.extend(report.map(|report| Event::Usage(Metered::new(report))));
        }
    }

    fn finish(&mut self, finish: Option<Finish>, out: &mut Vec<Event>) {
        self.done = true;
        // Sources of texts that are closed already get an empty one to stand behind.
        if self.sources.have_rest() && self.open.is_none_or(|(_, open)| open != Open::Text) {
            self.close(out);
            self.open(Open::Text, out);
        }
        self.sources.end();
        self.close(out);
        self.searched(out);
        self.usage(out);
        out.extend(finish.map(|finish| Event::Finish { finish, stop_sequence: None }));
        out.push(Event::End);
    }

    fn fail(&mut self, problem: Problem, out: &mut Vec<Event>) {
        self.done = true;
        self.close(out);
        out.push(Event::Problem(problem));
    }

    fn part(&mut self, raw: &RawValue, out: &mut Vec<Event>) {
        let Ok(part) = serde_json::from_str::<Part>(raw.get()) else {
            self.native(raw, out);
            return;
        };
        let seal = part.thought_signature.as_deref().map(|value| signature::read(value).0);
        let thought = part.thought == Some(true);
        match part {
            Part { function_call: Some(call), .. } => self.call(call, seal, out),
            // A draft of a picture is not for the reader.
            Part { inline_data: Some(blob), .. } if !thought => {
                self.media(Blob::into_media(blob), seal, out);
            }
            Part { file_data: Some(file), .. } if !thought => {
                self.media(FileData::into_media(file), seal, out);
            }
            Part { text: Some(text), .. } if thought => self.thought(&text, seal, out),
            Part { text: Some(text), .. } => self.text(&text, seal, out),
            _ => self.native(raw, out),
        }
    }

    fn thought(&mut self, text: &str, seal: Option<Seal>, out: &mut Vec<Event>) {
        if text.is_empty() && seal.is_none() {
            return;
        }
        let index = self.open(Open::Thinking, out);
        add(index, text, out);
        if let Some(seal) = seal {
            out.push(Event::Seal { index, seal });
            self.close(out);
        }
    }

    fn text(&mut self, text: &str, seal: Option<Seal>, out: &mut Vec<Event>) {
        let behind = self.open.is_some_and(|(_, open)| open == Open::Text);
        match seal {
            // Alone behind a text, of which the sources may be yet to come.
            Some(seal) if text.is_empty() && behind && self.trailing.is_none() => {
                self.trailing = Some(seal);
            }
            Some(seal) => self.seal(seal, out),
            None => {}
        }
        if !text.is_empty() {
            if self.trailing.is_some() {
                self.close(out);
            }
            let index = self.open(Open::Text, out);
            self.sources.text(text);
            add(index, text, out);
        }
    }

    /// A signature that is not of a call goes to the thinking ahead of it.
    fn seal(&mut self, seal: Seal, out: &mut Vec<Event>) {
        let index = self.open(Open::Thinking, out);
        out.push(Event::Seal { index, seal });
        self.close(out);
    }

    fn call(&mut self, call: FunctionCall, seal: Option<Seal>, out: &mut Vec<Event>) {
        let FunctionCall { id, name, args } = call;
        let name = name.unwrap_or_default();
        let id = id.filter(|id| !id.is_empty());
        let id = id.unwrap_or_else(|| names::made_up(self.watch.id(), self.calls, &name));
        self.calls += 1;
        let index = self.next(Opening::ToolUse { id, name }, out);
        let part = args.map_or_else(|| "{}".to_owned(), |args| args.get().to_owned());
        out.push(Event::Json { index, part });
        out.extend(seal.map(|seal| Event::Seal { index, seal }));
        out.push(Event::Close { index });
    }

    fn media(&mut self, media: crate::chat::Media, seal: Option<Seal>, out: &mut Vec<Event>) {
        if let Some(seal) = seal {
            self.seal(seal, out);
        }
        let index = self.next(Opening::Media(media), out);
        out.push(Event::Close { index });
    }

    fn native(&mut self, raw: &RawValue, out: &mut Vec<Event>) {
        let Some(raw) = Json::parse(raw.get()) else { return };
        let Some(field) = read_parts::payload(&raw) else { return };
        let index = self.next(Opening::Native(Native { dialect: NAME, field, raw }), out);
        out.push(Event::Close { index });
    }

    /// The open block of that kind, which begins now unless it has.
    fn open(&mut self, kind: Open, out: &mut Vec<Event>) -> u32 {
        match self.open {
            Some((index, open)) if open == kind => index,
            _ => {
                let block = match kind {
                    Open::Text => Opening::Text,
                    Open::Thinking => Opening::Thinking,
                };
                let index = self.next(block, out);
                self.open = Some((index, kind));
                index
            }
        }
    }

    /// Begins a block behind the one that is open.
    fn next(&mut self, block: Opening, out: &mut Vec<Event>) -> u32 {
        self.close(out);
        let index = self.next;
        self.next += 1;
        out.push(Event::Open { index, block });
        index
    }

    fn close(&mut self, out: &mut Vec<Event>) {
        let Some((index, kind)) = self.open.take() else { return };
        if kind == Open::Text {
            let cites = self.sources.close().into_iter();
            out.extend(cites.map(|citation| Event::Cite { index, citation }));
        }
        out.push(Event::Close { index });
        if let Some(seal) = self.trailing.take() {
            self.seal(seal, out);
        }
    }
}

fn add(index: u32, text: &str, out: &mut Vec<Event>) {
    if !text.is_empty() {
        out.push(Event::Text { index, text: text.to_owned() });
    }
}
