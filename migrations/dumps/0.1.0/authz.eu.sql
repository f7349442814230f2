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
-- Name: replicated; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA replicated;


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
-- Name: log_applied; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.log_applied (
    "position" bigint NOT NULL,
    origin text NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    organization_id uuid NOT NULL,
    in_turn boolean NOT NULL,
    effects text NOT NULL
);


--
-- Name: log_head; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.log_head (
    only_row boolean DEFAULT true NOT NULL,
    "position" bigint DEFAULT 0 NOT NULL,
    epoch bigint DEFAULT 1 NOT NULL,
    confirmed_at timestamp with time zone,
    CONSTRAINT log_head_only_row_check CHECK (only_row)
)
WITH (fillfactor='50');


--
-- Name: log_operation; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.log_operation (
    origin text NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    actor_id uuid,
    authority uuid[] NOT NULL,
    prev_hash bytea NOT NULL,
    deps text NOT NULL,
    kind text NOT NULL,
    body text NOT NULL,
    at bigint NOT NULL,
    traceparent text NOT NULL
);


--
-- Name: log_organization; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.log_organization (
    organization_id uuid NOT NULL,
    origin text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL
)
WITH (fillfactor='50');


--
-- Name: log_origin; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.log_origin (
    origin text NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    hash bytea NOT NULL
)
WITH (fillfactor='50');


--
-- Name: origin_cursor; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.origin_cursor (
    origin text NOT NULL,
    applied bigint NOT NULL
);


--
-- Name: assignment; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.assignment (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    team_id uuid,
    principal_id uuid,
    role_name text NOT NULL,
    entity_type_name text NOT NULL,
    entity_id text NOT NULL,
    entity_region text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT assignment_check CHECK (((team_id IS NULL) <> (principal_id IS NULL)))
);


--
-- Name: edge_grant; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.edge_grant (
    origin text NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    organization_id uuid NOT NULL,
    edge_id uuid NOT NULL,
    deps text NOT NULL,
    authority uuid[] NOT NULL,
    ended boolean NOT NULL,
    void boolean NOT NULL
);


--
-- Name: membership; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.membership (
    team_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    id uuid NOT NULL
);


--
-- Name: organization; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.organization (
    id uuid NOT NULL,
    status text NOT NULL,
    home_region text NOT NULL,
    CONSTRAINT organization_status_check CHECK ((status = ANY (ARRAY['active'::text, 'suspended'::text])))
);


--
-- Name: principal; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.principal (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    active boolean NOT NULL,
    not_before bigint,
    CONSTRAINT principal_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'system_account'::text])))
);


--
-- Name: removed; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.removed (
    id uuid NOT NULL,
    organization_id uuid NOT NULL
);


--
-- Name: revocation; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.revocation (
    origin text NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    organization_id uuid NOT NULL,
    subject_id uuid NOT NULL,
    deps text NOT NULL
);


--
-- Name: revoked_session; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.revoked_session (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    expires_at bigint NOT NULL,
    region text NOT NULL
);


