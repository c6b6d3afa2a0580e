//! Every request code with missing, absurd and huge fields and bodies, against a real name server.

use cluster::{Asker, Flavour, NameServer, RequestCode, Watched, Wire, request_codes};
use protocol::code::{request, response};

/// Codes that no release has.
const UNKNOWN: [i32; 5] = [0, -1, 9, 99_999, i32::MAX];

#[test]
fn every_request_has_one_answer_whatever_is_in_it() {
    let codes = request_codes();
    assert!(codes.iter().any(|code| code.code == request::REGISTER_BROKER));
    let dir = tempfile::tempdir().unwrap();
    let namesrv = NameServer::start(Flavour::Ours, dir.path());
    let watched = Watched::new(&namesrv.process, dir.path());
    let mut asker = Asker::new(&namesrv.address());
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
    let own = dir.path().join("namesrv");
    watched.check(&[&own, &dir.path().join("namesrv.out")], 200);
    watched.check_log();
    // It serves as before.
    let mut wire = Wire::connect(&namesrv.address()).unwrap();
    let answer = wire.ask(request::GET_ROUTEINFO_BY_TOPIC, &[("topic", "Nowhere")], b"");
    assert_eq!(answer.unwrap().code(), i64::from(response::TOPIC_NOT_EXIST));
}
