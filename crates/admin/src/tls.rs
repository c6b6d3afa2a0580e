//! Whether these programs speak TLS: the system properties that Java's tools are given in JAVA_OPT.

use client::{ClientTls, Error};
use settings::net::TlsSection;
use settings::{Report, Section, Severity};

/// TLS as `-Dtls.…=…` in JAVA_OPT says, and the file of `-Dtls.config.file`, which counts before it. None where `tls.enable` is not
/// true.
///
/// # Errors
/// Something of it makes no sense, or a file can not be read.
pub(crate) fn given() -> Result<Option<ClientTls>, Error> {
    let options = std::env::var("JAVA_OPT").unwrap_or_default();
    of(&options).map_err(Error::BadMessage)
}

fn of(options: &str) -> Result<Option<ClientTls>, String> {
    let mut tls = TlsSection::default();
    let properties = options
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("-D")?.split_once('='))
        .filter(|(key, _)| key.starts_with("tls."));
    for (key, value) in properties {
        match tls.row(key) {
            None => return Err(format!("JAVA_OPT: there is no system property {key}")),
            Some(_) => tls
                .set(key, value)
                .map_err(|bad| format!("JAVA_OPT: bad value of {key}: `{value}`; {bad}"))?,
        }
    }
    let is_on = tls
        .enable
        .as_deref()
        .is_some_and(|on| on.eq_ignore_ascii_case("true"));
    if !is_on {
        return Ok(None);
    }
    let mut report = Report::default();
    tls.read_config_file(&mut report);
    if let Some(fault) = report.findings.iter().find(|f| f.severity == Severity::Error) {
        return Err(fault.to_string());
    }
    ClientTls::of_server(true, &|key| tls.property(key)).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_javas_tools_are_given() {
        for plain in [
            "",
            "-Xmx1g -Dother=1",
            "-Dtls.enable=false",
            "-Dtls.test.mode.enable=true",
        ] {
            assert!(of(plain).unwrap().is_none(), "{plain}");
        }
        assert!(of("-Xmx1g -Dtls.enable=true").unwrap().is_some());
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "tls.test.mode.enable=false\ntls.client.authServer=true\ntls.client.trustCertPath=/nowhere/ca.pem\n";
        std::fs::write(file.path(), text).unwrap();
        let options = format!("-Dtls.enable=true -Dtls.config.file={}", file.path().display());
        let why = of(&options).unwrap_err();
        assert!(why.contains("/nowhere/ca.pem"), "{why}");
        std::fs::write(file.path(), "tls.test.mode.enable=perhaps\n").unwrap();
        let why = of(&options).unwrap_err();
        assert!(why.contains("tls.test.mode.enable"), "{why}");
        for (wrong, part) in [
            ("-Dtls.enabled=true", "tls.enabled"),
            ("-Dtls.enable=yes", "bad value of tls.enable"),
        ] {
            let why = of(wrong).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }
}
