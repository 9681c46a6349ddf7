//! JSON where it must stay as it was written, and reading that says which field was wrong.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::fault::fault;
use crate::unknown::{Notes, Watched};

/// A JSON value kept as its own text, byte for byte: numbers of any length and the order of keys survive.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

impl Json {
    /// The value written in `text`, or nothing if that is not one JSON value.
    pub fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// `value` as JSON; `null` where it cannot be written (a map with keys that are not text).
    pub fn of(value: &impl Serialize) -> Self {
        Self(serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }

    /// The empty object, `{}`.
    pub fn empty_object() -> Self {
        Self::of(&serde_json::Map::new())
    }

    /// The text of the value.
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Whether this is an object.
    pub fn is_object(&self) -> bool {
        self.get().starts_with('{')
    }

    /// This value if it is an object, else an object that holds it under `_raw`: Anthropic and Gemini take tool
    /// arguments as objects only, and a model may have written anything.
    #[must_use]
    pub fn into_object(self) -> Self {
        if self.is_object() { self } else { Self::of(&Wrapped { raw: self }) }
    }

    /// The text inside, if this is a JSON string.
    pub fn as_string(&self) -> Option<String> {
        serde_json::from_str(self.get()).ok()
    }

    /// Whether this holds arguments in an object of ours, or would have to where an object is asked for.
    pub(crate) fn is_no_object(&self) -> bool {
        !self.is_object() || self.broken_arguments().is_some()
    }

    /// These arguments as the text that OpenAI takes: what was no JSON is what it was.
    pub(crate) fn to_arguments(&self) -> Cow<'_, str> {
        self.broken_arguments().map_or(Cow::Borrowed(self.get()), Cow::Owned)
    }

    /// The text that [`Json::from_arguments`] could not read, if this is what it made of one.
    fn broken_arguments(&self) -> Option<String> {
        let raw = self.get().strip_prefix("{\"_raw\":")?.strip_suffix('}')?;
        let text = Self::parse(raw)?.as_string()?;
        Self::parse(&text).is_none().then_some(text)
    }

    /// Tool arguments, which OpenAI sends as text. Empty text means no arguments; text that is no JSON is kept in an
    /// object under `_raw`, because a history is replayed as it was, broken or not.
    pub fn from_arguments(text: &str) -> Self {
        if text.trim().is_empty() {
            return Self::empty_object();
        }
        Self::parse(text).unwrap_or_else(|| Self::of(&Wrapped { raw: Self::of(&text) }))
    }
}

