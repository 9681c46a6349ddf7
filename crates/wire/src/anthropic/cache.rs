//! Cache markers, of which Anthropic takes four: the last ones, because each covers all that comes before it.

use super::types::CacheControl;
use super::write_tools::carries_marker;
use crate::Dropped;
use crate::chat::{Block, CacheLife, Chat, Native, Tool};
use crate::json::{self, Json};

const MOST: usize = 4;

/// Hands out markers in the order in which they stand on the wire: tools, system, turns.
pub(super) struct Markers {
    /// How many of those to come are left out.
    skip: usize,
    /// Whether any are taken at all.
    none: bool,
    /// Whether a short one was handed out, behind which Anthropic takes no long one.
    short: bool,
}

impl Markers {
    /// `taken` markers stand elsewhere in the request.
    pub(super) fn of(chat: &Chat, taken: usize) -> Self {
        let tools = chat.tools.iter().filter(|tool| match tool {
            Tool::Function { cache, .. } => cache.is_some(),
            Tool::Hosted { native, .. } | Tool::Native(native) => carries_marker(native),
        });
        let blocks = chat.turns.iter().flat_map(|turn| &turn.blocks).chain(&chat.system);
        let all = tools.count() + blocks.map(markers).sum::<usize>();
        Self { skip: all.saturating_sub(MOST.saturating_sub(taken)), none: false, short: false }
    }

    /// For a provider that caches by itself.
    pub(super) const fn none() -> Self {
        Self { skip: 0, none: true, short: false }
    }

    pub(super) fn take(&mut self, life: CacheLife, dropped: &mut Dropped) -> Option<CacheControl> {
        if self.none || self.skip > 0 {
            self.skip = self.skip.saturating_sub(1);
            dropped.note("cache_control");
            return None;
        }
        let ttl = match life {
            CacheLife::Long if self.short => {
                dropped.note("cache_control.ttl: 1h -> 5m");
                None
            }
            CacheLife::Long => Some("1h".to_owned()),
            CacheLife::Short => {
                self.short = true;
                None
            }
        };
        Some(CacheControl { kind: Some("ephemeral".to_owned()), ttl })
    }

    /// A tool or block of this dialect, without its marker where that is one too many.
    pub(super) fn native(&mut self, native: &Native, dropped: &mut Dropped) -> Json {
        if !carries_marker(native) || (self.skip == 0 && !self.none) {
            return native.raw.clone();
        }
        self.skip = self.skip.saturating_sub(1);
        dropped.note("cache_control");
        let mut members = json::fields(native.raw.get());
        members.retain(|(name, _)| name != "cache_control");
        json::object_with(&Json::empty_object(), &members)
    }
}

fn markers(block: &Block) -> usize {
    match block {
        Block::CachePoint(_) => 1,
        Block::ToolResult { blocks, .. } => blocks.iter().map(markers).sum(),
        Block::Native(native) => usize::from(carries_marker(native)),
        _ => 0,
    }
}
