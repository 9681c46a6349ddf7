//! Steps 1 to 3 of a request: what came, from whom.

use std::borrow::Cow;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use uuid::Uuid;
use wire::Chat;
use wire::marks::Marks;
use wire::peek::{self, Peek};

use crate::count;
use crate::face::{Face, Speech};
use crate::large::{self, Weight};
use crate::native;
use crate::preference;
use crate::problem::Problem;
use crate::snapshot::KeyEntry;
use crate::telemetry::Passage;

/// What an endpoint does.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// An answer, whole or as a stream.
    Chat,
    /// Vectors of texts.
    Embed,
    /// How many tokens a prompt has.
    Count,
}

/// How many models a request may name besides the first, as at `OpenRouter`: each may be a call that the house pays in vain.
const MOST_MODELS: usize = 3;

/// A request as it came.
pub(crate) struct Inbound {
    /// In the receipt, the log and `x-request-id`.
    pub(crate) id: Uuid,
    pub(crate) face: Face,
    pub(crate) operation: Operation,
    pub(crate) account_id: Uuid,
    pub(crate) user_id: Uuid,
    pub(crate) key_id: Uuid,
    /// The models asked for, in the order in which they are to be tried.
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) stream: bool,
    /// Whether a stream is to come as one JSON array (Gemini without `alt=sse`).
    pub(crate) json_array: bool,
    /// Whether nothing of the request may be left out (`x-tollgate-strict`, `provider.require_parameters`).
    pub(crate) strict: bool,
    pub(crate) peek: Peek,
    /// Headers and query that go on to a provider of the same dialect.
    pub(crate) forwarded: HeaderMap,
    pub(crate) query: Option<String>,
    /// The verb of a Gemini path.
    pub(crate) verb: String,
    pub(crate) body: Bytes,
    /// Of a large one.
    pub(crate) weight: Option<Weight>,
    /// The most tokens that the answer may have, where the client leaves that open and its credit does not.
    pub(crate) ceiling: Option<u64>,
    pub(crate) passage: Arc<Passage>,
    /// The body in the canonical form, once somebody has asked for it. Boxed, because most requests do without.
    chat: OnceLock<Box<Chat>>,
    /// What has been searched for in a body that was not looked through, once somebody has asked for it.
    marks: OnceLock<Marks>,
}

/// A model as the client names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// Where the client names the provider by itself.
    pub(crate) provider: Option<String>,
    pub(crate) model: String,
}

/// What the path says that the body does not.
#[derive(Default)]
pub(crate) struct Named {
    /// Gemini's model.
    pub(crate) model: Option<String>,
    /// Gemini's verb.
    pub(crate) verb: String,
}

impl Inbound {
    /// Reads what must be known of a request before anything is done about it.
    pub(crate) fn read(
        passage: Arc<Passage>,
        face: Face,
        operation: Operation,
        named: Named,
        key: &KeyEntry,
        parts: &Parts,
        (body, weight): (Bytes, Option<Weight>),
    ) -> Result<Self, Problem> {
        let mut inbound = Self {
            id: passage.id,
            face,
            operation,
            account_id: key.account_id,
            user_id: key.user_id,
            key_id: key.id,
            wanted: Vec::new(),
            stream: false,
            json_array: false,
            strict: is_true(&parts.headers, "x-tollgate-strict")?,
            peek: Peek::default(),
            forwarded: forwarded(&parts.headers),
            query: parts.uri.query().map(without_key).filter(|query| !query.is_empty()),
            verb: named.verb,
            body,
            weight,
            ceiling: None,
            passage,
            chat: OnceLock::new(),
            marks: OnceLock::new(),
        };
        if let Speech::Native = face.speech {
            let (wanted, chat) = native::chat::read(&inbound.body)?;
            inbound.stream = chat.stream;
            inbound.wanted.push(wanted);
            inbound.chat = OnceLock::from(Box::new(chat));
        } else {
            inbound.look(named.model)?;
        }
        Ok(inbound)
    }

