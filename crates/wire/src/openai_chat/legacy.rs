//! Functions as they were before there were tools: `functions` and `function_call` in the request, `function_call` in the
//! answer. <https://platform.openai.com/docs/api-reference/chat/create>

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::types::Message;
use crate::json::Json;
use crate::reply::Finish;

/// The member of a request by which an answer knows its form.
const FUNCTIONS: &str = "functions";

/// That member, where a body asks for calls in that form alone.
pub(super) fn echo(body: &[u8]) -> Option<(String, Json)> {
    #[derive(Deserialize)]
    struct Asked {
        functions: Option<Vec<IgnoredAny>>,
        tools: Option<Vec<IgnoredAny>>,
    }
    memchr::memmem::find(body, b"\"functions\"")?;
    let asked: Asked = serde_json::from_slice(body).ok()?;
    let is_legacy = asked.functions.is_some_and(|list| !list.is_empty()) && asked.tools.is_none();
    is_legacy.then(|| (FUNCTIONS.to_owned(), Json::of(&true)))
}

/// Whether the client asked for that form.
pub(super) fn is_asked(echo: &[(String, Json)]) -> bool {
    echo.iter().any(|(name, _)| name == FUNCTIONS)
}

/// A whole message in that form, which has one call.
pub(super) fn restore(message: &mut Message) {
    let calls = message.tool_calls.take().unwrap_or_default();
    message.function_call = calls.into_iter().find_map(|call| call.function);
}

/// Why it ends, likewise.
pub(super) fn finish(finish: Finish, is_legacy: bool) -> &'static str {
    match finish {
        Finish::ToolUse if is_legacy => "function_call",
        finish => super::write_reply::finish(finish),
    }
}
