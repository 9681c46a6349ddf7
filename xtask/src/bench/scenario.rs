//! What is asked of both proxies.

/// How many events a stream has, and how far apart they are: about as a model writes.
pub(crate) const EVENTS: u32 = 100;
pub(crate) const GAP_MILLIS: u32 = 20;
/// How many events a stream has that comes at once.
pub(crate) const BURST: u32 = 200;

/// One kind of request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scenario {
    /// A small chat, translated from the native API.
    Small,
    /// A prompt of 32 KB that passes.
    Large,
    /// A stream that passes.
    Stream,
    /// A stream that passes, all of it at once.
    Burst,
    /// The small chat again, one after the other.
    Single,
}

impl Scenario {
    pub(crate) const ALL: [Self; 5] =
        [Self::Small, Self::Large, Self::Stream, Self::Burst, Self::Single];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Large => "large",
            Self::Stream => "stream",
            Self::Burst => "burst",
            Self::Single => "single",
        }
    }

    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Small => "A small chat by the native API, translated",
            Self::Large => "A chat of 32 KB in the provider's own dialect, passed on",
            Self::Stream => {
                "Streams of 100 events, one every 20 ms, in the provider's own dialect, passed on"
            }
            Self::Burst => {
                "Streams of 200 events that come at once, in the provider's own dialect, passed on"
            }
            Self::Single => "The small chat on one connection, one after the other",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scenario| scenario.name() == name)
    }

    /// The path and the body for the gateway.
    pub(crate) fn of_gateway(self) -> (&'static str, String) {
        match self {
            Self::Small | Self::Single => (
                "/api/layers/chat",
                r#"{"providerName":"openai","model_name":"gpt-4o-mini","message":"Hello, how are you today?"}"#.to_owned(),
            ),
            Self::Large | Self::Stream => self.of_provider("gpt-4o-mini"),
            // Of another provider, which answers at once.
            Self::Burst => self.of_provider("deepseek/deepseek-chat"),
        }
    }

    /// The path and the body for a plain proxy: what the provider gets.
    pub(crate) fn of_nginx(self) -> (&'static str, String) {
        match self {
            Self::Burst => ("/burst/v1/chat/completions", self.of_provider("deepseek-chat").1),
            _ => self.of_provider("gpt-4o-mini"),
        }
    }

    fn of_provider(self, model: &str) -> (&'static str, String) {
        let message = match self {
            Self::Large => "All tolls are due at the gate. ".repeat(1_024),
            _ => "Hello, how are you today?".to_owned(),
        };
        let more = match self {
            Self::Stream | Self::Burst => {
                r#","stream":true,"stream_options":{"include_usage":true}"#
            }
            Self::Small | Self::Large | Self::Single => "",
        };
        let body = format!(
            r#"{{"model":"{model}","messages":[{{"role":"user","content":"{message}"}}]{more}}}"#
        );
        ("/v1/chat/completions", body)
    }

    /// How many connections have a request at any time, for each that is asked for. Streams are many, so that their events
    /// come at any moment: of a few, some would happen to come together, and others not.
    pub(crate) const fn connections(self, asked: u32) -> u32 {
        match self {
            Self::Stream => asked.saturating_mul(10),
            Self::Small | Self::Large | Self::Burst => asked,
            Self::Single => 1,
        }
    }

    /// By how much the time for one request is divided.
    pub(crate) const fn units(self) -> u32 {
        match self {
            Self::Stream => EVENTS,
            Self::Small | Self::Large | Self::Burst | Self::Single => 1,
        }
    }

    /// What the time is for.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Stream => "event",
            Self::Burst => "stream",
            Self::Small | Self::Large | Self::Single => "request",
        }
    }
}
