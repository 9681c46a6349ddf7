//! A long time of nearly as much as the machine can do: what the program takes of memory and of files does not grow, and in
//! the end every request has its receipt.

#![cfg(target_os = "linux")]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use testkit::{CannedStream, Simulator};

use crate::app::{App, Start, USER};
use crate::books::{binary, number};
use crate::speak::Client;

const MODEL: &str = "gpt-4o-mini";
/// How many ask at the same time.
const THREADS: u32 = 64;
/// The share of what was found to be possible.
const LOAD: f64 = 0.8;
/// The stream of the simulator: a twentieth of a second.
const EVENTS: usize = 10;
const GAP: Duration = Duration::from_millis(5);
/// How many looks are taken at the program, at most one a second.
const LOOKS: u32 = 100;

/// What is sent, in turn: mostly small, some large, some streams, and some of those left in their midst.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Kind {
    Small,
    Large,
    Stream,
    HangUp,
}

impl Kind {
    fn of(turn: u32) -> Self {
        match turn % 20 {
            0..12 => Self::Small,
            12..16 => Self::Large,
            16..19 => Self::Stream,
            _ => Self::HangUp,
        }
    }
}

/// The bytes of a request of each kind.
struct Requests {
    address: SocketAddr,
    small: String,
    large: String,
    stream: String,
}

impl Requests {
    fn of(app: &App) -> Self {
        let address = app.url.trim_start_matches("http://").parse().expect("an address");
        let request = |client: Client, text: &str, stream: bool| {
            let body = client.ask("openai", MODEL, text, stream).to_string();
            let key = &app.key;
            let credential = match client {
                Client::Native => format!("user: {USER}\r\napi-key: {key}"),
                _ => format!("authorization: Bearer {key}"),
            };
            format!(
                "POST {} HTTP/1.1\r\nhost: {address}\r\n{credential}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                client.path(MODEL, stream),
                body.len()
            )
        };
        Self {
            address,
            small: request(Client::Native, "Hello", false),
            large: request(Client::Chat, &"All tolls are due at the gate. ".repeat(1_024), false),
            stream: request(Client::Chat, "Hello", true),
        }
    }

    fn bytes(&self, kind: Kind) -> &[u8] {
        match kind {
            Kind::Small => self.small.as_bytes(),
            Kind::Large => self.large.as_bytes(),
            Kind::Stream | Kind::HangUp => self.stream.as_bytes(),
        }
    }
}

/// One of those who ask. Blocking sockets, because they cost this process the least.
struct Asker<'a> {
    requests: &'a Requests,
    connection: Option<TcpStream>,
    buffer: Vec<u8>,
    turn: u32,
}

impl Asker<'_> {
    /// Asks once, which has to go well.
    fn ask(&mut self) -> io::Result<()> {
        let kind = Kind::of(self.turn);
        self.turn += 1;
        let mut connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let connection = TcpStream::connect(self.requests.address)?;
            connection.set_nodelay(true)?;
            connection.set_read_timeout(Some(Duration::from_secs(30)))?;
            connection
        };
        connection.write_all(self.requests.bytes(kind))?;
        self.buffer.clear();
        let mut part = [0; 16 * 1024];
        loop {
            let count = connection.read(&mut part)?;
            self.buffer.extend_from_slice(&part[..count]);
            let text = String::from_utf8_lossy(&self.buffer);
            if count == 0 || (text.len() > 12 && !text.starts_with("HTTP/1.1 200")) {
                return Err(io::Error::other(text.into_owned()));
            }
            if kind == Kind::HangUp && text.contains("\ndata: ") {
                return Ok(());
            }
            if is_whole(&text, kind) {
                self.connection = Some(connection);
                return Ok(());
            }
        }
    }
}

fn is_whole(answer: &str, kind: Kind) -> bool {
    if kind == Kind::Stream {
        return answer.contains("data: [DONE]") && answer.ends_with("\r\n0\r\n\r\n");
    }
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    length.and_then(|text| text.parse().ok()).is_some_and(|length: usize| body.len() >= length)
}

