//! The items of an answer on their way to a client, with the events that each step is told by.

use super::NAME;
use super::read_items::FreeForm;
use super::search::{self, Search};
use super::state::{self, CallState};
use super::stream_write::Members;
use super::types::{Annotation, Call, Message, Part, Picture};
use crate::chat::{Citation, Seal};
use crate::json::{self, Json, TextOr};
use crate::seal;
use crate::searches::{Asked, Found};

type Frames = Vec<(&'static str, Members<'static>)>;

pub(super) struct Item {
    id: String,
    body: Body,
    status: Status,
}

enum Body {
    Message { pieces: Vec<Piece>, phase: Option<String> },
    Thinking { text: String, seal: Option<Seal> },
    Call { called: Called, arguments: String, seal: Option<Seal> },
    Search(Search),
    Whole(Json),
}

/// Which tool is called.
pub(super) struct Called {
    pub(super) id: String,
    pub(super) name: String,
    /// The group that the client has it in.
    pub(super) group: Option<String>,
    /// Whether it takes free text.
    pub(super) custom: bool,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Status {
    InProgress,
    Completed,
    Incomplete,
}

impl Status {
    fn word(self) -> String {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
        .to_owned()
    }
}

/// A part of a message.
pub(super) struct Piece {
    refusal: bool,
    text: String,
    annotations: Vec<Json>,
}

impl Piece {
    pub(super) fn text() -> Self {
        Self { refusal: false, text: String::new(), annotations: Vec::new() }
    }

    pub(super) fn refusal() -> Self {
        Self { refusal: true, ..Self::text() }
    }

    fn json(&self) -> Json {
        let kind = if self.refusal { "refusal" } else { "output_text" };
        let part = Part { kind: Some(kind.to_owned()), ..Part::default() };
        Json::of(&if self.refusal {
            Part { refusal: Some(self.text.clone()), ..part }
        } else {
            Part {
                text: Some(self.text.clone()),
                annotations: Some(self.annotations.clone()),
                logprobs: Json::parse("[]"),
                ..part
            }
        })
    }

    fn citation(&self, citation: &Citation) -> Json {
        annotation(citation, &self.text)
    }
}

/// A source as an annotation of `text`. Its place is required: where none is known, it is the whole text.
pub(super) fn annotation(citation: &Citation, text: &str) -> Json {
    let (start, end) = citation.span.unwrap_or_else(|| (0, text.chars().count() as u64));
    Json::of(&Annotation {
        kind: Some("url_citation".to_owned()),
        url: Some(citation.url.clone()),
        title: Some(citation.title.clone().unwrap_or_else(|| citation.url.clone())),
        start_index: Some(start),
        end_index: Some(end),
    })
}

/// An event with the item's id before its other members.
fn frame(
    kind: &'static str,
    id: &str,
    mut members: Members<'static>,
) -> (&'static str, Members<'static>) {
    members.insert(0, ("item_id", Json::of(&id)));
    (kind, members)
}

impl Item {
    fn new(id: String, body: Body) -> Self {
        Self { id, body, status: Status::InProgress }
    }

    pub(super) fn message(id: String, phase: Option<String>) -> Self {
        Self::new(id, Body::Message { pieces: Vec::new(), phase })
    }

    pub(super) fn thinking(id: String) -> Self {
        Self::new(id, Body::Thinking { text: String::new(), seal: None })
    }

    pub(super) fn call(id: String, called: Called) -> Self {
        Self::new(id, Body::Call { called, arguments: String::new(), seal: None })
    }

    pub(super) fn picture(id: String, data: String) -> Self {
        let kind = "image_generation_call".to_owned();
        let picture = Picture {
            id: Some(id.clone()),
            kind: Some(kind),
            status: Some(Status::Completed.word()),
            result: Some(data),
        };
        Self::new(id, Body::Whole(Json::of(&picture)))
    }

    pub(super) fn search(id: String, asked: Asked) -> Self {
        Self::new(id, Body::Search(Search::new(asked)))
    }

    pub(super) fn native(raw: Json) -> Self {
        Self::new(String::new(), Body::Whole(raw))
    }

    /// A reasoning item that holds nothing but the state of a call.
    pub(super) fn carrier(id: String, envelope: String) -> Self {
        let state = state::State {
            id: Some(id.clone()),
            encrypted_content: Some(envelope),
            ..state::State::default()
        };
        Self::new(id, Body::Whole(state::item("", &state)))
    }

    pub(super) fn is_message(&self) -> bool {
        matches!(self.body, Body::Message { .. })
    }

    /// The item as it stands.
    pub(super) fn json(&self) -> Json {
        self.written(false)
    }

    /// The item as it is first told of: empty.
    pub(super) fn begun(&self) -> Json {
        self.written(true)
    }

