//! The program's own files, which browsers may keep: their addresses change with them.

use crate::reply::Reply;

/// A file.
pub(crate) struct Asset {
    path: &'static str,
    kind: &'static str,
    text: &'static str,
}

pub(crate) const STYLE: Asset = Asset {
    path: "/static/console.css",
    kind: "text/css; charset=utf-8",
    text: include_str!("../assets/console.css"),
};
pub(crate) const SCRIPT: Asset = Asset {
    path: "/static/console.js",
    kind: "text/javascript; charset=utf-8",
    text: include_str!("../assets/console.js"),
};
pub(crate) const ICON: Asset = Asset {
    path: "/static/icon.svg",
    kind: "image/svg+xml",
    text: include_str!("../assets/icon.svg"),
};

impl Asset {
    /// Where pages look for it.
    pub(crate) fn address(&self) -> String {
        format!("{}?{:016x}", self.path, fnv(self.text.as_bytes()))
    }

    fn reply(&self) -> Reply {
        Reply {
            is_lasting: true,
            ..Reply::new(200, self.kind, self.text)
        }
    }
}

/// The file of that name.
pub(crate) fn of(path: &str) -> Option<Reply> {
    let all = [STYLE, SCRIPT, ICON];
    all.iter().find(|asset| asset.path == path).map(Asset::reply)
}

/// FNV-1a, which tells files of two releases apart.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
