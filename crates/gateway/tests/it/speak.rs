//! Every kind of client there is: what it asks in its dialect, and how it reads what comes back. Written from the
//! dialects' documentation, and shares nothing with the program.

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use testkit::strict::{self, Api};

use crate::app::{App, USER};

/// A client, by its endpoint.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Chat,
    Responses,
    Messages,
    Gemini,
    Completions,
    Native,
    RouterChat,
    RouterResponses,
    RouterMessages,
    RouterCompletions,
}

use Client::{
    Chat, Completions, Gemini, Messages, Native, Responses, RouterChat, RouterCompletions,
    RouterMessages, RouterResponses,
};

impl Client {
    pub(crate) const ALL: [Self; 10] = [
        Chat,
        Responses,
        Messages,
        Gemini,
        Completions,
        Native,
        RouterChat,
        RouterResponses,
        RouterMessages,
        RouterCompletions,
    ];

    /// The dialect, wherever it is spoken.
    pub(crate) fn base(self) -> Self {
        match self {
            RouterChat => Chat,
            RouterResponses => Responses,
            RouterMessages => Messages,
            RouterCompletions => Completions,
            own => own,
        }
    }

    pub(crate) fn is_router(self) -> bool {
        self != self.base()
    }

    /// The documented types of its answers; the native API has none.
    pub(crate) fn api(self) -> Option<Api> {
        match self.base() {
            Chat => Some(Api::OpenaiChat),
            Responses => Some(Api::OpenaiResponses),
            Messages => Some(Api::Anthropic),
            Gemini => Some(Api::Gemini),
            Completions => Some(Api::OpenaiCompletions),
            _ => None,
        }
    }

    pub(crate) fn path(self, model: &str, stream: bool) -> String {
        let own = match self.base() {
            Chat => "/v1/chat/completions",
            Responses => "/v1/responses",
            Messages => "/v1/messages",
            Completions => "/v1/completions",
            Native => return "/api/layers/chat".to_owned(),
            _ if stream => {
                return format!("/v1beta/models/{model}:streamGenerateContent?alt=sse");
            }
            _ => return format!("/v1beta/models/{model}:generateContent"),
        };
        if self.is_router() { format!("/api{own}") } else { own.to_owned() }
    }

    /// A request of one message.
    pub(crate) fn ask(self, provider: &str, model: &str, message: &str, stream: bool) -> Value {
        let mut body = match self.base() {
            Chat => json!({ "messages": [{ "role": "user", "content": message }] }),
            Responses => json!({ "input": message, "store": false }),
            Messages => {
                json!({ "max_tokens": 4096, "messages": [{ "role": "user", "content": message }] })
            }
            Gemini => {
                return json!({ "contents": [{ "role": "user", "parts": [{ "text": message }] }] });
            }
            Completions => json!({ "prompt": message }),
            _ => {
                return json!({ "providerName": provider, "model_name": model, "message": message, "stream": stream });
            }
        };
        body["model"] = model.into();
        if stream {
            body["stream"] = true.into();
            if matches!(self.base(), Chat | Completions) {
                body["stream_options"] = json!({ "include_usage": true });
            }
        }
        body
    }

    /// With the credential where its SDK puts it.
    pub(crate) fn send(self, app: &App, model: &str, body: &Value, stream: bool) -> RequestBuilder {
        self.credential(app.request(Method::POST, &self.path(model, stream)), &app.key).json(body)
    }

    pub(crate) fn credential(self, request: RequestBuilder, key: &str) -> RequestBuilder {
        match self.base() {
            Messages => request.header("x-api-key", key).header("anthropic-version", "2023-06-01"),
            Gemini => request.header("x-goog-api-key", key),
            Native => request.header("user", USER).header("api-key", key),
            _ => request.bearer_auth(key),
        }
    }
}

/// One message of server-sent events.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) name: Option<String>,
    pub(crate) data: String,
}

/// What a client was told.
#[derive(Debug)]
pub(crate) struct Told {
    client: Client,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) raw: String,
    /// Whether the connection broke before the body's end.
    pub(crate) broke: bool,
    pub(crate) events: Vec<Event>,
}

