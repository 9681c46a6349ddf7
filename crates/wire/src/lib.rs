//! The dialects of the providers, and the canonical form between them.
//!
//! Promises of this crate:
//!
//! * It is pure: no I/O, no clock, no globals. What is read is a function of the bytes.
//! * No input makes it panic.
//! * Nothing is lost silently: what a dialect cannot carry is an [`Unsupported`] that names the field, or a name in
//!   [`Written::dropped`].
//! * Counters of usage are disjoint ([`ledger::Usage`]), and their sum is the provider's own total.
//!
//! To translate a request: `client.read_request`, then `provider.write_request`. An answer goes the other way. To add a
//! dialect: a folder beside the others, and a row in [`DIALECTS`].
#![warn(missing_docs)]

pub mod anthropic;
pub mod chat;
pub mod collect;
pub mod deepseek;
mod deferral;
pub mod embed;
mod families;
mod fault;
mod foreign;
pub mod gemini;
mod inline;
mod json;
pub mod marks;
pub mod names;
pub mod openai_chat;
pub mod openai_responses;
pub mod outline;
pub mod peek;
pub mod problem;
pub mod reply;
mod rounds;
mod schema;
mod seal;
mod searches;
mod skip;
pub mod sse;
pub mod stream;
mod unknown;
pub mod weigh;
mod words;

use std::collections::HashSet;

use ledger::UsageReport;

pub use crate::chat::Chat;
pub use crate::families::{needs_responses, openai_searches, responses_only};
pub use crate::fault::shortened;
pub use crate::json::{Json, Malformed, read_object};
pub use crate::problem::Problem;
pub use crate::reply::Reply;
pub use crate::stream::{Event, Reader, Shape, Writer};
pub use crate::words::in_words_of;

/// One wire format, both ways.
pub trait Dialect: Sync {
    /// The name in settings and in the database.
    fn name(&self) -> &'static str;

    /// The path of the operation below the provider's base URL. `model` is one path segment whatever it holds, or the
    /// dialect names it in the body.
    fn request_path(&self, model: &str, stream: bool) -> String;

    /// Reads a client's request. Fields that this dialect does not know are kept as [`chat::Native`].
    fn read_request(&self, body: &[u8]) -> Result<Chat, Malformed>;

    /// Writes a request for a provider.
    fn write_request(&self, chat: &Chat, target: &Target<'_>) -> Result<Written, Unsupported>;

    /// Reads a provider's whole answer, usage included.
    fn read_reply(&self, body: &[u8]) -> Result<Reply, Malformed>;

    /// Writes an answer for a client who asked for that shape.
    fn write_reply(&self, reply: &Reply, shape: &Shape) -> Vec<u8>;

    /// What reads a provider's stream, usage included.
    fn reader(&self) -> Box<dyn Reader>;

    /// What writes a stream for a client who asked for that shape.
    fn writer(&self, shape: Shape) -> Box<dyn Writer>;

    /// Members of a client's request that its answer repeats.
    fn echo(&self, body: &[u8]) -> Vec<(String, Json)> {
        let _ = body;
        Vec::new()
    }

    /// Reads a provider's error, whatever came in place of one. `retry_after` is the header of that name, in seconds.
    fn read_problem(&self, status: u16, retry_after: Option<&str>, body: &[u8]) -> Problem;

    /// Writes an error for a client: HTTP status and body.
    fn write_problem(&self, problem: &Problem) -> (u16, Vec<u8>);

    /// Reads a usage object alone, given as JSON text.
    fn read_usage(&self, usage: &str) -> Result<UsageReport, Malformed>;

    /// Reads only the usage of a whole answer, with the served tier and the searches that stand outside the usage
    /// object; none if the answer reports none.
    fn read_body_usage(&self, body: &[u8]) -> Result<Option<UsageReport>, Malformed>;

    /// The same, and the names that the answer gives itself.
    fn look_at_body(&self, body: &[u8]) -> Result<(Option<UsageReport>, names::Names), Malformed> {
        Ok((self.read_body_usage(body)?, names::Names::of(body)))
    }
}

/// All dialects.
pub static DIALECTS: [&dyn Dialect; 4] = [
    &openai_chat::OpenaiChat,
    &anthropic::Anthropic,
    &gemini::Gemini,
    &openai_responses::OpenaiResponses,
];

/// The dialect of that name.
pub fn dialect(name: &str) -> Option<&'static dyn Dialect> {
    DIALECTS.into_iter().find(|dialect| dialect.name() == name)
}

