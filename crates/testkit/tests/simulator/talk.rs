//! One way to speak to all formats, so that a test says once what must hold in each of them.

use serde_json::{Value, json};
use testkit::{Provider, Running};

use crate::post;
use crate::sse::{Event, events};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chat,
    Responses,
    Messages,
    Gemini,
}

/// A format at a provider, and a model that can do what most tests want.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    pub(crate) provider: Provider,
    pub(crate) kind: Kind,
    pub(crate) model: &'static str,
    pub(crate) path: &'static str,
}

const fn api(provider: Provider, kind: Kind, model: &'static str, path: &'static str) -> Api {
    Api { provider, kind, model, path }
}

pub(crate) const APIS: [Api; 7] = [
    api(Provider::OpenAi, Kind::Chat, "gpt-4o", "/v1/chat/completions"),
    api(Provider::OpenAi, Kind::Responses, "gpt-5.4", "/v1/responses"),
    api(Provider::Anthropic, Kind::Messages, "claude-sonnet-4-5", "/v1/messages"),
    api(Provider::Gemini, Kind::Gemini, "gemini-3.6-flash", "/v1beta/models/"),
    api(Provider::DeepSeek, Kind::Chat, "deepseek-v4-flash", "/chat/completions"),
    api(Provider::DeepSeek, Kind::Messages, "deepseek-v4-pro", "/anthropic/v1/messages"),
    api(Provider::DeepSeek, Kind::Responses, "deepseek-v4-pro", "/responses"),
];

/// What an answer says, whatever its format.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Got {
    pub(crate) text: String,
    pub(crate) thought: String,
    /// Names and arguments.
    pub(crate) calls: Vec<(String, Value)>,
    pub(crate) stop: String,
    pub(crate) input: u64,
    pub(crate) output: u64,
}

impl Api {
    pub(crate) fn ask(&self, said: &str) -> Value {
        let messages = json!([{"role": "user", "content": said}]);
        match self.kind {
            Kind::Chat => json!({"model": self.model, "messages": messages}),
            Kind::Responses => json!({"model": self.model, "input": messages}),
            Kind::Messages => {
                json!({"model": self.model, "max_tokens": 4096, "messages": messages})
            }
            Kind::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": said}]}]}),
        }
    }

    /// Offers tools without a choice.
    pub(crate) fn offer(&self, request: &mut Value, tools: &[(&str, Value)]) {
        let list = tools.iter().map(|(name, schema)| match self.kind {
            Kind::Chat => {
                json!({"type": "function", "function": {"name": name, "parameters": schema}})
            }
            Kind::Responses => {
                json!({"type": "function", "name": name, "parameters": schema, "strict": false})
            }
            Kind::Messages => json!({"name": name, "input_schema": schema}),
            Kind::Gemini => json!({"name": name, "parametersJsonSchema": schema}),
        });
        let list: Vec<Value> = list.collect();
        request["tools"] = match self.kind {
            Kind::Gemini => json!([{ "functionDeclarations": list }]),
            _ => json!(list),
        };
    }

    /// `none`, `required` or the name of a tool.
    pub(crate) fn choose(&self, request: &mut Value, choice: &str) {
        let word = matches!(choice, "none" | "required");
        let (key, value) = match self.kind {
            Kind::Chat | Kind::Responses if word => ("tool_choice", json!(choice)),
            Kind::Chat => {
                ("tool_choice", json!({"type": "function", "function": {"name": choice}}))
            }
            Kind::Responses => ("tool_choice", json!({"type": "function", "name": choice})),
            Kind::Messages => match choice {
                "none" => ("tool_choice", json!({"type": "none"})),
                "required" => ("tool_choice", json!({"type": "any"})),
                name => ("tool_choice", json!({"type": "tool", "name": name})),
            },
            Kind::Gemini => {
                let config = match choice {
                    "none" => json!({"mode": "NONE"}),
                    "required" => json!({"mode": "ANY"}),
                    name => json!({"mode": "ANY", "allowedFunctionNames": [name]}),
                };
                ("toolConfig", json!({ "functionCallingConfig": config }))
            }
        };
        request[key] = value;
    }

