//! What a request says that no wire struct has a field for, at any depth: found while it is read, so that it is named
//! where it is lost. And a list in the place of an object, which serde would read by the order of its fields.

use std::fmt;

use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer as _, MapAccess,
    SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

use crate::chat::Native;
use crate::json::{self, Json, Malformed};

/// Reads a wire struct as [`json::read`] does. `lost` gets the members that have no field: those of the struct itself as
/// of `dialect`, which may have a place for them, and those further inside as nobody's. Their names begin with `place`.
pub(crate) fn read<T: DeserializeOwned>(
    text: &str,
    path: &str,
    dialect: &'static str,
    place: &str,
    lost: &mut Vec<Native>,
) -> Result<T, Malformed> {
    let before = lost.len();
    let (outer, place) = (place.len(), place.to_owned());
    let mut notes = Notes { dialect, place, outer, object: 0, lost: Some(&mut *lost) };
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = T::deserialize(Watched::new(&mut reader, &mut notes));
    read.and_then(|value| reader.end().map(|()| value)).or_else(|_| {
        lost.truncate(before);
        json::read(text, path)
    })
}

/// The members of `text` and of what is inside that `T` has no field for; none of what is no `T`.
pub(crate) fn members<T: DeserializeOwned>(text: &str, place: &str) -> Vec<Native> {
    let mut lost = Vec::new();
    match read::<T>(text, place, "", place, &mut lost) {
        Ok(_) => lost,
        Err(_) => Vec::new(),
    }
}

/// What is noted; nothing, unless it is said where.
#[derive(Default)]
pub(crate) struct Notes<'l> {
    dialect: &'static str,
    /// The names that lead to the member at hand, of which the first `outer` bytes lead to the struct.
    place: String,
    outer: usize,
    /// Those that lead to the object that the member stands in.
    object: usize,
    lost: Option<&'l mut Vec<Native>>,
}

impl Notes<'_> {
    /// What is `null` says nothing.
    fn take(&mut self, raw: &RawValue) {
        if let Some(lost) = self.lost.as_mut().filter(|_| raw.get() != "null") {
            let dialect = if self.object == self.outer { self.dialect } else { "" };
            lost.push(Native { dialect, field: self.place.clone(), raw: Json::of(&raw) });
        }
    }
}

/// A deserializer, visitor or access that is watched.
pub(crate) struct Watched<'n, 'l, T> {
    inner: T,
    notes: &'n mut Notes<'l>,
}

impl<'n, 'l, T> Watched<'n, 'l, T> {
    pub(crate) fn new(inner: T, notes: &'n mut Notes<'l>) -> Self {
        Self { inner, notes }
    }
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Watched<'_, '_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Watched { inner: visitor, notes: self.notes })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Watched { inner: visitor, notes: self.notes })
    }

    /// One of a few words.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_enum(name, variants, visitor)
    }

    /// Raw JSON, whose members are read elsewhere.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_newtype_struct(name, visitor)
    }

    /// No list.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Watched { inner: visitor, notes: self.notes })
    }

    /// This is how a struct passes over what it has no field for.
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        if self.notes.lost.is_none() {
            return self.inner.deserialize_ignored_any(visitor);
        }
        self.notes.take(<&RawValue>::deserialize(self.inner)?);
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Watched<'_, '_, V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.expecting(f)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<V::Value, E> {
        self.inner.visit_bool(value)
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<V::Value, E> {
        self.inner.visit_i64(value)
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<V::Value, E> {
        self.inner.visit_u64(value)
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<V::Value, E> {
        self.inner.visit_f64(value)
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<V::Value, E> {
        self.inner.visit_str(value)
    }
    fn visit_borrowed_str<E: Error>(self, value: &'de str) -> Result<V::Value, E> {
        self.inner.visit_borrowed_str(value)
    }
    fn visit_unit<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }
    fn visit_none<E: Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }
    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Watched { inner, notes: self.notes })
    }
    fn visit_seq<A: SeqAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        self.inner.visit_seq(Watched { inner, notes: self.notes })
    }
    fn visit_map<A: MapAccess<'de>>(self, inner: A) -> Result<V::Value, A::Error> {
        let object = self.notes.place.len();
        self.inner.visit_map(Members { inner, object, notes: self.notes })
    }
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Watched<'_, '_, A> {
    type Error = A::Error;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, A::Error> {
        self.inner.next_element_seed(Watched { inner: seed, notes: self.notes })
    }
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Watched<'_, '_, S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Watched { inner, notes: self.notes })
    }
}

/// The members of an object that `object` bytes of the place lead to.
struct Members<'n, 'l, A> {
    inner: A,
    object: usize,
    notes: &'n mut Notes<'l>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<'_, '_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        if self.notes.lost.is_none() {
            return self.inner.next_key_seed(seed);
        }
        self.notes.place.truncate(self.object);
        self.inner.next_key_seed(Key { seed, place: &mut self.notes.place })
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        self.notes.object = self.object;
        self.inner.next_value_seed(Watched { inner: seed, notes: self.notes })
    }
}

/// Adds a member's name to the place on its way to the struct.
struct Key<'p, K> {
    seed: K,
    place: &'p mut String,
}

