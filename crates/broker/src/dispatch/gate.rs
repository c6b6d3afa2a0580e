//! The gate before the handlers: what every request of a read passes, sends included, before anything is made of it.
//!
//! Here stand the limits that concern a whole family of requests; and access control is asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use protocol::code::{request, response};
use remoting::Request;

use remoting::budget::Budget;

use crate::access::{Guard, Watch};

/// What a request is refused with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// RocketMQ's code.
    pub code: i32,
    /// What the user can do.
    pub remark: &'static str,
}

/// Looks at every request.
pub struct Gate {
    /// What the answers occupy that wait until their records are safe.
    pub waiting_sends: Arc<Budget>,
    /// One of them has waited for the disk as long as any may, and the disk has not come to it since.
    pub disk_is_late: Arc<AtomicBool>,
    /// Access control, where it is on.
    pub access: Option<Arc<Guard>>,
}

/// How the gate stands for the requests of one read.
pub struct Pass<'g> {
    gate: &'g Gate,
    no_sends: Option<Refusal>,
    access: Option<Watch<'g>>,
}

/// Too many bytes wait. Java's words first, here and below: people search for them.
const TOO_MANY_WAIT: Refusal = Refusal {
    code: response::SYSTEM_BUSY,
    remark: "[OVERLOAD]system busy, start flow control for a while. The disk does not keep up with what is to be flushed",
};
/// What was appended has waited too long.
const DISK_IS_LATE: Refusal = Refusal {
    code: response::SYSTEM_BUSY,
    remark: "[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while. What was sent before has waited for the disk \
             longer than syncFlushTimeout",
};

impl Gate {
    /// Looks once for all requests of a read.
    pub fn look(&self) -> Pass<'_> {
        Pass {
            gate: self,
            no_sends: match (self.waiting_sends.is_exhausted(), &self.disk_is_late) {
                (true, _) => Some(TOO_MANY_WAIT),
                (false, late) => late.load(Ordering::Acquire).then_some(DISK_IS_LATE),
            },
            access: self.access.as_deref().map(Guard::look),
        }
    }
}

