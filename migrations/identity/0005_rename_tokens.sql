-- What tokens are called since they were renamed. A name that was given first stays in replicated.token.
CREATE TABLE replicated.token_rename (
    token_id        uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    name            text NOT NULL,
    renamed_at      timestamptz NOT NULL
);
CREATE INDEX token_rename_by_organization ON replicated.token_rename (organization_id);
