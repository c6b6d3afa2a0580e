//! Where the answers differ, and why that is so. docs/differences.md says the same to users.

/// A kind of difference. A text with a star in it fits what begins and ends so; one without, what begins so.
#[derive(Debug)]
pub(super) struct Known {
    /// The request's name, or [`ANY`].
    request: &'static str,
    /// What is wrong with it.
    what: &'static str,
    /// The name of the part.
    part: &'static str,
    /// Java's: [`ANY`], [`ABSENT`] or a text.
    java: &'static str,
    /// Ours.
    ours: &'static str,
    /// Why.
    why: &'static str,
}

/// Any value.
const ANY: &str = "*";
/// The part is not there.
const ABSENT: &str = "-";

const fn row(
    request: &'static str,
    what: &'static str,
    part: &'static str,
    java: &'static str,
    ours: &'static str,
    why: &'static str,
) -> Known {
    Known {
        request,
        what,
        part,
        java,
        ours,
        why,
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        Some((begins, ends)) => text.starts_with(begins) && text.ends_with(ends),
        None => text.starts_with(pattern),
    }
}

impl Known {
    /// The two may say the same.
    pub(super) fn by_chance(&self) -> bool {
        [MEASURED, ANY_QUEUE, HALF_TOPIC].contains(&self.why)
    }

    /// Whether this is a difference of this kind.
    pub(super) fn is(
        &self,
        (request, what, part, java, ours): (&str, &str, &str, Option<&str>, Option<&str>),
    ) -> bool {
        let is = |pattern: &str, text: Option<&str>| match text {
            None => pattern == ABSENT,
            Some(text) => pattern != ABSENT && fits(pattern, text),
        };
        (self.request == ANY || self.request == request)
            && fits(self.what, what)
            && fits(self.part, part)
            && is(self.java, java)
            && is(self.ours, ours)
    }
}

const NO_NAME: &str = "Java looks for something called null";
const SAYS_WHAT: &str = "both refuse, and ours says which field is wrong";
const DIES: &str = "Java's remark is the exception that it died of";
const DIES_OF_IT: &str = "Java dies of it";
const ASKED_BEFORE: &str = "Java makes a queue that somebody asks about";
const NEVER_USED: &str = "Java keeps what nobody could ever use";
const NO_NUMBER: &str = "Java takes a number that is none for a missing one";
const IS_NOTHING: &str = "Java takes an empty object or a list for nothing, and says that it is done";
const OF_5: &str = "of 5.x";
const OURS: &str = "of these servers alone";
const MEASURED: &str = "measured, or it counts what one of the two refused";
const ANY_QUEUE: &str = "any queue is chosen";
const EARLY: &str = "Java says it of refused sends, too; clients read it where a message was stored";
const IPV6: &str = "Java believes a client that its address is one of IPv6";
const HALF_TOPIC: &str = "Java makes the topic with the first check, ours with the first half message";
const JAVA_THREADS: &str = "a number of Java's threads";

