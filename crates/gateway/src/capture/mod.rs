//! Recordings of requests and their answers, as clients see them: off unless a folder is named. A request leaves its bytes
//! in a queue when its answer has ended and goes on; a thread of its own takes out what is nobody's business and writes.

mod files;
mod redact;
mod tap;
mod words;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::clock;
use crate::inbound::Inbound;
use files::Files;
use tap::Recording;

/// How many recordings may wait to be written, and bytes of them.
const MOST_WAITING: usize = 1_024;
const MOST_WAITING_BYTES: u64 = 64 * 1024 * 1024;
/// So much of a request or an answer is recorded.
const MOST_BYTES: usize = 1024 * 1024;
/// How often what is too old is looked for where nothing is written.
const SWEEP_EVERY: Duration = Duration::from_mins(1);
/// How long the end of the program waits for a slow disk.
const PATIENCE: Duration = Duration::from_secs(2);

/// Beside `Settings`, of which they are a part.
#[derive(Args, Clone, Debug)]
pub(crate) struct CaptureSettings {
    /// Where requests and their answers are recorded, as files of JSON lines: a folder. Nothing is recorded unless set
    #[arg(long, env = "TOLLGATE_CAPTURE_DIR", global = true)]
    capture_dir: Option<String>,

    /// Which share of the requests is recorded, in percent
    #[arg(long, env = "TOLLGATE_CAPTURE_PERCENT", default_value_t = 100, global = true,
          value_parser = clap::value_parser!(u8).range(0..=100))]
    capture_percent: u8,

    /// Record those of these keys alone: ids of keys separated by commas
    #[arg(long, env = "TOLLGATE_CAPTURE_KEYS", value_delimiter = ',', global = true)]
    capture_keys: Vec<String>,

    /// Record what is said as well. Without it, texts are replaced by their length
    #[arg(long, env = "TOLLGATE_CAPTURE_CONTENT", default_value_t = false, global = true,
          num_args = 0..=1, default_missing_value = "true", action = clap::ArgAction::Set)]
    capture_content: bool,

    /// How many bytes of recordings are kept; the oldest go first
    #[arg(long, env = "TOLLGATE_CAPTURE_MAX_BYTES", default_value_t = 1_073_741_824, global = true,
          value_parser = clap::value_parser!(u64).range(65_536..))]
    capture_max_bytes: u64,

    /// How long recordings are kept, in hours
    #[arg(long, env = "TOLLGATE_CAPTURE_MAX_HOURS", default_value_t = 168, global = true,
          value_parser = clap::value_parser!(u32).range(1..=87_600))]
    capture_max_hours: u32,
}

impl CaptureSettings {
    /// Where recordings are, if anywhere.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.capture_dir.as_deref().filter(|folder| !folder.is_empty()).map(Path::new)
    }

    /// Whose requests alone are recorded.
    ///
    /// # Errors
    /// What is no id.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<Uuid>> {
        let keys = self.capture_keys.iter().map(|id| id.trim()).filter(|id| !id.is_empty());
        keys.map(str::parse).collect::<Result<_, _>>().map_err(|_| {
            anyhow::anyhow!("TOLLGATE_CAPTURE_KEYS: expected ids of keys, with commas between")
        })
    }
}

/// What is recorded of one request.
struct Record {
    /// Microseconds since 1970.
    at: i64,
    request_id: Uuid,
    key_id: Uuid,
    user_id: Uuid,
    surface: &'static str,
    status: u16,
    took: Duration,
    /// Whether the client had all of the answer.
    whole: bool,
    is_events: bool,
    request: Bytes,
    response: Vec<u8>,
    /// How many bytes of it there were.
    response_bytes: u64,
}

impl Record {
    fn bytes(&self) -> u64 {
        u64::try_from(self.request.len() + self.response.len()).unwrap_or(u64::MAX)
    }

    /// Its line, without what is nobody's business.
    fn line(&self, content: bool) -> Value {
        let request = &self.request[..self.request.len().min(MOST_BYTES)];
        let response = if self.is_events {
            redact::events(&self.response, content)
        } else {
            redact::body(&self.response, content)
        };
        json!({
            "at": clock::rfc3339(self.at),
            "request_id": self.request_id,
            "key_id": self.key_id,
            "user_id": self.user_id,
            "surface": self.surface,
            "status": self.status,
            "took_ms": u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            "whole": self.whole,
            "request_bytes": self.request.len(),
            "request": redact::body(request, content),
            "response_bytes": self.response_bytes,
            "response": response,
        })
    }
}

/// What is recorded, and the way to whoever writes it.
pub(crate) struct Capture {
    percent: u8,
    keys: Vec<Uuid>,
    /// None once the end has come.
    queue: Mutex<Option<SyncSender<Record>>>,
    tally: Arc<Tally>,
    /// The thread that writes has ended.
    ended: Mutex<Receiver<()>>,
}

#[derive(Default)]
struct Tally {
    waiting_bytes: AtomicU64,
    dropped: AtomicU64,
}