    fn written(&self, begun: bool) -> Json {
        match &self.body {
            Body::Message { pieces, phase } => {
                let parts = pieces.iter().map(Piece::json).collect();
                Json::of(&Message {
                    id: Some(self.id.clone()),
                    kind: Some("message".to_owned()),
                    status: Some(self.status.word()),
                    role: Some("assistant".to_owned()),
                    content: Some(TextOr::List(parts)),
                    phase: phase.clone(),
                })
            }
            Body::Thinking { text, seal } => self.thoughts(text, seal.as_ref(), begun),
            Body::Call { called, arguments, seal } => {
                let Called { id: call_id, name, group, custom } = called;
                let call = Call {
                    kind: Some(
                        if *custom { "custom_tool_call" } else { "function_call" }.to_owned(),
                    ),
                    id: Some(self.id.clone()),
                    status: Some(self.status.word()),
                    call_id: Some(call_id.clone()),
                    name: Some(name.clone()),
                    namespace: group.clone(),
                    arguments: (!custom).then(|| Json::of(arguments)),
                    input: custom.then(|| free_text(arguments)),
                    ..Call::default()
                };
                json::object_with(&call, &call_members(seal.as_ref()))
            }
            Body::Search(search) => search.json(&self.id, self.status == Status::Incomplete),
            Body::Whole(raw) => raw.clone(),
        }
    }

    /// A search has begun.
    pub(super) fn searching(&self) -> Frames {
        let kinds = ["response.web_search_call.in_progress", "response.web_search_call.searching"];
        kinds.map(|kind| search::frame(kind, &self.id)).into()
    }

    /// A search is over.
    pub(super) fn searched(&mut self, found: Found) -> Frames {
        let Body::Search(search) = &mut self.body else { return Vec::new() };
        search.end(found);
        vec![search::frame("response.web_search_call.completed", &self.id)]
    }

    fn thoughts(&self, text: &str, seal: Option<&Seal>, begun: bool) -> Json {
        let id = Some(self.id.clone());
        let state = match seal {
            Some(own) if own.dialect == NAME => state::State { id, ..state::of_seal(own) },
            Some(other) => state::State {
                id,
                encrypted_content: Some(seal::wrap(other, NAME)),
                ..state::State::default()
            },
            None => state::State { id, ..state::State::default() },
        };
        state::item(if begun { "" } else { text }, &state)
    }

    /// Adds a part; its number and what tells of it.
    pub(super) fn add_part(&mut self, piece: Piece) -> (usize, Frames) {
        let Body::Message { pieces, .. } = &mut self.body else { return (0, Vec::new()) };
        let (part, json) = (pieces.len(), piece.json());
        pieces.push(piece);
        let members = vec![("content_index", Json::of(&part)), ("part", json)];
        (part, vec![frame("response.content_part.added", &self.id, members)])
    }

    /// Adds text, thoughts or arguments.
    pub(super) fn add_text(&mut self, part: usize, more: &str) -> Frames {
        let id = &self.id;
        let delta = || ("delta", Json::of(&more));
        match &mut self.body {
            Body::Message { pieces, .. } => {
                let Some(piece) = pieces.get_mut(part) else { return Vec::new() };
                piece.text.push_str(more);
                let mut members = vec![("content_index", Json::of(&part)), delta()];
                if piece.refusal {
                    return vec![frame("response.refusal.delta", id, members)];
                }
                members.extend(Json::parse("[]").map(|none| ("logprobs", none)));
                vec![frame("response.output_text.delta", id, members)]
            }
            Body::Thinking { text, .. } => {
                let mut frames = Vec::new();
                if text.is_empty() {
                    let members = vec![summary_index(), ("part", summary_part(""))];
                    frames.push(frame("response.reasoning_summary_part.added", id, members));
                }
                text.push_str(more);
                let members = vec![summary_index(), delta()];
                frames.push(frame("response.reasoning_summary_text.delta", id, members));
                frames
            }
            Body::Call { called, arguments, .. } => {
                arguments.push_str(more);
                if called.custom {
                    // Its text is inside of JSON that is not whole yet.
                    return Vec::new();
                }
                vec![frame("response.function_call_arguments.delta", id, vec![delta()])]
            }
            Body::Search(_) | Body::Whole(_) => Vec::new(),
        }
    }

    pub(super) fn cite(&mut self, part: usize, citation: &Citation) -> Frames {
        let Body::Message { pieces, .. } = &mut self.body else { return Vec::new() };
        let Some(piece) = pieces.get_mut(part) else { return Vec::new() };
        let annotation = piece.citation(citation);
        let members = vec![
            ("content_index", Json::of(&part)),
            ("annotation_index", Json::of(&piece.annotations.len())),
            ("annotation", annotation.clone()),
        ];
        piece.annotations.push(annotation);
        vec![frame("response.output_text.annotation.added", &self.id, members)]
    }

    /// An annotation of the last part that only this dialect knows.
    pub(super) fn annotate(&mut self, annotation: Json) {
        if let Body::Message { pieces, .. } = &mut self.body
            && let Some(piece) = pieces.last_mut()
        {
            piece.annotations.push(annotation);
        }
    }

