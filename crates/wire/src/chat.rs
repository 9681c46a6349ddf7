//! The canonical request: what the dialects have in common, in the shape of the richest of them.

use crate::Unsupported;
use crate::json::{self, Json};

/// One request for an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chat {
    /// The model as the client wrote it; empty where the dialect names it in the path (Gemini).
    pub model: String,
    /// The operator's instructions ahead of the conversation.
    pub system: Vec<Block>,
    /// The conversation. Adjacent turns of one role may occur; writers merge them where their dialect asks for it.
    pub turns: Vec<Turn>,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Which of them may or must be called.
    pub tool_choice: ToolChoice,
    /// Whether several calls in one answer are allowed; nothing said means the provider's default.
    pub parallel_tools: Option<bool>,
    /// How the next token is chosen, and where to stop.
    pub sampling: Sampling,
    /// How much to think; nothing said means the provider's default, which often is to think.
    pub reasoning: Option<Reasoning>,
    /// The shape of the answer.
    pub output: Output,
    /// The most tokens to generate, thinking included.
    pub max_tokens: Option<u64>,
    /// Whether the answer is to come as a stream.
    pub stream: bool,
    /// Whether the client of a stream asked for the usage (`OpenAI`; the others always send it).
    pub include_usage: bool,
    /// An opaque name of the end user, for the provider's abuse checks.
    pub user: Option<String>,
    /// The processing tier asked for, in the words of `OpenAI`: `auto`, `default`, `flex`, `priority`.
    pub service_tier: Option<String>,
    /// Fields that only the source dialect knows.
    pub native: Vec<Native>,
}

impl Chat {
    /// Refuses a conversation without a word in it, which no provider answers.
    pub(crate) fn says_something(&self) -> Result<(), Unsupported> {
        if self.turns.is_empty() && self.system.is_empty() {
            return Err(Unsupported::new(
                "messages",
                "there is none, so there is nothing to answer",
            ));
        }
        Ok(())
    }

    /// Whether a name is that of a tool which the provider runs itself.
    pub(crate) fn names_hosted(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| {
            let Tool::Hosted { native, .. } = tool else { return false };
            let members = json::fields(native.raw.get());
            members
                .iter()
                .any(|(field, value)| field == "name" && value.as_string().as_deref() == Some(name))
        })
    }
}

/// Whether a text among these speaks of JSON: `OpenAI` and `DeepSeek` refuse to write it for a prompt that does not.
pub(crate) fn speaks_of_json<'a>(mut blocks: impl Iterator<Item = &'a Block>) -> bool {
    blocks.any(|block| match block {
        Block::Text(text) => text.to_ascii_lowercase().contains("json"),
        _ => false,
    })
}

/// One side's contribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Turn {
    /// Whose.
    pub role: Role,
    /// What.
    pub blocks: Vec<Block>,
    /// The speaker's name within the role (`OpenAI`).
    pub name: Option<String>,
}

/// Who speaks.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The client's side; results of tools too.
    User,
    /// The model.
    Assistant,
    /// The operator, in the middle of the conversation.
    System,
}

/// A piece of a turn or of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    /// Visible text.
    Text(String),
    /// The model's explicit refusal to answer.
    Refusal(String),
    /// A picture, a document, sound or film.
    Media(Media),
    /// Thinking, as far as the provider shows it.
    Thinking {
        /// The thoughts or their summary; may be empty.
        text: String,
        /// The provider's proof that these are its own thoughts.
        seal: Option<Seal>,
    },
    /// A call of one of the client's tools.
    ToolUse {
        /// Unique within the conversation.
        id: String,
        /// The tool.
        name: String,
        /// The arguments, as written by the model; an object unless the model blundered.
        input: Json,
        /// State that must come back with the call (Gemini).
        seal: Option<Seal>,
    },
    /// What a tool returned.
    ToolResult {
        /// The call it answers.
        id: String,
        /// The tool, where the dialect says it (Gemini).
        name: Option<String>,
        /// The result.
        blocks: Vec<Block>,
        /// Whether the tool failed.
        failed: bool,
    },
    /// A source that the text block before it rests on.
    Citation(Citation),
    /// Everything before this point is worth caching.
    CachePoint(CacheLife),
    /// A piece that only its own dialect knows.
    Native(Native),
}