    /// Appends an answer to the conversation, and results for its calls.
    pub(crate) fn go_on(&self, request: &mut Value, whole: &Value, results: &[&str]) {
        let mut push = |key: &str, value: Value| {
            request[key].as_array_mut().expect("a list").push(value);
        };
        match self.kind {
            Kind::Chat => {
                let message = &whole["choices"][0]["message"];
                push("messages", message.clone());
                let calls = message["tool_calls"].as_array().expect("calls");
                for (call, result) in calls.iter().zip(results) {
                    push(
                        "messages",
                        json!({"role": "tool", "tool_call_id": call["id"], "content": result}),
                    );
                }
            }
            Kind::Responses => {
                let items = whole["output"].as_array().expect("items");
                for item in items {
                    push("input", item.clone());
                }
                let calls = items.iter().filter(|item| item["type"] == "function_call");
                for (call, result) in calls.zip(results) {
                    push(
                        "input",
                        json!({"type": "function_call_output", "call_id": call["call_id"], "output": result}),
                    );
                }
            }
            Kind::Messages => {
                push("messages", json!({"role": "assistant", "content": whole["content"]}));
                let blocks = whole["content"].as_array().expect("blocks");
                let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
                let results = calls.zip(results).map(|(call, result)| {
                    json!({"type": "tool_result", "tool_use_id": call["id"], "content": result})
                });
                let results: Vec<Value> = results.collect();
                push("messages", json!({"role": "user", "content": results}));
            }
            Kind::Gemini => {
                let content = &whole["candidates"][0]["content"];
                push("contents", content.clone());
                let parts = content["parts"].as_array().expect("parts");
                let calls = parts.iter().filter_map(|part| part.get("functionCall"));
                let results = calls.zip(results).map(|(call, result)| {
                    json!({"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": result}}})
                });
                let results: Vec<Value> = results.collect();
                push("contents", json!({"role": "user", "parts": results}));
            }
        }
    }

    fn url(&self, streams: bool) -> String {
        match (self.kind, streams) {
            (Kind::Gemini, true) => {
                format!("{}{}:streamGenerateContent?alt=sse", self.path, self.model)
            }
            (Kind::Gemini, false) => format!("{}{}:generateContent", self.path, self.model),
            _ => self.path.to_owned(),
        }
    }

    /// Sends a request; as a stream if that is wanted.
    pub(crate) async fn send(
        &self,
        sim: &Running,
        request: &Value,
        streams: bool,
    ) -> reqwest::Response {
        let mut request = request.clone();
        if streams && self.kind != Kind::Gemini {
            request["stream"] = true.into();
        }
        if streams && self.kind == Kind::Chat {
            request["stream_options"] = json!({"include_usage": true});
        }
        // DeepSeek's part in Anthropic's format asks for the same headers.
        let provider = match self.kind {
            Kind::Messages => Provider::Anthropic,
            _ => self.provider,
        };
        let sent = post(sim, provider, &self.url(streams)).json(&request).send();
        sent.await.expect("sent")
    }

    /// Status and body of a request that is not streamed.
    pub(crate) async fn result(&self, sim: &Running, request: &Value) -> (u16, Value) {
        let response = self.send(sim, request, false).await;
        (response.status().as_u16(), response.json().await.expect("JSON"))
    }

    /// The answer, which must be a good one and the same whether it is streamed or not.
    pub(crate) async fn good(&self, sim: &Running, request: &Value) -> (Got, Value) {
        let (status, whole) = self.result(sim, request).await;
        assert_eq!(status, 200, "{self:?}: {whole}");
        let response = self.send(sim, request, true).await;
        assert_eq!(response.status(), 200, "{self:?}");
        let stream = events(&response.text().await.expect("text"));
        let got = self.read(&whole);
        assert_eq!(self.read(&self.rebuilt(&stream)), got, "{self:?}: the stream differs");
        (got, whole)
    }

    pub(crate) fn read(&self, whole: &Value) -> Got {
        match self.kind {
            Kind::Chat => chat(whole),
            Kind::Responses => responses(whole),
            Kind::Messages => messages(whole),
            Kind::Gemini => gemini(whole),
        }
    }

    fn rebuilt(&self, stream: &[Event]) -> Value {
        match self.kind {
            Kind::Chat => rebuilt_chat(stream),
            // The last event repeats everything.
            Kind::Responses => {
                let repeated = &stream.last().expect("an end").data["response"];
                check_deltas(stream, repeated);
                repeated.clone()
            }
            Kind::Messages => rebuilt_messages(stream),
            Kind::Gemini => rebuilt_gemini(stream),
        }
    }
}

