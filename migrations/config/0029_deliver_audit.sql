-- Where the region's audit log is delivered: one webhook of each organization that wants one.
CREATE TABLE regional.audit_webhook (
    organization_id uuid PRIMARY KEY,
    endpoint        text NOT NULL,
    -- Sealed.
    secret          bytea NOT NULL,
    enabled         boolean NOT NULL,
    -- Up to which entry of each service's chain it was delivered, as JSON.
    cursor          text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    next_attempt_at timestamptz NOT NULL DEFAULT now(),
    -- A process delivers to it until then.
    claimed_until   timestamptz,
    failing_since   timestamptz,
    failures        integer NOT NULL DEFAULT 0,
    last_success_at timestamptz,
    last_error      text,
    last_error_at   timestamptz,
    delivered       bigint NOT NULL DEFAULT 0,
    given_up        text
);
CREATE INDEX audit_webhook_due ON regional.audit_webhook (next_attempt_at) WHERE enabled;
