-- What the platform operator sets for one organization, and how an organization ends.
ALTER TABLE replicated.organization
    -- In place of the limits of the settings: `{"requests_per_second": 50}`. Null: those of the settings.
    ADD COLUMN limits jsonb,
    -- Suspended for good: its data is being deleted in every region.
    ADD COLUMN deleting boolean NOT NULL DEFAULT false,
    -- When its data was deleted. The row stays, with an empty name, so that the id is never used again.
    ADD COLUMN removed_at timestamptz;

-- The platform operator belongs to no organization: its tokens stand under an id of zeros.
ALTER TABLE replicated.token DROP CONSTRAINT token_principal_kind_check;
ALTER TABLE replicated.token
    ADD CONSTRAINT token_principal_kind_check CHECK (principal_kind IN ('user', 'system_account', 'operator'));
