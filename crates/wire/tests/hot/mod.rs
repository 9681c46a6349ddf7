//! What every request has done to it, on inputs of the usual size: measured by `benches/hot.rs`, counted by
//! `tests/allocations.rs`.

#![expect(clippy::expect_used, reason = "the inputs are our own")]

use std::hint::black_box;

use serde_json::json;
use wire::openai_chat::OpenaiChat;
use wire::peek::Peek;
use wire::sse::{Framing, Splitter};
use wire::{Chat, Dialect as _, Target};

/// A request whose prompt has so many bytes.
pub(crate) fn request(bytes: usize) -> Vec<u8> {
    let prompt = "All tolls are due at the gate. ".repeat(bytes.div_ceil(31));
    let body = json!({
        "model": "gpt-4o-mini",
        "messages": [{ "role": "user", "content": prompt.get(..bytes).unwrap_or_default() }],
        "temperature": 0.2,
    });
    body.to_string().into_bytes()
}

/// A whole answer.
pub(crate) fn reply() -> Vec<u8> {
    let body = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-4o-mini-2024-07-18",
        "choices": [{
            "index": 0, "logprobs": null, "finish_reason": "stop",
            "message": { "role": "assistant", "content": "Well, thank you. The gate is open.", "refusal": null },
        }],
        "usage": {
            "prompt_tokens": 12, "completion_tokens": 9, "total_tokens": 21,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 },
        },
        "service_tier": "default", "system_fingerprint": "fp_1",
    });
    body.to_string().into_bytes()
}

/// One event of a stream.
pub(crate) fn event(word: &str) -> String {
    let chunk = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_700_000_000,
        "model": "gpt-4o-mini-2024-07-18", "service_tier": "default", "system_fingerprint": "fp_1",
        "choices": [{ "index": 0, "delta": { "content": word }, "logprobs": null, "finish_reason": null }],
        "usage": null,
    });
    format!("data: {chunk}\n\n")
}

/// A stream under way, of which the names and the form of its events are known.
pub(crate) struct Stream {
    splitter: Splitter,
    reader: Box<dyn wire::Reader>,
}

impl Stream {
    pub(crate) fn begun() -> Self {
        let splitter = Splitter::new(Framing::Sse, 1024 * 1024);
        let mut stream = Self { splitter, reader: OpenaiChat.reader() };
        for word in ["Well", ","] {
            stream.take(event(word).as_bytes());
        }
        stream
    }

    /// Meters what came, whose bytes pass.
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        let reader = &mut self.reader;
        self.splitter.push(bytes, |frame| reader.skim(&frame)).expect("short frames");
    }

    pub(crate) fn output_bytes(&self) -> u64 {
        self.reader.output_bytes()
    }
}

/// What has to be known of a body that passes.
pub(crate) fn peek(body: &[u8]) -> Peek {
    Peek::of(black_box(body)).expect("a request")
}

pub(crate) fn read(body: &[u8]) -> Chat {
    OpenaiChat.read_request(black_box(body)).expect("a request")
}

pub(crate) fn write(chat: &Chat) -> Vec<u8> {
    let target = Target {
        provider: "openai",
        model: "gpt-4o-mini",
        max_output_tokens: Some(16_384),
        reasoning: false,
    };
    OpenaiChat.write_request(black_box(chat), &target).expect("a request").body
}
