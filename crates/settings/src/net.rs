//! Sections of the network layer, which both servers have.

use crate::host;
use crate::{
    BadValue, Properties, Report, Secret, Section, Severity, networks, networks_of, optional_path, settings,
};
use ipnet::IpNet;
use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

const POOLS: &str = "requests are not handled by thread pools here, so there is nothing to size";
const NETTY: &str = "it tunes the network library of the Java server";
const WATER: &str = "what is queued for a client is bounded by the server itself";
const CLIENTSEM: &str = "calls in flight are bounded by the server itself";

/// An address of this host that can be listened on.
fn bindable(address: &str) -> Result<(), BadValue> {
    match address.parse::<IpAddr>() {
        Ok(_) => Ok(()),
        Err(_) => Err(BadValue::new("an IP address of this host, or 0.0.0.0 for all")),
    }
}

settings! {
    /// The listening side (Java: NettyServerConfig).
    pub struct ServerSection, class "NettyServerConfig", important [];
    /// Listen port; name server sets 9876, broker 10911 before the file is read.
    listen_port: i32 = 8888, java "listenPort", since "4.9", applies AtStart, range 1..=65_535;
    /// Silence after which a connection is closed.
    server_channel_max_idle_time_seconds: i32 = 120,
        java "serverChannelMaxIdleTimeSeconds", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// SO_SNDBUF, 0 = leave.
    server_socket_snd_buf_size: i32 = 0,
        java "serverSocketSndBufSize", since "4.9", applies AtStart, range 0..=i32::MAX;
    /// SO_RCVBUF, 0 = leave.
    server_socket_rcv_buf_size: i32 = 0,
        java "serverSocketRcvBufSize", since "4.9", applies AtStart, range 0..=i32::MAX;
    /// Accept backlog.
    server_socket_backlog: i32 = 1024,
        java "serverSocketBacklog", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Address to bind. 0.0.0.0 is every one of the host, those of IPv6 as well.
    bind_address: String = "0.0.0.0".to_owned(),
        java "bindAddress", since "5.3", applies AtStart, check bindable;
    /// Connections of one address, or of one network of IPv6 (64 bits); further ones are closed as they come. 0: any number.
    server_connections_per_address_max: i32 = 0,
        java "serverConnectionsPerAddressMax", since "only here", applies AtStart, range 0..=i32::MAX;
    /// Requests of one connection in a second; further ones are answered SYSTEM_BUSY. 0: any number.
    server_requests_per_second_per_connection: i32 = 0,
        java "serverRequestsPerSecondPerConnection", since "only here", applies AtStart, range 0..=i32::MAX;
    /// The same of one address.
    server_requests_per_second_per_address: i32 = 0,
        java "serverRequestsPerSecondPerAddress", since "only here", applies AtStart, range 0..=i32::MAX;
    /// Bytes of requests of one address that are not answered yet; further ones are answered SYSTEM_BUSY. 0: half of what all may have.
    server_bytes_held_per_address_max: i64 = 0,
        java "serverBytesHeldPerAddressMax", since "only here", applies AtStart, range 0..=i64::MAX;
    /// A frame has 30 seconds, and one more for each so many of its bytes; its connection is closed then. 0: all the time it grows in.
    server_frame_bytes_per_second: i32 = 32_768,
        java "serverFrameBytesPerSecond", since "only here", applies AtStart, range 0..=i32::MAX;
    /// TLS handshakes at once, each of ten seconds at most; one address has half of them. 0: any number.
    server_handshakes_max: i32 = 4096,
        java "serverHandshakesMax", since "only here", applies AtStart, range 0..=i32::MAX;
    /// Wrong signatures of one account from one address within `signatureFailuresSeconds` that are looked at; requests of this account
    /// from there are refused until these are over. 0: all are looked at.
    signature_failures_max: i32 = 0,
        java "signatureFailuresMax", since "only here", applies AtStart, range 0..=i32::MAX;
    /// How long wrong signatures count, from the first of them.
    signature_failures_seconds: i32 = 60,
        java "signatureFailuresSeconds", since "only here", applies AtStart, range 1..=i32::MAX;
    /// Balancers, as addresses and networks separated by `,`: a PROXY header (HAProxy, versions 1 and 2) from there names the address
    /// that counts. Java's 5.x takes it from everybody.
    proxy_protocol_networks: Option<String> = None,
        java "proxyProtocolNetworks", since "only here", applies AtStart, check networks;
    inert {
        "serverAsyncSemaphoreValue": i32 = "64", since "4.9", CLIENTSEM;
        "serverOnewaySemaphoreValue": i32 = "256", since "4.9", CLIENTSEM;
        "serverWorkerThreads": i32 = "8", since "4.9", POOLS;
        "serverSelectorThreads": i32 = "3", since "4.9", POOLS;
        "serverCallbackExecutorThreads": i32 = "0", since "4.9", POOLS;
        "serverPooledByteBufAllocatorEnable": bool = "true", since "4.9", NETTY;
        "useEpollNativeSelector": bool = "false", since "4.9", NETTY;
        "writeBufferLowWaterMark": i32 = "0", since "4.9", WATER;
        "writeBufferHighWaterMark": i32 = "0", since "4.9", WATER;
        "serverNettyWorkerGroupEnable": bool = "true", since "5.3", NETTY;
        "enableShutdownGracefully": bool = "false", since "5.3", "GO_AWAY is not sent; a stopping server answers what it has taken";
        "shutdownWaitTimeSeconds": i32 = "30", since "5.3", "GO_AWAY is not sent; a stopping server answers what it has taken";
    }
}

