//! How a client is spoken to: which dialect it writes, and the small differences between the places where it does so.

use wire::problem::Problem as WireProblem;
use wire::{Chat, Dialect, Json, Reply, Shape, Writer};

use crate::native;
use crate::problem::Problem;

/// What a client of an endpoint for chats writes and reads.
#[derive(Copy, Clone)]
pub(crate) enum Speech {
    /// `/api/layers/chat`.
    Native,
    /// One of the dialects.
    Dialect(&'static dyn Dialect),
    /// The older form of `OpenAI`, a prompt in place of messages.
    Completions,
}

/// An endpoint's way with its clients.
#[derive(Copy, Clone)]
pub(crate) struct Face {
    /// What it is called in receipts.
    pub(crate) surface: &'static str,
    pub(crate) speech: Speech,
    /// Whether the client is one of `OpenRouter`'s: errors have its form, and answers say what they cost.
    pub(crate) openrouter: bool,
}

impl Face {
    pub(crate) const NATIVE: Self =
        Self { surface: "native", speech: Speech::Native, openrouter: false };

    pub(crate) const fn of(dialect: &'static dyn Dialect, surface: &'static str) -> Self {
        Self { surface, speech: Speech::Dialect(dialect), openrouter: false }
    }

    /// The same endpoint below `OpenRouter`'s base.
    pub(crate) const fn for_openrouter(self, surface: &'static str) -> Self {
        Self { surface, openrouter: true, ..self }
    }

    /// The dialect, where the client writes one that providers speak too.
    pub(crate) fn dialect(self) -> Option<&'static dyn Dialect> {
        match self.speech {
            Speech::Dialect(dialect) => Some(dialect),
            Speech::Native | Speech::Completions => None,
        }
    }

    /// Where the dialect is described.
    pub(crate) fn source(self) -> Option<&'static str> {
        match self.surface {
            "openai_chat" => Some("https://platform.openai.com/docs/api-reference/chat"),
            "openai_responses" => Some("https://platform.openai.com/docs/api-reference/responses"),
            "openai_completions" => {
                Some("https://platform.openai.com/docs/api-reference/completions")
            }
            "anthropic" => Some("https://docs.claude.com/en/api/messages"),
            "gemini" => Some("https://ai.google.dev/api/generate-content"),
            "openrouter" => Some("https://openrouter.ai/docs/api-reference/overview"),
            _ => None,
        }
    }

    pub(crate) fn is(self, dialect: &str) -> bool {
        self.dialect().is_some_and(|own| own.name() == dialect)
    }

    /// The client's name for a field, or its words for a note about one.
    pub(crate) fn word_for(self, note: &str) -> String {
        match self.dialect() {
            // Its clients have an object of that name.
            Some(_) if self.openrouter && note.starts_with("reasoning") => note.to_owned(),
            Some(dialect) => wire::in_words_of(dialect.name(), note),
            None => note.to_owned(),
        }
    }

    pub(crate) fn read_request(self, body: &[u8]) -> Result<Chat, Problem> {
        match self.speech {
            Speech::Native => native::chat::read(body).map(|(_, chat)| chat),
            Speech::Dialect(dialect) => dialect.read_request(body).map_err(Problem::malformed),
            Speech::Completions => {
                wire::openai_chat::completions::read_request(body).map_err(Problem::malformed)
            }
        }
    }

    pub(crate) fn write_reply(self, reply: &Reply, shape: &Shape) -> Vec<u8> {
        match self.speech {
            Speech::Native => native::chat::write(reply),
            Speech::Dialect(dialect) => dialect.write_reply(reply, shape),
            Speech::Completions => wire::openai_chat::completions::write_reply(reply, shape),
        }
    }

    pub(crate) fn writer(self, shape: Shape) -> Box<dyn Writer> {
        match self.speech {
            Speech::Native => Box::new(native::stream::NativeWriter::default()),
            Speech::Dialect(dialect) => dialect.writer(shape),
            Speech::Completions => wire::openai_chat::completions::writer(shape),
        }
    }

    pub(crate) fn echo(self, body: &[u8]) -> Vec<(String, Json)> {
        self.dialect().map(|dialect| dialect.echo(body)).unwrap_or_default()
    }

    /// Status and body of an error.
    pub(crate) fn write_problem(self, problem: &WireProblem, code: &str) -> (u16, Vec<u8>) {
        if self.openrouter && !self.is(wire::anthropic::NAME) {
            return wire::openai_chat::openrouter::write_problem(problem);
        }
        match self.speech {
            Speech::Native => native::write_problem(problem, code),
            Speech::Dialect(dialect) => dialect.write_problem(problem),
            Speech::Completions => OPENAI_CHAT.write_problem(problem),
        }
    }
}

pub(crate) static OPENAI_CHAT: &dyn Dialect = &wire::openai_chat::OpenaiChat;
pub(crate) static OPENAI_RESPONSES: &dyn Dialect = &wire::openai_responses::OpenaiResponses;
pub(crate) static ANTHROPIC: &dyn Dialect = &wire::anthropic::Anthropic;
pub(crate) static GEMINI: &dyn Dialect = &wire::gemini::Gemini;
