//! Every request code with missing, absurd and huge fields and bodies, against a real broker.

use crate::fixture::PROCESSORS;
use cluster::{Asker, Cluster, Flavour, RequestCode, Watched, Wire, request_codes};
use protocol::code::request;

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
