-- A session of the console is revoked like a token, and has no text that anybody could send. It is no entry of a person's list of tokens.
ALTER TABLE replicated.token ADD COLUMN is_session boolean NOT NULL DEFAULT false;

-- Entries of other regions that ran this release before this one did.
UPDATE replicated.token AS t SET is_session = true
FROM log_operation AS o
WHERE o.kind = 'token.minted' AND o.body::jsonb ? 'session' AND t.sha256 = decode(o.body::jsonb ->> 'sha256', 'hex');
