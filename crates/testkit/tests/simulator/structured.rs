//! Structured output, media, exact words, stop sequences, several answers, embeddings, counts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use testkit::Provider;

use crate::talk::{APIS, Api, Kind};
use crate::{post, start};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "axles": {"type": "integer", "maximum": 5}},
        "required": ["name", "axles"],
        "additionalProperties": false,
    })
}

/// Those that have structured output.
fn structured() -> impl Iterator<Item = Api> {
    let has = |api: &Api| !(api.provider == Provider::DeepSeek && api.kind != Kind::Responses);
    APIS.into_iter().filter(has)
}

#[tokio::test]
async fn a_schema_is_satisfied() {
    let sim = start().await;
    for api in structured() {
        let mut request = api.ask("Describe a lorry.");
        let (key, value) = match api.kind {
            Kind::Chat => {
                let inner = json!({"name": "lorry", "schema": schema(), "strict": true});
                ("response_format", json!({"type": "json_schema", "json_schema": inner}))
            }
            Kind::Responses => {
                let format = json!({"type": "json_schema", "name": "lorry", "schema": schema()});
                ("text", json!({ "format": format }))
            }
            Kind::Messages => {
                let format = json!({"type": "json_schema", "schema": schema()});
                ("output_config", json!({ "format": format }))
            }
            Kind::Gemini => (
                "generationConfig",
                json!({"responseMimeType": "application/json", "responseJsonSchema": schema()}),
            ),
        };
        request[key] = value;
        let (got, _) = api.good(&sim, &request).await;
        let text: Value = serde_json::from_str(&got.text).expect("JSON");
        assert_eq!(text, json!({"name": "some name", "axles": 5}), "{api:?}");
    }
}

#[tokio::test]
async fn any_object_will_do_if_the_prompt_says_json() {
    let sim = start().await;
    for api in APIS.into_iter().filter(|api| api.kind != Kind::Messages) {
        let (key, value) = match api.kind {
            Kind::Chat => ("response_format", json!({"type": "json_object"})),
            Kind::Responses => ("text", json!({"format": {"type": "json_object"}})),
            _ => ("generationConfig", json!({"responseMimeType": "application/json"})),
        };
        let mut request = api.ask("Answer in JSON.");
        request[key] = value.clone();
        let (got, _) = api.good(&sim, &request).await;
        let text: Value = serde_json::from_str(&got.text).expect("JSON");
        assert!(text.is_object(), "{api:?}");
        let mut silent = api.ask("Answer.");
        silent[key] = value;
        let strict = api.kind != Kind::Gemini
            && !(api.provider == Provider::DeepSeek && api.kind == Kind::Responses);
        let expected = if strict { 400 } else { 200 };
        assert_eq!(api.result(&sim, &silent).await.0, expected, "{api:?}");
    }
}

#[tokio::test]
async fn what_is_shown_is_told_with_its_kind_and_size() {
    let sim = start().await;
    // Seven bytes.
    let data = STANDARD.encode([1_u8, 2, 3, 4, 5, 6, 7]);
    let url = format!("data:image/png;base64,{data}");
    let pdf = format!("data:application/pdf;base64,{data}");
    for api in APIS.into_iter().filter(|api| api.provider != Provider::DeepSeek) {
        let (mut request, parts) = match api.kind {
            Kind::Chat => (
                api.ask(""),
                json!([
                    {"type": "image_url", "image_url": {"url": url}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}},
                ]),
            ),
            Kind::Responses => (
                api.ask(""),
                json!([
                    {"type": "input_image", "image_url": url},
                    {"type": "input_file", "filename": "a.pdf", "file_data": pdf},
                ]),
            ),
            Kind::Messages => (
                api.ask(""),
                json!([
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}},
                    {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}},
                ]),
            ),
            Kind::Gemini => (
                api.ask(""),
                json!([
                    {"inlineData": {"mimeType": "image/png", "data": data}},
                    {"inline_data": {"mime_type": "application/pdf", "data": data}},
                ]),
            ),
        };
        match api.kind {
            Kind::Responses => request["input"][0]["content"] = parts,
            Kind::Gemini => request["contents"][0]["parts"] = parts,
            _ => request["messages"][0]["content"] = parts,
        }
        let (got, _) = api.good(&sim, &request).await;
        let expected = "I see an image (image/png, 7 bytes) and a file (application/pdf, 7 bytes).";
        assert!(got.text.starts_with(expected), "{api:?}: {}", got.text);
        assert_eq!(got.input, 1, "{api:?}: data is not text");
    }
}

