//! Making tokens.

use access::{OpaqueToken, TokenFormat, TokenKind};
use ids::{PrincipalId, Region, TokenId};
use random::Random;
use replication::{Position, Vector};
use seal::SealKey;
use time::{Duration, OffsetDateTime};

use super::{
    Error, Token, TokenState,
    names::{self, Print, Prints},
    store,
};
use crate::{
    app::Tx,
    operation::{Operation, ReplacedText, TokenMinted},
    organizations, principal,
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
    /// What it is called.
    pub name: Name,
    /// When it ends by itself.
    pub expires_at: OffsetDateTime,
    /// What authz had applied here when the request was decided.
    pub vector: Vector,
    /// The token of the request that makes it; `None` for the first one of an organization.
    pub parent: Option<TokenId>,
    /// The text that it replaces. The token is then known, and keeps its id.
    pub replaces: Option<ReplacedText>,
}

/// What a token is called.
pub enum Name {
    /// By the request that makes it; checked.
    Given(String),
    /// As its text before was, whether this region knows how or not.
    Kept(Box<Token>),
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
    /// Makes fingerprints of people's names for tokens.
    pub prints: Prints,
    /// Seals those names, until the home region has them.
    pub seal: SealKey,
    /// Most tokens of one principal that are neither revoked nor expired.
    pub per_principal_max: usize,
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
    let organization = tx.organization();
    let id = match &new.name {
        Name::Kept(_) => new.id,
        Name::Given(name) => {
            let known = store::find(tx.connection(), new.principal, new.id, at).await?;
            let is_called_so = |token: &Token| match &token.print {
                Some(print) => maker.prints.fits(organization, name, print),
                None => token.first_name.as_ref().or(token.name.as_ref()) == Some(name),
            };
            match means(known.as_ref(), is_called_so, at)? {
                Meaning::ThisToken => new.id,
                Meaning::AnotherToken => maker.random.id(at),
            }
        }
    };
    // A person's text goes into no log.
    let (public, private, name_print) = match new.name {
        Name::Given(name) if new.kind == TokenKind::Personal => {
            let print = maker.prints.of(organization, &name);
            (String::new(), Some(name), Some(print))
        }
        Name::Given(name) => (name, None, None),
        Name::Kept(before) => match before.print {
            Some(print) => (String::new(), None, Some(print)),
            None => (before.name.unwrap_or_default(), None, None),
        },
    };
    if store::count_others(tx.connection(), new.principal, id, at).await? >= maker.per_principal_max {
        return Err(Error::LimitReached(maker.per_principal_max));
    }
    let own = organizations::store::find(&mut *tx.connection(), organization).await?;
    if let Some(most) = own.and_then(|own| own.limits.access_tokens) {
        let usable = store::count_usable(tx.connection(), organization, id, at).await?;
        if usable >= u64::from(most.get()) {
            return Err(Error::OrganizationLimitReached(most.get()));
        }
    }
    // Its place in the log is part of its text, by whose hash it is known.
    let text = maker.text(new.kind, tx.next_position());
    let minted = TokenMinted {
        id,
        sha256: text.sha256(),
        principal_id: new.principal,
        principal_kind: principal::of_token(new.kind),
        name: public,
        name_print,
        expires_at: new.expires_at,
        vector: new.vector,
        parent: new.parent,
        replaces: new.replaces,
        session: false,
    };
    tx.append(Operation::TokenMinted(minted)).await?;
    if let (Some(name), Some(print)) = (&private, &name_print) {
        keep(tx, maker, id, print, name).await?;
    }
    let mut token = store::find(tx.connection(), new.principal, id, at).await?.ok_or(Error::Lost)?;
    // Whoever gave the name is shown it, wherever it is kept.
    token.name = private.or(token.name);
    if token.state == TokenState::Revoked {
        // The token that it was made with ended while the request was under way.
        return Err(Error::ParentEnded);
    }
    Ok((token, text))
}

/// Keeps the name of a token of a person, or sends it to where it is kept.
async fn keep(tx: &mut Tx<'_>, maker: &Maker, id: TokenId, print: &Print, name: &str) -> Result<(), Error> {
    let organization = tx.organization();
    let known = organizations::store::find(&mut *tx.connection(), organization).await?;
    let is_home = known.is_some_and(|known| known.home_region == maker.region);
    if is_home {
        names::store::keep(tx.connection(), organization, id, print, name).await?;
    } else {
        let sealed = maker.seal.seal(&names::store::purpose(id), name.as_bytes());
        names::store::send(tx.connection(), organization, id, print, &sealed).await?;
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    /// The token with the id that follows from the key; another text of it, if it is there already.
    ThisToken,
    /// The key was used for another token, too long ago to matter.
    AnotherToken,
}

/// What a request means whose idempotency key leads to the token `known`, made in this region or another.
fn means(
    known: Option<&Token>,
    is_called_so: impl FnOnce(&Token) -> bool,
    now: OffsetDateTime,
) -> Result<Meaning, Error> {
    match known {
        None => Ok(Meaning::ThisToken),
        Some(token) if now - token.created_at >= KEY_LIFE => Ok(Meaning::AnotherToken),
        Some(token) if !is_called_so(token) => Err(Error::KeyReused),
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
            name: None,
            first_name: None,
            print: None,
            state,
            created_at: made,
            updated_at: made,
            expires_at: made + Duration::days(90),
            revoked_at: (state == TokenState::Revoked).then_some(made),
            last_used_at: None,
        };
        let (active, revoked) = (token(TokenState::Active), token(TokenState::Revoked));
        let soon = made + Duration::minutes(5);
        let (so, otherwise) = (|_: &Token| true, |_: &Token| false);

        assert!(matches!(means(None, so, soon), Ok(Meaning::ThisToken)));
        assert!(matches!(means(Some(&active), so, soon), Ok(Meaning::ThisToken)));
        assert!(matches!(means(Some(&active), otherwise, soon), Err(Error::KeyReused)));
        assert!(matches!(means(Some(&revoked), so, soon), Err(Error::RevokedSince)));
        for known in [active, revoked] {
            assert!(matches!(means(Some(&known), otherwise, made + KEY_LIFE), Ok(Meaning::AnotherToken)));
        }
    }
}