/// Whom a request is written for: providers and models of one dialect still differ.
#[derive(Copy, Clone, Debug)]
pub struct Target<'a> {
    /// The provider's name: `openai` and `deepseek` have rules of their own within `openai_chat`.
    pub provider: &'a str,
    /// The provider's own id of the model.
    pub model: &'a str,
    /// The most tokens that the model can generate, from the catalogue.
    pub max_output_tokens: Option<u64>,
    /// Whether the catalogue calls it a reasoning model.
    pub reasoning: bool,
}

/// A request ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The body.
    pub body: Vec<u8>,
    /// What could not be carried, by its canonical name, each once; `name: from -> to` where a value was replaced by a near
    /// one. [`in_words_of`] has the client's names.
    pub dropped: Vec<String>,
    /// Tool names that had to be changed for the provider: its name, then the client's. Whoever reads the answer puts the
    /// client's names back.
    pub renamed: Vec<(String, String)>,
}

/// A request that means something else without the field named, which the target cannot carry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub struct Unsupported {
    /// The field, by its canonical name.
    pub field: String,
    /// Why not.
    pub reason: String,
}

impl Unsupported {
    pub(crate) fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

/// Names of what could not be carried, each once.
#[derive(Default)]
pub(crate) struct Dropped {
    names: Vec<String>,
    /// The same, to look them up: a body may hold very many fields.
    known: HashSet<String>,
}

impl Dropped {
    /// Notes a name; an empty one stands for what nobody misses.
    pub(crate) fn note(&mut self, name: impl Into<String>) {
        let name = name.into();
        if !name.is_empty() && self.known.insert(name.clone()) {
            self.names.push(name);
        }
    }

    /// Nobody misses what has that name: it is carried in another place.
    fn excuse(&mut self, name: &str) {
        self.known.insert(name.to_owned());
    }

    /// Notes the state of a call that cannot go back with it.
    pub(crate) fn unless_kept(&mut self, seal: Option<&chat::Seal>) {
        if seal.is_some_and(|seal| seal.dialect == gemini::NAME) {
            self.note("thoughtSignature");
        }
    }

    /// Notes arguments that are no object, where only an object is taken.
    pub(crate) fn unless_object(&mut self, arguments: &Json) {
        if arguments.is_no_object() {
            self.note("arguments: no object -> _raw");
        }
    }