/// The table.
pub(super) const KNOWN: &[Known] = &[
    // What is missing or makes no sense.
    row(
        ANY,
        "without ",
        "code",
        "0 ",
        "1 the custom field <*> is null",
        NO_NAME,
    ),
    row(
        ANY,
        "without ",
        "code",
        "22 ",
        "1 the custom field <*> is null",
        NO_NAME,
    ),
    row(
        "GET_ROUTEINFO_BY_TOPIC",
        "without topic",
        "code",
        "17 ",
        "1 the custom field <topic> is null",
        NO_NAME,
    ),
    row(ANY, "", "remark", ANY, "the custom field <", SAYS_WHAT),
    row(ANY, "", "remark", "java.", ANY, DIES),
    row(ANY, "", "remark", "com.alibaba.fastjson.", ANY, DIES),
    row(
        ANY,
        "",
        "remark",
        "Cannot invoke ",
        "access control is off (aclEnable=false)",
        DIES,
    ),
    row(
        "REGISTER_BROKER",
        "body absurd",
        "remark",
        "Failed to decode RegisterBrokerBody",
        ANY,
        SAYS_WHAT,
    ),
    row(
        ANY,
        "without f",
        "code",
        "1 java.lang.NullPointerException",
        "0 ",
        DIES_OF_IT,
    ),
    row(
        ANY,
        "without h",
        "code",
        "1 java.lang.NullPointerException",
        "0 ",
        DIES_OF_IT,
    ),
    row(
        "SEND_MESSAGE",
        "without sysFlag",
        "code",
        "1 java.lang.NullPointerException",
        "0 ",
        DIES_OF_IT,
    ),
    row(
        ANY,
        "without c",
        "code",
        "1 java.lang.NullPointerException",
        "17 ",
        DIES_OF_IT,
    ),
    row(
        "SEND_MESSAGE",
        "without defaultTopic",
        "code",
        "1 java.lang.NullPointerException",
        "17 ",
        DIES_OF_IT,
    ),
    row(
        "SEND_BATCH_MESSAGE",
        "body ",
        "code",
        "1 java.lang.NullPointerException",
        "13 the batch has no message",
        DIES_OF_IT,
    ),
    row(
        "PULL_MESSAGE",
        "maxMsgNums=-7",
        "code",
        "1 java.lang.IllegalArgumentException",
        "0 FOUND",
        DIES_OF_IT,
    ),
    row(
        "QUERY_MESSAGE",
        "maxNum=-7",
        "code",
        "1 java.lang.IllegalArgumentException",
        "22 ",
        DIES_OF_IT,
    ),
    row(
        "UPDATE_AND_CREATE_TOPIC",
        "without topicFilterType",
        "code",
        "1 ",
        "0 ",
        "it is SINGLE_TAG then",
    ),
    row(
        "UPDATE_AND_CREATE_TOPIC",
        "topicSysFlag=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "CONSUMER_SEND_MSG_BACK",
        "maxReconsumeTimes=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "QUERY_CONSUME_QUEUE",
        "count=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "QUERY_CONSUME_QUEUE",
        "index=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "QUERY_CONSUME_QUEUE",
        "queueId=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "SEND_MESSAGE",
        "reconsumeTimes=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "SEND_MESSAGE",
        "maxReconsumeTimes=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "REGISTER_BROKER",
        "bodyCrc32=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "REGISTER_BROKER",
        "heartbeatTimeoutMillis=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "QUERY_DATA_VERSION",
        "brokerId=absurd",
        "code",
        "0 ",
        "1 ",
        NO_NUMBER,
    ),
    row(
        "QUERY_CONSUME_QUEUE",
        "queueId=*7",
        "code",
        "0 Index 0 of ",
        "1 ",
        ASKED_BEFORE,
    ),
    row(
        "QUERY_CONSUME_QUEUE",
        "queueId=99999",
        "code",
        "0 Index 0 of ",
        "1 ",
        ASKED_BEFORE,
    ),
    row(
        "QUERY_CONSUME_QUEUE",
        "topic=",
        "code",
        "0 Index 0 of ",
        "1 ",
        ASKED_BEFORE,
    ),
    row(
        "UPDATE_CONSUMER_OFFSET",
        "commitOffset=-7",
        "code",
        "0 ",
        "1 ",
        NEVER_USED,
    ),
    row(
        "UPDATE_CONSUMER_OFFSET",
        "queueId=-7",
        "code",
        "0 ",
        "1 ",
        NEVER_USED,
    ),
    row(
        "UPDATE_AND_CREATE_TOPIC",
        "*QueueNums=-7",
        "code",
        "0 ",
        "1 ",
        NEVER_USED,
    ),
    row(
        "UPDATE_AND_CREATE_TOPIC",
        "*QueueNums=99999",
        "code",
        "0 ",
        "1 ",
        NEVER_USED,
    ),
    row(
        "GET_ALL_CONSUMER_OFFSET",
        "afterwards",
        "body.offsetTable",
        ANY,
        ABSENT,
        NEVER_USED,
    ),
    row(
        "GET_ALL_CONSUMER_OFFSET",
        "afterwards",
        "body.offsetTable",
        ABSENT,
        "{}",
        NEVER_USED,
    ),
    row("HEART_BEAT", "body {}", "code", "0 ", "1 ", IS_NOTHING),
    row("LOCK_BATCH_MQ", "body {}", "code", "0 ", "1 ", IS_NOTHING),
    row("CHECK_CLIENT_CONFIG", "body []", "code", "0 ", "1 ", IS_NOTHING),
    row("QUERY_DATA_VERSION", "body []", "code", "0 ", "1 ", IS_NOTHING),
    row(
        "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP",
        "body []",
        "code",
        "0 ",
        "1 ",
        IS_NOTHING,
    ),
    row(
        "GET_BROKER_CLUSTER_ACL_INFO",
        "right",
        "code",
        "none",
        "1 ",
        "Java does not answer",
    ),
    // Sends.
    row(
        ANY,
        "",
        "remark",
        "request queueId[*",
        "request queueId[*",
        "ours tells the queues of the topic, not all its settings",
    ),
    row(ANY, "", "field MSG_REGION", ANY, ABSENT, EARLY),
    row(ANY, "", "field TRACE_ON", ANY, ABSENT, EARLY),
    row(
        "SEND_REPLY_MESSAGE",
        "*=absurd",
        "field queue",
        ANY,
        ABSENT,
        NO_NUMBER,
    ),
    row(
        "SEND_REPLY_MESSAGE",
        "without flag",
        "field ",
        ABSENT,
        ANY,
        DIES_OF_IT,
    ),
    row(
        "SEND_REPLY_MESSAGE_V2",
        "without h",
        "field ",
        ABSENT,
        ANY,
        DIES_OF_IT,
    ),
    row(ANY, "queueId=-7", "field queueId", ANY, ANY, ANY_QUEUE),
    row(ANY, "e=-7", "field queueId", ANY, ANY, ANY_QUEUE),
    row(
        "SEND_REPLY_MESSAGE",
        "*=absurd",
        "field msgId",
        ANY,
        ABSENT,
        NO_NUMBER,
    ),
    row(
        "SEND_REPLY_MESSAGE",
        "without defaultTopic",
        "code",
        "1 java.lang.NullPointerException",
        "17 ",
        DIES_OF_IT,
    ),
    row("SEND_MESSAGE", "sysFlag=-7", "field msgId", ANY, ANY, IPV6),
    row("SEND_MESSAGE_V2", "f=-7", "field msgId", ANY, ANY, IPV6),
    // What 5.x says besides.
    row("UPDATE_AND_CREATE_TOPIC", "attributes=", "code", "0 ", "1 ", OF_5),
    row(
        "QUERY_CONSUMER_OFFSET",
        "setZeroIfNotFound=",
        "code",
        "0 ",
        "22 ",
        OF_5,
    ),
    row("PULL_MESSAGE", "maxMsgBytes=absurd", "code", "0 ", "1 ", OF_5),
    row(ANY, "", "body.*stateVersion", ABSENT, "0", OF_5),
    row("GET_BROKER_CONFIG", "right", "field version", ANY, ANY, OF_5),
    row(
        "GET_BROKER_CONSUME_STATS",
        "",
        "body.totalInflightDiff",
        ABSENT,
        "0",
        OF_5,
    ),
    row("GET_CONSUME_STATS", "", "body.*.pullOffset", ABSENT, ANY, OF_5),
    row(
        "GET_TOPIC_STATS_INFO",
        "right",
        "body.topicPutTps",
        ABSENT,
        "0.0",
        OF_5,
    ),
    row(ANY, "", "body.*enableActingMaster", ABSENT, "false", OF_5),
    row("HEART_BEAT", "right", "field IS_SU", ABSENT, ANY, OF_5),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.",
        ABSENT,
        ANY,
        OURS,
    ),
    row("GET_BROKER_CONFIG", "right", "body.", ABSENT, ANY, OF_5),
    row("GET_NAMESRV_CONFIG", "right", "body.", ABSENT, ANY, OF_5),
    // Settings that are not here, or another default.
    row(
        "GET_BROKER_CONFIG",
        "right",
        "body.*Threads",
        ANY,
        ABSENT,
        JAVA_THREADS,
    ),
    row(
        "GET_BROKER_CONFIG",
        "right",
        "body.*ThreadPoolNums",
        ANY,
        ABSENT,
        JAVA_THREADS,
    ),
    row(
        "GET_BROKER_CONFIG",
        "right",
        "body.haSlaveFallbehindMax",
        ANY,
        ABSENT,
        "it is haMaxGapNotInSync",
    ),
    row(
        "GET_BROKER_CONFIG",
        "right",
        "body.autoDeleteUnusedStats",
        "false",
        "true",
        "the default of 5.x",
    ),
    row(
        "GET_BROKER_CONFIG",
        "right",
        "body.bitMapLengthConsumeQueueExt",
        "112",
        "64",
        "Java shows what follows from two other settings",
    ),
    // What was measured.
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.brokerVersion",
        ANY,
        ANY,
        "ours is 4.9.8",
    ),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.*Tps",
        "*",
        "0.0 0.0 0.0",
        MEASURED,
    ),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.put",
        ANY,
        ANY,
        MEASURED,
    ),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.commitLogDirCapacity",
        "Total : ",
        "Total : ",
        MEASURED,
    ),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.earliestMessageTimeStamp",
        "-1",
        "TIME",
        "Java does not look into a short log",
    ),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.remainHowManyDataToFlush",
        ANY,
        "* B",
        "the exporter passes over the unit",
    ),
    row(
        "GET_BROKER_RUNTIME_INFO",
        "right",
        "body.table.runtime",
        "[ ",
        "[ ",
        MEASURED,
    ),
    row(
        "QUERY_CONSUME_TIME_SPAN",
        "",
        "body.*delayTime",
        ANY,
        ANY,
        MEASURED,
    ),
    row(ANY, "right", "body.topicList[Fresh", ANY, ABSENT, MEASURED),
    row(ANY, "right", "body.topicList[Fresh", ABSENT, ANY, MEASURED),
    row(
        ANY,
        "right",
        "body.topicList[RMQ_SYS_TRANS_HALF_TOPIC]",
        ABSENT,
        ANY,
        HALF_TOPIC,
    ),
];