impl ServerSection {
    /// The balancers. The text was checked when it was read.
    pub fn proxies(&self) -> Vec<IpNet> {
        let networks = self.proxy_protocol_networks.as_deref().and_then(networks_of);
        networks.unwrap_or_default()
    }

    /// The address to listen on. 0.0.0.0 is every address of this host, as in Java: where the host has IPv6, those as well.
    ///
    /// # Errors
    /// `bindAddress` is no address.
    pub fn listens_on(&self) -> Result<IpAddr, String> {
        listens_on(&self.bind_address, host::has_ipv6())
    }
}

fn listens_on(address: &str, has_ipv6: bool) -> Result<IpAddr, String> {
    let ip = match address {
        "" => Ipv4Addr::UNSPECIFIED.into(),
        text => text
            .parse()
            .map_err(|_| format!("bindAddress={text} is no IP address"))?,
    };
    let everywhere = ip == IpAddr::from(Ipv4Addr::UNSPECIFIED);
    Ok(if everywhere && has_ipv6 {
        Ipv6Addr::UNSPECIFIED.into()
    } else {
        ip
    })
}

settings! {
    /// The calling side (Java: NettyClientConfig).
    pub struct ClientSection, class "NettyClientConfig", important [];
    /// Connect timeout.
    connect_timeout_millis: i32 = 3000,
        java "connectTimeoutMillis", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Silence after which the client closes.
    client_channel_max_idle_time_seconds: i32 = 120,
        java "clientChannelMaxIdleTimeSeconds", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Speak TLS to other servers, as `tls.enable` says.
    use_tls: bool = false, java "useTLS", since "4.9", applies AtStart;
    inert {
        "clientCloseSocketIfTimeout": bool = "true", since "4.9", "a late answer is dropped and the connection kept";
        "clientWorkerThreads": i32 = "4", since "4.9", POOLS;
        "clientOnewaySemaphoreValue": i32 = "65535", since "4.9", CLIENTSEM;
        "clientCallbackExecutorThreads": i32 = "null", since "4.9", POOLS;
        "channelNotActiveInterval": i64 = "60000", since "4.9", "a connection that fails is made again at the next use";
        "clientAsyncSemaphoreValue": i32 = "65535", since "4.9", CLIENTSEM;
        "clientSocketSndBufSize": i32 = "0", since "4.9", NETTY;
        "clientSocketRcvBufSize": i32 = "0", since "4.9", NETTY;
        "clientPooledByteBufAllocatorEnable": bool = "false", since "4.9", NETTY;
        "writeBufferLowWaterMark": i32 = "0", since "4.9", WATER;
        "writeBufferHighWaterMark": i32 = "0", since "4.9", WATER;
        "disableCallbackExecutor": bool = "false", since "5.3", NETTY;
        "disableNettyWorkerGroup": bool = "false", since "5.3", NETTY;
        "maxReconnectIntervalTimeSeconds": i64 = "60", since "5.3", "GO_AWAY is not sent";
        "enableReconnectForGoAway": bool = "true", since "5.3", "GO_AWAY is not sent";
        "socksProxyConfig": String = "{}", since "5.3", "servers are reached directly";
        "scanAvailableNameSrv": bool = "true", since "5.3", "a broker registers with every name server anyway", shown "isScanAvailableNameSrv";
    }
}

/// Where Java looks for more of these keys.
const TLS_FILE: &str = "/etc/rocketmq/tls.properties";

/// Keys that count from the command line alone in Java, not from `tls.config.file`.
const NOT_IN_THE_FILE: [&str; 3] = ["tls.server.mode", "tls.enable", "tls.config.file"];

fn tls_mode(mode: &str) -> Result<(), BadValue> {
    one_of(mode, &["disabled", "permissive", "enforcing"])
}

fn client_auth(auth: &str) -> Result<(), BadValue> {
    one_of(&auth.to_ascii_lowercase(), &["none", "optional", "require"])
}

