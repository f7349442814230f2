--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: regional; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA regional;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: _sqlx_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public._sqlx_migrations (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: audit; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.audit (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    organization_id uuid NOT NULL,
    actor_id uuid,
    session_id uuid,
    action text NOT NULL,
    target text NOT NULL
);


--
-- Name: audit_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.audit ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: idempotency; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.idempotency (
    id bytea NOT NULL,
    fingerprint bytea NOT NULL,
    sealed_answer bytea,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: log_head; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.log_head (
    only_row boolean DEFAULT true NOT NULL,
    seq bigint DEFAULT 0 NOT NULL,
    CONSTRAINT log_head_only_row_check CHECK (only_row)
)
WITH (fillfactor='50');


--
-- Name: control_plane; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.control_plane (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    labels text NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    version bigint DEFAULT 0 NOT NULL,
    digest bytea DEFAULT decode(repeat('00'::text, 32), 'hex'::text) NOT NULL,
    committed_at timestamp with time zone DEFAULT now() NOT NULL,
    traceparent text DEFAULT ''::text NOT NULL,
    floor bigint DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (fillfactor='50');


--
-- Name: enrolment_token; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.enrolment_token (
    id uuid NOT NULL,
    control_plane_id uuid NOT NULL,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    uses_max integer NOT NULL,
    uses integer DEFAULT 0 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL
);


--
-- Name: entity; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.entity (
    control_plane_id uuid NOT NULL,
    kind text NOT NULL,
    id uuid NOT NULL,
    bucket smallint NOT NULL,
    version bigint NOT NULL,
    body text NOT NULL,
    secret bytea,
    deleted boolean NOT NULL,
    created_at timestamp with time zone NOT NULL,
    updated_at timestamp with time zone NOT NULL
);


--
-- Name: entity_key; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.entity_key (
    control_plane_id uuid NOT NULL,
    kind text NOT NULL,
    field text NOT NULL,
    value text NOT NULL,
    entity_id uuid NOT NULL
);


--
-- Name: entity_ref; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.entity_ref (
    control_plane_id uuid NOT NULL,
    from_kind text NOT NULL,
    from_id uuid NOT NULL,
    field text NOT NULL,
    to_kind text NOT NULL,
    to_id uuid NOT NULL,
    cascade boolean NOT NULL
);


--
-- Name: node; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.node (
    control_plane_id uuid NOT NULL,
    id uuid NOT NULL,
    hostname text NOT NULL,
    software_version text DEFAULT ''::text NOT NULL,
    enrolment_token_id uuid,
    certificate_expires_at timestamp with time zone NOT NULL,
    session_id uuid,
    last_seen_at timestamp with time zone,
    left_at timestamp with time zone,
    hidden_after timestamp with time zone DEFAULT (now() + '01:00:00'::interval) NOT NULL,
    applied_epoch bigint DEFAULT 0 NOT NULL,
    applied_version bigint DEFAULT 0 NOT NULL,
    applied_at timestamp with time zone,
    digest_matches boolean DEFAULT false NOT NULL,
    derive_us bigint DEFAULT 0 NOT NULL,
    commit_us bigint DEFAULT 0 NOT NULL,
    last_error text DEFAULT ''::text NOT NULL,
    quarantined text DEFAULT '[]'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    removed_at timestamp with time zone
);


--
-- Name: revocation; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.revocation (
    control_plane_id uuid NOT NULL,
    seq bigint NOT NULL,
    kind text NOT NULL,
    id uuid NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    done boolean DEFAULT false NOT NULL
);


--
-- Name: revocation_head; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.revocation_head (
    control_plane_id uuid NOT NULL,
    seq bigint NOT NULL
)
WITH (fillfactor='50');


--
-- Data for Name: _sqlx_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public._sqlx_migrations VALUES
	(1, 'create config', '2026-11-26 23:31:25.156985+00', true, '\xa3f15cb55534b150ad0f888e7944b2c27910f308df6aff0d8304fefa4d1317efb613085d2c737c9ad6de046a17d7134c', 206506044);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-26 23:31:28.691058+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.create', '01a21a33-232f-77d6-ad85-274a7d187b14'),
	(2, '2026-11-26 23:31:28.758796+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.create', '01a21a33-2372-73a2-a633-565deb282318'),
	(3, '2026-11-26 23:31:29.038741+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'node.enrol', 'spiffe://landbridge/region/us/control-plane/01a21a33-232f-77d6-ad85-274a7d187b14/node/01a21a33-2390-754e-8809-23a2f17d67fe'),
	(4, '2026-11-26 23:31:31.056538+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'configuration.apply', '01a21a33-232f-77d6-ad85-274a7d187b14'),
	(5, '2026-11-26 23:31:32.50968+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.put', '01a21a33-232f-77d6-ad85-274a7d187b14/717674bf-10f7-56d1-b06c-ec126d5df204'),
	(6, '2026-11-26 23:31:32.589289+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.put', '01a21a33-232f-77d6-ad85-274a7d187b14/717674bf-10f7-56d1-b06c-ec126d5df204'),
	(7, '2026-11-26 23:31:32.618066+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-232f-77d6-ad85-274a7d187b14/01a21a33-3289-7156-a7be-db27c3499453'),
	(8, '2026-11-26 23:31:32.671172+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.delete', '01a21a33-232f-77d6-ad85-274a7d187b14/01a21a33-3289-7156-a7be-db27c3499453'),
	(9, '2026-11-26 23:31:34.376446+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.put', '01a21a33-232f-77d6-ad85-274a7d187b14/01a21a33-395e-75cd-8f88-b55d5a190e56'),
	(10, '2026-11-26 23:31:34.420477+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.put', '01a21a33-232f-77d6-ad85-274a7d187b14/01a21a33-3994-74c8-ac6e-977e50b9997a'),
	(11, '2026-11-26 23:31:41.51825+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.delete', '01a21a33-232f-77d6-ad85-274a7d187b14/01a21a33-3994-74c8-ac6e-977e50b9997a'),
	(12, '2026-11-26 23:31:41.563891+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.delete', '01a21a33-232f-77d6-ad85-274a7d187b14/01a21a33-395e-75cd-8f88-b55d5a190e56'),
	(13, '2026-11-26 23:31:46.402385+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.create', '01a21a33-6861-713a-b429-e6190cf87097'),
	(14, '2026-11-26 23:31:46.475271+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.create', '01a21a33-68aa-769d-9257-2bc6a2742be5'),
	(15, '2026-11-26 23:31:46.54426+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.create', '01a21a33-68aa-769d-9257-2bc6a2742be5/01a21a33-68ef-716e-b5a0-0f78a0f05304'),
	(16, '2026-11-26 23:31:46.574806+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.delete', '01a21a33-68aa-769d-9257-2bc6a2742be5'),
	(17, '2026-11-26 23:31:46.622734+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.update', '01a21a33-6861-713a-b429-e6190cf87097'),
	(18, '2026-11-26 23:31:46.676067+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.put', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6973-7758-866e-9c4e7dbb2a96'),
	(19, '2026-11-26 23:31:46.744685+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-69b7-767e-88bf-7cb1bd1e3d07'),
	(20, '2026-11-26 23:31:46.829287+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6a0c-76a6-be5d-0f2685ccb2d4'),
	(21, '2026-11-26 23:31:46.89658+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6a4f-778d-8d8e-81a9492787af'),
	(22, '2026-11-26 23:31:46.956925+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6a88-7004-8709-171ec5302c1c'),
	(23, '2026-11-26 23:31:47.016855+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.put', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6ac7-76ba-8fcc-9cb4dcab202e'),
	(24, '2026-11-26 23:31:47.05857+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6af1-76d9-9288-61689f2a0d8a'),
	(25, '2026-11-26 23:31:47.081241+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6b08-7395-b42f-7d41dae9c5a4'),
	(26, '2026-11-26 23:31:47.122725+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6b30-7327-821d-fd7f2d4045ed'),
	(27, '2026-11-26 23:31:47.170754+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6b5a-75a4-8f89-48429b9f88fe'),
	(28, '2026-11-26 23:31:47.231502+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6b9e-707c-b84a-4a17395005a5'),
	(29, '2026-11-26 23:31:47.261502+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6bbc-7055-bcce-30e26a31882a'),
	(30, '2026-11-26 23:31:47.289005+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6bd8-7595-a363-f3f1c14c1379'),
	(31, '2026-11-26 23:31:47.320006+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6bf7-706a-b749-0b14b1773b80'),
	(32, '2026-11-26 23:31:47.379568+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.delete', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6bf7-706a-b749-0b14b1773b80'),
	(33, '2026-11-26 23:31:47.437124+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.put', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6c6c-72e0-9d88-746ef16d4554'),
	(34, '2026-11-26 23:31:47.467016+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6c8a-73cc-bbd6-eb849e11507f'),
	(35, '2026-11-26 23:31:47.511023+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.delete', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6c6c-72e0-9d88-746ef16d4554'),
	(36, '2026-11-26 23:31:47.543932+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.put', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6cd6-70e2-ba5e-68bdf8114643'),
	(37, '2026-11-26 23:31:47.577453+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.delete', '01a21a33-6861-713a-b429-e6190cf87097/01a21a33-6cd6-70e2-ba5e-68bdf8114643'),
	(38, '2026-11-26 23:31:47.61755+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.create', '01a21a33-6d21-7229-a5af-884cd5e94428'),
	(39, '2026-11-26 23:31:47.670247+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.create', '01a21a33-6d55-7249-b6f8-968f762e20d8'),
	(40, '2026-11-26 23:31:47.726736+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.delete', '01a21a33-6d55-7249-b6f8-968f762e20d8'),
	(41, '2026-11-26 23:31:47.795079+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'node.enrol', 'spiffe://landbridge/region/us/control-plane/01a21a33-6861-713a-b429-e6190cf87097/node/23cfff9d-f63f-4337-9521-0678ab284d4a'),
	(42, '2026-11-26 23:31:47.875881+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'node.enrol', 'spiffe://landbridge/region/us/control-plane/01a21a33-6861-713a-b429-e6190cf87097/node/d173c011-c2b8-4472-a419-5c3f599ad8fa'),
	(43, '2026-11-26 23:31:47.934881+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'node.remove', '01a21a33-6861-713a-b429-e6190cf87097/d173c011-c2b8-4472-a419-5c3f599ad8fa');


--
-- Data for Name: idempotency; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.idempotency VALUES
	('\x83e93e5b5e6a2110312e5267afdcbf6cbe836b39b6a20f95069d5f6f1ec91435', '\x96d5ece0f009533a5595c69f7694c5531332132e6b0d5e68a66870253860cbfa', '\x6268235ab5fe6cec80b5b697b4e2c8c8f2894f36c00b86b0a4a03c497a4c3cd98471c751bc45b7a8d902e51a3c3845689844f977bf252c128f008e8741155ffabd804a6f82c4424b01bacdd1499005e1e38a382846ce5907bba5550e1345a037e38bda427f99713bfe47999730520b3ec7ca1637ba4bc92d72c780ed5e80f65b538bf9f60365cd43544262832765db94c4eea4c4ed2902d2671e071af4cd21c9143686b0297fd68c162ef2e70eff3a7850b617b23f9ec07e099a06b2a245767d3610a0b9a5ecd4679374175e6c2452f680a84bf363b85996dc40b5f8bd424dabbb455ad0b47bfd059bb64a04e6c175d7328b0fb458e92c56c40ebd379176212d2a5d844ec48820074562775df2fe64965c11aa138613e07c03b4a7a854c4e7596aef6de8de8b192424c68336fcc743cdab7088c135971d02e590b0ff5882a893d415c0755ec37739611cdbbfc8f817e4f9bf723e16a501e1ff8686c7641476d422243a85ef6ca0bed88098a523ded70ac6e8c52c11aeb6aafa5c1e5523e141ab7e1459d7a8cfb815b9a30c124232e3a8c01038d32e96504c50f1faa73c96ed9c855ecc2da758b7f6be06848c57d88fafdb263ef1a1dd45cc4e9fc925954cd22889ee8de36fbecaef54eacf5983d85b49a6e76fb3a92b7b9bfe30e7f537f46de92b5ec527c2d2be8404e922acb7180ddcc11e54c935c3e20b4f55248eb895580f84aa5c5c221c7328264836', '2026-11-26 23:31:46.402385+00'),
	('\x782290ee9c9bc5f9cef40bb81e733093c3bdbb94849cfbcf61e49fd8978b01ad', '\x018a713b51fd12bc5e4b7e1dad26ab92f5e26a09c3bd963c69cfec1f9c4171c7', '\xae5564596a9393d5018692d83dea54d4432743a2637ce7e257cd8a23566f716d67fc378e4433a357489cfc005bf8b2b6f3f3997c0b9a7055e597f5493982baa2fbbc8de782e275628489a7cfc04cbc27367d1bf009ece4b83575741af9a178483ad1df7681f86e4110829bad3e01b0e314a4d45ef4dff7af88a3216a04ec3c6c5a8ee665ca361c187237c62c4e080227165fa71e39b8cd625e0a98af78c7f68cbb7d643e392a1bb3c786db4ad73a8627f8367f098ae6ade6388c805d12983d77e7f2b8dcc62dc45730094b1ec36565abdb8dc293888b0fc6d36a199e2f6ca3c7b9dc6b118896562914152688ce829306a6c8dc24e5e6d41250d7f2c1f6ffdeb3a386be7a29dfb90e2535145ba3afd7ea3d711e576b4e95251a5f8f56997301be3d1e76e5b0a19a3a44892bfabfccf725676f79cf9afc74cfd6455f938f3b1d5035d5ac0713d3ff948748dc29db1ba554531a1e270bd287f181b1f0b830abda73e9037337a313d957e134ff51f5ce1daf692972bdf520487eefaf1849a544b40790f3b9f7ed0d3cf31597b8df76bbb778534502fee27b7a06c5ea6975b0792473e3dcc28a2d68ea04d7eaa846f6c10b161faf12877947943c6a2a5dee26fa8f91513136', '2026-11-26 23:31:46.744685+00'),
	('\xf129ecd610897185fdbd647f85003606f1355dcd00d6cb15d6cab51759737655', '\x266e398b42c7b9fba25829bf0698692e7f0f542f49c3f22a29c2599a9de57aab', '\xf7dcc32ba0bd4e4bd1a576de9ea1b58f118adaa91155b7b2cb779b882e0cc9c95ef2f73368f60c8e74a2d9f2f0970ae40217f2f75899395bba12765bee281e0a8b44db6d8b4de06fac4e74a25a29b208df0f2ed99f56cd26b7de081641ebcf6e3dfe8e6f4919463e451e62167593b97d7e6ba25a9ff6baf86161f596b64f6a6e139723e66c301bc33683f31e27eb65f04ae748e0e915ad12032ff437c6b2146a4d08e68019f9bb81c7c451c185654b2402d254a07f3ea4c22c66880d22575238d5db75a34f1bae4119a6c2431090e950d71bf679d078b8dfe799bde0356359bbf5cce16ba8ac826edbd2eefdbe4aee2261c2fbff63efdeadec558d524011cc1a0ca9f7db0d81afa689d07970f66a18bb9b61829527af64c6f3c1025b5d31bf69f445b91ed11214e4f0ee181838be146bfd474fb49e8bb1cd5d8624d066dd3c5fa14f56526447539a02b44b1259092507c805e1c1eeddee71cd604c2e7b9585e8ba47192a8c57ca289767615f84524f0deaee6feec5a1f842e9a15126d110a72e7f1d084b86474776bad475f7ac7cd72e9a8a07b1b1e99b5022055713d1749f8007df71231b5515ae5754353d9ea41090a756222128bff3e1cc0e1c0ae74171b11056f52fe576c163c9e89fb165aaad843aac36f9678b1620348675d8b240c4353ada35453ffebd91dfef1dd226a865d3b0e38eab441480706b1470b56377c7f4ea952089e2b9a4aedea4a8bd01ba82d1bd6a70ca5f96bf69bea6eabad7829f761064170b32eeaef853899bfc39b41d1d05d5f76b54860f14b5b4f3ce08d74949e5cc94248cb8c61ee92bd7e5c17a909e3a6b2a1ee490beba1c6dd6563197b5e30edd2451ab7ca62c1deeaa8837ff1b4eb9c74e8dae4b36a44358891ed1b2c5c66962a65bfe39ba977e6d20277c12ff1572aa4fb2458301c99e6d0a2a99b738ecc8c7ea489b3f37b5982093ce638bdd625fc03055c4f9f4d2f461a6a846ac049eab786d8f858756e55f4e53f79fa860d6cf6e47cfffb92f4455886b275e3ef370e2a685d09405', '2026-11-26 23:31:47.61755+00');


--
-- Data for Name: log_head; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: control_plane; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.control_plane VALUES
	('01a21a33-6861-713a-b429-e6190cf87097', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'upgrade-us', 'for the upgrade tests ✓', '{"env":"tëst","team":"支払い"}', 1, 20, '\xdd7a566e42a883b4cdd6f9978415a87bbb42c0b590b3109c06f8a06996afe072', '2026-11-26 23:31:47.581307+00', '00-480dda3d424ced06a70dd91f1d9a5ff6-fa878503cb45b8a7-01', 0, '2026-11-26 23:31:46.402385+00', '2026-11-26 23:31:46.622734+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'shop', '', '{}', 1, 9, '\x078c0218522e3456d7aac879ab092e582a9de6d8d1fc815f4235a181fe1e7940', '2026-11-26 23:31:41.579653+00', '00-d1efa3eb1de57c6d2cadcb9eebfaef3f-66732bdd431cfb56-01', 0, '2026-11-26 23:31:28.691058+00', '2026-11-26 23:31:28.691058+00');


--
-- Data for Name: enrolment_token; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.enrolment_token VALUES
	('01a21a33-2372-73a2-a633-565deb282318', '01a21a33-232f-77d6-ad85-274a7d187b14', '', '\x46a11eddcee89949a5bba677be44c9e767abd800b8f40f89e01b518eb9bda430', 1, 1, '2026-11-26 23:31:28.758796+00', '2026-11-27 00:31:28.754854+00'),
	('01a21a33-6d21-7229-a5af-884cd5e94428', '01a21a33-6861-713a-b429-e6190cf87097', 'viele', '\xa618f5d2847eb2cf93487c0263e027683e029c86f0fb60b922fc0cb59484bbe4', 10, 2, '2026-11-26 23:31:47.61755+00', '2026-12-03 23:31:47.617027+00');


--
-- Data for Name: entity; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.entity VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5', 204, 1, '{"host":"127.0.0.1","name":"payments","path":"/payments","port":20417,"read_timeout":45000,"retries":0,"tags":["checkout","pci"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '1ccb6437-1d5d-5132-a0f0-1fe33f78a215', 245, 1, '{"host":"127.0.0.1","name":"returns","path":"/returns","port":20417,"tags":["orders"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '1d583e86-dd40-5856-a2ef-c15f14fdbdda', 28, 1, '{"host":"127.0.0.1","name":"webhooks","path":"/webhooks","port":20417,"tags":["partners"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '22ab7fd8-ac0c-5093-bb97-527224fbe4a7', 41, 1, '{"host":"127.0.0.1","name":"accounts","path":"/accounts","port":20417,"tags":["people"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '3515a1c6-731f-5dd3-af4e-de4886941f11', 17, 1, '{"host":"127.0.0.1","name":"shipping","path":"/shipping","port":20417,"tags":["orders"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec', 183, 1, '{"host":"127.0.0.1","name":"loyalty","path":"/loyalty","port":20417,"tags":["people"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '4634903c-fccb-504b-b752-357028f8c803', 172, 1, '{"host":"127.0.0.1","name":"recommendations","path":"/recommendations","port":20417,"read_timeout":1500,"retries":0,"tags":["shop"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '4f07c47e-f4a1-5871-84ec-6007a07af93b', 183, 1, '{"host":"127.0.0.1","name":"basket","path":"/basket","port":20417,"tags":["shop","checkout"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '697c3699-7680-5a20-9b4e-a2184fa9e886', 49, 1, '{"host":"127.0.0.1","name":"catalogue","path":"/catalogue","port":20417,"tags":["shop"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '6ad8a2eb-13dd-57fe-8c72-164cabc228f0', 199, 1, '{"host":"127.0.0.1","name":"media","path":"/media","port":20417,"tags":["public","web"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '70ed4209-7da3-537c-82f9-92739ae5465c', 64, 1, '{"connect_timeout":2000,"host":"127.0.0.1","name":"status","path":"/status-page","port":20417,"read_timeout":5000,"retries":1,"tags":["public","operations"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '81587123-b0a7-533b-a9db-25f7694be21c', 33, 1, '{"host":"127.0.0.1","name":"checkout","path":"/checkout","port":20417,"read_timeout":30000,"retries":0,"tags":["shop","checkout"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '9464e4d1-9929-5f0c-84bb-186f5b475c36', 68, 1, '{"host":"127.0.0.1","name":"inventory","path":"/inventory","port":20417,"tags":["operations"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '965c3344-7dd8-5c4e-a8ef-6bd47778e381', 221, 1, '{"host":"127.0.0.1","name":"storefront","path":"/storefront","port":20417,"tags":["public","web"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '99dd8feb-9798-5a43-9527-c8bdfbbfe6e3', 32, 1, '{"host":"127.0.0.1","name":"pricing","path":"/pricing","port":20417,"tags":["shop"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'bfc1a8ad-d951-5b2d-8296-bc335c4ef875', 80, 1, '{"host":"127.0.0.1","name":"search","path":"/search","port":20417,"read_timeout":3000,"tags":["shop"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'cce2e99a-ca86-581c-a0bf-4fe52158d52e', 125, 1, '{"host":"127.0.0.1","name":"partner-feed","path":"/partner-feed","port":20417,"tags":["partners"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62', 174, 1, '{"host":"127.0.0.1","name":"orders","path":"/orders","port":20417,"tags":["shop","orders"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'ef0595ae-8444-52fc-a680-896463958f6b', 32, 1, '{"host":"127.0.0.1","name":"wishlists","path":"/wishlists","port":20417,"tags":["people","shop"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'f4ca952d-97bd-5d62-b5bd-9a18f25e4739', 90, 1, '{"host":"127.0.0.1","name":"reviews","path":"/reviews","port":20417,"tags":["shop"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'fd0c8e99-aac7-573d-b272-fafee7b7aff4', 134, 1, '{"host":"127.0.0.1","name":"back-office","path":"/back-office","port":20417,"tags":["operations"]}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '03ad7686-965f-5455-b817-21fdc3afb539', 109, 1, '{"methods":["POST"],"name":"payments-create","paths":["/payments"],"service":{"id":"0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '0713a000-fde7-5455-9d1e-a0209d33a229', 188, 1, '{"methods":["GET","POST"],"name":"inventory-movements","paths":["/inventory/movements"],"service":{"id":"9464e4d1-9929-5f0c-84bb-186f5b475c36"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '16acc8cd-e7cf-5775-8b9c-11c75a78bcb9', 87, 1, '{"methods":["GET"],"name":"inventory-stock","paths":["~/inventory/(?<warehouse>[a-z]+)/stock$"],"service":{"id":"9464e4d1-9929-5f0c-84bb-186f5b475c36"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '20ef72ba-297e-5510-ba66-940e690615a0', 96, 1, '{"name":"accounts-me","paths":["/accounts/me"],"service":{"id":"22ab7fd8-ac0c-5093-bb97-527224fbe4a7"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '228c331a-ebf8-5045-b4da-16a26cfc3998', 128, 1, '{"methods":["GET","POST"],"name":"checkout-step","paths":["~/checkout/(?<step>[a-z]+)$"],"service":{"id":"81587123-b0a7-533b-a9db-25f7694be21c"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '23ef8458-21d2-50f8-a8ec-6081dde75758', 180, 1, '{"methods":["GET"],"name":"status-summary","paths":["/status"],"service":{"id":"70ed4209-7da3-537c-82f9-92739ae5465c"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '29c4ec64-7e22-55dc-8b7b-e7a9c74b2c07', 251, 1, '{"methods":["GET"],"name":"loyalty-points","paths":["/loyalty/points"],"service":{"id":"3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '33e92994-3381-5e8a-8240-b1d22143b225', 33, 1, '{"name":"loyalty-vouchers","paths":["~/loyalty/vouchers/[A-Z0-9]+$"],"service":{"id":"3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '3af66c67-7d2b-5830-b8ca-121e18cfc378', 78, 1, '{"methods":["GET"],"name":"search-query","paths":["/search"],"service":{"id":"bfc1a8ad-d951-5b2d-8296-bc335c4ef875"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '3ccf5021-c2db-5b46-b936-4a96c47f9f75', 177, 1, '{"name":"accounts-addresses","paths":["/accounts/me/addresses"],"service":{"id":"22ab7fd8-ac0c-5093-bb97-527224fbe4a7"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '43894470-db2f-55d3-9939-8eb173604770', 147, 1, '{"name":"catalogue-product","paths":["~/products/(?<sku>[A-Z0-9-]+)$"],"regex_priority":10,"service":{"id":"697c3699-7680-5a20-9b4e-a2184fa9e886"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '45c0cb20-89ac-5216-95da-3481981f8430', 101, 1, '{"methods":["GET"],"name":"pricing-lists","paths":["~/prices/lists/[a-z]+/[0-9]+$"],"service":{"id":"99dd8feb-9798-5a43-9527-c8bdfbbfe6e3"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '4e7f9bf9-b3af-53d7-8a1b-bec80e906b73', 89, 1, '{"methods":["GET"],"name":"shipping-tracking","paths":["~/shipping/tracking/[A-Z0-9]+$"],"service":{"id":"3515a1c6-731f-5dd3-af4e-de4886941f11"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6016fd32-5bdd-590c-aa1b-e4d32a2683e1', 215, 1, '{"methods":["GET","POST"],"name":"reviews-moderation","paths":["/reviews/moderation"],"service":{"id":"f4ca952d-97bd-5d62-b5bd-9a18f25e4739"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6635e7ba-3e32-5663-b0ec-d55d08fda952', 133, 1, '{"name":"orders-one","paths":["~/orders/(?<id>[0-9]+)$"],"service":{"id":"dac761ac-cc0b-5aff-9290-dc57c9fb5c62"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '66a8459d-2955-5af1-9520-69a2527689a4', 206, 1, '{"hosts":["old.shop.example"],"name":"storefront-old-site","service":{"id":"965c3344-7dd8-5c4e-a8ef-6bd47778e381"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6a6582bd-c691-5f1f-9dd9-2d3feba7b5db', 160, 1, '{"methods":["GET"],"name":"basket-read","paths":["/basket"],"service":{"id":"4f07c47e-f4a1-5871-84ec-6007a07af93b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6c13fc91-5c15-5036-9170-10a1491914b5', 227, 1, '{"methods":["POST"],"name":"returns-create","paths":["/returns"],"service":{"id":"1ccb6437-1d5d-5132-a0f0-1fe33f78a215"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6d0be74e-d915-5df1-bd0b-d03419064393', 251, 1, '{"methods":["GET","HEAD"],"name":"media-images","paths":["~/media/images/[a-z0-9]+/[a-z]+$"],"service":{"id":"6ad8a2eb-13dd-57fe-8c72-164cabc228f0"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '730dcda2-31c2-593b-93cd-91276b15b894', 197, 1, '{"methods":["POST"],"name":"orders-create","paths":["/orders"],"service":{"id":"dac761ac-cc0b-5aff-9290-dc57c9fb5c62"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '73e18100-f387-568e-96c6-763b5b96924c', 133, 1, '{"methods":["GET"],"name":"orders-list","paths":["/orders"],"service":{"id":"dac761ac-cc0b-5aff-9290-dc57c9fb5c62"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7492cc0e-f472-5c61-800c-6a2b4df752bd', 66, 1, '{"methods":["POST"],"name":"payments-refund","paths":["~/payments/[0-9]+/refund$"],"service":{"id":"0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '77bbac5e-d780-52d6-901a-a6a1506a49e2', 33, 1, '{"methods":["GET","HEAD"],"name":"storefront-pages","paths":["~/pages/(?<slug>[a-z0-9-]+)$"],"service":{"id":"965c3344-7dd8-5c4e-a8ef-6bd47778e381"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7ac2d64d-2177-5a12-8360-58c9af00ca28', 168, 1, '{"methods":["POST"],"name":"checkout-start","paths":["/checkout"],"service":{"id":"81587123-b0a7-533b-a9db-25f7694be21c"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7bec24de-dd55-5661-b34f-c2d5423b3f56', 5, 1, '{"name":"storefront-campaigns","paths":["/campaigns","/offers"],"service":{"id":"965c3344-7dd8-5c4e-a8ef-6bd47778e381"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7e554dd7-024c-5be9-9d6d-5a245ac38015', 215, 1, '{"name":"reviews-of-product","paths":["~/products/(?<sku>[A-Z0-9-]+)/reviews$"],"regex_priority":20,"service":{"id":"f4ca952d-97bd-5d62-b5bd-9a18f25e4739"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '84b580cd-47a4-5353-9ea3-d57e410f8c81', 28, 1, '{"name":"catalogue-categories","paths":["/categories"],"service":{"id":"697c3699-7680-5a20-9b4e-a2184fa9e886"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '886d8b37-6aed-5864-8e96-68260c989154', 127, 1, '{"methods":["GET"],"name":"wishlists-shared","paths":["~/wishlists/shared/[a-f0-9]+$"],"service":{"id":"ef0595ae-8444-52fc-a680-896463958f6b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '8a73be0f-a90e-59cf-9f85-3e48b7a379dc', 75, 1, '{"methods":["GET","PATCH"],"name":"accounts-one","paths":["~/accounts/[0-9]+$"],"service":{"id":"22ab7fd8-ac0c-5093-bb97-527224fbe4a7"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00');
INSERT INTO regional.entity VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '8bede9cb-35d1-52b2-933c-1962dd1aaf8b', 241, 1, '{"methods":["GET"],"name":"orders-invoice","paths":["~/orders/(?<id>[0-9]+)/invoice$"],"service":{"id":"dac761ac-cc0b-5aff-9290-dc57c9fb5c62"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '8caae99a-7d58-55d1-9434-ae4324a9e1a2', 59, 1, '{"name":"wishlists-mine","paths":["/wishlists"],"service":{"id":"ef0595ae-8444-52fc-a680-896463958f6b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '94b035d1-a1f7-5672-b4eb-843b813f4d3b', 79, 1, '{"name":"webhooks-subscriptions","paths":["/webhooks"],"service":{"id":"1d583e86-dd40-5856-a2ef-c15f14fdbdda"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '95f3414d-696b-52c0-be59-f5f18a5321e0', 138, 1, '{"methods":["POST","PUT","DELETE"],"name":"catalogue-edit","paths":["/products"],"service":{"id":"697c3699-7680-5a20-9b4e-a2184fa9e886"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'a5c1b00b-7100-554a-937d-46d861cc302a', 10, 1, '{"methods":["GET"],"name":"payments-one","paths":["~/payments/[0-9]+$"],"service":{"id":"0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'a5c65bf7-6ecb-5d55-bcb9-327dcf440c7a', 191, 1, '{"hosts":["admin.shop.example"],"methods":["GET"],"name":"back-office-reports","paths":["/reports"],"service":{"id":"fd0c8e99-aac7-573d-b272-fafee7b7aff4"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'a88eaf36-441f-5905-b105-bf23f6d858d5', 89, 1, '{"name":"basket-item","paths":["~/basket/items/[0-9]+$"],"service":{"id":"4f07c47e-f4a1-5871-84ec-6007a07af93b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'aa99e2f5-2fb2-59d4-98da-ec9fe64a6044', 165, 1, '{"methods":["GET","HEAD"],"name":"catalogue-products","paths":["/products"],"service":{"id":"697c3699-7680-5a20-9b4e-a2184fa9e886"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'ab54894d-e190-5e25-8c81-2f3d56f6885b', 185, 1, '{"name":"recommendations-for-product","paths":["~/recommendations/products/[A-Z0-9-]+$"],"service":{"id":"4634903c-fccb-504b-b752-357028f8c803"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'b2d81a5b-093d-550b-82a6-4cc7c4935021', 87, 1, '{"hosts":["exports.shop.example"],"methods":["GET"],"name":"partner-feed-exports","paths":["~/feed/(?<format>[a-z]+)$"],"service":{"id":"cce2e99a-ca86-581c-a0bf-4fe52158d52e"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'b6117bdf-17b1-52f0-b771-e25199d4d19c', 226, 1, '{"hosts":["*.partners.shop.example"],"name":"partner-feed-by-host","paths":["/feed"],"preserve_host":true,"service":{"id":"cce2e99a-ca86-581c-a0bf-4fe52158d52e"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'bd13ec64-dd50-5d0e-bdce-47a5b901c780', 88, 1, '{"methods":["GET"],"name":"search-suggest","paths":["/search/suggest"],"service":{"id":"bfc1a8ad-d951-5b2d-8296-bc335c4ef875"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'c0a49837-6acd-5879-a7a8-0fc887efaa84', 78, 1, '{"hosts":["media.*"],"name":"media-by-host","service":{"id":"6ad8a2eb-13dd-57fe-8c72-164cabc228f0"},"strip_path":false}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'c4edbd42-ec3b-5862-99af-4c11e6fd12a2', 169, 1, '{"methods":["POST"],"name":"pricing-quote","paths":["/prices/quote"],"service":{"id":"99dd8feb-9798-5a43-9527-c8bdfbbfe6e3"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'c67922a0-8c23-5516-8510-15cfa6eeb609', 111, 1, '{"name":"media-videos","paths":["/media/videos"],"service":{"id":"6ad8a2eb-13dd-57fe-8c72-164cabc228f0"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'cb4ba0aa-6634-5316-9d8c-89e0c6bee597', 115, 1, '{"methods":["GET"],"name":"returns-one","paths":["~/returns/[0-9]+$"],"service":{"id":"1ccb6437-1d5d-5132-a0f0-1fe33f78a215"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'cc7531a2-e0a3-5ad3-ac28-960849238635', 48, 1, '{"name":"recommendations-for-me","paths":["/recommendations/me"],"service":{"id":"4634903c-fccb-504b-b752-357028f8c803"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'cd73e777-aa7c-5696-886a-cfb68b6fe161', 45, 1, '{"methods":["GET"],"name":"webhooks-deliveries","paths":["~/webhooks/[0-9]+/deliveries$"],"service":{"id":"1d583e86-dd40-5856-a2ef-c15f14fdbdda"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'd035218b-2e98-5fed-a6f4-83368e278a75', 40, 1, '{"hosts":["admin.shop.example"],"name":"back-office-home","service":{"id":"fd0c8e99-aac7-573d-b272-fafee7b7aff4"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'd4fc0ee8-bd28-51e1-8d1f-b938e84eaa30', 183, 1, '{"name":"shipping-rates","paths":["/shipping/rates"],"service":{"id":"3515a1c6-731f-5dd3-af4e-de4886941f11"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'dc5f7d98-9f24-50bd-83dd-5a19797dc5ed', 242, 1, '{"methods":["GET"],"name":"status-incidents","paths":["~/status/incidents/[0-9]+$"],"service":{"id":"70ed4209-7da3-537c-82f9-92739ae5465c"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'e61b28e6-6523-5a91-a886-7d21c7ea089a', 65, 1, '{"methods":["POST"],"name":"shipping-labels","paths":["/shipping/labels"],"service":{"id":"3515a1c6-731f-5dd3-af4e-de4886941f11"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'ebf18217-8b6e-5c9c-a543-3ca23c679e94', 171, 1, '{"name":"returns-labels","paths":["/returns/labels"],"service":{"id":"1ccb6437-1d5d-5132-a0f0-1fe33f78a215"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'f7bf4aba-ed69-5f74-b38a-31bbd8668cda', 34, 1, '{"methods":["POST","PATCH","DELETE"],"name":"basket-change","paths":["/basket"],"service":{"id":"4f07c47e-f4a1-5871-84ec-6007a07af93b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', '0c6759bd-97f1-5dba-9a86-f59facf290d5', 191, 1, '{"tags":["own","operations"],"username":"warehouse-south"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', '5c0d1c58-14a9-5743-9d46-0026597ce599', 148, 1, '{"tags":["own"],"username":"call-centre"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', '5f033760-d91b-59ea-9295-7dff38b85dc9', 120, 1, '{"tags":["own","operations"],"username":"warehouse-north"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', '802c09cf-e78a-5d0e-b6a3-9a0f458bf20c', 38, 1, '{"custom_id":"app-0002","tags":["own"],"username":"mobile-app"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', '9d9cc5d7-34bd-550c-bff1-17c46057beae', 211, 1, '{"custom_id":"partner-099","tags":["partner"],"username":"former-partner"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', '9f54e4ed-bfc9-5022-aa58-30436e273bdc', 90, 1, '{"custom_id":"partner-101","tags":["partner"],"username":"price-comparison"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'a6623ac8-f9f3-5641-9512-b399d3e9c370', 120, 1, '{"custom_id":"app-0001","tags":["own"],"username":"web-shop"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'b6b3c4c8-7cee-5fe9-b74b-30ddde8f8d2e', 250, 1, '{"custom_id":"partner-102","tags":["partner"],"username":"marketplace@partners.shop.example"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'e6164167-a003-5a34-ac06-c4a6630be90a', 117, 1, '{"tags":["own"],"username":"bookkeeping"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'fefe50b1-86ff-5713-98e8-5877685c1e2a', 92, 1, '{"custom_id":"partner-100","tags":["partner"],"username":"parcel-service"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '166f2b38-1a85-5af2-bae0-4d74f20013e7', 111, 1, '{"consumer":{"id":"802c09cf-e78a-5d0e-b6a3-9a0f458bf20c"},"key_hash":"38eb90fa5b0758f8d9ef389c53e3d75586b6577ec2526c6aafbc0b37d4282c48","tags":["retire-soon"]}', '\x17badec669c1740ff3a6019a2526ad021ae39a151220966edeb7acfa75037aae7c0f82d9013d38a859a924a1774664c2', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '1ff2411a-7257-53bb-895b-752fab31b87e', 226, 1, '{"consumer":{"id":"a6623ac8-f9f3-5641-9512-b399d3e9c370"},"key_hash":"5d13e4f1edfc985e976888b7c6d47b00915a6b2ffa15616366d0bc6a1bca7d9e"}', '\xa8ff6232cbd59566a5ceadc83e9c79726da043d09f3c1c33a3ec22fb554dd30f274f51ceceb38bf508d36704ac', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '221affef-90f8-53a5-88b1-39ab13d154d4', 130, 1, '{"consumer":{"id":"9d9cc5d7-34bd-550c-bff1-17c46057beae"},"key_hash":"0534a6ea1d752f6fefea911638449541ce2ec8607ac3030a1910e282ddd5850e"}', '\x4609813f0b352a3c4361516563b10fceb6b1f7e7e032bf1089dab9ff21140f63bb1a922c3d0f586eb789a798b513f257', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '638ebba9-bb92-5d22-9f67-2e53ea7f98ff', 102, 1, '{"consumer":{"id":"802c09cf-e78a-5d0e-b6a3-9a0f458bf20c"},"key_hash":"d551eb2e62806d16eacf5db552e6fa8258d574614d2a8a1f5c3ad0d415eac8c7"}', '\x733dd9150cb0ceda05d135ef2cd3e538504a1a3e342465982af0be6fe1453a35f0c4247c93f05ea21caa282814f3d133', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '757a3edf-28b7-5bcf-837e-578d72e08f5c', 210, 1, '{"consumer":{"id":"e6164167-a003-5a34-ac06-c4a6630be90a"},"key_hash":"e977b10e3c9507d92e5c5418aea2b48b0c6f7d933de9796a73ce550d5346588e"}', '\xf66ccf93ad1b8e8df8fad4d95397c74e0dd31eee845a12a6262a327526ae40da9876e72e7a336d6a5766b8cc03232d', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'a7b94c3d-20f3-5c41-a9c8-a38e5ab6d0d0', 244, 1, '{"consumer":{"id":"0c6759bd-97f1-5dba-9a86-f59facf290d5"},"key_hash":"b51c40bea2755cd9097175c603f00844e4e0ac606370584ea052c091d5311501"}', '\xb4095e0d4b2753c8b986f874445e3bf60f987e973739e61176bb5d50c13393642c8ae745dc536f21eb98afee31bdb1', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'a8253478-3337-5aa1-bd53-a5c9b074e66e', 84, 1, '{"consumer":{"id":"fefe50b1-86ff-5713-98e8-5877685c1e2a"},"key_hash":"68ec5ad6773bda839308510700f12cfbb09f83bccaf4f2758f9d41c2da6f1d16"}', '\xb89fbdba4ea2a2613d4c3a0aae57eb65b97a78d3de9e5a9044b9bc9f8aec7d4738a0771f4295a89d6207f7ed0920ae6b', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'adc16bc3-b22c-5c9e-96f0-abf0e177b882', 198, 1, '{"consumer":{"id":"5c0d1c58-14a9-5743-9d46-0026597ce599"},"key_hash":"27eb6994ae5b2a27cd5fbf5c9234c262c08a9528c6d4edf2863265df3dcbe7fe"}', '\x72fe94846b374d761fc9b3509643c9f65fb4ea5d94868ce00ee4c90238340bc2c245e022aac465f07d837680715a90', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'b220aa3e-cffd-5ca2-a59a-d0d9558cb1f3', 64, 1, '{"consumer":{"id":"9f54e4ed-bfc9-5022-aa58-30436e273bdc"},"key_hash":"3f94a7553f06b59b11aac570b37d190811befd325250b49229be072e5b0da62a"}', '\x59cf41ffb6005c5f0aeacdf4a7f73663c44061967377d3bd309ed3e8dc201f6bf16191b3b44a2d584ce109508e3ec5fd6b', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'db80e4f2-213c-5882-9825-37c319d35276', 21, 1, '{"consumer":{"id":"b6b3c4c8-7cee-5fe9-b74b-30ddde8f8d2e"},"key_hash":"d0066338d648279d8a0989c5069c27dbb253119f898551855ff930fa35e921e9"}', '\x00f66e2abfaa06fffb0b1961f06b1cb0251ba8e51727a3d09c24624660dcb673f085a22f166c5aef2e6c12873cc97a4e', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'f973badc-57b2-5bc6-a9a2-ff4d435c15af', 24, 1, '{"consumer":{"id":"5f033760-d91b-59ea-9295-7dff38b85dc9"},"key_hash":"dfb1cd049a7dd61452e277938cbcf577134735340104ac10f2288670ab30c010"}', '\x6d960535cba8c84d5b6a7dd7cc3e4bdb7a4d8e681151017605fa160fc322430ab89612fb4d49e84d36b2fed49a4f3c', false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '009df8af-8308-5c61-a3cd-81af36b77a24', 60, 1, '{"config":{"message":"This site has moved to www.shop.example","status_code":410},"name":"request-termination","route":{"id":"66a8459d-2955-5af1-9520-69a2527689a4"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '05e6b197-8bdb-5ef1-ac74-09cd0ee7dc60', 51, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"fd0c8e99-aac7-573d-b272-fafee7b7aff4"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '0a58f069-6768-51cb-a7f6-fe0bfa2a8bae', 246, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"dac761ac-cc0b-5aff-9290-dc57c9fb5c62"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '0c0c95e3-b230-571a-954d-cef665d04be8', 39, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"4f07c47e-f4a1-5871-84ec-6007a07af93b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '20040896-829f-5fd9-9d86-50d6a8884848', 102, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"ef0595ae-8444-52fc-a680-896463958f6b"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00');
INSERT INTO regional.entity VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '4be4ca12-7c87-59ee-8969-388ddd68d438', 25, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"3515a1c6-731f-5dd3-af4e-de4886941f11"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '573dad1c-fdfb-5403-98a8-afb95a2edd9b', 161, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"cce2e99a-ca86-581c-a0bf-4fe52158d52e"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '589281c9-a182-5932-bcdf-a0bb3fd4d615', 116, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"22ab7fd8-ac0c-5093-bb97-527224fbe4a7"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '5955f955-2b89-51be-b03b-5d20cc7c7d7d', 95, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"1ccb6437-1d5d-5132-a0f0-1fe33f78a215"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '5b4724f7-c971-55e6-babc-f31888ba3b7d', 47, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '601c2949-4457-50e3-99b4-84206533095b', 98, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"697c3699-7680-5a20-9b4e-a2184fa9e886"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '64631b23-8202-53c4-b134-31d4ec9cec79', 197, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"81587123-b0a7-533b-a9db-25f7694be21c"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '65ade9e7-0fcb-5179-87ee-c85462031f54', 71, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"99dd8feb-9798-5a43-9527-c8bdfbbfe6e3"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '79b67d6c-3c0b-5671-af7d-249a60842d4c', 159, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"1d583e86-dd40-5856-a2ef-c15f14fdbdda"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '8504442a-4f85-50e3-b70a-b5e3b90799fe', 180, 1, '{"config":{"body":"{\"message\": \"Return labels are under maintenance until Monday.\"}","content_type":"application/json"},"instance_name":"returns-labels-maintenance","name":"request-termination","route":{"id":"ebf18217-8b6e-5c9c-a543-3ca23c679e94"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '9ae3e247-310c-58a5-b3f0-bd2215c9c242', 220, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"f4ca952d-97bd-5d62-b5bd-9a18f25e4739"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'a0602d09-a738-54d4-a732-eea043296241', 19, 1, '{"config":{"hide_credentials":true,"key_in_query":false,"key_names":["x-payment-key","apikey"],"realm":"payments"},"name":"key-auth","service":{"id":"0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'a0786de9-3a93-5294-a12f-e5e097a1ed60', 153, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"bfc1a8ad-d951-5b2d-8296-bc335c4ef875"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'a5364897-d95d-5d5f-954f-481d46daed14', 161, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"4634903c-fccb-504b-b752-357028f8c803"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'bff14722-00ad-540b-a20d-e709ee07d29d', 113, 1, '{"config":{"message":"The contract has ended. Please write to partners@shop.example.","status_code":403},"consumer":{"id":"9d9cc5d7-34bd-550c-bff1-17c46057beae"},"name":"request-termination"}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'f02edaeb-c046-5237-b337-126470538408', 15, 1, '{"config":{"hide_credentials":true},"name":"key-auth","service":{"id":"9464e4d1-9929-5f0c-84bb-186f5b475c36"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:31.056538+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '717674bf-10f7-56d1-b06c-ec126d5df204', 124, 3, '{"methods":["GET","HEAD"],"name":"storefront-home","paths":["/home"],"service":{"id":"965c3344-7dd8-5c4e-a8ef-6bd47778e381"}}', NULL, false, '2026-11-26 23:31:31.056538+00', '2026-11-26 23:31:32.589289+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '01a21a33-3289-7156-a7be-db27c3499453', 90, 5, '', NULL, true, '2026-11-26 23:31:32.618066+00', '2026-11-26 23:31:32.671172+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '01a21a33-3994-74c8-ac6e-977e50b9997a', 37, 8, '', NULL, true, '2026-11-26 23:31:34.420477+00', '2026-11-26 23:31:41.51825+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', '01a21a33-395e-75cd-8f88-b55d5a190e56', 246, 9, '', NULL, true, '2026-11-26 23:31:34.376446+00', '2026-11-26 23:31:41.563891+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'service', '01a21a33-6973-7758-866e-9c4e7dbb2a96', 94, 1, '{"connect_timeout":1500,"host":"api.example.com","name":"bücher.v1","path":"/v1","port":8443,"protocol":"https","read_timeout":3500,"retries":2,"tags":["öffentlich","web"],"tls_verify":false,"write_timeout":2500}', NULL, false, '2026-11-26 23:31:46.676067+00', '2026-11-26 23:31:46.676067+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'service', '01a21a33-69b7-767e-88bf-7cb1bd1e3d07', 46, 2, '{"enabled":false,"host":"2001:db8::1","name":"disabled","port":8080}', NULL, false, '2026-11-26 23:31:46.744685+00', '2026-11-26 23:31:46.744685+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'route', '01a21a33-6a0c-76a6-be5d-0f2685ccb2d4', 188, 3, '{"hosts":["*.example.com","books.*"],"https_redirect_status_code":301,"methods":["GET","POST"],"name":"bücher","paths":["/books","~/books/(?<isbn>[0-9-]+)$"],"preserve_host":true,"protocols":["https"],"regex_priority":7,"service":{"id":"01a21a33-6973-7758-866e-9c4e7dbb2a96"},"strip_path":false,"tags":["öffentlich"]}', NULL, false, '2026-11-26 23:31:46.829287+00', '2026-11-26 23:31:46.829287+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'route', '01a21a33-6a4f-778d-8d8e-81a9492787af', 71, 4, '{"name":"teapot","paths":["/teapot"]}', NULL, false, '2026-11-26 23:31:46.89658+00', '2026-11-26 23:31:46.89658+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6a88-7004-8709-171ec5302c1c', 196, 5, '{"config":{"body":"☕","content_type":"text/plain; charset=utf-8","status_code":418},"instance_name":"kurz-und-stoutt","name":"request-termination","route":{"id":"01a21a33-6a4f-778d-8d8e-81a9492787af"}}', NULL, false, '2026-11-26 23:31:46.956925+00', '2026-11-26 23:31:46.956925+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'consumer', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', 200, 6, '{"custom_id":"kundin-4711","tags":["vip"],"username":"日本語"}', NULL, false, '2026-11-26 23:31:47.016855+00', '2026-11-26 23:31:47.016855+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'consumer', '01a21a33-6af1-76d9-9288-61689f2a0d8a', 196, 7, '{"custom_id":"only-a-custom-id"}', NULL, false, '2026-11-26 23:31:47.05857+00', '2026-11-26 23:31:47.05857+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b08-7395-b42f-7d41dae9c5a4', 179, 8, '{"config":{"key_in_query":false,"key_names":["apikey","x-key"],"realm":"books"},"name":"key-auth","service":{"id":"01a21a33-6973-7758-866e-9c4e7dbb2a96"}}', NULL, false, '2026-11-26 23:31:47.081241+00', '2026-11-26 23:31:47.081241+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b30-7327-821d-fd7f2d4045ed', 165, 9, '{"config":{"message":"closed"},"enabled":false,"name":"request-termination"}', NULL, false, '2026-11-26 23:31:47.122725+00', '2026-11-26 23:31:47.122725+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b5a-75a4-8f89-48429b9f88fe', 61, 10, '{"config":{"status_code":403},"consumer":{"id":"01a21a33-6ac7-76ba-8fcc-9cb4dcab202e"},"name":"request-termination","protocols":["http","https"]}', NULL, false, '2026-11-26 23:31:47.170754+00', '2026-11-26 23:31:47.170754+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b9e-707c-b84a-4a17395005a5', 151, 11, '{"config":{"message":"this one, here, no"},"consumer":{"id":"01a21a33-6ac7-76ba-8fcc-9cb4dcab202e"},"name":"request-termination","route":{"id":"01a21a33-6a0c-76a6-be5d-0f2685ccb2d4"},"service":{"id":"01a21a33-6973-7758-866e-9c4e7dbb2a96"}}', NULL, false, '2026-11-26 23:31:47.231502+00', '2026-11-26 23:31:47.231502+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', '01a21a33-6bbc-7055-bcce-30e26a31882a', 10, 12, '{"consumer":{"id":"01a21a33-6ac7-76ba-8fcc-9cb4dcab202e"},"key_hash":"8dbc2aa74ad5ed8f1a74a571cfb500d0bb270a529fd4565d548d9ba903b085f5","tags":["a"]}', '\xc505a4174155fedd545280b1ae16c3f361aac32aa91452101b0578d230442d06af5f012556334081ad7f0379a51dc23e6b', false, '2026-11-26 23:31:47.261502+00', '2026-11-26 23:31:47.261502+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', '01a21a33-6bd8-7595-a363-f3f1c14c1379', 73, 13, '{"consumer":{"id":"01a21a33-6ac7-76ba-8fcc-9cb4dcab202e"},"key_hash":"d256da37666b7e1feb74081131116d0011b225c610134a37a4a1750638bf4921"}', '\xef12c21bd45495d5e0ec9e83e185547c04caae854ab1bee6d0494599b9b1e3cd2d6f1813d83cc611158bf58f7d03481c79a1da1f852a5abab79842da', false, '2026-11-26 23:31:47.289005+00', '2026-11-26 23:31:47.289005+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', '01a21a33-6bf7-706a-b749-0b14b1773b80', 116, 15, '', NULL, true, '2026-11-26 23:31:47.320006+00', '2026-11-26 23:31:47.379568+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'consumer', '01a21a33-6c6c-72e0-9d88-746ef16d4554', 167, 18, '', NULL, true, '2026-11-26 23:31:47.437124+00', '2026-11-26 23:31:47.511023+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', '01a21a33-6c8a-73cc-bbd6-eb849e11507f', 139, 18, '', NULL, true, '2026-11-26 23:31:47.467016+00', '2026-11-26 23:31:47.511023+00'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'service', '01a21a33-6cd6-70e2-ba5e-68bdf8114643', 41, 20, '', NULL, true, '2026-11-26 23:31:47.543932+00', '2026-11-26 23:31:47.577453+00');


--
-- Data for Name: entity_key; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.entity_key VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'payments', '0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'returns', '1ccb6437-1d5d-5132-a0f0-1fe33f78a215'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'webhooks', '1d583e86-dd40-5856-a2ef-c15f14fdbdda'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'accounts', '22ab7fd8-ac0c-5093-bb97-527224fbe4a7'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'shipping', '3515a1c6-731f-5dd3-af4e-de4886941f11'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'loyalty', '3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'recommendations', '4634903c-fccb-504b-b752-357028f8c803'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'basket', '4f07c47e-f4a1-5871-84ec-6007a07af93b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'catalogue', '697c3699-7680-5a20-9b4e-a2184fa9e886'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'media', '6ad8a2eb-13dd-57fe-8c72-164cabc228f0'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'status', '70ed4209-7da3-537c-82f9-92739ae5465c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'checkout', '81587123-b0a7-533b-a9db-25f7694be21c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'inventory', '9464e4d1-9929-5f0c-84bb-186f5b475c36'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'storefront', '965c3344-7dd8-5c4e-a8ef-6bd47778e381'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'pricing', '99dd8feb-9798-5a43-9527-c8bdfbbfe6e3'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'search', 'bfc1a8ad-d951-5b2d-8296-bc335c4ef875'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'partner-feed', 'cce2e99a-ca86-581c-a0bf-4fe52158d52e'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'orders', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'wishlists', 'ef0595ae-8444-52fc-a680-896463958f6b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'reviews', 'f4ca952d-97bd-5d62-b5bd-9a18f25e4739'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'service', 'name', 'back-office', 'fd0c8e99-aac7-573d-b272-fafee7b7aff4'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'payments-create', '03ad7686-965f-5455-b817-21fdc3afb539'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'inventory-movements', '0713a000-fde7-5455-9d1e-a0209d33a229'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'inventory-stock', '16acc8cd-e7cf-5775-8b9c-11c75a78bcb9'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'accounts-me', '20ef72ba-297e-5510-ba66-940e690615a0'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'checkout-step', '228c331a-ebf8-5045-b4da-16a26cfc3998'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'status-summary', '23ef8458-21d2-50f8-a8ec-6081dde75758'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'loyalty-points', '29c4ec64-7e22-55dc-8b7b-e7a9c74b2c07'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'loyalty-vouchers', '33e92994-3381-5e8a-8240-b1d22143b225'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'search-query', '3af66c67-7d2b-5830-b8ca-121e18cfc378'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'accounts-addresses', '3ccf5021-c2db-5b46-b936-4a96c47f9f75'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'catalogue-product', '43894470-db2f-55d3-9939-8eb173604770'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'pricing-lists', '45c0cb20-89ac-5216-95da-3481981f8430'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'shipping-tracking', '4e7f9bf9-b3af-53d7-8a1b-bec80e906b73'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'reviews-moderation', '6016fd32-5bdd-590c-aa1b-e4d32a2683e1'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'orders-one', '6635e7ba-3e32-5663-b0ec-d55d08fda952'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'storefront-old-site', '66a8459d-2955-5af1-9520-69a2527689a4'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'basket-read', '6a6582bd-c691-5f1f-9dd9-2d3feba7b5db'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'returns-create', '6c13fc91-5c15-5036-9170-10a1491914b5'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'media-images', '6d0be74e-d915-5df1-bd0b-d03419064393'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'orders-create', '730dcda2-31c2-593b-93cd-91276b15b894'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'orders-list', '73e18100-f387-568e-96c6-763b5b96924c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'payments-refund', '7492cc0e-f472-5c61-800c-6a2b4df752bd'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'storefront-pages', '77bbac5e-d780-52d6-901a-a6a1506a49e2'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'checkout-start', '7ac2d64d-2177-5a12-8360-58c9af00ca28'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'storefront-campaigns', '7bec24de-dd55-5661-b34f-c2d5423b3f56'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'reviews-of-product', '7e554dd7-024c-5be9-9d6d-5a245ac38015'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'catalogue-categories', '84b580cd-47a4-5353-9ea3-d57e410f8c81'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'wishlists-shared', '886d8b37-6aed-5864-8e96-68260c989154'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'accounts-one', '8a73be0f-a90e-59cf-9f85-3e48b7a379dc');
INSERT INTO regional.entity_key VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'orders-invoice', '8bede9cb-35d1-52b2-933c-1962dd1aaf8b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'wishlists-mine', '8caae99a-7d58-55d1-9434-ae4324a9e1a2'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'webhooks-subscriptions', '94b035d1-a1f7-5672-b4eb-843b813f4d3b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'catalogue-edit', '95f3414d-696b-52c0-be59-f5f18a5321e0'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'payments-one', 'a5c1b00b-7100-554a-937d-46d861cc302a'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'back-office-reports', 'a5c65bf7-6ecb-5d55-bcb9-327dcf440c7a'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'basket-item', 'a88eaf36-441f-5905-b105-bf23f6d858d5'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'catalogue-products', 'aa99e2f5-2fb2-59d4-98da-ec9fe64a6044'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'recommendations-for-product', 'ab54894d-e190-5e25-8c81-2f3d56f6885b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'partner-feed-exports', 'b2d81a5b-093d-550b-82a6-4cc7c4935021'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'partner-feed-by-host', 'b6117bdf-17b1-52f0-b771-e25199d4d19c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'search-suggest', 'bd13ec64-dd50-5d0e-bdce-47a5b901c780'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'media-by-host', 'c0a49837-6acd-5879-a7a8-0fc887efaa84'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'pricing-quote', 'c4edbd42-ec3b-5862-99af-4c11e6fd12a2'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'media-videos', 'c67922a0-8c23-5516-8510-15cfa6eeb609'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'returns-one', 'cb4ba0aa-6634-5316-9d8c-89e0c6bee597'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'recommendations-for-me', 'cc7531a2-e0a3-5ad3-ac28-960849238635'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'webhooks-deliveries', 'cd73e777-aa7c-5696-886a-cfb68b6fe161'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'back-office-home', 'd035218b-2e98-5fed-a6f4-83368e278a75'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'shipping-rates', 'd4fc0ee8-bd28-51e1-8d1f-b938e84eaa30'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'status-incidents', 'dc5f7d98-9f24-50bd-83dd-5a19797dc5ed'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'shipping-labels', 'e61b28e6-6523-5a91-a886-7d21c7ea089a'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'returns-labels', 'ebf18217-8b6e-5c9c-a543-3ca23c679e94'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'basket-change', 'f7bf4aba-ed69-5f74-b38a-31bbd8668cda'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'warehouse-south', '0c6759bd-97f1-5dba-9a86-f59facf290d5'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'call-centre', '5c0d1c58-14a9-5743-9d46-0026597ce599'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'warehouse-north', '5f033760-d91b-59ea-9295-7dff38b85dc9'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'mobile-app', '802c09cf-e78a-5d0e-b6a3-9a0f458bf20c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'custom_id', 'app-0002', '802c09cf-e78a-5d0e-b6a3-9a0f458bf20c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'former-partner', '9d9cc5d7-34bd-550c-bff1-17c46057beae'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'custom_id', 'partner-099', '9d9cc5d7-34bd-550c-bff1-17c46057beae'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'price-comparison', '9f54e4ed-bfc9-5022-aa58-30436e273bdc'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'custom_id', 'partner-101', '9f54e4ed-bfc9-5022-aa58-30436e273bdc'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'web-shop', 'a6623ac8-f9f3-5641-9512-b399d3e9c370'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'custom_id', 'app-0001', 'a6623ac8-f9f3-5641-9512-b399d3e9c370'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'marketplace@partners.shop.example', 'b6b3c4c8-7cee-5fe9-b74b-30ddde8f8d2e'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'custom_id', 'partner-102', 'b6b3c4c8-7cee-5fe9-b74b-30ddde8f8d2e'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'bookkeeping', 'e6164167-a003-5a34-ac06-c4a6630be90a'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'username', 'parcel-service', 'fefe50b1-86ff-5713-98e8-5877685c1e2a'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'consumer', 'custom_id', 'partner-100', 'fefe50b1-86ff-5713-98e8-5877685c1e2a'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', '38eb90fa5b0758f8d9ef389c53e3d75586b6577ec2526c6aafbc0b37d4282c48', '166f2b38-1a85-5af2-bae0-4d74f20013e7'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', '5d13e4f1edfc985e976888b7c6d47b00915a6b2ffa15616366d0bc6a1bca7d9e', '1ff2411a-7257-53bb-895b-752fab31b87e'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', '0534a6ea1d752f6fefea911638449541ce2ec8607ac3030a1910e282ddd5850e', '221affef-90f8-53a5-88b1-39ab13d154d4'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', 'd551eb2e62806d16eacf5db552e6fa8258d574614d2a8a1f5c3ad0d415eac8c7', '638ebba9-bb92-5d22-9f67-2e53ea7f98ff'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', 'e977b10e3c9507d92e5c5418aea2b48b0c6f7d933de9796a73ce550d5346588e', '757a3edf-28b7-5bcf-837e-578d72e08f5c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', 'b51c40bea2755cd9097175c603f00844e4e0ac606370584ea052c091d5311501', 'a7b94c3d-20f3-5c41-a9c8-a38e5ab6d0d0'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', '68ec5ad6773bda839308510700f12cfbb09f83bccaf4f2758f9d41c2da6f1d16', 'a8253478-3337-5aa1-bd53-a5c9b074e66e'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', '27eb6994ae5b2a27cd5fbf5c9234c262c08a9528c6d4edf2863265df3dcbe7fe', 'adc16bc3-b22c-5c9e-96f0-abf0e177b882'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', '3f94a7553f06b59b11aac570b37d190811befd325250b49229be072e5b0da62a', 'b220aa3e-cffd-5ca2-a59a-d0d9558cb1f3'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', 'd0066338d648279d8a0989c5069c27dbb253119f898551855ff930fa35e921e9', 'db80e4f2-213c-5882-9825-37c319d35276');
INSERT INTO regional.entity_key VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'key', 'dfb1cd049a7dd61452e277938cbcf577134735340104ac10f2288670ab30c010', 'f973badc-57b2-5bc6-a9a2-ff4d435c15af'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'request-termination:-:66a8459d-2955-5af1-9520-69a2527689a4:-', '009df8af-8308-5c61-a3cd-81af36b77a24'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:fd0c8e99-aac7-573d-b272-fafee7b7aff4:-:-', '05e6b197-8bdb-5ef1-ac74-09cd0ee7dc60'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:dac761ac-cc0b-5aff-9290-dc57c9fb5c62:-:-', '0a58f069-6768-51cb-a7f6-fe0bfa2a8bae'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:4f07c47e-f4a1-5871-84ec-6007a07af93b:-:-', '0c0c95e3-b230-571a-954d-cef665d04be8'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:ef0595ae-8444-52fc-a680-896463958f6b:-:-', '20040896-829f-5fd9-9d86-50d6a8884848'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:3515a1c6-731f-5dd3-af4e-de4886941f11:-:-', '4be4ca12-7c87-59ee-8969-388ddd68d438'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:cce2e99a-ca86-581c-a0bf-4fe52158d52e:-:-', '573dad1c-fdfb-5403-98a8-afb95a2edd9b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:22ab7fd8-ac0c-5093-bb97-527224fbe4a7:-:-', '589281c9-a182-5932-bcdf-a0bb3fd4d615'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:1ccb6437-1d5d-5132-a0f0-1fe33f78a215:-:-', '5955f955-2b89-51be-b03b-5d20cc7c7d7d'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec:-:-', '5b4724f7-c971-55e6-babc-f31888ba3b7d'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:697c3699-7680-5a20-9b4e-a2184fa9e886:-:-', '601c2949-4457-50e3-99b4-84206533095b'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:81587123-b0a7-533b-a9db-25f7694be21c:-:-', '64631b23-8202-53c4-b134-31d4ec9cec79'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:99dd8feb-9798-5a43-9527-c8bdfbbfe6e3:-:-', '65ade9e7-0fcb-5179-87ee-c85462031f54'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:1d583e86-dd40-5856-a2ef-c15f14fdbdda:-:-', '79b67d6c-3c0b-5671-af7d-249a60842d4c'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'request-termination:-:ebf18217-8b6e-5c9c-a543-3ca23c679e94:-', '8504442a-4f85-50e3-b70a-b5e3b90799fe'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'instance_name', 'returns-labels-maintenance', '8504442a-4f85-50e3-b70a-b5e3b90799fe'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:f4ca952d-97bd-5d62-b5bd-9a18f25e4739:-:-', '9ae3e247-310c-58a5-b3f0-bd2215c9c242'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5:-:-', 'a0602d09-a738-54d4-a732-eea043296241'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:bfc1a8ad-d951-5b2d-8296-bc335c4ef875:-:-', 'a0786de9-3a93-5294-a12f-e5e097a1ed60'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:4634903c-fccb-504b-b752-357028f8c803:-:-', 'a5364897-d95d-5d5f-954f-481d46daed14'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'request-termination:-:-:9d9cc5d7-34bd-550c-bff1-17c46057beae', 'bff14722-00ad-540b-a20d-e709ee07d29d'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'scope', 'key-auth:9464e4d1-9929-5f0c-84bb-186f5b475c36:-:-', 'f02edaeb-c046-5237-b337-126470538408'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'name', 'storefront-home', '717674bf-10f7-56d1-b06c-ec126d5df204'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'service', 'name', 'bücher.v1', '01a21a33-6973-7758-866e-9c4e7dbb2a96'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'service', 'name', 'disabled', '01a21a33-69b7-767e-88bf-7cb1bd1e3d07'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'route', 'name', 'bücher', '01a21a33-6a0c-76a6-be5d-0f2685ccb2d4'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'route', 'name', 'teapot', '01a21a33-6a4f-778d-8d8e-81a9492787af'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', 'scope', 'request-termination:-:01a21a33-6a4f-778d-8d8e-81a9492787af:-', '01a21a33-6a88-7004-8709-171ec5302c1c'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', 'instance_name', 'kurz-und-stoutt', '01a21a33-6a88-7004-8709-171ec5302c1c'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'consumer', 'username', '日本語', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'consumer', 'custom_id', 'kundin-4711', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'consumer', 'custom_id', 'only-a-custom-id', '01a21a33-6af1-76d9-9288-61689f2a0d8a'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', 'scope', 'key-auth:01a21a33-6973-7758-866e-9c4e7dbb2a96:-:-', '01a21a33-6b08-7395-b42f-7d41dae9c5a4'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', 'scope', 'request-termination:-:-:-', '01a21a33-6b30-7327-821d-fd7f2d4045ed'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', 'scope', 'request-termination:-:-:01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', '01a21a33-6b5a-75a4-8f89-48429b9f88fe'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', 'scope', 'request-termination:01a21a33-6973-7758-866e-9c4e7dbb2a96:01a21a33-6a0c-76a6-be5d-0f2685ccb2d4:01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', '01a21a33-6b9e-707c-b84a-4a17395005a5'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', 'key', '8dbc2aa74ad5ed8f1a74a571cfb500d0bb270a529fd4565d548d9ba903b085f5', '01a21a33-6bbc-7055-bcce-30e26a31882a'),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', 'key', 'd256da37666b7e1feb74081131116d0011b225c610134a37a4a1750638bf4921', '01a21a33-6bd8-7595-a363-f3f1c14c1379');


--
-- Data for Name: entity_ref; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.entity_ref VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '03ad7686-965f-5455-b817-21fdc3afb539', 'service', 'service', '0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '0713a000-fde7-5455-9d1e-a0209d33a229', 'service', 'service', '9464e4d1-9929-5f0c-84bb-186f5b475c36', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '16acc8cd-e7cf-5775-8b9c-11c75a78bcb9', 'service', 'service', '9464e4d1-9929-5f0c-84bb-186f5b475c36', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '20ef72ba-297e-5510-ba66-940e690615a0', 'service', 'service', '22ab7fd8-ac0c-5093-bb97-527224fbe4a7', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '228c331a-ebf8-5045-b4da-16a26cfc3998', 'service', 'service', '81587123-b0a7-533b-a9db-25f7694be21c', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '23ef8458-21d2-50f8-a8ec-6081dde75758', 'service', 'service', '70ed4209-7da3-537c-82f9-92739ae5465c', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '29c4ec64-7e22-55dc-8b7b-e7a9c74b2c07', 'service', 'service', '3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '33e92994-3381-5e8a-8240-b1d22143b225', 'service', 'service', '3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '3af66c67-7d2b-5830-b8ca-121e18cfc378', 'service', 'service', 'bfc1a8ad-d951-5b2d-8296-bc335c4ef875', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '3ccf5021-c2db-5b46-b936-4a96c47f9f75', 'service', 'service', '22ab7fd8-ac0c-5093-bb97-527224fbe4a7', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '43894470-db2f-55d3-9939-8eb173604770', 'service', 'service', '697c3699-7680-5a20-9b4e-a2184fa9e886', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '45c0cb20-89ac-5216-95da-3481981f8430', 'service', 'service', '99dd8feb-9798-5a43-9527-c8bdfbbfe6e3', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '4e7f9bf9-b3af-53d7-8a1b-bec80e906b73', 'service', 'service', '3515a1c6-731f-5dd3-af4e-de4886941f11', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6016fd32-5bdd-590c-aa1b-e4d32a2683e1', 'service', 'service', 'f4ca952d-97bd-5d62-b5bd-9a18f25e4739', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6635e7ba-3e32-5663-b0ec-d55d08fda952', 'service', 'service', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '66a8459d-2955-5af1-9520-69a2527689a4', 'service', 'service', '965c3344-7dd8-5c4e-a8ef-6bd47778e381', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6a6582bd-c691-5f1f-9dd9-2d3feba7b5db', 'service', 'service', '4f07c47e-f4a1-5871-84ec-6007a07af93b', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6c13fc91-5c15-5036-9170-10a1491914b5', 'service', 'service', '1ccb6437-1d5d-5132-a0f0-1fe33f78a215', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '6d0be74e-d915-5df1-bd0b-d03419064393', 'service', 'service', '6ad8a2eb-13dd-57fe-8c72-164cabc228f0', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '730dcda2-31c2-593b-93cd-91276b15b894', 'service', 'service', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '73e18100-f387-568e-96c6-763b5b96924c', 'service', 'service', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7492cc0e-f472-5c61-800c-6a2b4df752bd', 'service', 'service', '0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '77bbac5e-d780-52d6-901a-a6a1506a49e2', 'service', 'service', '965c3344-7dd8-5c4e-a8ef-6bd47778e381', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7ac2d64d-2177-5a12-8360-58c9af00ca28', 'service', 'service', '81587123-b0a7-533b-a9db-25f7694be21c', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7bec24de-dd55-5661-b34f-c2d5423b3f56', 'service', 'service', '965c3344-7dd8-5c4e-a8ef-6bd47778e381', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '7e554dd7-024c-5be9-9d6d-5a245ac38015', 'service', 'service', 'f4ca952d-97bd-5d62-b5bd-9a18f25e4739', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '84b580cd-47a4-5353-9ea3-d57e410f8c81', 'service', 'service', '697c3699-7680-5a20-9b4e-a2184fa9e886', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '886d8b37-6aed-5864-8e96-68260c989154', 'service', 'service', 'ef0595ae-8444-52fc-a680-896463958f6b', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '8a73be0f-a90e-59cf-9f85-3e48b7a379dc', 'service', 'service', '22ab7fd8-ac0c-5093-bb97-527224fbe4a7', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '8bede9cb-35d1-52b2-933c-1962dd1aaf8b', 'service', 'service', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '8caae99a-7d58-55d1-9434-ae4324a9e1a2', 'service', 'service', 'ef0595ae-8444-52fc-a680-896463958f6b', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '94b035d1-a1f7-5672-b4eb-843b813f4d3b', 'service', 'service', '1d583e86-dd40-5856-a2ef-c15f14fdbdda', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '95f3414d-696b-52c0-be59-f5f18a5321e0', 'service', 'service', '697c3699-7680-5a20-9b4e-a2184fa9e886', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'a5c1b00b-7100-554a-937d-46d861cc302a', 'service', 'service', '0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'a5c65bf7-6ecb-5d55-bcb9-327dcf440c7a', 'service', 'service', 'fd0c8e99-aac7-573d-b272-fafee7b7aff4', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'a88eaf36-441f-5905-b105-bf23f6d858d5', 'service', 'service', '4f07c47e-f4a1-5871-84ec-6007a07af93b', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'aa99e2f5-2fb2-59d4-98da-ec9fe64a6044', 'service', 'service', '697c3699-7680-5a20-9b4e-a2184fa9e886', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'ab54894d-e190-5e25-8c81-2f3d56f6885b', 'service', 'service', '4634903c-fccb-504b-b752-357028f8c803', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'b2d81a5b-093d-550b-82a6-4cc7c4935021', 'service', 'service', 'cce2e99a-ca86-581c-a0bf-4fe52158d52e', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'b6117bdf-17b1-52f0-b771-e25199d4d19c', 'service', 'service', 'cce2e99a-ca86-581c-a0bf-4fe52158d52e', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'bd13ec64-dd50-5d0e-bdce-47a5b901c780', 'service', 'service', 'bfc1a8ad-d951-5b2d-8296-bc335c4ef875', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'c0a49837-6acd-5879-a7a8-0fc887efaa84', 'service', 'service', '6ad8a2eb-13dd-57fe-8c72-164cabc228f0', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'c4edbd42-ec3b-5862-99af-4c11e6fd12a2', 'service', 'service', '99dd8feb-9798-5a43-9527-c8bdfbbfe6e3', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'c67922a0-8c23-5516-8510-15cfa6eeb609', 'service', 'service', '6ad8a2eb-13dd-57fe-8c72-164cabc228f0', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'cb4ba0aa-6634-5316-9d8c-89e0c6bee597', 'service', 'service', '1ccb6437-1d5d-5132-a0f0-1fe33f78a215', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'cc7531a2-e0a3-5ad3-ac28-960849238635', 'service', 'service', '4634903c-fccb-504b-b752-357028f8c803', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'cd73e777-aa7c-5696-886a-cfb68b6fe161', 'service', 'service', '1d583e86-dd40-5856-a2ef-c15f14fdbdda', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'd035218b-2e98-5fed-a6f4-83368e278a75', 'service', 'service', 'fd0c8e99-aac7-573d-b272-fafee7b7aff4', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'd4fc0ee8-bd28-51e1-8d1f-b938e84eaa30', 'service', 'service', '3515a1c6-731f-5dd3-af4e-de4886941f11', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'dc5f7d98-9f24-50bd-83dd-5a19797dc5ed', 'service', 'service', '70ed4209-7da3-537c-82f9-92739ae5465c', false);
INSERT INTO regional.entity_ref VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'e61b28e6-6523-5a91-a886-7d21c7ea089a', 'service', 'service', '3515a1c6-731f-5dd3-af4e-de4886941f11', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'ebf18217-8b6e-5c9c-a543-3ca23c679e94', 'service', 'service', '1ccb6437-1d5d-5132-a0f0-1fe33f78a215', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', 'f7bf4aba-ed69-5f74-b38a-31bbd8668cda', 'service', 'service', '4f07c47e-f4a1-5871-84ec-6007a07af93b', false),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '166f2b38-1a85-5af2-bae0-4d74f20013e7', 'consumer', 'consumer', '802c09cf-e78a-5d0e-b6a3-9a0f458bf20c', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '1ff2411a-7257-53bb-895b-752fab31b87e', 'consumer', 'consumer', 'a6623ac8-f9f3-5641-9512-b399d3e9c370', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '221affef-90f8-53a5-88b1-39ab13d154d4', 'consumer', 'consumer', '9d9cc5d7-34bd-550c-bff1-17c46057beae', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '638ebba9-bb92-5d22-9f67-2e53ea7f98ff', 'consumer', 'consumer', '802c09cf-e78a-5d0e-b6a3-9a0f458bf20c', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', '757a3edf-28b7-5bcf-837e-578d72e08f5c', 'consumer', 'consumer', 'e6164167-a003-5a34-ac06-c4a6630be90a', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'a7b94c3d-20f3-5c41-a9c8-a38e5ab6d0d0', 'consumer', 'consumer', '0c6759bd-97f1-5dba-9a86-f59facf290d5', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'a8253478-3337-5aa1-bd53-a5c9b074e66e', 'consumer', 'consumer', 'fefe50b1-86ff-5713-98e8-5877685c1e2a', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'adc16bc3-b22c-5c9e-96f0-abf0e177b882', 'consumer', 'consumer', '5c0d1c58-14a9-5743-9d46-0026597ce599', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'b220aa3e-cffd-5ca2-a59a-d0d9558cb1f3', 'consumer', 'consumer', '9f54e4ed-bfc9-5022-aa58-30436e273bdc', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'db80e4f2-213c-5882-9825-37c319d35276', 'consumer', 'consumer', 'b6b3c4c8-7cee-5fe9-b74b-30ddde8f8d2e', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'key_auth', 'f973badc-57b2-5bc6-a9a2-ff4d435c15af', 'consumer', 'consumer', '5f033760-d91b-59ea-9295-7dff38b85dc9', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '009df8af-8308-5c61-a3cd-81af36b77a24', 'route', 'route', '66a8459d-2955-5af1-9520-69a2527689a4', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '05e6b197-8bdb-5ef1-ac74-09cd0ee7dc60', 'service', 'service', 'fd0c8e99-aac7-573d-b272-fafee7b7aff4', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '0a58f069-6768-51cb-a7f6-fe0bfa2a8bae', 'service', 'service', 'dac761ac-cc0b-5aff-9290-dc57c9fb5c62', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '0c0c95e3-b230-571a-954d-cef665d04be8', 'service', 'service', '4f07c47e-f4a1-5871-84ec-6007a07af93b', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '20040896-829f-5fd9-9d86-50d6a8884848', 'service', 'service', 'ef0595ae-8444-52fc-a680-896463958f6b', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '4be4ca12-7c87-59ee-8969-388ddd68d438', 'service', 'service', '3515a1c6-731f-5dd3-af4e-de4886941f11', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '573dad1c-fdfb-5403-98a8-afb95a2edd9b', 'service', 'service', 'cce2e99a-ca86-581c-a0bf-4fe52158d52e', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '589281c9-a182-5932-bcdf-a0bb3fd4d615', 'service', 'service', '22ab7fd8-ac0c-5093-bb97-527224fbe4a7', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '5955f955-2b89-51be-b03b-5d20cc7c7d7d', 'service', 'service', '1ccb6437-1d5d-5132-a0f0-1fe33f78a215', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '5b4724f7-c971-55e6-babc-f31888ba3b7d', 'service', 'service', '3ba2d9c2-31ab-53af-b12b-88bcaf1a51ec', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '601c2949-4457-50e3-99b4-84206533095b', 'service', 'service', '697c3699-7680-5a20-9b4e-a2184fa9e886', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '64631b23-8202-53c4-b134-31d4ec9cec79', 'service', 'service', '81587123-b0a7-533b-a9db-25f7694be21c', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '65ade9e7-0fcb-5179-87ee-c85462031f54', 'service', 'service', '99dd8feb-9798-5a43-9527-c8bdfbbfe6e3', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '79b67d6c-3c0b-5671-af7d-249a60842d4c', 'service', 'service', '1d583e86-dd40-5856-a2ef-c15f14fdbdda', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '8504442a-4f85-50e3-b70a-b5e3b90799fe', 'route', 'route', 'ebf18217-8b6e-5c9c-a543-3ca23c679e94', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', '9ae3e247-310c-58a5-b3f0-bd2215c9c242', 'service', 'service', 'f4ca952d-97bd-5d62-b5bd-9a18f25e4739', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'a0602d09-a738-54d4-a732-eea043296241', 'service', 'service', '0fd39b02-f93a-5b6b-8a3f-1230d5ee11a5', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'a0786de9-3a93-5294-a12f-e5e097a1ed60', 'service', 'service', 'bfc1a8ad-d951-5b2d-8296-bc335c4ef875', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'a5364897-d95d-5d5f-954f-481d46daed14', 'service', 'service', '4634903c-fccb-504b-b752-357028f8c803', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'bff14722-00ad-540b-a20d-e709ee07d29d', 'consumer', 'consumer', '9d9cc5d7-34bd-550c-bff1-17c46057beae', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'plugin', 'f02edaeb-c046-5237-b337-126470538408', 'service', 'service', '9464e4d1-9929-5f0c-84bb-186f5b475c36', true),
	('01a21a33-232f-77d6-ad85-274a7d187b14', 'route', '717674bf-10f7-56d1-b06c-ec126d5df204', 'service', 'service', '965c3344-7dd8-5c4e-a8ef-6bd47778e381', false),
	('01a21a33-6861-713a-b429-e6190cf87097', 'route', '01a21a33-6a0c-76a6-be5d-0f2685ccb2d4', 'service', 'service', '01a21a33-6973-7758-866e-9c4e7dbb2a96', false),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6a88-7004-8709-171ec5302c1c', 'route', 'route', '01a21a33-6a4f-778d-8d8e-81a9492787af', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b08-7395-b42f-7d41dae9c5a4', 'service', 'service', '01a21a33-6973-7758-866e-9c4e7dbb2a96', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b5a-75a4-8f89-48429b9f88fe', 'consumer', 'consumer', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b9e-707c-b84a-4a17395005a5', 'service', 'service', '01a21a33-6973-7758-866e-9c4e7dbb2a96', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b9e-707c-b84a-4a17395005a5', 'route', 'route', '01a21a33-6a0c-76a6-be5d-0f2685ccb2d4', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'plugin', '01a21a33-6b9e-707c-b84a-4a17395005a5', 'consumer', 'consumer', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', '01a21a33-6bbc-7055-bcce-30e26a31882a', 'consumer', 'consumer', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 'key_auth', '01a21a33-6bd8-7595-a363-f3f1c14c1379', 'consumer', 'consumer', '01a21a33-6ac7-76ba-8fcc-9cb4dcab202e', true);


--
-- Data for Name: node; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.node VALUES
	('01a21a33-6861-713a-b429-e6190cf87097', '23cfff9d-f63f-4337-9521-0678ab284d4a', 'host-ä', '', '01a21a33-6d21-7229-a5af-884cd5e94428', '2026-12-03 23:31:47.792488+00', NULL, NULL, NULL, '2026-11-27 00:31:47.795079+00', 0, 0, NULL, false, 0, 0, '', '[]', '2026-11-26 23:31:47.795079+00', NULL),
	('01a21a33-6861-713a-b429-e6190cf87097', 'd173c011-c2b8-4472-a419-5c3f599ad8fa', 'host-ä', '', '01a21a33-6d21-7229-a5af-884cd5e94428', '2026-12-03 23:31:47.875188+00', NULL, NULL, NULL, '2026-11-27 00:31:47.875881+00', 0, 0, NULL, false, 0, 0, '', '[]', '2026-11-26 23:31:47.875881+00', '2026-11-26 23:31:47.934881+00'),
	('01a21a33-232f-77d6-ad85-274a7d187b14', '01a21a33-2390-754e-8809-23a2f17d67fe', 'vm', '0.1.0', '01a21a33-2372-73a2-a633-565deb282318', '2026-12-03 23:31:29.03699+00', '01a21a33-24e7-76db-900c-73175a778a0c', '2026-11-26 23:31:51.622253+00', NULL, '2026-11-27 00:31:51.622253+00', 1, 9, '2026-11-26 23:31:41.612157+00', true, 3285, 3320, '', '[]', '2026-11-26 23:31:29.038741+00', NULL);


--
-- Data for Name: revocation; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.revocation VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 1, 'key_auth', '01a21a33-3289-7156-a7be-db27c3499453', '2026-11-26 23:31:32.66059+00', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 1, 'key_auth', '01a21a33-6bf7-706a-b749-0b14b1773b80', '2026-11-26 23:31:47.376056+00', true),
	('01a21a33-6861-713a-b429-e6190cf87097', 2, 'consumer', '01a21a33-6c6c-72e0-9d88-746ef16d4554', '2026-11-26 23:31:47.507918+00', true);


--
-- Data for Name: revocation_head; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.revocation_head VALUES
	('01a21a33-232f-77d6-ad85-274a7d187b14', 1),
	('01a21a33-6861-713a-b429-e6190cf87097', 2);


--
-- Name: audit_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.audit_id_seq', 43, true);


--
-- Name: _sqlx_migrations _sqlx_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public._sqlx_migrations
    ADD CONSTRAINT _sqlx_migrations_pkey PRIMARY KEY (version);


--
-- Name: audit audit_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);


--
-- Name: idempotency idempotency_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (id);


--
-- Name: log_head log_head_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.log_head
    ADD CONSTRAINT log_head_pkey PRIMARY KEY (only_row);


--
-- Name: control_plane control_plane_name; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.control_plane
    ADD CONSTRAINT control_plane_name UNIQUE (organization_id, name);


--
-- Name: control_plane control_plane_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.control_plane
    ADD CONSTRAINT control_plane_pkey PRIMARY KEY (id);


--
-- Name: enrolment_token enrolment_token_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.enrolment_token
    ADD CONSTRAINT enrolment_token_pkey PRIMARY KEY (id);


--
-- Name: entity_key entity_key_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.entity_key
    ADD CONSTRAINT entity_key_pkey PRIMARY KEY (control_plane_id, kind, field, value);


--
-- Name: entity entity_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.entity
    ADD CONSTRAINT entity_pkey PRIMARY KEY (control_plane_id, kind, id);


--
-- Name: entity_ref entity_ref_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.entity_ref
    ADD CONSTRAINT entity_ref_pkey PRIMARY KEY (control_plane_id, from_kind, from_id, field);


--
-- Name: node node_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.node
    ADD CONSTRAINT node_pkey PRIMARY KEY (control_plane_id, id);


--
-- Name: revocation_head revocation_head_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.revocation_head
    ADD CONSTRAINT revocation_head_pkey PRIMARY KEY (control_plane_id);


--
-- Name: revocation revocation_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.revocation
    ADD CONSTRAINT revocation_pkey PRIMARY KEY (control_plane_id, seq);


--
-- Name: audit_by_organization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_by_organization ON public.audit USING btree (organization_id, id);


--
-- Name: idempotency_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_by_age ON public.idempotency USING btree (created_at);


--
-- Name: enrolment_token_by_control_plane; Type: INDEX; Schema: regional; Owner: -
--

CREATE INDEX enrolment_token_by_control_plane ON regional.enrolment_token USING btree (control_plane_id, id);


--
-- Name: entity_by_bucket; Type: INDEX; Schema: regional; Owner: -
--

CREATE INDEX entity_by_bucket ON regional.entity USING btree (control_plane_id, bucket, kind, id) WHERE (NOT deleted);


--
-- Name: entity_by_version; Type: INDEX; Schema: regional; Owner: -
--

CREATE INDEX entity_by_version ON regional.entity USING btree (control_plane_id, version);


--
-- Name: entity_ref_by_target; Type: INDEX; Schema: regional; Owner: -
--

CREATE INDEX entity_ref_by_target ON regional.entity_ref USING btree (control_plane_id, to_kind, to_id, from_kind, from_id);


--
-- Name: revocation_to_do; Type: INDEX; Schema: regional; Owner: -
--

CREATE INDEX revocation_to_do ON regional.revocation USING btree (at) WHERE (NOT done);


--
-- Name: enrolment_token enrolment_token_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.enrolment_token
    ADD CONSTRAINT enrolment_token_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- Name: entity entity_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.entity
    ADD CONSTRAINT entity_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- Name: entity_key entity_key_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.entity_key
    ADD CONSTRAINT entity_key_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- Name: entity_ref entity_ref_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.entity_ref
    ADD CONSTRAINT entity_ref_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- Name: node node_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.node
    ADD CONSTRAINT node_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- Name: revocation revocation_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.revocation
    ADD CONSTRAINT revocation_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- Name: revocation_head revocation_head_control_plane_id_fkey; Type: FK CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.revocation_head
    ADD CONSTRAINT revocation_head_control_plane_id_fkey FOREIGN KEY (control_plane_id) REFERENCES regional.control_plane(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


