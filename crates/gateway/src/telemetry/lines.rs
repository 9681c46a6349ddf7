//! Log lines on their way to standard error. Whoever logs leaves a line and goes on; a thread of its own writes, so that
//! no request ever waits for a terminal, a pipe or a disk. What there is no room for is dropped and counted.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// What may wait for a reader that is slow, in bytes.
const MOST_WAITING: usize = 4 * 1024 * 1024;
/// Lines may wait so long to be written with more.
const GATHER: Duration = Duration::from_millis(2);
/// How long the end of the program waits for a reader that does not read.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where lines are left.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    waiting: Mutex<Waiting>,
    /// For the thread that writes.
    news: Condvar,
    /// For whoever waits for that thread's end.
    end: Condvar,
    dropped: AtomicU64,
    most: usize,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    is_asleep: bool,
    is_ending: bool,
    has_ended: bool,
}

/// Keeps the thread that writes; dropped at the end, it waits until everything is written.
pub(crate) struct Written(Lines);

impl Lines {
    /// Starts the thread that writes to `out`.
    ///
    /// # Errors
    /// The system has no room for a thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<(Self, Written)> {
        Self::start_with(out, MOST_WAITING)
    }

    fn start_with(out: impl Write + Send + 'static, most: usize) -> io::Result<(Self, Written)> {
        let lines = Self(Arc::new(Shared {
            waiting: Mutex::default(),
            news: Condvar::new(),
            end: Condvar::new(),
            dropped: AtomicU64::new(0),
            most,
        }));
        let thread = lines.clone();
        std::thread::Builder::new().name("log".to_owned()).spawn(move || thread.write_all(out))?;
        Ok((lines.clone(), Written(lines)))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many lines there was no room for.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Leaves one, with the line feed that ends it.
    pub(super) fn leave(&self, line: &[u8]) {
        let mut waiting = self.waiting();
        if waiting.bytes.len() + line.len() > self.0.most {
            self.0.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes.extend_from_slice(line);
        // Only one that sleeps has to be woken, which costs more than the line.
        if std::mem::take(&mut waiting.is_asleep) {
            self.0.news.notify_one();
        }
    }

    fn write_all(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            let mut waiting = self.waiting();
            while waiting.bytes.is_empty() && !waiting.is_ending {
                waiting.is_asleep = true;
                waiting = self.0.news.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            }
            waiting.is_asleep = false;
            if waiting.bytes.is_empty() {
                waiting.has_ended = true;
                self.0.end.notify_all();
                return;
            }
            std::mem::swap(&mut waiting.bytes, &mut taken);
            drop(waiting);
            // Nobody is there to be told.
            let _ = out.write_all(&taken).and_then(|()| out.flush());
            taken.clear();
            let more = |waiting: &mut Waiting| !waiting.is_ending;
            let _ = self.0.news.wait_timeout_while(self.waiting(), GATHER, more);
        }
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        let Self(lines) = self;
        let mut waiting = lines.waiting();
        waiting.is_ending = true;
        lines.0.news.notify_all();
        let running = |waiting: &mut Waiting| !waiting.has_ended;
        let _ = lines.0.end.wait_timeout_while(waiting, PATIENCE, running);
    }
}

/// One line.
pub(crate) struct Line<'a>(&'a Lines);

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.leave(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};

    use super::Lines;

    /// Somebody who reads when told to.
    struct Slow {
        begun: Sender<()>,
        go_on: Receiver<()>,
        read: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.begun.send(()).expect("somebody who waits for it");
            self.go_on.recv().expect("a word to go on");
            self.read.lock().expect("whole").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_and_what_is_kept_is_written_in_order() {
        let ((begun, has_begun), (go, go_on)) = (channel(), channel());
        let read = Arc::new(Mutex::new(Vec::new()));
        let slow = Slow { begun, go_on, read: Arc::clone(&read) };
        let (lines, written) = Lines::start_with(slow, 10).expect("a thread");
        lines.leave(b"first\n");
        has_begun.recv().expect("the first line");
        // The reader hangs; there is room for ten bytes more.
        for line in ["one\n", "two\n", "three\n", "4\n"] {
            lines.leave(line.as_bytes());
        }
        assert_eq!(lines.dropped(), 1);
        go.send(()).and_then(|()| go.send(())).expect("a reader");
        drop(written);
        assert_eq!(*read.lock().expect("whole"), b"first\none\ntwo\n4\n");
        assert_eq!(lines.dropped(), 1);
    }
}
