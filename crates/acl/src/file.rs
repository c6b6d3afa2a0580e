//! One file of accounts: `plain_acl.yml`, or any below `conf/acl/`.

use crate::address::Pattern;
use crate::permission::Permission;
use crate::signature::SecretKey;
use crate::yaml::{self, Node, Value};
use message::name::RETRY_PREFIX;
use protocol::body::DataVersion;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Keys and secrets are longer than this, in UTF-16 units.
const KEY_LONGER_THAN: usize = 6;

/// The keys of a file and of an account.
const FILE_KEYS: [&str; 3] = [WHITE, ACCOUNTS, VERSION];
pub(crate) const WHITE: &str = "globalWhiteRemoteAddresses";
pub(crate) const ACCOUNTS: &str = "accounts";
pub(crate) const VERSION: &str = "dataVersion";
const ACCOUNT_KEYS: [&str; 8] = [
    "accessKey",
    "secretKey",
    "whiteRemoteAddress",
    "admin",
    "defaultTopicPerm",
    "defaultGroupPerm",
    "topicPerms",
    "groupPerms",
];

/// Something to say about a line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file as people know it.
    pub file: Arc<str>,
    /// Line, the first is 1.
    pub line: usize,
    /// What is wrong there.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

impl std::error::Error for Finding {}

/// What a file says of an account, in its words.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct AccountConfig {
    /// Name of the account.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// Where it needs no signature.
    pub white_remote_address: Option<String>,
    /// May it do what operators do?
    pub admin: bool,
    /// Permission for topics that are not in the list.
    pub default_topic_perm: Option<String>,
    /// Permission for groups that are not in the list.
    pub default_group_perm: Option<String>,
    /// `topic=permission`.
    pub topic_perms: Option<Vec<String>>,
    /// `group=permission`.
    pub group_perms: Option<Vec<String>>,
}

/// A secret is in no log.
impl fmt::Debug for AccountConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountConfig({})", self.access_key)
    }
}

/// An account, ready to be asked.
#[derive(Debug, Clone)]
pub struct Account {
    /// As it stands in the file.
    pub config: AccountConfig,
    /// What signs for it.
    pub secret: SecretKey,
    /// Where it needs no signature.
    pub white: Pattern,
    /// Permission for topics that are not in the list.
    pub default_topic: Permission,
    /// Permission for groups that are not in the list.
    pub default_group: Permission,
    /// Permissions for topics.
    pub topics: HashMap<String, Permission>,
    /// Permissions for groups, by their bare names.
    pub groups: HashMap<String, Permission>,
    /// The file it stands in.
    pub file: Arc<str>,
    /// Its line there.
    pub line: usize,
}

/// What is in one file.
#[derive(Debug, Clone)]
pub struct AclFile {
    /// The file as people know it.
    pub name: Arc<str>,
    /// Addresses that need no key, with their texts.
    pub white: Vec<(Pattern, String)>,
    /// Accounts in their order.
    pub accounts: Vec<Account>,
    /// How new it is.
    pub version: DataVersion,
    /// It says nothing at all: Java leaves such a file out.
    pub is_empty: bool,
    /// It says in so many words that it has no accounts: `accounts: []`.
    pub clears_accounts: bool,
    /// What is odd about it.
    pub odd: Vec<Finding>,
}

/// Why an account can not be: Java's texts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAccount {
    /// The secret is not repeated: Java's text has it.
    #[error("The accessKey={0} and secretKey=****** cannot be null and length should longer than 6")]
    Keys(String),
    /// A permission without a name, or with more than one.
    #[error(
        "Parse Resource format error for {0}.\nThe expected resource format is 'Res=Perm'. For example: topicA=SUB"
    )]
    Format(String),
    /// A permission that is none; for what tools ask alone, a file may have it.
    #[error(
        "Parse resource permission error for {0}.\nThe expected permissions are 'SUB' or 'PUB' or 'SUB|PUB' or 'PUB|SUB'."
    )]
    Permission(String),
    /// Of the account's white address.
    #[error(transparent)]
    White(#[from] crate::address::BadPattern),
}

/// Splits `name=permission`.
fn split(item: &str) -> Result<(&str, &str), BadAccount> {
    match item.split('=').map(str::trim).collect::<Vec<_>>().as_slice() {
        [name, permission] => Ok((name, permission)),
        _ => Err(BadAccount::Format(item.to_owned())),
    }
}

