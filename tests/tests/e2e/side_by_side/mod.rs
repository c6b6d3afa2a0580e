//! One session of every request of 4.9 against our servers and Java's: right, with each field missing, with each field absurd, with
//! bodies that make no sense. The answers are compared part by part: code, remark, each field of the header, each leaf of the body.

mod answer;
mod known;
mod session;

use answer::Parts;
use cluster::{Cluster, Flavour, Wire, frame, request_codes};
use known::{KNOWN, Known};
use session::{Answers, BROKER, NAMESRV, Session};
use std::collections::{BTreeMap, BTreeSet};

/// What differs, in words: request, what is wrong with it, part, Java's, ours.
type Difference<'a> = (&'a str, &'a str, &'a str, Option<&'a str>, Option<&'a str>);

fn differences(java: &Answers, ours: &Answers) -> Vec<[Option<String>; 5]> {
    let mut found = Vec::new();
    for (key, java) in java {
        let ours = &ours[key];
        let mut put = |part: &str, java, ours| {
            found.push([
                Some(key.0.clone()),
                Some(key.1.clone()),
                Some(part.to_owned()),
                java,
                ours,
            ]);
        };
        if java["code"] != ours["code"] {
            // All else differs then.
            put("code", Some(code_and_remark(java)), Some(code_and_remark(ours)));
            continue;
        }
        let names: BTreeSet<&String> = java.keys().chain(ours.keys()).collect();
        for name in names {
            let of = |parts: &Parts| parts.get(name).cloned();
            let (java, ours) = (of(java), of(ours));
            if java != ours && !(name == "remark" && begins_with(ours.as_deref(), java.as_deref())) {
                put(name, java, ours);
            }
        }
    }
    found
}

fn code_and_remark(parts: &Parts) -> String {
    let remark = parts.get("remark").map_or("", String::as_str);
    format!("{} {remark}", parts["code"])
}

/// Whether our remark is Java's, and perhaps more.
fn begins_with(ours: Option<&str>, java: Option<&str>) -> bool {
    let java = java.unwrap_or_default();
    !java.is_empty() && ours.is_some_and(|ours| ours.starts_with(java))
}

fn as_difference(found: &[Option<String>; 5]) -> Difference<'_> {
    let text = |at: usize| found[at].as_deref();
    let name = |at| text(at).unwrap_or_default();
    (name(0), name(1), name(2), text(3), text(4))
}

#[test]
fn ours_answer_as_javas_do() {
    let [ours, java] = [Flavour::Ours, Flavour::Java("4.9.7")].map(|flavour| {
        let cluster = Cluster::of(flavour, flavour, &[]);
        let mut answers = Session::with_broker(&cluster).run(BROKER);
        answers.extend(Session::with_namesrv(&cluster).run(NAMESRV));
        answers
    });
    assert!(java.len() > 700, "{}", java.len());
    let found = differences(&java, &ours);
    let mut used: BTreeMap<usize, usize> = BTreeMap::new();
    let mut unknown = Vec::new();
    for found in &found {
        let difference = as_difference(found);
        match KNOWN.iter().position(|known: &Known| known.is(difference)) {
            Some(at) => *used.entry(at).or_default() += 1,
            None => unknown.push(difference),
        }
    }
    let lines: Vec<String> = unknown
        .iter()
        .map(|difference| format!("{difference:?}"))
        .collect();
    assert!(
        lines.is_empty(),
        "{} of {}:\n{}",
        lines.len(),
        java.len(),
        lines.join("\n")
    );
    let gone: Vec<&Known> = (0..KNOWN.len())
        .filter(|at| !used.contains_key(at))
        .map(|at| &KNOWN[at])
        .filter(|known| !known.by_chance())
        .collect();
    assert!(gone.is_empty(), "these differ no longer: {gone:#?}");
}

/// GET_BROKER_CLUSTER_ACL_CONFIG: asked where access control is on, `access.rs`.
const ASKED_ELSEWHERE: [i32; 1] = [54];
const GET_BROKER_CLUSTER_INFO: i32 = 106;
const REQUEST_CODE_NOT_SUPPORTED: i64 = 3;

/// Every code that the session leaves out is one that Java's servers do not know.
#[test]
fn no_request_that_java_serves_is_left_out() {
    let java = Flavour::Java("4.9.7");
    let cluster = Cluster::of(java, java, &[]);
    let all: Vec<i32> = request_codes().iter().map(|code| code.code).collect();
    assert!(all.len() > 150, "{}", all.len());
    let of_others = |asked: &[i32]| -> Vec<i32> {
        let is_other = |code: &&i32| !asked.contains(code) && !ASKED_ELSEWHERE.contains(code);
        all.iter().filter(is_other).copied().collect()
    };
    let mut wire = Wire::connect(&cluster.broker.address()).expect("the broker");
    for code in of_others(BROKER) {
        let answer = wire.ask(code, &[], b"").expect("an answer");
        assert_eq!(
            answer.code(),
            REQUEST_CODE_NOT_SUPPORTED,
            "{code}: {}",
            answer.remark()
        );
    }
    // The name server answers nothing to what it does not know: what is asked next is answered.
    let mut wire = Wire::connect(&cluster.namesrv.address()).expect("the name server");
    for code in of_others(NAMESRV) {
        let next = frame(GET_BROKER_CLUSTER_INFO, -code, &[], b"");
        wire.write(&[frame(code, code, &[], b""), next].concat())
            .expect("written");
        let answer = wire.read().expect("an answer");
        assert_eq!(answer.opaque(), i64::from(-code), "{code}: {}", answer.remark());
    }
}
