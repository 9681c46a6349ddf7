//! What families of models take and refuse, told from their ids. A newer id than any known one counts as the newest.

/// What a Claude model takes. <https://docs.claude.com/en/docs/about-claude/models/overview>
#[expect(clippy::struct_excessive_bools, reason = "a row of independent capabilities")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claude {
    /// `temperature`, `top_p`, `top_k`.
    pub(crate) sampling: bool,
    /// `temperature` or `top_p`, not both.
    pub(crate) one_sampler: bool,
    /// Whether thinking is asked for by a budget of tokens rather than by effort.
    pub(crate) budget: bool,
    /// How thinking is turned off.
    pub(crate) off: Off,
    /// Whether a tool may be forced.
    pub(crate) forced_tool: bool,
    /// Whether the answer may be begun by the client.
    pub(crate) prefill: bool,
}

/// How thinking is turned off.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// `thinking.disabled`.
    Disabled,
    /// `thinking.between_tools` is the least.
    BetweenTools,
    /// Not at all; low effort is the least.
    Never,
}

impl Claude {
    pub(crate) fn of(model: &str) -> Self {
        let version = version(model).unwrap_or((u64::MAX, 0));
        let name = |name: &str| model.contains(name);
        let forced_tool = match version {
            (5, 5) => name("haiku"),
            (5, 0) => true,
            older => older < (5, 0),
        };
        Self {
            sampling: version <= (4, 6),
            one_sampler: version >= (4, 5),
            budget: version <= (4, 6),
            off: match version {
                (5, 5) if name("haiku") => Off::Disabled,
                (5, 5) if name("sonnet") => Off::BetweenTools,
                (5, 0) if !name("fable") && !name("mythos") => Off::Disabled,
                older if older < (5, 0) => Off::Disabled,
                _ => Off::Never,
            },
            forced_tool,
            prefill: version <= (4, 5),
        }
    }
}

/// The version in a Claude id: `claude-3-5-sonnet-20241022` is 3.5, `claude-opus-4-20250514` is 4.0.
fn version(model: &str) -> Option<(u64, u64)> {
    /// Larger numbers in an id are dates.
    const LARGEST_PART: u64 = 99;
    let id = model.get(model.find("claude")?..)?;
    let mut numbers = id
        .split(['-', '.', '@', '_'])
        .skip_while(|part| part.parse::<u64>().is_err())
        .map_while(|part| part.parse::<u64>().ok().filter(|n| *n <= LARGEST_PART));
    let major = numbers.next()?;
    Some((major, numbers.next().unwrap_or(0)))
}

/// Whether an `OpenAI` model is known not to reason, and so takes sampling parameters and a `system` role.
pub(crate) fn openai_samples(model: &str) -> bool {
    const SAMPLING: [&str; 7] =
        ["gpt-3.5", "gpt-4", "chatgpt-4o", "gpt-5-chat", "gpt-audio", "babbage", "davinci"];
    let model = model.rsplit('/').next().unwrap_or(model);
    let model = model.strip_prefix("ft:").unwrap_or(model);
    SAMPLING.iter().any(|family| model.starts_with(family))
}

/// Whether this `OpenAI` model takes sampling parameters when told not to think: 5.1 to 5.6.
pub(crate) fn openai_samples_without_effort(model: &str) -> bool {
    let minor = model.strip_prefix("gpt-5.").and_then(|rest| rest.bytes().next());
    minor.is_some_and(|digit| (b'1'..=b'6').contains(&digit))
}

/// How a Gemini model is told to think. <https://ai.google.dev/gemini-api/docs/thinking>
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Gemini {
    /// Before 2.5: it does not think.
    Old,
    /// 2.5: by a budget of tokens.
    Budget,
    /// 3 and later: by level. These also give function calls ids and signatures.
    Level,
}

impl Gemini {
    pub(crate) fn of(model: &str) -> Self {
        let after = model.split("gemini-").nth(1).unwrap_or_default();
        let mut numbers = after.split(['-', '.']).map_while(|part| part.parse::<u64>().ok());
        match (numbers.next(), numbers.next().unwrap_or(0)) {
            (Some(2), 5) => Self::Budget,
            (Some(0..=2), _) => Self::Old,
            _ => Self::Level,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_claude_ids() {
        for (id, expected) in [
            ("claude-3-5-sonnet-20241022", Some((3, 5))),
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-fable-5-1", Some((5, 1))),
            ("claude-latest", None),
        ] {
            assert_eq!(version(id), expected, "{id}");
        }
    }

    #[test]
    fn unknown_newer_models_count_as_the_newest() {
        for id in ["claude-opus-7", "claude-latest", "claude-fable-5-2"] {
            let claude = Claude::of(id);
            assert!(!claude.sampling && !claude.forced_tool && !claude.budget, "{id}");
            assert_eq!(claude.off, Off::Never, "{id}");
        }
        assert!(!openai_samples("gpt-7-nova"));
        assert_eq!(Gemini::of("gemini-flash-latest"), Gemini::Level);
    }

    #[test]
    fn known_models() {
        let old = Claude::of("claude-sonnet-4-5-20250929");
        assert!(old.sampling && old.one_sampler && old.budget && old.forced_tool && old.prefill);
        assert_eq!(Claude::of("claude-sonnet-5-5").off, Off::BetweenTools);
        assert!(Claude::of("claude-opus-5").forced_tool);
        assert!(
            Claude::of("claude-sonnet-4-7").forced_tool
                && !Claude::of("claude-sonnet-4-7").sampling
        );
        assert!(
            openai_samples("gpt-4o-mini")
                && openai_samples("ft:gpt-4.1:org:x:1")
                && !openai_samples("o3")
        );
        assert!(
            openai_samples_without_effort("gpt-5.2") && !openai_samples_without_effort("gpt-6.1")
        );
        assert_eq!(Gemini::of("gemini-2.5-flash"), Gemini::Budget);
        assert_eq!(Gemini::of("models/gemini-2.0-flash"), Gemini::Old);
        assert_eq!(Gemini::of("gemini-3-pro-preview"), Gemini::Level);
    }
}
