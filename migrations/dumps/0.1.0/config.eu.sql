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
	(1, 'create config', '2026-11-26 23:31:25.194492+00', true, '\xa3f15cb55534b150ad0f888e7944b2c27910f308df6aff0d8304fefa4d1317efb613085d2c737c9ad6de046a17d7134c', 221305249);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-26 23:31:33.472327+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.create', '01a21a33-35de-7363-8d11-da0f478e617e'),
	(2, '2026-11-26 23:31:33.516084+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.create', '01a21a33-360b-769f-844a-69369ab735d7'),
	(3, '2026-11-26 23:31:33.599509+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.delete', '01a21a33-360b-769f-844a-69369ab735d7'),
	(4, '2026-11-26 23:31:33.639657+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.create', '01a21a33-3687-750a-bf61-2c3c82d55805'),
	(5, '2026-11-26 23:31:33.775558+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.delete', '01a21a33-3687-750a-bf61-2c3c82d55805'),
	(6, '2026-11-26 23:31:33.801871+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.create', '01a21a33-3729-71ad-8eb2-805568fb5d0d'),
	(7, '2026-11-26 23:31:33.834145+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'control-plane.delete', '01a21a33-3729-71ad-8eb2-805568fb5d0d'),
	(8, '2026-11-26 23:31:33.875656+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'enrolment-token.create', '01a21a33-3772-779a-9c89-ec8ca9a49895'),
	(9, '2026-11-26 23:31:34.060587+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'node.enrol', 'spiffe://landbridge/region/eu/control-plane/01a21a33-35de-7363-8d11-da0f478e617e/node/01a21a33-378a-74f2-87d4-2833f9fd85ba'),
	(10, '2026-11-26 23:31:34.195759+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'configuration.apply', '01a21a33-35de-7363-8d11-da0f478e617e'),
	(11, '2026-11-26 23:31:40.751222+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-33e6-74f0-9d13-0847302cff05', 'route.put', '01a21a33-35de-7363-8d11-da0f478e617e/6428561e-d95f-5e48-94c6-8c89d6761a3f'),
	(12, '2026-11-26 23:31:41.232571+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', '01a21a33-39ff-722b-b32f-80940bbd97b3', 'control-plane.create', '01a21a33-542d-7116-b3e0-d457b136258d'),
	(13, '2026-11-26 23:31:41.371703+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', '01a21a33-39ff-722b-b32f-80940bbd97b3', 'control-plane.delete', '01a21a33-542d-7116-b3e0-d457b136258d'),
	(14, '2026-11-26 23:31:48.141342+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.create', '01a21a33-6f2d-77c5-874a-55f4670846c3'),
	(15, '2026-11-26 23:31:48.213991+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.create', '01a21a33-6f75-76dc-ad29-3801396fe024'),
	(16, '2026-11-26 23:31:48.297706+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.create', '01a21a33-6f75-76dc-ad29-3801396fe024/01a21a33-6fc9-73ad-a878-13f93a92ba4f'),
	(17, '2026-11-26 23:31:48.341633+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.delete', '01a21a33-6f75-76dc-ad29-3801396fe024'),
	(18, '2026-11-26 23:31:48.417717+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'control-plane.update', '01a21a33-6f2d-77c5-874a-55f4670846c3'),
	(19, '2026-11-26 23:31:48.506733+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.put', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7093-75a2-a37e-a70e942e5684'),
	(20, '2026-11-26 23:31:48.610714+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-70fe-7778-a261-a932eb224b79'),
	(21, '2026-11-26 23:31:48.682725+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7145-7718-a4a2-ab38c64de186'),
	(22, '2026-11-26 23:31:48.741316+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'route.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7183-71f5-8adc-8dc06b18665c'),
	(23, '2026-11-26 23:31:48.790581+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-71b6-770d-8718-21d35e33d4ae'),
	(24, '2026-11-26 23:31:48.840384+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.put', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-71e7-70c8-8c44-75f6ac1b5f77'),
	(25, '2026-11-26 23:31:48.877745+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-720c-76d6-985e-ee25e4851cd8'),
	(26, '2026-11-26 23:31:48.921204+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7238-745e-a41c-bcab807dd3f3'),
	(27, '2026-11-26 23:31:48.949771+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7255-73ee-8bbc-6777fb06de84'),
	(28, '2026-11-26 23:31:49.008192+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-728b-707c-a95a-93b715b8eb01'),
	(29, '2026-11-26 23:31:49.061851+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'plugin.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-72c5-70bb-bf56-17c2fc2fefd8'),
	(30, '2026-11-26 23:31:49.119184+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-72fe-74f6-a018-533a269a91e3'),
	(31, '2026-11-26 23:31:49.185243+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7340-7037-88ca-4e5ba998a629'),
	(32, '2026-11-26 23:31:49.233956+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7371-72ee-8b62-c659be189828'),
	(33, '2026-11-26 23:31:49.286604+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.delete', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-7371-72ee-8b62-c659be189828'),
	(34, '2026-11-26 23:31:49.31508+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.put', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-73c2-70da-968b-9273d324bd4a'),
	(35, '2026-11-26 23:31:49.362068+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'key_auth.create', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-73f0-734b-88ac-d5e8cd8034a3'),
	(36, '2026-11-26 23:31:49.400237+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'consumer.delete', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-73c2-70da-968b-9273d324bd4a'),
	(37, '2026-11-26 23:31:49.451569+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.put', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-744a-71f8-8ab7-9f84ad48a78b'),
	(38, '2026-11-26 23:31:49.485244+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'service.delete', '01a21a33-6f2d-77c5-874a-55f4670846c3/01a21a33-744a-71f8-8ab7-9f84ad48a78b'),
	(39, '2026-11-26 23:31:49.522721+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.create', '01a21a33-7490-7151-9d10-9baf7e107298'),
	(40, '2026-11-26 23:31:49.554181+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.create', '01a21a33-74b1-7663-a1ec-8511f3a18adc'),
	(41, '2026-11-26 23:31:49.594503+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'enrolment-token.delete', '01a21a33-74b1-7663-a1ec-8511f3a18adc'),
	(42, '2026-11-26 23:31:49.627823+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'node.enrol', 'spiffe://landbridge/region/eu/control-plane/01a21a33-6f2d-77c5-874a-55f4670846c3/node/24d23e63-e36f-4ae4-aa61-580184045d58'),
	(43, '2026-11-26 23:31:49.682438+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'node.enrol', 'spiffe://landbridge/region/eu/control-plane/01a21a33-6f2d-77c5-874a-55f4670846c3/node/b802e27e-6f0e-4ccd-82ea-a409abc2a5e6'),
	(44, '2026-11-26 23:31:49.721928+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'node.remove', '01a21a33-6f2d-77c5-874a-55f4670846c3/b802e27e-6f0e-4ccd-82ea-a409abc2a5e6');


--
-- Data for Name: idempotency; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.idempotency VALUES
	('\x83e93e5b5e6a2110312e5267afdcbf6cbe836b39b6a20f95069d5f6f1ec91435', '\x2adce130ee5fd9633adef36ff1967fc0be588b7db07e9696ac25c7ed5e703af6', '\xe369ce7c1b4eedec0e14753fb1f9cd3a503bbafd9ceb7e86898fc2ac615e88b4ed2cb493763853f01f7a8985faece0f6c407dace20b8c130f4bc6570078a330f97e68e15d0442229baeb82943e796f484edf7d5d2c13fc3a053e127758980c8c73a838299e83763bf176383844eaf00e9b22db6ed468448268a4b7182befc5ad18b63763c231b20f50d054c9101c576a2d3f8c52b1c8af7d780258c4d7a10116f3ab5f8ee7f02d8adeaf790f5280f631c735f327fbe9dc3ffda01963ee02f1bf3b8ab6974797000ce826a3b189622fb40272df335177ffda80b9c49705c4ea972b8afc99b71c94a651c2fa9509a1fdf7d60f6cd06253f7956818b5321574752703bb036f440ddf878488c5b57faa664b00c0a375cdeae6f4375d92734f74f2765c6e71d48755dc190547fa8e57a2b167950b0213b0c4ffa7b1ced82b3de41e9ac77d593674eab68886875f4ecd592a1255342a208758487110fe753b44103243d7ecb82c5920a2d72077c22c1bc9c6062d57eb14e91a0695bbbccfaab5b2eed75a193a8b9e43b805d3c728ca4311e81bc6f20f5be9b44524b618fee1563a4db4552d0070a8a4d080785d5dfda691ce76aaf073e2ce46cbac7a6d7e62c665a24b5b4495f6d1bebbf22ee6c7d1d6380f0e67c82ae6e2810b7df9848401c42a2da23130a06b127f1d80ab79a16efcc5553047c9b83f87ffe254f765ba61adcbc88d1283c9e7bdc43d70cdd9a7', '2026-11-26 23:31:48.141342+00'),
	('\x217a225b2175176045727453bef404e5e3d09757bd2c7823a4c7ed5267945d17', '\x018a713b51fd12bc5e4b7e1dad26ab92f5e26a09c3bd963c69cfec1f9c4171c7', '\xa47b0acc11a902de7d185b16de94e905c863c2e6c48523fef19d7449bb2456f940182b35724a15a10171c526784e3ca92929d1232013fa4c9662507d811f0af0b3fb41c27dd42d3cacd5e4f4929c1c7a390ce87063fe4d97e4cb4bc9d2a8135e1361005f29218088e7c325181d7f259d30acf612e6c35d4d8eb94c981472bb2368a499c4467cb9a00e6c513496873c5eda8a4d10a81e3c00bad527dff2bb9d1f75765e56be44a473a2a4be2202a96066ad4d3c14d59a93d3f74d9340294a346ad453a9b3b214ef830053fd2ac3db04c803867bcd05471691363fde295a80f30bd8d69a78ef729cd11040fc76d2b6c6f4fc237fee269dd74e64ea669105f63ea3670e4840a8752eb2c7cbc4fb5acc051c253a4a9405c2a000c4ce68621915c07539b0e4a3df904083cf0c440182531f83ba68487f15e9ac02f0be97355488df05e8cdde277e136cada6918aff236c4e023acf32909e12c39ee6c3452ebe4716fa61c6cbea72edc5d7b9654b646d5466c7b8eca613832d82d9e675ceba67cffb7bdbf98823c96d106ae565b9508a5c3ca028594fa5e898866b0360aeefe8f1f36f326a30a0352b5d436d50136d614c3a286332faa35f067743ad6a91384a6fa65fddf51d', '2026-11-26 23:31:48.610714+00'),
	('\x1231eaa39a8c85e961d09c8cbd9f82f493d0e1f0306b297e6c94a56431e5c304', '\x266e398b42c7b9fba25829bf0698692e7f0f542f49c3f22a29c2599a9de57aab', '\x7ffc07dc4292069b25e51d28260c75f091f8beca0f50c3dd4e8a5a3d09b397ac149695d9d3ef536985f3d2d397c95cfda3d6cc4698c16101658ef65f8de5a68c3ee2007f908933661eaa926b66711af158d1bc0776f9da671d50f525b65d35daf6d35657db110ddad8ce0b91b36e85644c4b688ae40d87c2c29bdba932e0b3cf35e4b40218f574f3e0eb079d609e9a2938446aa4f8c20dd19554fa48344deeacf803cf03696122f56a4c1711ca9683d0f4b456e068145921000a79a20aac7621ce278b97e9b28d41687c27456ea139a50ed85e0d012d428ce0808826a25ea9729e1bad5747080df302a7d68d618b3d97c6e2a3678afce5836a01bf44ff79e6d5e8e0987bd6fa73eed2795c1013bb59d5f6eaedc559c8e331bfcddf6dd9d83d3a17457a1fefe12783a2d7e56bd96e4587251c5d583d80849e1703c0ffd8ad676822813c0c4b6bc416c0e10a1e09d01ddfd7286ac65039d096ad61f922912365fd2aafb28befd6c39b077579135fb4aa72b5199733c481c2920921e137abf6ec59a7a6a0299a0a29d5e5acad6a3b86990c60a8d8e2daaaf1923e679f5956b705a9aab59b7bee440592deff4d3e82575e761433b7934762d923338cbd390958fada31b0455c9553bbe77a1f41fba251aaedc2caf3e79d31ba06d2fc49c4c76a57a4c768d90b61ffaa13e17b351d9d95dbe987042299c2c76b085b4b04e7185e070108411d06a508b7bb8928894c21e19d8751ba19c8f7813c5407bc37a0e4d65128cabe9ab30b5a5871a7b6db0895c1626bee98412355a24a35420207d3f876541a62f6714d39c307819a6fa8bf1700f3e5802436eb993c28d1d85883e6f7d3f522b9204e4832ff38db0880d4899bb4c6d1a54b4d4698d1c7a67ecae00519967a7760d90e658c9bf5aa42c5dec6c69910ee83e8ddcceb252f2698d6eea0198d11f2d65277daec290b53379c6e6051e2bbdf06d9cfc6e274d976719fde1538eac7ad31143ab573e84c4f7ff921dfd3e5c1f536a84fbb8283174912478092a1ddd57c85fbc0b6629a63', '2026-11-26 23:31:49.522721+00');


--
-- Data for Name: log_head; Type: TABLE DATA; Schema: public; Owner: -
--



--
-- Data for Name: control_plane; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.control_plane VALUES
	('01a21a33-35de-7363-8d11-da0f478e617e', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'granted-bcac6075', '', '{}', 1, 2, '\xc72292975969d9da0bb75d81f261763cae91149ed3241e64688ea5377e17e51a', '2026-11-26 23:31:40.757553+00', '00-eeebd4eca94e63e8871a41514455796b-3e92aa26befc60b6-01', 0, '2026-11-26 23:31:33.472327+00', '2026-11-26 23:31:33.472327+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'upgrade-eu', 'for the upgrade tests ✓', '{"env":"tëst","team":"支払い"}', 1, 20, '\x22b44e0e9f93e61e9073c18288f15a88d173e64adcba31a150f1eadc8837b173', '2026-11-26 23:31:49.49301+00', '00-655942aaf7e724b6a5e3f3de7ace8ce8-04654b3748759a0b-01', 0, '2026-11-26 23:31:48.141342+00', '2026-11-26 23:31:48.417717+00');


--
-- Data for Name: enrolment_token; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.enrolment_token VALUES
	('01a21a33-3772-779a-9c89-ec8ca9a49895', '01a21a33-35de-7363-8d11-da0f478e617e', '', '\x9ccef4f129b08344f0763b82a81a419498e19ea86d2cb0cb61a390a0f79788c2', 1, 1, '2026-11-26 23:31:33.875656+00', '2026-11-27 00:31:33.875021+00'),
	('01a21a33-7490-7151-9d10-9baf7e107298', '01a21a33-6f2d-77c5-874a-55f4670846c3', 'viele', '\xcffd1a6eaa0c6d9865489782470822dc08120677c0512528f1935a4306d69cba', 10, 2, '2026-11-26 23:31:49.522721+00', '2026-12-03 23:31:49.520133+00');


--
-- Data for Name: entity; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.entity VALUES
	('01a21a33-35de-7363-8d11-da0f478e617e', 'service', '65ffbba7-5924-5fb1-9da6-c64ddbecf44b', 160, 1, '{"host":"127.0.0.1","name":"echo","port":12217}', NULL, false, '2026-11-26 23:31:34.195759+00', '2026-11-26 23:31:34.195759+00'),
	('01a21a33-35de-7363-8d11-da0f478e617e', 'route', '6428561e-d95f-5e48-94c6-8c89d6761a3f', 144, 2, '{"name":"tour","paths":["/tour","/tour-during-the-cut"],"service":{"id":"65ffbba7-5924-5fb1-9da6-c64ddbecf44b"}}', NULL, false, '2026-11-26 23:31:34.195759+00', '2026-11-26 23:31:40.751222+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'service', '01a21a33-7093-75a2-a37e-a70e942e5684', 207, 1, '{"connect_timeout":1500,"host":"api.example.com","name":"bücher.v1","path":"/v1","port":8443,"protocol":"https","read_timeout":3500,"retries":2,"tags":["öffentlich","web"],"tls_verify":false,"write_timeout":2500}', NULL, false, '2026-11-26 23:31:48.506733+00', '2026-11-26 23:31:48.506733+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'service', '01a21a33-70fe-7778-a261-a932eb224b79', 248, 2, '{"enabled":false,"host":"2001:db8::1","name":"disabled","port":8080}', NULL, false, '2026-11-26 23:31:48.610714+00', '2026-11-26 23:31:48.610714+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'route', '01a21a33-7145-7718-a4a2-ab38c64de186', 52, 3, '{"hosts":["*.example.com","books.*"],"https_redirect_status_code":301,"methods":["GET","POST"],"name":"bücher","paths":["/books","~/books/(?<isbn>[0-9-]+)$"],"preserve_host":true,"protocols":["https"],"regex_priority":7,"service":{"id":"01a21a33-7093-75a2-a37e-a70e942e5684"},"strip_path":false,"tags":["öffentlich"]}', NULL, false, '2026-11-26 23:31:48.682725+00', '2026-11-26 23:31:48.682725+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'route', '01a21a33-7183-71f5-8adc-8dc06b18665c', 9, 4, '{"name":"teapot","paths":["/teapot"]}', NULL, false, '2026-11-26 23:31:48.741316+00', '2026-11-26 23:31:48.741316+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-71b6-770d-8718-21d35e33d4ae', 1, 5, '{"config":{"body":"☕","content_type":"text/plain; charset=utf-8","status_code":418},"instance_name":"kurz-und-stoutt","name":"request-termination","route":{"id":"01a21a33-7183-71f5-8adc-8dc06b18665c"}}', NULL, false, '2026-11-26 23:31:48.790581+00', '2026-11-26 23:31:48.790581+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'consumer', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77', 245, 6, '{"custom_id":"kundin-4711","tags":["vip"],"username":"日本語"}', NULL, false, '2026-11-26 23:31:48.840384+00', '2026-11-26 23:31:48.840384+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'consumer', '01a21a33-720c-76d6-985e-ee25e4851cd8', 5, 7, '{"custom_id":"only-a-custom-id"}', NULL, false, '2026-11-26 23:31:48.877745+00', '2026-11-26 23:31:48.877745+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-7238-745e-a41c-bcab807dd3f3', 160, 8, '{"config":{"key_in_query":false,"key_names":["apikey","x-key"],"realm":"books"},"name":"key-auth","service":{"id":"01a21a33-7093-75a2-a37e-a70e942e5684"}}', NULL, false, '2026-11-26 23:31:48.921204+00', '2026-11-26 23:31:48.921204+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-7255-73ee-8bbc-6777fb06de84', 145, 9, '{"config":{"message":"closed"},"enabled":false,"name":"request-termination"}', NULL, false, '2026-11-26 23:31:48.949771+00', '2026-11-26 23:31:48.949771+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-728b-707c-a95a-93b715b8eb01', 59, 10, '{"config":{"status_code":403},"consumer":{"id":"01a21a33-71e7-70c8-8c44-75f6ac1b5f77"},"name":"request-termination","protocols":["http","https"]}', NULL, false, '2026-11-26 23:31:49.008192+00', '2026-11-26 23:31:49.008192+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-72c5-70bb-bf56-17c2fc2fefd8', 63, 11, '{"config":{"message":"this one, here, no"},"consumer":{"id":"01a21a33-71e7-70c8-8c44-75f6ac1b5f77"},"name":"request-termination","route":{"id":"01a21a33-7145-7718-a4a2-ab38c64de186"},"service":{"id":"01a21a33-7093-75a2-a37e-a70e942e5684"}}', NULL, false, '2026-11-26 23:31:49.061851+00', '2026-11-26 23:31:49.061851+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', '01a21a33-72fe-74f6-a018-533a269a91e3', 248, 12, '{"consumer":{"id":"01a21a33-71e7-70c8-8c44-75f6ac1b5f77"},"key_hash":"69513779a16302db77f8a82629fb8acbfc478c3e917cf8ddd4a8398ae498f184","tags":["a"]}', '\x26b5843321c460f31fa9e76162b31ecfe81acd134540b4a96fcb4748a77aa850226301f195e019a0332f62307cb931ae7a', false, '2026-11-26 23:31:49.119184+00', '2026-11-26 23:31:49.119184+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', '01a21a33-7340-7037-88ca-4e5ba998a629', 106, 13, '{"consumer":{"id":"01a21a33-71e7-70c8-8c44-75f6ac1b5f77"},"key_hash":"e90a6448c4223bd002b68ed0ee1e2c9a6a46bf8fb275cc8b2b435cd9f2bc96af"}', '\x2e503953bcba2f504c9648f0e9d48c05713681f506de0f208e3139ca00aa48aef245a44884d7eb7c6e13c13e3b5064520d09e8f558f27e1099210c2e', false, '2026-11-26 23:31:49.185243+00', '2026-11-26 23:31:49.185243+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', '01a21a33-7371-72ee-8b62-c659be189828', 194, 15, '', NULL, true, '2026-11-26 23:31:49.233956+00', '2026-11-26 23:31:49.286604+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'consumer', '01a21a33-73c2-70da-968b-9273d324bd4a', 75, 18, '', NULL, true, '2026-11-26 23:31:49.31508+00', '2026-11-26 23:31:49.400237+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', '01a21a33-73f0-734b-88ac-d5e8cd8034a3', 184, 18, '', NULL, true, '2026-11-26 23:31:49.362068+00', '2026-11-26 23:31:49.400237+00'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'service', '01a21a33-744a-71f8-8ab7-9f84ad48a78b', 118, 20, '', NULL, true, '2026-11-26 23:31:49.451569+00', '2026-11-26 23:31:49.485244+00');


--
-- Data for Name: entity_key; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.entity_key VALUES
	('01a21a33-35de-7363-8d11-da0f478e617e', 'service', 'name', 'echo', '65ffbba7-5924-5fb1-9da6-c64ddbecf44b'),
	('01a21a33-35de-7363-8d11-da0f478e617e', 'route', 'name', 'tour', '6428561e-d95f-5e48-94c6-8c89d6761a3f'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'service', 'name', 'bücher.v1', '01a21a33-7093-75a2-a37e-a70e942e5684'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'service', 'name', 'disabled', '01a21a33-70fe-7778-a261-a932eb224b79'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'route', 'name', 'bücher', '01a21a33-7145-7718-a4a2-ab38c64de186'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'route', 'name', 'teapot', '01a21a33-7183-71f5-8adc-8dc06b18665c'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', 'scope', 'request-termination:-:01a21a33-7183-71f5-8adc-8dc06b18665c:-', '01a21a33-71b6-770d-8718-21d35e33d4ae'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', 'instance_name', 'kurz-und-stoutt', '01a21a33-71b6-770d-8718-21d35e33d4ae'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'consumer', 'username', '日本語', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'consumer', 'custom_id', 'kundin-4711', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'consumer', 'custom_id', 'only-a-custom-id', '01a21a33-720c-76d6-985e-ee25e4851cd8'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', 'scope', 'key-auth:01a21a33-7093-75a2-a37e-a70e942e5684:-:-', '01a21a33-7238-745e-a41c-bcab807dd3f3'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', 'scope', 'request-termination:-:-:-', '01a21a33-7255-73ee-8bbc-6777fb06de84'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', 'scope', 'request-termination:-:-:01a21a33-71e7-70c8-8c44-75f6ac1b5f77', '01a21a33-728b-707c-a95a-93b715b8eb01'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', 'scope', 'request-termination:01a21a33-7093-75a2-a37e-a70e942e5684:01a21a33-7145-7718-a4a2-ab38c64de186:01a21a33-71e7-70c8-8c44-75f6ac1b5f77', '01a21a33-72c5-70bb-bf56-17c2fc2fefd8'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', 'key', '69513779a16302db77f8a82629fb8acbfc478c3e917cf8ddd4a8398ae498f184', '01a21a33-72fe-74f6-a018-533a269a91e3'),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', 'key', 'e90a6448c4223bd002b68ed0ee1e2c9a6a46bf8fb275cc8b2b435cd9f2bc96af', '01a21a33-7340-7037-88ca-4e5ba998a629');


--
-- Data for Name: entity_ref; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.entity_ref VALUES
	('01a21a33-35de-7363-8d11-da0f478e617e', 'route', '6428561e-d95f-5e48-94c6-8c89d6761a3f', 'service', 'service', '65ffbba7-5924-5fb1-9da6-c64ddbecf44b', false),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'route', '01a21a33-7145-7718-a4a2-ab38c64de186', 'service', 'service', '01a21a33-7093-75a2-a37e-a70e942e5684', false),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-71b6-770d-8718-21d35e33d4ae', 'route', 'route', '01a21a33-7183-71f5-8adc-8dc06b18665c', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-7238-745e-a41c-bcab807dd3f3', 'service', 'service', '01a21a33-7093-75a2-a37e-a70e942e5684', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-728b-707c-a95a-93b715b8eb01', 'consumer', 'consumer', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-72c5-70bb-bf56-17c2fc2fefd8', 'service', 'service', '01a21a33-7093-75a2-a37e-a70e942e5684', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-72c5-70bb-bf56-17c2fc2fefd8', 'route', 'route', '01a21a33-7145-7718-a4a2-ab38c64de186', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'plugin', '01a21a33-72c5-70bb-bf56-17c2fc2fefd8', 'consumer', 'consumer', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', '01a21a33-72fe-74f6-a018-533a269a91e3', 'consumer', 'consumer', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'key_auth', '01a21a33-7340-7037-88ca-4e5ba998a629', 'consumer', 'consumer', '01a21a33-71e7-70c8-8c44-75f6ac1b5f77', true);


--
-- Data for Name: node; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.node VALUES
	('01a21a33-6f2d-77c5-874a-55f4670846c3', '24d23e63-e36f-4ae4-aa61-580184045d58', 'host-ä', '', '01a21a33-7490-7151-9d10-9baf7e107298', '2026-12-03 23:31:49.626844+00', NULL, NULL, NULL, '2026-11-27 00:31:49.627823+00', 0, 0, NULL, false, 0, 0, '', '[]', '2026-11-26 23:31:49.627823+00', NULL),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 'b802e27e-6f0e-4ccd-82ea-a409abc2a5e6', 'host-ä', '', '01a21a33-7490-7151-9d10-9baf7e107298', '2026-12-03 23:31:49.682187+00', NULL, NULL, NULL, '2026-11-27 00:31:49.682438+00', 0, 0, NULL, false, 0, 0, '', '[]', '2026-11-26 23:31:49.682438+00', '2026-11-26 23:31:49.721928+00'),
	('01a21a33-35de-7363-8d11-da0f478e617e', '01a21a33-378a-74f2-87d4-2833f9fd85ba', 'vm', '0.1.0', '01a21a33-3772-779a-9c89-ec8ca9a49895', '2026-12-03 23:31:34.060318+00', '01a21a33-3863-73f7-b8d4-5789b375aecc', '2026-11-26 23:31:50.786506+00', NULL, '2026-11-27 00:31:50.786506+00', 1, 2, '2026-11-26 23:31:40.787383+00', true, 583, 5651, '', '[]', '2026-11-26 23:31:34.060587+00', NULL);


--
-- Data for Name: revocation; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.revocation VALUES
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 1, 'key_auth', '01a21a33-7371-72ee-8b62-c659be189828', '2026-11-26 23:31:49.277535+00', true),
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 2, 'consumer', '01a21a33-73c2-70da-968b-9273d324bd4a', '2026-11-26 23:31:49.385102+00', true);


--
-- Data for Name: revocation_head; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.revocation_head VALUES
	('01a21a33-6f2d-77c5-874a-55f4670846c3', 2);


--
-- Name: audit_id_seq; Type: SEQUENCE SET; Schema: public; Owner: -
--

SELECT pg_catalog.setval('public.audit_id_seq', 44, true);


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


