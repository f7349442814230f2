-- People who were invited and have not come yet.
CREATE TABLE resident.invite (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    email           text NOT NULL,
    -- Of the text that the mail carries. It opens the invite once.
    sha256          bytea NOT NULL CONSTRAINT invite_text UNIQUE,
    invited_by      uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    CONSTRAINT invite_email UNIQUE (organization_id, email)
);
CREATE INDEX invite_by_organization ON resident.invite (organization_id, id);

-- Mail that waits to be sent. A row is deleted when the mail server has taken the mail, or when it is given up.
CREATE TABLE resident.mail (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    kind            text NOT NULL,
    recipient       text NOT NULL,
    -- What the recipient may do with the mail, sealed: the database alone does not reveal it.
    sealed          bytea NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL,
    attempts        integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    -- Until then one replica is sending it.
    claimed_until   timestamptz
);
CREATE INDEX mail_by_attempt ON resident.mail (next_attempt_at);
CREATE INDEX mail_by_organization ON resident.mail (organization_id);
