-- When an access token was last used in this region. Written in batches, at most once a minute for each token; other regions have their own.
CREATE TABLE regional.token_use (
    token_id        uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    used_at         timestamptz NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX token_use_by_organization ON regional.token_use (organization_id);
