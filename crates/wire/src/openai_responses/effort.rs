//! Which levels of thinking a model has. <https://platform.openai.com/docs/guides/reasoning>

use crate::chat::Effort;

/// The level nearest to `asked` that the model has. Of a model not known here, a newer one likely, all are taken but none
/// at all.
pub(super) fn nearest(model: &str, asked: Effort) -> Effort {
    let (least, most) = range(model);
    if asked == Effort::None && has_none(model) {
        return asked;
    }
    asked.clamp(least, most)
}

/// The levels between which a model has them all.
fn range(model: &str) -> (Effort, Effort) {
    match version(model) {
        Some((5, 0)) => (Effort::Minimal, Effort::High),
        Some((5, 1)) => (Effort::Low, Effort::High),
        Some((5, _)) => (Effort::Low, Effort::Xhigh),
        None if model.starts_with('o') => (Effort::Low, Effort::High),
        _ => (Effort::Low, Effort::Max),
    }
}

/// Whether the model can be told not to think.
fn has_none(model: &str) -> bool {
    const CAN: [&str; 3] = ["gpt-6-sol", "gpt-6-luna", "gpt-6.1-terra"];
    match version(model) {
        Some((5, minor)) => minor >= 1,
        _ => CAN.iter().any(|id| model.starts_with(id)),
    }
}

/// The version in an id such as `gpt-5.6-sol`.
fn version(model: &str) -> Option<(u64, u64)> {
    let id = model.strip_prefix("gpt-")?.split('-').next()?;
    let (major, minor) = id.split_once('.').unwrap_or((id, "0"));
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whether the model takes cache breakpoints: 5.6 and later.
pub(super) fn takes_breakpoints(model: &str) -> bool {
    version(model).is_some_and(|version| version >= (5, 6))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_of_known_models() {
        for (model, asked, given) in [
            ("gpt-5", Effort::None, Effort::Minimal),
            ("gpt-5-mini", Effort::Xhigh, Effort::High),
            ("gpt-5.1", Effort::None, Effort::None),
            ("gpt-5.1", Effort::Minimal, Effort::Low),
            ("gpt-5.2", Effort::Max, Effort::Xhigh),
            ("gpt-6.1-sol", Effort::None, Effort::Low),
            ("gpt-6.1-terra", Effort::None, Effort::None),
            ("gpt-6.1-sol", Effort::Max, Effort::Max),
            ("o4-mini", Effort::Minimal, Effort::Low),
            ("gpt-9-nova", Effort::Max, Effort::Max),
            ("gpt-9-nova", Effort::None, Effort::Low),
        ] {
            assert_eq!(nearest(model, asked), given, "{model}");
        }
        assert!(takes_breakpoints("gpt-5.6-sol") && takes_breakpoints("gpt-6.1-sol"));
        assert!(!takes_breakpoints("gpt-5.5") && !takes_breakpoints("o3"));
    }
}
