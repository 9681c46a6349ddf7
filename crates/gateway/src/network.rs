//! The settings of connections: how long each step of a client may take, how many there may be, and the end.

use std::time::Duration;

use clap::Args;

/// Beside `Settings`, of which they are a part.
#[derive(Args, Clone, Debug)]
#[expect(clippy::doc_markdown, reason = "the comments are the manual on the terminal")]
pub(crate) struct Network {
    /// How long the head of a request may take to arrive, in seconds
    #[arg(long, env = "TOLLGATE_HEADER_TIMEOUT_SECONDS", default_value_t = 10, global = true,
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    header_timeout_seconds: u32,

    /// How long the body of a request may take to arrive, in seconds; every 64 KiB that have come give one more
    #[arg(long, env = "TOLLGATE_BODY_TIMEOUT_SECONDS", default_value_t = 30, global = true,
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    body_timeout_seconds: u32,

    /// How long a connection is kept for a next request, in seconds. Let it be longer than your load balancer's
    #[arg(long, env = "TOLLGATE_IDLE_TIMEOUT_SECONDS", default_value_t = 75, global = true,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    idle_timeout_seconds: u32,

    /// How long a client may take nothing of its answer while there is more of it, in seconds
    #[arg(long, env = "TOLLGATE_WRITE_TIMEOUT_SECONDS", default_value_t = 60, global = true,
          value_parser = clap::value_parser!(u32).range(1..=86_400))]
    write_timeout_seconds: u32,

    /// How many connections there may be; 0 for as many as there are files to open for them, and 16384 at most
    #[arg(long, env = "TOLLGATE_CONNECTIONS", default_value_t = 0, global = true)]
    pub(crate) connections: u32,

    /// How many connections one address may have, of IPv6 one network of 64 bits; 0 for any number. Trusted proxies may
    /// have any
    #[arg(long, env = "TOLLGATE_CONNECTIONS_PER_ADDRESS", default_value_t = 4_096, global = true)]
    pub(crate) connections_per_address: u32,

    /// How many requests to models may be under way; more are refused with 503
    #[arg(long, env = "TOLLGATE_REQUESTS", default_value_t = 8_192, global = true,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) requests: u32,

    /// How many of them one client may have, by the address that trusted proxies say; 0 for any number
    #[arg(long, env = "TOLLGATE_REQUESTS_PER_ADDRESS", default_value_t = 0, global = true)]
    pub(crate) requests_per_address: u32,

    /// How many bytes of request bodies may be in memory; more are refused with 503
    #[arg(long, env = "TOLLGATE_BODY_MEMORY_BYTES", default_value_t = 1_073_741_824, global = true,
          value_parser = clap::value_parser!(u64).range(1_024..))]
    pub(crate) body_memory_bytes: u64,

    /// How many requests one connection of HTTP/2 may have under way
    #[arg(long, env = "TOLLGATE_HTTP2_STREAMS", default_value_t = 1_000, global = true,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) http2_streams: u32,

    /// How long /readyz says no before the door is closed, once the end is asked for, in seconds: so long as your load
    /// balancer takes to notice
    #[arg(long, env = "TOLLGATE_DRAIN_GRACE_SECONDS", default_value_t = 0, global = true,
          value_parser = clap::value_parser!(u32).range(0..=3_600))]
    drain_grace_seconds: u32,

    /// How long answers under way may take once the door is closed, in seconds; what is left then is cut
    #[arg(long, env = "TOLLGATE_DRAIN_SECONDS", default_value_t = 120, global = true,
          value_parser = clap::value_parser!(u32).range(0..=86_400))]
    drain_seconds: u32,

    /// Let another process listen on the same port (SO_REUSEPORT), so that a new one is there before the old one goes
    #[arg(long, env = "TOLLGATE_REUSE_PORT", default_value_t = false, global = true,
          num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub(crate) reuse_port: bool,
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}

impl Network {
    pub(crate) fn body_timeout(&self) -> Duration {
        seconds(self.body_timeout_seconds)
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        Timeouts {
            header: seconds(self.header_timeout_seconds),
            idle: seconds(self.idle_timeout_seconds),
            write: seconds(self.write_timeout_seconds),
        }
    }

    pub(crate) fn grace(&self) -> Duration {
        seconds(self.drain_grace_seconds)
    }

    pub(crate) fn drain(&self) -> Duration {
        seconds(self.drain_seconds)
    }
}

/// How long a connection waits for its client.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Timeouts {
    pub(crate) header: Duration,
    pub(crate) idle: Duration,
    pub(crate) write: Duration,
}