    /// Looks at a body in one of the dialects.
    fn look(&mut self, named: Option<String>) -> Result<(), Problem> {
        self.peek = Peek::of(&self.body).map_err(Problem::malformed)?;
        preference::check_privacy(&self.peek.provider)?;
        if self.peek.background && self.face.is(wire::openai_responses::NAME) {
            // Nobody would see what it comes to.
            let message = "background: is not supported here, as nobody would meter the finished job; ask for the answer, or for a stream of it";
            return Err(Problem::bad_request(message).with_code("unsupported_parameter"));
        }
        self.strict |= self.peek.provider.require_parameters == Some(true);
        self.stream = self.peek.stream && self.operation == Operation::Chat;
        if self.face.is(wire::gemini::NAME) {
            let pairs = || self.query.as_deref().unwrap_or_default().split('&');
            self.stream = self.verb == "streamGenerateContent";
            self.json_array = self.stream && !pairs().any(|pair| pair == "alt=sse");
        }
        let several = self.peek.models.len();
        if several > MOST_MODELS {
            return Err(Problem::bad_request(format!(
                "models: {several} models are too many; expected at most {MOST_MODELS}"
            )));
        }
        let first = named.or_else(|| self.peek.model.clone()).filter(|model| !model.is_empty());
        for model in first.into_iter().chain(self.peek.models.clone()) {
            let wanted = Wanted { provider: None, model };
            if !self.wanted.contains(&wanted) {
                self.wanted.push(wanted);
            }
        }
        if self.wanted.is_empty() {
            return Err(self.nameless());
        }
        Ok(())
    }

    /// Nothing without a price is sent, and that is a model's.
    fn nameless(&self) -> Problem {
        let stored = self.face.is(wire::openai_responses::NAME)
            && memmem::find(&self.body, b"\"prompt\"").is_some();
        Problem::bad_request(if stored {
            "model: is missing; name the one of the stored prompt, which is not known here, so that it has a price"
        } else {
            "model: is missing; it holds a model such as openai/gpt-4o or gpt-4o"
        })
        .about("model")
    }

    /// The body, with the first model of the client's list where it names no other.
    fn named(&self) -> Result<Cow<'_, [u8]>, Problem> {
        let (Some(wanted), None, false) =
            (self.wanted.first(), &self.peek.model, self.peek.models.is_empty())
        else {
            return Ok(Cow::Borrowed(&self.body));
        };
        let model = serde_json::Value::from(wanted.model.as_str()).to_string();
        let edit = peek::set_member(&self.body, "model", &model)
            .ok_or_else(|| Problem::bad_request("the request body: expected an object"))?;
        Ok(Cow::Owned(peek::splice(&self.body, vec![edit])))
    }

    /// Lowers the ceiling of the answer.
    pub(crate) fn limit_output(&mut self, tokens: u64) {
        self.ceiling = Some(tokens);
        // What nobody here can read goes on as it is, with its ceiling put into it.
        if self.chat().is_ok()
            && let Some(chat) = self.chat.get_mut()
        {
            chat.max_tokens = Some(tokens);
        }
    }

    /// What in the body keeps it from passing as it is.
    pub(crate) fn marks(&self) -> Marks {
        self.peek.marks.unwrap_or_else(|| *self.marks.get_or_init(|| Marks::of(&self.body)))
    }

    /// The request in the canonical form.
    pub(crate) fn chat(&self) -> Result<&Chat, Problem> {
        if let Some(chat) = self.chat.get() {
            return Ok(chat);
        }
        let chat = self.read_chat()?;
        Ok(self.chat.get_or_init(|| Box::new(chat)))
    }

    /// Whether the canonical form is there.
    pub(crate) fn is_read(&self) -> bool {
        self.chat.get().is_some()
    }

    /// Looks at the canonical form, which is not kept of a large body that has not been read so far.
    pub(crate) fn look_at<T>(&self, look: impl FnOnce(&Chat) -> T) -> Result<T, Problem> {
        if self.weight.is_some() && !self.is_read() {
            return large::alone(|| self.read_chat().map(|chat| look(&chat)));
        }
        self.chat().map(look)
    }

    fn read_chat(&self) -> Result<Chat, Problem> {
        let mut chat = if self.operation == Operation::Count {
            count::read_request(self)?
        } else {
            self.face.read_request(&self.named()?)?
        };
        chat.stream = self.stream;
        Ok(chat)
    }
}

/// The query without the caller's key, which is ours.
fn without_key(query: &str) -> String {
    let pairs: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("key=")).collect();
    pairs.join("&")
}

/// Headers that mean something to the provider. Everything else, credentials above all, stays here.
fn forwarded(headers: &HeaderMap) -> HeaderMap {
    const FORWARDED: [&str; 3] = ["anthropic-version", "anthropic-beta", "openai-beta"];
    let mut forwarded = HeaderMap::new();
    for name in FORWARDED.map(HeaderName::from_static) {
        for value in headers.get_all(&name) {
            forwarded.append(&name, value.clone());
        }
    }
    forwarded
}

fn is_true(headers: &HeaderMap, name: &'static str) -> Result<bool, Problem> {
    match headers.get(name).map(HeaderValue::as_bytes) {
        None | Some(b"false" | b"0") => Ok(false),
        Some(b"true" | b"1") => Ok(true),
        Some(_) => Err(Problem::bad_request(format!("{name}: expected true or false"))),
    }
}
