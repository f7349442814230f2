-- A token ends with the one that it was made with, and a text of it with the text that replaces it.
ALTER TABLE replicated.token
    -- The token that it was made with. That one may not be here yet.
    ADD COLUMN parent_id uuid,
    -- When this text ends because another one replaces it. `revoked_at` is about the token, whatever its texts.
    ADD COLUMN replaced_at timestamptz;
CREATE INDEX token_by_parent ON replicated.token (parent_id) WHERE parent_id IS NOT NULL;

-- Texts that were replaced, also those that arrive later.
CREATE TABLE replicated.replaced_text (
    sha256          bytea PRIMARY KEY,
    organization_id uuid NOT NULL,
    replaced_at     timestamptz NOT NULL
);
CREATE INDEX replaced_text_by_organization ON replicated.replaced_text (organization_id);

-- Entries of other regions that ran this release before this one did.
UPDATE replicated.token AS t SET parent_id = (o.body::jsonb ->> 'parent')::uuid
FROM log_operation AS o
WHERE o.kind = 'token.minted' AND o.body::jsonb ? 'parent' AND t.sha256 = decode(o.body::jsonb ->> 'sha256', 'hex');
