-- What only this region has.
CREATE SCHEMA regional;

-- Memberships that come from the groups of an identity provider, in the organization's home region: only these end when a group ends.
CREATE TABLE regional.mapped_membership (
    organization_id uuid NOT NULL,
    principal_id    uuid NOT NULL,
    team_id         uuid NOT NULL,
    PRIMARY KEY (organization_id, principal_id, team_id)
);
