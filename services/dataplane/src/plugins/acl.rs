//! acl: the groups of who sends a request decide whether it passes.
//!
//! The groups of a consumer are its `acls`. Where nobody in particular is known, those count that an identity provider has stated.

use std::borrow::Cow;

use bytes::Bytes;
use gateway_model::plugin::acl::Config;
use http::{HeaderName, HeaderValue, StatusCode};

use super::{
    AUTHENTICATED_GROUPS, Answer, CONSUMER_GROUPS, Compiled, Exchange, Make, NotExecutable, Phases, Plugin,
    Verdict,
    authentication::{AuthenticatedGroups, is_identified},
    identities::MemberOf,
};
use crate::store::StoreError;

/// The compiled plugin.
#[derive(Debug)]
pub struct Acl {
    /// Sorted.
    groups: Vec<Box<str>>,
    /// Whether members of the groups pass; else all others do.
    allows: bool,
    tells: bool,
    with_consumer_groups: bool,
    prefers_stated: bool,
}

impl Compiled for Acl {
    type Config = Config;
    const PRIORITY: u32 = 950;
    const PHASES: Phases = Phases::REQUEST;

    fn new(config: &Config, _: &Make<'_>) -> Result<Self, NotExecutable> {
        let allows = !config.allow.is_empty();
        let groups = if allows { &config.allow } else { &config.deny };
        let mut groups: Vec<Box<str>> = groups.iter().map(|group| group.as_str().into()).collect();
        groups.sort_unstable();
        Ok(Self {
            groups,
            allows,
            tells: !config.hide_groups_header,
            with_consumer_groups: config.include_consumer_groups,
            prefers_stated: config.always_use_authenticated_groups,
        })
    }
}

impl Plugin for Acl {
    fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
        let stated = exchange.effects.get::<AuthenticatedGroups>();
        let (passes, told) = match (&exchange.consumer, stated) {
            (None, None) => return Ok(refuse(exchange)),
            (Some(consumer), stated)
                if stated.is_none() || !(consumer.is_anonymous || self.prefers_stated) =>
            {
                let member = exchange.identities.groups(consumer)?;
                (self.judges_member(member), self.told(member).map(|told| (CONSUMER_GROUPS, told)))
            }
            (_, Some(AuthenticatedGroups(groups))) => {
                (self.judges(groups), joined(groups).map(|told| (AUTHENTICATED_GROUPS, told)))
            }
            (Some(_), None) => return Ok(refuse(exchange)),
        };
        if !passes {
            return Ok(refuse(exchange));
        }
        if let Some((name, value)) = told.filter(|_| self.tells) {
            tell(exchange, name, value);
        }
        Ok(Verdict::Pass)
    }
}

impl Acl {
    fn names(&self, group: &str) -> bool {
        self.groups.binary_search_by(|held| (**held).cmp(group)).is_ok()
    }

    /// Whether a member of `groups` passes.
    fn judges(&self, groups: &[String]) -> bool {
        groups.iter().any(|group| self.names(group)) == self.allows
    }

    fn judges_member(&self, MemberOf { groups, .. }: &MemberOf) -> bool {
        // Nobody knows whether the consumer is in one of the groups that are kept out.
        if groups.may_be_more && !self.allows {
            return false;
        }
        let also = self.with_consumer_groups && groups.consumer_groups.iter().any(|group| self.names(group));
        (also || groups.acl.iter().any(|group| self.names(group))) == self.allows
    }

    fn told(&self, member: &MemberOf) -> Option<HeaderValue> {
        let told = if self.with_consumer_groups { &member.all_told } else { &member.acl_told };
        told.clone().filter(|told| !told.is_empty())
    }
}

fn tell(exchange: &mut Exchange<'_, '_>, name: HeaderName, value: HeaderValue) {
    exchange.headers.insert(name, value);
}

/// As upstreams are told groups.
pub(super) fn joined(groups: &[String]) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(Bytes::from(groups.join(", "))).ok().filter(|told| !told.is_empty())
}

/// Who has shown a credential is refused for good; others may still show one.
fn refuse(exchange: &Exchange<'_, '_>) -> Verdict {
    let (status, message): (_, Cow<'_, str>) = if is_identified(exchange) {
        (StatusCode::FORBIDDEN, "You cannot consume this service".into())
    } else {
        (StatusCode::UNAUTHORIZED, "Unauthorized".into())
    };
    Verdict::Answer(Answer::message(status, message))
}

#[cfg(test)]
mod tests {
    use gateway_model::{Kind, PluginConfig};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::{
        super::{
            authentication::WithoutConsumer,
            testing::{self, Known, Outcome, get, settings},
        },
        *,
    };

