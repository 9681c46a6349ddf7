//! Names and ids that the API refuses, shortened: always the same for the same name, so that prompts stay cacheable and a
//! conversation needs no memory here.

use std::borrow::Cow;

use crate::chat::{Block, Chat, Tool, ToolChoice};
use crate::openai_chat::names::short_digest;

pub(super) use crate::openai_chat::names::legal;

/// The longest id of a call.
const LONGEST: usize = 64;

/// The names of a request's tools as the provider gets them.
#[derive(Default)]
pub(super) struct Names {
    /// The provider's name, then the client's.
    renamed: Vec<(String, String)>,
}

impl Names {
    /// Of the tools on offer, those chosen and those that the history calls.
    pub(super) fn of(chat: &Chat) -> Self {
        let mut names = Self::default();
        for tool in &chat.tools {
            if let Tool::Function { name, .. } = tool {
                names.add(name);
            }
        }
        match &chat.tool_choice {
            ToolChoice::One(name) => names.add(name),
            ToolChoice::Among { names: several, .. } => {
                for name in several {
                    names.add(name);
                }
            }
            _ => {}
        }
        for block in chat.turns.iter().flat_map(|turn| &turn.blocks) {
            if let Block::ToolUse { name, .. } = block {
                names.add(name);
            }
        }
        names
    }

    fn add(&mut self, name: &str) {
        let short = legal(name);
        if short != name && !self.renamed.iter().any(|(_, client)| client == name) {
            self.renamed.push((short.into_owned(), name.to_owned()));
        }
    }

    pub(super) fn into_renamed(self) -> Vec<(String, String)> {
        self.renamed
    }
}

/// The id as the API takes it: of any characters, but not long.
pub(super) fn short_id(id: &str) -> Cow<'_, str> {
    if id.len() <= LONGEST {
        return Cow::Borrowed(id);
    }
    let start: String = id.chars().filter(char::is_ascii).take(LONGEST - 9).collect();
    Cow::Owned(format!("{start}_{:08x}", short_digest(id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legal_names_stay() {
        for name in ["find_ship", "A-1", &"x".repeat(64)] {
            assert_eq!(legal(name), name);
        }
    }

    #[test]
    fn others_are_short_legal_and_told_apart() {
        let long = |end: &str| format!("{}{end}", "x".repeat(100));
        let names =
            [long("a"), long("b"), "find.ship".to_owned(), "find:ship".to_owned(), "ä".repeat(90)];
        let short: Vec<_> = names.iter().map(|name| legal(name).into_owned()).collect();
        for (i, name) in short.iter().enumerate() {
            assert!(name.len() <= LONGEST && legal(name) == *name, "{name}");
            assert!(!short.iter().take(i).any(|other| other == name), "{name}");
        }
        // Always the same: 50 characters and 8 digits.
        assert_eq!(short[0].len(), 59);
        assert!(
            short_id(&long("ä")).len() <= LONGEST && short_id(&long("a")) != short_id(&long("b"))
        );
    }
}