impl AccountConfig {
    /// Whether it can be an account.
    pub fn check(&self) -> Result<(), BadAccount> {
        let is_short = |text: &str| text.encode_utf16().count() <= KEY_LONGER_THAN;
        if is_short(&self.access_key) || is_short(&self.secret_key) {
            return Err(BadAccount::Keys(self.access_key.clone()));
        }
        Pattern::parse(self.white_remote_address.as_deref().unwrap_or_default())?;
        for item in self.items() {
            split(item)?;
        }
        Ok(())
    }

    /// As a tool's request is checked: what a file may have and denies is an error there. Java's rule has DENY among the
    /// permissions, its text has not.
    pub fn check_asked(&self) -> Result<(), BadAccount> {
        self.check()?;
        for item in self.items() {
            let (_, permission) = split(item)?;
            if Permission::parse(permission).is_none() {
                return Err(BadAccount::Permission(item.to_owned()));
            }
        }
        Ok(())
    }

    fn items(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.topic_perms, &self.group_perms];
        lists.into_iter().flatten().flatten().map(String::as_str)
    }

    /// The account; the texts have been checked.
    fn build(self, file: &Arc<str>, line: usize) -> Result<Account, BadAccount> {
        self.check()?;
        let permission =
            |text: &Option<String>| text.as_deref().and_then(Permission::parse).unwrap_or_default();
        let (mut topics, mut groups) = (HashMap::new(), HashMap::new());
        for item in self.topic_perms.iter().flatten() {
            let (name, text) = split(item)?;
            // A retry topic is its group.
            let (map, name) = match name.strip_prefix(RETRY_PREFIX) {
                Some(group) => (&mut groups, group),
                None => (&mut topics, name),
            };
            map.insert(name.to_owned(), Permission::parse(text).unwrap_or_default());
        }
        for item in self.group_perms.iter().flatten() {
            let (name, text) = split(item)?;
            groups.insert(name.to_owned(), Permission::parse(text).unwrap_or_default());
        }
        Ok(Account {
            secret: SecretKey::new(&self.secret_key),
            white: Pattern::parse(self.white_remote_address.as_deref().unwrap_or_default())?,
            default_topic: permission(&self.default_topic_perm),
            default_group: permission(&self.default_group_perm),
            topics,
            groups,
            file: Arc::clone(file),
            line,
            config: self,
        })
    }
}

impl AclFile {
    /// Reads a file's text; `name` is what messages call it.
    ///
    /// # Errors
    /// The first thing that makes it no file of accounts, with its line.
    pub fn read(name: &str, text: &str) -> Result<AclFile, Finding> {
        let name: Arc<str> = Arc::from(name);
        let at = |line, text| Finding {
            file: Arc::clone(&name),
            line,
            text,
        };
        let root = yaml::parse(text).map_err(|e| at(e.line, e.text))?;
        Reader {
            file: Arc::clone(&name),
            odd: Vec::new(),
        }
        .read(&root)
    }
}

struct Reader {
    file: Arc<str>,
    odd: Vec<Finding>,
}

impl Reader {
    fn fault(&self, line: usize, text: impl fmt::Display) -> Finding {
        Finding {
            file: Arc::clone(&self.file),
            line,
            text: text.to_string(),
        }
    }

    fn note(&mut self, line: usize, text: impl fmt::Display) {
        let finding = self.fault(line, text);
        self.odd.push(finding);
    }

    fn read(mut self, root: &Node) -> Result<AclFile, Finding> {
        let is_empty = root.is_null() || matches!(&root.value, Value::Map(entries) if entries.is_empty());
        if !is_empty && !matches!(root.value, Value::Map(_)) {
            return Err(self.fault(root.line, format!("not a map of {}", FILE_KEYS.join(", "))));
        }
        self.check_keys(root, &FILE_KEYS);
        let mut white = Vec::new();
        for (text, line) in self.texts(root, WHITE)? {
            let pattern = Pattern::parse(&text).map_err(|e| self.fault(line, e))?;
            white.push((pattern, text));
        }
        let mut accounts: Vec<Account> = Vec::new();
        for node in self.list(root, ACCOUNTS)? {
            let account = self.account(node)?;
            let key = &account.config.access_key;
            if let Some(first) = accounts.iter().position(|other| other.config.access_key == *key) {
                self.note(
                    node.line,
                    format!("account {key} is there twice, this one counts"),
                );
                accounts.remove(first);
            }
            accounts.push(account);
        }
        let version = self.version(root)?;
        let clears_accounts = root
            .get(ACCOUNTS)
            .is_some_and(|node| matches!(&node.value, Value::List(items) if items.is_empty()));
        Ok(AclFile {
            name: self.file,
            white,
            accounts,
            version,
            is_empty,
            clears_accounts,
            odd: self.odd,
        })
    }

