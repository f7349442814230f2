-- How each ACME certificate is ordered. What gateways need of it, such as the certificate, is part of the entity.
CREATE TABLE regional.acme_order (
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    -- Of the entity.
    id               uuid NOT NULL,
    -- The version of the entity for which `due_at` was decided.
    version          bigint NOT NULL,
    -- When the certificate is looked at again. Whoever works on an attempt pushes this on; an attempt that nobody works on any more is over then.
    due_at           timestamptz NOT NULL DEFAULT now(),
    -- The attempt that is worked on.
    run              uuid,
    -- Attempts at the same request since the last success, those included that were never heard of again.
    attempts         integer NOT NULL DEFAULT 0,
    -- What is asked for, as a hash.
    request          bytea,
    -- The order at the ACME server, and the sealed private key that it is for: an attempt goes on with them where the one before ended.
    url              text,
    key              bytea,
    error            text NOT NULL DEFAULT '',
    error_at         timestamptz,
    -- Of the certificate that is in service.
    not_before       timestamptz,
    not_after        timestamptz,
    PRIMARY KEY (control_plane_id, id)
);

-- Accounts at ACME servers, each with its sealed private key. A row outlives its control plane by a day: how many an organization has made lately
-- is counted.
CREATE TABLE regional.acme_account (
    control_plane_id uuid NOT NULL,
    organization_id  uuid NOT NULL,
    directory_url    text NOT NULL,
    email            text NOT NULL,
    -- Of external account binding; empty without.
    eab_kid          text NOT NULL,
    credentials      bytea NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (control_plane_id, directory_url, email, eab_kid)
);
CREATE INDEX acme_account_by_organization ON regional.acme_account (organization_id, created_at);

CREATE INDEX entity_to_order ON regional.entity (control_plane_id, id) WHERE kind = 'acme_certificate' AND NOT deleted;