    /// The state of thoughts or of a call. An item that nothing has told of yet takes its id from its own state.
    pub(super) fn seal(&mut self, state: Seal, untold: bool) {
        match &mut self.body {
            Body::Thinking { seal, .. } if state.dialect == NAME && untold => {
                self.id = state::of_seal(&state).id.unwrap_or_else(|| self.id.clone());
                *seal = Some(state);
            }
            Body::Thinking { seal, .. } if state.dialect == NAME => {
                // Its text was told as one part of summary, whatever it was.
                let one = state::State { summary: None, content: None, ..state::of_seal(&state) };
                *seal = Some(Seal { value: Json::of(&one).get().to_owned(), ..state });
            }
            Body::Thinking { seal, .. } | Body::Call { seal, .. } => *seal = Some(state),
            Body::Message { .. } | Body::Search(_) | Body::Whole(_) => {}
        }
    }

    /// A block is complete.
    pub(super) fn close(&mut self, part: usize) -> Frames {
        let id = &self.id;
        match &mut self.body {
            Body::Message { pieces, .. } => {
                let Some(piece) = pieces.get(part) else { return Vec::new() };
                let index = || ("content_index", Json::of(&part));
                let text = Json::of(&piece.text);
                let done = if piece.refusal {
                    frame("response.refusal.done", id, vec![index(), ("refusal", text)])
                } else {
                    let mut members = vec![index(), ("text", text)];
                    members.extend(Json::parse("[]").map(|none| ("logprobs", none)));
                    frame("response.output_text.done", id, members)
                };
                let members = vec![index(), ("part", piece.json())];
                vec![done, frame("response.content_part.done", id, members)]
            }
            Body::Thinking { text, .. } if text.is_empty() => Vec::new(),
            Body::Thinking { text, .. } => {
                let done = vec![summary_index(), ("text", Json::of(text))];
                let part = vec![summary_index(), ("part", summary_part(text))];
                vec![
                    frame("response.reasoning_summary_text.done", id, done),
                    frame("response.reasoning_summary_part.done", id, part),
                ]
            }
            Body::Call { called: Called { custom: false, .. }, arguments, .. } => {
                let mut frames = Vec::new();
                if arguments.is_empty() {
                    // A call without arguments has the empty object, for clients that add up the deltas too.
                    arguments.push_str("{}");
                    let members = vec![("delta", Json::of(arguments))];
                    frames.push(frame("response.function_call_arguments.delta", id, members));
                }
                let members = vec![("arguments", Json::of(arguments))];
                frames.push(frame("response.function_call_arguments.done", id, members));
                frames
            }
            Body::Call { arguments, .. } => {
                let text = Json::of(&free_text(arguments));
                let delta = vec![("delta", text.clone())];
                vec![
                    frame("response.custom_tool_call_input.delta", id, delta),
                    frame("response.custom_tool_call_input.done", id, vec![("input", text)]),
                ]
            }
            Body::Search(_) | Body::Whole(_) => Vec::new(),
        }
    }

    /// The item is complete, or the answer ended in the middle of it.
    pub(super) fn settle(&mut self, cut: bool) {
        self.status = if cut { Status::Incomplete } else { Status::Completed };
    }

    /// The answer failed.
    pub(super) fn cut(&mut self) {
        if self.status == Status::InProgress {
            self.status = Status::Incomplete;
        }
    }

    /// The envelope of a call's state, if another provider gave it one.
    pub(super) fn state_of_call(&self) -> Option<String> {
        match &self.body {
            Body::Call { called, seal: Some(seal), .. } if seal.dialect != NAME => {
                Some(state::wrap_for_call(seal, &called.id))
            }
            _ => None,
        }
    }
}

fn summary_index() -> (&'static str, Json) {
    ("summary_index", Json::of(&0))
}

fn summary_part(text: &str) -> Json {
    Json::of(&Part {
        kind: Some("summary_text".to_owned()),
        text: Some(text.to_owned()),
        ..Part::default()
    })
}

/// The text of a custom tool's arguments; arguments that are not those of one are that text themselves.
pub(super) fn free_text(arguments: &str) -> String {
    serde_json::from_str::<FreeForm>(arguments)
        .map_or_else(|_| arguments.to_owned(), |free| free.input)
}

/// Whether the conversation goes on before a call has its result.
pub(crate) fn is_async(seal: Option<&Seal>) -> bool {
    let mut members = call_members(seal).into_iter();
    members.any(|(name, raw)| name == "async" && raw.get() == "true")
}

/// What a call of this dialect says beside name and arguments, as members of its item.
pub(crate) fn call_members(seal: Option<&Seal>) -> Vec<(String, Json)> {
    let own = seal.filter(|seal| seal.dialect == NAME);
    let state: CallState =
        own.and_then(|seal| serde_json::from_str(&seal.value).ok()).unwrap_or_default();
    let rest = CallState { kind: None, id: None, ..state };
    json::fields(Json::of(&rest).get())
}