    /// Notes what a call of Responses says beside name and arguments.
    pub(crate) fn call_members(&mut self, tool: &str, seal: Option<&chat::Seal>) {
        for (name, raw) in openai_responses::call_members(seal) {
            // A call that the model made itself is what a call is; the group of a tool may be in its name.
            let is_said = matches!(raw.get(), "false" | r#"{"type":"direct"}"#)
                || openai_responses::is_in_group(tool, &raw);
            if !is_said {
                self.note(format!("input.{name}"));
            }
        }
    }

    /// Notes `name` if there is a value to lose.
    #[expect(clippy::needless_pass_by_value, reason = "callers pass an option as it stands")]
    pub(crate) fn unless_none<T>(&mut self, name: &str, value: Option<T>) {
        if value.is_some() {
            self.note(name);
        }
    }

    pub(crate) fn written(self, body: &Json) -> Written {
        Written { body: body.get().as_bytes().to_vec(), dropped: self.names, renamed: Vec::new() }
    }
}

/// Sorts the native fields of a request: those of `dialect` are returned, those of others noted as dropped, or refused
/// where the answer would be another one without them. `shared` is what the dialect makes of a field of another one.
pub(crate) fn natives(
    chat: &Chat,
    dialect: &str,
    shared: impl Fn(&chat::Native) -> Option<Json>,
    dropped: &mut Dropped,
) -> Result<Vec<(String, Json)>, Unsupported> {
    let blocks = chat.turns.iter().flat_map(|turn| &turn.blocks);
    for block in blocks {
        match block {
            chat::Block::Native(native) if native.dialect != dialect => {
                kept_elsewhere(native)?;
                if native.field == openai_responses::ADDITIONAL_TOOLS {
                    // They are among the tools.
                    dropped.excuse(&native.field);
                }
            }
            _ => {}
        }
    }
    let mut own = Vec::new();
    for native in &chat.native {
        if native.dialect == dialect {
            own.push((native.field.clone(), native.raw.clone()));
        } else if let Some(raw) = shared(native) {
            own.push((native.field.clone(), raw));
        } else {
            lose(native, native.dialect, dropped)?;
        }
    }
    for tool in &chat.tools {
        match tool {
            chat::Tool::Hosted { native, .. } if native.dialect != dialect => {
                for term in terms(native) {
                    lose(&term, native.dialect, dropped)?;
                }
            }
            _ => {}
        }
    }
    Ok(own)
}

/// Notes a field that only `of` knows, or refuses what the answer depends on.
fn lose(native: &chat::Native, of: &str, dropped: &mut Dropped) -> Result<(), Unsupported> {
    /// Without these the answer is not the one asked for, or stands on a state that the provider does not have.
    const ESSENTIAL: [&str; 21] = [
        "n",
        "logprobs",
        "audio",
        "cachedContent",
        "container",
        "code_interpreter.container",
        "code_interpreter.container.file_ids",
        "mcp_servers",
        "continuationToken",
        "generationConfig.candidateCount",
        "generationConfig.responseLogprobs",
        "generationConfig.responseMimeType",
        "generationConfig.responseModalities",
        "web_search_options",
        "fallbacks",
        "compaction",
        "thread",
        "background",
        "previous_response_id",
        "conversation",
        "prompt",
    ];
    if is_default(native) {
        return Ok(());
    }
    if ESSENTIAL.contains(&native.field.as_str()) {
        let reason = format!("is known to {of} only, and the answer depends on it");
        return Err(Unsupported::new(&native.field, reason));
    }
    dropped.note(&native.field);
    Ok(())
}

/// Whether a field asks for what happens anyway.
fn is_default(native: &chat::Native) -> bool {
    if native.field.ends_with(".external_web_access") {
        return native.raw.get() == "true";
    }
    let one = matches!(native.field.as_str(), "n" | "generationConfig.candidateCount");
    let reasoning =
        native.field == "include" && native.raw.get() == "[\"reasoning.encrypted_content\"]";
    matches!(native.raw.get(), "null" | "false" | "[]" | "{}" | "[\"TEXT\"]")
        || (one && matches!(native.raw.get(), "1" | "\"1\""))
        || reasoning
}

/// What a tool that runs at its provider says that no other dialect has words for.
fn terms(tool: &chat::Native) -> Vec<chat::Native> {
    match tool.dialect {
        anthropic::NAME => anthropic::terms(tool),
        gemini::NAME => gemini::terms(tool),
        openai_chat::NAME => openai_chat::terms(tool),
        openai_responses::NAME => openai_responses::terms(tool),
        _ => Vec::new(),
    }
}

/// Refuses what stands for a part of the conversation that only its own provider can read. Thoughts are no such part: they
/// mean nothing to another provider anyway.
fn kept_elsewhere(native: &chat::Native) -> Result<(), Unsupported> {
    let of_thoughts = || {
        let members = json::fields(native.raw.get());
        members.iter().any(|(name, id)| name == "id" && id.get().starts_with("\"rs_"))
    };
    let reason = match native.field.as_str() {
        "item_reference" if !of_thoughts() => {
            "names an item that only its provider keeps; with `store: false` clients send the item itself"
        }
        "compaction" => "holds a conversation that only its provider can read",
        "search_result" => {
            "holds text that only its provider reads; a document of plain text goes everywhere"
        }
        "computer_call_output"
        | "local_shell_call_output"
        | "shell_call_output"
        | "apply_patch_call_output" => "is the result of a tool that only its provider has",
        _ => return Ok(()),
    };
    Err(Unsupported::new(&native.field, reason))
}

/// An operator's word in the middle, where there is no role for it.
pub(crate) const SYSTEM_AS_NOTE: &str = "system: turn -> note in a user turn";
/// A choice of a tool that the provider runs itself, where such a one cannot be asked for.
pub(crate) const HOSTED_CHOICE: &str = "tool_choice: required -> auto";
/// An answer that the client has begun, where the model begins anew.
pub(crate) const PREFILL: &str = "prefill: begun answer -> earlier answer";
/// The model's refusal, where text alone can say it.
pub(crate) const REFUSAL_AS_TEXT: &str = "refusal: refusal -> text";

/// The refusal of a block or tool that cannot be carried.
pub(crate) fn foreign(native: &chat::Native, what: &str) -> Unsupported {
    Unsupported::new(&native.field, format!("this {what} is known to {} only", native.dialect))
}
