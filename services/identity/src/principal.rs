//! Kinds of principals, as tables and tokens name them.

use access::{PrincipalKind, TokenKind};
use postgres::Error;

/// What the column `principal_kind` says for `kind`.
pub const fn to_column(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::SystemAccount => "system_account",
        PrincipalKind::Operator => "operator",
    }
}

/// The kind that the column `principal_kind` names. A word that this release does not know is an error: nobody is let in as
/// something that he may not be.
pub fn from_column(text: &str) -> Result<PrincipalKind, Error> {
    match text {
        "user" => Ok(PrincipalKind::User),
        "system_account" => Ok(PrincipalKind::SystemAccount),
        "operator" => Ok(PrincipalKind::Operator),
        other => Err(Error::undecodable(format!("`{other}` is no kind of principal"))),
    }
}

/// Who uses tokens of this kind.
pub const fn of_token(kind: TokenKind) -> PrincipalKind {
    match kind {
        TokenKind::Personal => PrincipalKind::User,
        TokenKind::System => PrincipalKind::SystemAccount,
        TokenKind::Operator => PrincipalKind::Operator,
    }
}

#[cfg(test)]
mod tests {
    use access::PrincipalKind;

    use super::{from_column, to_column};

    #[test]
    fn a_kind_comes_back_from_its_column_and_an_unknown_one_is_an_error() {
        for kind in [PrincipalKind::User, PrincipalKind::SystemAccount, PrincipalKind::Operator] {
            assert_eq!(from_column(to_column(kind)).expect("known"), kind);
        }
        for unknown in ["", "robot", "User"] {
            assert!(from_column(unknown).is_err(), "{unknown}");
        }
    }
}