fn true_or_false(text: &Option<String>) -> Result<(), BadValue> {
    text.as_deref()
        .map_or(Ok(()), |text| one_of(text, &["true", "false"]))
}

fn one_of(text: &str, all: &[&str]) -> Result<(), BadValue> {
    match all.contains(&text) {
        true => Ok(()),
        false => Err(BadValue::new(all.join(", "))),
    }
}

settings! {
    /// TLS (Java: TlsSystemConfig, whose names are system properties there).
    pub struct TlsSection, class "Tls", important [];
    /// Which connections are taken: plain ones (`disabled`), plain ones and TLS, as the first byte says (`permissive`), TLS alone
    /// (`enforcing`).
    server_mode: String = "permissive".to_owned(), java "tls.server.mode", since "4.9", applies AtStart, check tls_mode;
    /// Speak TLS to other servers. Not given: when `tls.server.mode` is `enforcing`.
    enable: Option<String> = None, java "tls.enable", since "4.9", applies AtStart, check true_or_false;
    /// A properties file whose keys count before those here.
    config_file: String = TLS_FILE.to_owned(), java "tls.config.file", since "4.9", applies AtStart;
    /// Show a certificate that is made at the start, check nobody's, and pass over the keys below.
    test_mode_enable: bool = true, java "tls.test.mode.enable", since "4.9", applies AtStart;
    /// Whether clients show a certificate: `none`, `optional`, `require`.
    server_need_client_auth: String = "none".to_owned(),
        java "tls.server.need.client.auth", since "4.9", applies AtStart, check client_auth;
    /// Private key of the server, PEM: PKCS#8, plain or encrypted (PBES2), PKCS#1, SEC1.
    server_key_path: Option<String> = None, java "tls.server.keyPath", since "4.9", applies AtStart, read optional_path;
    /// Password of that key.
    server_key_password: Secret = Secret::default(), java "tls.server.keyPassword", since "4.9", applies AtStart;
    /// Certificate of the server, PEM, with its chain behind it.
    server_cert_path: Option<String> = None, java "tls.server.certPath", since "4.9", applies AtStart, read optional_path;
    /// Check certificates of clients.
    server_auth_client: bool = false, java "tls.server.authClient", since "4.9", applies AtStart;
    /// Certificates that those of clients lead to.
    server_trust_cert_path: Option<String> = None,
        java "tls.server.trustCertPath", since "4.9", applies AtStart, read optional_path;
    /// Private key for connections to other servers.
    client_key_path: Option<String> = None, java "tls.client.keyPath", since "4.9", applies AtStart, read optional_path;
    /// Password of that key.
    client_key_password: Secret = Secret::default(), java "tls.client.keyPassword", since "4.9", applies AtStart;
    /// Certificate for connections to other servers.
    client_cert_path: Option<String> = None, java "tls.client.certPath", since "4.9", applies AtStart, read optional_path;
    /// Check certificates of other servers; their names are not compared.
    client_auth_server: bool = false, java "tls.client.authServer", since "4.9", applies AtStart;
    /// Certificates that those of other servers lead to.
    client_trust_cert_path: Option<String> = None,
        java "tls.client.trustCertPath", since "4.9", applies AtStart, read optional_path;
}

impl TlsSection {
    /// The value of a key, passwords as they are.
    pub fn property(&self, key: &str) -> Option<String> {
        let secret = match key {
            "tls.server.keyPassword" => &self.server_key_password,
            "tls.client.keyPassword" => &self.client_key_password,
            _ => return self.get(key),
        };
        secret.reveal().map(str::to_owned)
    }

    /// Takes what `tls.config.file` says, and reports what is wrong with either side then.
    pub fn check<S: Display, C: Display>(
        &mut self,
        report: &mut Report,
        server: impl FnOnce(&Self) -> Result<(), S>,
        client: impl FnOnce(&Self) -> Result<(), C>,
    ) {
        self.read_config_file(report);
        for key in self.without_effect() {
            let text = format!(
                "`{key}` has no effect: tls.test.mode.enable is true, as it is where it is not given; set it to false"
            );
            report.about(Severity::Warning, key, text);
        }
        if let Err(e) = server(self) {
            report.about(Severity::Error, "tls.server.certPath", e.to_string());
        }
        if let Err(e) = client(self) {
            report.about(Severity::Error, "tls.client.certPath", e.to_string());
        }
    }

