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

-- Replicated: all that a decision reads.
CREATE SCHEMA replicated;

CREATE TABLE replicated.organization (
    id     uuid PRIMARY KEY,
    status text NOT NULL CHECK (status IN ('active', 'suspended'))
);

CREATE TABLE replicated.principal (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    kind            text NOT NULL CHECK (kind IN ('user', 'system_account')),
    active          boolean NOT NULL,
    not_before      bigint
);
CREATE INDEX principal_by_organization ON replicated.principal (organization_id, id);

-- Access tokens that were revoked before their time, until they would have expired anyway.
CREATE TABLE replicated.revoked_session (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    expires_at      bigint NOT NULL
);

CREATE TABLE replicated.team (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    name            text NOT NULL,
    description     text NOT NULL,
    predefined      boolean NOT NULL DEFAULT false,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT team_name UNIQUE (organization_id, name)
);
CREATE INDEX team_by_organization ON replicated.team (organization_id, id);

CREATE TABLE replicated.membership (
    team_id         uuid NOT NULL REFERENCES replicated.team ON DELETE CASCADE,
    principal_id    uuid NOT NULL REFERENCES replicated.principal ON DELETE CASCADE,
    organization_id uuid NOT NULL,
    PRIMARY KEY (team_id, principal_id)
);
CREATE INDEX membership_by_principal ON replicated.membership (principal_id, team_id);

CREATE TABLE replicated.assignment (
    id               uuid PRIMARY KEY,
    organization_id  uuid NOT NULL,
    team_id          uuid REFERENCES replicated.team ON DELETE CASCADE,
    principal_id     uuid REFERENCES replicated.principal ON DELETE CASCADE,
    role_name        text NOT NULL,
    entity_type_name text NOT NULL,
    entity_id        text NOT NULL,
    entity_region    text NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CHECK ((team_id IS NULL) <> (principal_id IS NULL)),
    CONSTRAINT assignment_once UNIQUE NULLS NOT DISTINCT
        (team_id, principal_id, role_name, entity_type_name, entity_id, entity_region)
);
CREATE INDEX assignment_by_team ON replicated.assignment (team_id, id);
CREATE INDEX assignment_by_principal ON replicated.assignment (principal_id, id);
CREATE INDEX assignment_by_entity ON replicated.assignment (organization_id, entity_id);

-- How far each other origin's log is applied here; changes in the transaction that applies it.
CREATE TABLE origin_cursor (
    origin  text PRIMARY KEY,
    applied bigint NOT NULL
);
