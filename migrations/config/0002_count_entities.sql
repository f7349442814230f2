-- How many live entities a control plane holds, as of `entities_version`. Null or of another version than `version`: not
-- known, count them. A release that does not know these columns moves `version` and leaves them.
ALTER TABLE regional.control_plane
    ADD COLUMN entities         bigint,
    ADD COLUMN entities_version bigint;
