//! Who may change something: sessions behind one password, and tokens that a forged request does not have.

use parking_lot::Mutex;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// Sessions at once; the one that was used the longest ago makes way.
const SESSIONS_MAX: usize = 256;
/// How long one lasts that is not used.
const IDLE: Duration = Duration::from_secs(3_600);
/// How long one lasts at most.
const LASTS: Duration = Duration::from_secs(12 * 3_600);
/// Wrong passwords from one address, and from all, within [`WINDOW`].
const WRONG_MAX: u32 = 5;
const WRONG_OF_ALL_MAX: u32 = 50;
const WINDOW: Duration = Duration::from_secs(60);
/// Letters of a name.
const NAME_MAX: usize = 40;

type Digest = [u8; 32];

/// Somebody who has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    /// As he calls himself: it goes into the log.
    pub(crate) name: String,
    /// What each of his forms has.
    pub(crate) token: String,
}

struct Kept {
    session: Session,
    made: Instant,
    used: Instant,
}

/// Why nobody is logged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotLoggedIn {
    /// No password is set: nothing can be changed.
    NoPassword,
    /// It is another.
    Wrong,
    /// Too many were wrong.
    Wait,
    /// A name is wanted for the log.
    NoName,
}

/// All sessions.
pub(crate) struct Sessions {
    password: Option<Digest>,
    random: SystemRandom,
    kept: Mutex<HashMap<Digest, Kept>>,
    wrong: Mutex<Wrong>,
}

/// Wrong passwords since `from`.
struct Wrong {
    from: Instant,
    all: u32,
    by_address: HashMap<IpAddr, u32>,
}

impl Sessions {
    pub(crate) fn new(password: Option<&str>) -> Sessions {
        Sessions {
            password: password.map(|password| hash(password.as_bytes())),
            random: SystemRandom::new(),
            kept: Mutex::default(),
            wrong: Mutex::new(Wrong {
                from: Instant::now(),
                all: 0,
                by_address: HashMap::new(),
            }),
        }
    }

    /// Whether anybody can log in.
    pub(crate) fn can_log_in(&self) -> bool {
        self.password.is_some()
    }

    /// Logs somebody in, and gives the secret for his cookie.
    pub(crate) fn log_in(
        &self,
        name: &str,
        password: &str,
        from: IpAddr,
        now: Instant,
    ) -> Result<String, NotLoggedIn> {
        let expected = self.password.as_ref().ok_or(NotLoggedIn::NoPassword)?;
        let letters = name.trim().chars().filter(|letter| !letter.is_control());
        let name: String = letters.take(NAME_MAX).collect();
        if name.is_empty() {
            return Err(NotLoggedIn::NoName);
        }
        let mut wrong = self.wrong.lock();
        wrong.forget_old(now);
        if wrong.is_too_much(from) {
            return Err(NotLoggedIn::Wait);
        }
        if !bool::from(hash(password.as_bytes()).ct_eq(expected)) {
            wrong.count(from);
            return Err(NotLoggedIn::Wrong);
        }
        drop(wrong);
        let secret = self.secret();
        let session = Session {
            name,
            token: self.secret(),
        };
        let mut kept = self.kept.lock();
        kept.retain(|_, kept| kept.lasts(now));
        if kept.len() >= SESSIONS_MAX
            && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key)
        {
            kept.remove(&oldest);
        }
        let used = now;
        kept.insert(
            hash(secret.as_bytes()),
            Kept {
                session,
                made: now,
                used,
            },
        );
        Ok(secret)
    }

    /// Who has this secret.
    pub(crate) fn of(&self, secret: &str, now: Instant) -> Option<Session> {
        // By its hash: how long the look takes says nothing of the secret.
        let key = hash(secret.as_bytes());
        let mut all = self.kept.lock();
        let kept = all.get_mut(&key)?;
        if !kept.lasts(now) {
            all.remove(&key);
            return None;
        }
        kept.used = now;
        Some(kept.session.clone())
    }

    /// Ends a session.
    pub(crate) fn log_out(&self, secret: &str) {
        self.kept.lock().remove(&hash(secret.as_bytes()));
    }

    fn secret(&self) -> String {
        let mut bytes = [0; 32];
        self.random
            .fill(&mut bytes)
            .expect("the kernel has random numbers as soon as programs run");
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Session {
    /// Whether a form is one of his.
    pub(crate) fn owns(&self, token: &str) -> bool {
        self.token.as_bytes().ct_eq(token.as_bytes()).into()
    }
}

impl Kept {
    fn lasts(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) < LASTS && now.saturating_duration_since(self.used) < IDLE
    }
}

