//! Which column of the model file means what.

use crate::price::Condition;
use crate::usage::{Meter, ServiceTier};

/// Where a price column belongs.
pub(super) struct PriceColumn {
    pub(super) condition: Condition,
    pub(super) meter: Meter,
    /// The price is per 10^power units.
    pub(super) power: u32,
}

/// Columns that say who and what the model is, or qualify prices; none is kept as a free attribute.
pub(super) const NAMED: [&str; 16] = [
    "provider",
    "model",
    "mode",
    "status",
    "deprecation_date",
    "context_window",
    "max_output_tokens",
    "source",
    "as_of",
    "tier_threshold_tokens",
    "offpeak_windows_utc",
    "speed_fast_multiplier",
    "geo_us_multiplier",
    "geo_eu_multiplier",
    "web_search_per_1k_calls",
    "input_per_audio_hour",
];

/// Columns kept as they are, for people and later features.
pub(super) const ATTRIBUTES: [&str; 17] = [
    "web_search_unit",
    "web_search_free",
    "prompt_cache_min_tokens",
    "embedding_dimensions",
    "supports_vision",
    "supports_tools",
    "supports_parallel_tools",
    "supports_pdf",
    "supports_audio_input",
    "supports_audio_output",
    "supports_reasoning",
    "supports_structured_output",
    "supports_prompt_caching",
    "supports_web_search",
    "supports_system_messages",
    "supports_tool_choice",
    "agreement",
];

/// What a column named `tier_flex_input_per_mtok`, say, prices; `None` for any other column.
pub(super) fn price_column(name: &str) -> Option<PriceColumn> {
    let plain = |meter, power| Some(PriceColumn { condition: Condition::default(), meter, power });
    match name {
        "input_per_image" => return plain(Meter::InputImage, 0),
        "output_per_image" => return plain(Meter::OutputImage, 0),
        "input_per_audio_second" => return plain(Meter::InputAudioSecond, 0),
        "output_per_audio_second" => return plain(Meter::OutputAudioSecond, 0),
        "input_per_mchar" => return plain(Meter::InputCharacter, 6),
        _ => {}
    }
    let mut rest = name.strip_suffix("_per_mtok")?;
    let mut condition = Condition::default();
    if let Some(inner) = rest.strip_prefix("offpeak_") {
        (condition.off_peak, rest) = (true, inner);
    }
    if let Some(inner) = rest.strip_prefix("tier_") {
        (condition.long_context, rest) = (true, inner);
    }
    for tier in [ServiceTier::Batch, ServiceTier::Flex, ServiceTier::Priority] {
        if let Some(inner) =
            rest.strip_prefix(tier.name()).and_then(|inner| inner.strip_prefix('_'))
        {
            (condition.service_tier, rest) = (tier, inner);
        }
    }
    let meter = match rest {
        "input" => Meter::Input,
        "output" => Meter::Output,
        "cached_input_read" => Meter::CacheRead,
        "cache_write_5m" | "cache_write" => Meter::CacheWrite5m,
        "cache_write_1h" => Meter::CacheWrite1h,
        "cache_write_12h" => Meter::CacheWrite12h,
        "reasoning_output" => Meter::Reasoning,
        "audio_input" => Meter::AudioInput,
        "audio_output" => Meter::AudioOutput,
        "audio_cached_read" => Meter::AudioCacheRead,
        "image_input" => Meter::ImageInput,
        "image_output" => Meter::ImageOutput,
        "image_cached_read" => Meter::ImageCacheRead,
        "video_input" => Meter::VideoInput,
        _ => return None,
    };
    Some(PriceColumn { condition, meter, power: 6 })
}