#[tokio::test]
async fn audio_is_heard_by_models_that_can() {
    let sim = start().await;
    let audio = json!([{"type": "input_audio", "input_audio": {"data": "AQID", "format": "wav"}}]);
    let mut request = APIS[0].ask("");
    request["messages"][0]["content"] = audio;
    let (status, body) = APIS[0].result(&sim, &request).await;
    assert_eq!((status, &body["error"]["param"]), (400, &json!("messages[0]")));
    assert_eq!(body["error"]["code"], "invalid_value");
    request["model"] = "gpt-4o-audio-preview".into();
    let (_, body) = APIS[0].result(&sim, &request).await;
    let text = body["choices"][0]["message"]["content"].as_str().expect("text");
    assert!(text.starts_with("I see an audio (audio/wav, 3 bytes)."), "{text}");
}

#[tokio::test]
async fn exact_words_can_be_asked_for() {
    let sim = start().await;
    for api in APIS {
        let mut request = api.ask("Hello");
        let system = "You are terse.\nsay: Four coins, please.\nThank you.";
        match api.kind {
            Kind::Chat => {
                let list = request["messages"].as_array_mut().expect("messages");
                list.insert(0, json!({"role": "system", "content": system}));
            }
            Kind::Responses => request["instructions"] = system.into(),
            Kind::Messages => request["system"] = json!([{"type": "text", "text": system}]),
            Kind::Gemini => request["systemInstruction"] = json!({"parts": [{"text": system}]}),
        }
        let (got, _) = api.good(&sim, &request).await;
        assert_eq!(got.text, "Four coins, please.", "{api:?}");
        let (got, _) = api.good(&sim, &api.ask("say: Go  on: go.")).await;
        assert_eq!(got.text, "Go  on: go.", "{api:?}");
    }
}

#[tokio::test]
async fn stop_sequences_end_the_answer_before_them() {
    let sim = start().await;
    for api in APIS.into_iter().filter(|api| api.kind != Kind::Responses) {
        let mut request = api.ask("say: one two three");
        let (key, value) = match api.kind {
            Kind::Chat => ("stop", json!(["three", " two"])),
            Kind::Messages => ("stop_sequences", json!(["three", " two"])),
            _ => ("generationConfig", json!({"stopSequences": ["three", " two"]})),
        };
        request[key] = value;
        let (got, whole) = api.good(&sim, &request).await;
        assert_eq!(got.text, "one", "{api:?}");
        match api.kind {
            Kind::Chat => assert_eq!(got.stop, "stop"),
            Kind::Messages => {
                assert_eq!(
                    (got.stop.as_str(), &whole["stop_sequence"]),
                    ("stop_sequence", &json!(" two"))
                );
            }
            _ => assert_eq!(got.stop, "STOP"),
        }
    }
}

#[tokio::test]
async fn several_answers_are_written_side_by_side() {
    let sim = start().await;
    let mut request = APIS[0].ask("say: one two");
    request["n"] = 2.into();
    let (_, whole) = APIS[0].result(&sim, &request).await;
    let texts = [0, 1].map(|place| &whole["choices"][place]["message"]["content"]);
    assert_eq!(texts, ["one two", "one two (Answer 2.)"]);
    let tokens = "one two".len().div_ceil(4) + "one two (Answer 2.)".len().div_ceil(4);
    assert_eq!(whole["usage"]["completion_tokens"], tokens);
    let response = APIS[0].send(&sim, &request, true).await;
    let stream = crate::sse::events(&response.text().await.expect("text"));
    let of = |index: u64| -> String {
        let choices = stream.iter().filter_map(|event| event.data["choices"].get(0));
        let own = choices.filter(|choice| choice["index"] == index);
        own.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
    };
    assert_eq!((of(0).as_str(), of(1).as_str()), ("one two", "one two (Answer 2.)"));
}

