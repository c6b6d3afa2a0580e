//! Name servers and brokers: who there is, and requests to one or to many side by side.

use crate::failure::Failure;
use crate::output::Out;
use crate::progress::Progress;
use crate::{credentials, tls};
use bytes::Bytes;
use client::{ClientTls, Credentials, Producer, ProducerSettings, PullConsumer};
use protocol::body::KvTable;
use protocol::body::namesrv::{BrokerData, ClusterInfo, TopicRouteData};
use protocol::code::{request, response};
use protocol::header::NoHeader;
use protocol::header::namesrv::GetRouteInfo;
use protocol::{EncodeHeader, Frame, Language};
use remoting::{Body, Client, ClientSettings, InvokeError, Sign};
use serde::de::DeserializeOwned;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long a request may take: as in Java, long enough for a broker that has to go through its files.
const WITHIN: Duration = Duration::from_secs(20);
/// How many requests are under way at once: a name server with ten thousand topics is asked for them bit by bit.
const AT_ONCE: usize = 64;
/// The id of a master.
pub const MASTER: i64 = 0;

/// Connections. Cheap to clone.
#[derive(Clone)]
pub struct Net {
    client: Client,
    namesrv: Arc<str>,
    within: Duration,
    credentials: Option<Credentials>,
    tls: Option<ClientTls>,
    is_quiet: bool,
}

impl Net {
    /// Signs as `conf/tools.yml` says, speaks TLS as JAVA_OPT says. No connection is made yet.
    ///
    /// # Errors
    /// One of the two makes no sense.
    pub fn new(namesrv: &str) -> Result<Net, Failure> {
        let credentials = credentials::of_home()?;
        let tls = tls::given()?;
        let sign = credentials
            .clone()
            .map(|own| Sign::by(move |fields, body| own.sign(fields, body)));
        Ok(Net {
            client: Client::new(ClientSettings {
                tls: tls.clone(),
                sign,
                ..ClientSettings::default()
            }),
            namesrv: namesrv.into(),
            within: WITHIN,
            credentials,
            tls,
            is_quiet: false,
        })
    }

    /// The same for a server: a terminal that it was started from is told nothing of how far something is.
    #[must_use]
    pub fn quiet(self) -> Net {
        Net {
            is_quiet: true,
            ..self
        }
    }

    /// How far something long is, for whoever waits at a terminal.
    pub(crate) fn progress(&self) -> Progress {
        match self.is_quiet {
            true => Progress::hidden(),
            false => Progress::start(),
        }
    }

    /// The same, with another time for each request.
    pub fn within(&self, within: Duration) -> Net {
        Net {
            within,
            ..self.clone()
        }
    }

    /// The name servers.
    ///
    /// # Errors
    /// None is known.
    pub fn namesrvs(&self) -> Result<Vec<String>, Failure> {
        let parts = self.namesrv.split([';', ',']).map(str::trim);
        let all: Vec<String> = parts.filter(|part| !part.is_empty()).map(str::to_owned).collect();
        match all.is_empty() {
            true => Err(client::Error::NoNamesrv.into()),
            false => Ok(all),
        }
    }

    /// Asks a server; the answer is one that does not refuse.
    pub async fn ask(
        &self,
        address: &str,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
        body: Body,
    ) -> Result<Frame, Failure> {
        let asked = self.client.invoke(address, code, header, body, self.within).await;
        accepted(address, asked)
    }

    /// The same as a tool in C++.
    pub async fn ask_as_cpp(
        &self,
        address: &str,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
    ) -> Result<Frame, Failure> {
        let conn = self
            .client
            .connection(address)
            .await
            .map_err(client::Error::from)?;
        let asked = conn.invoke_as(Language::Cpp, code, header, Body::Empty, self.within);
        accepted(address, asked.await)
    }

    /// Asks a server for a body of JSON.
    pub async fn read<T: DeserializeOwned>(
        &self,
        address: &str,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
    ) -> Result<T, Failure> {
        let answer = self.ask(address, code, header, Body::Empty).await?;
        read_body(address, &answer)
    }

    /// Asks one name server after the other until one answers.
    pub async fn ask_namesrv(
        &self,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
    ) -> Result<(String, Frame), Failure> {
        let mut last = None;
        for address in self.namesrvs()? {
            match self.ask(&address, code, header, Body::Empty).await {
                Ok(answer) => return Ok((address, answer)),
                Err(Failure::Client(client::Error::Invoke(cause))) => last = Some(cause),
                Err(refused) => return Err(refused),
            }
        }
        let addresses = self.namesrv.to_string();
        Err(match last {
            Some(cause) => client::Error::NamesrvAway { addresses, cause }.into(),
            None => client::Error::NoNamesrv.into(),
        })
    }

    /// The same for a body of JSON.
    pub async fn read_namesrv<T: DeserializeOwned>(
        &self,
        code: i32,
        header: &(dyn EncodeHeader + Sync),
    ) -> Result<T, Failure> {
        let (address, answer) = self.ask_namesrv(code, header).await?;
        read_body(&address, &answer)
    }