impl Capture {
    /// Starts the thread that writes, where a folder is named.
    ///
    /// # Errors
    /// The folder cannot be written to, or what is said of keys is not ids.
    pub(crate) fn open(settings: &CaptureSettings) -> anyhow::Result<Option<Arc<Self>>> {
        let keys = settings.keys()?;
        let Some(folder) = settings.folder() else { return Ok(None) };
        let hours = Duration::from_secs(u64::from(settings.capture_max_hours) * 3_600);
        let files = Files::open(folder, settings.capture_max_bytes, hours).map_err(|error| {
            anyhow::anyhow!("TOLLGATE_CAPTURE_DIR: {}: {error}", folder.display())
        })?;
        let (queue, waiting) = sync_channel(MOST_WAITING);
        let (end, ended) = sync_channel(1);
        let tally = Arc::<Tally>::default();
        let (content, counted) = (settings.capture_content, Arc::clone(&tally));
        let write = move || {
            write(&waiting, files, &counted, content);
            let _ = end.send(());
        };
        std::thread::Builder::new().name("capture".to_owned()).spawn(write)?;
        Ok(Some(Arc::new(Self {
            percent: settings.capture_percent,
            keys,
            queue: Mutex::new(Some(queue)),
            tally,
            ended: Mutex::new(ended),
        })))
    }

    /// Begins with a request, if it is to be recorded. Boxed, because every request has room for what is not.
    pub(crate) fn begin(self: &Arc<Self>, inbound: &Inbound) -> Option<Box<Recording>> {
        let is_meant = self.keys.is_empty() || self.keys.contains(&inbound.key_id);
        // The end of an id is chance.
        let drawn = inbound.id.as_u128() % 100 < u128::from(self.percent);
        let record = || Record {
            at: inbound.passage.begun_at,
            request_id: inbound.id,
            key_id: inbound.key_id,
            user_id: inbound.user_id,
            surface: inbound.face.surface,
            status: 0,
            took: Duration::ZERO,
            whole: false,
            is_events: false,
            request: inbound.body.clone(),
            response: Vec::new(),
            response_bytes: 0,
        };
        (is_meant && drawn)
            .then(|| Box::new(Recording::new(Arc::clone(self), inbound.passage.begun, record())))
    }

    /// How many there was no room for.
    pub(crate) fn dropped(&self) -> u64 {
        self.tally.dropped.load(Ordering::Relaxed)
    }

    /// Leaves one to be written.
    fn leave(&self, record: Record) {
        let bytes = record.bytes();
        let waiting = self.tally.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = waiting.saturating_add(bytes) <= MOST_WAITING_BYTES;
        let left = fits && queue.as_ref().is_some_and(|queue| queue.try_send(record).is_ok());
        if !left {
            self.tally.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.tally.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until everything is written, but not for ever.
    pub(crate) async fn close(self: Arc<Self>) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let wait = move || {
            let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.recv_timeout(PATIENCE).is_ok()
        };
        if !tokio::task::spawn_blocking(wait).await.unwrap_or(false) {
            tracing::warn!("the last recordings were not written in time");
        }
    }
}

/// Writes what comes, until nobody is left who could leave anything.
fn write(waiting: &Receiver<Record>, mut files: Files, tally: &Tally, content: bool) {
    let mut failing = false;
    let mut swept = Instant::now();
    loop {
        match waiting.recv_timeout(SWEEP_EVERY) {
            Ok(record) => {
                let mut line = record.line(content).to_string();
                line.push('\n');
                tally.waiting_bytes.fetch_sub(record.bytes(), Ordering::Relaxed);
                match files.write(line.as_bytes(), clock::now()) {
                    Ok(()) => failing = false,
                    Err(error) => {
                        tally.dropped.fetch_add(1, Ordering::Relaxed);
                        if !std::mem::replace(&mut failing, true) {
                            tracing::error!(%error, "recordings cannot be written");
                        }
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if swept.elapsed() >= SWEEP_EVERY {
            files.sweep(clock::now());
            swept = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(bytes: usize) -> Record {
        Record {
            at: 0,
            request_id: Uuid::nil(),
            key_id: Uuid::nil(),
            user_id: Uuid::nil(),
            surface: "native",
            status: 200,
            took: Duration::ZERO,
            whole: true,
            is_events: false,
            request: Bytes::from(vec![b'x'; bytes]),
            response: Vec::new(),
            response_bytes: 0,
        }
    }

    #[test]
    fn what_there_is_no_room_for_is_dropped() {
        let (queue, waiting) = sync_channel(2);
        let (_, ended) = sync_channel(1);
        let capture = Capture {
            percent: 100,
            keys: Vec::new(),
            queue: Mutex::new(Some(queue)),
            tally: Arc::default(),
            ended: Mutex::new(ended),
        };
        let large = usize::try_from(MOST_WAITING_BYTES).expect("small");
        capture.leave(record(10));
        capture.leave(record(large));
        assert_eq!(capture.dropped(), 1, "too many bytes");
        capture.leave(record(10));
        capture.leave(record(10));
        assert_eq!(capture.dropped(), 2, "too many");
        assert_eq!(capture.tally.waiting_bytes.load(Ordering::Relaxed), 20);
        assert_eq!(waiting.try_iter().count(), 2);
        capture.queue.lock().expect("whole").take();
        capture.leave(record(10));
        assert_eq!(capture.dropped(), 3, "nobody writes any more");
    }
}
