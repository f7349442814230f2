-- What every service database has (libs/postgres): idempotency keys, audit, and the log of this origin.
CREATE TABLE idempotency (
    id            bytea PRIMARY KEY,
    fingerprint   bytea NOT NULL,
    sealed_answer bytea,
    created_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE audit (
    id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    organization_id uuid NOT NULL,
    actor_id        uuid,
    session_id      uuid,
    action          text NOT NULL,
    target          text NOT NULL
);
CREATE INDEX audit_by_organization ON audit (organization_id, id);

CREATE TABLE log_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    seq      bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
INSERT INTO log_head DEFAULT VALUES;

CREATE TABLE log_operation (
    seq             bigint PRIMARY KEY,
    at              timestamptz NOT NULL DEFAULT now(),
    organization_id uuid NOT NULL,
    kind            text NOT NULL,
    body            text NOT NULL,
    traceparent     text NOT NULL
);

-- Resident: people. Never leaves the organization's home region.
CREATE SCHEMA resident;

CREATE TABLE resident.person (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    email           text NOT NULL,
    full_name       text NOT NULL,
    active          boolean NOT NULL DEFAULT true,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT person_email UNIQUE (organization_id, email)
);

-- Replicated: what every region needs to know a caller by. No personal data.
CREATE SCHEMA replicated;

CREATE TABLE replicated.organization (
    id          uuid PRIMARY KEY,
    name        text NOT NULL CONSTRAINT organization_name UNIQUE,
    owner_id    uuid NOT NULL,
    home_region text NOT NULL,
    state       text NOT NULL DEFAULT 'active',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE replicated.system_account (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    name            text NOT NULL,
    description     text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT system_account_name UNIQUE (organization_id, name)
);
CREATE INDEX system_account_by_organization ON replicated.system_account (organization_id, id);

-- A personal or system access token, by the hash of its text.
CREATE TABLE replicated.token (
    sha256          bytea PRIMARY KEY,
    id              uuid NOT NULL CONSTRAINT token_id UNIQUE,
    organization_id uuid NOT NULL,
    principal_id    uuid NOT NULL,
    principal_kind  text NOT NULL CHECK (principal_kind IN ('user', 'system_account')),
    name            text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL,
    revoked_at      timestamptz
);
CREATE INDEX token_by_principal ON replicated.token (principal_id, id);

-- Public halves of the keys that sign short-lived tokens.
CREATE TABLE replicated.signing_key (
    id         text PRIMARY KEY,
    jwk        text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Regional: what only this region holds.
CREATE SCHEMA regional;

-- Private halves of this region's own signing keys, sealed.
CREATE TABLE regional.signing_secret (
    id     text PRIMARY KEY REFERENCES replicated.signing_key,
    sealed bytea NOT NULL
);
