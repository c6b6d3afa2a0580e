//! Changes of a file of accounts that tools ask for (codes 50, 51, 53). What this crate does not understand stays; comments go,
//! as in Java.

use protocol::body::DataVersion;

use crate::file::{ACCOUNTS, AccountConfig, BadAccount, Finding, VERSION, WHITE};
use crate::yaml::{self, Node, Value};

/// A file that is being changed.
#[derive(Debug, Clone)]
pub struct Document {
    root: Node,
}

/// What a tool asks to be in an account. What is absent stays as it is, but for `admin`, which is false then, as in Java.
pub type AccountUpdate = AccountConfig;

impl Document {
    /// Reads a file's text.
    ///
    /// # Errors
    /// It is no YAML, or no map: nothing can be put into it.
    pub fn parse(name: &str, text: &str) -> Result<Document, Finding> {
        let at = |line, text| Finding {
            file: name.into(),
            line,
            text,
        };
        let mut root = yaml::parse(text).map_err(|e| at(e.line, e.text))?;
        if root.is_null() {
            root.value = Value::Map(Vec::new());
        }
        match &root.value {
            Value::Map(_) => Ok(Document { root }),
            _ => Err(at(root.line, "not a map".to_owned())),
        }
    }

    /// Is there an account with this key?
    pub fn has_account(&self, access_key: &str) -> bool {
        self.accounts().iter().any(|account| is_of(account, access_key))
    }

    /// Puts an account in: a new one, or what is given of one that is there. It stands at the end then.
    ///
    /// # Errors
    /// It can not be an account; nothing is changed.
    pub fn put_account(&mut self, update: &AccountUpdate) -> Result<(), BadAccount> {
        update.check_asked()?;
        let accounts = self.accounts_mut();
        let old = accounts
            .iter()
            .position(|account| is_of(account, &update.access_key));
        let mut account = match old {
            Some(at) => accounts.remove(at),
            None => Node::new(Value::Map(vec![(
                Node::text("accessKey"),
                Node::text(&update.access_key),
            )])),
        };
        // A second one with the key would count instead.
        accounts.retain(|other| !is_of(other, &update.access_key));
        account.put("secretKey", Node::text(&update.secret_key));
        let texts = [
            ("whiteRemoteAddress", &update.white_remote_address),
            ("defaultTopicPerm", &update.default_topic_perm),
            ("defaultGroupPerm", &update.default_group_perm),
        ];
        let lists = [
            ("topicPerms", &update.topic_perms),
            ("groupPerms", &update.group_perms),
        ];
        account.put("admin", Node::text(if update.admin { "true" } else { "false" }));
        for (key, text) in texts {
            if let Some(text) = text {
                account.put(key, Node::text(text));
            }
        }
        for (key, list) in lists {
            if let Some(list) = list {
                account.put(key, texts_node(list));
            }
        }
        self.accounts_mut().push(account);
        Ok(())
    }

    /// Takes an account out; false if it is not there.
    pub fn delete_account(&mut self, access_key: &str) -> bool {
        if !self.has_account(access_key) {
            return false;
        }
        self.accounts_mut().retain(|account| !is_of(account, access_key));
        true
    }

    /// Puts these addresses in the place of those that need no key.
    pub fn set_white(&mut self, patterns: &[String]) {
        self.root.put(WHITE, texts_node(patterns));
    }

    /// The version after a change at `now_ms`.
    pub fn bump_version(&mut self, before: DataVersion, now_ms: i64) -> DataVersion {
        let version = before.next(now_ms);
        let number = |number: i64| Node::text(&number.to_string());
        let entries = vec![
            (Node::text("counter"), number(version.counter)),
            (Node::text("timestamp"), number(version.timestamp)),
        ];
        let list = Value::List(vec![Node::new(Value::Map(entries))]);
        self.root.put(VERSION, Node::new(list));
        version
    }

    /// The text of the file.
    pub fn text(&self) -> String {
        yaml::write(&self.root)
    }

    fn accounts(&self) -> &[Node] {
        match self.root.get(ACCOUNTS).map(|node| &node.value) {
            Some(Value::List(accounts)) => accounts,
            _ => &[],
        }
    }

    fn accounts_mut(&mut self) -> &mut Vec<Node> {
        let is_list = |node: &Node| matches!(node.value, Value::List(_));
        if !self.root.get(ACCOUNTS).is_some_and(is_list) {
            self.root.put(ACCOUNTS, Node::new(Value::List(Vec::new())));
        }
        match self.root.get_mut(ACCOUNTS).map(|node| &mut node.value) {
            Some(Value::List(accounts)) => accounts,
            _ => unreachable!("the root is a map, and the list was just put into it"),
        }
    }
}

fn is_of(account: &Node, access_key: &str) -> bool {
    account.get("accessKey").and_then(Node::as_text) == Some(access_key)
}

