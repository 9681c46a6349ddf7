//! Streams to cut: what they are, who asks for them, and what came of one that was cut.

use ledger::Receipt;
use serde_json::Value;

use crate::app::App;
use crate::speak::{Client, Told, parse};

/// A stream, and a client that asks for it.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    pub(crate) client: Client,
    pub(crate) provider: &'static str,
    pub(crate) model: &'static str,
    /// What the simulator is told to answer with.
    pub(crate) answer: String,
}

/// An id of a recording, the provider and model that are asked for it, the client of its own dialect, and others.
type Row = (&'static str, &'static str, &'static str, Client, &'static [Client]);

use Client::{Chat, Completions, Gemini, Messages, Native, Responses, RouterChat};

/// Twenty streams: text, thinking, tools, several tools at once, searches and tools that the provider runs; the usage at
/// the start, at the end, with every element, or never.
const RECORDED: [Row; 20] = [
    ("openai.chat-406b57d0b67b", "openai", "gpt-4o", Chat, &[Messages, Gemini]),
    ("openai.chat-8520bcc6b13c", "openai", "gpt-3.5-turbo", Chat, &[]),
    ("openai.chat-055995a2b42a", "openai", "gpt-4o", Chat, &[Messages, Gemini]),
    ("openai.chat-e711c2fdc4a4", "openai", "gpt-4o-mini", Chat, &[Messages, RouterChat]),
    ("openai.chat-c6003a0b0021", "openai", "gpt-4o", Chat, &[Native]),
    ("openai.completions-ec71143fcbcf", "openai", "gpt-3.5-turbo-instruct", Completions, &[]),
    ("openai.responses-4ec98dc0d554", "openai", "gpt-4o", Responses, &[]),
    ("openai.responses-7df5d7adcb6a", "openai", "o4-mini", Responses, &[]),
    ("openai.responses-8e634eb3c2fe", "openai", "gpt-4o", Responses, &[]),
    ("deepseek.responses-593f24a71710", "deepseek", "deepseek-v4-flash", Responses, &[]),
    ("deepseek.chat-d5159f4a2922", "deepseek", "deepseek-v4-flash", Chat, &[Gemini]),
    ("deepseek.chat-aa2554e7eb44", "deepseek", "deepseek-v4-flash", Chat, &[Gemini]),
    (
        "anthropic.messages-a2edaf7c032d",
        "anthropic",
        "claude-sonnet-4-5",
        Messages,
        &[Chat, Gemini],
    ),
    ("anthropic.messages-6db114f421ed", "anthropic", "claude-sonnet-4-0", Messages, &[Responses]),
    ("anthropic.messages-4bdceb43e14a", "anthropic", "claude-sonnet-4-0", Messages, &[]),
    (
        "anthropic.messages-0a70f0da0948",
        "anthropic",
        "claude-sonnet-4-0",
        Messages,
        &[Chat, Responses, Gemini],
    ),
    ("anthropic.messages-f36887a9e86b", "anthropic", "claude-sonnet-4-5", Messages, &[]),
    (
        "gemini.streamGenerateContent-85b455e445e1",
        "gemini",
        "gemini-3-flash-preview",
        Gemini,
        &[Chat, Responses, Messages],
    ),
    ("gemini.streamGenerateContent-3be4573c1d73", "gemini", "gemini-2.5-pro", Gemini, &[Chat]),
    (
        "gemini.streamGenerateContent-380d893656aa",
        "gemini",
        "gemini-2.5-flash",
        Gemini,
        &[Chat, Messages],
    ),
];

/// Every dialect, of its own provider and translated from others.
const MADE_UP: [(Client, &str, &str); 13] = [
    (Chat, "openai", "gpt-4o"),
    (Chat, "anthropic", "claude-sonnet-4-5"),
    (Chat, "gemini", "gemini-2.5-flash"),
    (Responses, "openai", "gpt-4o"),
    (Responses, "anthropic", "claude-sonnet-4-5"),
    (Responses, "gemini", "gemini-2.5-flash"),
    (Messages, "anthropic", "claude-sonnet-4-5"),
    (Messages, "openai", "gpt-4o"),
    (Messages, "deepseek", "deepseek-v4-flash"),
    (Gemini, "gemini", "gemini-2.5-flash"),
    (Gemini, "openai", "gpt-4o"),
    (Completions, "openai", "gpt-3.5-turbo-instruct"),
    (RouterChat, "openai", "gpt-4o"),
];

pub(crate) fn recorded() -> Vec<Stream> {
    let mut all = Vec::new();
    for (id, provider, model, own, others) in RECORDED {
        for client in [&[own], others].concat() {
            all.push(Stream { client, provider, model, answer: format!("recording:{id}") });
        }
    }
    all
}