impl Wrong {
    fn forget_old(&mut self, now: Instant) {
        if now.saturating_duration_since(self.from) >= WINDOW {
            *self = Wrong {
                from: now,
                all: 0,
                by_address: HashMap::new(),
            };
        }
    }

    fn is_too_much(&self, from: IpAddr) -> bool {
        let of_one = self.by_address.get(&from).copied().unwrap_or(0);
        of_one >= WRONG_MAX || self.all >= WRONG_OF_ALL_MAX
    }

    /// The table has [`WRONG_OF_ALL_MAX`] entries at most: then nobody may try.
    fn count(&mut self, from: IpAddr) {
        self.all += 1;
        *self.by_address.entry(from).or_default() += 1;
    }
}

fn hash(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_session_lasts_as_long_as_it_should() {
        let sessions = Sessions::new(Some("secret"));
        let start = Instant::now();
        let one = sessions.log_in(" Ann\n ", "secret", HERE, start).unwrap();
        let session = sessions.of(&one, start).unwrap();
        assert_eq!(session.name, "Ann");
        assert!(session.owns(&session.token) && !session.owns("") && !session.owns(&one));
        let mut now = start;
        while now < start + LASTS - IDLE {
            now += IDLE - Duration::from_secs(1);
            assert!(sessions.of(&one, now).is_some(), "{:?}", now - start);
        }
        assert!(sessions.of(&one, start + LASTS).is_none());
        let idle = sessions.log_in("Ann", "secret", HERE, start).unwrap();
        assert!(sessions.of(&idle, start + IDLE).is_none());
        let ended = sessions.log_in("Ann", "secret", HERE, start).unwrap();
        sessions.log_out(&ended);
        assert!(sessions.of(&ended, start).is_none());
        assert!(sessions.of("", start).is_none());
    }

    #[test]
    fn who_guesses_has_to_wait() {
        let sessions = Sessions::new(Some("secret"));
        let now = Instant::now();
        for _ in 0..WRONG_MAX {
            assert_eq!(sessions.log_in("A", "guess", HERE, now), Err(NotLoggedIn::Wrong));
        }
        assert_eq!(sessions.log_in("A", "secret", HERE, now), Err(NotLoggedIn::Wait));
        let other = IpAddr::V4([10, 0, 0, 1].into());
        assert!(sessions.log_in("A", "secret", other, now).is_ok());
        assert!(sessions.log_in("A", "secret", HERE, now + WINDOW).is_ok());
        for last in 0..=255 {
            let from = IpAddr::V4([10, 0, 1, last].into());
            let _wrong = sessions.log_in("A", "guess", from, now + WINDOW);
        }
        assert_eq!(
            sessions.log_in("A", "secret", other, now + WINDOW),
            Err(NotLoggedIn::Wait)
        );
        assert!(sessions.wrong.lock().by_address.len() <= WRONG_OF_ALL_MAX as usize);
    }

    #[test]
    fn without_a_password_nobody_is_somebody() {
        let sessions = Sessions::new(None);
        let now = Instant::now();
        assert_eq!(sessions.log_in("A", "", HERE, now), Err(NotLoggedIn::NoPassword));
        let sessions = Sessions::new(Some("secret"));
        assert_eq!(
            sessions.log_in(" ", "secret", HERE, now),
            Err(NotLoggedIn::NoName)
        );
        for _ in 0..2 * SESSIONS_MAX {
            sessions.log_in("A", "secret", HERE, now).unwrap();
        }
        assert_eq!(sessions.kept.lock().len(), SESSIONS_MAX);
    }
}
