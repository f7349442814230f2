-- Which database this is: the server's identifier, the database's and the timeline of its log. Another value than the stored one says that
-- the database was put back from a copy, or is a standby that took over: nobody knows then whether it has all that nodes have seen.
-- Null until it is first read.
CREATE TABLE regional.history (
    single   boolean PRIMARY KEY DEFAULT true CHECK (single),
    identity text
);
INSERT INTO regional.history DEFAULT VALUES;
