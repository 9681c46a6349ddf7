//! A stream of the native API: server-sent events of JSON, each with the next piece of `content`; then one with the
//! `usage`; then `[DONE]`. An error is an event with `error`, and nothing follows it.

use serde_json::{Value, json};
use wire::Writer;
use wire::problem::Problem as WireProblem;
use wire::stream::{Event, Opening};

use super::chat::tokens;

#[derive(Default)]
pub(crate) struct NativeWriter {
    /// The blocks whose text is content: text and refusals, no thoughts.
    visible: Vec<u32>,
    usage: Option<Value>,
}

impl Writer for NativeWriter {
    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Open { index, block: Opening::Text | Opening::Refusal } => {
                self.visible.push(index);
            }
            Event::Text { index, text } if self.visible.contains(&index) => {
                frame(&json!({ "content": text }), out);
            }
            Event::Usage(metered) => self.usage = Some(tokens(&metered.report)),
            Event::Problem(problem) => {
                frame(
                    &json!({ "error": { "code": code(&problem), "message": problem.message } }),
                    out,
                );
            }
            Event::End => {
                let usage = self.usage.take().unwrap_or(Value::Null);
                frame(&json!({ "content": "", "usage": usage }), out);
                out.extend_from_slice(b"data: [DONE]\n\n");
            }
            _ => {}
        }
    }

    fn ping(&self) -> &'static [u8] {
        b": keep-alive\n\n"
    }
}

fn code(problem: &WireProblem) -> &str {
    problem.code.as_deref().unwrap_or("upstream_error")
}

fn frame(value: &Value, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("data: {value}\n\n").as_bytes());
}
