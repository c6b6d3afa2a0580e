//! Settings of access control.

use settings::{Secret, settings};

const ACL: &str = "users and policies of 5.x are not part of this release; aclEnable has accounts";

settings! {
    /// Access control of 5.x (Java: AuthConfig); of it only the credentials of the broker's own requests are built yet.
    pub struct AuthSection, class "AuthConfig", important [];
    /// Who the broker is when it asks others, a slave its master: `{"accessKey":"a","secretKey":"s"}`. It signs its requests then.
    inner_client_authentication_credentials: Secret = Secret::default(),
        java "innerClientAuthenticationCredentials", since "5.3", applies AtStart;
    inert {
        "configName": Option<String> = "null", since "5.3", ACL;
        "clusterName": Option<String> = "null", since "5.3", ACL;
        "authConfigPath": Option<String> = "null", since "5.3", ACL;
        "authenticationProvider": Option<String> = "null", since "5.3", ACL;
        "authenticationMetadataProvider": Option<String> = "null", since "5.3", ACL;
        "authenticationStrategy": Option<String> = "null", since "5.3", ACL;
        "authenticationWhitelist": Option<String> = "null", since "5.3", ACL;
        "initAuthenticationUser": Secret = "null", since "5.3", ACL;
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
