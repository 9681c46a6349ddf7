//! The proxies that the gateway is compared with.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::PROXY_CORE;
use super::process::{Server, accepts, on_core};
use super::servers::Providers;
use crate::postgres::free_port;
use crate::{Result, packages, sh};

/// What is installed of `LiteLLM`, and what marks that it was.
const LITELLM: &str = "litellm[proxy]==1.99.4";

/// A proxy that takes what the provider takes.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) server: Server,
    /// Whether it finds the provider by the model, and not by the path.
    pub(crate) knows_models: bool,
}

impl Peer {
    pub(crate) fn nginx(nginx: &Path, dir: &Path, providers: &Providers) -> Result<Self> {
        let port = free_port()?;
        let config = dir.join("nginx.conf");
        write(&config, &nginx_config(dir, port, providers))?;
        let mut command = Command::new(nginx);
        command
            .arg("-p")
            .arg(dir)
            .arg("-c")
            .arg(&config)
            .arg("-e")
            .arg(dir.join("nginx-error.log"));
        let mut server = Server::start("nginx", port, on_core(PROXY_CORE, &command), dir)?;
        server.wait(accepts)?;
        Ok(Self { name: "nginx", server, knows_models: false })
    }

    /// `LiteLLM`'s proxy as it is fastest: one worker, no database, no log.
    pub(crate) fn litellm(dir: &Path, providers: &Providers) -> Result<Self> {
        let folder = litellm()?;
        let port = free_port()?;
        let config = dir.join("litellm.yaml");
        write(&config, &litellm_config(providers))?;
        let mut command = Command::new(folder.join("bin/litellm"));
        command.arg("--config").arg(&config).args(["--host", "127.0.0.1"]).current_dir(dir);
        command.args(["--port", &port.to_string(), "--num_workers", "1", "--telemetry", "False"]);
        command.env("LITELLM_LOG", "ERROR").env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
        // It takes a stream for broken otherwise whose pieces are all the same.
        command.env("REPEATED_STREAMING_CHUNK_LIMIT", "1000000");
        let mut server = Server::start("LiteLLM", port, on_core(PROXY_CORE, &command), dir)?;
        server.wait(accepts)?;
        Ok(Self { name: "LiteLLM", server, knows_models: true })
    }
}

fn write(path: &Path, text: &str) -> Result {
    std::fs::write(path, text).map_err(|why| format!("cannot write {}: {why}", path.display()))
}

/// The folder with `LiteLLM`, installed if it is not there yet.
fn litellm() -> Result<PathBuf> {
    let folder = sh::target_dir()?.join("litellm");
    if !folder.join(LITELLM).is_file() {
        let python = packages::program("python3", "python3")?;
        sh::run(Command::new(&python).args(["-m", "venv", "--clear"]).arg(&folder))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
        sh::run(pip.arg(LITELLM))?;
        write(&folder.join(LITELLM), "")?;
    }
    Ok(folder)
}

fn litellm_config(providers: &Providers) -> String {
    let (steady, burst) = (providers.steady(), providers.burst());
    format!(
        "model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: http://{steady}/v1
      api_key: bench
  - model_name: deepseek-chat
    litellm_params:
      model: openai/deepseek-chat
      api_base: http://{burst}/v1
      api_key: bench
"
    )
}

/// nginx at its best for this task: one worker, no log, connections kept on both sides.
fn nginx_config(dir: &Path, port: u16, providers: &Providers) -> String {
    let (dir, steady, burst) = (dir.display(), providers.steady(), providers.burst());
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
    upstream steady {{
        server {steady};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    upstream burst {{
        server {burst};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        proxy_http_version 1.1;
        proxy_buffering off;
        client_body_buffer_size 64k;
        proxy_set_header Connection \"\";
        location / {{
            proxy_pass http://steady;
        }}
        location /burst/ {{
            proxy_pass http://burst/;
        }}
    }}
}}
"
    )
}