    /// Keys of certificates that are given, and that the test mode passes over.
    pub fn without_effect(&self) -> Vec<&'static str> {
        let keys = [
            "tls.server.certPath",
            "tls.server.keyPath",
            "tls.server.trustCertPath",
            "tls.client.certPath",
            "tls.client.keyPath",
            "tls.client.trustCertPath",
        ];
        let is_given =
            |key: &&str| self.test_mode_enable && self.property(key).is_some_and(|path| !path.is_empty());
        keys.into_iter().filter(is_given).collect()
    }

    /// Takes what `tls.config.file` says, which counts before what the server's own file says. One that is not there is passed over,
    /// as in Java; here a warning says so, unless nobody asked for it.
    pub fn read_config_file(&mut self, report: &mut Report) {
        let path = self.config_file.clone();
        let path = Path::new(&path);
        let bytes = match host::read_file(path) {
            Ok(bytes) => bytes,
            Err(_) if self.config_file == TLS_FILE => return,
            Err(e) => {
                let text = format!("tls.config.file={}: {e}", path.display());
                return report.about(Severity::Warning, "tls.config.file", text);
            }
        };
        for entry in &Properties::parse(&bytes).entries {
            let (key, value) = (entry.key.as_str(), entry.value.as_str());
            if NOT_IN_THE_FILE.contains(&key) || self.row(key).is_none() {
                let text = format!("`{key}` has no effect in the file of tls.config.file");
                report.add_at(Severity::Warning, path, entry.line, text);
            } else if let Err(bad) = self.set(key, value) {
                report.add_at(
                    Severity::Error,
                    path,
                    entry.line,
                    format!("bad value of `{key}`: `{value}`; {bad}"),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_ipv4_is_all_of_ipv6_where_the_host_has_it() {
        for (address, with, without) in [
            ("", "::", "0.0.0.0"),
            ("0.0.0.0", "::", "0.0.0.0"),
            ("::", "::", "::"),
            ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
            ("::1", "::1", "::1"),
        ] {
            for (has_ipv6, ip) in [(true, with), (false, without)] {
                assert_eq!(
                    listens_on(address, has_ipv6),
                    Ok(ip.parse().unwrap()),
                    "{address}"
                );
            }
        }
        assert_eq!(
            listens_on("here", true),
            Err("bindAddress=here is no IP address".to_owned())
        );
    }

    #[test]
    fn the_file_of_tls_counts_before_the_servers_own() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = "tls.test.mode.enable=false\ntls.server.mode=disabled\ntls.server.keyPassword=secret\n\
                    tls.server.need.client.auth=REQUIRE\ntls.server.keypath=/k\ntls.server.authClient=maybe\n";
        std::fs::write(file.path(), text).unwrap();
        let mut tls = TlsSection {
            server_mode: "enforcing".to_owned(),
            config_file: file.path().display().to_string(),
            ..TlsSection::default()
        };
        let mut report = Report::default();
        tls.read_config_file(&mut report);
        assert_eq!(
            (tls.server_mode.as_str(), tls.test_mode_enable),
            ("enforcing", false)
        );
        assert_eq!(tls.server_need_client_auth, "REQUIRE");
        assert_eq!(tls.get("tls.server.keyPassword").as_deref(), Some(Secret::SHOWN));
        assert_eq!(tls.property("tls.server.keyPassword").as_deref(), Some("secret"));
        let said = report.to_string();
        for part in [
            ":2: `tls.server.mode` has no effect",
            ":5: `tls.server.keypath` has no effect",
            ":6: bad value of `tls.server.authClient`",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("secret"));
        // Nobody asked for the usual one, and it need not be there.
        let mut report = Report::default();
        TlsSection::default().read_config_file(&mut report);
        assert_eq!(report.to_string(), "");
        tls.config_file = "/nowhere/tls.properties".to_owned();
        tls.read_config_file(&mut report);
        assert!(
            report
                .to_string()
                .contains("tls.config.file=/nowhere/tls.properties")
        );
        assert!(tls.set("tls.server.mode", "enforced").is_err());
    }

    #[test]
    fn certificates_that_the_test_mode_passes_over_are_named() {
        let mut tls = TlsSection {
            config_file: "/nowhere/tls.properties".to_owned(),
            ..TlsSection::default()
        };
        assert!(tls.without_effect().is_empty());
        tls.set("tls.client.certPath", "/c").unwrap();
        tls.set("tls.server.trustCertPath", "/t").unwrap();
        assert_eq!(
            tls.without_effect(),
            ["tls.server.trustCertPath", "tls.client.certPath"]
        );
        let mut report = Report::default();
        tls.check(&mut report, |_| Ok::<_, String>(()), |_| Ok::<_, String>(()));
        assert!(
            report
                .to_string()
                .contains("`tls.client.certPath` has no effect: tls.test.mode.enable is true"),
            "{report}"
        );
        tls.set("tls.test.mode.enable", "false").unwrap();
        assert!(tls.without_effect().is_empty());
    }
}
