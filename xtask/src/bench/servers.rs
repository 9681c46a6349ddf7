//! The three servers: the provider simulator, and the two proxies in front of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::process::{Server, accepts};
use super::scenario::{EVENTS, GAP_MILLIS};
use super::{LOAD_CORE, PROXY_CORE};
use crate::postgres::free_port;
use crate::{Result, sh};

const TIMEOUT: Duration = Duration::from_secs(5);

/// The user whose key the gateway is called with.
pub(crate) const USER: &str = "bench";

pub(crate) struct Simulator {
    server: Server,
}

impl Simulator {
    pub(crate) fn start(bins: &Path, dir: &Path) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(bins.join("simulator"));
        command.args(["--port", &port.to_string(), "--canned"]).current_dir(dir);
        command.args(["--canned-events", &EVENTS.to_string()]);
        command.args(["--canned-gap", &GAP_MILLIS.to_string()]);
        let mut server = Server::start("simulator", port, LOAD_CORE, &command, dir)?;
        server.wait(accepts)?;
        Ok(Self { server })
    }
}

pub(crate) struct Nginx {
    pub(crate) server: Server,
}

impl Nginx {
    pub(crate) fn start(nginx: &Path, dir: &Path, simulator: &Simulator) -> Result<Self> {
        let port = free_port()?;
        let config = dir.join("nginx.conf");
        std::fs::write(&config, nginx_config(dir, port, simulator.server.port))
            .map_err(|why| format!("cannot write {}: {why}", config.display()))?;
        let mut command = Command::new(nginx);
        command
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(dir.join("nginx-error.log"));
        let mut server = Server::start("nginx", port, PROXY_CORE, &command, dir)?;
        server.wait(accepts)?;
        Ok(Self { server })
    }
}

/// nginx at its best for this task: one worker, no log, connections kept on both sides.
fn nginx_config(dir: &Path, port: u16, upstream: u16) -> String {
    let dir = dir.display();
    format!(
        "daemon off;
worker_processes 1;
pid {dir}/nginx.pid;
error_log {dir}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {dir}/nginx-body;
    proxy_temp_path {dir}/nginx-proxy;
    fastcgi_temp_path {dir}/nginx-fastcgi;
    uwsgi_temp_path {dir}/nginx-uwsgi;
    scgi_temp_path {dir}/nginx-scgi;
    upstream simulator {{
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://simulator;
            proxy_http_version 1.1;
            proxy_buffering off;
            client_body_buffer_size 64k;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}

pub(crate) struct Gateway {
    pub(crate) server: Server,
    pub(crate) key: String,
}

impl Gateway {
    pub(crate) fn start(bins: &Path, dir: &Path, simulator: &Simulator) -> Result<Self> {
        let port = free_port()?;
        let tollgate = |args: &[&str]| {
            let mut command = Command::new(bins.join("tollgate"));
            command.args(args).current_dir(dir);
            // Each setting that somebody's shell may hold would make the figures theirs alone.
            command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
            command.env("PORT", port.to_string()).env("HOST", "127.0.0.1");
            command.env("DATABASE_URL", format!("sqlite://{}", dir.join("bench.db").display()));
            command.env("TOLLGATE_DATA_DIR", dir.join("data"));
            command
                .env("OPENAI_BASE_URL", format!("http://127.0.0.1:{}/v1", simulator.server.port));
            command
                .env("OPENAI_API_KEY", "bench")
                .env("RUST_LOG", "warn")
                .env("TOKIO_WORKER_THREADS", "1");
            command
        };
        sh::output(&mut tollgate(&["migrate"]))?;
        sh::output(&mut tollgate(&["user", "add", USER]))?;
        let key = sh::output(&mut tollgate(&["key", "create", "--user", USER]))?;
        if !key.starts_with("tg-") || key.contains(char::is_whitespace) {
            return Err(
                "`tollgate key create` did not print the key alone on standard output".to_owned()
            );
        }
        let mut server = Server::start("gateway", port, PROXY_CORE, &tollgate(&["serve"]), dir)?;
        let request = "GET /healthz HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n";
        server.wait(|address| http(address, request).is_ok_and(|answer| succeeded(&answer)))?;
        Ok(Self { server, key })
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

pub(crate) fn succeeded(answer: &str) -> bool {
    answer.starts_with("HTTP/1.1 2")
}
