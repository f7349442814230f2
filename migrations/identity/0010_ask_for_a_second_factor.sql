-- What shows codes that somebody signs on with beside the password (RFC 6238).
CREATE TABLE resident.second_factor (
    person_id    uuid PRIMARY KEY REFERENCES resident.person (id) ON DELETE CASCADE,
    -- What codes are made of, sealed.
    sealed       bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    -- Null until a code has shown that the person has it. It is asked for from then on.
    confirmed_at timestamptz,
    -- The step of time of the last code that counted: no code counts twice.
    last_step    bigint NOT NULL DEFAULT 0
);

-- Codes for whoever has lost it, once each, by their hashes.
CREATE TABLE resident.recovery_code (
    person_id uuid NOT NULL REFERENCES resident.second_factor (person_id) ON DELETE CASCADE,
    sha256    bytea NOT NULL,
    PRIMARY KEY (person_id, sha256)
);
