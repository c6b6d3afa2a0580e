//! Whose process is at the other end of a connection of this host.

use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::MetadataExt;

/// Whether the socket at `peer`, connected from this host to `local`, belongs to the user that this process runs as. The kernel's
/// tables of this network tell (`/proc/net/tcp`, proc_pid_net(5)); false where they do not have it.
#[must_use]
pub fn is_of_same_user(peer: SocketAddr, local: SocketAddr) -> bool {
    let Ok(own) = std::fs::metadata("/proc/self") else {
        return false;
    };
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .any(|table| user_of(&table, peer, local) == Some(own.uid()))
}

/// The user of the connection from `peer` to `local` in a table of the kernel's: a heading, then lines of
/// `sl: local_address rem_address st tx:rx tr:when retrnsmt uid …`. Addresses are hexadecimal, each 32 bits in the host's byte order.
fn user_of(table: &str, peer: SocketAddr, local: SocketAddr) -> Option<u32> {
    let is = |text: &str, address: SocketAddr| {
        parsed(text).is_some_and(|(ip, port)| ip == address.ip().to_canonical() && port == address.port())
    };
    table.lines().skip(1).find_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (from, to) = (words.next()?, words.next()?);
        if !(is(from, peer) && is(to, local)) {
            return None;
        }
        words.nth(4)?.parse().ok()
    })
}

fn parsed(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |index: usize| {
        let digits = address.get(index * 8..index * 8 + 8)?;
        u32::from_str_radix(digits, 16).ok().map(u32::to_ne_bytes)
    };
    let ip = match address.len() {
        8 => IpAddr::from(word(0)?),
        32 => {
            let mut bytes = [0; 16];
            for (index, four) in bytes.chunks_exact_mut(4).enumerate() {
                four.copy_from_slice(&word(index)?);
            }
            IpAddr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn a_connection_of_this_process_is_of_its_user_and_one_that_is_not_there_is_nobodys() {
        for ip in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((ip, 0)).unwrap();
            let local = listener.local_addr().unwrap();
            let stream = TcpStream::connect(local).unwrap();
            let peer = stream.local_addr().unwrap();
            assert!(is_of_same_user(peer, local), "{ip}");
            assert!(!is_of_same_user(local, SocketAddr::new(local.ip(), 1)), "{ip}");
        }
    }

    /// Lines of a little-endian machine.
    #[test]
    #[cfg(target_endian = "little")]
    fn the_user_is_the_one_of_the_line_with_both_addresses() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:7922 0100007F:8AE4 01 00000000:00000000 00:00000000 00000000  1000        0 5 1 0 20\n\
             1: 0100007F:8AE4 0100007F:7922 01 00000000:00000000 00:00000000 00000000  1001        0 6 1 0 20\n\
             2: 00000000000000000000000001000000:8AE5 00000000000000000000000001000000:7922 01 0:0 00:0 0  7 0 7\n\
             3: 0000000000000000FFFF00000100007F:8AE6 0000000000000000FFFF00000100007F:7922 01 0:0 00:0 0  8 0 7\n\
             4: damaged\n";
        let user = |peer: &str, local: &str| user_of(table, peer.parse().unwrap(), local.parse().unwrap());
        assert_eq!(user("127.0.0.1:35556", "127.0.0.1:31010"), Some(1001));
        assert_eq!(user("127.0.0.1:31010", "127.0.0.1:35556"), Some(1000));
        assert_eq!(user("[::1]:35557", "[::1]:31010"), Some(7));
        assert_eq!(user("127.0.0.1:35558", "127.0.0.1:31010"), Some(8));
        assert_eq!(user("[::ffff:127.0.0.1]:35558", "127.0.0.1:31010"), Some(8));
        assert_eq!(user("127.0.0.1:35556", "127.0.0.2:31010"), None);
    }
}
