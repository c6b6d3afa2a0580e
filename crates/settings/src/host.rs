//! What a server finds out about its machine when its settings do not say.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::fs::{Access, PROC_SUPER_MAGIC};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::path::{Path, PathBuf};

/// The machine's name; `DEFAULT_BROKER` where it has none, as in RocketMQ 5.x.
pub fn name() -> String {
    let kernel = rustix::system::uname();
    match kernel.nodename().to_string_lossy().trim() {
        "" | "(none)" => variable("HOSTNAME").unwrap_or_else(|| "DEFAULT_BROKER".to_owned()),
        name => name.to_owned(),
    }
}

/// The address others reach this machine at, 127.0.0.1 if it has no other.
///
/// Unlike Java, which takes the first interface's: the address of the default route comes first, so that a container bridge
/// is not announced. Without such a route, Java's rule: the first that is not in 127.0/16 or 192.168/16, else the last. A host without
/// IPv4 has one of IPv6, found in the same way.
pub fn address() -> String {
    let (ipv4, ipv6) = local_addresses();
    let of_ipv4 = || route_address(ROUTED_IPV4).or_else(|| pick(&ipv4).map(IpAddr::V4));
    let of_ipv6 = || route_address(ROUTED_IPV6).or_else(|| ipv6.first().copied().map(IpAddr::V6));
    let address = of_ipv4().or_else(of_ipv6);
    address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)).to_string()
}