/// A source on the web that a text rests on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Citation {
    /// Where.
    pub url: String,
    /// Its title.
    pub title: Option<String>,
    /// The words taken from it.
    pub cited_text: Option<String>,
    /// What part of the text block it stands behind, in Unicode characters: first, and one past the last.
    pub span: Option<(u64, u64)>,
    /// The citation as its own dialect writes it, where it must come back as it was (Anthropic).
    pub native: Option<Native>,
}

/// How long a cache entry is to live.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CacheLife {
    /// The provider's ordinary time: 5 minutes at Anthropic, 30 at `OpenAI`.
    Short,
    /// The longer one: an hour at Anthropic, 12 at `OpenAI`.
    Long,
}

/// What a piece of media shows.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A PDF or other file.
    Document,
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

impl MediaKind {
    /// The kind of a MIME type; what is neither picture, sound nor film is a document.
    pub fn of_mime(mime: &str) -> Self {
        match mime.split('/').next() {
            Some("image") => Self::Image,
            Some("audio") => Self::Audio,
            Some("video") => Self::Video,
            _ => Self::Document,
        }
    }

    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Document => "document",
            Self::Audio => "audio",
            Self::Video => "video",
        }
    }
}

/// A picture, a document, sound or film.
#[derive(Clone, Debug, PartialEq)]
pub struct Media {
    /// What it shows.
    pub kind: MediaKind,
    /// Where it is.
    pub source: Source,
    /// Its MIME type, where known.
    pub mime: Option<String>,
    /// Its file name or title.
    pub name: Option<String>,
    /// The resolution asked for: `auto`, `low`, `high`, `original` (`OpenAI`).
    pub detail: Option<String>,
    /// What is said in it (audio that a model made).
    pub transcript: Option<String>,
}

impl Media {
    /// Media of nothing but its kind and place.
    pub fn new(kind: MediaKind, source: Source, mime: Option<String>) -> Self {
        Self { kind, source, mime, name: None, detail: None, transcript: None }
    }

    /// Media from a URL; a `data:` URL is taken apart.
    pub fn from_url(kind: MediaKind, url: &str) -> Self {
        match split_data_url(url) {
            Some((mime, data)) => {
                let kind =
                    if kind == MediaKind::Document { MediaKind::of_mime(&mime) } else { kind };
                Self::new(kind, Source::Base64(data), Some(mime))
            }
            None => Self::new(kind, Source::Url(url.to_owned()), None),
        }
    }

    /// The content as a URL: a `data:` one where it is inline.
    pub fn url(&self) -> Option<String> {
        match &self.source {
            Source::Url(url) => Some(url.clone()),
            Source::Base64(data) => {
                let mime = self.mime.as_deref().unwrap_or("application/octet-stream");
                Some(format!("data:{mime};base64,{data}"))
            }
            Source::Text(_) | Source::File { .. } => None,
        }
    }
}

/// `data:<mime>[;parameter...];base64,<data>`; nothing for other URLs and for `data:` without base64.
fn split_data_url(url: &str) -> Option<(String, String)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let mime = head.strip_suffix(";base64")?.split(';').next()?;
    let mime = if mime.is_empty() { "application/octet-stream" } else { mime };
    Some((mime.to_owned(), data.to_owned()))
}

/// Where media is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// On the web, for the provider to fetch.
    Url(String),
    /// Here, in base64.
    Base64(String),
    /// Here, as plain text (Anthropic's text documents).
    Text(String),
    /// In the files of one provider; means nothing to any other.
    File {
        /// The dialect it was named in.
        dialect: &'static str,
        /// Its id or URI there.
        id: String,
    },
}

/// Opaque state of a provider, valid at that provider only, at the very place it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The dialect that it was read from.
    pub dialect: &'static str,
    /// Its bytes, as written on the wire.
    pub value: String,
}

