-- As in identity, which alone keeps the clients of entries. Here it is null.
ALTER TABLE audit ADD COLUMN client_hash bytea;