#[tokio::test]
async fn log_probabilities_come_for_every_piece() {
    let sim = start().await;
    let mut request = APIS[0].ask("say: one two three");
    request["logprobs"] = true.into();
    let (_, whole) = APIS[0].result(&sim, &request).await;
    let tokens = whole["choices"][0]["logprobs"]["content"].as_array().expect("tokens");
    let joined: String = tokens.iter().filter_map(|token| token["token"].as_str()).collect();
    assert_eq!(joined, "one two three");
    let response = APIS[0].send(&sim, &request, true).await;
    for event in crate::sse::events(&response.text().await.expect("text")) {
        let choice = &event.data["choices"][0];
        let text = choice["delta"]["content"].as_str().filter(|text| !text.is_empty());
        if let Some(text) = text {
            assert_eq!(choice["logprobs"]["content"][0]["token"], text);
        }
    }
}

#[tokio::test]
async fn embeddings_are_vectors_of_length_one() {
    let sim = start().await;
    let mut request =
        json!({"model": "text-embedding-3-small", "input": ["one", "two"], "dimensions": 8});
    let send = async |request: &Value| -> Value {
        let sent = post(&sim, Provider::OpenAi, "/v1/embeddings").json(request).send();
        sent.await.expect("sent").json().await.expect("JSON")
    };
    let floats = send(&request).await;
    let vector = |value: &Value| -> Vec<f64> {
        value.as_array().expect("numbers").iter().filter_map(Value::as_f64).collect()
    };
    let first = vector(&floats["data"][0]["embedding"]);
    assert_eq!(first.len(), 8);
    let length: f64 = first.iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-3, "{length}");
    assert_ne!(floats["data"][1]["embedding"], floats["data"][0]["embedding"]);
    assert_eq!(floats["usage"], json!({"prompt_tokens": 2, "total_tokens": 2}));
    request["encoding_format"] = "base64".into();
    let encoded = send(&request).await;
    let bytes = STANDARD.decode(encoded["data"][0]["embedding"].as_str().expect("text"));
    let bytes = bytes.expect("base64");
    let numbers = bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().expect("4")));
    for (number, expected) in numbers.zip(&first) {
        assert!((f64::from(number) - expected).abs() < 1e-6);
    }
    request["dimensions"] = 0.into();
    assert_eq!(send(&request).await["error"]["param"], "dimensions");
}

#[tokio::test]
async fn gemini_embeds_one_and_many() {
    let sim = start().await;
    let one = json!({"content": {"parts": [{"text": "one"}]}, "outputDimensionality": 4});
    let path = "/v1beta/models/gemini-embedding-2";
    let send = async |verb: &str, request: &Value| -> Value {
        let request = post(&sim, Provider::Gemini, &format!("{path}:{verb}")).json(request);
        request.send().await.expect("sent").json().await.expect("JSON")
    };
    let single = send("embedContent", &one).await;
    assert_eq!(single["embedding"]["values"].as_array().expect("numbers").len(), 4);
    let batch = send("batchEmbedContents", &json!({"requests": [one, one]})).await;
    assert_eq!(batch["embeddings"], json!([single["embedding"], single["embedding"]]));
}

#[tokio::test]
async fn tokens_are_counted_as_they_will_be_billed() {
    let sim = start().await;
    let said = "Twenty-four letters here";
    for (api, path, place) in [
        (APIS[1], "/v1/responses/input_tokens", "input_tokens"),
        (APIS[2], "/v1/messages/count_tokens", "input_tokens"),
        (APIS[3], "/v1beta/models/gemini-3.6-flash:countTokens", "totalTokens"),
    ] {
        let mut request = api.ask(said);
        request.as_object_mut().expect("a request").remove("max_tokens");
        let counted = post(&sim, api.provider, path).json(&request).send().await.expect("sent");
        let counted: Value = counted.json().await.expect("JSON");
        assert_eq!(counted[place], 6, "{api:?}: {counted}");
        assert_eq!(api.good(&sim, &api.ask(said)).await.0.input, 6);
    }
}

#[tokio::test]
async fn a_model_that_does_not_exist_is_not_found() {
    let sim = start().await;
    for mut api in APIS {
        api.model = "a-model-that-does-not-exist";
        let expected = if api.provider == Provider::DeepSeek && api.kind != Kind::Messages {
            400
        } else {
            404
        };
        assert_eq!(api.result(&sim, &api.ask("Hello")).await.0, expected, "{api:?}");
    }
}
