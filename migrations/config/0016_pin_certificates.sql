-- Certificates of customers' own by which gateways are known. A certificate belongs to one control plane of the region.
CREATE TABLE regional.pinned_certificate (
    id               uuid PRIMARY KEY,
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    -- SHA-256 of the certificate (DER).
    sha256           bytea NOT NULL CHECK (octet_length(sha256) = 32),
    title            text NOT NULL,
    cert             text NOT NULL,
    not_before       timestamptz NOT NULL,
    not_after        timestamptz NOT NULL,
    created_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pinned_certificate_sha256 UNIQUE (sha256)
);
CREATE INDEX pinned_certificate_by_control_plane ON regional.pinned_certificate (control_plane_id, id);

-- The pinned certificate by which the node was last known; null for one that enrolled. The certificate may be gone by now.
ALTER TABLE regional.node ADD COLUMN pinned_certificate_id uuid;
CREATE INDEX node_by_pinned_certificate ON regional.node (control_plane_id, pinned_certificate_id)
    WHERE pinned_certificate_id IS NOT NULL;

-- Counts the removals of nodes: when it changes, streams ask whether their own node was removed.
CREATE TABLE regional.removal_head (
    control_plane_id uuid PRIMARY KEY REFERENCES regional.control_plane ON DELETE CASCADE,
    seq              bigint NOT NULL
) WITH (fillfactor = 50);

-- How nodes authenticate, in Konnect's words. It is kept and shown: either way is open in every control plane.
ALTER TABLE regional.control_plane ADD COLUMN auth_type text NOT NULL DEFAULT 'pki_client_certs';
