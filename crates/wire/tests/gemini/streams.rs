//! Streams written by hand in the shape of real traffic.

/// The streams of our own, by name.
pub(crate) const STREAMS: &[(&str, &str)] = &[
    ("text", include_str!("../../../testkit/fixtures/gemini/text_stream.sse")),
    ("thinking", include_str!("../../../testkit/fixtures/gemini/thinking_stream.sse")),
    ("signature_last", include_str!("../../../testkit/fixtures/gemini/signature_last_stream.sse")),
    ("tools", include_str!("../../../testkit/fixtures/gemini/tools_stream.sse")),
    (
        "tools_without_ids",
        include_str!("../../../testkit/fixtures/gemini/tools_without_ids_stream.sse"),
    ),
    ("search", include_str!("../../../testkit/fixtures/gemini/search_stream.sse")),
    ("code", include_str!("../../../testkit/fixtures/gemini/code_stream.sse")),
    ("refusal", include_str!("../../../testkit/fixtures/gemini/refusal_stream.sse")),
    ("blocked", include_str!("../../../testkit/fixtures/gemini/blocked_stream.sse")),
    ("truncated", include_str!("../../../testkit/fixtures/gemini/truncated_stream.sse")),
    ("thoughts_only", include_str!("../../../testkit/fixtures/gemini/thoughts_only_stream.sse")),
    ("image", include_str!("../../../testkit/fixtures/gemini/image_stream.sse")),
    ("error", include_str!("../../../testkit/fixtures/gemini/error_stream.sse")),
    ("error_bare", include_str!("../../../testkit/fixtures/gemini/error_bare_stream.sse")),
    ("cut", include_str!("../../../testkit/fixtures/gemini/cut_stream.sse")),
    ("usage_falls", include_str!("../../../testkit/fixtures/gemini/usage_falls_stream.sse")),
    ("no_usage", include_str!("../../../testkit/fixtures/gemini/no_usage_stream.sse")),
    ("continuation", include_str!("../../../testkit/fixtures/gemini/continuation_stream.sse")),
    ("two_answers", include_str!("../../../testkit/fixtures/gemini/two_answers_stream.sse")),
];

pub(crate) fn stream(name: &str) -> &'static str {
    let found = STREAMS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no stream {name}")).1
}
