//! The simulator as a client sees it, over HTTP.

#![expect(clippy::expect_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod answers;
mod faults;
mod replay;
mod rules;
mod server;
mod shapes;
mod sse;
mod stream_faults;
mod streams;
mod structured;
mod talk;
mod thinking;
mod tools;

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};
use testkit::{Provider, Running, Simulator};

pub(crate) const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

pub(crate) async fn start() -> Running {
    Simulator::new().start(ANYWHERE).await.expect("a free port")
}

pub(crate) fn path(provider: Provider) -> &'static str {
    match provider {
        Provider::OpenAi => "/v1/chat/completions",
        Provider::DeepSeek => "/chat/completions",
        Provider::Anthropic => "/v1/messages",
        Provider::Gemini => "/v1beta/models/gemini-2.5-flash:generateContent",
    }
}

/// The smallest request that the provider takes.
pub(crate) fn ask(provider: Provider, said: &str) -> Value {
    let messages = json!([{"role": "user", "content": said}]);
    match provider {
        Provider::OpenAi => json!({"model": "gpt-4o", "messages": messages}),
        Provider::DeepSeek => json!({"model": "deepseek-v4-flash", "messages": messages}),
        Provider::Anthropic => {
            json!({"model": "claude-sonnet-4-5", "max_tokens": 1024, "messages": messages})
        }
        Provider::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": said}]}]}),
    }
}

/// A request with the credential and the headers that the provider wants.
pub(crate) fn post(sim: &Running, provider: Provider, path: &str) -> reqwest::RequestBuilder {
    let request = reqwest::Client::new().post(format!("{}{path}", sim.url()));
    credentials(request, provider)
}

pub(crate) fn credentials(
    request: reqwest::RequestBuilder,
    provider: Provider,
) -> reqwest::RequestBuilder {
    match provider {
        Provider::OpenAi | Provider::DeepSeek => request.bearer_auth("sk-test"),
        Provider::Anthropic => {
            request.header("x-api-key", "sk-test").header("anthropic-version", "2023-06-01")
        }
        Provider::Gemini => request.header("x-goog-api-key", "sk-test"),
    }
}

pub(crate) async fn send(sim: &Running, provider: Provider, body: &Value) -> reqwest::Response {
    post(sim, provider, path(provider)).json(body).send().await.expect("an answer")
}

pub(crate) async fn say(sim: &Running, provider: Provider, said: &str) -> reqwest::Response {
    send(sim, provider, &ask(provider, said)).await
}

/// Status and body of a request.
pub(crate) async fn result(sim: &Running, provider: Provider, body: &Value) -> (u16, Value) {
    let response = send(sim, provider, body).await;
    (response.status().as_u16(), response.json().await.expect("JSON"))
}

/// Whether an error has the shape of its provider.
pub(crate) fn is_error_of(provider: Provider, status: u16, body: &Value) -> bool {
    let error = &body["error"];
    let told = error["message"].as_str().is_some_and(|message| !message.is_empty());
    told && match provider {
        Provider::OpenAi | Provider::DeepSeek => {
            error["type"].is_string() && error.get("code").is_some() && error.get("param").is_some()
        }
        Provider::Anthropic => body["type"] == "error" && error["type"].is_string(),
        Provider::Gemini => error["code"] == status && error["status"].is_string(),
    }
}
