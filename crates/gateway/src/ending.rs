//! How far the program's own end has come: nothing yet, draining, or what is left is cut.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Looked at with every frame, so that it is a flag; who sleeps is woken by the word.
#[derive(Default)]
pub(crate) struct Ending {
    draining: AtomicBool,
    cut: AtomicBool,
    word: CancellationToken,
}

impl Ending {
    /// From here on this process is not ready for more.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whatever is under way ends now, as if its provider had hung up, and is settled by what has come.
    pub(crate) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
        self.word.cancel();
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Wakes whoever polls it when what is left is cut.
    pub(crate) fn word(&self) -> WaitForCancellationFutureOwned {
        self.word.clone().cancelled_owned()
    }

    /// Goes on with something that ends with `None` when what is left is cut. It does not wake by itself.
    pub(crate) fn poll<F: Future>(
        &self,
        work: Pin<&mut F>,
        context: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        if self.is_cut() {
            return Poll::Ready(None);
        }
        work.poll(context).map(Some)
    }
}