    /// A topic's route.
    pub async fn route(&self, topic: &str) -> Result<TopicRouteData, Failure> {
        let header = GetRouteInfo {
            topic: topic.into(),
            accept_standard_json_only: None,
            zone_mode: None,
            zone_name: None,
        };
        let asked = self.read_namesrv(request::GET_ROUTEINFO_BY_TOPIC, &header).await;
        match asked {
            Err(why) if why.code() == Some(response::TOPIC_NOT_EXIST) => {
                Err(client::Error::NoRoute(topic.to_owned()).into())
            }
            other => other,
        }
    }

    /// Who is in which cluster.
    pub async fn clusters(&self) -> Result<ClusterInfo, Failure> {
        self.read_namesrv(request::GET_BROKER_CLUSTER_INFO, &NoHeader)
            .await
    }

    /// The broker groups of a cluster, by name.
    ///
    /// # Errors
    /// There is no such cluster.
    pub async fn groups(&self, cluster: &str) -> Result<Vec<BrokerData>, Failure> {
        let info = self.clusters().await?;
        let Some(names) = info.cluster_addr_table.get(cluster) else {
            let known: Vec<&str> = info.cluster_addr_table.keys().map(String::as_str).collect();
            return Err(Failure::wrong(format!(
                "there is no cluster {cluster}; the name server knows {}",
                match known.is_empty() {
                    true => "none".to_owned(),
                    false => known.join(", "),
                }
            )));
        };
        let mut names = names.clone();
        names.sort();
        let groups = names.iter().filter_map(|name| info.broker_addr_table.get(name));
        Ok(groups.cloned().collect())
    }

    /// The masters of a cluster.
    pub async fn masters(&self, cluster: &str) -> Result<Vec<String>, Failure> {
        let groups = self.groups(cluster).await?;
        let masters = groups.iter().filter_map(|group| group.broker_addrs.get(&MASTER));
        let masters: Vec<String> = masters.cloned().collect();
        match masters.is_empty() {
            true => Err(Failure::wrong(format!(
                "no master of the cluster {cluster} is registered"
            ))),
            false => Ok(masters),
        }
    }

    /// Masters and slaves of a cluster.
    pub async fn brokers(&self, cluster: &str) -> Result<Vec<String>, Failure> {
        let groups = self.groups(cluster).await?;
        let all = groups.iter().flat_map(|group| group.broker_addrs.values());
        Ok(all.cloned().collect())
    }

    /// Runs `work` for every address (or topic, or whatever it is) side by side, and gives the results in the addresses' order.
    pub async fn each<T, F, W>(&self, addresses: Vec<String>, work: W) -> Vec<(String, Result<T, Failure>)>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Failure>> + Send + 'static,
        W: Fn(Net, String) -> F,
    {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        let started: Vec<_> = addresses
            .into_iter()
            .map(|address| {
                let (room, work) = (Arc::clone(&room), work(self.clone(), address.clone()));
                let task = tokio::spawn(async move {
                    // Nobody closes it.
                    let _permit = room.acquire().await;
                    work.await
                });
                (address, task)
            })
            .collect();
        let all = started.len();
        let mut done = Vec::with_capacity(all);
        let mut progress = self.progress();
        for (address, task) in started {
            progress.tell(|| format!("{} of {all} asked", done.len()));
            let result = match task.await {
                Ok(result) => result,
                Err(e) => Err(Failure::wrong(format!("{address}: {e}"))),
            };
            done.push((address, result));
        }
        done
    }

    /// [`Net::each`] of the same request with a body of JSON. Who does not answer is named, and the rest is given.
    ///
    /// # Errors
    /// Nobody answers: why the first did not.
    pub(crate) async fn read_each<T, H>(
        &self,
        out: &mut Out,
        addresses: Vec<String>,
        code: i32,
        header: H,
    ) -> Result<Vec<(String, T)>, Failure>
    where
        T: DeserializeOwned + Send + 'static,
        H: EncodeHeader + Send + Sync + 'static,
    {
        let header = Arc::new(header);
        let work = |net: Net, address: String| {
            let header = Arc::clone(&header);
            async move { net.read(&address, code, &*header).await }
        };
        some(out, self.each(addresses, work).await)
    }

    /// Tells every one of these servers the same, and gives those that have done it. The others are named.
    ///
    /// # Errors
    /// Nobody has done it: why the first has not.
    pub(crate) async fn tell<H>(
        &self,
        out: &mut Out,
        addresses: Vec<String>,
        code: i32,
        header: H,
        body: Bytes,
    ) -> Result<Vec<String>, Failure>
    where
        H: EncodeHeader + Send + Sync + 'static,
    {
        some(out, self.told(addresses, code, header, body).await).map(names)
    }