impl Told {
    /// Sends, and reads to the end, whatever end it is.
    pub(crate) async fn of(client: Client, request: RequestBuilder) -> Self {
        let mut response = request.send().await.expect("an answer");
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (mut bytes, mut broke) = (Vec::new(), false);
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => {
                    broke = true;
                    break;
                }
            }
        }
        let raw = String::from_utf8(bytes).expect("UTF-8");
        let is_sse = headers
            .get("content-type")
            .is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream"));
        let events = if is_sse { parse(&raw) } else { Vec::new() };
        Self { client, status, headers, raw, broke, events }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    /// The body of an answer that is no stream.
    pub(crate) fn body(&self) -> Value {
        serde_json::from_str(&self.raw).unwrap_or_else(|_| panic!("no JSON: {}", self.raw))
    }

    /// Whether there is an event in it that is no JSON.
    pub(crate) fn has_garbage(&self) -> bool {
        let json = |event: &Event| serde_json::from_str::<Value>(&event.data).is_ok();
        self.events.iter().any(|event| event.data != "[DONE]" && !json(event))
    }

    /// The JSON of all events.
    pub(crate) fn values(&self) -> Vec<Value> {
        let json = |event: &Event| serde_json::from_str(&event.data).ok();
        self.events.iter().filter_map(json).collect()
    }

    /// The answer, put together where it came bit by bit.
    pub(crate) fn whole(&self) -> Value {
        assert_eq!(self.status, 200, "{:?}: {}", self.client, self.raw);
        if self.events.is_empty() { self.body() } else { self.assembled() }
    }

    /// What came of a stream, be it whole or not.
    pub(crate) fn assembled(&self) -> Value {
        assemble(self.client, &self.values())
    }

    /// Whether it ended as its protocol asks for.
    pub(crate) fn has_ended(&self) -> bool {
        let values = self.values();
        let any = |pointer: &str| values.iter().any(|value| is_set(value.pointer(pointer)));
        let done = self.events.last().is_some_and(|event| event.data == "[DONE]");
        let kind = |kind: &str| values.iter().any(|value| value["type"] == kind);
        match self.client.base() {
            Chat | Completions => done && any("/choices/0/finish_reason"),
            Responses => kind("response.completed") || kind("response.incomplete"),
            Messages => kind("message_stop"),
            Gemini => any("/candidates/0/finishReason") || any("/promptFeedback/blockReason"),
            _ => done,
        }
    }

    /// Whether anything in it might be taken for a good end.
    pub(crate) fn seems_ended(&self) -> bool {
        let values = self.values();
        let any = |pointer: &str| values.iter().any(|value| is_set(value.pointer(pointer)));
        let kind = |kind: &str| values.iter().any(|value| value["type"] == kind);
        // OpenRouter's word for an answer that failed.
        let finish = |value: &Value| value.pointer("/choices/0/finish_reason").cloned();
        let mut finishes = values.iter().filter_map(finish);
        let finished = finishes.any(|finish| !finish.is_null() && finish != "error");
        self.events.iter().any(|event| event.data == "[DONE]")
            || kind("message_stop")
            || kind("response.completed")
            || (finished && self.client.base() != Messages)
            || any("/candidates/0/finishReason")
    }

    /// The error that ends a stream, in the client's dialect; none where the last event is no such thing.
    pub(crate) fn failure(&self) -> Option<Value> {
        let values = self.values();
        let last = values.last()?;
        let named = self.events.last().and_then(|event| event.name.clone());
        let is_error = match self.client.base() {
            Messages => {
                named.as_deref() == Some("error")
                    && last["type"] == "error"
                    && last["error"]["type"].is_string()
                    && last["error"]["message"].is_string()
            }
            Responses => {
                let failed = |event: &&Value| event["type"] == "response.failed";
                let mut failed = values.iter().filter(failed);
                failed.all(|event| event["response"]["error"].is_object())
                    && last["type"] == "error"
                    && last["message"].is_string()
                    && named.as_deref() == Some("error")
            }
            Gemini => last["error"]["code"].is_u64() && last["error"]["status"].is_string(),
            _ => last["error"]["message"].is_string(),
        };
        is_error.then(|| last.clone())
    }

    /// Faults against the documented types, of the whole or of each event.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = self.all_faults().into_iter();
        faults.filter(|fault| !self.is_on_purpose(fault)).collect()
    }

    /// What we say beyond the documented types.
    fn is_on_purpose(&self, fault: &str) -> bool {
        /// `OpenRouter`'s clients are told what an answer costs.
        const COST: [&str; 3] = ["usage.cost:", "usage.cost_details:", "usage.is_byok:"];
        /// Without these nobody can work the answer's price out.
        const PRICED_BY: [&str; 2] = ["$.usage.cache_creation:", "$.usage.service_tier:"];
        const TIER: &str = "$.service_tier:";
        /// Older versions of the SDK ask for it.
        const OLDER: &str = "$.name: unknown field: {\"arguments\"";
        /// SDKs raise an exception for it.
        const RAISED: &str = "$.error: unknown field: {";
        /// What a model thinks, and its opaque state: the documented types have neither.
        const THOUGHTS: [&str; 4] =
            [".reasoning:", ".reasoning_content:", ".reasoning_details:", ".extra_content:"];
        let has = |names: &[&str]| names.iter().any(|name| fault.contains(name));
        fault.contains(": unknown field")
            && ((self.client.is_router() && has(&COST))
                || (self.client.base() == Chat && has(&THOUGHTS))
                || (self.client.base() == Messages && has(&PRICED_BY))
                || (self.client.base() == Completions && fault.contains(TIER))
                || (self.client.base() == Responses
                    && (fault.contains(OLDER) || fault.contains(RAISED))))
    }

    fn all_faults(&self) -> Vec<String> {
        let Some(api) = self.client.api() else { return Vec::new() };
        assert!(!self.has_garbage(), "no JSON: {}", self.raw);
        if self.events.is_empty() {
            return strict::check_answer(api, &self.body());
        }
        let mut faults = Vec::new();
        for (index, value) in self.values().iter().enumerate() {
            let found = strict::check_event(api, value).into_iter();
            faults.extend(found.map(|fault| format!("event {index}: {fault}: {value}")));
        }
        if matches!(self.client.base(), Messages | Responses) {
            for event in &self.events {
                let value: Value = serde_json::from_str(&event.data).expect("JSON");
                if event.name.as_deref() != value["type"].as_str() {
                    faults.push(format!("the event's name is not its type: {event:?}"));
                }
            }
        }
        faults
    }
}

