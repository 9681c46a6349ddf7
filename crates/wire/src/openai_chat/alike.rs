//! What the frames of one stream have in common. A provider writes the same frame again and again with another text in it:
//! one that differs from the last in its text alone is known at a glance.

use super::plain;

/// The texts that are another in every frame, as far as a frame was walked through. Places are counted from its end.
#[derive(Default)]
pub(super) struct Texts {
    /// Where the text that counts begins and ends, without its quotes.
    counted: Option<(usize, usize)>,
    /// Where the padding does, which hides how long the text is.
    padding: Option<(usize, usize)>,
    /// Whether there is more than one of a kind.
    several: bool,
}

impl Texts {
    /// A text that counts: `given` from its first quote on, and what stands `behind` the last.
    pub(super) fn counted(&mut self, given: &[u8], behind: &[u8]) {
        self.several |= self.counted.replace((given.len() - 1, behind.len() + 1)).is_some();
    }

    /// A text that says nothing, or `null`. Returns what stands behind it.
    pub(super) fn padding<'a>(&mut self, given: &[u8], behind: &'a [u8]) -> &'a [u8] {
        if given.starts_with(b"\"") {
            self.several |= self.padding.replace((given.len() - 1, behind.len() + 1)).is_some();
        }
        behind
    }
}

/// The frame before without its texts.
#[derive(Default)]
pub(super) struct Alike {
    /// What stands before the texts, between them and behind them.
    fixed: Vec<u8>,
    /// Where in it the texts are, in order, and whether they count.
    texts: [Option<(usize, bool)>; 2],
}

impl Alike {
    /// The bytes of output in a frame that changes nothing else; nothing if the frame has to be read.
    pub(super) fn bytes(&mut self, data: &str, tier: Option<&str>) -> Option<u64> {
        if let Some(bytes) = self.at_a_glance(data) {
            return Some(bytes);
        }
        let mut texts = Texts::default();
        let bytes = plain::bytes(data, tier, &mut texts)?;
        self.learn(data.trim().as_bytes(), &texts);
        Some(bytes)
    }

    /// What is read in full may change what is known, such as the tier.
    pub(super) fn forget(&mut self) {
        self.texts = [None; 2];
    }

    /// The same, if the frame is the one before with other texts, which are written without escapes.
    fn at_a_glance(&self, data: &str) -> Option<u64> {
        self.texts[0]?;
        let mut rest = data.trim().as_bytes();
        let (mut bytes, mut from) = (0, 0);
        for (at, counts) in self.texts.into_iter().flatten() {
            rest = rest.strip_prefix(self.fixed.get(from..at)?)?;
            from = at;
            let end = memchr::memchr2(b'"', b'\\', rest)?;
            bytes += if counts { end as u64 } else { 0 };
            rest = rest.get(end..)?;
        }
        // It begins with the last text's quote.
        (rest == self.fixed.get(from..)?).then_some(bytes)
    }

    fn learn(&mut self, data: &[u8], texts: &Texts) {
        self.forget();
        let Some(counted) = texts.counted.filter(|_| !texts.several) else { return };
        let mut places = [Some((counted, true)), texts.padding.map(|place| (place, false))];
        // What is farther from the end comes first; nothing comes last.
        places.sort_unstable_by_key(|place| std::cmp::Reverse(*place));
        self.fixed.clear();
        self.fixed.reserve(data.len());
        let mut from = 0;
        for (place, ((begin, end), counts)) in places.into_iter().flatten().enumerate() {
            self.fixed.extend_from_slice(data.get(from..data.len() - begin).unwrap_or_default());
            from = data.len() - end;
            if let Some(text) = self.texts.get_mut(place) {
                *text = Some((self.fixed.len(), counts));
            }
        }
        self.fixed.extend_from_slice(data.get(from..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TIER: Option<&str> = Some("default");

    fn chunk(delta: &str, rest: &str) -> String {
        format!(
            r#"{{"id":"c","service_tier":"default","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]{rest}}}"#
        )
    }

    fn glance(before: &str, data: &str) -> Option<u64> {
        let mut alike = Alike::default();
        alike.bytes(before, TIER).unwrap();
        alike.at_a_glance(data)
    }

    #[test]
    fn another_text_is_seen_at_a_glance() {
        for (padding, other) in [("", ""), (r#","obfuscation":"x""#, r#","obfuscation":"yyy""#)] {
            let before = chunk(r#"{"content":"a\n"}"#, padding);
            assert_eq!(glance(&before, &chunk(r#"{"content":"ä€"}"#, other)), Some(5));
            assert_eq!(glance(&before, &chunk(r#"{"content":""}"#, other)), Some(0));
            let spaced = format!(" {} ", chunk(r#"{"content":"b"}"#, other));
            assert_eq!(glance(&before, &spaced), Some(1));
        }
        // The padding may come first.
        let padded = |padding: &str, text: &str| {
            format!(r#"{{"obfuscation":"{padding}","choices":[{{"text":"{text}"}}]}}"#)
        };
        assert_eq!(glance(&padded("xyz", "a"), &padded("", "abcd")), Some(4));
    }

    #[test]
    fn anything_else_is_read() {
        let before = chunk(r#"{"content":"a"}"#, "");
        for data in [
            chunk(r#"{"content":"\n"}"#, ""),
            chunk(r#"{"content":"a","refusal":"b"}"#, ""),
            chunk(r#"{"content":"a"}"#, r#","usage":{}"#),
            chunk(r#"{"reasoning":"a"}"#, ""),
            before.replace("null", "\"stop\""),
            before.replace("default", "flex"),
            before.replace("}]", "]"),
            before[..before.len() - 1].to_owned(),
            format!("{before}}}"),
            String::new(),
        ] {
            assert_eq!(glance(&before, &data), None, "{data}");
        }
        // Of two thoughts only one counts, which depends on the texts.
        let thoughts = chunk(r#"{"reasoning":"","reasoning_content":"a"}"#, "");
        assert_eq!(glance(&thoughts, &thoughts), None);
        let mut alike = Alike::default();
        alike.bytes(&before, TIER).unwrap();
        alike.forget();
        assert_eq!(alike.at_a_glance(&before), None);
    }

    proptest! {
        /// Whatever came before, the count is that of the frame by itself.
        #[test]
        fn what_came_before_changes_nothing(
            frames in proptest::collection::vec((
                r#"\{("role":"assistant",)?"(content|refusal|reasoning|x)":("[a-é\\"nu0]{0,6}"|null)(,"reasoning_content":"[a-c]?")?\}"#,
                r#"(,"obfuscation":("[a-c"]{0,3}"|null)){0,2}"#,
            ), 1..8),
        ) {
            let mut alike = Alike::default();
            for (delta, rest) in frames {
                let data = chunk(&delta, &rest);
                let alone = plain::bytes(&data, TIER, &mut Texts::default());
                prop_assert_eq!(alike.bytes(&data, TIER), alone, "{}", data);
            }
        }
    }
}
