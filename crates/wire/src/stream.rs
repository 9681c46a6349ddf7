//! Answers that come bit by bit: the canonical events, and the two state machines that each dialect has.
//!
//! A stream has three kinds of input: a frame, its end, its failure. `reader` turns those of a provider into [`Event`]s,
//! `writer` turns events into the bytes of a client. To meter a stream without translating it is to read it and forget
//! the events: meter and translator are the same parser.

use ledger::UsageReport;

use crate::Problem;
use crate::chat::{Chat, Citation, Media, Native, Seal};
use crate::json::Json;
use crate::reply::Finish;
use crate::sse::Frame;

/// One step of an answer on its way.
///
/// What a [`Reader`] promises: `Start` comes once and first, but for a `Usage` that is known by then, unless a `Problem`
/// comes in its place; blocks are numbered from 0 in the order in which they open; what belongs to a block stands between
/// its `Open` and its `Close`, and every block that opens closes, unless a `Problem` cuts it off; `Finish` comes at most
/// once; `End` comes last, and only after an end that the protocol calls one. Nothing follows `End` or `Problem`.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The provider's id of the answer; empty where it gives none.
        id: String,
        /// The model that answers; empty where the provider does not say.
        model: String,
    },
    /// A block begins.
    Open {
        /// Its number.
        index: u32,
        /// What it is.
        block: Opening,
    },
    /// More text of a block of text, refusal or thinking.
    Text {
        /// The block.
        index: u32,
        /// The text.
        text: String,
    },
    /// More of the arguments of a tool call, as JSON text that is whole only when the block closes.
    Json {
        /// The block.
        index: u32,
        /// The text.
        part: String,
    },
    /// A source that a text block rests on.
    Cite {
        /// The block.
        index: u32,
        /// The source.
        citation: Citation,
    },
    /// The opaque state of a block of thinking or of a tool call.
    Seal {
        /// The block.
        index: u32,
        /// The state.
        seal: Seal,
    },
    /// A block is complete.
    Close {
        /// Its number.
        index: u32,
    },
    /// What was used so far: the whole of it, in place of what was said before.
    Usage(Metered),
    /// Why the answer ends. Blocks are closed by then.
    Finish {
        /// Why.
        finish: Finish,
        /// The stop text that ended it, where the dialect says it.
        stop_sequence: Option<String>,
    },
    /// The stream failed. What a client gets in place of an end.
    Problem(Problem),
    /// The answer is whole.
    End,
}

/// What a block is, as far as its beginning tells.
#[derive(Clone, Debug, PartialEq)]
pub enum Opening {
    /// Visible text.
    Text,
    /// The model's refusal.
    Refusal,
    /// Thinking.
    Thinking,
    /// A call of one of the client's tools.
    ToolUse {
        /// Unique within the conversation.
        id: String,
        /// The tool.
        name: String,
    },
    /// A picture or sound, whole.
    Media(Media),
    /// A block that only its own dialect knows, whole.
    Native(Native),
}

/// What was used, and what it costs the client where the gateway has worked that out.
#[derive(Clone, Debug, PartialEq)]
pub struct Metered {
    /// The counters.
    pub report: UsageReport,
    /// Set by the gateway for clients that are told (`OpenRouter`); readers leave it out.
    pub cost: Option<Cost>,
}

/// What an answer costs, in dollars as exact decimal text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// What the client pays.
    pub charge: String,
    /// What the provider takes: of it, or of the client itself where the call was made with the client's own key.
    pub upstream: String,
    /// Whether it was.
    pub is_byok: bool,
    /// The provider's part again, for the prompt and for what was generated. `OpenRouter`'s own client wants both.
    pub upstream_parts: Option<(String, String)>,
}

impl Metered {
    /// The counters alone.
    pub fn new(report: UsageReport) -> Self {
        Self { report, cost: None }
    }
}

/// How a stream ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The provider closed it.
    Closed,
    /// The connection broke, or what came was not a stream.
    Broken,
    /// Nothing came for too long.
    Idle,
}

