//! What mails say.

use time::{OffsetDateTime, macros::format_description};

use super::{Kind, Says};

/// Subject and text of a mail; `None` for one that nobody gets. `base` is where its link leads, without a slash at the end.
///
/// The credential stands behind a `#`: browsers send that part of an address to no server, so it is in no server's log.
pub(super) fn write(
    kind: Kind,
    says: &Says,
    base: &str,
    expires_at: OffsetDateTime,
) -> Option<(String, String)> {
    let Says { organization, credential } = says;
    let until = expires_at
        .format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
        .unwrap_or_else(|_| expires_at.to_string());
    match kind {
        Kind::Invite => Some((
            format!("Invitation to {organization}"),
            format!(
                "You are invited to work with the API gateways of {organization}.\n\n\
                 Open this link to choose your name and a password. It works once, until {until}:\n\n\
                 {base}/invite#{credential}\n\n\
                 If you did not expect this, you need not do anything.\n"
            ),
        )),
        Kind::PasswordReset => Some((
            format!("A new password for {organization}"),
            format!(
                "Somebody asked for a new password for your account with {organization}.\n\n\
                 Open this link to choose one. It works once, until {until}:\n\n\
                 {base}/password#{credential}\n\n\
                 If it was not you, you need not do anything: your password stays as it is.\n"
            ),
        )),
        Kind::Decoy => None,
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{Kind, Says, write};

    #[test]
    fn a_mail_names_the_organization_its_link_and_its_end() {
        let says = Says { organization: "Acme".to_owned(), credential: "lbi_1_2".to_owned() };
        let (subject, text) =
            write(Kind::Invite, &says, "https://console.example", datetime!(2100-01-08 09:05 UTC))
                .expect("a mail");
        assert_eq!(subject, "Invitation to Acme");
        assert!(text.contains("\nhttps://console.example/invite#lbi_1_2\n"), "{text}");
        assert!(text.contains("until 2100-01-08 09:05 UTC"), "{text}");
        assert!(write(Kind::Decoy, &says, "", datetime!(2100-01-08 09:05 UTC)).is_none());
    }
}
