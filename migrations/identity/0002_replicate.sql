-- The log (libs/postgres): this origin's operations and those of other regions, and the order in which they were applied
-- here. It replaces a log that no other region could read and no released version wrote.
DO $$ BEGIN
    IF EXISTS (SELECT FROM log_operation) THEN
        RAISE EXCEPTION 'this database was written by a version before the first release: begin with an empty one';
    END IF;
END $$;
DROP TABLE log_operation;
DROP TABLE log_head;

-- One row. Its lock orders everything that changes replicated rows of this database.
CREATE TABLE log_head (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    -- Of the last row of log_applied.
    position     bigint NOT NULL DEFAULT 0,
    -- In which this origin writes. Raised after every restore.
    epoch        bigint NOT NULL DEFAULT 1,
    -- Start of the database server under which this origin was last known to be whole. Another start may be a copy from the
    -- past: nothing is written then until it is confirmed.
    confirmed_at timestamptz
) WITH (fillfactor = 50);
INSERT INTO log_head DEFAULT VALUES;

-- How far each origin's log is applied here, this database's own included.
CREATE TABLE log_origin (
    origin text PRIMARY KEY,
    epoch  bigint NOT NULL,
    seq    bigint NOT NULL,
    hash   bytea NOT NULL
) WITH (fillfactor = 50);

-- The operations, as their origins wrote them.
CREATE TABLE log_operation (
    origin          text NOT NULL,
    seq             bigint NOT NULL,
    epoch           bigint NOT NULL,
    id              uuid NOT NULL,
    organization_id uuid NOT NULL,
    actor_id        uuid,
    authority       uuid[] NOT NULL,
    prev_hash       bytea NOT NULL,
    deps            text NOT NULL,
    kind            text NOT NULL,
    body            text NOT NULL,
    at              bigint NOT NULL,
    traceparent     text NOT NULL,
    PRIMARY KEY (origin, seq)
);
CREATE INDEX log_operation_by_organization ON log_operation (organization_id);

-- What came of them here, in the order of applying.
CREATE TABLE log_applied (
    position        bigint PRIMARY KEY,
    origin          text NOT NULL,
    seq             bigint NOT NULL,
    epoch           bigint NOT NULL,
    organization_id uuid NOT NULL,
    -- False for a revocation that took effect before its turn.
    in_turn         boolean NOT NULL,
    effects         text NOT NULL
);
CREATE INDEX log_applied_by_operation ON log_applied (origin, seq);

-- The last operation of each origin that touched an organization.
CREATE TABLE log_organization (
    organization_id uuid NOT NULL,
    origin          text NOT NULL,
    epoch           bigint NOT NULL,
    seq             bigint NOT NULL,
    PRIMARY KEY (organization_id, origin)
) WITH (fillfactor = 50);

-- Names are unique where they are made: checked under the lock of log_head, in the organization's home region. An
-- operation has to be applicable in every region, after a fork too, so the rows themselves do not demand it.
ALTER TABLE replicated.organization DROP CONSTRAINT organization_name;
CREATE INDEX organization_by_name ON replicated.organization (name);
ALTER TABLE replicated.system_account DROP CONSTRAINT system_account_name;
CREATE INDEX system_account_by_name ON replicated.system_account (organization_id, name);

-- A request to make a token that is retried in another region, with its Idempotency-Key, makes the same token: one id,
-- and a text for each region.
ALTER TABLE replicated.token
    DROP CONSTRAINT token_id,
    -- What authz had applied where it was minted, as JSON: position by origin.
    ADD COLUMN vector text NOT NULL DEFAULT '{}';
CREATE INDEX token_by_id ON replicated.token (id);
CREATE INDEX token_by_organization ON replicated.token (organization_id);

-- Tombstones: what is revoked or removed stays so, whatever arrives after it.
CREATE TABLE replicated.revoked_token (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    revoked_at      timestamptz NOT NULL
);
CREATE INDEX revoked_token_by_organization ON replicated.revoked_token (organization_id);

-- Principals; no id is used again.
CREATE TABLE replicated.removed (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    removed_at      timestamptz NOT NULL
);
CREATE INDEX removed_by_organization ON replicated.removed (organization_id);

-- The public halves of before are in no log; the region makes a key anew.
DELETE FROM regional.signing_secret;
ALTER TABLE regional.signing_secret
    -- The public half comes and goes with the log.
    DROP CONSTRAINT signing_secret_id_fkey,
    ADD COLUMN created_at timestamptz NOT NULL,
    -- The place of the public half in this region's log.
    ADD COLUMN epoch bigint NOT NULL,
    ADD COLUMN seq bigint NOT NULL,
    -- Whether the other regions had the public half, so that tokens may be signed.
    ADD COLUMN signs boolean NOT NULL DEFAULT false;

-- For digests: the same number whatever the time zone of the session.
CREATE FUNCTION replicated.microseconds(at timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE
    RETURN (extract(epoch FROM at) * 1000000)::bigint;
