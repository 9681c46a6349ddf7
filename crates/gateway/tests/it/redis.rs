//! A Redis of a test: a server of its own on a free port, with a password, that can be killed and started again.

use std::net::TcpListener as Ports;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::books::not_in_ci;

const PASSWORD: &str = "canary-redis-password";

pub(crate) struct Redis {
    program: std::ffi::OsString,
    port: u16,
    process: Child,
    folder: tempfile::TempDir,
}

impl Redis {
    /// `None`, said by name, where there is no Redis; a CI always has one.
    pub(crate) async fn start() -> Option<Self> {
        let given = std::env::var_os("TOLLGATE_TEST_REDIS").filter(|name| !name.is_empty());
        let Some(program) = given else {
            not_in_ci("TOLLGATE_TEST_REDIS is not set: the CI must test Redis too");
            println!("skipped: no Redis");
            return None;
        };
        let (mut program, mut folder) = (program, tempfile::tempdir().expect("a folder"));
        // A free port is only known to have been free a moment ago.
        for _ in 0..3 {
            let ports = Ports::bind(("127.0.0.1", 0)).expect("a port");
            let port = ports.local_addr().expect("an address").port();
            drop(ports);
            let process = spawn(&program, port, folder.path());
            let mut redis = Self { program, port, process, folder };
            if redis.answers().await {
                return Some(redis);
            }
            (program, folder) = (redis.program, redis.folder);
        }
        panic!("Redis does not start")
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// `kill -9`: it has forgotten everything when it is started again.
    pub(crate) async fn kill(&mut self) {
        self.process.kill().await.expect("the process dies");
    }

    pub(crate) async fn restart(&mut self) {
        self.process = spawn(&self.program, self.port, self.folder.path());
        assert!(self.answers().await, "Redis does not start again");
    }

    /// What it says to a command of one line.
    pub(crate) async fn ask(&self, command: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let text = format!("AUTH {PASSWORD}\r\n{command}\r\nQUIT\r\n");
        stream.write_all(text.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    }

    /// Waits until it answers; false where it has ended, because somebody else has the port.
    async fn answers(&mut self) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            let answers = self.ask("PING").await.is_some_and(|answer| answer.contains("+PONG"));
            if self.process.try_wait().expect("its state").is_some() {
                return false;
            }
            if answers {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        false
    }
}

fn spawn(program: &std::ffi::OsStr, port: u16, folder: &std::path::Path) -> Child {
    let mut command = Command::new(program);
    command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--requirepass", PASSWORD]);
    command.args(["--save", "", "--appendonly", "no"]).current_dir(folder).kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("Redis starts")
}
