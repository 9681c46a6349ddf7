//! Same dialect on both sides: the request's bytes pass. What must be known of them is looked at, and what must be another
//! is spliced; everything else stays as it was written, unknown fields, odd spacing and long numbers too.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json::{self, Malformed};
use crate::marks::Marks;
use crate::skip;

/// What has to be known of a request before it is sent on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Peek {
    /// The model's name, where the dialect has it in the body.
    pub model: Option<String>,
    /// Where the model's value stands in the body.
    pub model_at: Option<Range<usize>>,
    /// Whether a stream is asked for in the body.
    pub stream: bool,
    /// Whether `stream_options.include_usage` is set.
    pub include_usage: bool,
    /// Where the value of `stream_options` stands.
    pub stream_options_at: Option<Range<usize>>,
    /// The most tokens to generate, by the fields of Chat Completions: `max_completion_tokens` or `max_tokens`, whichever is
    /// more.
    pub max_tokens: Option<u64>,
    /// Whether that is said by the older field alone, `max_tokens`.
    pub older_ceiling: bool,
    /// Whether tools are on offer, under their old name or their new one.
    pub tools: bool,
    /// Whether the answer is to be fetched later (Responses).
    pub background: bool,
    /// Whether `reasoning_effort` says not to think.
    pub quiet: bool,
    /// More models to try (`OpenRouter`).
    pub models: Vec<String>,
    /// Which providers to use, and how (`OpenRouter`).
    pub provider: Preferences,
    /// Whether the body has members that only `OpenRouter` knows, so that it cannot pass as it stands.
    pub openrouter: bool,
    /// What else keeps it from passing, where that was seen on the way.
    pub marks: Option<Marks>,
}

/// `provider` of `OpenRouter`'s requests. <https://openrouter.ai/docs/features/provider-routing>
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Preferences {
    /// Providers in the order in which to try them.
    pub order: Option<Vec<String>>,
    /// Only these.
    pub only: Option<Vec<String>>,
    /// Not these.
    pub ignore: Option<Vec<String>>,
    /// Whether others than those of `order` may be tried.
    pub allow_fallbacks: Option<bool>,
    /// Whether a field that cannot be carried is an error.
    pub require_parameters: Option<bool>,
    /// By what they are put in order, in place of the gateway's own way.
    pub sort: Option<Sort>,
    /// What they may cost at most.
    pub max_price: Option<MaxPrice>,
    /// Whether they must keep nothing of what is said.
    pub zdr: Option<bool>,
    /// Whether they may keep what is said, and learn from it.
    pub data_collection: Option<DataCollection>,
    /// The names of members that stand for more than nothing, and that nobody here knows.
    #[serde(skip)]
    pub unknown: Vec<String>,
}

/// Whether providers may keep what is said.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataCollection {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

impl Preferences {
    /// Members that are known.
    const KNOWN: [&str; 9] = [
        "order",
        "only",
        "ignore",
        "allow_fallbacks",
        "require_parameters",
        "sort",
        "max_price",
        "zdr",
        "data_collection",
    ];

    fn read(raw: &RawValue) -> Result<Self, Malformed> {
        let is_nothing = |value: &RawValue| matches!(value.get(), "null" | "false" | "[]" | "{}");
        let preferences: Self = json::read(raw.get(), "provider")?;
        let members: BTreeMap<String, Box<RawValue>> = json::read(raw.get(), "provider")?;
        let unknown = members
            .into_iter()
            .filter(|(name, value)| !is_nothing(value) && !Self::KNOWN.contains(&name.as_str()));
        Ok(Self { unknown: unknown.map(|(name, _)| name).collect(), ..preferences })
    }
}

/// By what targets are put in order: a word, or an object that also says which of them are compared.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Sorting")]
pub struct Sort {
    /// By what.
    pub by: SortBy,
    /// Whether models are compared with each other too, and not only the endpoints of each.
    pub across_models: bool,
}

/// What is best.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SortBy {
    /// The lowest price.
    Price,
    /// The most tokens a second.
    Throughput,
    /// The shortest time to the first byte.
    Latency,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be price, throughput or latency, or an object with by and partition"
)]
enum Sorting {
    Word(SortBy),
    Object { by: SortBy, partition: Option<Partition> },
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Partition {
    Model,
    None,
}

impl From<Sorting> for Sort {
    fn from(sorting: Sorting) -> Self {
        match sorting {
            Sorting::Word(by) => Self { by, across_models: false },
            Sorting::Object { by, partition } => {
                Self { by, across_models: matches!(partition, Some(Partition::None)) }
            }
        }
    }
}

/// Prices that are not to be exceeded, in dollars per million tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct MaxPrice {
    /// Of the prompt.
    pub prompt: Option<Dollars>,
    /// Of the answer.
    pub completion: Option<Dollars>,
    /// Of a picture, which is not sold by the piece here.
    pub image: Option<Dollars>,
    /// Of sound, likewise.
    pub audio: Option<Dollars>,
    /// Of a request, which costs nothing by itself here.
    pub request: Option<Dollars>,
}

