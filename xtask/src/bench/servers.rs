//! The providers, and the gateway in front of them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Server, accepts, on_core, under};
use super::scenario::{BURST, EVENTS, GAP_MILLIS};
use super::{LOAD_CORE, PROXY_CORE};
use crate::postgres::free_port;
use crate::{Result, sh};

const TIMEOUT: Duration = Duration::from_secs(30);

/// The user whose key the gateway is called with.
pub(crate) const USER: &str = "bench";

/// One provider writes its streams as a model does, the other all at once.
pub(crate) struct Providers {
    steady: Server,
    burst: Server,
}

impl Providers {
    pub(crate) fn start(bins: &Path, dir: &Path) -> Result<Self> {
        let start = |name, events: u32, gap: u32| {
            let port = free_port()?;
            let mut command = Command::new(bins.join("simulator"));
            command.args(["--port", &port.to_string(), "--canned"]).current_dir(dir);
            command.args(["--canned-events", &events.to_string()]);
            command.args(["--canned-gap", &gap.to_string()]);
            let mut server = Server::start(name, port, on_core(LOAD_CORE, &command), dir)?;
            server.wait(accepts)?;
            Ok::<_, String>(server)
        };
        let steady = start("simulator", EVENTS, GAP_MILLIS)?;
        Ok(Self { steady, burst: start("simulator-burst", BURST, 0)? })
    }

    pub(crate) fn steady(&self) -> SocketAddr {
        self.steady.address()
    }

    pub(crate) fn burst(&self) -> SocketAddr {
        self.burst.address()
    }
}

pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) key: String,
}

impl Gateway {
    pub(crate) fn start(bins: &Path, dir: &Path, providers: &Providers) -> Result<Self> {
        Books::new(bins, dir, providers)?.serve(&["taskset", "-c", PROXY_CORE])
    }
}

/// What a gateway starts from: its database and its journal, and how it is called.
pub(crate) struct Books<'a> {
    bins: &'a Path,
    dir: &'a Path,
    providers: &'a Providers,
    port: u16,
    key: String,
}

impl<'a> Books<'a> {
    /// Of a server that has never been started.
    pub(crate) fn none(bins: &'a Path, dir: &'a Path, providers: &'a Providers) -> Result<Self> {
        Ok(Self { bins, dir, providers, port: free_port()?, key: String::new() })
    }

    pub(crate) fn new(bins: &'a Path, dir: &'a Path, providers: &'a Providers) -> Result<Self> {
        let mut books = Self::none(bins, dir, providers)?;
        sh::output(&mut books.tollgate(&["migrate"]))?;
        sh::output(&mut books.tollgate(&["user", "add", USER]))?;
        books.key = sh::output(&mut books.tollgate(&["key", "create", "--user", USER]))?;
        if !books.key.starts_with("tg-") || books.key.contains(char::is_whitespace) {
            return Err(
                "`tollgate key create` did not print the key alone on standard output".to_owned()
            );
        }
        Ok(books)
    }

    /// A gateway that is run by another program, which `words` are.
    pub(crate) fn serve(&self, words: &[&str]) -> Result<Gateway> {
        let command = under(words, &self.tollgate(&["serve"]));
        let mut server = Server::start("gateway", self.port, command, self.dir)?;
        let request = "GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
        server.wait(|address| http(address, request).is_ok_and(|answer| succeeded(&answer)))?;
        Ok(Gateway { server, key: self.key.clone() })
    }

    fn tollgate(&self, args: &[&str]) -> Command {
        let (dir, providers) = (self.dir, self.providers);
        let mut command = Command::new(self.bins.join("tollgate"));
        command.args(args).current_dir(dir);
        // Each setting that somebody's shell may hold would make the figures theirs alone.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("PORT", self.port.to_string()).env("HOST", "127.0.0.1");
        command.env("DATABASE_URL", format!("sqlite://{}", dir.join("bench.db").display()));
        command.env("TOLLGATE_DATA_DIR", dir.join("data"));
        command.env("OPENAI_BASE_URL", format!("http://{}/v1", providers.steady()));
        command.env("DEEPSEEK_BASE_URL", format!("http://{}", providers.burst()));
        command.env("ANTHROPIC_BASE_URL", format!("http://{}", providers.burst()));
        command.env("GEMINI_BASE_URL", format!("http://{}", providers.burst()));
        for provider in ["OPENAI", "DEEPSEEK", "ANTHROPIC", "GEMINI"] {
            command.env(format!("{provider}_API_KEY"), "bench");
        }
        command.env("RUST_LOG", "warn").env("TOKIO_WORKER_THREADS", "1");
        command
    }
}

/// One HTTP exchange that the server ends by closing the connection.
pub(crate) fn http(address: SocketAddr, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A request with a body of JSON, on a connection of its own.
pub(crate) fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, String)],
    body: &str,
) -> std::io::Result<String> {
    let headers: Vec<String> =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\ncontent-type: application/json\r\n{}\
         content-length: {}\r\n\r\n{body}",
        headers.concat(),
        body.len()
    );
    http(address, &request)
}

pub(crate) fn succeeded(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 2")
}
