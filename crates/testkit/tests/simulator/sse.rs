//! Reading streams in the tests: strictly, so that a frame no client could read fails a test.

use serde_json::Value;

/// An event of a stream.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// What its `event:` line says.
    pub(crate) name: Option<String>,
    /// Its JSON, or null for `[DONE]`.
    pub(crate) data: Value,
}

/// The events of a whole stream, which must hold nothing else.
pub(crate) fn events(text: &str) -> Vec<Event> {
    let text = text.replace("\r\n", "\n");
    let frames = text.split_terminator("\n\n");
    frames.map(event).collect()
}

fn event(frame: &str) -> Event {
    let (name, data) = match frame.split_once('\n') {
        Some((first, second)) => (first.strip_prefix("event: "), second),
        None => (None, frame),
    };
    assert!(name.is_some() || !frame.contains('\n'), "{frame}");
    let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {frame}"));
    let data = match data {
        "[DONE]" => Value::Null,
        data => serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {frame}")),
    };
    let event = Event { name: name.map(str::to_owned), data };
    if let Some(name) = &event.name {
        assert_eq!(event.data["type"], name.as_str(), "{frame}");
    }
    event
}

/// The texts at a place of each event, one after the other.
pub(crate) fn joined(events: &[Event], pointer: &str) -> String {
    events.iter().filter_map(|event| event.data.pointer(pointer)?.as_str()).collect()
}
