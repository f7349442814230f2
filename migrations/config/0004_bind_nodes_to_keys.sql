-- The key that a node proves itself with: SHA-256 of the public key in its certificate (SubjectPublicKeyInfo, DER). Only certificates
-- for this key are issued for the node, and accepted. Null for a node that was enrolled before this was kept, until it renews its
-- certificate.
ALTER TABLE regional.node
    ADD COLUMN key_sha256 bytea CONSTRAINT node_key_sha256 CHECK (octet_length(key_sha256) = 32);
