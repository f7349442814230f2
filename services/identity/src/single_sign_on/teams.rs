//! Groups of a provider become teams: at each sign-on, the memberships that somebody has by groups are made what the groups say. authz writes
//! them, since memberships are its own; those that were made by hand stay.

use std::collections::BTreeSet;

use access::{Unavailable, Vector};
use ids::{OrganizationId, ServiceName, TeamId, UserId};
use proto::authz::v1::{HasTeamRequest, MapTeamsRequest};
use serde_json::Value;

use super::{id_token::Claims, person::Refused};
use crate::{
    app::App,
    error::Answer,
    identity_providers::{ProviderId, mappings},
};

/// Most groups of one person that are looked at.
pub const GROUPS_MAX: usize = 1000;

impl App {
    /// Whether the organization has the team. 503 if nobody can tell.
    pub async fn has_team(&self, organization: OrganizationId, team: TeamId) -> Answer<bool> {
        let request = HasTeamRequest { organization_id: organization.to_string(), team_id: team.to_string() };
        let answer = self.authz.clone().has_team(request).await;
        let answer = answer.map_err(|status| Unavailable::new(ServiceName::Authz, &status))?;
        Ok(answer.into_inner().found)
    }

    /// Makes the memberships that `person` has by groups what `groups` of `provider` mean; `None` stands for no groups. Answers where that
    /// stands in authz's log. authz has to know the person. 503 if it cannot be done now: nobody signs on with what a group has lost.
    pub(super) async fn map_teams(
        &self,
        organization: OrganizationId,
        provider: ProviderId,
        person: UserId,
        groups: Option<&[String]>,
    ) -> Answer<Vector> {
        let teams: BTreeSet<TeamId> = match groups {
            Some(groups) => {
                mappings::teams_of(&self.db, organization, provider, groups).await?.into_iter().collect()
            }
            None => BTreeSet::new(),
        };
        let request = MapTeamsRequest {
            organization_id: organization.to_string(),
            principal_id: person.to_string(),
            team_ids: teams.iter().map(ToString::to_string).collect(),
        };
        let answer = self.authz.clone().map_teams(request).await;
        let answer = answer.map_err(|status| Unavailable::new(ServiceName::Authz, &status))?.into_inner();
        let seen = Vector::from_wire(&answer.seen);
        Ok(seen.map_err(|error| Unavailable::new(ServiceName::Authz, &error))?)
    }
}

/// The groups in the claim `name`: a list of texts, or one text. What cannot be mapped is left out.
pub fn groups(claims: &Claims, name: &str) -> Result<Vec<String>, Refused> {
    let all = match claims.get(name) {
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(one)) => vec![one.as_str()],
        _ => Vec::new(),
    };
    if all.len() > GROUPS_MAX {
        return Err(Refused::TooManyGroups);
    }
    let fits = |group: &&str| group.chars().count() <= mappings::GROUP_CHARS_MAX && !group.contains('\0');
    Ok(all.into_iter().filter(fits).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{GROUPS_MAX, groups};
    use crate::single_sign_on::person::Refused;

    #[test]
    fn groups_are_texts_and_not_too_many() {
        let of = |value: serde_json::Value| {
            let claims = json!({ "groups": value }).as_object().cloned().expect("an object");
            groups(&claims, "groups")
        };
        assert_eq!(of(json!(["a", 1, "b", "c".repeat(300), "\0"])), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(of(json!("a")), Ok(vec!["a".to_owned()]));
        assert_eq!(of(json!(null)), Ok(Vec::new()));
        assert_eq!(of(json!(vec!["a"; GROUPS_MAX + 1])), Err(Refused::TooManyGroups));
    }
}
