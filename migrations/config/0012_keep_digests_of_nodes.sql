-- The digest of what a node said that it has applied; null until it says so. `hidden_after` is not read any more: how long a node is listed
-- is a setting.
ALTER TABLE regional.node ADD COLUMN applied_digest bytea;
