//! A session goes on: a refresh token is used, and replaced by the next one.

use access::{Makers, Session};
use axum::{body::Bytes, response::Response};
use ids::ServiceName;
use mutation::{Mutation, audit::Outcome};
use seal::SealKey;
use time::OffsetDateTime;

use super::{
    Error, GRACE, IDLE_MAX, ROTATIONS_MAX, SignedOn, cookie,
    http::Refresh as Body,
    sign_on::{applied, session_of},
    store::{self, Refresh},
};
use crate::{
    app::App,
    credential::{Credential, Kind},
    error::Answer,
    home::Arrived,
    organizations,
    revocations::Ended,
    signing_keys::TOKEN_LIFE_SECONDS,
    tokens,
};

/// What a refresh token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    /// It is replaced by a new one.
    First,
    /// It was used a moment ago: the same next one is answered.
    Again,
    /// It was used earlier. Somebody has a copy.
    Reuse,
    /// It goes on with nothing.
    Over,
}

pub(super) async fn go_on(app: &App, makers: &Makers, arrived: &Arrived<Body>) -> Answer<Response> {
    let as_cookie = arrived.body.cookie;
    if as_cookie && !arrived.is_forwarded() {
        app.origins.require_console(arrived.headers())?;
    }
    let kept = || as_cookie.then(|| cookie::read(arrived.headers())).flatten();
    let text = arrived.body.refresh_token.clone().or_else(kept).ok_or(Error::Ended)?;
    let shown = Credential::read(Kind::Refresh, &text).ok_or(Error::Ended)?;
    let limits = organizations::known(app, shown.organization).await?.ok_or(Error::Ended)?.limits;
    // Cookies stay in the region whose they are.
    let body = Body { refresh_token: Some(text), cookie: as_cookie };
    let bytes = serde_json::to_vec(&body).map_err(web::Problem::internal)?;
    if let Some(answer) = arrived.answered_with(shown.organization, Bytes::from(bytes)).await? {
        return Ok(answer);
    }

    let now = app.clock.now();
    let sha256 = shown.sha256();
    let mut tx = app.db.begin().await.map_err(postgres::Error::from)?;
    let found = store::find(&mut tx, &sha256).await?;
    drop(tx);
    let found = found.filter(|found| found.organization == shown.organization).ok_or(Error::Ended)?;
    match use_of(&found, now) {
        Use::First | Use::Again => {}
        Use::Reuse => return Err(end_after_reuse(app, arrived, &found).await),
        Use::Over => return Err(Error::Ended.into()),
    }
    let session = session_of(found.organization, found.person, found.session, now, found.ends_at);
    let decided = makers.admits(&session, &applied(app, found.organization).await?).await?;
    let decided = decided.ok_or(Error::Ended)?;
    let session = Session { vector: decided.seen.of_service(ServiceName::Authz), limits, ..session };
    // Signed before the refresh token is used: where that is not possible, it is not.
    let access_token = app.keys.sign(&session, now.unix_timestamp()).await?;
    let next = match rotate(app, &shown, now).await? {
        Ok(next) => next,
        Err(Use::Reuse) => return Err(end_after_reuse(app, arrived, &found).await),
        Err(_) => return Err(Error::Ended.into()),
    };
    let answer = SignedOn {
        access_token,
        token_type: "Bearer",
        expires_in: TOKEN_LIFE_SECONDS.min(session.ends_at - now.unix_timestamp()),
        refresh_token: Some(next.expose().to_owned()),
        session_id: found.session,
        session_ends_at: found.ends_at,
        organization_id: found.organization,
        user_id: found.person,
    };
    Ok(answer.answer(as_cookie, now))
}

/// What `found` is good for at `now`. The clock of a replica may be behind that of another one which used it.
fn use_of(found: &Refresh, now: OffsetDateTime) -> Use {
    if !found.lives || found.ends_at <= now || found.rotations >= ROTATIONS_MAX {
        return Use::Over;
    }
    match found.used_at {
        Some(used_at) if now - used_at <= GRACE => Use::Again,
        Some(_) => Use::Reuse,
        None if found.expires_at <= now => Use::Over,
        None => Use::First,
    }
}

