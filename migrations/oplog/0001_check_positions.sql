-- The tables of a log of operations (libs/oplog), in every database that has one. They were made by each service's own
-- migrations; what changes in them from here on stands in this folder, once, and is recorded in a migrations table of its own.

-- A position is an epoch, which is an unsigned 32-bit number, and a sequence number, which is never negative. What a log holds
-- can therefore always be read back as what was written.
ALTER TABLE log_head
    ADD CONSTRAINT log_head_epoch CHECK (epoch BETWEEN 0 AND 4294967295);
ALTER TABLE log_origin
    ADD CONSTRAINT log_origin_position CHECK (epoch BETWEEN 0 AND 4294967295 AND seq >= 0);
ALTER TABLE log_operation
    ADD CONSTRAINT log_operation_position CHECK (epoch BETWEEN 0 AND 4294967295 AND seq > 0);
ALTER TABLE log_applied
    ADD CONSTRAINT log_applied_position CHECK (epoch BETWEEN 0 AND 4294967295 AND seq >= 0);
ALTER TABLE log_organization
    ADD CONSTRAINT log_organization_position CHECK (epoch BETWEEN 0 AND 4294967295 AND seq >= 0);