/// An amount as it was written: a number, or its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dollars(pub String);

impl<'de> Deserialize<'de> for Dollars {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        let text = serde_json::from_str::<String>(raw.get());
        Ok(Self(text.unwrap_or_else(|_| raw.get().to_owned())))
    }
}

/// More models to try are a handful: every one is looked for.
const MOST_MODELS: usize = 64;

struct Models(Vec<String>);

impl<'de> Deserialize<'de> for Models {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Models;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of names of models")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Models, A::Error> {
                let mut models = Vec::new();
                while let Some(model) = seq.next_element()? {
                    if models.len() == MOST_MODELS {
                        let message = format!("may have at most {MOST_MODELS} models");
                        return Err(serde::de::Error::custom(message));
                    }
                    models.push(model);
                }
                Ok(Models(models))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[derive(Default, Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    stream: Option<bool>,
    #[serde(borrow)]
    stream_options: Option<&'a RawValue>,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    #[serde(borrow)]
    tools: Option<&'a RawValue>,
    #[serde(borrow)]
    background: Option<&'a RawValue>,
    #[serde(borrow)]
    functions: Option<&'a RawValue>,
    #[serde(borrow)]
    reasoning_effort: Option<&'a RawValue>,
    models: Option<Models>,
    #[serde(borrow)]
    provider: Option<&'a RawValue>,
    reasoning: Option<IgnoredAny>,
    include_reasoning: Option<IgnoredAny>,
    usage: Option<IgnoredAny>,
    route: Option<IgnoredAny>,
    transforms: Option<IgnoredAny>,
    plugins: Option<IgnoredAny>,
    session_id: Option<IgnoredAny>,
    trace: Option<IgnoredAny>,
}

/// Takes a field that was not there before. `None` where the value is not plain: then serde says what is wrong with it.
fn once<'a, T: Deserialize<'a>>(field: &mut Option<T>, value: &'a str) -> Option<()> {
    if field.is_some() || value == "null" {
        return None;
    }
    *field = Some(serde_json::from_str(value).ok()?);
    Some(())
}

impl<'a> Fields<'a> {
    /// The fields of an object that has nothing unusual about it.
    fn scan(text: &'a str) -> Option<(Self, Marks)> {
        let mut fields = Self::default();
        let marks = skip::marked_members(text, |name, value| match name {
            "model" => once(&mut fields.model, value),
            "stream" => once(&mut fields.stream, value),
            "stream_options" => once(&mut fields.stream_options, value),
            "max_tokens" => once(&mut fields.max_tokens, value),
            "max_completion_tokens" => once(&mut fields.max_completion_tokens, value),
            "tools" => once(&mut fields.tools, value),
            "background" => once(&mut fields.background, value),
            "functions" => once(&mut fields.functions, value),
            "reasoning_effort" => once(&mut fields.reasoning_effort, value),
            "models" => once(&mut fields.models, value),
            "provider" => once(&mut fields.provider, value),
            "reasoning" => once(&mut fields.reasoning, value),
            "include_reasoning" => once(&mut fields.include_reasoning, value),
            "usage" => once(&mut fields.usage, value),
            "route" => once(&mut fields.route, value),
            "transforms" => once(&mut fields.transforms, value),
            "plugins" => once(&mut fields.plugins, value),
            "session_id" => once(&mut fields.session_id, value),
            "trace" => once(&mut fields.trace, value),
            _ => Some(()),
        })?;
        Some((fields, marks))
    }

    fn read(text: &'a str) -> Result<Self, Malformed> {
        serde_json::from_str(text).map_err(|error| {
            json::blame(text, "", &error, |alone| {
                serde_json::from_str::<Fields<'_>>(alone).map(drop)
            })
        })
    }

    fn openrouter(&self) -> bool {
        self.models.is_some()
            || self.provider.is_some()
            || [
                &self.reasoning,
                &self.include_reasoning,
                &self.usage,
                &self.route,
                &self.transforms,
                &self.plugins,
                &self.session_id,
                &self.trace,
            ]
            .iter()
            .any(|field| field.is_some())
    }
}

#[derive(Default, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

impl Peek {
    /// Looks at a body without building it: one pass, no copies but of the model's name. A field that stands there twice
    /// is refused, because two readers may take different ones for it.
    pub fn of(body: &[u8]) -> Result<Self, Malformed> {
        let text = json::utf8(body)?;
        // A list would be read as one of the members' values.
        if text.trim_start().starts_with('[') {
            return Err(Malformed::new("", "expected an object, not a list"));
        }
        if let Some((fields, marks)) = Fields::scan(text) {
            let peek = Self::made(text, &fields)?;
            return Ok(Self { marks: Some(marks), ..peek });
        }
        Self::made(text, &Fields::read(text)?)
    }

    fn made(text: &str, fields: &Fields<'_>) -> Result<Self, Malformed> {
        let at = |raw: &RawValue| at(text, raw.get());
        let model =
            match fields.model {
                Some(raw) => Some(serde_json::from_str(raw.get()).map_err(|_| {
                    Malformed::new("model", "must be a string: the name of a model")
                })?),
                None => None,
            };
        let options = fields.stream_options.map(RawValue::get).filter(|raw| *raw != "null");
        let options: StreamOptions = match options {
            Some(raw) => json::read(raw, "stream_options")?,
            None => StreamOptions::default(),
        };
        let openrouter = fields.openrouter();
        let provider = match fields.provider {
            Some(raw) => Preferences::read(raw)?,
            None => Preferences::default(),
        };
        Ok(Self {
            model,
            model_at: fields.model.and_then(at),
            stream: fields.stream.unwrap_or(false),
            include_usage: options.include_usage.unwrap_or(false),
            stream_options_at: fields.stream_options.and_then(at),
            max_tokens: fields.max_completion_tokens.max(fields.max_tokens),
            older_ceiling: fields.max_completion_tokens.is_none() && fields.max_tokens.is_some(),
            tools: [fields.tools, fields.functions]
                .iter()
                .flatten()
                .any(|raw| !matches!(raw.get(), "null" | "[]")),
            background: fields.background.is_some_and(|raw| !matches!(raw.get(), "null" | "false")),
            quiet: fields.reasoning_effort.is_some_and(|raw| raw.get() == "\"none\""),
            models: fields.models.as_ref().map(|models| models.0.clone()).unwrap_or_default(),
            provider,
            openrouter,
            marks: None,
        })
    }
}

/// A body with some of its values replaced. `edits` are where and by what; they do not overlap.
pub fn splice(body: &[u8], mut edits: Vec<(Range<usize>, String)>) -> Vec<u8> {
    edits.sort_by_key(|(at, _)| at.start);
    let more: usize = edits.iter().map(|(_, text)| text.len()).sum();
    let mut spliced = Vec::with_capacity(body.len() + more);
    let mut done = 0;
    for (at, text) in edits {
        spliced.extend_from_slice(body.get(done..at.start).unwrap_or_default());
        spliced.extend_from_slice(text.as_bytes());
        done = at.end;
    }
    spliced.extend_from_slice(body.get(done..).unwrap_or_default());
    spliced
}

/// Where the value of a top-level member goes, and as which text: in place of the one that stands there, be it null, or as a
/// new first member. Two members of one name would be read by some as the first and by others as the last.
pub fn set_member(body: &[u8], name: &str, value: &str) -> Option<(Range<usize>, String)> {
    match member_at(body, name) {
        Some(at) => Some((at, value.to_owned())),
        None => insert_member(body, &format!("\"{name}\":{value}")),
    }
}

/// Where the name of a top-level member stands, and the other `name` for it. Nothing where the body is written in an unusual
/// way.
pub fn rename_member(body: &[u8], old: &str, name: &str) -> Option<(Range<usize>, String)> {
    let text = std::str::from_utf8(body).ok()?;
    let mut found = None;
    skip::members(text, |known, _| {
        found = if known == old { Some(known) } else { found };
        Some(())
    })?;
    Some((at(text, found?)?, name.to_owned()))
}

/// Where the value of a top-level member stands.
fn member_at(body: &[u8], name: &str) -> Option<Range<usize>> {
    let text = std::str::from_utf8(body).ok()?;
    let found = if let Some([found]) = skip::pick(text, [name]) {
        found
    } else {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
        members.get(name).map(|raw| raw.get())
    };
    at(text, found?)
}

/// Where a part of a text is in it.
pub(crate) fn at(text: &str, part: &str) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    Some(start..start + part.len())
}

/// Where a new first member of the object in `body` goes, and with which text.
pub fn insert_member(body: &[u8], member: &str) -> Option<(Range<usize>, String)> {
    let open = body.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let rest = body.get(open..)?.strip_prefix(b"{")?;
    let empty = rest.trim_ascii_start().starts_with(b"}");
    let comma = if empty { "" } else { "," };
    Some((open + 1..open + 1, format!("{member}{comma}")))
}

#[cfg(test)]
#[path = "peek_tests.rs"]
mod tests;