/// Replaces `shown` by the next one, or finds what it was replaced by a moment ago. The inner error says why neither is done.
async fn rotate(app: &App, shown: &Credential, now: OffsetDateTime) -> Answer<Result<Credential, Use>> {
    let sha256 = shown.sha256();
    // Who does not have the text does not get the next one either.
    let seal = SealKey::new(&blake3::derive_key(
        "landbridge refresh token: the next one v1",
        shown.expose().as_bytes(),
    ));
    let mut tx = app.db.begin().await.map_err(postgres::Error::from)?;
    let Some(found) = store::find(&mut tx, &sha256).await? else { return Ok(Err(Use::Over)) };
    match use_of(&found, now) {
        Use::First => {
            let next = Credential::make(Kind::Refresh, found.organization, &app.random);
            let sealed = seal.seal(&sha256, next.expose().as_bytes());
            store::replace(&mut tx, found.session, &sha256, &sealed, now).await?;
            store::insert_refresh(&mut tx, found.session, &next, found.ends_at.min(now + IDLE_MAX)).await?;
            tx.commit().await.map_err(postgres::Error::from)?;
            Ok(Ok(next))
        }
        Use::Again => {
            let opened = seal.open(&sha256, found.next.as_deref().unwrap_or_default());
            let next = opened.ok().and_then(|text| String::from_utf8(text).ok());
            Ok(next.and_then(|text| Credential::read(Kind::Refresh, &text)).ok_or(Use::Over))
        }
        over @ (Use::Reuse | Use::Over) => Ok(Err(over)),
    }
}

/// Ends the session of a refresh token that was shown again; answers the refusal.
async fn end_after_reuse(app: &App, arrived: &Arrived<Body>, found: &Refresh) -> crate::error::Error {
    let (id, ends_at) = (found.session, found.ends_at);
    tracing::warn!(session = %id, organization = %found.organization, "a refresh token was used twice; the session ends");
    let mutation = Mutation::by_operator(found.organization, "session.reuse")
        .of_person(found.person.cast(), Some(id), arrived.requested.clone())
        .authenticates(Outcome::Failed);
    let work = app.write(mutation, move |tx| {
        Box::pin(async move {
            let seq = tokens::revoke_session(tx, id, ends_at).await?;
            tx.audit(&id.to_string()).await?;
            Answer::Ok(seq)
        })
    });
    match work.await {
        Ok(seq) => {
            app.announcer.announce(Ended::Session(id)).await;
            if app.outbox.applied(seq).await.is_err() {
                tracing::warn!(seq, "authz has not applied the end of a session in time; it will");
            }
            Error::Ended.into()
        }
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use ids::{OrganizationId, TokenId, UserId};
    use time::{Duration, OffsetDateTime, macros::datetime};

    use super::{GRACE, ROTATIONS_MAX, Refresh, Use, use_of};

    const NOW: OffsetDateTime = datetime!(2100-01-01 00:00 UTC);

    fn refresh() -> Refresh {
        Refresh {
            session: TokenId::generate(),
            organization: OrganizationId::generate(),
            person: UserId::generate(),
            ends_at: NOW + Duration::days(1),
            lives: true,
            rotations: 0,
            expires_at: NOW + Duration::hours(1),
            used_at: None,
            next: None,
        }
    }

    #[test]
    fn a_refresh_token_is_used_once_and_answered_again_for_a_moment() {
        let used = |ago: Duration| Refresh { used_at: Some(NOW - ago), ..refresh() };
        assert_eq!(use_of(&refresh(), NOW), Use::First);
        assert_eq!(use_of(&used(Duration::ZERO), NOW), Use::Again);
        assert_eq!(use_of(&used(GRACE), NOW), Use::Again);
        assert_eq!(use_of(&used(GRACE + Duration::MILLISECOND), NOW), Use::Reuse);
        assert_eq!(
            use_of(&used(-Duration::minutes(5)), NOW),
            Use::Again,
            "by a replica whose clock is ahead"
        );
    }

    #[test]
    fn nothing_goes_on_after_its_end() {
        for over in [
            Refresh { lives: false, ..refresh() },
            Refresh { ends_at: NOW, ..refresh() },
            Refresh { expires_at: NOW, ..refresh() },
            Refresh { rotations: ROTATIONS_MAX, ..refresh() },
            Refresh { lives: false, used_at: Some(NOW - Duration::hours(1)), ..refresh() },
        ] {
            assert_eq!(use_of(&over, NOW), Use::Over, "{over:?}");
        }
    }
}
