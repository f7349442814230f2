-- A snapshot that is being sent to a node: how many buckets it has staged, and of how many. Null when none is.
ALTER TABLE regional.node ADD COLUMN snapshot_buckets integer;
ALTER TABLE regional.node ADD COLUMN snapshot_buckets_of integer;
