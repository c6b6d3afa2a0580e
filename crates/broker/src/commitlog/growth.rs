//! Waking whoever sleeps until a position of the log has grown: its end, or what of it is synced.

use std::sync::atomic::{AtomicUsize, Ordering, fence};

use tokio::sync::Notify;

/// Wakes sleepers of any runtime. Costs little where nobody sleeps.
#[derive(Default)]
pub struct Growth {
    asleep: AtomicUsize,
    wake: Notify,
}

impl Growth {
    /// The position, which was published before this call, has grown.
    #[inline]
    pub fn grew(&self) {
        // Whoever goes to sleep counts itself, and looks at the position once more behind the same fence.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed) > 0 {
            self.wake.notify_waiters();
        }
    }

    /// Sleeps until the position grows; not at all if `has_grown` says that it has already.
    pub async fn sleep(&self, has_grown: impl FnOnce() -> bool) {
        let woken = self.wake.notified();
        tokio::pin!(woken);
        woken.as_mut().enable();
        let _asleep = Asleep::new(&self.asleep);
        fence(Ordering::SeqCst);
        if !has_grown() {
            woken.await;
        }
    }
}

/// Counted while it lives: a sleeper may be dropped at any time.
struct Asleep<'a>(&'a AtomicUsize);

impl<'a> Asleep<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicI64;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_growth_is_missed() {
        let (growth, end) = (Arc::new(Growth::default()), Arc::new(AtomicI64::new(0)));
        let (other, grows) = (Arc::clone(&growth), Arc::clone(&end));
        let appending = std::thread::spawn(move || {
            for _ in 0..20_000 {
                grows.fetch_add(1, Ordering::Release);
                other.grew();
            }
        });
        let mut seen = 0;
        while seen < 20_000 {
            growth.sleep(|| end.load(Ordering::Acquire) > seen).await;
            seen = end.load(Ordering::Acquire);
        }
        appending.join().expect("no panic");
        assert_eq!(growth.asleep.load(Ordering::Relaxed), 0);
    }
}