fn is_set(value: Option<&Value>) -> bool {
    value.is_some_and(|value| !value.is_null())
}

pub(crate) fn parse(raw: &str) -> Vec<Event> {
    let mut events = Vec::new();
    let (mut name, mut data) = (None, Vec::new());
    for line in raw.lines().chain([""]) {
        if let Some(text) = line.strip_prefix("data: ") {
            data.push(text);
        } else if let Some(text) = line.strip_prefix("event: ") {
            name = Some(text.to_owned());
        } else if line.is_empty() {
            if !data.is_empty() {
                events.push(Event { name: name.take(), data: data.join("\n") });
                data.clear();
            }
            name = None;
        } else {
            assert!(line.starts_with(':'), "not a line of server-sent events: {line:?}");
        }
    }
    events
}

fn push_text(into: &mut Value, text: &Value) {
    if let Some(text) = text.as_str() {
        let so_far = into.as_str().unwrap_or_default();
        *into = format!("{so_far}{text}").into();
    }
}

fn push(into: &mut Value, item: Value) {
    match into {
        Value::Array(list) => list.push(item),
        other => *other = json!([item]),
    }
}

fn assemble(client: Client, events: &[Value]) -> Value {
    match client.base() {
        Chat => assemble_chat(events),
        Completions => assemble_completion(events),
        Responses => events
            .iter()
            .rev()
            .find_map(|event| event.get("response"))
            .cloned()
            .expect("an event with the response"),
        Messages => assemble_message(events),
        Gemini => assemble_elements(events),
        _ => {
            let mut whole = json!({ "content": "" });
            for event in events {
                push_text(&mut whole["content"], &event["content"]);
                if is_set(event.get("usage")) {
                    whole["usage"] = event["usage"].clone();
                }
            }
            whole
        }
    }
}

