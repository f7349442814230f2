-- Credentials with an end: gateways deny them from then on, and a sweep deletes them.
ALTER TABLE regional.entity ADD COLUMN expires_at timestamptz;
CREATE INDEX entity_by_expiry ON regional.entity (expires_at) WHERE expires_at IS NOT NULL AND NOT deleted;

-- What a node's gateway can serve: the wire names of kinds and the names of plugins, as JSON lists, and the version of the model.
ALTER TABLE regional.node
    ADD COLUMN kinds         text NOT NULL DEFAULT '[]',
    ADD COLUMN plugins       text NOT NULL DEFAULT '[]',
    ADD COLUMN model_version integer NOT NULL DEFAULT 0;
