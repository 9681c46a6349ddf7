//! Canonical events to a client's stream.

use serde::Serialize;

use super::types::{Audio, Detail, Extra};
use super::write_media::{audio, picture};
use super::write_reply::{id, model, tier};
use super::write_turns::extra;
use super::{NAME, citations, cost, custom, details, legacy, openrouter, problem};
use crate::chat::{Citation, Media, MediaKind, Native, Seal};
use crate::json::{self, Json};
use crate::stream::{Event, Metered, Opening, Shape, Writer};

/// The members that all chunks of a stream have in common, as the beginning of an object.
pub(super) fn head(object: &str, answer: &str, served: &str, shape: &Shape) -> String {
    #[derive(Serialize)]
    struct Head<'a> {
        id: &'a str,
        object: &'a str,
        created: u64,
        model: &'a str,
    }
    let head =
        Head { id: id(answer, shape), object, created: shape.created, model: model(served, shape) };
    let mut text = Json::of(&head).get().to_owned();
    text.pop();
    text
}

pub(super) fn send(out: &mut Vec<u8>, data: &[&str]) {
    out.extend_from_slice(b"data: ");
    for part in data {
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(b"\n\n");
}

/// The end of a stream that went well: the usage for a client who asked for it, and the mark.
pub(super) fn send_end(out: &mut Vec<u8>, head: &str, usage: Option<&Metered>, shape: &Shape) {
    if let Some(Metered { report, cost }) = usage.filter(|_| shape.include_usage) {
        let tier = Json::of(&tier(report.service_tier));
        let usage = cost::usage(report, cost.as_ref());
        let rest =
            [",\"service_tier\":", tier.get(), ",\"choices\":[],\"usage\":", usage.get(), "}"];
        send(out, &[&[head], rest.as_slice()].concat());
    }
    send(out, &["[DONE]"]);
}

pub(super) fn send_problem(out: &mut Vec<u8>, problem: &crate::Problem) {
    let (_, body) = problem::write(problem);
    send(out, &[&String::from_utf8_lossy(&body)]);
}

pub(super) const PING: &[u8] = b": keep-alive\n\n";

pub(super) struct StreamWriter {
    shape: Shape,
    head: String,
    blocks: Vec<Slot>,
    /// The numbers of the lists that a client puts together from several chunks.
    calls: u64,
    entries: u64,
    citations: u64,
    pictures: u64,
    /// Characters of text so far, which the places of citations count.
    characters: u64,
    /// Where text and calls stand among the thoughts.
    places: details::Places,
    usage: Option<Metered>,
    /// The client's tools that take free text.
    custom: Vec<String>,
    /// Whether it asked for a call of a function, as there were before there were tools.
    legacy: bool,
}

struct Slot {
    index: u32,
    kind: Kind,
}

enum Kind {
    /// The characters of text before it.
    Text {
        base: u64,
    },
    Refusal,
    Thinking {
        number: u64,
        text: bool,
    },
    Call {
        number: u64,
        id: String,
        arguments: bool,
    },
    /// A call whose free text is told once all of it is there.
    Custom {
        number: u64,
        id: String,
        arguments: String,
    },
    Whole,
}

/// A step of a message.
#[derive(Default, Serialize)]
struct Delta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_details: Option<[Detail; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[Json; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Called<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<[Json; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    images: Option<[Json; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Audio>,
}

/// A step of a call.
#[derive(Default, Serialize)]
struct CallDelta<'a> {
    index: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<Called<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom: Option<Free<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra_content: Option<Extra>,
}

#[derive(Serialize)]
struct Free<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    input: &'a str,
}

#[derive(Copy, Clone, Serialize)]
struct Called<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl StreamWriter {
    pub(super) fn new(shape: Shape) -> Self {
        Self {
            head: head("chat.completion.chunk", "", "", &shape),
            custom: custom::names(&shape.echo),
            legacy: legacy::is_asked(&shape.echo),
            shape,
            blocks: Vec::new(),
            calls: 0,
            entries: 0,
            citations: 0,
            pictures: 0,
            characters: 0,
            places: details::Places::default(),
            usage: None,
        }
    }

    fn chunk(&self, delta: &Delta<'_>, finish: Option<&str>, out: &mut Vec<u8>) {
        let (delta, finish) = (Json::of(delta), Json::of(&finish));
        let with_null = self.shape.include_usage && !self.shape.openrouter;
        let usage = if with_null { ",\"usage\":null}" } else { "}" };
        send(
            out,
            &[
                &self.head,
                ",\"choices\":[{\"index\":0,\"delta\":",
                delta.get(),
                ",\"logprobs\":null,\"finish_reason\":",
                finish.get(),
                "}]",
                usage,
            ],
        );
    }

    fn call(&self, call: &CallDelta<'_>, out: &mut Vec<u8>) {
        let delta = match call.function {
            // There is room for one.
            Some(_) if self.legacy && call.index > 0 => return,
            Some(function) if self.legacy => {
                Delta { function_call: Some(function), ..Delta::default() }
            }
            _ => Delta { tool_calls: Some([Json::of(call)]), ..Delta::default() },
        };
        self.chunk(&delta, None, out);
    }

    fn arguments(&self, number: u64, arguments: &str, out: &mut Vec<u8>) {
        let function = Some(Called { name: None, arguments });
        self.call(&CallDelta { index: number, function, ..CallDelta::default() }, out);
    }

    fn slot(&mut self, index: u32) -> Option<&mut Slot> {
        self.blocks.iter_mut().find(|slot| slot.index == index)
    }

    fn open(&mut self, index: u32, block: Opening, out: &mut Vec<u8>) {
        let kind = match block {
            Opening::Text => Kind::Text { base: self.characters },
            Opening::Refusal => Kind::Refusal,
            Opening::Thinking => {
                self.place(out);
                self.entries += 1;
                Kind::Thinking { number: self.entries - 1, text: false }
            }
            Opening::ToolUse { id, name } => self.open_call(id, &name, out),
            Opening::Media(media) => {
                self.media(&media, out);
                Kind::Whole
            }
            Opening::Native(native) => {
                self.native(&native, out);
                Kind::Whole
            }
        };
        self.blocks.push(Slot { index, kind });
    }

    fn open_call(&mut self, id: String, name: &str, out: &mut Vec<u8>) -> Kind {
        let number = self.calls;
        self.calls += 1;
        self.places.call();
        let custom = self.custom.iter().any(|custom| custom == name);
        let call = CallDelta {
            index: number,
            id: Some(&id),
            kind: Some(if custom { "custom" } else { "function" }),
            function: (!custom).then_some(Called { name: Some(name), arguments: "" }),
            custom: custom.then_some(Free { name: Some(name), input: "" }),
            extra_content: None,
        };
        self.call(&call, out);
        if custom {
            return Kind::Custom { number, id, arguments: String::new() };
        }
        Kind::Call { number, id, arguments: false }
    }

    fn media(&mut self, media: &Media, out: &mut Vec<u8>) {
        let mut delta = Delta::default();
        match media.kind {
            MediaKind::Image => {
                delta.images = picture(media, Some(self.pictures)).map(|picture| [picture]);
                self.pictures += u64::from(delta.images.is_some());
            }
            MediaKind::Audio => {
                let mut sound = audio(&media.source, media.transcript.as_ref());
                sound.id.get_or_insert_with(|| format!("audio_{}", self.shape.id));
                sound.expires_at = Some(0);
                delta.audio = Some(sound);
            }
            MediaKind::Document | MediaKind::Video => {}
        }
        if delta.images.is_some() || delta.audio.is_some() {
            self.chunk(&delta, None, out);
        }
    }

    fn native(&mut self, native: &Native, out: &mut Vec<u8>) {
        let mut delta = Delta::default();
        let numbered = |number: u64| {
            let number = vec![("index".to_owned(), Json::of(&number))];
            let own =
                json::fields(native.raw.get()).into_iter().filter(|(name, _)| name != "index");
            let none = serde_json::Map::new();
            Some([json::object_with(&none, &number.into_iter().chain(own).collect::<Vec<_>>())])
        };
        match native.field.as_str() {
            "tool_calls" if native.dialect == NAME => {
                delta.tool_calls = numbered(self.calls);
                self.calls += 1;
            }
            "annotations" if native.dialect == NAME => {
                delta.annotations = numbered(self.citations);
                self.citations += 1;
            }
            _ if details::carries(native) => {
                self.place(out);
                delta.reasoning_details = Some([details::native(native, self.entries)]);
                self.entries += 1;
            }
            _ => return,
        }
        self.chunk(&delta, None, out);
    }

    fn text(&mut self, index: u32, text: &str, out: &mut Vec<u8>) {
        let mut delta = Delta::default();
        let mut characters = 0;
        match self.slot(index).map(|slot| &mut slot.kind) {
            Some(Kind::Text { .. }) => {
                characters = text.chars().count() as u64;
                delta.content = Some(text);
            }
            Some(Kind::Refusal) => delta.refusal = Some(text),
            Some(Kind::Thinking { number, text: told }) => {
                *told = true;
                delta.reasoning_content = Some(text);
                delta.reasoning = Some(text);
                delta.reasoning_details = Some([details::text(text, *number)]);
            }
            Some(Kind::Call { .. } | Kind::Custom { .. } | Kind::Whole) | None => return,
        }
        self.characters += characters;
        self.places.text(characters);
        self.chunk(&delta, None, out);
    }

    /// Tells what stands ahead of the next entry, where that is not what every client would think.
    fn place(&mut self, out: &mut Vec<u8>) {
        if let Some(entry) = self.places.entry(self.entries) {
            self.entries += 1;
            self.chunk(&Delta { reasoning_details: Some([entry]), ..Delta::default() }, None, out);
        }
    }

    fn json(&mut self, index: u32, part: &str, out: &mut Vec<u8>) {
        match self.slot(index).map(|slot| &mut slot.kind) {
            Some(Kind::Call { number, arguments, .. }) => {
                *arguments |= !part.is_empty();
                let number = *number;
                self.arguments(number, part, out);
            }
            Some(Kind::Custom { arguments, .. }) => arguments.push_str(part),
            _ => {}
        }
    }

    fn cite(&mut self, index: u32, citation: &Citation, out: &mut Vec<u8>) {
        let base = match self.slot(index).map(|slot| &slot.kind) {
            Some(Kind::Text { base }) => *base,
            _ => self.characters,
        };
        let length = self.characters.saturating_sub(base);
        let annotation = citations::annotation(citation, base, length, Some(self.citations));
        self.citations += 1;
        self.chunk(&Delta { annotations: Some([annotation]), ..Delta::default() }, None, out);
    }

    fn seal(&mut self, index: u32, seal: &Seal, out: &mut Vec<u8>) {
        let entry = self.entries;
        let mut delta = Delta::default();
        match self.slot(index).map(|slot| &slot.kind) {
            Some(Kind::Thinking { number, text }) => {
                delta.reasoning_details = Some([details::state(seal, *text, None, *number)]);
            }
            Some(Kind::Call { number, id, .. }) => {
                delta.reasoning_details = Some([details::state(seal, false, Some(id), entry)]);
                if seal.dialect == crate::gemini::NAME {
                    // Clients look into the function of every step of a call.
                    let call = CallDelta {
                        index: *number,
                        function: Some(Called { name: None, arguments: "" }),
                        extra_content: Some(extra(seal)),
                        ..CallDelta::default()
                    };
                    delta.tool_calls = Some([Json::of(&call)]);
                }
                self.entries += 1;
            }
            Some(Kind::Custom { id, .. }) => {
                delta.reasoning_details = Some([details::state(seal, false, Some(id), entry)]);
                self.entries += 1;
            }
            _ => return,
        }
        self.chunk(&delta, None, out);
    }

    fn close(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.blocks.iter().position(|slot| slot.index == index) else { return };
        match self.blocks.swap_remove(at).kind {
            // Clients read the arguments as JSON, which nothing is not.
            Kind::Call { number, arguments: false, .. } => self.arguments(number, "{}", out),
            Kind::Custom { number, arguments, .. } => {
                let text = custom::free_text(&arguments);
                let custom = Some(Free { name: None, input: &text });
                self.call(&CallDelta { index: number, custom, ..CallDelta::default() }, out);
            }
            _ => {}
        }
    }
}

impl Writer for StreamWriter {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, model } => {
                self.head = head("chat.completion.chunk", &id, &model, &self.shape);
                let delta =
                    Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
                self.chunk(&delta, None, out);
            }
            Event::Open { index, block } => self.open(index, block, out),
            Event::Text { index, text } => self.text(index, &text, out),
            Event::Json { index, part } => self.json(index, &part, out),
            Event::Cite { index, citation } => self.cite(index, &citation, out),
            Event::Seal { index, seal } => self.seal(index, &seal, out),
            Event::Close { index } => self.close(index, out),
            Event::Usage(metered) => self.usage = Some(metered),
            Event::Finish { finish: why, .. } => {
                self.chunk(&Delta::default(), Some(legacy::finish(why, self.legacy)), out);
            }
            Event::Problem(problem) if self.shape.openrouter => {
                send(out, &[&self.head, &openrouter::last_chunk(&problem)]);
            }
            Event::Problem(problem) => send_problem(out, &problem),
            Event::End => send_end(out, &self.head, self.usage.as_ref(), &self.shape),
        }
    }

    fn ping(&self) -> &'static [u8] {
        PING
    }
}
