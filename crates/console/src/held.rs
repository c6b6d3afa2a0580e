//! Answers that are held for a moment: however many look at a page, servers are asked once.

use admin::ask::Failure;
use parking_lot::Mutex as Lock;
use std::collections::HashMap;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Answers about single things that are held at once.
const KEYS_MAX: usize = 256;

/// What was found out, or why it was not.
pub(crate) type Answer<T> = Result<Arc<T>, Unanswered>;

/// Why something was not found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unanswered {
    pub(crate) why: Arc<str>,
    /// Whether it is not there, rather than not told.
    pub(crate) is_missing: bool,
}

impl From<Failure> for Unanswered {
    fn from(why: Failure) -> Unanswered {
        Unanswered {
            is_missing: matches!(why, Failure::Client(client::Error::NoRoute(_))),
            why: why.to_string().into(),
        }
    }
}

impl AsRef<str> for Unanswered {
    fn as_ref(&self) -> &str {
        &self.why
    }
}

/// One answer.
pub(crate) struct Held<T> {
    lasts: Duration,
    last: Mutex<Option<(Instant, Answer<T>)>>,
}

impl<T> Held<T> {
    pub(crate) fn new(lasts: Duration) -> Held<T> {
        Held {
            lasts,
            last: Mutex::new(None),
        }
    }

    /// The answer, made by `make` where none is held. Who comes meanwhile waits for the same; that it could not be made is held, too.
    pub(crate) async fn get<E: Into<Unanswered>>(
        &self,
        make: impl Future<Output = Result<T, E>>,
    ) -> Answer<T> {
        let mut last = self.last.lock().await;
        if let Some((at, answer)) = &*last
            && at.elapsed() < self.lasts
        {
            return answer.clone();
        }
        let answer = make.await.map(Arc::new).map_err(Into::into);
        *last = Some((Instant::now(), answer.clone()));
        answer
    }

    /// Lets the next one ask again: something was changed.
    pub(crate) async fn forget(&self) {
        *self.last.lock().await = None;
    }
}

/// An answer, and when it was last asked for.
type Used<T> = (Instant, Arc<Held<T>>);

/// An answer for each of many things.
pub(crate) struct HeldBy<T> {
    lasts: Duration,
    all: Lock<HashMap<String, Used<T>>>,
}

impl<T> HeldBy<T> {
    pub(crate) fn new(lasts: Duration) -> HeldBy<T> {
        HeldBy {
            lasts,
            all: Lock::default(),
        }
    }

    /// As [`Held::get`].
    pub(crate) async fn get<E: Into<Unanswered>>(
        &self,
        key: &str,
        make: impl Future<Output = Result<T, E>>,
    ) -> Answer<T> {
        let held = self.of(key);
        held.get(make).await
    }

    fn of(&self, key: &str) -> Arc<Held<T>> {
        let mut all = self.all.lock();
        if all.len() >= KEYS_MAX {
            let lasts = self.lasts;
            all.retain(|_, (used, held)| used.elapsed() < lasts || Arc::strong_count(held) > 1);
            // Of so many at once none is worth more than another.
            if all.len() >= KEYS_MAX {
                all.clear();
            }
        }
        let entry = all
            .entry(key.to_owned())
            .or_insert_with(|| (Instant::now(), Arc::new(Held::new(self.lasts))));
        entry.0 = Instant::now();
        Arc::clone(&entry.1)
    }

    /// As [`Held::forget`], of all.
    pub(crate) fn forget(&self) {
        self.all.lock().clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn many_viewers_are_one() {
        let held = Arc::new(Held::new(Duration::from_secs(60)));
        let asked = Arc::new(AtomicU32::new(0));
        let mut viewers = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let (held, asked) = (Arc::clone(&held), Arc::clone(&asked));
            viewers.spawn(async move {
                let make = async {
                    tokio::task::yield_now().await;
                    Err::<u32, _>(Failure::wrong(format!(
                        "away {}",
                        asked.fetch_add(1, Ordering::Relaxed)
                    )))
                };
                held.get(make).await
            });
        }
        while let Some(answer) = viewers.join_next().await {
            assert_eq!(answer.unwrap().unwrap_err().as_ref(), "away 0");
        }
        held.forget().await;
        let answer = held.get(async { Ok::<_, Failure>(7) }).await;
        assert_eq!(*answer.unwrap(), 7);
    }

    #[tokio::test]
    async fn what_is_held_is_bounded() {
        let held: HeldBy<u32> = HeldBy::new(Duration::from_secs(60));
        for number in 0..3 * KEYS_MAX {
            let answer = held.get(&number.to_string(), async { Ok::<_, Failure>(1) }).await;
            assert_eq!(*answer.unwrap(), 1);
            assert!(held.all.lock().len() <= KEYS_MAX);
        }
    }
}
