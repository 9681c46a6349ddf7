//! What the target takes: Claude by its generation, and DeepSeek, which speaks the same dialect with fewer words.

use crate::Target;
use crate::chat::Effort;
use crate::families::{Claude, Off};

/// The rules of a target.
#[derive(Copy, Clone)]
pub(super) struct Rules {
    pub(super) claude: Claude,
    /// Neither documents, server tools, cache markers, citations nor schemas; temperatures up to 2.
    pub(super) deepseek: bool,
    /// Whether pictures are taken.
    pub(super) images: bool,
    /// The longest name of a tool.
    pub(super) name_length: usize,
}

impl Rules {
    pub(super) fn of(target: &Target<'_>) -> Self {
        let claude = Claude::of(target.model);
        if target.provider != "deepseek" {
            return Self { claude, deepseek: false, images: true, name_length: 128 };
        }
        let claude = Claude {
            sampling: true,
            one_sampler: false,
            thinks: true,
            budget: false,
            adaptive: false,
            efforts: &[Effort::Low, Effort::High, Effort::Max],
            capped_when_off: false,
            off: Off::Disabled,
            forced_tool: true,
            prefill: false,
            format: false,
            system_turns: false,
        };
        let images = target.model.contains("vision");
        Self { claude, deepseek: true, images, name_length: 64 }
    }

    /// The level nearest to the one asked for: the same, else the next lower, else the lowest; none where the model
    /// takes no level.
    pub(super) fn effort(self, asked: Effort) -> Option<Effort> {
        let levels = self.claude.efforts;
        let asked = match asked {
            // DeepSeek's own words for it.
            Effort::Medium if self.deepseek => Effort::High,
            Effort::Xhigh if self.deepseek => Effort::Max,
            other => other,
        };
        levels.iter().rev().find(|level| **level <= asked).or(levels.first()).copied()
    }
}
