//! Streams of plain text in every format: the events that clients wait for, in their order.

use serde_json::{Value, json};
use testkit::{Provider, Running};

use crate::sse::{Event, events, joined};
use crate::talk::APIS;
use crate::{ask, post, result, start};

const SAID: &str = "How much is a lorry?";

async fn stream_of(sim: &Running, provider: Provider, path: &str, body: &Value) -> Vec<Event> {
    let request = post(sim, provider, path).json(body);
    let response = request.send().await.expect("sent");
    assert_eq!(response.status(), 200, "{path}");
    let kind = response.headers()["content-type"].to_str().expect("text").to_owned();
    assert!(kind.starts_with("text/event-stream"), "{kind}");
    assert!(!response.headers().contains_key("content-length"), "{path}");
    events(&response.text().await.expect("text"))
}

/// The text that the same request gets when it is not streamed.
async fn whole_text(sim: &Running, provider: Provider, pointer: &str) -> String {
    let (_, body) = result(sim, provider, &ask(provider, SAID)).await;
    body.pointer(pointer).and_then(Value::as_str).expect("text").to_owned()
}

#[tokio::test]
async fn openai_streams_chunks() {
    let sim = start().await;
    let mut request = ask(Provider::OpenAi, SAID);
    request["stream"] = true.into();
    let plain = stream_of(&sim, Provider::OpenAi, "/v1/chat/completions", &request).await;
    request["stream_options"] = json!({"include_usage": true});
    let counted = stream_of(&sim, Provider::OpenAi, "/v1/chat/completions", &request).await;
    let text = whole_text(&sim, Provider::OpenAi, "/choices/0/message/content").await;
    for stream in [&plain, &counted] {
        let (end, chunks) = stream.split_last().expect("an end");
        assert!(end.data.is_null(), "[DONE]");
        assert!(chunks.iter().all(|chunk| chunk.name.is_none()));
        assert_eq!(chunks[0].data["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(joined(chunks, "/choices/0/delta/content"), text);
        for chunk in chunks {
            assert_eq!(chunk.data["object"], "chat.completion.chunk");
            for key in ["id", "created", "model"] {
                assert_eq!(chunk.data[key], chunks[0].data[key]);
            }
        }
        let finished = |chunk: &&Event| chunk.data["choices"][0]["finish_reason"].is_string();
        assert_eq!(chunks.iter().filter(finished).count(), 1);
    }
    assert!(plain.iter().all(|chunk| chunk.data.get("usage").is_none()));
    let (last, rest) = counted[..counted.len() - 1].split_last().expect("chunks");
    assert_eq!(last.data["choices"], json!([]));
    let usage = &last.data["usage"];
    assert_eq!(usage["prompt_tokens"], SAID.len().div_ceil(4));
    assert_eq!(usage["completion_tokens"], text.len().div_ceil(4));
    assert!(rest.iter().all(|chunk| chunk.data["usage"].is_null()));
}

#[tokio::test]
async fn deepseek_streams_its_usage_with_the_last_chunk() {
    let sim = start().await;
    let mut request = ask(Provider::DeepSeek, SAID);
    request["stream"] = true.into();
    let stream = stream_of(&sim, Provider::DeepSeek, "/chat/completions", &request).await;
    let text = whole_text(&sim, Provider::DeepSeek, "/choices/0/message/content").await;
    assert_eq!(joined(&stream, "/choices/0/delta/content"), text);
    let last = &stream[stream.len() - 2].data;
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(last["usage"]["prompt_cache_miss_tokens"], SAID.len().div_ceil(4));
    assert!(stream.last().expect("an end").data.is_null());
}

#[tokio::test]
async fn anthropic_streams_blocks() {
    let sim = start().await;
    let mut request = ask(Provider::Anthropic, SAID);
    request["stream"] = true.into();
    let text = whole_text(&sim, Provider::Anthropic, "/content/0/text").await;
    for (provider, path) in
        [(Provider::Anthropic, "/v1/messages"), (Provider::DeepSeek, "/anthropic/v1/messages")]
    {
        let stream = stream_of(&sim, provider, path, &request).await;
        let names: Vec<&str> = stream.iter().filter_map(|event| event.name.as_deref()).collect();
        assert_eq!(names.len(), stream.len(), "every event has a name");
        assert_eq!(names[..3], ["message_start", "content_block_start", "ping"]);
        assert_eq!(
            names[names.len() - 3..],
            ["content_block_stop", "message_delta", "message_stop"]
        );
        assert_eq!(joined(&stream, "/delta/text"), text);
        let start = &stream[0].data["message"];
        assert_eq!((&start["content"], &start["stop_reason"]), (&json!([]), &Value::Null));
        assert_eq!(start["usage"]["input_tokens"], SAID.len().div_ceil(4));
        let delta = &stream[stream.len() - 2].data;
        assert_eq!(delta["delta"]["stop_reason"], "end_turn");
        assert_eq!(delta["usage"]["output_tokens"], text.len().div_ceil(4));
        assert!(delta["usage"].get("cache_creation").is_none());
    }
}

#[tokio::test]
async fn gemini_streams_increments_as_events_and_as_an_array() {
    let sim = start().await;
    let request = ask(Provider::Gemini, SAID);
    let text = whole_text(&sim, Provider::Gemini, "/candidates/0/content/parts/0/text").await;
    let path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent";
    let stream = stream_of(&sim, Provider::Gemini, &format!("{path}?alt=sse"), &request).await;
    let response = post(&sim, Provider::Gemini, path).json(&request).send().await.expect("sent");
    assert_eq!(response.headers()["content-type"], "application/json; charset=UTF-8");
    let array: Vec<Value> = response.json().await.expect("an array");
    let elements: Vec<Value> = stream.into_iter().map(|event| event.data).collect();
    for elements in [&elements, &array] {
        assert!(elements.len() > 2);
        let part = "/candidates/0/content/parts/0/text";
        let texts = elements.iter().filter_map(|element| element.pointer(part)?.as_str());
        assert_eq!(texts.collect::<String>(), text);
        let (last, rest) = elements.split_last().expect("increments");
        assert_eq!(last["candidates"][0]["finishReason"], "STOP");
        assert_eq!(last["usageMetadata"]["candidatesTokenCount"], text.len().div_ceil(4));
        assert!(rest.iter().all(|element| element["candidates"][0].get("finishReason").is_none()));
        for element in elements {
            let usage = &element["usageMetadata"];
            let number = |key: &str| usage[key].as_u64().expect("a number");
            let sum = number("promptTokenCount") + number("candidatesTokenCount");
            assert_eq!(number("totalTokenCount"), sum);
        }
    }
}

#[tokio::test]
async fn responses_climb_the_whole_ladder() {
    let sim = start().await;
    let request = json!({"model": "gpt-4o", "input": SAID});
    let response = post(&sim, Provider::OpenAi, "/v1/responses").json(&request);
    let whole: Value = response.send().await.expect("sent").json().await.expect("JSON");
    assert_eq!((&whole["object"], &whole["status"]), (&json!("response"), &json!("completed")));
    let text = whole["output"][0]["content"][0]["text"].as_str().expect("text");
    assert_eq!(whole["usage"]["input_tokens"], SAID.len().div_ceil(4));
    assert_eq!(whole["usage"]["output_tokens"], text.len().div_ceil(4));
    let mut request = request;
    request["stream"] = true.into();
    for (provider, path) in
        [(Provider::OpenAi, "/v1/responses"), (Provider::DeepSeek, "/responses")]
    {
        let stream = stream_of(&sim, provider, path, &request).await;
        let mut names: Vec<&str> =
            stream.iter().map(|event| event.name.as_deref().expect("a name")).collect();
        names.dedup();
        let ladder = [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ];
        assert_eq!(names, ladder);
        for (place, event) in stream.iter().enumerate() {
            assert_eq!(event.data["sequence_number"], place);
        }
        let deltas: Vec<Event> =
            stream.iter().filter(|event| event.data["delta"].is_string()).cloned().collect();
        assert_eq!(joined(&deltas, "/delta"), text);
        assert_eq!(stream[0].data["response"]["output"], json!([]));
        assert!(stream[0].data["response"]["usage"].is_null());
        let end = &stream.last().expect("an end").data["response"];
        assert_eq!(end["output"][0]["content"][0]["text"], text);
        assert_eq!(end["usage"], {
            let mut usage = whole["usage"].clone();
            if provider == Provider::DeepSeek {
                usage["input_tokens_details"] = json!({"cached_tokens": 0});
            }
            usage
        });
    }
}

#[tokio::test]
async fn completions_stream_text() {
    let sim = start().await;
    let request = json!({"model": "gpt-3.5-turbo-instruct", "prompt": SAID, "max_tokens": 100});
    let response = post(&sim, Provider::OpenAi, "/v1/completions").json(&request);
    let whole: Value = response.send().await.expect("sent").json().await.expect("JSON");
    assert_eq!(whole["object"], "text_completion");
    let mut request = request;
    request["stream"] = true.into();
    request["stream_options"] = json!({"include_usage": true});
    let stream = stream_of(&sim, Provider::OpenAi, "/v1/completions", &request).await;
    assert_eq!(
        joined(&stream, "/choices/0/text"),
        whole["choices"][0]["text"].as_str().expect("text")
    );
    assert!(stream.last().expect("an end").data.is_null());
    assert_eq!(stream[stream.len() - 2].data["usage"], whole["usage"]);
}

#[tokio::test]
async fn hand_written_streams_are_sent_as_they_are() {
    let sim = start().await;
    let queued = include_str!("../../fixtures/deepseek/queued_stream.sse");
    let calls = include_str!("../../fixtures/openai/two_calls_responses.sse");
    for (api, name, expected) in
        [(APIS[4], "queued_stream", queued), (APIS[1], "two_calls_responses", calls)]
    {
        let request = api.ask(&format!("fixture:{name}"));
        let response = api.send(&sim, &request, true).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        assert_eq!(response.text().await.expect("text"), expected);
        assert_eq!(api.result(&sim, &request).await.0, 400, "there is only a stream");
    }
    let request = APIS[4].ask("fixture:../openai/text");
    assert_eq!(APIS[4].send(&sim, &request, true).await.status(), 400);
}
