//! What families of models take and refuse, told from their ids. A newer id than any known one counts as the newest.

use crate::chat::Effort;

/// What a Claude model takes. <https://docs.claude.com/en/docs/about-claude/models/overview>
#[expect(clippy::struct_excessive_bools, reason = "a row of independent capabilities")]
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Claude {
    /// `temperature`, `top_p`, `top_k`.
    pub(crate) sampling: bool,
    /// `temperature` or `top_p`, not both.
    pub(crate) one_sampler: bool,
    /// Whether it can think at all.
    pub(crate) thinks: bool,
    /// Whether thinking may be asked for by a budget of tokens.
    pub(crate) budget: bool,
    /// Whether the model itself may see how much to think.
    pub(crate) adaptive: bool,
    /// The levels of effort that it takes, lowest first.
    pub(crate) efforts: &'static [Effort],
    /// Whether an effort above high is refused while thinking is off.
    pub(crate) capped_when_off: bool,
    /// How thinking is turned off.
    pub(crate) off: Off,
    /// Whether a tool may be forced.
    pub(crate) forced_tool: bool,
    /// Whether the answer may be begun by the client.
    pub(crate) prefill: bool,
    /// Whether it follows a schema by itself.
    pub(crate) format: bool,
    /// Whether the operator may speak in the middle of the conversation.
    pub(crate) system_turns: bool,
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
            thinks: version >= (3, 7),
            budget: version <= (4, 6),
            adaptive: version >= (4, 6),
            efforts: match version {
                (4, 5) if name("opus") => &[Effort::Low, Effort::Medium, Effort::High],
                (4, 6) => &[Effort::Low, Effort::Medium, Effort::High, Effort::Max],
                older if older <= (4, 6) => &[],
                _ => &[Effort::Low, Effort::Medium, Effort::High, Effort::Xhigh, Effort::Max],
            },
            capped_when_off: version >= (5, 0),
            off: match version {
                (5, 5) if name("haiku") => Off::Disabled,
                (5, 5) if name("sonnet") => Off::BetweenTools,
                (5, 0) if !name("fable") && !name("mythos") => Off::Disabled,
                older if older < (5, 0) => Off::Disabled,
                _ => Off::Never,
            },
            forced_tool,
            prefill: version <= (4, 5),
            format: version >= (4, 5),
            system_turns: version >= (4, 8),
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
    let model = bare(model);
    SAMPLING.iter().any(|family| model.starts_with(family))
}

/// Whether this `OpenAI` model takes sampling parameters when told not to think: 5.1 to 5.6.
pub(crate) fn openai_samples_without_effort(model: &str) -> bool {
    let minor = model.strip_prefix("gpt-5.").and_then(|rest| rest.bytes().next());
    minor.is_some_and(|digit| (b'1'..=b'6').contains(&digit))
}

/// An id without its vendor and without the mark of a tuned model.
fn bare(model: &str) -> &str {
    let model = model.rsplit('/').next().unwrap_or(model);
    model.strip_prefix("ft:").unwrap_or(model)
}

/// The version in a GPT id: `gpt-5.4-mini` is 5.4, `gpt-4o` is 4.0; nothing for `gpt-oss-120b` and `o3`.
pub(crate) fn gpt_version(model: &str) -> Option<(u64, u64)> {
    let digits = |text: &str| -> Option<u64> {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        text.get(..end)?.parse().ok()
    };
    let version = bare(model).strip_prefix("gpt-")?;
    let major = digits(version)?;
    let minor = version.split_once('.').and_then(|(before, rest)| {
        before.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits(rest)).flatten()
    });
    Some((major, minor.unwrap_or(0)))
}

/// Whether this `OpenAI` model has to be called over Responses when functions are on offer: from gpt-5.4 on Chat
/// Completions refuses them to a model that thinks, which these do unless told otherwise (`quiet`), and some whatever they
/// are told. Without functions Chat Completions still takes them, but for [`responses_only`].
pub fn needs_responses(model: &str, quiet: bool) -> bool {
    let thinks = || !(quiet && openai_efforts(model).contains(&Effort::None));
    responses_only(model) || (gpt_version(model).is_some_and(|v| v >= (5, 4)) && thinks())
}

/// Whether this `OpenAI` model is known to Responses only, functions or not.
pub fn responses_only(model: &str) -> bool {
    let model = bare(model);
    let ours = ["gpt-", "o1", "o3", "o4", "codex", "computer-use"];
    ours.iter().any(|family| model.starts_with(family))
        && (model.split('-').any(|part| matches!(part, "pro" | "codex"))
            || model.contains("deep-research")
            || model.starts_with("computer-use"))
}

