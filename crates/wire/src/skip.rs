//! The members of a JSON object without reading what they hold: the text of a long prompt is looked at once, many bytes at
//! a time. It takes nothing that is not JSON; what it does not take may still be, and is for serde to judge.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::marks::Marks;

/// How deep objects and arrays may be in each other here.
const DEEPEST: u32 = 64;

/// Gives each member's name and value, as they are written, to `each`, which returns `None` to give up. `None` too where
/// `text` is not one object, or is written in an unusual way: with escapes in a name, or very deep.
pub(crate) fn members<'a>(
    text: &'a str,
    mut each: impl FnMut(&'a str, &'a str) -> Option<()>,
) -> Option<()> {
    walk(text, |name, cursor| each(name, cursor.written()?))
}

/// The same, and what is found where a text begins on the way.
pub(crate) fn marked_members<'a>(
    text: &'a str,
    mut each: impl FnMut(&'a str, &'a str) -> Option<()>,
) -> Option<Marks> {
    let mut cursor = Cursor { text, at: 0, marks: Some(Marks::default()) };
    cursor.whole(|name, cursor| each(name, cursor.written()?))?;
    cursor.marks
}

/// The same as [`members`] where `each` passes over the value itself, by one of [`Cursor`]'s ways.
pub(crate) fn walk<'a>(
    text: &'a str,
    each: impl FnMut(&'a str, &mut Cursor<'a>) -> Option<()>,
) -> Option<()> {
    Cursor { text, at: 0, marks: None }.whole(each)
}

/// The values of the members of these names, as they are written. `None` as for [`members`], and where a name stands there
/// twice.
pub(crate) fn pick<'a, const N: usize>(
    text: &'a str,
    names: [&str; N],
) -> Option<[Option<&'a str>; N]> {
    let mut picked = [None; N];
    walk(text, |name, cursor| match names.iter().position(|wanted| *wanted == name) {
        Some(place) => cursor.keep(picked.get_mut(place)?),
        None => cursor.pass(),
    })?;
    Some(picked)
}

/// Reads a value that was picked; nothing of what is `null` or not there. An error where it is no `T`.
pub(crate) fn value<T: DeserializeOwned>(picked: Option<&str>) -> serde_json::Result<Option<T>> {
    picked.map_or(Ok(None), serde_json::from_str)
}

/// Reads a text that was picked, which mostly stands there as it is; nothing of what is `null` or not there. An error where it is
/// no text.
pub(crate) fn text(picked: Option<&str>) -> serde_json::Result<Option<Cow<'_, str>>> {
    let inside = picked.and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    match inside.filter(|inside| !inside.contains('\\')) {
        Some(inside) => Ok(Some(Cow::Borrowed(inside))),
        None => value(picked).map(|text: Option<String>| text.map(Cow::Owned)),
    }
}

/// Where in a text a reader stands.
pub(crate) struct Cursor<'a> {
    text: &'a str,
    at: usize,
    /// What texts begin with, where somebody wants to know.
    marks: Option<Marks>,
}