    fn plugin(config: Value) -> Acl {
        match settings("acl", config) {
            PluginConfig::Acl(config) => testing::compile(&config).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// 1 is in `staff` and `admin`, and of the consumer group `gold`; 2 is in nothing.
    fn known() -> Known {
        let of = |id: u128| json!({ "id": Uuid::from_u128(id) });
        let acl = |group: &str| json!({ "consumer": of(1), "group": group });
        Known::new(&[
            (Kind::Consumer, 1, json!({ "username": "alice" })),
            (Kind::Consumer, 2, json!({ "username": "bob" })),
            (Kind::ConsumerGroup, 3, json!({ "name": "gold" })),
            (Kind::ConsumerGroupMember, 4, json!({ "consumer": of(1), "consumer_group": of(3) })),
            (Kind::Acl, 5, acl("staff")),
            (Kind::Acl, 6, acl("admin")),
        ])
    }

    /// A plugin that identifies somebody before acl runs.
    #[derive(Debug)]
    struct Before(Option<u128>, bool, Option<Vec<String>>);

    impl Plugin for Before {
        fn request(&self, exchange: &mut Exchange<'_, '_>) -> Result<Verdict, StoreError> {
            let Before(id, is_anonymous, groups) = self;
            if let Some(id) = id.map(Uuid::from_u128) {
                exchange.consumer = match is_anonymous {
                    true => exchange.identities.anonymous(&super::super::identities::Named::Id(id))?,
                    false => exchange.identities.by_id(id)?,
                };
            }
            if let Some(groups) = groups {
                exchange.effects.put(AuthenticatedGroups(groups.clone()));
            }
            if id.is_none() && *is_anonymous {
                exchange.effects.put(WithoutConsumer);
            }
            Ok(Verdict::Pass)
        }
    }

    fn shown(config: Value, before: Before) -> Outcome {
        get("/").show_in_turn(&known().identities, &[&before, &plugin(config)])
    }

    fn told(outcome: &Outcome, name: &str) -> Option<String> {
        outcome.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn groups_of_a_consumer_decide() {
        let consumer = |id| Before(Some(id), false, None);
        for (config, id, passes) in [
            (json!({ "allow": ["x", "staff"] }), 1, true),
            (json!({ "allow": ["Staff"] }), 1, false),
            (json!({ "allow": ["gold"] }), 1, false),
            (json!({ "allow": ["gold"], "include_consumer_groups": true }), 1, true),
            (json!({ "allow": ["staff"] }), 2, false),
            (json!({ "deny": ["staff"] }), 1, false),
            (json!({ "deny": ["gold"] }), 1, true),
            (json!({ "deny": ["gold"], "include_consumer_groups": true }), 1, false),
            (json!({ "deny": ["staff"] }), 2, true),
        ] {
            let outcome = shown(config.clone(), consumer(id));
            assert_eq!(outcome.passed(), passes, "{config} {id}");
            if !passes {
                assert_eq!(outcome.refused(), (StatusCode::FORBIDDEN, "You cannot consume this service"));
            }
            assert_eq!(told(&outcome, "x-consumer-groups").is_some(), passes && id == 1);
        }
        let outcome = shown(json!({ "allow": ["staff"] }), consumer(1));
        assert_eq!(told(&outcome, "x-consumer-groups").as_deref(), Some("admin, staff"));
        let hidden = shown(json!({ "allow": ["staff"], "hide_groups_header": true }), consumer(1));
        assert!(hidden.passed() && told(&hidden, "x-consumer-groups").is_none());
    }

    #[test]
    fn who_has_shown_nothing_is_asked_to() {
        for before in [Before(None, false, None), Before(Some(2), true, None)] {
            let outcome = shown(json!({ "allow": ["staff"] }), before);
            assert_eq!(outcome.refused(), (StatusCode::UNAUTHORIZED, "Unauthorized"));
        }
        let outcome = shown(json!({ "allow": ["staff"] }), Before(None, true, None));
        assert_eq!(outcome.refused().0, StatusCode::FORBIDDEN);
        // Groups of the anonymous consumer count.
        assert!(shown(json!({ "allow": ["staff"] }), Before(Some(1), true, None)).passed());
        assert!(shown(json!({ "deny": ["staff"] }), Before(Some(2), true, None)).passed());
    }

    #[test]
    fn stated_groups_count_where_nobody_in_particular_is_known_or_where_asked() {
        let stated = |id, anonymous| Before(id, anonymous, Some(vec!["a".to_owned(), "b".to_owned()]));
        for (config, before, passes) in [
            (json!({ "allow": ["b"] }), stated(None, false), true),
            (json!({ "allow": ["c"] }), stated(None, false), false),
            (json!({ "deny": ["b"] }), stated(None, false), false),
            (json!({ "allow": ["b"] }), stated(Some(1), true), true),
            (json!({ "allow": ["b"] }), stated(Some(1), false), false),
            (
                json!({ "allow": ["b"], "always_use_authenticated_groups": true }),
                stated(Some(1), false),
                true,
            ),
            (
                json!({ "allow": ["staff"], "always_use_authenticated_groups": true }),
                stated(Some(1), false),
                false,
            ),
        ] {
            let outcome = shown(config.clone(), before);
            assert_eq!(outcome.passed(), passes, "{config}");
            let told = told(&outcome, "x-authenticated-groups");
            assert_eq!(told.as_deref(), passes.then_some("a, b"));
        }
        let fallback = json!({ "allow": ["staff"], "always_use_authenticated_groups": true });
        assert!(shown(fallback, Before(Some(1), false, None)).passed());
    }
}
