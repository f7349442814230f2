//! A region as its users reach it, and what both regions must know before something is measured.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use serde_json::{Value, json};
use testbed::{Api, Region, api::text, wait};

use crate::stage;

/// Connections of the owner to a region.
const CALLERS: usize = 8;
/// Longest time until a region answers a request that waits for what another one wrote.
const KNOWN_DEADLINE: Duration = Duration::from_secs(60);

/// A region, by way of its edge, as the owner of the organization. Cheap to clone.
#[derive(Clone)]
pub struct Side {
    name: Arc<str>,
    /// Each with connections of its own, as separate programs have them.
    callers: Arc<[Api]>,
}

impl Side {
    /// The APIs of a region.
    pub fn of(region: &Region) -> anyhow::Result<Self> {
        let callers = stage::edge_callers(region, CALLERS)?;
        Ok(Self { name: region.name().into(), callers: callers.into() })
    }

    /// As in `us`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// One of the callers, which take turns.
    pub fn caller(&self, number: u64) -> anyhow::Result<&Api> {
        self.callers.get(number as usize % self.callers.len()).context("a caller is needed")
    }

    /// The first of the callers. Fails if there is none.
    pub fn first(&self) -> anyhow::Result<&Api> {
        self.caller(0)
    }
}

/// The two regions: where things are written first, and the other one.
pub type Sides = [Side; 2];

/// A system account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Its id, a UUID.
    pub id: String,
}

/// A token of an account.
#[derive(Clone, Debug)]
pub struct Credential {
    /// Whose token it is.
    pub account: Account,
    /// The token's id, a UUID; it revokes by this.
    pub id: String,
    /// The token itself.
    pub token: String,
}

impl Account {
    /// Makes a system account named `name` in the region `side`. Fails on any answer but 201.
    pub async fn create(side: &Side, name: &str) -> anyhow::Result<Self> {
        let body = json!({ "name": name, "description": "" });
        let created = side.first()?.post("/v3/system-accounts", &body).await?.expect(201)?;
        Ok(Self { id: text(&created, "id")?.to_owned() })
    }

    /// A new token, made in the first region and known to both when this returns.
    pub async fn credential(&self, sides: &Sides) -> anyhow::Result<Credential> {
        let path = format!("/v3/system-accounts/{}/access-tokens", self.id);
        let answer = sides[0].first()?.post(&path, &json!({ "name": "load" })).await?;
        let made = answer.expect(201)?;
        let (id, token) = (text(&made, "id")?.to_owned(), text(&made, "token")?.to_owned());
        for side in sides {
            until_answered(&side.first()?.with_token(&token).after(&answer), "/v2/control-planes").await?;
        }
        Ok(Credential { account: self.clone(), id, token })
    }
}

/// The body that makes somebody Viewer of one control plane.
pub fn viewer_of(control_plane: &str, region: &str) -> Value {
    json!({
        "role_name": "Viewer",
        "entity_type_name": "Control Planes",
        "entity_id": control_plane,
        "entity_region": region,
    })
}

/// Repeats a GET for as long as the region says that it does not know yet. Any other refusal is an error at once.
pub async fn until_answered(api: &Api, path: &str) -> anyhow::Result<Value> {
    let what = format!("GET {path} is answered");
    let known = wait::until(&what, KNOWN_DEADLINE, async || {
        let answer = api.get(path).await.map_err(|error| format!("{error:#}"))?;
        if answer.status == 503 { Err(answer.text) } else { Ok(answer.expect(200)) }
    });
    known.await?
}
