//! Settings of access control.

use settings::settings;

const ACL: &str = "access control is not part of this release";

settings! {
    /// Access control of 5.x (Java: AuthConfig); nothing of it is built yet.
    pub struct AuthSection, class "AuthConfig", important [];
    inert {
        "configName": Option<String> = "null", since "5.3", ACL;
        "clusterName": Option<String> = "null", since "5.3", ACL;
        "authConfigPath": Option<String> = "null", since "5.3", ACL;
        "authenticationProvider": Option<String> = "null", since "5.3", ACL;
        "authenticationMetadataProvider": Option<String> = "null", since "5.3", ACL;
        "authenticationStrategy": Option<String> = "null", since "5.3", ACL;
        "authenticationWhitelist": Option<String> = "null", since "5.3", ACL;
        "initAuthenticationUser": Option<String> = "null", since "5.3", ACL;
        "innerClientAuthenticationCredentials": Option<String> = "null", since "5.3", ACL;
        "authorizationProvider": Option<String> = "null", since "5.3", ACL;
        "authorizationMetadataProvider": Option<String> = "null", since "5.3", ACL;
        "authorizationStrategy": Option<String> = "null", since "5.3", ACL;
        "authorizationWhitelist": Option<String> = "null", since "5.3", ACL;
        "userCacheMaxNum": i32 = "1000", since "5.3", ACL;
        "userCacheExpiredSecond": i32 = "600", since "5.3", ACL;
        "userCacheRefreshSecond": i32 = "60", since "5.3", ACL;
        "aclCacheMaxNum": i32 = "1000", since "5.3", ACL;
        "aclCacheExpiredSecond": i32 = "600", since "5.3", ACL;
        "aclCacheRefreshSecond": i32 = "60", since "5.3", ACL;
        "statefulAuthenticationCacheMaxNum": i32 = "10000", since "5.3", ACL;
        "statefulAuthenticationCacheExpiredSecond": i32 = "60", since "5.3", ACL;
        "statefulAuthorizationCacheMaxNum": i32 = "10000", since "5.3", ACL;
        "statefulAuthorizationCacheExpiredSecond": i32 = "60", since "5.3", ACL;
    }
    fixed {
        "authenticationEnabled": bool = "false", since "5.3", ACL;
        "authorizationEnabled": bool = "false", since "5.3", ACL;
        "migrateAuthFromV1Enabled": bool = "false", since "5.3", ACL;
    }
}