fn assemble_chat(events: &[Value]) -> Value {
    let mut whole = json!({ "object": "chat.completion", "choices": [{}] });
    let mut message = json!({ "role": "assistant", "content": null });
    for event in events {
        for name in ["id", "model", "created", "usage"] {
            if is_set(event.get(name)) {
                whole[name] = event[name].clone();
            }
        }
        let choice = &event["choices"][0];
        let delta = &choice["delta"];
        for name in ["content", "refusal", "reasoning_content", "reasoning"] {
            push_text(&mut message[name], &delta[name]);
        }
        for detail in delta["reasoning_details"].as_array().into_iter().flatten() {
            push(&mut message["reasoning_details"], detail.clone());
        }
        for call in delta["tool_calls"].as_array().into_iter().flatten() {
            let at = usize::try_from(call["index"].as_u64().expect("an index")).expect("small");
            if message["tool_calls"].as_array().map_or(0, Vec::len) <= at {
                let named = json!({ "id": call["id"], "type": "function", "function": {
                    "name": call["function"]["name"], "arguments": "" } });
                assert!(named["id"].is_string() && named["function"]["name"].is_string(), "{call}");
                push(&mut message["tool_calls"], named);
            }
            push_text(
                &mut message["tool_calls"][at]["function"]["arguments"],
                &call["function"]["arguments"],
            );
        }
        if is_set(choice.get("finish_reason")) {
            whole["choices"] = json!([{ "index": 0, "finish_reason": choice["finish_reason"] }]);
        }
    }
    if let Some(fields) = message.as_object_mut() {
        fields.retain(|name, value| !value.is_null() || name == "content");
    }
    whole["choices"][0]["message"] = message;
    whole
}

fn assemble_completion(events: &[Value]) -> Value {
    let mut whole = json!({ "object": "text_completion", "choices": [{ "index": 0, "text": "" }] });
    for event in events {
        for name in ["id", "model", "created", "usage"] {
            if is_set(event.get(name)) {
                whole[name] = event[name].clone();
            }
        }
        let choice = &event["choices"][0];
        push_text(&mut whole["choices"][0]["text"], &choice["text"]);
        if is_set(choice.get("finish_reason")) {
            whole["choices"][0]["finish_reason"] = choice["finish_reason"].clone();
        }
    }
    whole
}

fn assemble_message(events: &[Value]) -> Value {
    let mut whole = json!({});
    let mut json_of_block = String::new();
    for event in events {
        let at = || usize::try_from(event["index"].as_u64().expect("an index")).expect("small");
        match event["type"].as_str().expect("a type") {
            "message_start" => whole = event["message"].clone(),
            "content_block_start" => {
                assert_eq!(whole["content"].as_array().map(Vec::len), Some(at()), "dense indices");
                push(&mut whole["content"], event["content_block"].clone());
                json_of_block.clear();
            }
            "content_block_delta" => {
                let block = &mut whole["content"][at()];
                let delta = &event["delta"];
                match delta["type"].as_str().expect("a type") {
                    "text_delta" => push_text(&mut block["text"], &delta["text"]),
                    "thinking_delta" => push_text(&mut block["thinking"], &delta["thinking"]),
                    "signature_delta" => push_text(&mut block["signature"], &delta["signature"]),
                    "input_json_delta" => {
                        json_of_block.push_str(delta["partial_json"].as_str().expect("text"));
                    }
                    "citations_delta" => {
                        push(&mut block["citations"], delta["citation"].clone());
                    }
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" if !json_of_block.is_empty() => {
                whole["content"][at()]["input"] =
                    serde_json::from_str(&json_of_block).expect("whole arguments");
            }
            "message_delta" => {
                for name in ["stop_reason", "stop_sequence"] {
                    whole[name] = event["delta"][name].clone();
                }
                for (name, value) in event["usage"].as_object().into_iter().flatten() {
                    whole["usage"][name] = value.clone();
                }
            }
            _ => {}
        }
    }
    whole
}

fn assemble_elements(events: &[Value]) -> Value {
    let mut whole = json!({});
    let mut candidate_of_all = json!({});
    let mut parts: Vec<Value> = Vec::new();
    for event in events {
        for name in ["responseId", "modelVersion", "usageMetadata", "promptFeedback"] {
            if is_set(event.get(name)) {
                whole[name] = event[name].clone();
            }
        }
        let candidate = &event["candidates"][0];
        if is_set(candidate.get("finishReason")) {
            candidate_of_all["finishReason"] = candidate["finishReason"].clone();
        }
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            // What has nothing but text goes on with what stood before it.
            let is_text = |part: &Value| part["text"].is_string();
            match parts.last_mut() {
                Some(last)
                    if is_text(last) && is_text(part) && last["thought"] == part["thought"] =>
                {
                    push_text(&mut last["text"], &part["text"]);
                    if is_set(part.get("thoughtSignature")) {
                        last["thoughtSignature"] = part["thoughtSignature"].clone();
                    }
                }
                _ => parts.push(part.clone()),
            }
        }
    }
    candidate_of_all["content"] = json!({ "role": "model", "parts": parts });
    whole["candidates"] = json!([candidate_of_all]);
    whole
}

