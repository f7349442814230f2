-- How much the regular expressions in a control plane's routes take to compile, as of `path_cost_version`. Null or of another
-- version than `version`: not known, count anew. A release that does not know these columns moves `version` and leaves them.
ALTER TABLE regional.control_plane
    ADD COLUMN path_cost         bigint,
    ADD COLUMN path_cost_version bigint;
