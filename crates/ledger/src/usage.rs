//! What was used: counters that never overlap, so that a price is a plain sum of products.

use crate::route::{Route, Tried};
use crate::usd::Usd;
use serde::de::Error as _;
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that is counted and has a price of its own.
///
/// The counters are disjoint: a cached token is counted under [`Meter::CacheRead`] and not under [`Meter::Input`], a
/// thinking token under [`Meter::Reasoning`] and not under [`Meter::Output`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Meter {
    /// Prompt tokens that no other input meter counts.
    Input,
    /// Prompt tokens read from a cache.
    CacheRead,
    /// Prompt tokens written to the ordinary cache: Anthropic's 5 minutes, OpenAI's 30.
    CacheWrite5m,
    /// Prompt tokens written to Anthropic's 1-hour cache.
    CacheWrite1h,
    /// Prompt tokens written to OpenAI's 12-hour cache.
    CacheWrite12h,
    /// Audio tokens in the prompt.
    AudioInput,
    /// Audio tokens in the prompt, read from a cache.
    AudioCacheRead,
    /// Image tokens in the prompt.
    ImageInput,
    /// Image tokens in the prompt, read from a cache.
    ImageCacheRead,
    /// Video tokens in the prompt.
    VideoInput,
    /// Generated tokens that no other output meter counts.
    Output,
    /// Generated thinking tokens.
    Reasoning,
    /// Generated audio tokens.
    AudioOutput,
    /// Generated image tokens.
    ImageOutput,
    /// Web search calls (OpenAI, Anthropic).
    WebSearch,
    /// Distinct web search queries (Gemini 3 and later are charged per query).
    SearchQuery,
    /// Answers grounded in a web search (Gemini before 3 is charged per answer).
    GroundedPrompt,
    /// Pictures in the prompt, priced by the piece.
    InputImage,
    /// Pictures generated, priced by the piece.
    OutputImage,
    /// Seconds of audio in the prompt.
    InputAudioSecond,
    /// Seconds of audio generated.
    OutputAudioSecond,
    /// Characters of text to be spoken.
    InputCharacter,
}

impl Meter {
    /// Every meter, in the order of the counters.
    pub const ALL: [Self; 22] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::CacheWrite12h,
        Self::AudioInput,
        Self::AudioCacheRead,
        Self::ImageInput,
        Self::ImageCacheRead,
        Self::VideoInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
        Self::ImageOutput,
        Self::WebSearch,
        Self::SearchQuery,
        Self::GroundedPrompt,
        Self::InputImage,
        Self::OutputImage,
        Self::InputAudioSecond,
        Self::OutputAudioSecond,
        Self::InputCharacter,
    ];

    /// The name in JSON, in the database and on the terminal.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::CacheWrite12h => "cache_write_12h",
            Self::AudioInput => "audio_input",
            Self::AudioCacheRead => "audio_cache_read",
            Self::ImageInput => "image_input",
            Self::ImageCacheRead => "image_cache_read",
            Self::VideoInput => "video_input",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
            Self::ImageOutput => "image_output",
            Self::WebSearch => "web_search",
            Self::SearchQuery => "search_query",
            Self::GroundedPrompt => "grounded_prompt",
            Self::InputImage => "input_image",
            Self::OutputImage => "output_image",
            Self::InputAudioSecond => "input_audio_second",
            Self::OutputAudioSecond => "output_audio_second",
            Self::InputCharacter => "input_character",
        }
    }

    /// The meter of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|meter| meter.name() == name)
    }

    /// Whether this counts tokens of the prompt.
    pub const fn is_input_token(self) -> bool {
        matches!(
            self,
            Self::Input
                | Self::CacheRead
                | Self::CacheWrite5m
                | Self::CacheWrite1h
                | Self::CacheWrite12h
                | Self::AudioInput
                | Self::AudioCacheRead
                | Self::ImageInput
                | Self::ImageCacheRead
                | Self::VideoInput
        )
    }

    /// Whether this counts generated tokens.
    pub const fn is_output_token(self) -> bool {
        matches!(self, Self::Output | Self::Reasoning | Self::AudioOutput | Self::ImageOutput)
    }

    /// Whether this counts tokens at all; the others count calls, pieces, seconds or characters.
    pub const fn is_token(self) -> bool {
        self.is_input_token() || self.is_output_token()
    }

    /// Calls of a provider's own tools.
    pub const CALLS: [Self; 3] = [Self::WebSearch, Self::SearchQuery, Self::GroundedPrompt];

    pub(crate) const fn index(self) -> usize {
        self as u8 as usize
    }
}

/// Counters of one pass over one model. All are whole numbers of their unit; absent is 0; none overlaps another.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage([u64; Meter::ALL.len()]);

impl Usage {
    /// Nothing used.
    pub const ZERO: Self = Self([0; Meter::ALL.len()]);

    /// The counters given, all others 0. A meter named twice is added up.
    pub fn of(counters: &[(Meter, u64)]) -> Self {
        let mut usage = Self::ZERO;
        for &(meter, count) in counters {
            usage.add(meter, count);
        }
        usage
    }

    /// The count of `meter`.
    pub fn get(&self, meter: Meter) -> u64 {
        self.0.get(meter.index()).copied().unwrap_or(0)
    }

    /// Sets the count of `meter`.
    pub fn set(&mut self, meter: Meter, count: u64) {
        if let Some(slot) = self.0.get_mut(meter.index()) {
            *slot = count;
        }
    }

    /// Adds to the count of `meter`; stays at the largest number rather than wrap.
    pub fn add(&mut self, meter: Meter, count: u64) {
        self.set(meter, self.get(meter).saturating_add(count));
    }