/// What is known of an answer at any moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    /// The provider's id of the answer.
    pub id: String,
    /// The model that answers.
    pub model: String,
    /// What the provider says was used so far: for a stream that was cut, the largest figures seen.
    pub usage: Option<UsageReport>,
    /// Whether the usage is the final one, or only as of some moment in between.
    pub usage_final: bool,
    /// Bytes of text, thinking and arguments that came, for an estimate where the provider's word is missing. Gemini's
    /// pictures are counted as 4,000 each.
    pub output_bytes: u64,
    /// Whether the answer ended as its protocol asks for.
    pub whole: bool,
    /// Why it ended, where it said so.
    pub finish: Option<Finish>,
    /// Whether the stream brought an error of the provider.
    pub failed: bool,
    /// Gemini's latest token for going on where a stream stopped: the same request with it as `continuationToken` brings
    /// the rest. None once the answer has come to its own end.
    pub continuation: Option<String>,
}

/// Where an answer stands.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// More is to come.
    Running,
    /// Why it ends is known; little is left.
    Ending,
    /// It is whole.
    Whole,
    /// It brought an error of the provider.
    Failed,
}

impl Stage {
    /// The stage of these facts.
    pub fn of(finish: Option<Finish>, whole: bool, failed: bool) -> Self {
        match (finish, whole, failed) {
            (_, _, true) => Self::Failed,
            (_, true, false) => Self::Whole,
            (Some(_), false, false) => Self::Ending,
            (None, false, false) => Self::Running,
        }
    }
}

/// Frames of a provider to events. The end may be told more than once; only the first counts.
pub trait Reader: Send {
    /// Takes one frame.
    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<Event>);

    /// Takes the end. A stream that the protocol does not call ended gives a [`Event::Problem`], never a finish.
    fn end(&mut self, how: End, out: &mut Vec<Event>);

    /// Takes one frame for its counters only. May skip what cannot hold any, as long as [`Reader::seen`] stays the same as
    /// after [`Reader::frame`]. So it finds no fault with what it skips, and of a text that only repetitions brought it
    /// does not know the length.
    fn skim(&mut self, frame: &Frame<'_>) {
        self.frame(frame, &mut Vec::new());
    }

    /// What is known so far.
    fn seen(&self) -> Seen;

    /// [`Seen::usage`] alone.
    fn usage(&self) -> Option<UsageReport>;

    /// [`Seen::output_bytes`] alone, at no cost.
    fn output_bytes(&self) -> u64;

    /// The same in a word, at no cost.
    fn stage(&self) -> Stage;
}

/// Events to the bytes of a client.
pub trait Writer: Send {
    /// Takes one event and appends what the client gets of it, which may be nothing. Takes nothing after `End` or
    /// `Problem`.
    fn event(&mut self, event: Event, out: &mut Vec<u8>);

    /// What keeps the connection of a waiting client alive, in between two frames.
    fn ping(&self) -> &'static [u8];
}

/// What a client asked for, as far as the form of its answer depends on it.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// The id of the answer where the provider gives none, or one that the client's dialect does not take.
    pub id: String,
    /// The name of the model where the provider gives none.
    pub model: String,
    /// Seconds since 1970: this crate has no clock.
    pub created: u64,
    /// Whether a client of Chat Completions asked for the usage of a stream.
    pub include_usage: bool,
    /// Whether the client is one of `OpenRouter`'s: its SDK takes no usage that is null, and an error is the last chunk.
    pub openrouter: bool,
    /// Whether a stream comes as one JSON array in place of server-sent events (Gemini without `alt=sse`).
    pub json_array: bool,
    /// What a client of `OpenRouter` is told that a whole answer costs; in a stream [`Event::Usage`] has it.
    pub cost: Option<Cost>,
    /// Members of the request that the answer repeats (Responses).
    pub echo: Vec<(String, Json)>,
}

impl Shape {
    /// The shape of the answer to `chat`.
    pub fn of(chat: &Chat) -> Self {
        Self { model: chat.model.clone(), include_usage: chat.include_usage, ..Self::default() }
    }
}