    fn account(&mut self, node: &Node) -> Result<Account, Finding> {
        if !matches!(node.value, Value::Map(_)) {
            return Err(self.fault(
                node.line,
                format!("an account is a map of {}", ACCOUNT_KEYS.join(", ")),
            ));
        }
        self.check_keys(node, &ACCOUNT_KEYS);
        let admin = match node.get("admin").filter(|admin| !admin.is_null()) {
            None => false,
            Some(admin) => boolean(admin).ok_or_else(|| self.fault(admin.line, "admin is true or false"))?,
        };
        let list = |reader: &mut Self, key| -> Result<Option<Vec<String>>, Finding> {
            match node.get(key).is_some_and(|list| !list.is_null()) {
                true => Ok(Some(
                    reader
                        .texts(node, key)?
                        .into_iter()
                        .map(|(text, _)| text)
                        .collect(),
                )),
                false => Ok(None),
            }
        };
        let config = AccountConfig {
            access_key: self.text(node, "accessKey")?.unwrap_or_default(),
            secret_key: self.text(node, "secretKey")?.unwrap_or_default(),
            white_remote_address: self.text(node, "whiteRemoteAddress")?,
            admin,
            default_topic_perm: self.text(node, "defaultTopicPerm")?,
            default_group_perm: self.text(node, "defaultGroupPerm")?,
            topic_perms: list(self, "topicPerms")?,
            group_perms: list(self, "groupPerms")?,
        };
        self.check_permissions(node)?;
        let line = |key| node.get(key).map_or(node.line, |value| value.line);
        config.build(&self.file, node.line).map_err(|e| {
            let line = match &e {
                BadAccount::White(_) => line("whiteRemoteAddress"),
                _ => node.line,
            };
            self.fault(line, e)
        })
    }

    /// What is no permission denies. Java says nothing of it.
    fn check_permissions(&mut self, node: &Node) -> Result<(), Finding> {
        const KNOWN: [&str; 4] = ["PUB", "SUB", "PUB|SUB", "DENY"];
        let mut texts = Vec::new();
        for key in ["defaultTopicPerm", "defaultGroupPerm"] {
            if let (Some(text), Some(value)) = (self.text(node, key)?, node.get(key)) {
                texts.push((text, value.line));
            }
        }
        for key in ["topicPerms", "groupPerms"] {
            for (item, line) in self.texts(node, key)? {
                let (_, permission) = split(&item).map_err(|e| self.fault(line, e))?;
                texts.push((permission.to_owned(), line));
            }
        }
        for (text, line) in texts {
            if Permission::parse(&text).is_none() {
                let meant = settings::nearest(&text, KNOWN);
                let meant = meant.map_or(String::new(), |meant| format!("; {meant} is meant?"));
                self.note(line, format!("`{text}` is no permission and denies{meant}"));
            }
        }
        Ok(())
    }

    fn version(&self, root: &Node) -> Result<DataVersion, Finding> {
        let Some(first) = self.list(root, VERSION)?.first() else {
            return Ok(DataVersion::default());
        };
        let number = |key| {
            let number = first.get(key).and_then(Node::as_text);
            number.and_then(|text| text.parse().ok()).unwrap_or_default()
        };
        Ok(DataVersion {
            counter: number("counter"),
            timestamp: number("timestamp"),
            state_version: number("stateVersion"),
        })
    }

    fn check_keys(&mut self, map: &Node, known: &[&str]) {
        let mut seen: Vec<&str> = Vec::new();
        for (key, _) in map.entries() {
            let Some(text) = key.as_text() else { continue };
            if seen.contains(&text) {
                self.note(key.line, format!("`{text}` is there twice, this one counts"));
            }
            seen.push(text);
            if known.contains(&text) {
                continue;
            }
            let meant = settings::nearest(text, known.iter().copied());
            let meant = meant.map_or(String::new(), |meant| format!("; `{meant}` is meant?"));
            self.note(key.line, format!("unknown key `{text}` has no effect{meant}"));
        }
    }

