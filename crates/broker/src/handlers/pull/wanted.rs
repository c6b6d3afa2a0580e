//! Which messages a pull is for: by the subscription that it brings, or by what its group registered.
//!
//! Codes and remarks: RocketMQ 4.9.8, PullMessageProcessor, ExpressionMessageFilter, ExpressionForRetryMessageFilter.

use std::sync::Arc;

use disk::Disk;
use filter::{Filter, TagFilter};
use message::name;
use protocol::body::broker::{MessageModel, SubscriptionGroupConfig};
use protocol::header::broker::PullMessageRequestHeader;

use super::{Error, Pull, flag};
use crate::tables::filters::{RetryFilter, SQL92, is_tag_type};

impl<D: Disk> Pull<D> {
    /// The filter of a pull.
    pub(super) fn filter(
        &self,
        header: &PullMessageRequestHeader<'_>,
        group: &SubscriptionGroupConfig,
    ) -> Result<Arc<dyn Filter>, Error> {
        let filter = match header.sys_flag & flag::SUBSCRIPTION {
            0 => self.registered(header, group)?,
            _ => self.brought(header)?,
        };
        // A message that comes back comes to whom it was let through to. With tags the group's retry topic is subscribed to
        // whole, as with SQL92.
        if let Some(group) = header.topic.strip_prefix(name::RETRY_PREFIX)
            && self.settings.load().broker.filter_support_retry
        {
            return Ok(Arc::new(RetryFilter {
                own: filter,
                filters: Arc::clone(&self.filters),
                group: group.into(),
            }));
        }
        Ok(filter)
    }

    /// By its own subscription. As in Java an expression that does not compile, or of an unknown type, lets everything through.
    fn brought(&self, header: &PullMessageRequestHeader<'_>) -> Result<Arc<dyn Filter>, Error> {
        let kind = header.expression_type.as_deref().unwrap_or_default();
        let text = header.subscription.as_deref().unwrap_or_default();
        if is_tag_type(kind) {
            let parsed = TagFilter::parse(text);
            return parsed
                .map(Into::into)
                .map_err(|e| Error::Subscription(e.to_string()));
        }
        if text.is_empty() {
            return Err(Error::Subscription(format!("Expression can't be null! {kind}")));
        }
        self.check_type(kind)?;
        Ok(match kind {
            SQL92 => match self.filters.compile(text) {
                Ok(expression) => expression,
                Err(refused) => {
                    let group = &header.consumer_group;
                    tracing::debug!(
                        "the expression of {group} for {} filters nothing: {refused}",
                        header.topic
                    );
                    filter::all()
                }
            },
            _ => filter::all(),
        })
    }

    /// By what the group's heartbeats said.
    fn registered(
        &self,
        header: &PullMessageRequestHeader<'_>,
        group: &SubscriptionGroupConfig,
    ) -> Result<Arc<dyn Filter>, Error> {
        let view = self
            .consumers
            .view(&header.consumer_group, &header.topic)
            .ok_or(Error::GroupOffline)?;
        if !group.consume_broadcast_enable && view.model == MessageModel::Broadcasting {
            return Err(Error::Broadcast(header.consumer_group.to_string()));
        }
        let subscription = view.subscription.ok_or(Error::NotSubscribed)?;
        let wanted = header.sub_version.unwrap_or(0);
        if subscription.data.sub_version < wanted {
            return Err(Error::SubscriptionOld);
        }
        let kind = subscription.data.expression_type.as_str();
        if view.is_returning && wanted == 0 {
            // Nobody knows whether the client is one that came with another expression meanwhile.
            return match is_tag_type(kind) {
                true => Ok(filter::all()),
                false => Err(Error::GroupOffline),
            };
        }
        if is_tag_type(kind) {
            return Ok(Arc::clone(&subscription.filter));
        }
        let found = self.filters.find(&header.topic, &header.consumer_group);
        let found = found.ok_or(Error::NoFilter)?;
        if found.version < wanted {
            return Err(Error::FilterOld);
        }
        self.check_type(kind)?;
        Ok(found.filter)
    }

    /// Are filters switched on that are no tags?
    fn check_type(&self, kind: &str) -> Result<(), Error> {
        match self.settings.load().broker.enable_property_filter {
            true => Ok(()),
            false => Err(Error::FilterType(kind.to_owned())),
        }
    }
}