impl<'de, K: DeserializeSeed<'de>> DeserializeSeed<'de> for Key<'_, K> {
    type Value = K::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<K::Value, D::Error> {
        inner.deserialize_str(self)
    }
}

impl<'de, K: DeserializeSeed<'de>> Visitor<'de> for Key<'_, K> {
    type Value = K::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<K::Value, E> {
        if !self.place.is_empty() {
            self.place.push('.');
        }
        self.place.push_str(name);
        self.seed.deserialize(name.into_deserializer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{TextOr, wire};

    wire! {
        struct Outer {
            name: String,
            count: u64,
            share: f64,
            switch: bool,
            inner: Inner,
            list: TextOr<Inner>,
            raw: Json,
        }
        struct Inner { text: String }
    }

    #[test]
    fn members_without_a_field_are_named_at_any_depth() {
        let text = r#"{
            "name": "n", "count": 1, "share": 1, "switch": true, "new": {"x": 1}, "none": null, "näme": [],
            "inner": {"text": "t", "new": 2, "none": null}, "raw": {"new": 1},
            "list": [{"text": "t"}, {"new": "three", "text": null}]
        }"#;
        let mut lost = Vec::new();
        let outer: Outer = read(text, "", "mine", "at", &mut lost).unwrap();
        assert_eq!(
            (outer.name.as_deref(), outer.count, outer.share),
            (Some("n"), Some(1), Some(1.0))
        );
        assert_eq!(outer.raw.unwrap().get(), r#"{"new": 1}"#);
        assert_eq!(outer.inner.unwrap().text.as_deref(), Some("t"));
        assert!(matches!(outer.list, Some(TextOr::List(list)) if list.len() == 2));
        let told: Vec<_> =
            lost.iter().map(|n| (n.dialect, n.field.as_str(), n.raw.get())).collect();
        assert_eq!(
            told,
            [
                ("mine", "at.new", r#"{"x": 1}"#),
                ("mine", "at.näme", "[]"),
                ("", "at.inner.new", "2"),
                ("", "at.list.new", "\"three\""),
            ]
        );
    }

    #[test]
    fn no_dialect_takes_a_list_for_an_object() {
        for (dialect, body, path) in [
            ("openai_chat", r#"["gpt-4o",[]]"#, ""),
            ("openai_chat", r#"{"messages":[["user","Hi"]]}"#, "messages[0]"),
            (
                "openai_chat",
                r#"{"messages":[{"role":"user","content":[["text","Hi"]]}]}"#,
                "messages[0].content[0]",
            ),
            ("openai_chat", r#"{"messages":[],"tools":[["function"]]}"#, "tools[0]"),
            ("openai_chat", r#"{"messages":[],"stream_options":[true]}"#, "stream_options"),
            ("openai_responses", r#"{"input":[["message"]]}"#, "input[0]"),
            ("openai_responses", r#"{"input":"Hi","reasoning":["high"]}"#, "reasoning"),
            ("openai_responses", r#"{"input":"Hi","tools":[["function"]]}"#, "tools[0]"),
            ("anthropic", r#"{"messages":[["user","Hi"]]}"#, "messages[0]"),
            (
                "anthropic",
                r#"{"messages":[{"role":"user","content":[["text","Hi"]]}]}"#,
                "messages[0].content[0]",
            ),
            ("anthropic", r#"{"messages":[],"thinking":["enabled",1024]}"#, "thinking"),
            ("gemini", r#"{"contents":[["user"]]}"#, "contents[0]"),
            ("gemini", r#"{"contents":[{"parts":[["Hi"]]}]}"#, "contents[0].parts[0]"),
            ("gemini", r#"{"contents":[],"generationConfig":[1]}"#, "generationConfig"),
        ] {
            let head = r#"{"model":"m","max_tokens":9,"#;
            let body = match body.strip_prefix('{').filter(|_| dialect != "gemini") {
                Some(rest) => format!("{head}{rest}"),
                None => body.to_owned(),
            };
            let read = crate::dialect(dialect).unwrap().read_request(body.as_bytes());
            let expected = Malformed::new(path, "expected an object, not a list");
            assert_eq!(read.err(), Some(expected), "{dialect}: {body}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error_and_names_nothing() {
        let list = "expected an object, not a list";
        for (text, path, problem) in [
            (r#"{"new":1,"count":"x"}"#, "here.count", "expected a whole number, not string \"x\""),
            (
                r#"{"new":1"#,
                "here",
                "not valid JSON: EOF while parsing an object at line 1 column 8",
            ),
            (r#"{"new":1} {}"#, "here", "not valid JSON: trailing characters at line 1 column 11"),
            ("7", "here", "expected an object, not integer `7`"),
            (r#"{"list":7}"#, "here.list", "expected a string or an array, not integer `7`"),
            (r#"["n",1]"#, "here", list),
            (r#"{"inner":["t"]}"#, "here.inner", list),
            (r#"{"list":[{},["t"]]}"#, "here.list[1]", list),
        ] {
            let mut lost = Vec::new();
            let told = read::<Outer>(text, "here", "", "", &mut lost).err();
            assert_eq!(told, Some(Malformed::new(path, problem)), "{text}");
            assert_eq!(told, json::read::<Outer>(text, "here").err(), "{text}");
            assert!(lost.is_empty(), "{text}");
        }
    }
}