    fn text(&self, map: &Node, key: &str) -> Result<Option<String>, Finding> {
        match map.get(key) {
            None => Ok(None),
            Some(node) if node.is_null() => Ok(None),
            Some(node) => match node.as_text() {
                Some(text) => Ok(Some(text.to_owned())),
                None => Err(self.fault(node.line, format!("`{key}` is text"))),
            },
        }
    }

    fn list<'n>(&self, map: &'n Node, key: &str) -> Result<&'n [Node], Finding> {
        match map.get(key) {
            None => Ok(&[]),
            Some(node) if node.is_null() => Ok(&[]),
            Some(Node {
                value: Value::List(items),
                ..
            }) => Ok(items),
            Some(node) => Err(self.fault(node.line, format!("`{key}` is a list"))),
        }
    }

    fn texts(&self, map: &Node, key: &str) -> Result<Vec<(String, usize)>, Finding> {
        let mut texts = Vec::new();
        for item in self.list(map, key)? {
            match item.as_text() {
                Some(text) => texts.push((text.to_owned(), item.line)),
                None if item.is_null() => {}
                None => return Err(self.fault(item.line, format!("`{key}` is a list of texts"))),
            }
        }
        Ok(texts)
    }
}

/// YAML 1.1's words, which Java's reader takes.
fn boolean(node: &Node) -> Option<bool> {
    let text = node.as_text()?.to_ascii_lowercase();
    match text.as_str() {
        "true" | "yes" | "on" => Some(true),
        "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The file that a release of 4.9 comes with, in its own words and shape.
    const USUAL: &str = "\
globalWhiteRemoteAddresses:
  - 10.10.103.*
  - 192.168.0.*

accounts:
  - accessKey: RocketMQ
    secretKey: 12345678
    whiteRemoteAddress:
    admin: false
    defaultTopicPerm: DENY
    defaultGroupPerm: SUB
    topicPerms:
      - topicA=DENY
      - topicB=PUB|SUB
      - topicC=SUB
    groupPerms:
      # the group should convert to retry topic
      - groupA=DENY
      - groupB=PUB|SUB
  - accessKey: rocketmq2
    secretKey: 12345678
    whiteRemoteAddress: 192.168.1.*
    # if it is admin, it could access all resources
    admin: true
dataVersion:
- counter: 3
  timestamp: 1795872976209
";

    #[test]
    fn a_usual_file() {
        let file = AclFile::read("conf/plain_acl.yml", USUAL).expect("a file");
        assert!(file.odd.is_empty(), "{:?}", file.odd);
        assert_eq!(file.white.len(), 2);
        assert_eq!(
            (file.version.counter, file.version.timestamp),
            (3, 1_795_872_976_209)
        );
        let [first, second] = file.accounts.as_slice() else {
            panic!("two accounts");
        };
        assert_eq!(
            (
                first.config.access_key.as_str(),
                first.config.secret_key.as_str(),
                first.line
            ),
            ("RocketMQ", "12345678", 6)
        );
        assert_eq!(
            (first.default_topic, first.default_group),
            (Permission::Deny, Permission::Sub)
        );
        assert_eq!(first.topics.get("topicB"), Some(&Permission::PubSub));
        assert_eq!(first.groups.get("groupA"), Some(&Permission::Deny));
        assert!(second.config.admin && second.white.matches([192, 168, 1, 9].into()));
        assert_eq!(format!("{:?}", first.config), "AccountConfig(RocketMQ)");
    }

    #[test]
    fn files_without_data() {
        for text in ["", "# nothing\n", "{}\n", "~"] {
            let file = AclFile::read("f", text).expect("a file");
            assert!(file.is_empty && file.accounts.is_empty());
        }
        let file = AclFile::read("f", "accounts: []\n").expect("a file");
        assert!(!file.is_empty);
    }

    #[test]
    fn faults_have_file_line_and_javas_text() {
        let account = |rest: &str| format!("accounts:\n- accessKey: RocketMQ\n  secretKey: 12345678\n{rest}");
        for (text, expected) in [
            (
                "accounts:\n- accessKey: short\n  secretKey: 12345678\n".to_owned(),
                "f.yml:2: The accessKey=short and secretKey=****** cannot be null and length should longer than 6",
            ),
            (
                "globalWhiteRemoteAddresses:\n- 1.2.3.4\n- 1.2.3\n".to_owned(),
                "f.yml:3: Netaddress examine Exception netaddress is 1.2.3",
            ),
            (
                account("  whiteRemoteAddress: host\n"),
                "f.yml:4: Netaddress examine Exception netaddress is host",
            ),
            (
                account("  topicPerms:\n  - a=PUB\n  - b\n"),
                "f.yml:6: Parse Resource format error for b.\nThe expected resource format is 'Res=Perm'. For example: topicA=SUB",
            ),
            (
                account("  topicPerms: a=PUB\n"),
                "f.yml:4: `topicPerms` is a list",
            ),
            (account("  admin: maybe\n"), "f.yml:4: admin is true or false"),
            (
                "- a\n".to_owned(),
                "f.yml:1: not a map of globalWhiteRemoteAddresses, accounts, dataVersion",
            ),
        ] {
            let fault = AclFile::read("f.yml", &text).expect_err(&text);
            assert_eq!(fault.to_string(), expected);
        }
        let fault = AclFile::read("f.yml", "accounts:\n- a: [\n").expect_err("cut off");
        assert!(fault.to_string().starts_with("f.yml:"), "{fault}");
    }

    #[test]
    fn what_is_odd_is_told_with_what_was_meant() {
        let text = "globalWhiteRemoteAddress: []\naccounts:\n- accessKey: RocketMQ\n  secretkey: x\n  secretKey: 12345678\n  \
                    defaultTopicPerm: pub\n  topicPerms: [a=PUB|SBU]\n";
        let file = AclFile::read("f.yml", text).expect("a file");
        let odd: Vec<_> = file.odd.iter().map(Finding::to_string).collect();
        assert_eq!(
            odd,
            [
                "f.yml:1: unknown key `globalWhiteRemoteAddress` has no effect; `globalWhiteRemoteAddresses` is meant?",
                "f.yml:4: unknown key `secretkey` has no effect; `secretKey` is meant?",
                "f.yml:6: `pub` is no permission and denies; PUB is meant?",
                "f.yml:7: `PUB|SBU` is no permission and denies; PUB|SUB is meant?",
            ]
        );
    }

    /// What a release has lets nobody in, and is as it should be when its lines are somebody's.
    #[test]
    fn the_file_of_a_release_is_a_sample() {
        let text = include_str!("../../../conf/plain_acl.yml");
        let as_it_is = AclFile::read("f.yml", text).expect("a file");
        assert!(as_it_is.is_empty && as_it_is.accounts.is_empty() && as_it_is.white.is_empty());
        let taken: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') || rest.starts_with("  ") => rest,
                _ => line,
            })
            .collect();
        let taken = taken.join("\n");
        assert!(AclFile::read("f.yml", &taken).is_err(), "its keys are nobody's");
        let file = AclFile::read("f.yml", &taken.replace("...", "12345678")).expect("a file");
        assert!(file.odd.is_empty(), "{:?}", file.odd);
        let admins: Vec<bool> = file.accounts.iter().map(|account| account.config.admin).collect();
        assert_eq!((admins, file.white.len()), (vec![false, true], 1));
        let tools = include_str!("../../../conf/tools.yml");
        let of = |text: &str| crate::Credentials::from_tools("tools.yml", text).expect("yaml");
        assert!(of(tools).is_none());
        let key = "#accessKey: ";
        assert!(of(&tools.replace(key, &key[1..]).replace("#secretKey", "secretKey")).is_some());
    }

    #[test]
    fn of_a_key_that_is_there_twice_the_last_counts() {
        let text = "accounts:\n- {accessKey: RocketMQ, secretKey: 12345678}\n- {accessKey: RocketMQ, secretKey: 87654321}\n";
        let file = AclFile::read("f.yml", text).expect("a file");
        assert_eq!(file.accounts.len(), 1);
        assert_eq!(file.accounts[0].config.secret_key, "87654321");
        assert_eq!(file.odd.len(), 1);
    }
}
