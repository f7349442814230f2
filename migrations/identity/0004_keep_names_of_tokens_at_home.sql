-- What a person calls a token is that person's: it stays in the organization's home region. Other regions have a keyed fingerprint of
-- it, by which a repeated request is recognised. Names that are in replicated.token are moved by the service when it starts: only it
-- has the key, and knows its region.
CREATE TABLE resident.token_name (
    token_id        uuid NOT NULL,
    -- The fingerprint of the name. A token that was made in two regions at once under one key may have two.
    print           bytea NOT NULL,
    organization_id uuid NOT NULL,
    principal_id    uuid NOT NULL,
    name            text NOT NULL,
    PRIMARY KEY (token_id, print)
);
CREATE INDEX token_name_by_principal ON resident.token_name (principal_id);

ALTER TABLE replicated.token
    -- Of a personal token. Its `name` is empty.
    ADD COLUMN name_print bytea;

-- Names of tokens that were made here, on their way to the home region: sealed, and deleted when they have arrived.
CREATE TABLE regional.token_name_underway (
    token_id        uuid NOT NULL,
    print           bytea NOT NULL,
    organization_id uuid NOT NULL,
    sealed          bytea NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (token_id, print)
);
