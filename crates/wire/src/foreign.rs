//! Parts of what the user says, or of what a tool returned, that only the client's own dialect knows. Without a picture in
//! a form that nobody else has, a question about it would get an answer to another one.

use crate::chat::{Block, Chat, Native, Role};
use crate::{Unsupported, anthropic, gemini, openai_chat, openai_responses};

/// Refuses a conversation for `dialect` with such a part in it.
pub(crate) fn refuse_parts(chat: &Chat, dialect: &str) -> Result<(), Unsupported> {
    let users = chat.turns.iter().filter(|turn| turn.role == Role::User);
    for block in users.flat_map(|turn| &turn.blocks) {
        let inner = match block {
            Block::ToolResult { blocks, .. } => blocks.as_slice(),
            _ => std::slice::from_ref(block),
        };
        for block in inner {
            let Block::Native(native) = block else { continue };
            if let Some(name) = part(native).filter(|_| native.dialect != dialect) {
                let reason = format!("this part is known to {} only", native.dialect);
                return Err(Unsupported::new(&name, reason));
            }
        }
    }
    Ok(())
}

/// The name of a part that says something; none of a step of a provider's own tools, and of what stands beside a part.
fn part(native: &Native) -> Option<String> {
    let field = native.field.as_str();
    match native.dialect {
        openai_chat::NAME => Some(format!("messages.content.{field}")),
        openai_responses::NAME => field.starts_with("content.").then(|| format!("input.{field}")),
        anthropic::NAME => {
            let steps = ["content.", "server_tool_use", "mcp_tool_use", "tool_reference"];
            let step = steps.iter().any(|step| field.starts_with(step));
            (!step && !field.ends_with("_tool_result")).then(|| format!("messages.content.{field}"))
        }
        gemini::NAME => {
            const STEPS: [&str; 4] =
                ["executableCode", "codeExecutionResult", "toolCall", "toolResponse"];
            (!STEPS.contains(&field)).then(|| format!("parts.{field}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::Target;

    #[test]
    fn a_picture_in_a_form_of_nobodys_is_not_left_out() {
        let result = |parts: &str| {
            format!(
                r#"{{"contents":[{{"role":"model","parts":[{{"functionCall":{{"name":"f"}}}}]}},
                {{"role":"user","parts":[{{"functionResponse":{{"name":"f","response":{{}},"parts":{parts}}}}}]}}]}}"#
            )
        };
        let message = |member: &str, part: &str| {
            format!(
                r#"{{"model":"m","max_tokens":9,"{member}":[{{"role":"user","content":[{part}]}}]}}"#
            )
        };
        let picture = r#"{"type":"picture","data":"AAAA"}"#;
        for (from, body, field) in [
            ("openai_chat", message("messages", picture), "messages.content.picture"),
            ("openai_responses", message("input", picture), "input.content.picture"),
            ("anthropic", message("messages", picture), "messages.content.picture"),
            (
                "gemini",
                r#"{"contents":[{"role":"user","parts":[{"imageData":{"data":"AAAA"}}]}]}"#
                    .to_owned(),
                "parts.imageData",
            ),
            ("gemini", result(r#"[{"imageData":{"data":"AAAA"}}]"#), "parts.imageData"),
        ] {
            let chat = crate::dialect(from).unwrap().read_request(body.as_bytes()).unwrap();
            for (provider, to) in [
                ("openai", "openai_chat"),
                ("openai", "openai_responses"),
                ("anthropic", "anthropic"),
                ("gemini", "gemini"),
            ] {
                let target =
                    Target { provider, model: "m", max_output_tokens: None, reasoning: false };
                let written = crate::dialect(to).unwrap().write_request(&chat, &target);
                if from == to {
                    assert!(String::from_utf8(written.unwrap().body).unwrap().contains("AAAA"));
                } else {
                    assert_eq!(written.unwrap_err().field, field, "{from} to {to}");
                }
            }
        }
    }
}
