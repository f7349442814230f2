-- Writes of many entities, and how far each has come. An import is one transaction, so what it writes is seen only afterwards; these rows are
-- written beside it. Where the process of an import has ended, `seen_at` stands still.
CREATE TABLE regional.import (
    control_plane_id uuid NOT NULL REFERENCES regional.control_plane ON DELETE CASCADE,
    id               uuid NOT NULL,
    -- Which attempt the row tells of: an id may be used again after an attempt that came to nothing.
    run_id           uuid NOT NULL,
    -- Of what the request contained.
    fingerprint      bytea NOT NULL,
    source           text NOT NULL,
    dry_run          boolean NOT NULL,
    begun_by         uuid NOT NULL,
    begun_at         timestamptz NOT NULL DEFAULT now(),
    seen_at          timestamptz NOT NULL DEFAULT now(),
    ended_at         timestamptz,
    phase            text NOT NULL,
    done             bigint NOT NULL DEFAULT 0,
    total            bigint,
    -- What it came to, as JSON: counts and version, or a problem.
    result           text,
    problem          text,
    PRIMARY KEY (control_plane_id, id)
);
CREATE INDEX import_by_time ON regional.import (control_plane_id, begun_at DESC, id DESC);
CREATE INDEX import_by_age ON regional.import (begun_at);