    /// Tells every name server the same: each keeps its own tables.
    ///
    /// # Errors
    /// The first refusal.
    pub async fn tell_namesrvs<H>(&self, code: i32, header: H, body: Bytes) -> Result<(), Failure>
    where
        H: EncodeHeader + Send + Sync + 'static,
    {
        let told = self.told(self.namesrvs()?, code, header, body).await;
        told.into_iter().try_for_each(|(_, result)| result)
    }

    /// Tells every one of these servers the same, and gives what each said.
    pub async fn told<H>(
        &self,
        addresses: Vec<String>,
        code: i32,
        header: H,
        body: Bytes,
    ) -> Vec<(String, Result<(), Failure>)>
    where
        H: EncodeHeader + Send + Sync + 'static,
    {
        let header = Arc::new(header);
        let work = |net: Net, address: String| {
            let (header, body) = (Arc::clone(&header), Body::Bytes(body.clone()));
            async move { net.ask(&address, code, &*header, body).await.map(|_| ()) }
        };
        self.each(addresses, work).await
    }

    /// What a broker tells of itself.
    pub async fn runtime_info(&self, address: &str) -> Result<KvTable, Failure> {
        self.read(address, request::GET_BROKER_RUNTIME_INFO, &NoHeader)
            .await
    }

    /// A producer.
    pub async fn producer(&self, group: &str) -> Result<Producer, Failure> {
        let settings = ProducerSettings {
            credentials: self.credentials.clone(),
            tls: self.tls.clone(),
            ..ProducerSettings::new(&*self.namesrv, group)
        };
        Ok(Producer::start(settings).await?)
    }

    /// A consumer that reads what it is told to.
    pub fn reader(&self, group: &str) -> Result<PullConsumer, Failure> {
        let tls = self.tls.clone();
        Ok(PullConsumer::start_as(
            &self.namesrv,
            group,
            self.credentials.as_ref(),
            tls,
        )?)
    }

    /// Closes every connection.
    pub fn close(&self) {
        self.client.close();
    }
}

/// What several servers were asked for: what there is, and why some of them gave nothing.
pub type Found<T> = (Vec<T>, Vec<Failure>);

/// Who has done it.
pub(crate) fn names(done: Vec<(String, ())>) -> Vec<String> {
    done.into_iter().map(|(address, ())| address).collect()
}

/// An answer that does not refuse.
fn accepted(peer: &str, asked: Result<Frame, InvokeError>) -> Result<Frame, Failure> {
    let answer = asked.map_err(client::Error::from)?;
    match answer.code {
        response::SUCCESS => Ok(answer),
        code => Err(Failure::Refused {
            peer: peer.to_owned(),
            code,
            remark: answer.remark.unwrap_or_default(),
        }),
    }
}

/// A body of JSON.
pub fn read_body<T: DeserializeOwned>(peer: &str, answer: &Frame) -> Result<T, Failure> {
    protocol::body::read(&answer.body).map_err(|cause| {
        client::Error::BadAnswer {
            peer: peer.to_owned(),
            cause: cause.to_string(),
        }
        .into()
    })
}

/// A header.
pub fn read_header<'a, H: protocol::header::DecodeHeader<'a>>(
    peer: &str,
    answer: &'a Frame,
) -> Result<H, Failure> {
    answer.header().map_err(|cause| {
        client::Error::BadAnswer {
            peer: peer.to_owned(),
            cause: cause.to_string(),
        }
        .into()
    })
}

/// The results there are, and why the others are not.
///
/// # Errors
/// There is none: why the first is not.
pub fn apart<T>(results: Vec<(String, Result<T, Failure>)>) -> Result<Found<(String, T)>, Failure> {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for (address, result) in results {
        match result {
            Ok(value) => good.push((address, value)),
            Err(why) => bad.push(why),
        }
    }
    match good.is_empty() && !bad.is_empty() {
        true => Err(bad.swap_remove(0)),
        false => Ok((good, bad)),
    }
}

/// The same. Those who gave none are named.
///
/// # Errors
/// As there.
pub(crate) fn some<T>(
    out: &mut Out,
    results: Vec<(String, Result<T, Failure>)>,
) -> Result<Vec<(String, T)>, Failure> {
    let (good, bad) = apart(results)?;
    for why in bad {
        out.away(&why);
    }
    Ok(good)
}

/// Where a broker group is asked: at its master, or where that is gone at a slave.
pub fn one_of(group: &BrokerData) -> Option<&String> {
    let master = group.broker_addrs.get(&MASTER);
    master.or_else(|| group.broker_addrs.values().next())
}

/// One address of each broker group of a route.
pub fn addresses(route: &TopicRouteData) -> Vec<String> {
    route.broker_datas.iter().filter_map(one_of).cloned().collect()
}

/// The masters of a route.
pub fn masters_of(route: &TopicRouteData) -> Vec<String> {
    let groups = route.broker_datas.iter();
    groups
        .filter_map(|group| group.broker_addrs.get(&MASTER))
        .cloned()
        .collect()
}