fn text_at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn number_at(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn arguments(text: &Value) -> Value {
    let text = text.as_str().expect("arguments are text");
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn items<'a>(value: &'a Value, key: &str) -> std::slice::Iter<'a, Value> {
    value.get(key).and_then(Value::as_array).map_or(&[][..], Vec::as_slice).iter()
}

fn chat(whole: &Value) -> Got {
    let message = &whole["choices"][0]["message"];
    let calls = items(message, "tool_calls").map(|call| {
        let function = &call["function"];
        (text_at(function, "/name"), arguments(&function["arguments"]))
    });
    Got {
        text: text_at(message, "/content"),
        thought: text_at(message, "/reasoning_content"),
        calls: calls.collect(),
        stop: text_at(whole, "/choices/0/finish_reason"),
        input: number_at(whole, "/usage/prompt_tokens"),
        output: number_at(whole, "/usage/completion_tokens"),
    }
}

fn responses(whole: &Value) -> Got {
    let mut got = Got {
        stop: text_at(whole, "/status"),
        input: number_at(whole, "/usage/input_tokens"),
        output: number_at(whole, "/usage/output_tokens"),
        ..Got::default()
    };
    for item in items(whole, "output") {
        match item["type"].as_str().expect("a type") {
            "reasoning" => {
                for part in items(item, "summary").chain(items(item, "content")) {
                    got.thought += &text_at(part, "/text");
                }
            }
            "message" => {
                for part in items(item, "content") {
                    got.text += &text_at(part, "/text");
                }
            }
            "function_call" => {
                got.calls.push((text_at(item, "/name"), arguments(&item["arguments"])));
            }
            other => panic!("{other}"),
        }
    }
    got
}

fn messages(whole: &Value) -> Got {
    let mut got = Got {
        stop: text_at(whole, "/stop_reason"),
        input: number_at(whole, "/usage/input_tokens"),
        output: number_at(whole, "/usage/output_tokens"),
        ..Got::default()
    };
    for block in items(whole, "content") {
        match block["type"].as_str().expect("a type") {
            "thinking" => got.thought += &text_at(block, "/thinking"),
            "text" => got.text += &text_at(block, "/text"),
            "tool_use" => got.calls.push((text_at(block, "/name"), block["input"].clone())),
            other => panic!("{other}"),
        }
    }
    got
}

fn gemini(whole: &Value) -> Got {
    let mut got = Got {
        stop: text_at(whole, "/candidates/0/finishReason"),
        input: number_at(whole, "/usageMetadata/promptTokenCount"),
        output: number_at(whole, "/usageMetadata/candidatesTokenCount")
            + number_at(whole, "/usageMetadata/thoughtsTokenCount"),
        ..Got::default()
    };
    for part in items(&whole["candidates"][0]["content"], "parts") {
        if let Some(call) = part.get("functionCall") {
            got.calls.push((text_at(call, "/name"), call["args"].clone()));
        } else if part["thought"] == true {
            got.thought += &text_at(part, "/text");
        } else {
            got.text += &text_at(part, "/text");
        }
    }
    got
}

