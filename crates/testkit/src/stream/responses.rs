//! Responses as events.

use serde_json::{Value, json};

use super::{Form, Stream, words};

pub(crate) fn stream(whole: &Value) -> Stream {
    let mut events = Events(Vec::new());
    let status = whole.get("status").and_then(Value::as_str).unwrap_or("completed");
    let mut begun = whole.clone();
    begun["status"] = "in_progress".into();
    begun["output"] = json!([]);
    for key in ["usage", "completed_at", "incomplete_details", "error"] {
        begun[key] = Value::Null;
    }
    events.push("response.created", json!({ "response": begun }));
    events.push("response.in_progress", json!({ "response": begun }));
    let items = whole.get("output").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (index, item) in items.iter().enumerate() {
        events.item(index, item);
    }
    let end = format!("response.{status}");
    events.push(&end, json!({ "response": whole }));
    Stream::new(Form::Responses, &events.0)
}

struct Events(Vec<Value>);

impl Events {
    fn push(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.0.len().into();
        self.0.push(event);
    }

    fn item(&mut self, index: usize, item: &Value) {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or_default();
        let mut opening = item.clone();
        let id = item.get("id").cloned().unwrap_or_default();
        let emptied = match kind {
            "message" => Some(("content", json!([]))),
            "reasoning" => {
                if opening.get("content").is_some() {
                    opening["content"] = json!([]);
                }
                Some(("summary", json!([])))
            }
            "function_call" => Some(("arguments", "".into())),
            "custom_tool_call" => Some(("input", "".into())),
            _ => None,
        };
        if let Some((key, value)) = emptied {
            opening[key] = value;
        }
        if item.get("status").is_some() {
            opening["status"] = "in_progress".into();
        }
        // The state is only complete when the item is.
        if let Some(state) = opening.get_mut("encrypted_content").filter(|state| state.is_string())
        {
            *state = "".into();
        }
        self.push("response.output_item.added", json!({"output_index": index, "item": opening}));
        match kind {
            "message" => self.message(index, &id, item),
            "reasoning" => self.reasoning(index, &id, item),
            "function_call" => {
                self.call(index, &id, item, "arguments", "response.function_call_arguments");
            }
            "custom_tool_call" => {
                self.call(index, &id, item, "input", "response.custom_tool_call_input");
            }
            _ => {}
        }
        self.push("response.output_item.done", json!({"output_index": index, "item": item}));
    }

    fn message(&mut self, index: usize, id: &Value, item: &Value) {
        let parts = item.get("content").and_then(Value::as_array);
        for (place, part) in parts.into_iter().flatten().enumerate() {
            let at = |mut event: Value| {
                event["item_id"] = id.clone();
                event["output_index"] = index.into();
                event["content_index"] = place.into();
                event
            };
            let key = if part.get("refusal").is_some() { "refusal" } else { "text" };
            let prefix = match key {
                "refusal" => "response.refusal",
                _ => "response.output_text",
            };
            let text = part.get(key).and_then(Value::as_str).unwrap_or_default();
            let mut opening = part.clone();
            opening[key] = "".into();
            if opening.get("annotations").is_some() {
                opening["annotations"] = json!([]);
            }
            if opening.get("logprobs").is_some() {
                opening["logprobs"] = json!([]);
            }
            self.push("response.content_part.added", at(json!({ "part": opening })));
            let mut probabilities =
                part.get("logprobs").and_then(Value::as_array).into_iter().flatten();
            for piece in words(text) {
                let mut delta = json!({ "delta": piece });
                if key == "text" {
                    let probability: Vec<&Value> = probabilities.next().into_iter().collect();
                    delta["logprobs"] = json!(probability);
                }
                self.push(&format!("{prefix}.delta"), at(delta));
            }
            let annotations = part.get("annotations").and_then(Value::as_array);
            for (number, annotation) in annotations.into_iter().flatten().enumerate() {
                let event = json!({"annotation_index": number, "annotation": annotation});
                self.push("response.output_text.annotation.added", at(event));
            }
            let mut done = json!({ key: text });
            if key == "text" {
                done["logprobs"] = part.get("logprobs").cloned().unwrap_or(json!([]));
            }
            self.push(&format!("{prefix}.done"), at(done));
            self.push("response.content_part.done", at(json!({ "part": part })));
        }
    }

    fn reasoning(&mut self, index: usize, id: &Value, item: &Value) {
        /// A list of the item, how its parts are counted, and the names of its parts, its texts and their kind.
        const LISTS: [(&str, &str, &str, &str, &str); 2] = [
            (
                "summary",
                "summary_index",
                "reasoning_summary_part",
                "reasoning_summary_text",
                "summary_text",
            ),
            // Reasoning that is not summarised, as DeepSeek shows it.
            ("content", "content_index", "content_part", "reasoning_text", "reasoning_text"),
        ];
        for (list, count, outer, inner, kind) in LISTS {
            let parts = item.get(list).and_then(Value::as_array);
            for (place, part) in parts.into_iter().flatten().enumerate() {
                let at = |mut event: Value| {
                    event["item_id"] = id.clone();
                    event["output_index"] = index.into();
                    event[count] = place.into();
                    event
                };
                let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
                let opening = json!({"part": {"type": kind, "text": ""}});
                self.push(&format!("response.{outer}.added"), at(opening));
                for piece in words(text) {
                    self.push(&format!("response.{inner}.delta"), at(json!({ "delta": piece })));
                }
                self.push(&format!("response.{inner}.done"), at(json!({ "text": text })));
                self.push(&format!("response.{outer}.done"), at(json!({ "part": part })));
            }
        }
    }

    fn call(&mut self, index: usize, id: &Value, item: &Value, key: &str, prefix: &str) {
        let at = |mut event: Value| {
            event["item_id"] = id.clone();
            event["output_index"] = index.into();
            event
        };
        let text = item.get(key).and_then(Value::as_str).unwrap_or_default();
        for piece in words(text) {
            self.push(&format!("{prefix}.delta"), at(json!({ "delta": piece })));
        }
        self.push(&format!("{prefix}.done"), at(json!({ key: text })));
    }
}