--
-- Name: team; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.team (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    predefined boolean DEFAULT false NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Data for Name: _sqlx_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public._sqlx_migrations VALUES
	(1, 'create authz', '2026-11-26 23:31:25.231049+00', true, '\x2e5d2b8867b45979bae4c2be5fa9766515283e4cfc43555924e329efdc98c8ea035f7d5e25205716e8ad3ebbe219c761', 243127806),
	(2, 'replicate', '2026-11-26 23:31:25.476945+00', true, '\xf665129df873de152b3715d3f4f700aa56d6ceb237b2974a791b0c38d404fe2aebfd7802aa416a248733b749a1ccd8da', 138373150);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-26 23:31:33.476688+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'role.assign-creator', '01a21a33-35de-7363-8d11-da0f478e617e'),
	(2, '2026-11-26 23:31:33.519118+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'role.assign-creator', '01a21a33-360b-769f-844a-69369ab735d7'),
	(3, '2026-11-26 23:31:33.612459+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'role.forget-resource', '01a21a33-360b-769f-844a-69369ab735d7'),
	(4, '2026-11-26 23:31:33.674498+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'role.assign-creator', '01a21a33-3687-750a-bf61-2c3c82d55805'),
	(5, '2026-11-26 23:31:33.782922+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'role.forget-resource', '01a21a33-3687-750a-bf61-2c3c82d55805'),
	(6, '2026-11-26 23:31:33.807917+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'role.assign-creator', '01a21a33-3729-71ad-8eb2-805568fb5d0d'),
	(7, '2026-11-26 23:31:33.84919+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'role.forget-resource', '01a21a33-3729-71ad-8eb2-805568fb5d0d'),
	(8, '2026-11-26 23:31:40.828468+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'role.assign', 'bd26039f-6f6f-56f8-9a1f-6dfc3c167d03'),
	(9, '2026-11-26 23:31:41.246723+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', '01a21a33-39ff-722b-b32f-80940bbd97b3', 'role.assign-creator', '01a21a33-542d-7116-b3e0-d457b136258d'),
	(10, '2026-11-26 23:31:41.388139+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'role.forget-resource', '01a21a33-542d-7116-b3e0-d457b136258d'),
	(11, '2026-11-26 23:31:44.817909+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'team.add-member', 'd7a3a15d-418a-523d-b185-d2bc555f5a2f'),
	(12, '2026-11-26 23:31:45.011797+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'team.remove-member', 'd7a3a15d-418a-523d-b185-d2bc555f5a2f'),
	(13, '2026-11-26 23:31:45.184362+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'role.assign', '7c38b056-998c-5f46-8790-8b9d3b0135e4'),
	(14, '2026-11-26 23:31:45.509435+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'role.assign', '8a9ebe18-0bba-5a3a-bf23-8cad61200493'),
	(15, '2026-11-26 23:31:45.689413+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'role.take-back', 'e3a44225-4978-5b0f-8550-ab61ac7ff691'),
	(16, '2026-11-26 23:31:46.146853+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-589a-7300-99e1-0b26f73615b5', 'fb3deca8-6c8a-5928-9a48-c7c3750d5702', 'role.assign', '45b083f2-32d9-5136-b6ff-4b70ef68b2c1'),
	(17, '2026-11-26 23:31:46.204749+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'team.remove-member', 'd7a3a15d-418a-523d-b185-d2bc555f5a2f'),
	(18, '2026-11-26 23:31:48.149816+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'role.assign-creator', '01a21a33-6f2d-77c5-874a-55f4670846c3'),
	(19, '2026-11-26 23:31:48.225088+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'role.assign-creator', '01a21a33-6f75-76dc-ad29-3801396fe024'),
	(20, '2026-11-26 23:31:48.355627+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'role.forget-resource', '01a21a33-6f75-76dc-ad29-3801396fe024');


--
-- Data for Name: idempotency; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: log_applied; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_applied VALUES
	(1, 'authz.us', 1, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"organization.put","body":{"suspended":false,"home_region":"us"}}]'),
	(2, 'authz.us', 2, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","kind":"user","active":true,"not_before":null}}]'),
	(3, 'authz.us', 3, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.put","body":{"id":"2ba6d410-cc48-5804-ae19-fd9a43238b71","name":"Organization Admin","description":"Everything in the organization.","predefined":true}}]'),
	(4, 'authz.us', 4, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"2ba6d410-cc48-5804-ae19-fd9a43238b71","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}}]'),
	(5, 'authz.us', 5, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","kind":"user","active":true,"not_before":null}}]'),
	(6, 'authz.us', 6, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-232f-77d6-ad85-274a7d187b14","entity_type_name":"Control Planes","entity_region":"us"}}}]'),
	(7, 'authz.us', 7, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.put","body":{"id":"01a21a33-3329-7745-8d50-4a51e32d3f16","name":"creators-bcac6075","description":"","predefined":false}}]'),
	(8, 'authz.us', 8, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"team":"01a21a33-3329-7745-8d50-4a51e32d3f16"},"role":{"role_name":"Creator","entity_id":"*","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(9, 'authz.us', 9, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-338d-710d-90c9-64ff0c980347","kind":"system_account","active":true,"not_before":null}}]'),
	(10, 'authz.us', 10, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"01a21a33-3329-7745-8d50-4a51e32d3f16","principal_id":"01a21a33-338d-710d-90c9-64ff0c980347"}}]'),
	(11, 'authz.eu', 1, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-35de-7363-8d11-da0f478e617e","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(12, 'authz.eu', 2, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-360b-769f-844a-69369ab735d7","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(13, 'authz.eu', 3, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"acd39fa3-76ca-5a4d-8701-f8498731ee78"}}]'),
	(14, 'authz.eu', 4, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-3687-750a-bf61-2c3c82d55805","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(15, 'authz.eu', 5, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"376548dd-818a-5f50-8370-1b865cb5a412"}}]'),
	(16, 'authz.eu', 6, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-3729-71ad-8eb2-805568fb5d0d","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(17, 'authz.eu', 7, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"34aaa12f-54b4-5685-920b-76a3544e0e9b"}}]'),
	(18, 'authz.eu', 8, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"team":"01a21a33-3329-7745-8d50-4a51e32d3f16"},"role":{"role_name":"Viewer","entity_id":"01a21a33-35de-7363-8d11-da0f478e617e","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(19, 'authz.us', 11, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5","kind":"system_account","active":true,"not_before":null}}]'),
	(20, 'authz.us', 12, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"01a21a33-3329-7745-8d50-4a51e32d3f16","principal_id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"}}]'),
	(21, 'authz.eu', 9, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"},"role":{"role_name":"Admin","entity_id":"01a21a33-542d-7116-b3e0-d457b136258d","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(22, 'authz.us', 13, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.put","body":{"id":"01a21a33-51fb-76dd-8d9a-3fbcaf95d5bb","name":"during-bcac6075","description":"","predefined":false}}]'),
	(23, 'authz.us', 14, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.removed","body":{"id":"01a21a33-51fb-76dd-8d9a-3fbcaf95d5bb"}}]'),
	(24, 'authz.eu', 10, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"6ef9e8f4-6c77-5a5a-87af-d501548fcfc3"}}]'),
	(25, 'authz.us', 15, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.removed","body":{"id":"01a21a33-3329-7745-8d50-4a51e32d3f16"}}]'),
	(26, 'authz.us', 16, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"session.revoked","body":{"id":"01a21a33-33e6-74f0-9d13-0847302cff05","expires_at":1803511892}}]'),
	(27, 'authz.us', 17, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.removed","body":{"id":"01a21a33-338d-710d-90c9-64ff0c980347"}}]'),
	(28, 'authz.us', 18, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"session.revoked","body":{"id":"01a21a33-39ff-722b-b32f-80940bbd97b3","expires_at":1803511894}}]'),
	(29, 'authz.us', 19, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.removed","body":{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"}}]'),
	(30, 'authz.us', 20, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87","kind":"system_account","active":true,"not_before":null}}]'),
	(31, 'authz.us', 21, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-583b-7585-ac79-ce9e85637168","kind":"system_account","active":true,"not_before":null}}]'),
	(32, 'authz.us', 22, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-589a-7300-99e1-0b26f73615b5","kind":"system_account","active":true,"not_before":null}}]'),
	(33, 'authz.us', 23, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.put","body":{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1","kind":"system_account","active":true,"not_before":null}}]'),
	(34, 'authz.us', 24, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"session.revoked","body":{"id":"821fd615-1b6b-5c16-829d-2daf1a7577f0","expires_at":1803511903}}]'),
	(35, 'authz.us', 25, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"session.revoked","body":{"id":"310c802f-6467-5ed5-8773-5ebf9529633c","expires_at":1803511903}}]'),
	(36, 'authz.us', 26, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"principal.removed","body":{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1"}}]'),
	(39, 'authz.eu', 12, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[{"kind":"organization.put","body":{"suspended":false,"home_region":"eu"}}]'),
	(40, 'authz.eu', 13, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[{"kind":"principal.put","body":{"id":"01a21a33-5f98-772a-9329-7217b63ae2d1","kind":"user","active":true,"not_before":null}}]'),
	(41, 'authz.eu', 14, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[{"kind":"team.put","body":{"id":"b6d72ae8-9721-5cd8-9dd3-fa80b1893e9c","name":"Organization Admin","description":"Everything in the organization.","predefined":true}}]'),
	(42, 'authz.eu', 15, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[{"kind":"member.added","body":{"team_id":"b6d72ae8-9721-5cd8-9dd3-fa80b1893e9c","principal_id":"01a21a33-5f98-772a-9329-7217b63ae2d1"}}]'),
	(43, 'authz.eu', 16, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[{"kind":"principal.put","body":{"id":"01a21a33-5f98-772a-9329-7217b63ae2d1","kind":"user","active":true,"not_before":null}}]'),
	(53, 'authz.us', 34, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"team":"d7a3a15d-418a-523d-b185-d2bc555f5a2f"},"role":{"role_name":"Viewer","entity_id":"*","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(58, 'authz.us', 37, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Creator","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}}]'),
	(61, 'authz.eu', 22, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-583b-7585-ac79-ce9e85637168"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(68, 'authz.us', 45, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"36380904-458e-5250-8dda-bb784f63344c"}}]'),
	(37, 'authz.eu', 11, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"session.revoked","body":{"id":"01a21a33-5dac-772f-b4fe-da3da6c24b48","expires_at":1803511903}}]'),
	(44, 'authz.us', 28, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.put","body":{"id":"01a21a33-6129-745e-af7c-27613f0de536","name":"to be deleted","description":"","predefined":false}}]'),
	(47, 'authz.eu', 17, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168"}}]'),
	(55, 'authz.eu', 20, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-583b-7585-ac79-ce9e85637168"},"role":{"role_name":"Viewer","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}}]'),
	(62, 'authz.eu', 23, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.removed","body":{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168"}}]');
INSERT INTO public.log_applied VALUES
	(38, 'authz.us', 27, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.put","body":{"id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","name":"Zahlungen & Versand","description":"支払い","predefined":false}}]'),
	(56, 'authz.us', 36, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-583b-7585-ac79-ce9e85637168"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Control Planes","entity_region":"us"}}}]'),
	(59, 'authz.us', 38, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-589a-7300-99e1-0b26f73615b5"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Identity","entity_region":"*"}}}]'),
	(69, 'authz.eu', 24, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-6f2d-77c5-874a-55f4670846c3","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(71, 'authz.eu', 26, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"d1cb6017-dc9c-59b9-84d6-ff9bf9e92547"}}]'),
	(45, 'authz.us', 29, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.put","body":{"id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","name":"Zahlungen & Versand","description":"支払いと配送","predefined":false}}]'),
	(46, 'authz.us', 30, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87"}}]'),
	(67, 'authz.us', 44, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-68aa-769d-9257-2bc6a2742be5","entity_type_name":"Control Planes","entity_region":"us"}}}]'),
	(70, 'authz.eu', 25, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-6f75-76dc-ad29-3801396fe024","entity_type_name":"Control Planes","entity_region":"eu"}}}]'),
	(48, 'authz.us', 31, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}}]'),
	(50, 'authz.us', 32, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.added","body":{"team_id":"01a21a33-6129-745e-af7c-27613f0de536","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}}]'),
	(49, 'authz.eu', 18, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"member.removed","body":{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}}]'),
	(52, 'authz.us', 33, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"team.removed","body":{"id":"01a21a33-6129-745e-af7c-27613f0de536"}}]'),
	(57, 'authz.eu', 21, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"e3a44225-4978-5b0f-8550-ab61ac7ff691"}}]'),
	(60, 'authz.us', 39, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-589a-7300-99e1-0b26f73615b5"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}}]'),
	(63, 'authz.us', 40, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.removed","body":{"id":"05640ad6-c0a3-53be-a485-d3cf8202a71f"}},{"kind":"assignment.removed","body":{"id":"45b083f2-32d9-5136-b6ff-4b70ef68b2c1"}}]'),
	(64, 'authz.us', 41, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(65, 'authz.us', 42, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(51, 'authz.eu', 19, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"team":"01a21a33-6129-745e-af7c-27613f0de536"},"role":{"role_name":"Viewer","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}}]'),
	(54, 'authz.us', 35, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87"},"role":{"role_name":"Deployer","entity_id":"01a21a33-232f-77d6-ad85-274a7d187b14","entity_type_name":"Control Planes","entity_region":"us"}}}]'),
	(66, 'authz.us', 43, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[{"kind":"assignment.put","body":{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-6861-713a-b429-e6190cf87097","entity_type_name":"Control Planes","entity_region":"us"}}}]');


--
-- Data for Name: log_head; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_head VALUES
	(true, 71, 1, '2026-11-26 23:31:24.088292+00');


--
-- Data for Name: log_operation; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_operation VALUES
	('authz.us', 1, 1, '01a21a33-2190-756b-8c19-9695242173e8', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x0000000000000000000000000000000000000000000000000000000000000000', '{}', 'organization.put', '{"suspended":false,"home_region":"us"}', 1795735888271196, ''),
	('authz.us', 2, 1, '01a21a33-2192-7770-ab8f-892bb6a1885c', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x5d9644e453d274260150c2038d77806662165969df80ef6b119d47ac91a64b87', '{}', 'principal.put', '{"id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","kind":"user","active":true,"not_before":null}', 1795735888271196, ''),
	('authz.us', 3, 1, '01a21a33-219d-72ff-8b84-cb4b75c0cfda', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x87c281e9de1396c256f2b16ed267a29effce5ac3ca8c467332a34162a64fd095', '{}', 'team.put', '{"id":"2ba6d410-cc48-5804-ae19-fd9a43238b71","name":"Organization Admin","description":"Everything in the organization.","predefined":true}', 1795735888271196, ''),
	('authz.us', 4, 1, '01a21a33-219f-715a-8eef-ae8b1e287c5b', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x470bd92a739dfc0b3300a1ff0a2bb9a1bf595d08ba37b0d867200f284b6b99de', '{}', 'member.added', '{"team_id":"2ba6d410-cc48-5804-ae19-fd9a43238b71","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}', 1795735888271196, ''),
	('authz.us', 5, 1, '01a21a33-21b4-75e3-9adc-c55018f54225', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x23c5507c07b27b90963ee68efcde22587ebf231de4009b77f781864ca46171e5', '{}', 'principal.put', '{"id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","kind":"user","active":true,"not_before":null}', 1795735888271196, ''),
	('authz.us', 6, 1, '01a21a33-2340-730e-91cd-9b38ab602869', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x5dc3e762a3f47e8d8ccee80d4113b74da996f9fe78aefcf3c9e7e5b7d98c4f9b', '{}', 'assignment.put', '{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-232f-77d6-ad85-274a7d187b14","entity_type_name":"Control Planes","entity_region":"us"}}', 1795735888704592, ''),
	('authz.us', 7, 1, '01a21a33-332b-766f-a105-acf195c3b1ec', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x47874046fbc6daa77cc6982fda1d6d9894d2972ea464f78dad694a99d35a82d9', '{}', 'team.put', '{"id":"01a21a33-3329-7745-8d50-4a51e32d3f16","name":"creators-bcac6075","description":"","predefined":false}', 1795735892779728, ''),
	('authz.us', 8, 1, '01a21a33-3365-70a3-a8f6-624c673db0fe', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\xd3ac83bbe99314d542d695a0cba5d6cbe3ed1aad6978c46803b326936923429c', '{}', 'assignment.put', '{"holder":{"team":"01a21a33-3329-7745-8d50-4a51e32d3f16"},"role":{"role_name":"Creator","entity_id":"*","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735892837387, ''),
	('authz.us', 9, 1, '01a21a33-339f-72c9-8b72-74a678b66666', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x8704e7b26bf44f3586381c06072dcc1a24292ba882efdde559a397dd83b55ad5', '{}', 'principal.put', '{"id":"01a21a33-338d-710d-90c9-64ff0c980347","kind":"system_account","active":true,"not_before":null}', 1795735892894308, ''),
	('authz.us', 10, 1, '01a21a33-3577-717b-b47e-80c0d1ea5124', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\xb131c120d523b075f29bce9fac41c89bcf589135e1e031274353b1d26382f169', '{}', 'member.added', '{"team_id":"01a21a33-3329-7745-8d50-4a51e32d3f16","principal_id":"01a21a33-338d-710d-90c9-64ff0c980347"}', 1795735893366332, ''),
	('authz.eu', 1, 1, '01a21a33-35e5-71ab-9838-33f15cb0d675', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', '\x0000000000000000000000000000000000000000000000000000000000000000', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.put', '{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-35de-7363-8d11-da0f478e617e","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735893477753, ''),
	('authz.eu', 2, 1, '01a21a33-3614-740c-b2c6-fc2e723d7ab8', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', '\xe98e30bff4171ae03877a23cb0e508f6b7f49c087f3483858330f91518e1e63b', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.put', '{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-360b-769f-844a-69369ab735d7","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735893524238, ''),
	('authz.eu', 3, 1, '01a21a33-3670-715b-8804-e40918194642', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x3a07ddacb35a91576675cdb8bc8ea4768eaf900fdf92e19ddaceaba7b8e810c0', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.removed', '{"id":"acd39fa3-76ca-5a4d-8701-f8498731ee78"}', 1795735893614131, ''),
	('authz.eu', 4, 1, '01a21a33-36b1-7276-8dd2-13c62f404b2f', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', '\xa67e48c1299d3ed4cfa0b269455770cf88d973e58e25af55178e425d86a8f82f', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.put', '{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-3687-750a-bf61-2c3c82d55805","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735893681194, ''),
	('authz.eu', 5, 1, '01a21a33-3718-74a1-bac3-448dafabdbdb', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xc5121d75ce122d4ff1ce015269f2a0b0397bbfa4df281d03d10a90cc9a874e5b', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.removed', '{"id":"376548dd-818a-5f50-8370-1b865cb5a412"}', 1795735893783607, ''),
	('authz.eu', 6, 1, '01a21a33-3730-73d1-91ce-f2dacc9484e2', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', '\x863f819c142538c6be9615b99a13e7e9215ead855554b4152dae679b9c51528e', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.put', '{"holder":{"principal":"01a21a33-338d-710d-90c9-64ff0c980347"},"role":{"role_name":"Admin","entity_id":"01a21a33-3729-71ad-8eb2-805568fb5d0d","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735893808415, ''),
	('authz.eu', 7, 1, '01a21a33-375b-71ce-bd72-582ad17e6297', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x2d0a1d5fb0f41316e0f7f6c253c4a1a51b03ceff7da66415a777084328429b0e', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.removed', '{"id":"34aaa12f-54b4-5685-920b-76a3544e0e9b"}', 1795735893850252, ''),
	('authz.eu', 8, 1, '01a21a33-529e-778f-a841-95e66860c72a', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x6017a6677040aff8741da7bb712fbac1f57f9b4074cb84e11b131709894a0a94', '{"authz.us":{"epoch":1,"seq":10}}', 'assignment.put', '{"holder":{"team":"01a21a33-3329-7745-8d50-4a51e32d3f16"},"role":{"role_name":"Viewer","entity_id":"01a21a33-35de-7363-8d11-da0f478e617e","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735900829381, ''),
	('authz.us', 11, 1, '01a21a33-39e6-7558-a558-cda474766a60', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x5ade50003a811fb61223ddfbf985860d2509b1976043f6950ea92f75652c2c30', '{"authz.eu":{"epoch":1,"seq":7}}', 'principal.put', '{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5","kind":"system_account","active":true,"not_before":null}', 1795735894500825, ''),
	('authz.us', 12, 1, '01a21a33-3a23-7507-adc8-60930303c77a', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\xd809ea9724b2ae56c36f81eb33fa938b0281bf93bc67a919b5544e33a68bd92e', '{"authz.eu":{"epoch":1,"seq":7}}', 'member.added', '{"team_id":"01a21a33-3329-7745-8d50-4a51e32d3f16","principal_id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"}', 1795735894563148, ''),
	('authz.eu', 9, 1, '01a21a33-5440-751b-8d89-b586194cb551', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', '{01a21a33-39d1-7340-b1fe-d3d03e7370d5,01a21a33-39ff-722b-b32f-80940bbd97b3,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,f986803f-faa0-51dc-a8ea-923b2329097e}', '\x093daea5637fea2731529393eecb0e6a99357525dd1a1f158e0b2a106fa5380c', '{"authz.us":{"epoch":1,"seq":12}}', 'assignment.put', '{"holder":{"principal":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"},"role":{"role_name":"Admin","entity_id":"01a21a33-542d-7116-b3e0-d457b136258d","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735901247889, ''),
	('authz.us', 13, 1, '01a21a33-51fc-722a-a704-0320b2659b17', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x92fa151778c45e1d4d461bac656c10ba597c18abf52fd6fd0adc2e483dfea507', '{"authz.eu":{"epoch":1,"seq":7}}', 'team.put', '{"id":"01a21a33-51fb-76dd-8d9a-3fbcaf95d5bb","name":"during-bcac6075","description":"","predefined":false}', 1795735900668348, ''),
	('authz.us', 14, 1, '01a21a33-5209-77ee-97a0-ae5da81e14a0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x9f64486d9ee7083c48f1c369c24cceb3f0c19921e5553f96640bf4957c198c2d', '{"authz.eu":{"epoch":1,"seq":7}}', 'team.removed', '{"id":"01a21a33-51fb-76dd-8d9a-3fbcaf95d5bb"}', 1795735900681659, ''),
	('authz.eu', 10, 1, '01a21a33-54d2-77b7-98cb-109354246128', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x06df1f7d0df83561ca3c98ff6133791c5bf17ead1da9ed90a164c47342900d33', '{"authz.us":{"epoch":1,"seq":14}}', 'assignment.removed', '{"id":"6ef9e8f4-6c77-5a5a-87af-d501548fcfc3"}', 1795735901388809, ''),
	('authz.us', 16, 1, '01a21a33-55e2-759c-a3c5-253aefa3b2a3', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x6a0b5e94d8c91d3cd83928c37aceb7414af93252936b5b0c6df9e34f31c85538', '{"authz.eu":{"epoch":1,"seq":10}}', 'session.revoked', '{"id":"01a21a33-33e6-74f0-9d13-0847302cff05","expires_at":1803511892}', 1795735901666049, ''),
	('authz.us', 17, 1, '01a21a33-55e4-703e-8d2c-8fb3dc438275', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x221452cf777cf6094026118f965cb8ae1dde3b1716c4a13e15220304f777ab76', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.removed', '{"id":"01a21a33-338d-710d-90c9-64ff0c980347"}', 1795735901666049, ''),
	('authz.us', 18, 1, '01a21a33-5613-768d-91d7-0f05feea76ae', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xe076be64606d5a50849e1f5d1b60e41b934aaf1fe734f260e6785ea73794a240', '{"authz.eu":{"epoch":1,"seq":10}}', 'session.revoked', '{"id":"01a21a33-39ff-722b-b32f-80940bbd97b3","expires_at":1803511894}', 1795735901714977, ''),
	('authz.us', 19, 1, '01a21a33-5616-7706-9c4a-c96a5fb121ea', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xd1d511cbbfc0c83902ce0e5a434c89db7ca8fb07c6fa00574e6355db00d80920', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.removed', '{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"}', 1795735901714977, ''),
	('authz.us', 25, 1, '01a21a33-5cb7-7751-98d4-fa857bff3bc2', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xfef18bb41d16508049da68d0420235cc2200dc733bf6e5934ac2a5a7e91fcb65', '{"authz.eu":{"epoch":1,"seq":10}}', 'session.revoked', '{"id":"310c802f-6467-5ed5-8773-5ebf9529633c","expires_at":1803511903}', 1795735903400934, ''),
	('authz.us', 26, 1, '01a21a33-5cc2-75f3-8d85-b0850ca1a625', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x8f50b47b51155438e2472aa285e748a90e0e899a7923fa7414cfab68c590346c', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.removed', '{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1"}', 1795735903400934, ''),
	('authz.eu', 12, 1, '01a21a33-607f-76c0-be04-fe5c75f396f9', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\xa14047b225eae2b2a897d0b9ba9854b552a57d6971cf378ef273635ea935d16e', '{"authz.us":{"epoch":1,"seq":27}}', 'organization.put', '{"suspended":false,"home_region":"eu"}', 1795735904380562, ''),
	('authz.eu', 13, 1, '01a21a33-6080-7639-856d-05bc2bc4ab73', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\x8f2f38585bd1bbf66d0e005598ab8933f54cbcbe4211ecad4f5fa3a5e5e08410', '{"authz.us":{"epoch":1,"seq":27}}', 'principal.put', '{"id":"01a21a33-5f98-772a-9329-7217b63ae2d1","kind":"user","active":true,"not_before":null}', 1795735904380562, ''),
	('authz.eu', 14, 1, '01a21a33-6083-762b-830d-2538d1951c87', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\xab2f32ff81ec333a2429a02b03095db6f39c5e691002f85d72296e88417ca853', '{"authz.us":{"epoch":1,"seq":27}}', 'team.put', '{"id":"b6d72ae8-9721-5cd8-9dd3-fa80b1893e9c","name":"Organization Admin","description":"Everything in the organization.","predefined":true}', 1795735904380562, ''),
	('authz.eu', 15, 1, '01a21a33-6084-7478-b230-2d54edc0a9e2', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\xc8dfad25ba4a250902a99b2325dba42fa60def3395ba2003851a6d51c957eb6a', '{"authz.us":{"epoch":1,"seq":27}}', 'member.added', '{"team_id":"b6d72ae8-9721-5cd8-9dd3-fa80b1893e9c","principal_id":"01a21a33-5f98-772a-9329-7217b63ae2d1"}', 1795735904380562, ''),
	('authz.eu', 16, 1, '01a21a33-6085-72c2-bee7-21719d391c3e', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\x0c801a61d8fb0c0eaf2d948e5d732a80184a6fe4dc5031dd19cd7e4bde68ba5d', '{"authz.us":{"epoch":1,"seq":27}}', 'principal.put', '{"id":"01a21a33-5f98-772a-9329-7217b63ae2d1","kind":"user","active":true,"not_before":null}', 1795735904380562, ''),
	('authz.eu', 18, 1, '01a21a33-62f4-7310-beb7-46ceaee34d72', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x971a156cbab4e56924a82060352c9a1c86204b20cdd71f619ea50e7a9e59dfaa', '{"authz.us":{"epoch":1,"seq":31}}', 'member.removed', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}', 1795735905012336, ''),
	('authz.us', 33, 1, '01a21a33-6410-7629-b834-2ce66c848b2a', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x7c4258058d5c2604457836038fe404b9bf75ed6765953bba55ceabac4e133782', '{"authz.eu":{"epoch":1,"seq":19}}', 'team.removed', '{"id":"01a21a33-6129-745e-af7c-27613f0de536"}', 1795735905296439, ''),
	('authz.us', 34, 1, '01a21a33-6445-7173-b472-470ba39be4cc', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x3ea1c422e1c8b0657af991c36d816678a90766778dead30d9553919168e70a52', '{"authz.eu":{"epoch":1,"seq":19}}', 'assignment.put', '{"holder":{"team":"d7a3a15d-418a-523d-b185-d2bc555f5a2f"},"role":{"role_name":"Viewer","entity_id":"*","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735905348340, ''),
	('authz.eu', 21, 1, '01a21a33-65a2-7432-9f54-46921bcdb7b8', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xe8e5577a05528bfec277973691cccabbf01f8ddef2785d508509736a23f7e363', '{"authz.us":{"epoch":1,"seq":36}}', 'assignment.removed', '{"id":"e3a44225-4978-5b0f-8550-ab61ac7ff691"}', 1795735905697919, ''),
	('authz.us', 37, 1, '01a21a33-662a-70cb-a870-7acfc309238d', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x6f1e3bc54a2227a2db824fcc4c84946559f57e7a68da0d49d279df2cfab8634c', '{"authz.eu":{"epoch":1,"seq":21}}', 'assignment.put', '{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Creator","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}', 1795735905833767, ''),
	('authz.us', 39, 1, '01a21a33-6678-74ef-b35e-46da605563da', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x8cd552cc3574f31ae6965e9dded28d814915c60ecc60457b2e1b398164435a1d', '{"authz.eu":{"epoch":1,"seq":21}}', 'assignment.put', '{"holder":{"principal":"01a21a33-589a-7300-99e1-0b26f73615b5"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}', 1795735905912428, ''),
	('authz.eu', 22, 1, '01a21a33-676e-705e-a919-88136fdbf03c', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-589a-7300-99e1-0b26f73615b5', '{01a21a33-589a-7300-99e1-0b26f73615b5,fb3deca8-6c8a-5928-9a48-c7c3750d5702,05640ad6-c0a3-53be-a485-d3cf8202a71f,c481d4b3-7566-564d-968a-b1d2545392a4}', '\x72aa63ddaeba3bb4670a3120d9641a0c037319c9db28db1d938e33b560b7c5ed', '{"authz.us":{"epoch":1,"seq":39}}', 'assignment.put', '{"holder":{"principal":"01a21a33-583b-7585-ac79-ce9e85637168"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735906150935, ''),
	('authz.us', 40, 1, '01a21a33-672b-71c0-98c8-6d65fed2d8ac', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x1947cf113fe9d8586c11760ce293d5b92376d6274af54b853c626ccc01265280', '{"authz.eu":{"epoch":1,"seq":21}}', 'assignment.removed', '{"id":"05640ad6-c0a3-53be-a485-d3cf8202a71f"}', 1795735906091688, ''),
	('authz.us', 41, 1, '01a21a33-67d4-771e-912d-e22eff5fc138', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xe73699353927118aa0b222f042ae8df3f58b8f788c4b0038fa6c05b0c431096b', '{"authz.eu":{"epoch":1,"seq":21}}', 'member.removed', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168"}', 1795735906259896, ''),
	('authz.us', 15, 1, '01a21a33-55ac-7540-8ab6-8dc56afe0c68', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x5687c83ca4d2c7d9b0750cfed770a4688723db194d19d9b6b30d0193c261a328', '{"authz.eu":{"epoch":1,"seq":10}}', 'team.removed', '{"id":"01a21a33-3329-7745-8d50-4a51e32d3f16"}', 1795735901612404, ''),
	('authz.us', 20, 1, '01a21a33-581c-7239-9fbe-b994b8a8a711', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xd32248f9296f2ae740a5e5301637598891b8973876a3cef9c85bae5cbaad8b98', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.put', '{"id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87","kind":"system_account","active":true,"not_before":null}', 1795735902235759, ''),
	('authz.us', 29, 1, '01a21a33-61a0-7218-9c82-3ed30141cdb9', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xc8d7ed240514617fc178f8e4ac10ca1dbdc6a92ee15ce43b8f10eb331d93eb54', '{"authz.eu":{"epoch":1,"seq":16}}', 'team.put', '{"id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","name":"Zahlungen & Versand","description":"支払いと配送","predefined":false}', 1795735904672239, ''),
	('authz.us', 21, 1, '01a21a33-584d-7513-be29-11afd2d3af93', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x924c7e5e120274108eaaa21288d029c447454c40d40c906f3c7d5e1a9f445a3b', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.put', '{"id":"01a21a33-583b-7585-ac79-ce9e85637168","kind":"system_account","active":true,"not_before":null}', 1795735902285395, ''),
	('authz.us', 23, 1, '01a21a33-59db-72ae-b81e-9697ff084376', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xcb14a419c4b8dc4213ed4fb57b3f559b8f18ea23cb1e42ab123bd415981385cf', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.put', '{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1","kind":"system_account","active":true,"not_before":null}', 1795735902682738, ''),
	('authz.eu', 11, 1, '01a21a33-5e00-71d7-8254-008be5d52c1d', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x872bea361cfb937b2e97f546b730045ec367b71c28d9913154f52cf03d8c0c1a', '{"authz.us":{"epoch":1,"seq":26}}', 'session.revoked', '{"id":"01a21a33-5dac-772f-b4fe-da3da6c24b48","expires_at":1803511903}', 1795735903743365, '');
INSERT INTO public.log_operation VALUES
	('authz.us', 28, 1, '01a21a33-612a-7338-8a17-394348aed0d2', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xf623d9ea449bc38920bab7c695778ecd2a12f253a275ff5071f170cb9fc06135', '{"authz.eu":{"epoch":1,"seq":16}}', 'team.put', '{"id":"01a21a33-6129-745e-af7c-27613f0de536","name":"to be deleted","description":"","predefined":false}', 1795735904554252, ''),
	('authz.eu', 17, 1, '01a21a33-6233-7714-b852-af9aa48f8eb0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xa83d412f455a128d7f3d483f4b747de825f3687707f6913c1f1ca27f0e0d3038', '{"authz.us":{"epoch":1,"seq":30}}', 'member.added', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168"}', 1795735904818710, ''),
	('authz.eu', 20, 1, '01a21a33-64e9-7272-94bb-5db723048989', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x15936edaa8824e1dea200d7441e2e3d5c5b6714f799c740371afa4065a7e78fc', '{"authz.us":{"epoch":1,"seq":35}}', 'assignment.put', '{"holder":{"principal":"01a21a33-583b-7585-ac79-ce9e85637168"},"role":{"role_name":"Viewer","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}', 1795735905513323, ''),
	('authz.eu', 23, 1, '01a21a33-679d-7583-a922-7682a118b238', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x7e60e9758d3da20e175028558cb918ee93c8d6c0e54122047df175834036a1df', '{"authz.us":{"epoch":1,"seq":39}}', 'member.removed', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168"}', 1795735906205267, ''),
	('authz.us', 22, 1, '01a21a33-58a8-7213-a59e-4cf573b3e89c', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xd8ec75d4700dec04fd0c72fae51491f4dbbbd55a569b12db2bea2ab18581e1b9', '{"authz.eu":{"epoch":1,"seq":10}}', 'principal.put', '{"id":"01a21a33-589a-7300-99e1-0b26f73615b5","kind":"system_account","active":true,"not_before":null}', 1795735902374992, ''),
	('authz.us', 30, 1, '01a21a33-61de-7676-9a3d-5c65a617854c', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xd0656a54275b4497bd1170bbc40cee35052ad0bdca63e1cd88cc4c4e0eb5132a', '{"authz.eu":{"epoch":1,"seq":16}}', 'member.added', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87"}', 1795735904734194, ''),
	('authz.us', 44, 1, '01a21a33-68c2-766d-a8dd-7413089f8bf3', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x709f182fa7dcc2ef248f9253408f7573f0bbcf8d2ac69ae04e249b2f1d5d0a60', '{"authz.eu":{"epoch":1,"seq":23}}', 'assignment.put', '{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-68aa-769d-9257-2bc6a2742be5","entity_type_name":"Control Planes","entity_region":"us"}}', 1795735906498858, ''),
	('authz.eu', 25, 1, '01a21a33-6f81-74bf-8aaf-3be9165b1423', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xe47a8f73744b691f48d79ecd1d7c2e7fcbb5f1f28bc427cf6742034e35082116', '{"authz.us":{"epoch":1,"seq":45}}', 'assignment.put', '{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-6f75-76dc-ad29-3801396fe024","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735908225622, ''),
	('authz.us', 24, 1, '01a21a33-5c24-7495-a7bb-a47e5c70ded5', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x237545681fba20358bce467ae261de9477d67c51db6ed6e02d69e94da5602453', '{"authz.eu":{"epoch":1,"seq":10}}', 'session.revoked', '{"id":"821fd615-1b6b-5c16-829d-2daf1a7577f0","expires_at":1803511903}', 1795735903268036, ''),
	('authz.eu', 19, 1, '01a21a33-63a1-7268-ba48-6fb926b91e32', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x01c202ff53f576344ec714aabbe61df2bbad6ae4b997802c083ec0b2c7b414e3', '{"authz.us":{"epoch":1,"seq":32}}', 'assignment.put', '{"holder":{"team":"01a21a33-6129-745e-af7c-27613f0de536"},"role":{"role_name":"Viewer","entity_id":"*","entity_type_name":"Control Planes","entity_region":"*"}}', 1795735905185021, ''),
	('authz.us', 35, 1, '01a21a33-647d-7021-a928-9f010bc21680', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,070d7426-e97d-545b-92af-faa10e937987}', '\x8cc7dffa6fe174c157fd70363878d9969efbb49a2ace0a90c92007472b7ca87b', '{"authz.eu":{"epoch":1,"seq":19}}', 'assignment.put', '{"holder":{"principal":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87"},"role":{"role_name":"Deployer","entity_id":"01a21a33-232f-77d6-ad85-274a7d187b14","entity_type_name":"Control Planes","entity_region":"us"}}', 1795735905403618, ''),
	('authz.us', 27, 1, '01a21a33-6020-7504-8508-fd0ccaabe014', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x6b030aa6ab709d0420bfcd9da48e4f3cde611c2c600df7baff34cb9b216ada55', '{"authz.eu":{"epoch":1,"seq":11}}', 'team.put', '{"id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","name":"Zahlungen & Versand","description":"支払い","predefined":false}', 1795735904287453, ''),
	('authz.us', 36, 1, '01a21a33-6553-71e9-88d4-8526f47cdc46', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\x98b3f9c12fc0275c506229a7b69cb96797faa77c7bbb36dc2ae46d2316c09adb', '{"authz.eu":{"epoch":1,"seq":20}}', 'assignment.put', '{"holder":{"principal":"01a21a33-583b-7585-ac79-ce9e85637168"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Control Planes","entity_region":"us"}}', 1795735905619276, ''),
	('authz.us', 38, 1, '01a21a33-6659-74bb-89dd-1c91dec5d2cc', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xaaf56f89fe2ed84aefe77a344292f54577088c1f92f7039c65d39746f978b614', '{"authz.eu":{"epoch":1,"seq":21}}', 'assignment.put', '{"holder":{"principal":"01a21a33-589a-7300-99e1-0b26f73615b5"},"role":{"role_name":"Admin","entity_id":"*","entity_type_name":"Identity","entity_region":"*"}}', 1795735905881559, ''),
	('authz.eu', 24, 1, '01a21a33-6f36-7591-b1b1-7add76dde6ba', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x7d6256af07c2edc24ad8be7bca4943f7e95ca021470ee047d5d447429b809680', '{"authz.us":{"epoch":1,"seq":45}}', 'assignment.put', '{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-6f2d-77c5-874a-55f4670846c3","entity_type_name":"Control Planes","entity_region":"eu"}}', 1795735908150388, ''),
	('authz.eu', 26, 1, '01a21a33-7004-71d1-8a45-1cddc4f51008', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xaf027c81df4eac62ae4d7251fe1c9f4f7219c58ae3f8de55d7cbc1c4075f4c18', '{"authz.us":{"epoch":1,"seq":45}}', 'assignment.removed', '{"id":"d1cb6017-dc9c-59b9-84d6-ff9bf9e92547"}', 1795735908356278, ''),
	('authz.us', 31, 1, '01a21a33-628a-7637-a7b0-d1e74f6f02d0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x9ce9da7da45d01d3b668cd19f69ba13097d9e1763feb0a2dbd66be9a846b2249', '{"authz.eu":{"epoch":1,"seq":17}}', 'member.added', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}', 1795735904905461, ''),
	('authz.us', 32, 1, '01a21a33-6347-7119-8dc4-2ba75993e7d9', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xdeb663ec907b858689335182c750d621b48e6bdc48dd18ccd56ac4215055a3f2', '{"authz.eu":{"epoch":1,"seq":18}}', 'member.added', '{"team_id":"01a21a33-6129-745e-af7c-27613f0de536","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87"}', 1795735905094996, ''),
	('authz.us', 42, 1, '01a21a33-6807-734f-8660-7aaaf4326507', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', '\xe82a3343b1f135c493c8826624ce4a44c5bb971354c8082eb484102877764f7b', '{"authz.eu":{"epoch":1,"seq":21}}', 'member.added', '{"team_id":"d7a3a15d-418a-523d-b185-d2bc555f5a2f","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168"}', 1795735906311146, ''),
	('authz.us', 43, 1, '01a21a33-6869-7736-9966-610847aefec0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xdaf045829b94518c48ca9f56784f120503204951a09bb2ade1125609dcfa6a87', '{"authz.eu":{"epoch":1,"seq":21}}', 'assignment.put', '{"holder":{"principal":"01a21a33-20f0-7606-ba27-81b15ac2cb87"},"role":{"role_name":"Admin","entity_id":"01a21a33-6861-713a-b429-e6190cf87097","entity_type_name":"Control Planes","entity_region":"us"}}', 1795735906409633, ''),
	('authz.us', 45, 1, '01a21a33-691d-760d-afaa-8ca82ff07f0f', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x3eac7e6f5f71f2d546b4071d1fc9eac1689041aff27e523a7140ef2e4bbc6ec3', '{"authz.eu":{"epoch":1,"seq":23}}', 'assignment.removed', '{"id":"36380904-458e-5250-8dda-bb784f63344c"}', 1795735906588499, '');


--
-- Data for Name: log_organization; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_organization VALUES
	('01a21a33-20f0-7606-ba27-81b0b83900fc', 'authz.eu', 1, 26),
	('01a21a33-5f98-772a-9329-7216c1f70807', 'authz.eu', 1, 16),
	('01a21a33-20f0-7606-ba27-81b0b83900fc', 'authz.us', 1, 45);


--
-- Data for Name: log_origin; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_origin VALUES
	('authz.us', 1, 45, '\xb67cad958994f539eb392f4bdda3da7282f3428d20e4713366de4c570c74fd19'),
	('authz.eu', 1, 26, '\x887a493467c32fef3e596526b149563b0d216a31087fe8f9b19780d735af758a');


--
-- Data for Name: origin_cursor; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.origin_cursor VALUES
	('identity.eu', 8);


--
-- Data for Name: assignment; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.assignment VALUES
	('070d7426-e97d-545b-92af-faa10e937987', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'Admin', 'Control Planes', '01a21a33-232f-77d6-ad85-274a7d187b14', 'us', '2026-11-26 23:31:28.784618+00'),
	('efd83c95-05c0-5752-85da-2704ef319415', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'd7a3a15d-418a-523d-b185-d2bc555f5a2f', NULL, 'Viewer', 'Control Planes', '*', 'eu', '2026-11-26 23:31:45.40152+00'),
	('949903ef-5670-53f8-a4e3-9cc41be1886f', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '7cb883f1-e531-5527-8f8a-b17c6dfe9d87', 'Deployer', 'Control Planes', '01a21a33-232f-77d6-ad85-274a7d187b14', 'us', '2026-11-26 23:31:45.477444+00'),
	('8a9ebe18-0bba-5a3a-bf23-8cad61200493', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '01a21a33-583b-7585-ac79-ce9e85637168', 'Viewer', 'Control Planes', '*', '*', '2026-11-26 23:31:45.509435+00'),
	('a635dbed-7f69-5304-8725-8a905ffaf694', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'Creator', 'Control Planes', '*', '*', '2026-11-26 23:31:45.907783+00'),
	('c481d4b3-7566-564d-968a-b1d2545392a4', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '01a21a33-589a-7300-99e1-0b26f73615b5', 'Admin', 'Control Planes', '*', '*', '2026-11-26 23:31:45.974626+00'),
	('37a8abe7-ba0e-5bd9-ad43-cacd56467a28', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'Admin', 'Control Planes', '01a21a33-6861-713a-b429-e6190cf87097', 'us', '2026-11-26 23:31:46.482568+00'),
	('46c6730c-62f2-5f90-8e7f-30d3590fe845', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'Admin', 'Control Planes', '01a21a33-6f2d-77c5-874a-55f4670846c3', 'eu', '2026-11-26 23:31:48.149816+00');


--
-- Data for Name: edge_grant; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.edge_grant VALUES
	('authz.us', 2, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{}', '{}', false, false),
	('authz.us', 4, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '431fc0db-e391-5071-9b10-878473a4591e', '{}', '{}', false, false),
	('authz.us', 5, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{}', '{}', false, false),
	('authz.us', 6, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '070d7426-e97d-545b-92af-faa10e937987', '{}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', false, false),
	('authz.us', 8, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '100b069c-f65c-5f45-a509-a5cdce6d70aa', '{}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.us', 10, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '68aa29e5-0113-5c2d-882d-445540575500', '{}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.eu', 1, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '65bec413-7908-5f7e-ac89-7f2baf30794c', '{"authz.us":{"epoch":1,"seq":10}}', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', false, false),
	('authz.eu', 2, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'acd39fa3-76ca-5a4d-8701-f8498731ee78', '{"authz.us":{"epoch":1,"seq":10}}', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', true, false),
	('authz.eu', 4, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '376548dd-818a-5f50-8370-1b865cb5a412', '{"authz.us":{"epoch":1,"seq":10}}', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', true, false),
	('authz.eu', 6, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '34aaa12f-54b4-5685-920b-76a3544e0e9b', '{"authz.us":{"epoch":1,"seq":10}}', '{01a21a33-338d-710d-90c9-64ff0c980347,01a21a33-33e6-74f0-9d13-0847302cff05,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,68aa29e5-0113-5c2d-882d-445540575500}', true, false),
	('authz.eu', 8, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'bd26039f-6f6f-56f8-9a1f-6dfc3c167d03', '{"authz.us":{"epoch":1,"seq":10}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.us', 12, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'f986803f-faa0-51dc-a8ea-923b2329097e', '{"authz.eu":{"epoch":1,"seq":7}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.eu', 9, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '6ef9e8f4-6c77-5a5a-87af-d501548fcfc3', '{"authz.us":{"epoch":1,"seq":12}}', '{01a21a33-39d1-7340-b1fe-d3d03e7370d5,01a21a33-39ff-722b-b32f-80940bbd97b3,100b069c-f65c-5f45-a509-a5cdce6d70aa,01a21a33-3329-7745-8d50-4a51e32d3f16,f986803f-faa0-51dc-a8ea-923b2329097e}', true, false),
	('authz.us', 9, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '{}', '{}', true, false),
	('authz.us', 11, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', '{"authz.eu":{"epoch":1,"seq":7}}', '{}', true, false),
	('authz.us', 20, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '7cb883f1-e531-5527-8f8a-b17c6dfe9d87', '{"authz.eu":{"epoch":1,"seq":10}}', '{}', false, false),
	('authz.us', 21, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-583b-7585-ac79-ce9e85637168', '{"authz.eu":{"epoch":1,"seq":10}}', '{}', false, false),
	('authz.us', 22, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-589a-7300-99e1-0b26f73615b5', '{"authz.eu":{"epoch":1,"seq":10}}', '{}', false, false),
	('authz.us', 23, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-59c7-70cc-92ae-a50d479a26a1', '{"authz.eu":{"epoch":1,"seq":10}}', '{}', true, false),
	('authz.eu', 13, 1, '01a21a33-5f98-772a-9329-7216c1f70807', '01a21a33-5f98-772a-9329-7217b63ae2d1', '{"authz.us":{"epoch":1,"seq":27}}', '{}', false, false),
	('authz.eu', 15, 1, '01a21a33-5f98-772a-9329-7216c1f70807', '19807184-db45-5a6d-b3cb-16bac5bedc73', '{"authz.us":{"epoch":1,"seq":27}}', '{}', false, false),
	('authz.eu', 16, 1, '01a21a33-5f98-772a-9329-7216c1f70807', '01a21a33-5f98-772a-9329-7217b63ae2d1', '{"authz.us":{"epoch":1,"seq":27}}', '{}', false, false),
	('authz.us', 30, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '400c8b81-5ac4-562e-ba9c-eb42f9ab5206', '{"authz.eu":{"epoch":1,"seq":16}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', false, false),
	('authz.us', 31, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '38ad8539-9ccc-58d7-8460-2b44ca0e7471', '{"authz.eu":{"epoch":1,"seq":17}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', true, false),
	('authz.us', 32, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '1d780892-f407-52dd-ba72-c7c4fc7bd126', '{"authz.eu":{"epoch":1,"seq":18}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', false, false),
	('authz.eu', 19, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '7c38b056-998c-5f46-8790-8b9d3b0135e4', '{"authz.us":{"epoch":1,"seq":32}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.us', 34, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'efd83c95-05c0-5752-85da-2704ef319415', '{"authz.eu":{"epoch":1,"seq":19}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.us', 35, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '949903ef-5670-53f8-a4e3-9cc41be1886f', '{"authz.eu":{"epoch":1,"seq":19}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,070d7426-e97d-545b-92af-faa10e937987}', false, false),
	('authz.eu', 20, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '8a9ebe18-0bba-5a3a-bf23-8cad61200493', '{"authz.us":{"epoch":1,"seq":35}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.us', 36, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'e3a44225-4978-5b0f-8550-ab61ac7ff691', '{"authz.eu":{"epoch":1,"seq":20}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', true, false),
	('authz.us', 37, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'a635dbed-7f69-5304-8725-8a905ffaf694', '{"authz.eu":{"epoch":1,"seq":21}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.us', 39, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'c481d4b3-7566-564d-968a-b1d2545392a4', '{"authz.eu":{"epoch":1,"seq":21}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', false, false),
	('authz.eu', 17, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'b334daad-f7d7-5875-b0c6-0fabc20c8d16', '{"authz.us":{"epoch":1,"seq":30}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', true, false),
	('authz.us', 38, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '05640ad6-c0a3-53be-a485-d3cf8202a71f', '{"authz.eu":{"epoch":1,"seq":21}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', true, false),
	('authz.eu', 22, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '45b083f2-32d9-5136-b6ff-4b70ef68b2c1', '{"authz.us":{"epoch":1,"seq":39}}', '{01a21a33-589a-7300-99e1-0b26f73615b5,fb3deca8-6c8a-5928-9a48-c7c3750d5702,05640ad6-c0a3-53be-a485-d3cf8202a71f,c481d4b3-7566-564d-968a-b1d2545392a4}', false, true),
	('authz.us', 42, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'b334daad-f7d7-5875-b0c6-0fabc20c8d16', '{"authz.eu":{"epoch":1,"seq":21}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e,c33220ca-a19b-51e7-ae6d-8b8ba2bd9660}', true, false),
	('authz.us', 43, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '37a8abe7-ba0e-5bd9-ad43-cacd56467a28', '{"authz.eu":{"epoch":1,"seq":21}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', false, false),
	('authz.eu', 24, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '46c6730c-62f2-5f90-8e7f-30d3590fe845', '{"authz.us":{"epoch":1,"seq":45}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', false, false),
	('authz.us', 44, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '36380904-458e-5250-8dda-bb784f63344c', '{"authz.eu":{"epoch":1,"seq":23}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', true, false),
	('authz.eu', 25, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'd1cb6017-dc9c-59b9-84d6-ff9bf9e92547', '{"authz.us":{"epoch":1,"seq":45}}', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,58f7f297-6de4-57e3-ae62-bda1e76dc7d5,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', true, false);


--
-- Data for Name: membership; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.membership VALUES
	('2ba6d410-cc48-5804-ae19-fd9a43238b71', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-20f0-7606-ba27-81b0b83900fc', '431fc0db-e391-5071-9b10-878473a4591e'),
	('b6d72ae8-9721-5cd8-9dd3-fa80b1893e9c', '01a21a33-5f98-772a-9329-7217b63ae2d1', '01a21a33-5f98-772a-9329-7216c1f70807', '19807184-db45-5a6d-b3cb-16bac5bedc73'),
	('d7a3a15d-418a-523d-b185-d2bc555f5a2f', '7cb883f1-e531-5527-8f8a-b17c6dfe9d87', '01a21a33-20f0-7606-ba27-81b0b83900fc', '400c8b81-5ac4-562e-ba9c-eb42f9ab5206');


--
-- Data for Name: organization; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.organization VALUES
	('01a21a33-20f0-7606-ba27-81b0b83900fc', 'active', 'us'),
	('01a21a33-5f98-772a-9329-7216c1f70807', 'active', 'eu');


--
-- Data for Name: principal; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.principal VALUES
	('01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'user', true, NULL),
	('7cb883f1-e531-5527-8f8a-b17c6dfe9d87', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'system_account', true, NULL),
	('01a21a33-583b-7585-ac79-ce9e85637168', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'system_account', true, NULL),
	('01a21a33-589a-7300-99e1-0b26f73615b5', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'system_account', true, NULL),
	('01a21a33-5f98-772a-9329-7217b63ae2d1', '01a21a33-5f98-772a-9329-7216c1f70807', 'user', true, NULL);


--
-- Data for Name: removed; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.removed VALUES
	('01a21a33-51fb-76dd-8d9a-3fbcaf95d5bb', '01a21a33-20f0-7606-ba27-81b0b83900fc'),
	('01a21a33-3329-7745-8d50-4a51e32d3f16', '01a21a33-20f0-7606-ba27-81b0b83900fc'),
	('01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-20f0-7606-ba27-81b0b83900fc'),
	('01a21a33-39d1-7340-b1fe-d3d03e7370d5', '01a21a33-20f0-7606-ba27-81b0b83900fc'),
	('01a21a33-59c7-70cc-92ae-a50d479a26a1', '01a21a33-20f0-7606-ba27-81b0b83900fc'),
	('01a21a33-6129-745e-af7c-27613f0de536', '01a21a33-20f0-7606-ba27-81b0b83900fc');


--
-- Data for Name: revocation; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.revocation VALUES
	('authz.eu', 3, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'acd39fa3-76ca-5a4d-8701-f8498731ee78', '{"authz.us":{"epoch":1,"seq":10}}'),
	('authz.eu', 5, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '376548dd-818a-5f50-8370-1b865cb5a412', '{"authz.us":{"epoch":1,"seq":10}}'),
	('authz.eu', 7, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '34aaa12f-54b4-5685-920b-76a3544e0e9b', '{"authz.us":{"epoch":1,"seq":10}}'),
	('authz.us', 14, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-51fb-76dd-8d9a-3fbcaf95d5bb', '{"authz.eu":{"epoch":1,"seq":7}}'),
	('authz.eu', 10, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '6ef9e8f4-6c77-5a5a-87af-d501548fcfc3', '{"authz.us":{"epoch":1,"seq":14}}'),
	('authz.us', 15, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-3329-7745-8d50-4a51e32d3f16', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 16, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-33e6-74f0-9d13-0847302cff05', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 17, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 18, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39ff-722b-b32f-80940bbd97b3', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 19, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 24, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '821fd615-1b6b-5c16-829d-2daf1a7577f0', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 25, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '310c802f-6467-5ed5-8773-5ebf9529633c', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.us', 26, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-59c7-70cc-92ae-a50d479a26a1', '{"authz.eu":{"epoch":1,"seq":10}}'),
	('authz.eu', 11, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-5dac-772f-b4fe-da3da6c24b48', '{"authz.us":{"epoch":1,"seq":26}}'),
	('authz.eu', 18, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '38ad8539-9ccc-58d7-8460-2b44ca0e7471', '{"authz.us":{"epoch":1,"seq":31}}'),
	('authz.us', 33, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-6129-745e-af7c-27613f0de536', '{"authz.eu":{"epoch":1,"seq":19}}'),
	('authz.eu', 21, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'e3a44225-4978-5b0f-8550-ab61ac7ff691', '{"authz.us":{"epoch":1,"seq":36}}'),
	('authz.eu', 23, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'b334daad-f7d7-5875-b0c6-0fabc20c8d16', '{"authz.us":{"epoch":1,"seq":39}}'),
	('authz.us', 40, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '05640ad6-c0a3-53be-a485-d3cf8202a71f', '{"authz.eu":{"epoch":1,"seq":21}}'),
	('authz.us', 41, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'b334daad-f7d7-5875-b0c6-0fabc20c8d16', '{"authz.eu":{"epoch":1,"seq":21}}'),
	('authz.us', 45, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', '36380904-458e-5250-8dda-bb784f63344c', '{"authz.eu":{"epoch":1,"seq":23}}'),
	('authz.eu', 26, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', 'd1cb6017-dc9c-59b9-84d6-ff9bf9e92547', '{"authz.us":{"epoch":1,"seq":45}}');


--
-- Data for Name: revoked_session; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.revoked_session VALUES
	('01a21a33-33e6-74f0-9d13-0847302cff05', '01a21a33-20f0-7606-ba27-81b0b83900fc', 1803511892, 'us'),
	('01a21a33-39ff-722b-b32f-80940bbd97b3', '01a21a33-20f0-7606-ba27-81b0b83900fc', 1803511894, 'us'),
	('821fd615-1b6b-5c16-829d-2daf1a7577f0', '01a21a33-20f0-7606-ba27-81b0b83900fc', 1803511903, 'us'),
	('310c802f-6467-5ed5-8773-5ebf9529633c', '01a21a33-20f0-7606-ba27-81b0b83900fc', 1803511903, 'us'),
	('01a21a33-5dac-772f-b4fe-da3da6c24b48', '01a21a33-20f0-7606-ba27-81b0b83900fc', 1803511903, 'eu');


--
-- Data for Name: team; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.team VALUES
	('2ba6d410-cc48-5804-ae19-fd9a43238b71', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'Organization Admin', 'Everything in the organization.', true, '2026-11-26 23:31:28.271196+00', '2026-11-26 23:31:28.271196+00'),
	('b6d72ae8-9721-5cd8-9dd3-fa80b1893e9c', '01a21a33-5f98-772a-9329-7216c1f70807', 'Organization Admin', 'Everything in the organization.', true, '2026-11-26 23:31:44.380562+00', '2026-11-26 23:31:44.380562+00'),
	('d7a3a15d-418a-523d-b185-d2bc555f5a2f', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'Zahlungen & Versand', '支払いと配送', false, '2026-11-26 23:31:44.287453+00', '2026-11-26 23:31:44.672239+00');


--
-- Name: audit_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.audit_id_seq', 20, true);


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
-- Name: log_applied log_applied_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.log_applied
    ADD CONSTRAINT log_applied_pkey PRIMARY KEY ("position");


--
-- Name: log_head log_head_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.log_head
    ADD CONSTRAINT log_head_pkey PRIMARY KEY (only_row);


--
-- Name: log_operation log_operation_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.log_operation
    ADD CONSTRAINT log_operation_pkey PRIMARY KEY (origin, seq);


--
-- Name: log_organization log_organization_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.log_organization
    ADD CONSTRAINT log_organization_pkey PRIMARY KEY (organization_id, origin);


--
-- Name: log_origin log_origin_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.log_origin
    ADD CONSTRAINT log_origin_pkey PRIMARY KEY (origin);


--
-- Name: origin_cursor origin_cursor_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.origin_cursor
    ADD CONSTRAINT origin_cursor_pkey PRIMARY KEY (origin);


--
-- Name: assignment assignment_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.assignment
    ADD CONSTRAINT assignment_pkey PRIMARY KEY (id);


--
-- Name: edge_grant edge_grant_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.edge_grant
    ADD CONSTRAINT edge_grant_pkey PRIMARY KEY (edge_id, origin, epoch, seq);


--
-- Name: membership membership_id_key; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.membership
    ADD CONSTRAINT membership_id_key UNIQUE (id);


--
-- Name: membership membership_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.membership
    ADD CONSTRAINT membership_pkey PRIMARY KEY (team_id, principal_id);


--
-- Name: organization organization_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.organization
    ADD CONSTRAINT organization_pkey PRIMARY KEY (id);


--
-- Name: principal principal_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.principal
    ADD CONSTRAINT principal_pkey PRIMARY KEY (id);


--
-- Name: removed removed_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.removed
    ADD CONSTRAINT removed_pkey PRIMARY KEY (id);


--
-- Name: revocation revocation_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.revocation
    ADD CONSTRAINT revocation_pkey PRIMARY KEY (subject_id, origin, epoch, seq);


--
-- Name: revoked_session revoked_session_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.revoked_session
    ADD CONSTRAINT revoked_session_pkey PRIMARY KEY (id);


--
-- Name: team team_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.team
    ADD CONSTRAINT team_pkey PRIMARY KEY (id);


--
-- Name: audit_by_organization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX audit_by_organization ON public.audit USING btree (organization_id, id);


--
-- Name: idempotency_by_age; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX idempotency_by_age ON public.idempotency USING btree (created_at);


--
-- Name: log_applied_by_operation; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX log_applied_by_operation ON public.log_applied USING btree (origin, seq);


--
-- Name: log_operation_by_organization; Type: INDEX; Schema: public; Owner: -
--

CREATE INDEX log_operation_by_organization ON public.log_operation USING btree (organization_id);


--
-- Name: assignment_by_entity; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX assignment_by_entity ON replicated.assignment USING btree (organization_id, entity_id);


--
-- Name: assignment_by_principal; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX assignment_by_principal ON replicated.assignment USING btree (principal_id, id);


--
-- Name: assignment_by_team; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX assignment_by_team ON replicated.assignment USING btree (team_id, id);


--
-- Name: edge_grant_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX edge_grant_by_organization ON replicated.edge_grant USING btree (organization_id, origin, seq);


--
-- Name: membership_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX membership_by_organization ON replicated.membership USING btree (organization_id);


--
-- Name: membership_by_principal; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX membership_by_principal ON replicated.membership USING btree (principal_id, team_id);


--
-- Name: principal_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX principal_by_organization ON replicated.principal USING btree (organization_id, id);


--
-- Name: removed_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX removed_by_organization ON replicated.removed USING btree (organization_id);


--
-- Name: revocation_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX revocation_by_organization ON replicated.revocation USING btree (organization_id);


--
-- Name: team_by_name; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX team_by_name ON replicated.team USING btree (organization_id, name);


--
-- Name: team_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX team_by_organization ON replicated.team USING btree (organization_id, id);


--
-- PostgreSQL database dump complete
--