#[derive(Serialize)]
struct Wrapped {
    #[serde(rename = "_raw")]
    raw: Json,
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl Eq for Json {}

/// A body or a part of it that is not what its dialect asks for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{problem}", path, if path.is_empty() { "" } else { ": " })]
pub struct Malformed {
    /// Where: a JSON path such as `messages[3].content`, empty for the whole body.
    pub path: String,
    /// What is wrong there and what would be right.
    pub problem: String,
}

impl Malformed {
    pub(crate) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

pub(crate) fn utf8(body: &[u8]) -> Result<&str, Malformed> {
    simdutf8::basic::from_utf8(body).map_err(|_| Malformed::new("", "not UTF-8"))
}

/// Reads an object that a client has sent.
///
/// # Errors
/// Where it is wrong, and what would be right there.
pub fn read_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, Malformed> {
    read_again(|| serde_json::Deserializer::from_slice(body), "")
}

/// Reads a wire struct.
pub(crate) fn read<T: DeserializeOwned>(text: &str, path: &str) -> Result<T, Malformed> {
    read_again(|| serde_json::Deserializer::from_str(text), path)
}

/// Reads what `reader` gives. On failure it is read once more, to find out where it is wrong.
fn read_again<'t, T: DeserializeOwned, R: serde_json::de::Read<'t>>(
    reader: impl Fn() -> serde_json::Deserializer<R>,
    path: &str,
) -> Result<T, Malformed> {
    let (mut first, mut notes) = (reader(), Notes::default());
    let read = T::deserialize(Watched::new(&mut first, &mut notes));
    read.and_then(|value| first.end().map(|()| value)).map_err(|error| {
        let (mut again, mut notes) = (reader(), Notes::default());
        let again = Watched::new(&mut again, &mut notes);
        let Err(found) = serde_path_to_error::deserialize::<_, T>(again) else {
            return fault(path, &error);
        };
        let inside = found.path().to_string();
        // The two signs of its own for "here" and for "somewhere".
        let path = match (path, inside.as_str()) {
            (path, "." | "?") => path.to_owned(),
            ("", inside) => inside.to_owned(),
            (path, inside) => format!("{path}.{inside}"),
        };
        fault(&path, found.inner())
    })
}

/// The fault of a text that could not be read: `alone` tries an object of one of its members.
pub(crate) fn blame(
    text: &str,
    path: &str,
    error: &serde_json::Error,
    alone: impl Fn(&str) -> Result<(), serde_json::Error>,
) -> Malformed {
    for (name, value) in fields(text) {
        if let Err(error) = alone(&format!("{{{}:{}}}", Json::of(&name).get(), value.get())) {
            let dot = if path.is_empty() { "" } else { "." };
            return fault(&format!("{path}{dot}{name}"), &error);
        }
    }
    fault(path, error)
}

/// The members of an object in their order; empty for anything else.
pub(crate) fn fields(text: &str) -> Vec<(String, Json)> {
    serde_json::from_str::<Fields>(text).map_or_else(|_| Vec::new(), |fields| fields.0)
}

/// `value` as an object with `more` members behind its own.
pub(crate) fn object_with(value: &impl Serialize, more: &[(String, Json)]) -> Json {
    let own = Json::of(value);
    if more.is_empty() || !own.get().ends_with('}') {
        return own;
    }
    let mut text = own.get().to_owned();
    text.pop();
    for (name, value) in more {
        if !text.ends_with('{') {
            text.push(',');
        }
        text.push_str(Json::of(name).get());
        text.push(':');
        text.push_str(value.get());
    }
    text.push('}');
    Json::parse(&text).unwrap_or_else(Json::empty_object)
}

struct Fields(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Fields(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Writes a number that may come as `40.0` as the whole number that it is, where it is one.
#[expect(
    clippy::cast_possible_truncation,
    reason = "only whole numbers that an i64 holds are cast"
)]
#[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
pub(crate) fn whole<S: serde::Serializer>(
    number: &Option<f64>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    const LARGEST: f64 = 1e15;
    match number {
        Some(number) if number.fract() == 0.0 && number.abs() < LARGEST => {
            serializer.serialize_i64(*number as i64)
        }
        number => number.serialize(serializer),
    }
}

/// Text, or a list: several fields take either (`stop`, `content`, `system`).
pub(crate) enum TextOr<T> {
    Text(String),
    List(Vec<T>),
}

impl TextOr<String> {
    /// The one text, or those of the list.
    pub(crate) fn into_list(self) -> Vec<String> {
        match self {
            Self::Text(one) => vec![one],
            Self::List(several) => several,
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for TextOr<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Either<T> {
            type Value = TextOr<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array")
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(TextOr::Text(text.to_owned()))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<Self::Value, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(TextOr::List(list))
            }
        }
        deserializer.deserialize_any(Either(std::marker::PhantomData))
    }
}

impl<T: Serialize> Serialize for TextOr<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(list) => list.serialize(serializer),
        }
    }
}

/// A count of a usage object. Absent and `null` are 0. What no count can be (negative, a fraction, text, beyond any real
/// answer) is 0 and marked, so that a broken number neither stops nor distorts a bill unseen.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) n: u64,
    pub(crate) absurd: bool,
    pub(crate) given: bool,
}

