//! Making tokens.

use crate::Answer;
use access::{OpaqueToken, TokenKind};
use ids::{PrincipalId, Region, TokenId};
use replication::Vector;
use time::{Duration, OffsetDateTime};
use web::{Problem, ProblemType};

use super::{TOKENS_PER_PRINCIPAL_MAX, Token, find, usable};
use crate::{
    app::Tx,
    operation::{Operation, TokenMinted, principal_kind},
};

/// How long an idempotency key stands for one request.
const KEY_LIFE: Duration = Duration::hours(24);

pub struct NewToken {
    /// Follows from the request's idempotency key, if it has one: a retry in another region makes the same token.
    pub id: TokenId,
    pub principal: PrincipalId,
    pub kind: TokenKind,
    pub name: String,
    pub expires_at: OffsetDateTime,
    /// What authz has applied here.
    pub vector: Vector,
}

/// Makes a token, with its text.
pub async fn mint(tx: &mut Tx<'_>, region: &Region, new: NewToken) -> Answer<(Token, OpaqueToken)> {
    let at = tx.at();
    let known = find(tx.connection(), new.principal, new.id, at).await?;
    let id = match means(known.as_ref(), &new.name, at)? {
        Meaning::ThisToken => new.id,
        Meaning::AnotherToken => TokenId::generate(),
    };
    let usable = usable(tx.connection(), new.principal, at).await?;
    let others = usable.iter().filter(|(other, _)| *other != id).count();
    if i64::try_from(others).unwrap_or(i64::MAX) >= TOKENS_PER_PRINCIPAL_MAX {
        return Err(Problem::new(
            ProblemType::LimitReached,
            format!("at most {TOKENS_PER_PRINCIPAL_MAX} tokens can be active; revoke one first"),
        )
        .into());
    }
    // Its place in the log is part of its text, by whose hash it is known.
    let text = OpaqueToken::mint(new.kind, region, tx.next_position().seq, rand::random());
    let minted = TokenMinted {
        id,
        sha256: text.sha256(),
        principal_id: new.principal,
        principal_kind: principal_kind(new.kind),
        name: new.name,
        expires_at: new.expires_at,
        vector: new.vector,
    };
    tx.append(Operation::TokenMinted(minted)).await?;
    let token = find(tx.connection(), new.principal, id, at).await?;
    Ok((token.ok_or_else(|| Problem::internal("a token that was just made is not there"))?, text))
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// The token with the id that follows from the key; another text of it, if it is there already.
    ThisToken,
    /// The key was used for another token, too long ago to matter.
    AnotherToken,
}

/// What a request means whose idempotency key leads to `known`, made in this region or another.
fn means(known: Option<&Token>, name: &str, now: OffsetDateTime) -> Result<Meaning, Problem> {
    match known {
        None => Ok(Meaning::ThisToken),
        Some(token) if now - token.created_at >= KEY_LIFE => Ok(Meaning::AnotherToken),
        Some(token) if token.name != name => Err(Problem::new(
            ProblemType::IdempotencyKeyReused,
            "this Idempotency-Key came with another body before; use a new key for a new request",
        )
        .into()),
        Some(token) if token.revoked_at.is_some() => {
            Err(Problem::conflict("the token that this request made has been revoked since").into())
        }
        Some(_) => Ok(Meaning::ThisToken),
    }
}

#[cfg(test)]
mod tests {
    use ids::TokenId;
    use time::{Duration, OffsetDateTime};
    use web::ProblemType;

    use super::{KEY_LIFE, Meaning, Token, means};

    #[test]
    fn a_retried_request_makes_no_second_token() {
        let made = OffsetDateTime::UNIX_EPOCH;
        let token = |revoked: bool| Token {
            id: TokenId::generate(),
            name: "ci".to_owned(),
            state: "active",
            created_at: made,
            expires_at: made + Duration::days(90),
            revoked_at: revoked.then_some(made),
        };
        let soon = made + Duration::minutes(5);
        let refusal = |known: Token, name| means(Some(&known), name, soon).expect_err("refused").kind;

        assert_eq!(means(None, "ci", soon), Ok(Meaning::ThisToken));
        assert_eq!(means(Some(&token(false)), "ci", soon), Ok(Meaning::ThisToken));
        assert_eq!(refusal(token(false), "cd"), ProblemType::IdempotencyKeyReused);
        assert_eq!(refusal(token(true), "ci"), ProblemType::Conflict);
        for known in [token(false), token(true)] {
            assert_eq!(means(Some(&known), "cd", made + KEY_LIFE), Ok(Meaning::AnotherToken));
        }
    }
}
