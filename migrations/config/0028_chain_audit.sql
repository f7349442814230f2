-- The audit log can be verified: each organization's entries are a chain of hashes whose end is signed.

-- What an entry says besides. Entries of a release that did not write these are changes that were made.
ALTER TABLE audit
    ADD COLUMN type       text NOT NULL DEFAULT 'change',
    ADD COLUMN outcome    text NOT NULL DEFAULT 'allowed',
    ADD COLUMN problem    text,
    ADD COLUMN actor_kind text,
    ADD COLUMN count      bigint NOT NULL DEFAULT 1,
    ADD COLUMN last_at    timestamptz,
    ADD COLUMN request_id text,
    ADD COLUMN trace_id   text,
    ADD COLUMN method     text,
    ADD COLUMN route      text,
    -- The place in the chain of its organization; null until the entry is linked, within a second.
    ADD COLUMN seq        bigint,
    ADD COLUMN prev_hash  bytea,
    ADD COLUMN hash       bytea,
    ADD COLUMN signature  bytea;

CREATE UNIQUE INDEX audit_by_chain ON audit (organization_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX audit_unlinked ON audit (id) WHERE seq IS NULL;
-- Entries come nearly in the order of their times, so this one costs nearly nothing.
CREATE INDEX audit_by_time ON audit USING brin (at);
-- Nothing reads it any more.
DROP INDEX audit_by_organization;

-- The end of each chain, and where it begins since old entries were removed.
CREATE TABLE audit_chain (
    organization_id uuid PRIMARY KEY,
    seq             bigint NOT NULL,
    hash            bytea NOT NULL,
    signature       bytea NOT NULL,
    floor_seq       bigint NOT NULL DEFAULT 0,
    floor_hash      bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex'),
    floor_signature bytea
) WITH (fillfactor = 50);