/// Asks for so long, as fast as it goes or at a rate in requests a second: how many were sent.
fn ask_all(requests: &Requests, lasts: Duration, rate: Option<f64>, over: &AtomicBool) -> u64 {
    let sent = AtomicU64::new(0);
    let begun = Instant::now();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let sent = &sent;
            scope.spawn(move || {
                // Each begins elsewhere in the turns, so that not all do the same at once.
                let (turn, buffer) = (number * 7, Vec::new());
                let mut asker = Asker { requests, connection: None, buffer, turn };
                let every = rate.map(|rate| Duration::from_secs_f64(f64::from(THREADS) / rate));
                let mut due = begun + every.unwrap_or_default() * number / THREADS;
                while begun.elapsed() < lasts {
                    if let Some(every) = every {
                        thread::sleep(due.saturating_duration_since(Instant::now()));
                        due += every;
                    }
                    asker.ask().expect("a good answer");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    over.store(true, Ordering::Relaxed);
    sent.into_inner()
}

/// What the program takes: KiB of memory, and open files.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Look {
    memory: u64,
    files: u64,
}

/// Looks now and then until it is over, and says so.
fn look(app: &App, lasts: Duration, over: &AtomicBool) -> Vec<Look> {
    let every = (lasts / LOOKS).min(Duration::from_secs(1));
    let (begun, mut looks, mut said) = (Instant::now(), Vec::new(), 0);
    while !over.load(Ordering::Relaxed) {
        thread::sleep(every);
        let look = Look { memory: app.memory_kib(), files: app.open_files() };
        let seconds = begun.elapsed().as_secs();
        if seconds / 10 > said {
            said = seconds / 10;
            let Look { memory, files } = look;
            println!("{seconds} of {} s: {memory} KiB, {files} files", lasts.as_secs());
        }
        looks.push(look);
    }
    looks
}

/// The medians of the second and of the last fifth of them.
fn fifths(looks: &[Look], of: fn(&Look) -> u64) -> (u64, u64) {
    let fifth = looks.len() / 5;
    let median = |part: &[Look]| {
        let mut values: Vec<u64> = part.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    };
    (median(&looks[fifth..2 * fifth]), median(&looks[looks.len() - fifth..]))
}

/// Whether the last fifth has more than the second by a twentieth and by `least`: the first is for warming up.
fn has_grown((before, after): (u64, u64), least: u64) -> bool {
    after > before + (before / 20).max(least)
}

#[test]
fn growth_is_seen() {
    let looks = |memory: fn(u64) -> u64| -> Vec<Look> {
        (0..100).map(|at| Look { memory: memory(at), files: 100 }).collect()
    };
    // Warming up is none, nor is a moment of more.
    let warm = looks(|at| if at < 20 { 10_000 + at * 1_000 } else { 50_000 + at % 7 });
    assert_eq!(fifths(&warm, |look| look.files), (100, 100));
    assert!(!has_grown(fifths(&warm, |look| look.memory), 2_048));
    let peak = looks(|at| if at % 20 == 3 { 90_000 } else { 50_000 });
    assert!(!has_grown(fifths(&peak, |look| look.memory), 2_048));
    // A little at a time is.
    let leak = looks(|at| 50_000 + at * 60);
    assert_eq!(fifths(&leak, |look| look.memory), (51_800, 55_400));
    assert!(has_grown(fifths(&leak, |look| look.memory), 2_048));
    assert!(!has_grown((10, 26), 16) && has_grown((10, 27), 16));
}

/// The simulator as a program of its own, where there is a release of it beside that of the program: it leaves more to do
/// to the one that is looked at.
struct Apart {
    url: String,
    process: Child,
    /// It says more than its first line.
    _output: BufReader<ChildStdout>,
}

impl Apart {
    fn start() -> Option<Self> {
        std::env::var_os("TOLLGATE_TEST_RELEASE")?;
        let program = PathBuf::from(binary()).with_file_name("simulator");
        if !program.is_file() {
            println!("{} is not there: the simulator runs here", program.display());
            return None;
        }
        let gap = GAP.as_millis().to_string();
        let mut process = Command::new(program)
            .args(["--port", "0", "--canned", "--canned-events", &EVENTS.to_string()])
            .args(["--canned-gap", &gap])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator starts");
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let url = line.trim_end().strip_prefix("OPENAI_BASE_URL=").expect("its address");
        Some(Self { url: url.to_owned(), process, _output: output })
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("an end");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_grows_under_load() {
    let minutes = number("TOLLGATE_TEST_SOAK", 0);
    let (probe, lasts) = match minutes {
        0 => (Duration::from_secs(1), Duration::from_secs(4)),
        minutes => (Duration::from_secs(10), Duration::from_secs(60 * minutes)),
    };
    let simulator = Simulator::new().keep_requests(false);
    let simulator = simulator.canned_stream(CannedStream { events: EVENTS, gap: GAP });
    let apart = Apart::start();
    let mut start = Start { simulator, ..Start::default() }.set("RUST_LOG", "warn");
    if let Some(apart) = &apart {
        start = start.set("OPENAI_BASE_URL", apart.url.clone());
    }
    let mut app = App::start_with(start).await;
    let requests = Requests::of(&app);
    let over = AtomicBool::new(false);
    let first = tokio::task::block_in_place(|| ask_all(&requests, probe, None, &over));
    let most = rate(first, probe);
    let wanted = most * LOAD;
    println!("{most:.0} requests a second are possible; {wanted:.0} for {} s", lasts.as_secs());
    let over = AtomicBool::new(false);
    let (sent, looks) = tokio::task::block_in_place(|| {
        thread::scope(|scope| {
            let asked = scope.spawn(|| ask_all(&requests, lasts, Some(wanted), &over));
            let looks = look(&app, lasts, &over);
            (asked.join().expect("good answers"), looks)
        })
    });
    let (memory, files) = (fifths(&looks, |l| l.memory), fifths(&looks, |l| l.files));
    let reached = rate(sent, lasts);
    println!(
        "{reached:.0} requests a second; {} to {} KiB, {} to {} files",
        memory.0, memory.1, files.0, files.1
    );
    app.signal("TERM").await;
    let status = app.ended().await;
    assert!(status.success(), "{status}: {}", app.written_log());
    let report = app.books.audit().await;
    assert_eq!(report["receipts"], first + sent);
    assert!(!has_grown(files, 32), "{files:?} files");
    if minutes > 0 {
        assert!(!has_grown(memory, 2 * 1_024), "{memory:?} KiB");
        assert!(reached > 0.75 * wanted, "{reached:.0} of {wanted:.0} requests a second");
    }
    app.books.remove().await;
}

fn rate(sent: u64, lasts: Duration) -> f64 {
    f64::from(u32::try_from(sent).expect("not so many")) / lasts.as_secs_f64()
}