/// Whether this `OpenAI` model searches the web in Chat Completions.
pub fn openai_searches(model: &str) -> bool {
    bare(model).contains("-search")
}

/// Whether this `OpenAI` model takes sound.
pub(crate) fn openai_hears(model: &str) -> bool {
    bare(model).contains("audio")
}

/// Whether this `OpenAI` model looks for tools that are not in its prompt.
pub(crate) fn openai_finds_tools(model: &str) -> bool {
    gpt_version(model).is_some_and(|version| version >= (5, 4))
}

/// Whether this `OpenAI` model takes markers of what to cache.
pub(crate) fn openai_caches_by_marker(model: &str) -> bool {
    gpt_version(model).is_some_and(|version| version >= (5, 6))
}

/// The levels of thinking that an `OpenAI` model knows, from the least.
pub(crate) fn openai_efforts(model: &str) -> &'static [Effort] {
    use Effort::{High, Low, Max, Medium, Minimal, None, Xhigh};
    let silent = ["gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra"];
    match gpt_version(model) {
        Some((..5, _)) => &[Low, Medium, High],
        Some((5, 0)) => &[Minimal, Low, Medium, High],
        Some((5, 1)) => &[None, Low, Medium, High],
        Some((5, _)) => &[None, Low, Medium, High, Xhigh],
        _ if silent.iter().any(|family| bare(model).starts_with(family)) => {
            &[None, Low, Medium, High, Xhigh, Max]
        }
        Some(_) => &[Low, Medium, High, Xhigh, Max],
        _ => &[Low, Medium, High],
    }
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

/// The major version in a Gemini id, where it has one: `gemini-flash-latest` has none.
pub(crate) fn gemini_version(model: &str) -> Option<u64> {
    let after = model.split("gemini-").nth(1)?;
    after.split(['-', '.']).next()?.parse().ok()
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
        assert_eq!(gemini_version("models/gemini-1.5-pro"), Some(1));
        assert_eq!(gemini_version("gemini-4-argon"), Some(4));
        assert_eq!(gemini_version("gemini-flash-latest"), None);
    }

    #[test]
    fn models_that_want_responses() {
        for id in
            ["gpt-5.4", "gpt-5.4-mini", "gpt-5.10", "gpt-6-astra", "openai/gpt-6.1-sol", "gpt-7"]
        {
            assert!(needs_responses(id, false) && !responses_only(id), "{id}");
        }
        for id in [
            "o1-pro",
            "gpt-5-pro-2025-10-06",
            "gpt-5.4-pro",
            "gpt-5.3-codex",
            "codex-mini-latest",
            "o3-deep-research",
            "o4-mini-deep-research-2025-06-26",
            "computer-use-preview",
        ] {
            assert!(needs_responses(id, true) && responses_only(id), "{id}");
        }
        for id in [
            "gpt-4o",
            "gpt-4.1",
            "gpt-5",
            "gpt-5.3-chat-latest",
            "o3",
            "o4-mini",
            "gpt-oss-120b",
            "gpt-audio",
            "deepseek-v4-pro",
            "gemini-2.5-pro",
            "gpt-3.5-turbo",
            "",
        ] {
            assert!(!needs_responses(id, false) && !responses_only(id), "{id}");
        }
        // Those that can be told not to think, and those that cannot.
        assert!(!needs_responses("gpt-5.4-mini", true) && !needs_responses("gpt-6-sol", true));
        assert!(needs_responses("gpt-6-astra", true) && needs_responses("gpt-7", true));
    }

    #[test]
    fn models_that_take_cache_markers() {
        for id in ["gpt-5.6-sol", "gpt-6.1-sol"] {
            assert!(openai_caches_by_marker(id), "{id}");
        }
        for id in ["gpt-5.5", "o3"] {
            assert!(!openai_caches_by_marker(id), "{id}");
        }
    }

    #[test]
    fn levels_of_thinking() {
        let ends = |id: &str| {
            let levels = openai_efforts(id);
            (levels.first().copied().unwrap(), levels.last().copied().unwrap())
        };
        assert_eq!(ends("gpt-5-mini"), (Effort::Minimal, Effort::High));
        assert_eq!(ends("gpt-5.1"), (Effort::None, Effort::High));
        assert_eq!(ends("gpt-5.6-sol"), (Effort::None, Effort::Xhigh));
        assert_eq!(ends("gpt-6-astra"), (Effort::Low, Effort::Max));
        assert_eq!(ends("gpt-6.1-terra"), (Effort::None, Effort::Max));
        assert_eq!(ends("gpt-9"), (Effort::Low, Effort::Max));
        assert_eq!(ends("o3"), (Effort::Low, Effort::High));
    }
}
