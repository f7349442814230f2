//! What the plugins that count requests have in common: limits by period, by whom they count, and where the counts are.

use crate::record::{
    Field, Fields, OneWord, Property, Rules, Secret, SecretMut, Writer, boolean, integer, object,
    optional_integer, record, sealed, text, word, words,
};
use crate::rules::{self, Rule, UPSTREAM_HOST};

/// The greatest limit. JavaScript and Lua, in which clients and Redis count, are exact to above it.
pub(super) const LIMIT_MAX: u64 = 1_000_000_000_000_000;
/// Characters of the user's name and of the password at a Redis server.
const CREDENTIAL_CHARS_MAX: usize = 1024;
const CREDENTIAL: Rule = Rule::new(credential, CREDENTIAL_CHARS_MAX);
/// Milliseconds.
const TIMEOUT_MAX: u32 = 2_147_483_646;
/// Redis' own limit is a setting of the server.
const DATABASE_MAX: u32 = 1_000_000;

words! {
    /// By what requests are told apart that are counted separately.
    pub enum LimitBy {
        /// The consumer; without one, the address.
        Consumer = "consumer",
        /// The credential; without one, the address.
        Credential = "credential",
        /// The client's address.
        Ip = "ip",
        /// The service: all requests for it are counted together.
        Service = "service",
        /// The value of the header `header_name`; without it, the address.
        Header = "header",
        /// The path `path`: all requests for it are counted together, those for others by address.
        Path = "path",
    }
}

words! {
    /// Where counts are.
    pub enum Policy {
        /// In the gateway itself: each counts what it serves.
        Local = "local",
        /// In a server that speaks Redis' protocol: all gateways count together.
        Redis = "redis",
    }
}

words! {
    /// How a period is understood.
    pub enum WindowType {
        /// As a piece of the calendar in UTC. Example: a minute begins with its second 0.
        Fixed = "fixed",
        /// As the time up to now. Of the piece before this one, as much counts as is still within the period.
        Sliding = "sliding",
    }
}

record! {
    /// Limits by period.
    pub struct Limits {
        /// Requests in a second.
        pub second: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a minute.
        pub minute: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in an hour.
        pub hour: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a day.
        pub day: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a month.
        pub month: Option<u64> = optional_integer(1..=LIMIT_MAX),
        /// Requests in a year.
        pub year: Option<u64> = optional_integer(1..=LIMIT_MAX),
    }
}

impl Limits {
    /// From the shortest period to the longest.
    pub fn by_period(&self) -> [Option<u64>; 6] {
        [self.second, self.minute, self.hour, self.day, self.month, self.year]
    }
}

impl Rules for Limits {
    fn check(&self, fields: &mut Fields<'_>) {
        check_limits(self.by_period(), fields);
    }
}

const PERIODS: [&str; 6] = ["second", "minute", "hour", "day", "month", "year"];

/// There is a limit, and none is lower than that of a shorter period.
pub(super) fn check_limits(limits: [Option<u64>; 6], fields: &mut Fields<'_>) {
    if PERIODS.iter().all(|period| !fields.has(period)) {
        fields.fail(
            "minute",
            format!("is required, unless another period has a limit: {}", PERIODS.join(", ")),
        );
    }
    let given = || PERIODS.into_iter().zip(limits).filter_map(|(period, limit)| Some((period, limit?)));
    for (index, (longer, limit)) in given().enumerate() {
        let shorter = given().take(index).find(|(_, shorter)| *shorter > limit);
        if let Some((shorter, _)) = shorter {
            fields.fail(
                longer,
                format!("must not be lower than the limit for a {shorter}: raise it, or remove it"),
            );
        }
    }
}

/// `local` or `redis`. Kong's third policy is refused with the one to take in its place.
pub(super) fn policy() -> PolicyField {
    PolicyField(word(Policy::Local))
}

pub(super) struct PolicyField(OneWord<Policy>);

impl Field for PolicyField {
    type Value = Policy;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Policy {
        if from.given(name).is_some_and(|policy| policy == "cluster") {
            from.skip(name);
            from.fail(name, "must be local or redis, not cluster: a gateway reaches no database of the control plane. Use `redis`");
            return Policy::Local;
        }
        self.0.read(name, from)
    }

