//! Canonical events to a client's stream: server-sent events, or the pieces of one JSON array.
//!
//! Google's own libraries read nothing but lines of data and blank lines, so there is never a comment nor a name of an
//! event. A call is sent when it is whole. The last element has the reason for the end, the usage and the sources.

use super::grounding::Cited;
use super::parts::{self, Parts};
use super::types::{Answer, Candidate};
use super::write_reply::{content, or, reason};
use super::{NAME, problem, signature, usage};
use crate::chat::Seal;
use crate::json::Json;
use crate::openai_responses::mark_as_state;
use crate::reply::Finish;
use crate::stream::{Event, Opening, Shape, Writer};

pub(super) struct StreamWriter {
    shape: Shape,
    id: String,
    model: String,
    usage: Option<Json>,
    finish: Option<Finish>,
    parts: Parts,
    open: Vec<(u32, Open)>,
    /// The bytes of the text blocks that are closed.
    said: usize,
    cited: Cited,
    /// Whether there are sources that the client has not got.
    untold: bool,
    begun: bool,
    done: bool,
}

/// A block whose end has not come.
enum Open {
    /// Its text, because sources name pieces of it.
    Text(String),
    Thinking,
    Call {
        id: String,
        name: String,
        arguments: String,
        seal: Option<Seal>,
    },
    /// Whole from the beginning.
    Whole,
}

impl StreamWriter {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            id: shape.id.clone(),
            model: shape.model.clone(),
            shape,
            usage: None,
            finish: None,
            parts: Parts::default(),
            open: Vec::new(),
            said: 0,
            cited: Cited::default(),
            untold: false,
            begun: false,
            done: false,
        }
    }

    fn open(&mut self, index: u32, block: Opening, out: &mut Vec<u8>) {
        if self.untold {
            self.sources(None, out);
        }
        // In an element of its own: there are clients that take all parts for what the first is.
        if !matches!(block, Opening::ToolUse { .. }) {
            self.parts.tell();
        }
        let open = match block {
            Opening::Text | Opening::Refusal => Open::Text(String::new()),
            Opening::Thinking => Open::Thinking,
            Opening::ToolUse { id, name } => {
                Open::Call { id, name, arguments: String::new(), seal: None }
            }
            Opening::Media(media) => {
                if let Ok(part) = parts::media(&media) {
                    self.parts.media(part);
                }
                Open::Whole
            }
            Opening::Native(native) => {
                if native.dialect == NAME {
                    self.parts.push(native.raw);
                } else if let Some(state) = mark_as_state(&native) {
                    self.parts.mark(&state);
                } else {
                    // Told with the sources, or at the end.
                    self.cited.searched(&native);
                }
                Open::Whole
            }
        };
        self.open.push((index, open));
    }

    fn find(&mut self, index: u32) -> Option<&mut Open> {
        // Mostly the last one.
        self.open.iter_mut().rev().find(|(at, _)| *at == index).map(|(_, open)| open)
    }

    fn text(&mut self, index: u32, text: &str) {
        match self.find(index) {
            Some(Open::Text(all)) => {
                all.push_str(text);
                self.parts.text(text);
            }
            Some(Open::Thinking) => self.parts.thought(text),
            Some(Open::Call { arguments, .. }) => arguments.push_str(text),
            Some(Open::Whole) | None => {}
        }
    }

    fn seal(&mut self, index: u32, new: Seal) {
        match self.find(index) {
            Some(Open::Call { seal, .. }) => *seal = Some(new),
            Some(Open::Thinking) => self.parts.seal(&new),
            _ => {}
        }
    }

    fn close(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|(open, _)| *open == index) else { return };
        match self.open.remove(at).1 {
            Open::Text(text) => self.said += text.len(),
            Open::Call { id, name, arguments, seal } => {
                if self.untold {
                    self.sources(None, out);
                }
                if seal.is_some() {
                    self.parts.tell();
                    self.ready(out);
                }
                let input = Json::from_arguments(&arguments);
                self.parts.call(Some(&id), &name, &input, seal.as_ref().map(signature::write));
            }
            Open::Thinking | Open::Whole => {}
        }
    }

    /// Writes the parts that are ready.
    fn ready(&mut self, out: &mut Vec<u8>) {
        let parts = self.parts.take();
        if !parts.is_empty() {
            self.element(Candidate { content: Some(content(parts)), ..Candidate::default() }, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        while let Some((index, _)) = self.open.first() {
            self.close(*index, out);
        }
        self.parts.flush();
        // An end for which nobody gave a reason.
        let finish = self.finish.map_or("OTHER", reason).to_owned();
        self.sources(Some(finish), out);
        self.last(out);
    }

    /// Writes the sources so far, with what else is ready: at the end, and before what comes behind their text, so
    /// that they are next to their text. What stood in an element before stands in later ones too.
    fn sources(&mut self, finish_reason: Option<String>, out: &mut Vec<u8>) {
        self.untold = false;
        let mut parts = self.parts.take();
        if parts.is_empty() {
            parts.push(parts::empty());
        }
        let candidate = Candidate {
            content: Some(content(parts)),
            finish_reason,
            grounding_metadata: self.cited.metadata(),
            ..Candidate::default()
        };
        self.element(candidate, out);
    }

    fn element(&mut self, candidate: Candidate, out: &mut Vec<u8>) {
        let answer = Answer {
            candidates: Some(vec![Candidate { index: Some(0), ..candidate }]),
            usage_metadata: self.usage.clone(),
            model_version: Some(self.model.clone()),
            response_id: Some(self.id.clone()),
        };
        self.frame(Json::of(&answer).get().as_bytes(), out);
    }

    fn frame(&mut self, json: &[u8], out: &mut Vec<u8>) {
        let before: &[u8] = match (self.shape.json_array, self.begun) {
            (false, _) => b"data: ",
            (true, false) => b"[",
            (true, true) => b",\n",
        };
        self.begun = true;
        out.extend_from_slice(before);
        out.extend_from_slice(json);
        out.extend_from_slice(if self.shape.json_array { b"\n" } else { b"\r\n\r\n" });
    }

    fn last(&mut self, out: &mut Vec<u8>) {
        self.done = true;
        if self.shape.json_array {
            out.extend_from_slice(b"]\n");
        }
    }
}

impl Writer for StreamWriter {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        match event {
            Event::Start { id, model } => {
                (self.id, self.model) = (or(&id, &self.shape.id), or(&model, &self.shape.model));
            }
            Event::Open { index, block } => self.open(index, block, out),
            Event::Text { index, text: part } | Event::Json { index, part } => {
                self.text(index, &part);
            }
            Event::Seal { index, seal } => self.seal(index, seal),
            Event::Cite { index, citation } => {
                let said = self.said;
                let open = self.open.iter().find(|(at, _)| *at == index);
                if let Some((_, Open::Text(text))) = open {
                    self.cited.add(citation, said, text);
                    self.untold = true;
                }
            }
            Event::Close { index } => self.close(index, out),
            Event::Usage(metered) => self.usage = Some(Json::of(&usage::write(&metered.report))),
            Event::Finish { finish, .. } => self.finish = Some(finish),
            Event::Problem(problem) => {
                let (_, body) = problem::write(&problem);
                self.frame(&body, out);
                self.last(out);
            }
            Event::End => self.end(out),
        }
        self.ready(out);
    }

    fn ping(&self) -> &'static [u8] {
        b"\n"
    }
}
