//! `simulator`: the provider simulator as a program of its own, for demonstrations and benchmarks.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use testkit::{CannedStream, Fault, Running, Simulator};
use tokio::signal;
use tokio::signal::unix::SignalKind;

#[derive(Parser)]
#[command(
    about = "Simulates OpenAI, DeepSeek, Anthropic and Gemini on one port, over HTTP/1.1 and h2c"
)]
struct Arguments {
    /// Address to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to listen on; 0 for any free one
    #[arg(long, default_value_t = 9000)]
    port: u16,
    /// Folder of recorded exchanges: a recorded request gets its recorded answer
    #[arg(long, value_name = "DIR")]
    recordings: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FAULT",
        help = "Fault of every answer of a model: delay:MS, cut, hang, status:CODE, 429:SECONDS, echo:CODE, garbage, empty, \
                no_usage, slow:MS, cut:N, hang:N, error:N, garbage:N, unterminated, pieces:BYTES or keep_alive:N"
    )]
    fault: Option<Fault>,
    /// Answer every chat request with the same bytes, without reading it
    #[arg(long)]
    canned: bool,
    /// Events with text in a canned stream
    #[arg(long, value_name = "N", default_value_t = 100, requires = "canned")]
    canned_events: usize,
    /// Milliseconds between the events of a canned stream; 0 for as fast as possible
    #[arg(long, value_name = "MS", default_value_t = 0, requires = "canned")]
    canned_gap: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // Nobody can ask this program what it has seen.
    let mut simulator = Simulator::new().keep_requests(false);
    if arguments.canned {
        simulator = simulator.canned_stream(CannedStream {
            events: arguments.canned_events,
            gap: Duration::from_millis(arguments.canned_gap),
        });
    }
    if let Some(dir) = &arguments.recordings {
        anyhow::ensure!(dir.is_dir(), "{} is not a folder", dir.display());
        simulator = simulator.recordings(dir)?;
    }
    if let Some(fault) = arguments.fault {
        simulator = simulator.fault(fault);
    }
    let address = SocketAddr::new(arguments.host, arguments.port);
    let running =
        simulator.start(address).await.with_context(|| format!("listening on {address}"))?;
    announce(&running)?;
    terminated().await?;
    running.stop().await;
    Ok(())
}

fn announce(running: &Running) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "OPENAI_BASE_URL={}", running.openai_url())?;
    for name in ["DEEPSEEK", "ANTHROPIC", "GEMINI"] {
        writeln!(out, "{name}_BASE_URL={}", running.url())?;
    }
    out.flush()
}

async fn terminated() -> io::Result<()> {
    let mut terminate = signal::unix::signal(SignalKind::terminate())?;
    tokio::select! {
        interrupt = signal::ctrl_c() => interrupt,
        _ = terminate.recv() => Ok(()),
    }
}