    /// Adds all counters of `other`.
    pub fn add_all(&mut self, other: &Self) {
        for (meter, count) in other.nonzero() {
            self.add(meter, count);
        }
    }

    /// The counters that are not 0.
    pub fn nonzero(&self) -> impl Iterator<Item = (Meter, u64)> + '_ {
        Meter::ALL.into_iter().map(|meter| (meter, self.get(meter))).filter(|&(_, n)| n != 0)
    }

    /// All prompt tokens, cached and written ones too.
    pub fn input_tokens(&self) -> u64 {
        self.sum(Meter::is_input_token)
    }

    /// Prompt tokens read from a cache, of any kind.
    pub fn cached_tokens(&self) -> u64 {
        self.sum(|meter| {
            matches!(meter, Meter::CacheRead | Meter::AudioCacheRead | Meter::ImageCacheRead)
        })
    }

    /// All generated tokens, thinking ones too.
    pub fn output_tokens(&self) -> u64 {
        self.sum(Meter::is_output_token)
    }

    fn sum(&self, which: fn(Meter) -> bool) -> u64 {
        self.nonzero().filter(|&(m, _)| which(m)).fold(0, |sum, (_, n)| sum.saturating_add(n))
    }
}

impl Serialize for Usage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (meter, count) in self.nonzero() {
            map.serialize_entry(meter.name(), &count)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Usage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = std::collections::BTreeMap::<String, u64>::deserialize(deserializer)?;
        let mut usage = Self::ZERO;
        for (name, count) in map {
            let meter = Meter::from_name(&name)
                .ok_or_else(|| D::Error::custom(format!("unknown meter {name}")))?;
            usage.set(meter, count);
        }
        Ok(usage)
    }
}

/// What one run over one model used. Most answers have one pass; Anthropic's `usage.iterations` may name several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pass {
    /// The provider's model that ran, where it is not the one asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Its counters.
    pub usage: Usage,
}

/// How the provider served the request: each may change the price.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum ServiceTier {
    /// The ordinary one: `default`, `standard`, `auto`, `scale`, `on_demand`, or nothing said.
    #[default]
    Standard,
    /// Cheaper and slower.
    Flex,
    /// Dearer and faster.
    Priority,
    /// Asynchronous batches.
    Batch,
}

impl ServiceTier {
    /// Every tier.
    pub const ALL: [Self; 4] = [Self::Standard, Self::Flex, Self::Priority, Self::Batch];

    /// The name in JSON and in the database.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Flex => "flex",
            Self::Priority => "priority",
            Self::Batch => "batch",
        }
    }

    /// The tier of our own name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// The tier that an answer names, in any provider's word and case. `fast` and `ultrafast` are OpenAI's names for
    /// priority processing. A word not known here is taken for the ordinary tier.
    pub fn from_answer(word: &str) -> Self {
        let is = |known: &str| known.eq_ignore_ascii_case(word);
        if is("fast") || is("ultrafast") {
            return Self::Priority;
        }
        Self::ALL.into_iter().find(|tier| is(tier.name())).unwrap_or(Self::Standard)
    }
}

/// Where the provider was asked to run the model, where that changes the price.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Anywhere.
    #[default]
    Global,
    /// In the United States only.
    Us,
    /// In the European Union only.
    Eu,
}

/// All that an answer says of its price: what was used, and on which terms.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// One entry per run over a model; never empty in a settled receipt.
    pub passes: Vec<Pass>,
    /// The tier that served.
    #[serde(default)]
    pub service_tier: ServiceTier,
    /// Anthropic's fast mode.
    #[serde(default)]
    pub fast: bool,
    /// Regional processing.
    #[serde(default)]
    pub region: Region,
    /// The provider's own numbers contradicted each other (cached above input, say) and were clamped, or cannot be true
    /// (nothing for text that came, more than any request can use): then the missing side is an estimate.
    #[serde(default)]
    pub inconsistent: bool,
    /// By which way it came; said of receipts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Route>>,
}

impl UsageReport {
    /// The attempts of the same request that came to nothing.
    pub fn tried(&self) -> &[Tried] {
        self.route.as_deref().map_or(&[], |route| &route.tried)
    }

    /// What the provider bills the account itself, where it was called with the account's own key.
    pub fn direct(&self) -> Option<Usd> {
        self.route.as_deref().and_then(|route| route.direct)
    }

    /// Says that the provider bills the account itself, and what.
    pub fn pay_directly(&mut self, amount: Usd) {
        self.route.get_or_insert_default().direct = Some(amount);
    }

    /// A report of a single pass over the model asked for, on ordinary terms.
    pub fn single(usage: Usage) -> Self {
        Self { passes: vec![Pass { model: None, usage }], ..Self::default() }
    }

    /// The counters of all passes together.
    pub fn total(&self) -> Usage {
        let mut total = Usage::ZERO;
        for pass in &self.passes {
            total.add_all(&pass.usage);
        }
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tier_is_known_in_any_case_and_by_its_whole_word() {
        for (word, tier) in [
            ("flex", ServiceTier::Flex),
            ("FLEX", ServiceTier::Flex),
            ("Priority", ServiceTier::Priority),
            ("fast", ServiceTier::Priority),
            ("UltraFast", ServiceTier::Priority),
            ("BATCH", ServiceTier::Batch),
        ] {
            assert_eq!(ServiceTier::from_answer(word), tier, "{word}");
        }
        for word in ["", "default", "standard", "auto", "flexible", "fas", " flex"] {
            assert_eq!(ServiceTier::from_answer(word), ServiceTier::Standard, "{word}");
        }
    }
}
