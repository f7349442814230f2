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

-- Where an organization's records are written.
ALTER TABLE replicated.organization ADD COLUMN home_region text NOT NULL;

-- Ids of principals and teams that are gone: they never come back, in whatever order operations arrive.
CREATE TABLE replicated.removed (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL
);
CREATE INDEX removed_by_organization ON replicated.removed (organization_id);

-- Which region forgets the session once it would have expired.
ALTER TABLE replicated.revoked_session ADD COLUMN region text NOT NULL;

-- Names are unique where they are made: checked under the lock of log_head, at the organization's home. An operation has
-- to be applicable in every region, so the rows themselves do not demand it.
ALTER TABLE replicated.team DROP CONSTRAINT team_name;
CREATE INDEX team_by_name ON replicated.team (organization_id, name);

-- Rows come and go by the merge rule, not by what they refer to.
ALTER TABLE replicated.membership DROP CONSTRAINT membership_team_id_fkey;
ALTER TABLE replicated.membership DROP CONSTRAINT membership_principal_id_fkey;
ALTER TABLE replicated.membership ADD COLUMN id uuid NOT NULL UNIQUE;
CREATE INDEX membership_by_organization ON replicated.membership (organization_id);
-- The id says it all.
ALTER TABLE replicated.assignment DROP CONSTRAINT assignment_once;
ALTER TABLE replicated.assignment DROP CONSTRAINT assignment_team_id_fkey;
ALTER TABLE replicated.assignment DROP CONSTRAINT assignment_principal_id_fkey;

-- The history of edges, which the merge rule needs: every grant of a membership or an assignment, and every revocation of
-- one or of what grants were based on.
CREATE TABLE replicated.edge_grant (
    origin          text NOT NULL,
    seq             bigint NOT NULL,
    epoch           bigint NOT NULL,
    organization_id uuid NOT NULL,
    edge_id         uuid NOT NULL,
    deps            text NOT NULL,
    authority       uuid[] NOT NULL,
    -- By a revocation of the edge.
    ended           boolean NOT NULL,
    -- Made on what was revoked at the same time.
    void            boolean NOT NULL,
    PRIMARY KEY (edge_id, origin, epoch, seq)
);
CREATE INDEX edge_grant_by_organization ON replicated.edge_grant (organization_id, origin, seq);

CREATE TABLE replicated.revocation (
    origin          text NOT NULL,
    seq             bigint NOT NULL,
    epoch           bigint NOT NULL,
    organization_id uuid NOT NULL,
    -- An edge, a principal or a session.
    subject_id      uuid NOT NULL,
    deps            text NOT NULL,
    PRIMARY KEY (subject_id, origin, epoch, seq)
);
CREATE INDEX revocation_by_organization ON replicated.revocation (organization_id);