fn rebuilt_chat(stream: &[Event]) -> Value {
    let (mut text, mut thought) = (String::new(), String::new());
    let mut calls: Vec<Value> = Vec::new();
    let mut whole = json!({"choices": [{}]});
    for Event { data, .. } in stream {
        if data["usage"].is_object() {
            whole["usage"] = data["usage"].clone();
        }
        let choice = &data["choices"][0];
        if choice["finish_reason"].is_string() {
            whole["choices"][0]["finish_reason"] = choice["finish_reason"].clone();
        }
        text += &text_at(choice, "/delta/content");
        thought += &text_at(choice, "/delta/reasoning_content");
        for piece in items(&choice["delta"], "tool_calls") {
            let index = usize::try_from(number_at(piece, "/index")).expect("small");
            if index == calls.len() {
                assert!(piece["id"].is_string(), "{piece}");
                calls.push(piece.clone());
                continue;
            }
            let more = text_at(&calls[index], "/function/arguments")
                + &text_at(piece, "/function/arguments");
            calls[index]["function"]["arguments"] = more.into();
        }
    }
    whole["choices"][0]["message"] =
        json!({"content": text, "reasoning_content": thought, "tool_calls": calls});
    whole
}

fn check_deltas(stream: &[Event], whole: &Value) {
    let deltas = |name: &str| -> String {
        let of = stream.iter().filter(|event| event.name.as_deref() == Some(name));
        of.map(|event| text_at(&event.data, "/delta")).collect()
    };
    let got = responses(whole);
    assert_eq!(deltas("response.output_text.delta"), got.text);
    let thought =
        deltas("response.reasoning_summary_text.delta") + &deltas("response.reasoning_text.delta");
    assert_eq!(thought, got.thought);
    let calls = items(whole, "output").filter(|item| item["type"] == "function_call");
    let calls: String = calls.map(|item| text_at(item, "/arguments")).collect();
    assert_eq!(deltas("response.function_call_arguments.delta"), calls);
}

fn rebuilt_messages(stream: &[Event]) -> Value {
    let mut whole = json!({});
    let mut blocks: Vec<Value> = Vec::new();
    let mut partial = String::new();
    for Event { data, .. } in stream {
        match data["type"].as_str().expect("a type") {
            "message_start" => whole = data["message"].clone(),
            "content_block_start" => {
                assert_eq!(data["index"], blocks.len(), "blocks come in order");
                blocks.push(data["content_block"].clone());
                partial.clear();
            }
            "content_block_delta" => {
                let block = blocks.last_mut().expect("an open block");
                let delta = &data["delta"];
                match delta["type"].as_str().expect("a type") {
                    "text_delta" => {
                        block["text"] = (text_at(block, "/text") + &text_at(delta, "/text")).into();
                    }
                    "thinking_delta" => {
                        let more = text_at(block, "/thinking") + &text_at(delta, "/thinking");
                        block["thinking"] = more.into();
                    }
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => partial += &text_at(delta, "/partial_json"),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if !partial.is_empty() => {
                let block = blocks.last_mut().expect("an open block");
                block["input"] = serde_json::from_str(&partial).expect("JSON");
            }
            "message_delta" => {
                whole["stop_reason"] = data["delta"]["stop_reason"].clone();
                for (key, value) in data["usage"].as_object().expect("usage") {
                    whole["usage"][key] = value.clone();
                }
            }
            _ => {}
        }
    }
    whole["content"] = blocks.into();
    whole
}

fn rebuilt_gemini(stream: &[Event]) -> Value {
    let mut whole = stream.last().expect("an end").data.clone();
    let contents = stream.iter().map(|event| &event.data["candidates"][0]["content"]);
    let parts: Vec<Value> = contents.flat_map(|content| items(content, "parts")).cloned().collect();
    whole["candidates"][0]["content"]["parts"] = parts.into();
    whole
}