impl<'a> Cursor<'a> {
    /// All of the text: one object.
    fn whole(&mut self, each: impl FnMut(&'a str, &mut Self) -> Option<()>) -> Option<()> {
        self.space();
        self.members(each)?;
        self.space();
        (self.at == self.text.len()).then_some(())
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn next(&self) -> Option<u8> {
        self.rest().first().copied()
    }

    fn space(&mut self) {
        while matches!(self.next(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.next() == Some(byte)).then(|| self.at += 1)
    }

    /// An object: `each` gets each member's name, and passes over its value.
    fn members(&mut self, mut each: impl FnMut(&'a str, &mut Self) -> Option<()>) -> Option<()> {
        (self.next() == Some(b'{')).then_some(())?;
        self.list(b'}', |cursor| each(cursor.name()?, cursor))
    }

    /// An array of objects: `each` gets each member's name of the first, and passes over its value.
    pub(crate) fn first(
        &mut self,
        mut each: impl FnMut(&'a str, &mut Self) -> Option<()>,
    ) -> Option<()> {
        (self.next() == Some(b'[')).then_some(())?;
        let mut is_first = true;
        self.list(b']', |cursor| {
            if std::mem::take(&mut is_first) { cursor.members(&mut each) } else { cursor.pass() }
        })
    }

    /// Any value.
    pub(crate) fn pass(&mut self) -> Option<()> {
        self.value(0)
    }

    /// Any value, as it is written.
    fn written(&mut self) -> Option<&'a str> {
        let start = self.at;
        self.pass()?;
        self.text.get(start..self.at)
    }

    /// Any value, which is kept as it is written, unless there is one already.
    pub(crate) fn keep(&mut self, place: &mut Option<&'a str>) -> Option<()> {
        place.replace(self.written()?).is_none().then_some(())
    }

    /// A name without escapes, and the colon and the space behind it.
    fn name(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let is_plain = self.string()?;
        let name = self.text.get(start..self.at - 1)?;
        self.colon()?;
        is_plain.then_some(name)
    }

    fn colon(&mut self) -> Option<()> {
        self.space();
        self.take(b':')?;
        self.space();
        Some(())
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        match self.next()? {
            b'"' => self.string().map(drop),
            b'{' if depth < DEEPEST => self.list(b'}', |cursor| {
                cursor.string()?;
                cursor.colon()?;
                cursor.value(depth + 1)
            }),
            b'[' if depth < DEEPEST => self.list(b']', |cursor| cursor.value(depth + 1)),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number(),
        }
    }

    /// An object or an array, from its bracket to the other.
    fn list(&mut self, end: u8, mut item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.at += 1;
        self.space();
        if self.take(end).is_some() {
            return Some(());
        }
        loop {
            item(self)?;
            self.space();
            if self.take(end).is_some() {
                return Some(());
            }
            self.take(b',')?;
            self.space();
        }
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.rest().starts_with(word.as_bytes()).then(|| self.at += word.len())
    }

    fn number(&mut self) -> Option<()> {
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.digits()?;
        }
        if self.take(b'.').is_some() {
            self.digits()?;
        }
        // Whether it is too large for a number is for serde to say.
        (!matches!(self.next(), Some(b'e' | b'E'))).then_some(())
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }

    /// A text with its quotes, and whether it is without escapes.
    fn string(&mut self) -> Option<bool> {
        self.take(b'"')?;
        let rest = self.rest();
        if let Some(marks) = &mut self.marks {
            marks.look(rest);
        }
        let mut is_plain = true;
        loop {
            self.plain();
            match self.rest() {
                [b'"', ..] => {
                    self.at += 1;
                    return Some(is_plain);
                }
                [b'\\', b'u', code @ ..] => {
                    let is_code = code.get(..4)?.iter().all(u8::is_ascii_hexdigit);
                    is_code.then_some(())?;
                    self.at += 6;
                }
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                _ => return None,
            }
            is_plain = false;
        }
    }

    /// What stands for itself in a text.
    fn plain(&mut self) {
        // Most texts are words, for which it is not worth while to search many bytes at once.
        for _ in 0..WORDS {
            let Some(eight) = self.rest().first_chunk() else { break };
            let special = special(u64::from_le_bytes(*eight));
            self.at += special.trailing_zeros() as usize / 8;
            if special != 0 {
                return;
            }
        }
        let rest = self.rest();
        let end = memchr::memchr2(b'"', b'\\', rest).unwrap_or(rest.len());
        let plain = rest.get(..end).unwrap_or_default();
        // All of it is looked at, whatever is found, so that the compiler can compare many bytes at once.
        let least = plain.iter().copied().fold(b' ', u8::min);
        self.at += if least == b' ' {
            end
        } else {
            plain.iter().take_while(|byte| **byte >= b' ').count()
        };
    }
}

/// So many times eight bytes are looked at one after the other.
const WORDS: usize = 4;

/// Marks the first byte of eight that does not stand for itself in a text: its highest bit is the lowest that is set. What is
/// set above it says nothing.
fn special(eight: u64) -> u64 {
    const EACH: u64 = u64::MAX / 255;
    let below = |bytes: u64, limit: u8| bytes.wrapping_sub(EACH * u64::from(limit)) & !bytes;
    let is = |byte: u8| below(eight ^ (EACH * u64::from(byte)), 1);
    (below(eight, b' ') | is(b'"') | is(b'\\')) & (EACH << 7)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> Option<Vec<(&str, &str)>> {
        let mut found = Vec::new();
        members(text, |name, value| {
            found.push((name, value));
            Some(())
        })?;
        Some(found)
    }

    #[test]
    fn a_text_is_read_as_serde_reads_it() {
        for picked in [r#""""#, r#""plain""#, r#""na\u00efve""#, r#""na\"ive\\""#, "null"] {
            let read: Option<String> = serde_json::from_str(picked).unwrap();
            assert_eq!(text(Some(picked)).unwrap().as_deref(), read.as_deref(), "{picked}");
        }
        assert_eq!(text(None).unwrap(), None);
        for picked in ["1", "{}", r#"["a"]"#, "true", r#"""#] {
            assert!(text(Some(picked)).is_err(), "{picked}");
        }
    }

    #[test]
    fn members_are_found_as_they_are_written() {
        let long = "x".repeat(100);
        let text = format!(
            r#" {{"a" : [ 1 , -0.5, {{"b":null}},[] ] ,"c":"{long}\"\u00e9\\","d":true,"e":{{}}}} "#
        );
        let c = format!(r#""{long}\"\u00e9\\""#);
        let expected = [
            ("a", r#"[ 1 , -0.5, {"b":null},[] ]"#),
            ("c", c.as_str()),
            ("d", "true"),
            ("e", "{}"),
        ];
        assert_eq!(found(&text).unwrap(), expected);
        assert_eq!(found("{}"), Some(Vec::new()));
    }

    #[test]
    fn what_is_special_is_found_wherever_it_stands() {
        for byte in 0..=u8::MAX {
            let is_special = byte < b' ' || byte == b'"' || byte == b'\\';
            for (at, around) in (0..8)
                .flat_map(|at| [b' ', b'!', b'#', b'[', b']', 0x7f, 0x80, 0xff].map(|a| (at, a)))
            {
                let mut eight = [around; 8];
                eight[at] = byte;
                let found = special(u64::from_le_bytes(eight)).trailing_zeros() as usize / 8;
                assert_eq!(found, if is_special { at } else { 8 }, "{byte} among {around}");
            }
        }
        // Behind a first one there may be anything.
        let two = special(u64::from_le_bytes(*b"ab\"\x01\\\"#!"));
        assert_eq!(two.trailing_zeros() / 8, 2);
    }

    #[test]
    fn values_are_picked_by_name() {
        let text = r#"{"a":1,"b":[{"c":"]"}, 2],"d":null,"e":[ ]}"#;
        let [d, b, none] = pick(text, ["d", "b", "x"]).unwrap();
        assert_eq!((d, b, none), (Some("null"), Some(r#"[{"c":"]"}, 2]"#), None));
        assert_eq!(pick(r#"{"a":null,"a":1}"#, ["a"]), None, "which of the two is meant?");
        assert_eq!(pick(r#"{"b":null,"b":1}"#, ["a"]), Some([None]), "nobody asks");
    }

    #[test]
    fn the_first_of_a_list_is_looked_into() {
        let found = |list: &str| {
            let (text, mut c) = (format!(r#"{{"list":{list},"b":2}}"#), None);
            walk(&text, |name, cursor| match name {
                "list" => cursor.first(|name, cursor| match name {
                    "c" => cursor.keep(&mut c),
                    _ => cursor.pass(),
                }),
                _ => cursor.pass(),
            })?;
            Some(c.map(str::to_owned))
        };
        assert_eq!(found(r#"[ {"a":[],"c":"]"} , 2]"#), Some(Some(r#""]""#.to_owned())));
        assert_eq!(found(r#"[{"a":1},{"c":1,"c":2}]"#), Some(None), "the others are passed over");
        assert_eq!(found("[ ]"), Some(None));
        assert_eq!(found("null"), None);
        assert_eq!(found(r#"[2, {"c":1}]"#), None, "the first is no object");
        assert_eq!(found(r#"[{"c":1},nul]"#), None, "what is passed over is JSON too");
        assert_eq!(found(r#"[{"c":1,"c":2}]"#), None, "which of the two is meant?");
    }

    #[test]
    fn what_is_not_json_is_not_taken() {
        for text in [
            "",
            "[]",
            "{",
            "{}x",
            r#"{"a":1,}"#,
            r#"{"a":}"#,
            r#"{"a" 1}"#,
            "{a:1}",
            r#"{"a":01}"#,
            r#"{"a":.5}"#,
            r#"{"a":1.}"#,
            r#"{"a":-}"#,
            r#"{"a":nul}"#,
            r#"{"a":"\x"}"#,
            r#"{"a":"\u12g4"}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":[1 2]}"#,
            r#"{"a":{"b"}}"#,
            r#"{"a":"open}"#,
        ] {
            assert_eq!(found(text), None, "{text}");
            assert!(serde_json::from_str::<serde_json::Map<_, _>>(text).is_err(), "{text}");
        }
    }

    proptest! {
        /// Whatever it takes, serde takes, with the same names and values.
        #[test]
        fn it_takes_nothing_that_serde_does_not(
            text in r#"\{("a"|"b\\n"|"é")?[ :,"\\\{\}\[\]0-9a-fnultrse.eE+\-\x00-\x1f]{0,40}\}?"#,
            value in r#"("[^"]{0,80}"|-?[0-9]{1,3}(\.[0-9]+)?|\[1, ?2\]|\{"x": ?null\}|true)"#,
        ) {
            for text in [text.clone(), format!("{{\"a\":{value},\"b\": {text}}}")] {
                if let Some(found) = found(&text) {
                    let read: Vec<(String, String)> = {
                        let map: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
                            serde_json::from_str(&text).unwrap();
                        map.into_iter().map(|(name, value)| (name, value.get().to_owned())).collect()
                    };
                    for (name, value) in read {
                        let last = found.iter().rfind(|(known, _)| *known == name);
                        prop_assert_eq!(last.map(|(_, value)| *value), Some(value.as_str()));
                    }
                }
            }
        }
    }
}
