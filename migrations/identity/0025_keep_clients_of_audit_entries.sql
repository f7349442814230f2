-- Where the requests of audit entries came from, in the organization's home region. The entry has a salted hash of it, which the chain of
-- entries covers: what is changed here is found, and what is deleted here leaves the chain whole.
ALTER TABLE audit ADD COLUMN client_hash bytea;

CREATE TABLE resident.audit_client (
    client_hash     bytea PRIMARY KEY,
    organization_id uuid NOT NULL,
    salt            bytea NOT NULL,
    -- Empty where nobody says it.
    address         text NOT NULL,
    user_agent      text NOT NULL
);
CREATE INDEX audit_client_by_address ON resident.audit_client (organization_id, address);
