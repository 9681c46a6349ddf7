//! Functions whose definitions a model has to look for, so that they take no room in its prompt until then. Where nothing
//! looks for them, all of them are in the prompt.

use std::collections::HashSet;

use crate::chat::{Chat, Hosted, Tool};
use crate::json::{self, Json};
use crate::{Dropped, anthropic, openai_responses};

/// The native field by which both dialects that have them keep the mark.
const FIELD: &str = "tools.defer_loading";
/// The mark itself.
pub(crate) const MARK: &str = "defer_loading";

/// The functions that a request in another dialect than `own` marks, where a tool looks for them and the target has one
/// (`searches`). Then nobody misses the marks.
pub(crate) fn carried(
    chat: &Chat,
    own: &str,
    searches: bool,
    dropped: &mut Dropped,
) -> HashSet<String> {
    let looks = |tool: &Tool| matches!(tool, Tool::Hosted { kind: Hosted::ToolSearch, .. });
    if !searches || !chat.tools.iter().any(looks) {
        return HashSet::new();
    }
    let fields = chat.native.iter().filter(|native| native.field == FIELD);
    let mut names = HashSet::new();
    for native in fields.filter(|native| native.dialect != own) {
        dropped.excuse(FIELD);
        match native.dialect {
            anthropic::NAME => names.extend(by_name(&native.raw)),
            openai_responses::NAME => names.extend(of_tool(&native.raw)),
            _ => {}
        }
    }
    names
}

/// Values by the tool's name.
fn by_name(raw: &Json) -> impl Iterator<Item = String> {
    let marked = json::fields(raw.get()).into_iter().filter(|(_, mark)| mark.get() == "true");
    marked.map(|(name, _)| name)
}

/// The name of a tool that is kept as it was written, if it is marked.
fn of_tool(raw: &Json) -> Option<String> {
    let members = json::fields(raw.get());
    let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted);
    member(MARK).filter(|(_, mark)| mark.get() == "true")?;
    member("name")?.1.as_string()
}
