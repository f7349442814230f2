-- Each delta tells which revocations still deny: all but those whose deletes it carries. There are few of them at any time.
CREATE INDEX revocation_undone ON regional.revocation (control_plane_id, seq) WHERE NOT done;
