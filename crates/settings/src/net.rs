//! Sections of the network layer, which both servers have.

use crate::{BadValue, settings};
use std::net::IpAddr;

const POOLS: &str = "requests are not handled by thread pools here, so there is nothing to size";
const NETTY: &str = "it tunes the network library of the Java server";
const WATER: &str = "what is queued for a client is bounded by the server itself";
const CLIENTSEM: &str = "calls in flight are bounded by the server itself";
const TLS: &str = "TLS is not part of this release";

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
    /// Address to bind.
    bind_address: String = "0.0.0.0".to_owned(),
        java "bindAddress", since "5.3", applies AtStart, check bindable;
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

settings! {
    /// The calling side (Java: NettyClientConfig).
    pub struct ClientSection, class "NettyClientConfig", important [];
    /// Connect timeout.
    connect_timeout_millis: i32 = 3000,
        java "connectTimeoutMillis", since "4.9", applies AtStart, range 1..=i32::MAX;
    /// Silence after which the client closes.
    client_channel_max_idle_time_seconds: i32 = 120,
        java "clientChannelMaxIdleTimeSeconds", since "4.9", applies AtStart, range 1..=i32::MAX;
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
    fixed {
        "useTLS": bool = "false", since "4.9", TLS;
    }
}
