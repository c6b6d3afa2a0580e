//! Settings of access control.

use settings::{BadValue, Secret, settings};

const ELSEWHERE: &str = "it follows brokerName, brokerClusterName and storePathRootDir";
const IN_MEMORY: &str = "users and policies are all in memory, and a change is in force at once";
const EACH: &str = "each request is decided anew";

const PACKAGE: &str = "org.apache.rocketmq.auth.";

settings! {
    /// Access control of 5.x (Java: AuthConfig).
    pub struct AuthSection, class "AuthConfig", important [];
    /// Serve only requests that a user has signed (docs/security.md).
    authentication_enabled: bool = false, java "authenticationEnabled", since "5.3", applies AtStart;
    /// Java's default class; another one would be asked for in vain.
    authentication_provider: Option<String> = None, java "authenticationProvider", since "5.3", applies AtStart,
        check authentication_provider;
    /// Where users are: Java's local class, which stands for `config/auth.json` here. Given, users can be made before
    /// authenticationEnabled.
    authentication_metadata_provider: Option<String> = None, java "authenticationMetadataProvider", since "5.3",
        applies AtStart, check authentication_metadata_provider;
    /// Java's stateless class. The stateful one would go on to serve a user for a minute after it was taken away.
    authentication_strategy: Option<String> = None, java "authenticationStrategy", since "5.3", applies AtStart,
        check authentication_strategy;
    /// Codes of requests that nobody has to sign, separated by commas.
    authentication_whitelist: Option<String> = None, java "authenticationWhitelist", since "5.3", applies AtStart;
    /// A Super user that is made at the start if it is not there: `{"username":"u","password":"p"}`.
    init_authentication_user: Secret = Secret::default(), java "initAuthenticationUser", since "5.3", applies AtStart;
    /// Who the broker is when it asks others, a slave its master: `{"accessKey":"a","secretKey":"s"}`. It signs its requests then.
    /// With users it is made a Super user at the start if it is not there.
    inner_client_authentication_credentials: Secret = Secret::default(),
        java "innerClientAuthenticationCredentials", since "5.3", applies AtStart;
    /// Serve only what a user's policies allow (docs/security.md).
    authorization_enabled: bool = false, java "authorizationEnabled", since "5.3", applies AtStart;
    /// Java's default class; another one would be asked for in vain.
    authorization_provider: Option<String> = None, java "authorizationProvider", since "5.3", applies AtStart,
        check authorization_provider;
    /// Where policies are: Java's local class, which stands for `config/auth.json` here.
    authorization_metadata_provider: Option<String> = None, java "authorizationMetadataProvider", since "5.3",
        applies AtStart, check authorization_metadata_provider;
    /// Java's stateless class. The stateful one would go on to allow for a minute what was taken away.
    authorization_strategy: Option<String> = None, java "authorizationStrategy", since "5.3", applies AtStart,
        check authorization_strategy;
    /// Codes of requests that every user may send, separated by commas.
    authorization_whitelist: Option<String> = None, java "authorizationWhitelist", since "5.3", applies AtStart;
    /// Make users of the accounts in `conf/plain_acl.yml` and `conf/acl/` at the start, those that are not there yet.
    migrate_auth_from_v1_enabled: bool = false, java "migrateAuthFromV1Enabled", since "5.3", applies AtStart;
    inert {
        "configName": Option<String> = "null", since "5.3", ELSEWHERE;
        "clusterName": Option<String> = "null", since "5.3", ELSEWHERE;
        "authConfigPath": Option<String> = "null", since "5.3", ELSEWHERE;
        "userCacheMaxNum": i32 = "1000", since "5.3", IN_MEMORY;
        "userCacheExpiredSecond": i32 = "600", since "5.3", IN_MEMORY;
        "userCacheRefreshSecond": i32 = "60", since "5.3", IN_MEMORY;
        "aclCacheMaxNum": i32 = "1000", since "5.3", IN_MEMORY;
        "aclCacheExpiredSecond": i32 = "600", since "5.3", IN_MEMORY;
        "aclCacheRefreshSecond": i32 = "60", since "5.3", IN_MEMORY;
        "statefulAuthenticationCacheMaxNum": i32 = "10000", since "5.3", EACH;
        "statefulAuthenticationCacheExpiredSecond": i32 = "60", since "5.3", EACH;
        "statefulAuthorizationCacheMaxNum": i32 = "10000", since "5.3", EACH;
        "statefulAuthorizationCacheExpiredSecond": i32 = "60", since "5.3", EACH;
    }
}

impl AuthSection {
    /// Are there users?
    pub fn has_users(&self) -> bool {
        self.authentication_enabled
            || self.authorization_enabled
            || self.authentication_metadata_provider.is_some()
            || self.authorization_metadata_provider.is_some()
    }
}

/// Is it the class that this broker has, or none?
fn class(given: Option<&String>, known: &'static str, other: &str) -> Result<(), BadValue> {
    match given.map(|name| name.trim()) {
        None | Some("") => Ok(()),
        Some(name) if name.strip_prefix(PACKAGE) == Some(known) => Ok(()),
        Some(_) => Err(BadValue::new(format!("only {PACKAGE}{known}{other}"))),
    }
}

fn authentication_provider(given: &Option<String>) -> Result<(), BadValue> {
    class(
        given.as_ref(),
        "authentication.provider.DefaultAuthenticationProvider",
        "",
    )
}

fn authentication_metadata_provider(given: &Option<String>) -> Result<(), BadValue> {
    class(
        given.as_ref(),
        "authentication.provider.LocalAuthenticationMetadataProvider",
        "",
    )
}

fn authentication_strategy(given: &Option<String>) -> Result<(), BadValue> {
    class(
        given.as_ref(),
        "authentication.strategy.StatelessAuthenticationStrategy",
        ": each request is decided anew, no verdict is kept for a minute",
    )
}

fn authorization_provider(given: &Option<String>) -> Result<(), BadValue> {
    class(
        given.as_ref(),
        "authorization.provider.DefaultAuthorizationProvider",
        "",
    )
}

fn authorization_metadata_provider(given: &Option<String>) -> Result<(), BadValue> {
    class(
        given.as_ref(),
        "authorization.provider.LocalAuthorizationMetadataProvider",
        "",
    )
}

fn authorization_strategy(given: &Option<String>) -> Result<(), BadValue> {
    class(
        given.as_ref(),
        "authorization.strategy.StatelessAuthorizationStrategy",
        ": each request is decided anew, no verdict is kept for a minute",
    )
}