pub(crate) fn made_up() -> Vec<Stream> {
    let text: Vec<String> = (0..8).map(|number| format!("a word and {number}")).collect();
    let answer = format!("say:{}", text.join(", "));
    MADE_UP
        .map(|(client, provider, model)| Stream { client, provider, model, answer: answer.clone() })
        .into()
}

/// Streams with more than four bytes a token, so that their text is estimated at more than the provider's own figure: by
/// a third for the first, by a few tokens for the others.
const ESTIMATED_HIGH: [&str; 4] = [
    "openai.chat-406b57d0b67b",
    "anthropic.messages-a2edaf7c032d",
    "anthropic.messages-6db114f421ed",
    "deepseek.responses-593f24a71710",
];

impl Stream {
    /// Whether it may cost more while only its text is known.
    pub(crate) fn estimated_high(&self) -> bool {
        ESTIMATED_HIGH.iter().any(|id| self.answer.ends_with(id))
    }

    /// Whether its own reason to end passes before the stream has ended.
    pub(crate) fn tells_reason_first(&self) -> bool {
        matches!(self.provider, "openai" | "deepseek")
            && matches!(self.client.base(), Chat | Completions)
    }

    /// Whether its client speaks the provider's dialect.
    pub(crate) fn passes(&self) -> bool {
        matches!(
            (self.provider, self.client.base()),
            ("openai" | "deepseek", Chat | Completions | Responses)
                | ("anthropic", Messages)
                | ("gemini", Gemini)
        )
    }

    pub(crate) fn name(&self) -> String {
        let name = self.answer.split_whitespace().next().unwrap_or_default();
        format!("{:?} × {}, {name}", self.client, self.model)
    }

    pub(crate) fn request(&self, app: &App, fault: &str) -> reqwest::RequestBuilder {
        let message = format!("{fault}\n{}", self.answer);
        let mut body = self.client.ask(self.provider, self.model, message.trim(), true);
        if self.client == Completions {
            // It stops very early otherwise.
            self.client.limit(&mut body, 400);
        }
        self.client.send(app, self.model, &body, true)
    }

    /// Asks for it with a fault, and reads what comes to its end.
    pub(crate) async fn read(&self, app: &App, fault: &str) -> Told {
        Told::of(self.client, self.request(app, fault)).await
    }

    /// Asks for it, hangs up once so many events are there, and returns the request's id and the bytes of text in them.
    pub(crate) async fn leave(&self, app: &App, fault: &str, events: usize) -> (String, usize) {
        let mut response = self.request(app, fault).send().await.expect("a head");
        assert_eq!(response.status(), 200, "{}", self.name());
        let id = response.headers()["x-request-id"].to_str().expect("ASCII").to_owned();
        let mut text = String::new();
        while text.matches("\n\n").count() < events {
            let chunk = response.chunk().await.expect("a stream");
            let Some(chunk) = chunk else {
                panic!("{}: not {events} events: {text}", self.name());
            };
            text.push_str(&String::from_utf8_lossy(&chunk).replace('\r', ""));
        }
        drop(response);
        let read = parse(text.rfind("\n\n").map_or("", |end| &text[..end]));
        let values = read.iter().filter_map(|event| serde_json::from_str(&event.data).ok());
        (id, said(self.client, &values.collect::<Vec<_>>()))
    }
}

/// How many bytes of text, thinking and arguments there are in the events of a client.
pub(crate) fn said(client: Client, events: &[Value]) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let of = |event: &Value| -> usize {
        match client.base() {
            Chat => list(&event["choices"])
                .iter()
                .map(|choice| {
                    let delta = &choice["delta"];
                    let calls = list(&delta["tool_calls"]);
                    let thought =
                        length(&delta["reasoning_content"]).max(length(&delta["reasoning"]));
                    let arguments = calls.iter().map(|call| length(&call["function"]["arguments"]));
                    let text = length(&delta["content"]) + length(&delta["refusal"]);
                    text + thought + arguments.sum::<usize>()
                })
                .sum(),
            Completions => {
                list(&event["choices"]).iter().map(|choice| length(&choice["text"])).sum()
            }
            Responses => length(&event["delta"]),
            Messages => {
                let delta = &event["delta"];
                ["text", "thinking", "partial_json"].iter().map(|name| length(&delta[*name])).sum()
            }
            Gemini => list(&event["candidates"][0]["content"]["parts"])
                .iter()
                .map(|part| length(&part["text"]))
                .sum(),
            Native => length(&event["content"]),
            _ => 0,
        }
    };
    events.iter().map(of).sum()
}

/// The tokens that are charged for so much text at least, where nothing else is known.
pub(crate) fn at_least(said: usize) -> u64 {
    u64::try_from(said.div_ceil(4)).expect("small")
}

pub(crate) fn output(receipt: &Receipt) -> u64 {
    receipt.report.total().output_tokens()
}
