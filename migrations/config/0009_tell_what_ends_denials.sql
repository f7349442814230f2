-- The version that deletes what is revoked: a node that holds it needs no revocation any more. Null as long as the delete is not committed, and
-- in rows of earlier releases.
ALTER TABLE regional.revocation ADD COLUMN version bigint;
CREATE INDEX revocation_by_version ON regional.revocation (control_plane_id, version) WHERE version IS NOT NULL;