/// What the client is told that it used, in the words that all dialects have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// All of the prompt, cached or not.
    pub(crate) input: u64,
    /// All that was generated, thinking too.
    pub(crate) output: u64,
}

impl Client {
    /// The visible text of a whole answer.
    pub(crate) fn text(self, whole: &Value) -> String {
        let texts = |list: &Value, is_text: fn(&Value) -> bool| -> String {
            let list = list.as_array().into_iter().flatten();
            list.filter(|part| is_text(part)).filter_map(|part| part["text"].as_str()).collect()
        };
        match self.base() {
            Chat => {
                whole["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
            }
            Completions => whole["choices"][0]["text"].as_str().unwrap_or_default().to_owned(),
            Responses => {
                let items = whole["output"].as_array().into_iter().flatten();
                items
                    .filter(|item| item["type"] == "message")
                    .map(|item| texts(&item["content"], |part| part["type"] == "output_text"))
                    .collect()
            }
            Messages => texts(&whole["content"], |block| block["type"] == "text"),
            Gemini => {
                texts(&whole["candidates"][0]["content"]["parts"], |part| part["thought"] != true)
            }
            _ => whole["content"].as_str().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn counters(self, whole: &Value) -> Counters {
        let usage = if self == Gemini { &whole["usageMetadata"] } else { &whole["usage"] };
        let count = |name: &str| {
            usage
                .get(name)
                .filter(|value| !value.is_null())
                .map_or(0, |value| value.as_u64().unwrap_or_else(|| panic!("{name} in {usage}")))
        };
        let must = |name: &str| {
            assert!(usage[name].is_u64(), "{self:?}: no {name} in {whole}");
            count(name)
        };
        let (input, output, total) = match self.base() {
            Chat | Completions => {
                (must("prompt_tokens"), must("completion_tokens"), Some(must("total_tokens")))
            }
            Responses => (must("input_tokens"), must("output_tokens"), Some(must("total_tokens"))),
            Messages => (
                must("input_tokens")
                    + count("cache_read_input_tokens")
                    + count("cache_creation_input_tokens"),
                must("output_tokens"),
                None,
            ),
            Gemini => (
                must("promptTokenCount") + count("toolUsePromptTokenCount"),
                count("candidatesTokenCount") + count("thoughtsTokenCount"),
                Some(must("totalTokenCount")),
            ),
            _ => (must("inputTokens"), must("outputTokens"), Some(must("totalTokens"))),
        };
        assert!(total.is_none_or(|total| total == input + output), "{self:?}: {usage}");
        Counters { input, output }
    }

    /// Calls of tools: name and arguments.
    pub(crate) fn calls(self, whole: &Value) -> Vec<(String, Value)> {
        let read = |text: &Value| -> Value {
            serde_json::from_str(text.as_str().expect("arguments as text")).expect("JSON")
        };
        let name = |value: &Value| value.as_str().expect("a name").to_owned();
        let list = match self.base() {
            Chat => &whole["choices"][0]["message"]["tool_calls"],
            Responses => &whole["output"],
            Messages => &whole["content"],
            _ => &whole["candidates"][0]["content"]["parts"],
        };
        let one = |item: &Value| match self.base() {
            Chat => {
                let function = &item["function"];
                Some((name(&function["name"]), read(&function["arguments"])))
            }
            Responses => (item["type"] == "function_call")
                .then(|| (name(&item["name"]), read(&item["arguments"]))),
            Messages => {
                (item["type"] == "tool_use").then(|| (name(&item["name"]), item["input"].clone()))
            }
            _ => {
                let call = item.get("functionCall")?;
                Some((name(&call["name"]), call["args"].clone()))
            }
        };
        list.as_array().into_iter().flatten().filter_map(one).collect()
    }

    /// Why it ended, in the dialect's own word.
    pub(crate) fn finish(self, whole: &Value) -> String {
        let word = match self.base() {
            Chat | Completions => &whole["choices"][0]["finish_reason"],
            Responses if whole["incomplete_details"].is_object() => {
                &whole["incomplete_details"]["reason"]
            }
            Responses => &whole["status"],
            Messages => &whole["stop_reason"],
            Gemini => &whole["candidates"][0]["finishReason"],
            _ => return String::new(),
        };
        word.as_str().unwrap_or_else(|| panic!("{self:?}: no end: {whole}")).to_owned()
    }

    /// Adds the answer and what the tools said to the conversation.
    pub(crate) fn go_on(self, body: &mut Value, whole: &Value, result: &str) {
        match self.base() {
            Chat => {
                let mut message = whole["choices"][0]["message"].clone();
                // Told, but not taken.
                message.as_object_mut().expect("a message").remove("annotations");
                let calls = message["tool_calls"].as_array().cloned().unwrap_or_default();
                for call in message
                    .get_mut("tool_calls")
                    .and_then(Value::as_array_mut)
                    .into_iter()
                    .flatten()
                {
                    call.as_object_mut().expect("a call").remove("index");
                }
                push(&mut body["messages"], message);
                for call in calls {
                    let said =
                        json!({ "role": "tool", "tool_call_id": call["id"], "content": result });
                    push(&mut body["messages"], said);
                }
            }
            Responses => {
                let first = body["input"].clone();
                if first.is_string() {
                    body["input"] = json!([{ "role": "user", "content": first }]);
                }
                let items = whole["output"].as_array().expect("items").clone();
                for item in &items {
                    push(&mut body["input"], item.clone());
                }
                for call in items.iter().filter(|item| item["type"] == "function_call") {
                    let said = json!({ "type": "function_call_output", "call_id": call["call_id"],
                                       "output": result });
                    push(&mut body["input"], said);
                }
            }
            Messages => {
                let blocks = whole["content"].as_array().expect("blocks").clone();
                let results: Vec<Value> = blocks
                    .iter()
                    .filter(|block| block["type"] == "tool_use")
                    .map(|block| {
                        json!({ "type": "tool_result", "tool_use_id": block["id"], "content": result })
                    })
                    .collect();
                push(&mut body["messages"], json!({ "role": "assistant", "content": blocks }));
                push(&mut body["messages"], json!({ "role": "user", "content": results }));
            }
            _ => {
                let content = whole["candidates"][0]["content"].clone();
                let parts = content["parts"].as_array().cloned().unwrap_or_default();
                let answers: Vec<Value> = parts
                    .iter()
                    .filter_map(|part| part.get("functionCall"))
                    .map(|call| {
                        let mut response =
                            json!({ "name": call["name"], "response": { "output": result } });
                        if is_set(call.get("id")) {
                            response["id"] = call["id"].clone();
                        }
                        json!({ "functionResponse": response })
                    })
                    .collect();
                push(&mut body["contents"], content);
                push(&mut body["contents"], json!({ "role": "user", "parts": answers }));
            }
        }
    }

    /// Offers tools of these names, each of which takes a city.
    pub(crate) fn offer(self, body: &mut Value, names: &[&str]) {
        let schema = json!({ "type": "object", "properties": { "city": { "type": "string" } },
                             "required": ["city"], "additionalProperties": false });
        let mut tools = Vec::new();
        for name in names {
            tools.push(match self.base() {
                Chat => json!({ "type": "function", "function": {
                    "name": name, "description": "Looks it up.", "parameters": schema } }),
                Responses => json!({ "type": "function", "name": name, "strict": false,
                                     "description": "Looks it up.", "parameters": schema }),
                Messages => {
                    json!({ "name": name, "description": "Looks it up.", "input_schema": schema })
                }
                _ => json!({ "name": name, "description": "Looks it up.",
                             "parametersJsonSchema": schema }),
            });
        }
        body["tools"] = match self.base() {
            Gemini => json!([{ "functionDeclarations": tools }]),
            _ => tools.into(),
        };
    }

    /// Asks for thinking, and to see it.
    pub(crate) fn think(self, body: &mut Value) {
        match self.base() {
            Chat => body["reasoning_effort"] = "low".into(),
            Responses => {
                body["reasoning"] = json!({ "effort": "low", "summary": "auto" });
                body["include"] = json!(["reasoning.encrypted_content"]);
            }
            Messages => body["thinking"] = json!({ "type": "enabled", "budget_tokens": 2048 }),
            _ => {
                body["generationConfig"]["thinkingConfig"] =
                    json!({ "includeThoughts": true, "thinkingBudget": 2048 });
            }
        }
    }

    /// Asks for JSON of a schema.
    pub(crate) fn structure(self, body: &mut Value) {
        let schema = json!({ "type": "object", "properties": {
            "city": { "type": "string" }, "days": { "type": "integer" } },
            "required": ["city", "days"], "additionalProperties": false });
        match self.base() {
            Chat => {
                body["response_format"] = json!({ "type": "json_schema", "json_schema": {
                    "name": "trip", "strict": true, "schema": schema } });
            }
            Responses => {
                body["text"] = json!({ "format": {
                    "type": "json_schema", "name": "trip", "strict": true, "schema": schema } });
            }
            Messages => {
                body["output_config"] =
                    json!({ "format": { "type": "json_schema", "schema": schema } });
            }
            _ => {
                body["generationConfig"]["responseMimeType"] = "application/json".into();
                body["generationConfig"]["responseJsonSchema"] = schema;
            }
        }
    }

    /// Shows a picture after the message.
    pub(crate) fn show(self, body: &mut Value, message: &str, base64: &str) {
        let url = format!("data:image/png;base64,{base64}");
        match self.base() {
            Chat => {
                body["messages"][0]["content"] = json!([{ "type": "text", "text": message },
                    { "type": "image_url", "image_url": { "url": url } }]);
            }
            Responses => {
                body["input"] = json!([{ "role": "user", "content": [
                    { "type": "input_text", "text": message },
                    { "type": "input_image", "image_url": url, "detail": "auto" } ] }]);
            }
            Messages => {
                body["messages"][0]["content"] = json!([{ "type": "text", "text": message },
                    { "type": "image", "source": {
                        "type": "base64", "media_type": "image/png", "data": base64 } }]);
            }
            _ => {
                // As Google's library for Python writes bytes.
                let data = base64.replace('+', "-").replace('/', "_");
                push(
                    &mut body["contents"][0]["parts"],
                    json!({ "inlineData": {
                    "mimeType": "image/png", "data": data.trim_end_matches('=') } }),
                );
            }
        }
    }

    /// Allows so many tokens at most.
    pub(crate) fn limit(self, body: &mut Value, tokens: u64) {
        match self.base() {
            Chat => body["max_completion_tokens"] = tokens.into(),
            Responses => body["max_output_tokens"] = tokens.into(),
            Gemini => body["generationConfig"]["maxOutputTokens"] = tokens.into(),
            _ => body["max_tokens"] = tokens.into(),
        }
    }
}