/// No answer counts a hundred million tokens: the longest windows are a hundredth of that. Sums of such counts, and their
/// prices, cannot overflow.
const LARGEST_COUNT: u64 = 100_000_000;

impl Count {
    const ABSURD: Self = Self { n: 0, absurd: true, given: true };

    fn of(n: u64) -> Self {
        if n > LARGEST_COUNT { Self::ABSURD } else { Self { n, absurd: false, given: true } }
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor)
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }
    fn visit_u64<E>(self, n: u64) -> Result<Count, E> {
        Ok(Count::of(n))
    }
    fn visit_i64<E>(self, n: i64) -> Result<Count, E> {
        Ok(u64::try_from(n).map_or(Count::ABSURD, Count::of))
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "only whole numbers within 0..=LARGEST_COUNT reach the cast, which it keeps exactly"
    )]
    fn visit_f64<E>(self, n: f64) -> Result<Count, E> {
        let whole = (0.0..=1e8).contains(&n) && n.fract() == 0.0;
        Ok(if whole { Count::of(n as u64) } else { Count::ABSURD })
    }
    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count::ABSURD)
    }
    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count::ABSURD)
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count::ABSURD)
    }
    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count::ABSURD)
    }
}

/// Reads a usage object; what is none has no counts, a list of numbers neither.
pub(crate) fn read_counts<T: DeserializeOwned>(usage: &str, path: &str) -> Result<T, Malformed> {
    if !usage.trim_start().starts_with('{') {
        return Err(Malformed::new(path, "expected an object"));
    }
    // Only a list needs watching, and most usage objects have none.
    let plain = if usage.contains('[') { None } else { serde_json::from_str(usage).ok() };
    plain.map_or_else(|| read(usage, path), Ok)
}

/// The report of an answer whose usage cannot be read: nothing, and marked, so that somebody estimates it.
pub(crate) fn unreadable() -> ledger::UsageReport {
    let nothing = ledger::UsageReport::single(ledger::Usage::ZERO);
    ledger::UsageReport { inconsistent: true, ..nothing }
}

/// Counters of one pass in the making, and whether the numbers fitted together.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) usage: ledger::Usage,
    pub(crate) inconsistent: bool,
}

impl Tally {
    /// The number of `count`.
    pub(crate) fn number(&mut self, count: Count) -> u64 {
        self.inconsistent |= count.absurd;
        count.n
    }

    /// Moves `part` of what is left of a total to `meter`. A part larger than the rest is cut to it and marked: the sum
    /// of the counters stays the provider's total.
    pub(crate) fn carve(&mut self, rest: &mut u64, meter: ledger::Meter, part: u64) {
        self.inconsistent |= part > *rest;
        let part = part.min(*rest);
        *rest -= part;
        self.usage.add(meter, part);
    }

    /// `all - part`, 0 and marked where that is less than nothing.
    pub(crate) fn minus(&mut self, all: u64, part: u64) -> u64 {
        self.inconsistent |= part > all;
        all.saturating_sub(part)
    }
}

/// A struct of the wire: every field may be missing or `null`, and only those that are set are written.
macro_rules! wire {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Default, serde::Deserialize, serde::Serialize)]
        $(#[$meta])*
        pub(crate) struct $name {
            $($(#[$attr])* #[serde(skip_serializing_if = "Option::is_none")] pub(crate) $field: Option<$type>,)*
        }
    )*};
}
/// A struct of counts: absent, `null` and 0 are the same.
macro_rules! counts {
    ($($(#[$meta:meta])* struct $name:ident { $($(#[$attr:meta])* $field:ident: $type:ty),* $(,)? })*) => {$(
        #[derive(Default, serde::Deserialize)]
        #[serde(default)]
        $(#[$meta])*
        pub(crate) struct $name { $($(#[$attr])* pub(crate) $field: $type,)* }
    )*};
}
pub(crate) use {counts, wire};