impl Pass<'_> {
    /// Answers all requests that access control refuses, and leaves the others in their order. Every one is looked at before
    /// anything is done: sends are appended together, whoever they are from.
    pub fn refuse_strangers(&self, requests: &mut VecDeque<Request>) {
        let Some(access) = &self.access else { return };
        let mut at = 0;
        while let Some(request) = requests.get(at) {
            match access.refusal(request) {
                None => at += 1,
                Some(refused) => {
                    if let Some(Request { responder, .. }) = requests.remove(at) {
                        responder.error(refused.code(), &refused.to_string());
                    }
                }
            }
        }
    }

    /// Why this request goes no further, if so.
    pub fn refusal(&self, request: &Request) -> Option<Refusal> {
        match request.frame.code {
            request::SEND_MESSAGE
            | request::SEND_MESSAGE_V2
            | request::SEND_BATCH_MESSAGE
            | request::CONSUMER_SEND_MSG_BACK
            | request::SEND_REPLY_MESSAGE
            | request::SEND_REPLY_MESSAGE_V2
            | request::END_TRANSACTION => {
                let refusal = self.no_sends?;
                self.gate.waiting_sends.refuse();
                Some(refusal)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use remoting::MemoryPeer;

    use super::*;
    use crate::access::InForce;

    #[test]
    fn sends_are_refused_while_too_many_wait_and_nothing_else_is() {
        let gate = Gate {
            waiting_sends: Budget::new("WAITING_SENDS", 1000),
            disk_is_late: Arc::default(),
            access: None,
        };
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let code = |code| {
            let (request, _) = peer.request(code, &(), "");
            gate.look().refusal(&request).map(|refusal| refusal.code)
        };
        let sends = [
            request::SEND_MESSAGE,
            request::SEND_MESSAGE_V2,
            request::SEND_BATCH_MESSAGE,
            request::CONSUMER_SEND_MSG_BACK,
            request::SEND_REPLY_MESSAGE,
            request::SEND_REPLY_MESSAGE_V2,
            request::END_TRANSACTION,
        ];
        let share = gate.waiting_sends.count(1000);
        for send in sends {
            assert_eq!(code(send), Some(response::SYSTEM_BUSY), "{send}");
        }
        assert_eq!(code(request::HEART_BEAT), None);
        assert_eq!(gate.waiting_sends.refused(), sends.len() as u64);
        drop(share);
        gate.disk_is_late.store(true, Ordering::Release);
        for send in sends {
            assert_eq!(code(send), Some(response::SYSTEM_BUSY), "{send}");
        }
        assert_eq!(code(request::HEART_BEAT), None);
        gate.disk_is_late.store(false, Ordering::Release);
        for send in sends {
            assert_eq!(code(send), None, "{send}");
        }
    }

    #[test]
    fn every_request_of_a_read_is_looked_at() {
        let text = "accounts:\n- {accessKey: RocketMQ, secretKey: 12345678, topicPerms: [a=PUB]}\n";
        let (accounts, _) = acl::Accounts::new(vec![acl::AclFile::read("f.yml", text).expect("a file")]);
        let in_force = Arc::new(InForce::default());
        in_force.put(accounts);
        let guard = Arc::new(Guard::new(Some(in_force), None));
        let gate = Gate {
            waiting_sends: Budget::new("WAITING_SENDS", 1000),
            disk_is_late: Arc::default(),
            access: Some(Arc::clone(&guard)),
        };
        let peer = MemoryPeer::new(([127, 0, 0, 1], 1).into());
        let credentials = acl::Credentials::new("RocketMQ", "12345678");
        let send = |topic: &str, signs: bool| {
            let mut fields = vec![("b", topic)];
            let more = credentials.sign(&fields, &[b"x"]);
            if signs {
                fields.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            }
            peer.request(request::SEND_MESSAGE_V2, &Pairs(&fields), "x").0
        };
        let mut requests: VecDeque<Request> = [("a", true), ("b", true), ("a", false), ("a", true)]
            .map(|(topic, signs)| send(topic, signs))
            .into();
        let opaques =
            |requests: &VecDeque<Request>| -> Vec<i32> { requests.iter().map(|r| r.frame.opaque).collect() };
        let before = opaques(&requests);
        gate.look().refuse_strangers(&mut requests);
        assert_eq!(opaques(&requests), [before[0], before[3]]);
        let answers = peer.take();
        assert_eq!(
            answers.iter().map(|a| a.opaque).collect::<Vec<_>>(),
            [before[1], before[2]]
        );
        assert!(answers.iter().all(|answer| answer.code == response::SYSTEM_ERROR));
        let remark = answers[0].remark.as_deref().unwrap_or_default();
        assert!(
            remark.contains("AclException: No default permission for topic:b, account RocketMQ of f.yml:2")
        );
        let counted: Vec<_> = guard
            .refused()
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .collect();
        assert_eq!(
            counted,
            [("aclRefusedNoAccessKey", 1), ("aclRefusedPermission", 1)]
        );
    }

    #[test]
    fn who_signs_wrongly_again_and_again_is_not_looked_at() {
        let text = "accounts:\n- {accessKey: RocketMQ, secretKey: 12345678, topicPerms: [a=PUB]}\n\
                    - {accessKey: another1, secretKey: 12345678, topicPerms: [a=PUB]}\n";
        let (accounts, _) = acl::Accounts::new(vec![acl::AclFile::read("f.yml", text).expect("a file")]);
        let in_force = Arc::new(InForce::default());
        in_force.put(accounts);
        let guard = Guard::new(Some(in_force), None).counting(acl::Failures::new(2, 3600));
        let gate = Gate {
            waiting_sends: Budget::new("WAITING_SENDS", 1000),
            disk_is_late: Arc::default(),
            access: Some(Arc::new(guard)),
        };
        let ask = |last: u8, key: &str, secret: &str| {
            let peer = MemoryPeer::new(([127, 0, 0, last], 1).into());
            let mut fields = vec![("b", "a")];
            let more = acl::Credentials::new(key, secret).sign(&fields, &[b"x"]);
            fields.extend(more.iter().map(|(name, value)| (*name, value.as_str())));
            let (request, _) = peer.request(request::SEND_MESSAGE_V2, &Pairs(&fields), "x");
            let mut requests = VecDeque::from([request]);
            gate.look().refuse_strangers(&mut requests);
            peer.take().pop().map(|answer| answer.remark.unwrap_or_default())
        };
        let (right, wrong) = ("12345678", "wrongsecret");
        assert!(ask(1, "RocketMQ", wrong).is_some_and(|text| text.ends_with("accessKey=RocketMQ")));
        assert_eq!(ask(1, "RocketMQ", right), None);
        assert!(ask(1, "RocketMQ", wrong).is_some());
        let shut = ask(1, "RocketMQ", right).expect("not even looked at");
        assert!(
            shut.contains("AclException: Check signature failed for accessKey=RocketMQ, too many were wrong from 127.0.0.1")
                && shut.contains(" s more"),
            "{shut}"
        );
        assert_eq!(ask(1, "another1", right), None, "another account");
        assert_eq!(ask(2, "RocketMQ", right), None, "another address");
        let refused = gate
            .access
            .as_ref()
            .map(|guard| guard.refused())
            .expect("a guard");
        assert!(refused.contains(&("aclRefusedTooManyFailures", 1)), "{refused:?}");
    }

    struct Pairs<'a>(&'a [(&'a str, &'a str)]);

    impl protocol::EncodeHeader for Pairs<'_> {
        fn encode(&self, writer: &mut protocol::encode::FieldWriter<'_>) {
            self.0.encode(writer);
        }
    }
}
