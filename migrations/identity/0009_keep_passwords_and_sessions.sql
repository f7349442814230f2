-- What people sign on with.
CREATE TABLE resident.password (
    person_id  uuid PRIMARY KEY REFERENCES resident.person (id) ON DELETE CASCADE,
    -- Argon2id in PHC form.
    hash       text NOT NULL,
    changed_at timestamptz NOT NULL
);

-- Mails that set a new password, once each.
CREATE TABLE resident.password_reset (
    sha256          bytea PRIMARY KEY,
    organization_id uuid NOT NULL,
    -- Nobody's where nobody has the address that was asked for: what is stored does not depend on it.
    person_id       uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    expires_at      timestamptz NOT NULL
);
CREATE INDEX password_reset_by_person ON resident.password_reset (person_id);
CREATE INDEX password_reset_by_end ON resident.password_reset (expires_at);

-- Attempts that failed, by a hash of whom they were about or where they came from.
CREATE TABLE resident.failed_attempt (
    subject      bytea PRIMARY KEY,
    failures     integer NOT NULL,
    last_at      timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX failed_attempt_by_time ON resident.failed_attempt (last_at);

-- Sessions of the console. Each has a row of the same id in replicated.token, by which it is revoked in every region.
CREATE TABLE resident.session (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    person_id       uuid NOT NULL REFERENCES resident.person (id) ON DELETE CASCADE,
    address         text NOT NULL,
    user_agent      text NOT NULL,
    created_at      timestamptz NOT NULL,
    last_used_at    timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL,
    rotations       integer NOT NULL DEFAULT 0
);
CREATE INDEX session_by_person ON resident.session (person_id, id);
CREATE INDEX session_by_end ON resident.session (ends_at);

-- What a session goes on with: each is used once, and names the next one.
CREATE TABLE resident.refresh_token (
    sha256     bytea PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES resident.session (id) ON DELETE CASCADE,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    -- The next one, sealed with a key that only the text of this one gives.
    next       bytea
);
CREATE INDEX refresh_token_by_session ON resident.refresh_token (session_id);
