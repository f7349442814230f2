//! People who have come by an invite: what the tests of passwords and sessions begin with.

use ids::OrganizationId;
use serde_json::{Value, json};
use testbed::mail::{Mail, until_kept};

use crate::region::{Client, Region, text};

/// The password of everybody in these tests.
pub const PASSWORD: &str = "correct horse battery";

/// A person who has accepted an invite.
pub struct Person {
    pub organization: OrganizationId,
    pub id: String,
    pub email: String,
}

impl Person {
    /// Invites somebody and accepts the invite.
    pub async fn invited(
        region: &Region,
        owner: &Client<'_>,
        organization: OrganizationId,
        email: &str,
    ) -> Self {
        owner.post("/v3/invites", json!({"email": email})).await.expect(201);
        let mail = mail(region, email, 1).await;
        let body = json!({"token": mail.credential(), "full_name": "Grace Hopper", "password": PASSWORD});
        let user = region.stranger().post("/v3/invites/accept", body).await.expect(201);
        Self { organization, id: text(&user, "id").to_owned(), email: email.to_owned() }
    }

    /// The body of a request that signs the person on with `password`.
    pub fn sign_on(&self, password: &str) -> Value {
        json!({"organization": self.organization, "email": self.email, "password": password})
    }

    /// Signs on; answers what the sign-on answers.
    pub async fn signed_on(&self, region: &Region) -> Value {
        region.stranger().post("/v3/authenticate", self.sign_on(PASSWORD)).await.expect(200)
    }
}

/// The mail number `count` to `address`, once it is there.
pub async fn mail(region: &Region, address: &str, count: usize) -> Mail {
    until_kept(&region.mails, address, count).await.expect("a mail")
}

/// Whoever shows the signed token of `answer`.
pub fn with<'r>(region: &'r Region, answer: &Value) -> Client<'r> {
    region.client(text(answer, "access_token"))
}
