//! What somebody who has logged in can change. Each change is noted, also one that failed.

pub(crate) mod offset;
pub(crate) mod resend;
pub(crate) mod topic;

use admin::ask::Failure;

/// What each server said of a change.
pub(crate) type Outcome = Vec<(String, Option<String>)>;

/// As it is noted.
pub(crate) fn outcome(told: Vec<(String, Result<(), Failure>)>) -> Outcome {
    let said = |(peer, told): (String, Result<(), Failure>)| (peer, told.err().map(|why| why.to_string()));
    told.into_iter().map(said).collect()
}

/// Of something that was refused as a whole.
pub(crate) fn refused(why: &Failure) -> Outcome {
    vec![("–".to_owned(), Some(why.to_string()))]
}
