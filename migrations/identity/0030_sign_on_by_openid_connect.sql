-- How an organization's people may sign on. Without a row: by password, and by its identity providers.
CREATE TABLE resident.authentication_settings (
    organization_id     uuid PRIMARY KEY,
    basic_auth_enabled  boolean NOT NULL,
    oidc_auth_enabled   boolean NOT NULL,
    idp_mapping_enabled boolean NOT NULL
);

-- OpenID providers that sign an organization's people on.
CREATE TABLE resident.identity_provider (
    id                        uuid PRIMARY KEY,
    organization_id           uuid NOT NULL,
    enabled                   boolean NOT NULL,
    login_path                text NOT NULL,
    issuer_url                text NOT NULL,
    client_id                 text NOT NULL,
    -- Sealed.
    client_secret             bytea NOT NULL,
    scopes                    text[] NOT NULL,
    name_claim                text NOT NULL,
    email_claim               text NOT NULL,
    groups_claim              text NOT NULL,
    accepts_unverified_emails boolean NOT NULL,
    created_at                timestamptz NOT NULL,
    updated_at                timestamptz NOT NULL,
    -- When somebody last signed on by it, with issuer and client as they are. Null: it has not shown yet that it can.
    last_used_at              timestamptz,
    CONSTRAINT identity_provider_login_path UNIQUE (organization_id, login_path)
);

-- Which teams a group of an identity provider means.
CREATE TABLE resident.team_group_mapping (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    provider_id     uuid NOT NULL REFERENCES resident.identity_provider (id) ON DELETE CASCADE,
    group_name      text NOT NULL,
    team_id         uuid NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    CONSTRAINT team_group_mapping_once UNIQUE (provider_id, group_name, team_id)
);

-- E-mail domains that an organization claims. A verified one has had the text in DNS.
CREATE TABLE resident.domain (
    id              uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    name            text NOT NULL,
    challenge       text NOT NULL,
    created_at      timestamptz NOT NULL,
    verified_at     timestamptz,
    CONSTRAINT domain_name UNIQUE (organization_id, name)
);

-- Who a subject of an issuer is. An e-mail address that changes there moves nothing here.
CREATE TABLE resident.identity_link (
    organization_id uuid NOT NULL,
    issuer          text NOT NULL,
    subject         text NOT NULL,
    person_id       uuid NOT NULL REFERENCES resident.person (id) ON DELETE CASCADE,
    created_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, issuer, subject),
    CONSTRAINT identity_link_person UNIQUE (organization_id, issuer, person_id)
);
CREATE INDEX identity_link_by_person ON resident.identity_link (person_id);

-- Sign-ons that came back from a provider, by the hash of their state: none comes back twice.
CREATE TABLE resident.used_sign_on (
    sha256     bytea PRIMARY KEY,
    expires_at timestamptz NOT NULL
);
CREATE INDEX used_sign_on_by_end ON resident.used_sign_on (expires_at);
