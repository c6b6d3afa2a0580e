//! Every request code: which are served, and with missing, absurd and huge fields and bodies, against a real broker.

use std::collections::BTreeSet;

use crate::fixture::PROCESSORS;
use crate::still::Still;
use cluster::{Asker, Cluster, Flavour, RequestCode, Watched, Wire, request_codes};
use protocol::code::{request, response};

/// Codes that no release has.
const UNKNOWN: [i32; 5] = [0, -1, 9, 99_999, i32::MAX];

#[test]
fn every_request_has_one_answer_whatever_is_in_it() {
    let _alone = PROCESSORS.blocking_lock();
    let codes = request_codes();
    assert!(codes.iter().any(|code| code.code == request::SEND_MESSAGE_V2));
    let cluster = Cluster::of(Flavour::Ours, Flavour::Ours, &[]);
    let broker = &cluster.broker;
    let watched = Watched::new(&broker.process, cluster.path());
    let mut asker = Asker::new(&broker.address());
    for code in &codes {
        asker.ask_absurdly(code);
    }
    for code in UNKNOWN {
        let fields = vec![("topic", "String")];
        asker.ask_absurdly(&RequestCode {
            code,
            name: "unknown",
            fields,
        });
    }
    assert!(asker.asked() > 15_000, "{}", asker.asked());
    let logs = [
        cluster.path().join("broker-a.0.out"),
        cluster.path().join("namesrv.out"),
    ];
    let [own, of_namesrv] = &logs;
    let (store, settings) = (broker.store(), broker.config_file());
    // Beside the settings lies their backup.
    watched.check(&[&store, settings.parent().unwrap(), own, of_namesrv], 200);
    watched.check_log();
    // It serves as before.
    let mut wire = Wire::connect(&broker.address()).unwrap();
    let fields = [("topic", "TBW102"), ("queueId", "0")];
    assert_eq!(wire.ask(request::GET_MAX_OFFSET, &fields, b"").unwrap().code(), 0);
}

/// What a broker of 4.9.8 serves.
const SERVED_BY_4_9: [i32; 59] = [
    10, 11, 12, 14, 15, 17, 21, 25, 26, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 41, 42, 43, 45, 46, 50,
    51, 52, 53, 54, 200, 201, 202, 203, 204, 207, 208, 215, 222, 223, 300, 303, 305, 306, 307, 308, 309, 310,
    314, 315, 316, 317, 320, 321, 323, 324, 325, 328, 329,
];

/// What tools and slaves of 5.3.3 ask besides, where it needs nothing that is not here. 3900 is this broker's own.
const SERVED_BESIDES: [i32; 26] = [
    18, 61, 225, 343, 345, 351, 352, 353, 361, 402, 907, 2001, 2002, 2003, 2004, 3001, 3002, 3003, 3004,
    3005, 3006, 3007, 3008, 3009, 3010, 3900,
];

/// Whatever else there is: requests of clients, name servers and controllers, and of 5.x for what is not built.
#[test]
fn what_is_not_served_is_refused_in_the_words_of_4_9() {
    let broker = Still::new(|_| {});
    let served: BTreeSet<i32> = SERVED_BY_4_9.into_iter().chain(SERVED_BESIDES).collect();
    let known = request_codes().into_iter().map(|code| code.code);
    let all: BTreeSet<i32> = known.chain(UNKNOWN).chain(served.iter().copied()).collect();
    let mut refused = Vec::new();
    for code in all {
        let answer = broker.ask(code, &(), "");
        let is_refused = answer.code == response::REQUEST_CODE_NOT_SUPPORTED;
        assert_eq!(is_refused, !served.contains(&code), "{code}: {:?}", answer.remark);
        if is_refused {
            let remark = format!(" request type {code} not supported");
            assert_eq!(answer.remark.as_deref(), Some(&*remark));
            refused.push(code);
        }
    }
    // Of a broker of 5.x: the timer wheel, RocksDB, recalled messages, assignments, static topics, containers and acting
    // masters, controllers, POP.
    for code in [
        60, 354, 355, 370, 400, 401, 513, 902, 903, 905, 906, 908, 1007, 1008, 200_050, 200_051, 200_052,
        200_053, 200_054, 200_055, 200_056, 200_151,
    ] {
        assert!(refused.contains(&code), "{code}");
    }
}