/// A field or block that only one dialect knows: written back to that dialect, reported as dropped anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    /// The dialect that it was read from; empty for a member inside a block or a tool, which is only ever reported.
    pub dialect: &'static str,
    /// Its name there; for a field within an object, both with a dot: `generationConfig.imageConfig`.
    pub field: String,
    /// Its value, untouched.
    pub raw: Json,
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// A function of the client.
    Function {
        /// Its name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// JSON Schema of its arguments; none means no arguments.
        schema: Option<Json>,
        /// Whether the arguments must follow the schema exactly.
        strict: Option<bool>,
        /// A cache marker behind it (Anthropic).
        cache: Option<CacheLife>,
    },
    /// A tool that runs at the provider, of a kind that several dialects have.
    Hosted {
        /// What it does.
        kind: Hosted,
        /// The tool as its own dialect writes it, for that dialect.
        native: Native,
    },
    /// A tool that only its own dialect knows.
    Native(Native),
}

/// What a tool that runs at the provider does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosted {
    /// Searches the web.
    WebSearch(WebSearch),
    /// Reads web pages.
    WebFetch,
    /// Runs code.
    CodeExecution,
    /// Looks for definitions of tools that are not in the prompt.
    ToolSearch,
}

/// Terms of a search of the web.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebSearch {
    /// The most searches in one answer (Anthropic).
    pub max_uses: Option<u64>,
    /// Only these sites.
    pub allowed_domains: Vec<String>,
    /// Not these sites (Anthropic).
    pub blocked_domains: Vec<String>,
    /// Where the user is, as the dialects write it alike: `{"type":"approximate","city":...,"country":...}`.
    pub user_location: Option<Json>,
    /// How much to read: `low`, `medium`, `high` (`OpenAI`).
    pub context_size: Option<String>,
}

/// Which tools may or must be called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ToolChoice {
    /// Nothing said.
    #[default]
    Unsaid,
    /// The model decides.
    Auto,
    /// None may be called.
    None,
    /// At least one must be called.
    Required,
    /// This one must be called.
    One(String),
    /// Only these may be called.
    Among {
        /// Their names.
        names: Vec<String>,
        /// Whether one must be.
        required: bool,
    },
}

/// How the next token is chosen, and where to stop.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2 (Anthropic: to 1).
    pub temperature: Option<f64>,
    /// 0 to 1.
    pub top_p: Option<f64>,
    /// How many candidates per token.
    pub top_k: Option<f64>,
    /// -2 to 2.
    pub presence_penalty: Option<f64>,
    /// -2 to 2.
    pub frequency_penalty: Option<f64>,
    /// For repeatable answers, best effort.
    pub seed: Option<i64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
}

/// How much to think. Neither effort nor budget means: think, as much as the model sees fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// The level.
    pub effort: Option<Effort>,
    /// Tokens that thinking may take.
    pub budget: Option<u64>,
    /// Whether thoughts are to be shown.
    pub show: Option<bool>,
}

/// Levels of thinking, the words of all providers together.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// `minimal`.
    Minimal,
    /// `low`.
    Low,
    /// `medium`.
    Medium,
    /// `high`.
    High,
    /// `xhigh`.
    Xhigh,
    /// `max`.
    Max,
}

impl Effort {
    const ALL: [Self; 7] =
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::Xhigh, Self::Max];

    /// The word in `OpenAI`'s and Anthropic's requests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Xhigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The level of that word, in any case.
    pub fn from_name(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| effort.name().eq_ignore_ascii_case(word))
    }

    /// The level nearest to a budget of thinking tokens.
    pub const fn from_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=2_048 => Self::Low,
            2_049..=8_192 => Self::Medium,
            8_193..=24_576 => Self::High,
            24_577..=49_152 => Self::Xhigh,
            _ => Self::Max,
        }
    }
}

/// The shape of the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Text, or JSON.
    pub format: Format,
    /// How wordy: `low`, `medium`, `high` (`OpenAI`).
    pub verbosity: Option<String>,
}

/// Text, or JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Free text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON that follows a schema.
    JsonSchema {
        /// The schema's name, which `OpenAI` requires.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The JSON Schema.
        schema: Json,
        /// Whether it must be followed exactly.
        strict: Option<bool>,
    },
}
