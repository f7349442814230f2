-- The origin's signature of an operation (libs/replication, signature.rs): 8 bytes that name the key, and 64 of Ed25519. Empty for
-- what was written by a release that did not sign, until the signature is added.
ALTER TABLE log_operation
    ADD COLUMN signature bytea CONSTRAINT log_operation_signature CHECK (octet_length(signature) = 72);

-- Regions that sign what they write. From the first time that one of them is heard to do so, nothing of it counts that is not
-- signed.
CREATE TABLE log_signing_region (
    region text PRIMARY KEY
);
