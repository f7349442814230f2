-- An organization that is deleted leaves its row, so that its id is never used again.
ALTER TABLE replicated.organization DROP CONSTRAINT organization_status_check;
ALTER TABLE replicated.organization
    ADD CONSTRAINT organization_status_check CHECK (status IN ('active', 'suspended', 'removed'));
