//! Who these programs say they are: `tools.yml`, as Java's mqadmin reads it.

use client::{Credentials, Error};
use std::path::Path;

/// Credentials of `conf/tools.yml` below ROCKETMQ_HOME; none where the file is not there, or names no account.
///
/// # Errors
/// The file is there and can not be read, or is no YAML. Java's tools pass over that, and are refused by the broker then.
pub(crate) fn of_home() -> Result<Option<Credentials>, Error> {
    match std::env::var_os("ROCKETMQ_HOME") {
        Some(home) => below(Path::new(&home)).map_err(Error::BadMessage),
        None => Ok(None),
    }
}

fn below(home: &Path) -> Result<Option<Credentials>, String> {
    let path = home.join("conf/tools.yml");
    let name = path.display().to_string();
    match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("{name}: {e}")),
        Ok(text) => Credentials::from_tools(&name, &text).map_err(|e| e.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_javas_tools() {
        let home = tempfile::tempdir().unwrap();
        assert!(below(home.path()).unwrap().is_none());
        let conf = home.path().join("conf");
        std::fs::create_dir(&conf).unwrap();
        std::fs::write(
            conf.join("tools.yml"),
            "accessKey: rocketmq2\nsecretKey: 12345678\n",
        )
        .unwrap();
        let credentials = below(home.path()).unwrap().unwrap();
        assert_eq!(credentials.access_key, "rocketmq2");
        std::fs::write(conf.join("tools.yml"), "accessKey: [\n").unwrap();
        assert!(below(home.path()).unwrap_err().contains("tools.yml:"));
    }
}