    fn write(&self, name: &'static str, value: &Policy, out: &mut Writer) {
        self.0.write(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        self.0.describe()
    }
}

record! {
    /// A server that speaks Redis' protocol.
    pub struct Redis {
        /// Its name or address.
        pub host: Option<String> = text(UPSTREAM_HOST),
        /// Its port.
        pub port: u16 = integer(6379, 1..=u16::MAX),
        /// How many milliseconds an answer, or a connection, may take. More than 60 seconds count as 60.
        pub timeout: u32 = integer(2000, 1..=TIMEOUT_MAX),
        /// Who the gateway is there.
        pub username: Option<String> = text(CREDENTIAL),
        /// The password.
        pub password: Option<Secret> = sealed("password_sealed", CREDENTIAL),
        /// The number of the database.
        pub database: u32 = integer(0, 0..=DATABASE_MAX),
        /// Whether the connection is TLS.
        pub ssl: bool = boolean(false),
        /// Whether its certificate is verified, by the CAs that upstreams are verified by.
        pub ssl_verify: bool = boolean(false),
        /// The name that its certificate is for; `host` if there is none.
        pub server_name: Option<String> = text(UPSTREAM_HOST),
    }
}

impl Rules for Redis {}

/// The field `redis`, whose parts may also stand beside it under their older names. Example: `redis_host`.
pub(super) fn redis() -> RedisField {
    RedisField
}

pub(super) struct RedisField;

impl Field for RedisField {
    type Value = Redis;

    fn read(&self, name: &'static str, from: &mut Fields<'_>) -> Redis {
        let mut redis = object::<Redis>().read(name, from);
        let host = from.text("redis_host", UPSTREAM_HOST.check);
        let port = from.integer("redis_port", 1..=u16::MAX);
        let timeout = from.integer("redis_timeout", 1..=TIMEOUT_MAX);
        let username = given_text("redis_username", from);
        let password = given_text("redis_password", from).map(Secret::Plain);
        let database = from.integer("redis_database", 0..=DATABASE_MAX);
        let ssl = from.optional_boolean("redis_ssl");
        let verify = from.optional_boolean("redis_ssl_verify");
        let server_name = from.text("redis_server_name", UPSTREAM_HOST.check);
        settle(from, ["redis_host", "host"], &mut redis.host, host.map(Some));
        settle(from, ["redis_port", "port"], &mut redis.port, port);
        settle(from, ["redis_timeout", "timeout"], &mut redis.timeout, timeout);
        settle(from, ["redis_username", "username"], &mut redis.username, username.map(Some));
        settle(from, ["redis_password", "password"], &mut redis.password, password.map(Some));
        settle(from, ["redis_database", "database"], &mut redis.database, database);
        settle(from, ["redis_ssl", "ssl"], &mut redis.ssl, ssl);
        settle(from, ["redis_ssl_verify", "ssl_verify"], &mut redis.ssl_verify, verify);
        settle(from, ["redis_server_name", "server_name"], &mut redis.server_name, server_name.map(Some));
        redis
    }

    fn write(&self, name: &'static str, value: &Redis, out: &mut Writer) {
        object::<Redis>().write(name, value, out);
    }

    fn describe(&self) -> Option<Property> {
        object::<Redis>().describe()
    }

    fn secrets_mut<'v>(&self, name: &'static str, value: &'v mut Redis, found: &mut Vec<SecretMut<'v>>) {
        object::<Redis>().secrets_mut(name, value, found);
    }
}

/// A text; an empty one counts as absent, as Kong writes it where there is none.
fn given_text(name: &'static str, from: &mut Fields<'_>) -> Option<String> {
    if from.given(name).is_some_and(|text| text == "") {
        from.skip(name);
        return None;
    }
    from.text(name, CREDENTIAL.check)
}

/// Takes over what the older name says, if the newer one does not say something else.
fn settle<T: PartialEq>(
    from: &mut Fields<'_>,
    [older, newer]: [&'static str; 2],
    held: &mut T,
    given: Option<T>,
) {
    let Some(given) = given else { return };
    let is_said =
        from.given("redis").and_then(|redis| redis.get(newer)).is_some_and(|value| !value.is_null());
    if is_said && *held != given {
        from.fail(older, format!("must not differ from `redis.{newer}`, whose older name it is: remove it"));
    }
    *held = given;
}

/// The counts are somewhere.
pub(super) fn check_policy(policy: Policy, redis: &Redis, fields: &mut Fields<'_>) {
    if policy == Policy::Redis && redis.host.is_none() {
        fields.fail("redis.host", "is required where `policy` is redis: name the server");
    }
}

fn credential(text: &str) -> Result<(), String> {
    rules::length(text, CREDENTIAL_CHARS_MAX)?;
    rules::printable(text)
}
