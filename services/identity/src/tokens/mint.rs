//! Making tokens.

use access::{OpaqueToken, TokenFormat, TokenKind};
use ids::{PrincipalId, Region, TokenId};
use random::Random;
use replication::{Position, Vector};
use time::{Duration, OffsetDateTime};

use super::{Error, PER_PRINCIPAL_MAX, Token, TokenState, store};
use crate::{
    app::Tx,
    operation::{Operation, ReplacedText, TokenMinted},
    principal,
};

/// How long an idempotency key stands for one request.
const KEY_LIFE: Duration = Duration::hours(24);

/// A token to be made.
pub struct NewToken {
    /// Follows from the request's idempotency key, if it has one: a request that is repeated in another region makes the same
    /// token.
    pub id: TokenId,
    /// Who will use it.
    pub principal: PrincipalId,
    /// A person's or a system account's.
    pub kind: TokenKind,
    /// What it is called, checked.
    pub name: String,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// What authz had applied here when the request was decided.
    pub vector: Vector,
    /// The token of the request that makes it; `None` for the first one of an organization.
    pub parent: Option<TokenId>,
    /// The text that it replaces. The token is then known, and keeps its id.
    pub replaces: Option<ReplacedText>,
}

/// What makes the texts of tokens.
#[derive(Clone)]
pub struct Maker {
    /// Where they are made.
    pub region: Region,
    /// Where ids and secrets come from.
    pub random: Random,
    /// Of the deployment.
    pub format: TokenFormat,
    /// Whether every region reads a text whose place is sealed.
    pub seals: bool,
}

impl Maker {
    fn text(&self, kind: TokenKind, position: Position) -> OpaqueToken {
        let secret = self.random.bytes();
        match self.seals {
            true => self.format.mint(kind, &self.region, position, secret),
            false => OpaqueToken::plain(kind, &self.region, position.seq, secret),
        }
    }
}

/// Makes a token; answers it with its text, which exists nowhere else.
pub async fn mint(tx: &mut Tx<'_>, maker: &Maker, new: NewToken) -> Result<(Token, OpaqueToken), Error> {
    let at = tx.at();
    let known = store::find(tx.connection(), new.principal, new.id, at).await?;
    let id = match means(known.as_ref(), &new.name, at) {
        _ if new.replaces.is_some() => new.id,
        Ok(Meaning::ThisToken) => new.id,
        Ok(Meaning::AnotherToken) => maker.random.id(at),
        Err(error) => return Err(error),
    };
    let usable = store::usable(tx.connection(), new.principal, at).await?;
    if usable.iter().filter(|(other, _)| *other != id).count() >= PER_PRINCIPAL_MAX {
        return Err(Error::LimitReached);
    }
    // Its place in the log is part of its text, by whose hash it is known.
    let text = maker.text(new.kind, tx.next_position());
    let minted = TokenMinted {
        id,
        sha256: text.sha256(),
        principal_id: new.principal,
        principal_kind: principal::of_token(new.kind),
        name: new.name,
        expires_at: new.expires_at,
        vector: new.vector,
        parent: new.parent,
        replaces: new.replaces,
    };
    tx.append(Operation::TokenMinted(minted)).await?;
    let token = store::find(tx.connection(), new.principal, id, at).await?.ok_or(Error::Lost)?;
    if token.state == TokenState::Revoked {
        // The token that it was made with ended while the request was under way.
        return Err(Error::ParentEnded);
    }
    Ok((token, text))
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// The token with the id that follows from the key; another text of it, if it is there already.
    ThisToken,
    /// The key was used for another token, too long ago to matter.
    AnotherToken,
}

/// What a request means whose idempotency key leads to the token `known`, made in this region or another.
fn means(known: Option<&Token>, name: &str, now: OffsetDateTime) -> Result<Meaning, Error> {
    match known {
        None => Ok(Meaning::ThisToken),
        Some(token) if now - token.created_at >= KEY_LIFE => Ok(Meaning::AnotherToken),
        Some(token) if token.name != name => Err(Error::KeyReused),
        Some(token) if token.state == TokenState::Revoked => Err(Error::RevokedSince),
        Some(_) => Ok(Meaning::ThisToken),
    }
}

#[cfg(test)]
mod tests {
    use ids::TokenId;
    use time::{Duration, OffsetDateTime};

    use super::{Error, KEY_LIFE, Meaning, Token, TokenState, means};

    #[test]
    fn a_repeated_request_makes_no_second_token() {
        let made = OffsetDateTime::UNIX_EPOCH;
        let token = |state: TokenState| Token {
            id: TokenId::generate(),
            name: "ci".to_owned(),
            state,
            created_at: made,
            expires_at: made + Duration::days(90),
            revoked_at: (state == TokenState::Revoked).then_some(made),
        };
        let (active, revoked) = (token(TokenState::Active), token(TokenState::Revoked));
        let soon = made + Duration::minutes(5);

        assert!(matches!(means(None, "ci", soon), Ok(Meaning::ThisToken)));
        assert!(matches!(means(Some(&active), "ci", soon), Ok(Meaning::ThisToken)));
        assert!(matches!(means(Some(&active), "cd", soon), Err(Error::KeyReused)));
        assert!(matches!(means(Some(&revoked), "ci", soon), Err(Error::RevokedSince)));
        for known in [active, revoked] {
            assert!(matches!(means(Some(&known), "cd", made + KEY_LIFE), Ok(Meaning::AnotherToken)));
        }
    }
}
