//! What several families do.

use crate::failure::Failure;
use crate::net::Net;
use protocol::EncodeHeader;
use protocol::header::NoHeader;
use remoting::Body;
use std::sync::Arc;

/// Asks every name server the same: each keeps its own tables.
///
/// # Errors
/// The first refusal.
pub(crate) async fn every_namesrv<H>(net: &Net, code: i32, header: H) -> Result<(), Failure>
where
    H: EncodeHeader + Send + Sync + 'static,
{
    every_namesrv_with(net, code, header, Vec::new()).await
}

/// The same with a body.
pub(crate) async fn every_namesrv_with<H>(
    net: &Net,
    code: i32,
    header: H,
    body: Vec<u8>,
) -> Result<(), Failure>
where
    H: EncodeHeader + Send + Sync + 'static,
{
    let (header, body) = (Arc::new(header), bytes::Bytes::from(body));
    let work = |net: Net, address: String| {
        let (header, body) = (Arc::clone(&header), Body::Bytes(body.clone()));
        async move { net.ask(&address, code, &*header, body).await.map(|_| ()) }
    };
    let done = net.each(net.namesrvs()?, work).await;
    done.into_iter().try_for_each(|(_, result)| result)
}

/// Asks every one of these brokers for something without fields; each that did it is named by `did`.
pub(crate) async fn command_each(
    net: &Net,
    addresses: Vec<String>,
    code: i32,
) -> Vec<(String, Result<(), Failure>)> {
    let work = |net: Net, address: String| async move {
        net.ask(&address, code, &NoHeader, Body::Empty).await.map(|_| ())
    };
    net.each(addresses, work).await
}

/// One `key=value` line of a settings request.
///
/// # Errors
/// A line break would be a second setting.
pub(crate) fn setting(key: &str, value: &str) -> Result<Vec<u8>, Failure> {
    if key.contains(['\n', '\r', '=']) || value.contains(['\n', '\r']) {
        return Err(Failure::wrong(
            "neither key nor value may have a line break, nor the key a `=`",
        ));
    }
    Ok(format!("{key}={value}\n").into_bytes())
}
