//! What is asked of both proxies.

/// How many events a stream has, and how far apart they are: about as a model writes.
pub(crate) const EVENTS: u32 = 100;
pub(crate) const GAP_MILLIS: u32 = 20;

/// One kind of request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A small chat, translated from the native API.
    Small,
    /// A prompt of 32 KB that passes.
    Large,
    /// A stream that passes.
    Stream,
}

impl Scenario {
    pub(crate) const ALL: [Self; 3] = [Self::Small, Self::Large, Self::Stream];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
            Self::Stream => "stream",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Small => "A small chat by the native API, translated",
            Self::Large => "A chat of 32 KB in the provider's own dialect, passed on",
            Self::Stream => {
                "Streams of 100 events, one every 20 ms, in the provider's own dialect, passed on"
            }
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The path and the body for the gateway.
    pub(crate) fn of_gateway(self) -> (&'static str, String) {
        match self {
            Self::Small => (
                "/api/layers/chat",
                r#"{"providerName":"openai","model_name":"gpt-4o-mini","message":"Hello, how are you today?"}"#.to_owned(),
            ),
            Self::Large | Self::Stream => self.of_nginx(),
        }
    }

    /// The path and the body for nginx: what the provider gets.
    pub(crate) fn of_nginx(self) -> (&'static str, String) {
        let (message, more) = match self {
            Self::Small => ("Hello, how are you today?".to_owned(), ""),
            Self::Large => ("All tolls are due at the gate. ".repeat(1_024), ""),
            Self::Stream => (
                "Hello, how are you today?".to_owned(),
                r#","stream":true,"stream_options":{"include_usage":true}"#,
            ),
        };
        let body = format!(
            r#"{{"model":"gpt-4o-mini","messages":[{{"role":"user","content":"{message}"}}]{more}}}"#
        );
        ("/v1/chat/completions", body)
    }

    /// How many connections have a request at any time, for each that is asked for. Streams are many, so that their events
    /// come at any moment: of a few, some would happen to come together, and others not.
    pub(crate) const fn connections(self, asked: u32) -> u32 {
        match self {
            Self::Stream => asked.saturating_mul(10),
            Self::Small | Self::Large => asked,
        }
    }

    /// By how much the time for one request is divided.
    pub(crate) const fn units(self) -> u32 {
        match self {
            Self::Stream => EVENTS,
            Self::Small | Self::Large => 1,
        }
    }

    /// What the time is for.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Stream => "event",
            Self::Small | Self::Large => "request",
        }
    }
}