fn texts_node(texts: &[String]) -> Node {
    Node::new(Value::List(texts.iter().map(|text| Node::text(text)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::AclFile;
    use proptest::prelude::*;

    const FILE: &str = "\
# comment
globalWhiteRemoteAddresses: ['10.1.1.1']
extra: {kept: [1, two]}
accounts:
- accessKey: RocketMQ
  secretKey: 12345678
  admin: true
  note: stays
  topicPerms: [a=PUB]
- accessKey: secondone
  secretKey: 12345678
dataVersion:
- counter: 4
  timestamp: 5
";

    fn update(key: &str) -> AccountUpdate {
        AccountUpdate {
            access_key: key.to_owned(),
            secret_key: "secret99".to_owned(),
            ..AccountUpdate::default()
        }
    }

    #[test]
    fn a_changed_account_keeps_what_is_not_given_and_goes_to_the_end() {
        let mut document = Document::parse("f", FILE).expect("a file");
        let with_groups = AccountUpdate {
            group_perms: Some(vec!["g=SUB".to_owned(), "h = PUB|SUB".to_owned()]),
            white_remote_address: Some("*".to_owned()),
            ..update("RocketMQ")
        };
        document.put_account(&with_groups).expect("an account");
        let before = DataVersion {
            counter: 4,
            ..DataVersion::default()
        };
        document.bump_version(before, 99);
        assert_eq!(
            document.text(),
            "\
globalWhiteRemoteAddresses:
- \"10.1.1.1\"
extra:
  kept:
  - 1
  - two
accounts:
- accessKey: secondone
  secretKey: 12345678
- accessKey: RocketMQ
  secretKey: secret99
  admin: false
  note: stays
  topicPerms:
  - a=PUB
  whiteRemoteAddress: \"*\"
  groupPerms:
  - g=SUB
  - \"h = PUB|SUB\"
dataVersion:
- counter: 5
  timestamp: 99
"
        );
    }

    #[test]
    fn a_new_account_in_an_empty_file() {
        let mut document = Document::parse("f", "").expect("nothing");
        let new = AccountUpdate {
            topic_perms: Some(vec!["topicX=PUB".to_owned()]),
            ..update("newuser1")
        };
        document.put_account(&new).expect("an account");
        assert_eq!(
            document.text(),
            "accounts:\n- accessKey: newuser1\n  secretKey: secret99\n  admin: false\n  topicPerms:\n  - topicX=PUB\n"
        );
        assert!(document.has_account("newuser1") && document.delete_account("newuser1"));
        assert!(!document.delete_account("newuser1"));
        assert_eq!(document.text(), "accounts: []\n");
        document.set_white(&["10.1.*.*".to_owned()]);
        let file = AclFile::read("f", &document.text()).expect("a file");
        assert!(file.white[0].0.matches([10, 1, 9, 9].into()));
    }

    #[test]
    fn what_can_be_no_account_is_refused_and_nothing_changes() {
        let mut document = Document::parse("f", FILE).expect("a file");
        let before = document.text();
        let with = |change: fn(&mut AccountUpdate)| {
            let mut bad = update("RocketMQ");
            change(&mut bad);
            bad
        };
        for (bad, text) in [
            (
                with(|a| a.secret_key = "short".to_owned()),
                "cannot be null and length should longer than 6",
            ),
            (
                with(|a| a.topic_perms = Some(vec!["a".to_owned()])),
                "Parse Resource format error for a.\n",
            ),
            (
                with(|a| a.topic_perms = Some(vec!["a=pub".to_owned()])),
                "Parse resource permission error for a=pub.\n",
            ),
            (
                with(|a| a.white_remote_address = Some("x".to_owned())),
                "netaddress is x",
            ),
        ] {
            let refused = document.put_account(&bad).expect_err(text).to_string();
            assert!(refused.contains(text), "{refused}");
            assert!(!refused.contains("secret99"));
        }
        assert_eq!(document.text(), before);
        assert!(Document::parse("f", "- a list").is_err());
    }

    proptest! {
        #[test]
        fn what_is_put_in_is_read_back(
            key in "[!-~é]{7,12}",
            secret in "[ -~\u{4e2d}\n]{7,12}",
            perms in proptest::option::of(proptest::collection::vec("[!-<>-~]{1,5}=(PUB|SUB|DENY)", 0..4)),
            admin in any::<bool>(),
        ) {
            let mut document = Document::parse("f", FILE).expect("a file");
            let wanted = AccountUpdate {
                access_key: key.clone(),
                secret_key: secret,
                admin,
                topic_perms: perms,
                ..AccountUpdate::default()
            };
            document.put_account(&wanted).expect("an account");
            let file = AclFile::read("f", &document.text()).expect("a file");
            let read = file.accounts.iter().find(|account| account.config.access_key == key);
            prop_assert_eq!(read.map(|account| &account.config), Some(&wanted), "{}", document.text());
            prop_assert_eq!(file.accounts.len(), 3);
        }
    }
}
