-- The targets of upstreams that a node does not send all requests to, as it last said; null until it says so for the first time.
ALTER TABLE regional.node ADD COLUMN unhealthy text;
