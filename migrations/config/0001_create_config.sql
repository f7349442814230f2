-- What every service database has (libs/postgres): idempotency keys and audit.
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

-- Regional: control planes and what belongs to them. Nothing of it leaves the region.
CREATE SCHEMA regional;

CREATE TABLE regional.control_plane (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    name            text NOT NULL,
    description     text NOT NULL,
    labels          text NOT NULL,
    -- The configuration's head. `epoch` changes when its history does.
    epoch           bigint NOT NULL DEFAULT 1,
    version         bigint NOT NULL DEFAULT 0,
    digest          bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    committed_at    timestamptz NOT NULL DEFAULT now(),
    -- W3C trace context of the newest commit.
    traceparent     text NOT NULL DEFAULT '',
    -- No tombstone at or below this version is kept: a node that holds less takes the buckets instead of a delta.
    floor           bigint NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT control_plane_name UNIQUE (organization_id, name)
) WITH (fillfactor = 50);

-- One row per entity; a deleted one stays as a tombstone until the floor passes it.
CREATE TABLE regional.entity (
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    kind             text NOT NULL,
    id               uuid NOT NULL,
    bucket           smallint NOT NULL,
    version          bigint NOT NULL,
    body             text NOT NULL,
    secret           bytea,
    deleted          boolean NOT NULL,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL,
    PRIMARY KEY (control_plane_id, kind, id)
);
CREATE INDEX entity_by_version ON regional.entity (control_plane_id, version);
CREATE INDEX entity_by_bucket ON regional.entity (control_plane_id, bucket, kind, id) WHERE NOT deleted;

-- Values that at most one entity of a kind may have.
CREATE TABLE regional.entity_key (
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    kind             text NOT NULL,
    field            text NOT NULL,
    value            text NOT NULL,
    entity_id        uuid NOT NULL,
    PRIMARY KEY (control_plane_id, kind, field, value)
);

-- Which entity refers to which.
CREATE TABLE regional.entity_ref (
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    from_kind        text NOT NULL,
    from_id          uuid NOT NULL,
    field            text NOT NULL,
    to_kind          text NOT NULL,
    to_id            uuid NOT NULL,
    cascade          boolean NOT NULL,
    PRIMARY KEY (control_plane_id, from_kind, from_id, field)
);
CREATE INDEX entity_ref_by_target ON regional.entity_ref (control_plane_id, to_kind, to_id, from_kind, from_id);

-- The lane of revocations: its own counter, its own lock. A row that is not `done` is a delete still to be committed.
CREATE TABLE regional.revocation_head (
    control_plane_id uuid PRIMARY KEY REFERENCES regional.control_plane ON DELETE CASCADE,
    seq              bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE regional.revocation (
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    seq              bigint NOT NULL,
    kind             text NOT NULL,
    id               uuid NOT NULL,
    at               timestamptz NOT NULL DEFAULT now(),
    done             boolean NOT NULL DEFAULT false,
    PRIMARY KEY (control_plane_id, seq)
);
CREATE INDEX revocation_to_do ON regional.revocation (at) WHERE NOT done;

CREATE TABLE regional.enrolment_token (
    id               uuid PRIMARY KEY,
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    name             text NOT NULL,
    secret_hash      bytea NOT NULL,
    uses_max         integer NOT NULL,
    uses             integer NOT NULL DEFAULT 0,
    created_at       timestamptz NOT NULL DEFAULT now(),
    expires_at       timestamptz NOT NULL
);
CREATE INDEX enrolment_token_by_control_plane ON regional.enrolment_token (control_plane_id, id);

CREATE TABLE regional.node (
    control_plane_id       uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    id                     uuid NOT NULL,
    hostname               text NOT NULL,
    software_version       text NOT NULL DEFAULT '',
    enrolment_token_id     uuid,
    certificate_expires_at timestamptz NOT NULL,
    -- The stream that speaks for the node now; a stream that ends later than its successor began must not mark it gone.
    session_id             uuid,
    last_seen_at           timestamptz,
    left_at                timestamptz,
    -- Not listed after this, unless it is heard of again.
    hidden_after           timestamptz NOT NULL DEFAULT now() + interval '1 hour',
    applied_epoch          bigint NOT NULL DEFAULT 0,
    applied_version        bigint NOT NULL DEFAULT 0,
    applied_at             timestamptz,
    digest_matches         boolean NOT NULL DEFAULT false,
    derive_us              bigint NOT NULL DEFAULT 0,
    commit_us              bigint NOT NULL DEFAULT 0,
    last_error             text NOT NULL DEFAULT '',
    quarantined            text NOT NULL DEFAULT '[]',
    created_at             timestamptz NOT NULL DEFAULT now(),
    -- Removed by an operator: its certificate opens nothing any more. Kept until the certificate has expired.
    removed_at             timestamptz,
    PRIMARY KEY (control_plane_id, id)
);