/// Addresses of documentation, which only a default route leads to.
const ROUTED_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
const ROUTED_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// Connecting a datagram socket sends nothing; it only makes the kernel choose the address it would send from.
fn route_address(routed: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match routed {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((routed, 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    let is_reached = match address {
        IpAddr::V4(address) => !address.is_loopback() && !address.is_unspecified(),
        IpAddr::V6(address) => is_global(address),
    };
    is_reached.then_some(address)
}

/// Not of this host or this cable alone.
fn is_global(address: Ipv6Addr) -> bool {
    !address.is_loopback() && !address.is_unspecified() && !address.is_unicast_link_local()
}

/// Whether this host speaks IPv6 at all: containers often do not.
pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// Addresses of the interfaces, without the loopback's and those of one cable.
fn local_addresses() -> (Vec<Ipv4Addr>, Vec<Ipv6Addr>) {
    let interfaces = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let addresses: Vec<_> = interfaces.filter_map(|interface| interface.address).collect();
    let ipv4 = addresses
        .iter()
        .filter_map(|address| Some(address.as_sockaddr_in()?.ip()))
        .filter(|address| !address.is_loopback());
    let ipv6 = addresses
        .iter()
        .filter_map(|address| Some(address.as_sockaddr_in6()?.ip()))
        .filter(|address| is_global(*address));
    (ipv4.collect(), ipv6.collect())
}

fn pick(addresses: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    let preferred = addresses
        .iter()
        .find(|address| address.octets()[..2] != [192, 168]);
    preferred.or(addresses.last()).copied()
}

/// An environment variable; an empty one counts as not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// The user's home directory (`user.home` in Java's defaults): HOME, or where that is not set or no absolute path, what the
/// user database says. `None`: nobody knows; a default below it would be the working directory's.
pub fn home() -> Option<PathBuf> {
    home_of(variable("HOME"), || {
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
        Some(user.dir)
    })
}

fn home_of(variable: Option<String>, database: impl FnOnce() -> Option<PathBuf>) -> Option<PathBuf> {
    let usable = |path: &PathBuf| path.is_absolute();
    variable
        .map(PathBuf::from)
        .filter(usable)
        .or_else(|| database().filter(usable))
}

/// The home directory of another user, by name.
pub fn home_of_user(name: &str) -> Option<PathBuf> {
    let user = nix::unistd::User::from_name(name).ok()??;
    Some(user.dir)
}

/// Why a directory cannot be written to, or not be made where it does not exist yet. `None`: it can.
pub fn unusable_dir(dir: &Path) -> Option<String> {
    let full = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    for (above, part) in full.ancestors().enumerate() {
        let Ok(metadata) = std::fs::metadata(part) else {
            // A link to nothing cannot become a directory.
            if part.symlink_metadata().is_ok() {
                return Some(format!("{} is a link to nothing", part.display()));
            }
            continue;
        };
        let wanted = if above == 0 {
            "is no directory"
        } else {
            "is in the way: it is no directory"
        };
        if !metadata.is_dir() {
            return Some(format!("{} {wanted}", part.display()));
        }
        if rustix::fs::statfs(part).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC) {
            return Some(format!("{} holds no files", part.display()));
        }
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        let refused = rustix::fs::access(part, access).err()?;
        return Some(format!(
            "{} cannot be written: {}",
            part.display(),
            std::io::Error::from(refused)
        ));
    }
    None
}

/// A path below [`home`], as text for a setting. Without a home it is empty, which the check of a path refuses.
pub fn home_path(below: &str) -> String {
    home().map_or_else(String::new, |home| {
        home.join(below).to_string_lossy().into_owned()
    })
}

/// The bytes of a file that a start reads.
///
/// # Errors
/// It cannot be read. A FIFO is no file: without a writer it would hold up the start for ever. One that a shell passes on below
/// `/dev` (`-c /dev/stdin`) has its writer.
pub fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let is_plain = |kind: std::fs::FileType| kind.is_file() || kind.is_dir();
    if !path.starts_with("/dev") && !is_plain(std::fs::metadata(path)?.file_type()) {
        let text = "it is no regular file";
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
    }
    std::fs::read(path)
}

/// Milliseconds that local time is ahead of UTC at `at_ms`, milliseconds since 1970. Follows the zone's clock changes.
pub fn local_offset_ms(at_ms: i64) -> i64 {
    offset_ms(&TimeZone::system(), at_ms)
}

fn offset_ms(zone: &TimeZone, at_ms: i64) -> i64 {
    Timestamp::from_millisecond(at_ms).map_or(0, |at| i64::from(zone.to_offset(at).seconds()) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn javas_rule_of_addresses() {
        let (home, office) = (Ipv4Addr::new(192, 168, 1, 7), Ipv4Addr::new(10, 0, 0, 4));
        assert_eq!(pick(&[home, office]), Some(office));
        assert_eq!(pick(&[office, home]), Some(office));
        assert_eq!(pick(&[home]), Some(home));
        assert_eq!(pick(&[]), None);
    }

    #[test]
    fn home_is_never_the_working_directory() {
        let database = || Some(PathBuf::from("/var/lib/mq"));
        let home = |variable: Option<&str>| home_of(variable.map(str::to_owned), database);
        assert_eq!(home(Some("/home/mq")), Some(PathBuf::from("/home/mq")));
        for none in [None, Some("."), Some("store"), Some("")] {
            assert_eq!(home(none), database(), "{none:?}");
        }
        assert_eq!(home_of(None, || None), None);
        assert_eq!(home_of(None, || Some(PathBuf::new())), None);
    }

    #[test]
    fn directories_that_cannot_be_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
        assert_eq!(unusable_dir(dir.path()), None);
        assert_eq!(unusable_dir(&dir.path().join("to/be/made")), None);
        for (path, why) in [
            ("file", "no directory"),
            ("file/store", "in the way"),
            ("link", "link to nothing"),
        ] {
            let found = unusable_dir(&dir.path().join(path)).expect(path);
            assert!(found.contains(why), "{found}");
        }
        // Nobody, not even root, can make a directory there.
        assert!(unusable_dir(Path::new("/proc/self/store")).is_some());
    }

    #[test]
    fn a_fifo_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("broker.conf");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status();
        assert!(made.unwrap().success());
        assert_eq!(read_file(&fifo).unwrap_err().to_string(), "it is no regular file");
        std::fs::write(dir.path().join("plain"), "a=1").unwrap();
        assert_eq!(read_file(&dir.path().join("plain")).unwrap(), b"a=1");
    }

    #[test]
    fn local_time_follows_the_zones_clock_changes() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        for (at, hours) in [
            (1_711_846_799_000, 1),
            (1_711_846_800_000, 2),
            (1_729_990_800_000, 1),
        ] {
            assert_eq!(offset_ms(&berlin, at), hours * 3_600_000, "{at}");
        }
        assert_eq!(offset_ms(&berlin, i64::MAX), 0, "no time that anybody has");
    }

    #[test]
    fn this_machine() {
        assert!(!name().is_empty());
        assert!(address().parse::<IpAddr>().is_ok());
        let loopback = |address: &Ipv4Addr| address.is_loopback();
        assert!(!local_addresses().0.iter().any(loopback));
    }
}
