//! Which levels of thinking a model has. <https://platform.openai.com/docs/guides/reasoning>

use crate::chat::Effort;
use crate::families::{gpt_version, openai_efforts};

/// The level nearest to `asked` that the model has. Of a model not known here, a newer one likely, all are taken but none
/// at all.
pub(super) fn nearest(model: &str, asked: Effort) -> Effort {
    let (least, most) = range(model);
    if asked == Effort::None && openai_efforts(model).contains(&asked) {
        return asked;
    }
    asked.clamp(least, most)
}

/// The levels between which a model has them all.
fn range(model: &str) -> (Effort, Effort) {
    match gpt_version(model) {
        Some((5, 0)) => (Effort::Minimal, Effort::High),
        Some((5, 1)) => (Effort::Low, Effort::High),
        Some((5, _)) => (Effort::Low, Effort::Xhigh),
        None if model.starts_with('o') => (Effort::Low, Effort::High),
        _ => (Effort::Low, Effort::Max),
    }
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
    }
}
