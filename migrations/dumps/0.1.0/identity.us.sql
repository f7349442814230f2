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


--
-- Name: replicated; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA replicated;


--
-- Name: resident; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA resident;


--
-- Name: microseconds(timestamp with time zone); Type: FUNCTION; Schema: replicated; Owner: -
--

CREATE FUNCTION replicated.microseconds(at timestamp with time zone) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    RETURN ((EXTRACT(epoch FROM at) * (1000000)::numeric))::bigint;


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
-- Name: signing_secret; Type: TABLE; Schema: regional; Owner: -
--

CREATE TABLE regional.signing_secret (
    id text NOT NULL,
    sealed bytea NOT NULL,
    created_at timestamp with time zone NOT NULL,
    epoch bigint NOT NULL,
    seq bigint NOT NULL,
    signs boolean DEFAULT false NOT NULL
);


--
-- Name: organization; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.organization (
    id uuid NOT NULL,
    name text NOT NULL,
    owner_id uuid NOT NULL,
    home_region text NOT NULL,
    state text DEFAULT 'active'::text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: removed; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.removed (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    removed_at timestamp with time zone NOT NULL
);


--
-- Name: revoked_token; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.revoked_token (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    revoked_at timestamp with time zone NOT NULL
);


--
-- Name: signing_key; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.signing_key (
    id text NOT NULL,
    jwk text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: system_account; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.system_account (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    name text NOT NULL,
    description text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Name: token; Type: TABLE; Schema: replicated; Owner: -
--

CREATE TABLE replicated.token (
    sha256 bytea NOT NULL,
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    principal_id uuid NOT NULL,
    principal_kind text NOT NULL,
    name text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    vector text DEFAULT '{}'::text NOT NULL,
    CONSTRAINT token_principal_kind_check CHECK ((principal_kind = ANY (ARRAY['user'::text, 'system_account'::text])))
);


--
-- Name: person; Type: TABLE; Schema: resident; Owner: -
--

CREATE TABLE resident.person (
    id uuid NOT NULL,
    organization_id uuid NOT NULL,
    email text NOT NULL,
    full_name text NOT NULL,
    active boolean DEFAULT true NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Data for Name: _sqlx_migrations; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public._sqlx_migrations VALUES
	(1, 'create identity', '2026-11-26 23:31:25.138152+00', true, '\xdd137d07ce84f34c0f6856e35aa727289ccae47239f3fff0e20b2edc6ed1c32cb8697caf07ee2667a07254399b0c5684', 221786393),
	(2, 'replicate', '2026-11-26 23:31:25.379155+00', true, '\xc74f0d8d94ad4363633b2f7d670847a111930611c751c36a85276a28af81575a8f68884ff782236082a56c4de4b39a20', 156975870);


--
-- Data for Name: audit; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.audit OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-26 23:31:27.423407+00', '00000000-0000-0000-0000-000000000000', NULL, NULL, 'signing-key.create', 'us.hFv6w6CtsTAOUXbL'),
	(2, '2026-11-26 23:31:28.115891+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, NULL, 'organization.bootstrap', '01a21a33-20f0-7606-ba27-81b0b83900fc'),
	(3, '2026-11-26 23:31:32.877065+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.create', '01a21a33-338d-710d-90c9-64ff0c980347'),
	(4, '2026-11-26 23:31:32.967553+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', '01a21a33-33e6-74f0-9d13-0847302cff05'),
	(5, '2026-11-26 23:31:34.479571+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.create', '01a21a33-39d1-7340-b1fe-d3d03e7370d5'),
	(6, '2026-11-26 23:31:34.528378+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', '01a21a33-39ff-722b-b32f-80940bbd97b3'),
	(7, '2026-11-26 23:31:41.651852+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.delete', '01a21a33-338d-710d-90c9-64ff0c980347'),
	(8, '2026-11-26 23:31:41.699434+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.delete', '01a21a33-39d1-7340-b1fe-d3d03e7370d5'),
	(9, '2026-11-26 23:31:42.21472+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.create', '7cb883f1-e531-5527-8f8a-b17c6dfe9d87'),
	(10, '2026-11-26 23:31:42.267229+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.create', '01a21a33-583b-7585-ac79-ce9e85637168'),
	(11, '2026-11-26 23:31:42.358635+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.create', '01a21a33-589a-7300-99e1-0b26f73615b5'),
	(12, '2026-11-26 23:31:42.663015+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.create', '01a21a33-59c7-70cc-92ae-a50d479a26a1'),
	(13, '2026-11-26 23:31:42.779489+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.update', '01a21a33-583b-7585-ac79-ce9e85637168'),
	(14, '2026-11-26 23:31:42.825649+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', '46a030e5-0203-515e-b09a-db3a9930eff6'),
	(15, '2026-11-26 23:31:43.029631+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', 'fb3deca8-6c8a-5928-9a48-c7c3750d5702'),
	(16, '2026-11-26 23:31:43.234883+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.revoke', '821fd615-1b6b-5c16-829d-2daf1a7577f0'),
	(17, '2026-11-26 23:31:43.304284+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', '310c802f-6467-5ed5-8773-5ebf9529633c'),
	(18, '2026-11-26 23:31:43.36563+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'system-account.delete', '01a21a33-59c7-70cc-92ae-a50d479a26a1'),
	(19, '2026-11-26 23:31:43.492336+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', '01a21a33-5d03-77c0-953b-728943ed5c86'),
	(20, '2026-11-26 23:31:43.660576+00', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-210d-740d-9c43-6193ad12f2b0', 'token.create', '01a21a33-5dac-772f-b4fe-da3da6c24b48');


--
-- Data for Name: idempotency; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.idempotency VALUES
	('\x8335c450278f2277bb06bcc273a4c1c97e000b6adf617897a74b5ae0535d7fd3', '\xccf424ff7df99658e645058bef98dc7b3b65039cf0ec01208b1bf53b74d9faaf', '\x5f5b86d23760d1f51682ab70ee3eab0d8e8eb7749b5833e267f0fc7446ef541bcf7109b50d22dba97984d10504b9560fa13a36cd5a32473f4780573469f7669cfe3b07bea504420e17e6eaa5534af3310186e3fbd9abd57cf3a622ad7c7f0045960b58f6b06778734c7d6827112e3ecb38c6c534cf19b5cca9e3f97701454c537986763cef1625580c0dd3c5b4e6d872522b79589a0d34c59aebf2870453bb1aecef88934a109b5329157051a0da7000a752992ae9b4d1c545f8881c4fb0398a18f4819bbabba95741695d47c2d71ab8da68b2711e02cb9f418a169284011dfb1c084cfa1f84380dd45112596d63a894bb8646f2f6277a1f23cf0da199d70dc5ad45ee88e96d407ae586e672b22f1e1a72a599847d776e9fb43a03aba0833c9ab0aded7663c33b257d0e6cad255d8f045beb30b69c8f4870cc7fcf100b997491672aaab4db06ad93bdf731abf21ca9dd312a133010a0a3b2e808349a19', '2026-11-26 23:31:42.21472+00'),
	('\x2938fe6952d4f331ae7ba12e86751c13ea996561926640adc7cd7c0fa5c990b9', '\xea6b2102ea84effaef64924c648190296d811b796afb2833a9cad22638fc7ced', '\xff1b8c5d50085372d6674c6a7f3d562b1b8e77657960eaf15d619bb80fdfe03867df53aa356eced88fd6c7715aaadad1dfacf2675a223b828bf0e43076e656dbdd05aa92f76ba8ee43a6cb573ec93f4fd66bfa0383ca7b793d9386c1b67989f3876079f7d1d885bd3327b169db47d5042f2e0d0d4ec74d013f5aa21e6d061ee6af474fedea470abbfc96f17ca06ad2f521ae9d27ea94834677e57e2f2c69d2da837147840a90bda469b54e0318c5c50ded36368bf9efe0b1c3689bd9cf9e0915999c6a3ebfc841700d43770dfc5c6ce411d79bb2687e21d78ac117ca391b8d97db50fde1400de6d1a61002195f182012e3c2f6499ccb05887625a8407b12e8ddb0e605e5cea6f7b494793888fd2f61498fad6463c5ab376b236563804f1f68eb219094abb2f6c63fba7774f0f4164ce107d7c6c385ed06e39b9f5b20ef6ce4c2c6021da41b8391ef6d8e72a7dba97b20cf6587a253b525dce1a9ca3f92b1bb9b56b79e6243467e39b11812b1bc1729b081e57d76862cc7f6cfb017cc6ba6b6c85ee24af113e08c7c64650551292d29ecb0b66ce45702427bb768e3b5cb08112e75bec578c4f3b97587c6bc7e2a22187bc5', '2026-11-26 23:31:42.825649+00'),
	('\x288fe80ae4da9f5c5eb64825797f7766b85e726190e8efe1bd05d7f39475ee06', '\x0c82d9b72d563fe1df8e13808b91fcd3663080a4e61afe818f6b1939d706b4a0', '\x4f1aa9bdb01102ab8cb663c7cf94f7b5ea2bbf3c1475008374591b3070f13e79c3839d03376cebcb36f1254605dbaa7396b493a9de3ade9f81290ee1d7a2643e74af4f05bacf862d72cbc56194d61c80e5c7357b3885b12d272d397c948ee932e0c1fd73ab9c88791520b247061124c137cf1b17dbe5f18bc77b3940b1ed355b79a429fbc0e52200f1a72abecd1f35eec0b967baa4e189ab5a99deb1a8466301915e022820802e3d188cb9c7f75bc4b7d75e3109cb2434860ebb6c9540b14c5152929e0f77f1841f60669b8d7275c0ec8d450b65e3c8d29ef8be3efa62cb1f5db56362d2a02c7abd46f63ed752ce91b7c208cca82af7324316a245261f3013921241bcf7ea5f38cf453d676de434868e2f889cd158af437e97b8920c04bfcaaa530f8f968bbb1c89c3d3f05b5fbf3e3365aa14578afd1a709040726f33e5b03a1b57da9a79fc0985611f504b58e2b2a37ac1dfd873ec489f6e4d7d693499d470da4a77b68c7f8e5c22ad9d2671f2fa0b0fbfa5451e0682ee19cffef408da4fc8eaa453d4d8b37ff0c1ce7c72e87370a03abb3a174b8d1af43c30f9d769b9a303382f08bd9a4b87a34725c53b94c98bd610', '2026-11-26 23:31:43.029631+00'),
	('\xcdb4e4a5fa66bde874f66a1702aed045e2979f4938f049b377ee8682998ae3b1', '\xf3e6653280e05ad38f6de53cdb1ef43bf73226138b38259c7161fa1a62f112be', '\xefb22dbe289b63901fa1aea16a5c21e0f413862054f906615fae9b96824ab7e6923153687318e173cc8a29be88010ed376f3855a7620717ded192940da5422080a7d1c254d94545d23b7c04e2e02d36c0d8d81633c975666cfb1f8c9050bb5947899cb8ca2c02c63f45ec1801617f336f39b4ba2a212614b7c40f3db167f4d161cbead6059b019ac4a4d2711d76e437eb2ebf428bca17dd31ede3546dbb901afe4a8cb66f7a1ad421604f28f45ae644bab33fd1b2117e4ce3b51b4e1e7ae65176eae11d32b6e9dbfbd02dd26a2f95e7d2c7bb6044f02743b921169ddebdf3a7bc8784e976ab8728684b0036267745ecefb01a149d9db6e10a7eb28e90063c709e71ab004794578a11f3b5c782b31dcbbf8088adde41f4e4338963af7c8a996e98fe33aa320e0e9e1fadb3949fae3457414f0395b540f1c2f2825336e35aaf71b8cd23c7dfd5b66a5a047618284b1af31dd950fd23822fda51b0269c0b8fd29efffad8a769573393f1ae6c7b73855b7755e11dc9f7e256314a255942a8818226ee8c5025bf62c0f92d9d08e9e28066d759986ef088c0052bbf3a6185ccc0ecab03b089e5caf513f9235405e7503e05f54e70917cb544f0ee81540f5b7767de29fe800164e2532', '2026-11-26 23:31:43.304284+00');


--
-- Data for Name: log_applied; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_applied VALUES
	(1, 'identity.us', 1, 1, '00000000-0000-0000-0000-000000000000', true, '[]'),
	(2, 'identity.us', 2, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(3, 'identity.us', 3, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(4, 'identity.us', 4, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(5, 'identity.eu', 1, 1, '00000000-0000-0000-0000-000000000000', true, '[]'),
	(6, 'identity.us', 5, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(7, 'identity.us', 6, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(8, 'identity.us', 7, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(9, 'identity.us', 8, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(10, 'identity.us', 9, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(11, 'identity.us', 10, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(12, 'identity.us', 11, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-33e6-74f0-9d13-0847302cff05"]'),
	(13, 'identity.us', 12, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-33e6-74f0-9d13-0847302cff05"]'),
	(14, 'identity.us', 13, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-33e6-74f0-9d13-0847302cff05"]'),
	(15, 'identity.us', 14, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-39ff-722b-b32f-80940bbd97b3"]'),
	(16, 'identity.us', 15, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-39ff-722b-b32f-80940bbd97b3"]'),
	(17, 'identity.us', 16, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-39ff-722b-b32f-80940bbd97b3"]'),
	(18, 'identity.us', 17, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(19, 'identity.us', 18, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(20, 'identity.us', 19, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(21, 'identity.us', 20, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(22, 'identity.us', 21, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(23, 'identity.us', 22, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(24, 'identity.us', 23, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(25, 'identity.us', 24, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(26, 'identity.us', 25, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(27, 'identity.us', 26, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(28, 'identity.eu', 2, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(29, 'identity.us', 27, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(30, 'identity.eu', 3, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(31, 'identity.us', 28, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["821fd615-1b6b-5c16-829d-2daf1a7577f0"]'),
	(32, 'identity.us', 29, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(33, 'identity.us', 30, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["310c802f-6467-5ed5-8773-5ebf9529633c"]'),
	(34, 'identity.us', 31, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["310c802f-6467-5ed5-8773-5ebf9529633c"]'),
	(35, 'identity.us', 32, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["310c802f-6467-5ed5-8773-5ebf9529633c"]'),
	(36, 'identity.us', 33, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(37, 'identity.eu', 4, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(38, 'identity.us', 34, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '[]'),
	(39, 'identity.eu', 5, 1, '01a21a33-20f0-7606-ba27-81b0b83900fc', true, '["01a21a33-5dac-772f-b4fe-da3da6c24b48"]'),
	(40, 'identity.eu', 6, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[]'),
	(41, 'identity.eu', 7, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[]'),
	(42, 'identity.eu', 8, 1, '01a21a33-5f98-772a-9329-7216c1f70807', true, '[]');


--
-- Data for Name: log_head; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_head VALUES
	(true, 42, 1, '2026-11-26 23:31:24.124027+00');


--
-- Data for Name: log_operation; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_operation VALUES
	('identity.us', 1, 1, '01a21a33-1e42-773b-9723-9e23ba4e9fc9', '00000000-0000-0000-0000-000000000000', NULL, '{}', '\x0000000000000000000000000000000000000000000000000000000000000000', '{}', 'signing_key.put', '{"id":"us.hFv6w6CtsTAOUXbL","jwk":{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"us.hFv6w6CtsTAOUXbL","x":"BYg1Ji_z4EgjdzQjBSWxt_jOlYevJQBmn7ejkyUI0ro"}}', 1795735887424443, ''),
	('identity.us', 2, 1, '01a21a33-2108-77f5-b4ed-184ed5861e0b', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x4d0aaac737edce8131a1e87a555b21aa900b1d6cafb4926ce26dbfcd9d0f0e90', '{}', 'organization.put', '{"name":"shop","owner_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","home_region":"us","state":"active"}', 1795735888134919, ''),
	('identity.us', 3, 1, '01a21a33-210d-740d-9c43-619233a069dc', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\x3866135a382c8c71bea3b7a23b4bfac24db01f275e384f8eae58a9f237bdff7e', '{}', 'principal.put', '{"id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","kind":"user","active":true,"not_before":null}', 1795735888134919, ''),
	('identity.us', 4, 1, '01a21a33-2117-7218-97e6-a274a0272fcf', '01a21a33-20f0-7606-ba27-81b0b83900fc', NULL, '{}', '\xb9d3c42b869599624340ab805eab1c5ffc1ed6e6a5af93929c0c70616f6d106f', '{}', 'token.minted', '{"id":"01a21a33-210d-740d-9c43-6193ad12f2b0","sha256":"0b1beabbd842c23a534b61db40168fefdc94a39f49693d7b972ad28e11ee2f67","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","principal_kind":"user","name":"bootstrap","expires_at":"2027-11-26T23:31:28.141707352Z","vector":{}}', 1795735888134919, ''),
	('identity.eu', 1, 1, '01a21a33-21cd-703e-a688-b85dff6a399a', '00000000-0000-0000-0000-000000000000', NULL, '{}', '\x0000000000000000000000000000000000000000000000000000000000000000', '{"identity.us":{"epoch":1,"seq":4}}', 'signing_key.put', '{"id":"eu.g6iVN6mlddYly8xt","jwk":{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"eu.g6iVN6mlddYly8xt","x":"5nDPIWR0EXLg37hB2GBLAqp5oMRSP9uuoVJ9xqA2Pus"}}', 1795735888331742, ''),
	('identity.us', 5, 1, '01a21a33-338e-72ab-9108-34e2a5682b41', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x6c2267f7c389ca548c5bcea6146dcb911e87466ae3b1ea5e43d76171f303f3ce', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"01a21a33-338d-710d-90c9-64ff0c980347","name":"creator-bcac6075","description":""}', 1795735892877585, ''),
	('identity.us', 6, 1, '01a21a33-338f-74b4-9c0d-fdafbe82d5ff', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x7e91704137e35b314398f3c97efac9ce215a18d8aa4bb0945211cf40365ab8bd', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.put', '{"id":"01a21a33-338d-710d-90c9-64ff0c980347","kind":"system_account","active":true,"not_before":null}', 1795735892877585, ''),
	('identity.us', 7, 1, '01a21a33-33fc-75d0-ab13-490858879961', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x82dc5eedd82e7bc59c4ad3866b39b72bdd26dcc5819f2eda1289442e946d2185', '{"identity.eu":{"epoch":1,"seq":1}}', 'token.minted', '{"id":"01a21a33-33e6-74f0-9d13-0847302cff05","sha256":"00a3baf8b665f030e4f188a0cbb8202812220ede6614bda48f3584cdb1958bb2","principal_id":"01a21a33-338d-710d-90c9-64ff0c980347","principal_kind":"system_account","name":"tour","expires_at":"2027-02-24T23:31:32.96658146Z","vector":{"authz.us":{"epoch":1,"seq":9}}}', 1795735892974438, ''),
	('identity.us', 8, 1, '01a21a33-39d2-732a-b572-f43dbc919726', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xa174049c9961d7528eae5913350a2a2a6395f4df5d5e910500d0f8135270a317', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5","name":"fresh-bcac6075","description":""}', 1795735894481434, ''),
	('identity.us', 9, 1, '01a21a33-39d3-704e-ad4d-8d7deae1ee9e', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xa9af9ad40a73a3c0d4eb6fc157548617b32055d8e7b153afdf8e709b52d6a120', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.put', '{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5","kind":"system_account","active":true,"not_before":null}', 1795735894481434, ''),
	('identity.us', 10, 1, '01a21a33-3a03-70fc-88cb-ce4d1057a565', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xe3e8f6c45c85aef5d74a8968649c50278872ffc2c0c5584a1728a5396dc748d3', '{"identity.eu":{"epoch":1,"seq":1}}', 'token.minted', '{"id":"01a21a33-39ff-722b-b32f-80940bbd97b3","sha256":"6aa2c1f0b11249fbc9bad9075aeb16145ab7b40ff8a5de3a48033bafb976deed","principal_id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5","principal_kind":"system_account","name":"tour","expires_at":"2027-02-24T23:31:34.527945054Z","vector":{"authz.eu":{"epoch":1,"seq":7},"authz.us":{"epoch":1,"seq":11}}}', 1795735894529445, ''),
	('identity.us', 11, 1, '01a21a33-55d5-7226-8cc5-6d419c7c0f03', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xe4dcb82b54ead793db9fdf65d77477af4269eba952665f2645cda5d45d9ac46a', '{"identity.eu":{"epoch":1,"seq":1}}', 'token.revoked', '{"id":"01a21a33-33e6-74f0-9d13-0847302cff05","expires_at":1803511892}', 1795735901652801, ''),
	('identity.us', 12, 1, '01a21a33-55d6-76f1-95c1-08f99d8566a0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xfe91edcde4b6020652c2e30e4da47ff4b4bf79f2683da4b85d60023b7c7c6366', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.removed', '{"id":"01a21a33-338d-710d-90c9-64ff0c980347"}', 1795735901652801, ''),
	('identity.us', 13, 1, '01a21a33-55d7-7138-9660-17974757bf21', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x8752850b10900653f2d3d1d0125d20c1dd5af86fd6379cf25d93174a19386994', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.removed', '{"id":"01a21a33-338d-710d-90c9-64ff0c980347"}', 1795735901652801, ''),
	('identity.us', 14, 1, '01a21a33-5607-751b-96c8-25f713873028', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x0178739c7669cfc0849d2855463b3c471843256c6f3455403864f060375b8f5a', '{"identity.eu":{"epoch":1,"seq":1}}', 'token.revoked', '{"id":"01a21a33-39ff-722b-b32f-80940bbd97b3","expires_at":1803511894}', 1795735901701374, ''),
	('identity.us', 15, 1, '01a21a33-5607-751b-96c8-25f8d9fd7099', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xd0b057072c3171f1862ab9b254a1c7cc9386ec61c2da02b89ce37f2b96e8844f', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.removed', '{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"}', 1795735901701374, ''),
	('identity.us', 16, 1, '01a21a33-5608-7456-abe3-79e25aa86097', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xefeca571c58c0a37ff2c58f250277b6a119e2a9fc9775540a05079c117def1ae', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.removed', '{"id":"01a21a33-39d1-7340-b1fe-d3d03e7370d5"}', 1795735901701374, ''),
	('identity.us', 17, 1, '01a21a33-580c-7756-b0c4-895874869b11', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x12b55a863ca4e6aa3869cb599972440c2fd729f086e54e150c2561d940335c85', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87","name":"deployer","description":"für deployer 🤖"}', 1795735902217605, ''),
	('identity.us', 18, 1, '01a21a33-580d-72da-bb9e-2c39ae712d78', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x326752d69263a3f74f0374bcb05509cf1835016f92354543662de60a2f1ddd0c', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.put', '{"id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87","kind":"system_account","active":true,"not_before":null}', 1795735902217605, ''),
	('identity.us', 19, 1, '01a21a33-583c-7796-b5cd-c371bf3b1de4', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x017c8983f66c22e476eb49cb487a6e42953807be0d121a29673b73efd8209638', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"01a21a33-583b-7585-ac79-ce9e85637168","name":"auditór-ö","description":"für auditór-ö 🤖"}', 1795735902267783, ''),
	('identity.us', 20, 1, '01a21a33-583e-735c-bcdb-6c7391ea5a84', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x10d9fad42f8dbafcd45f7edab797ccf54f3edaa6a169995666877439777d46aa', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.put', '{"id":"01a21a33-583b-7585-ac79-ce9e85637168","kind":"system_account","active":true,"not_before":null}', 1795735902267783, ''),
	('identity.us', 27, 1, '01a21a33-5b38-757b-b62c-dd89d14bcfa6', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xa7b29a4587f462ea50647dcac1152332709f9e7d460afe43f5f0bf0ca30f4d8e', '{"identity.eu":{"epoch":1,"seq":2}}', 'token.minted', '{"id":"fb3deca8-6c8a-5928-9a48-c7c3750d5702","sha256":"dbdeb9a450333c5c12a2c9e2abfafdaa0214bc25fe209c89ab4eb3ae80b718b1","principal_id":"01a21a33-589a-7300-99e1-0b26f73615b5","principal_kind":"system_account","name":"delegate","expires_at":"2027-02-24T23:31:43.029189109Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}}', 1795735903030165, ''),
	('identity.us', 21, 1, '01a21a33-589b-70de-b58e-f34d4cd9c706', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x68fcafe0e8a0cf6b52c69c23f851ba824112f739069022fe62a95cb5c867f3ca', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"01a21a33-589a-7300-99e1-0b26f73615b5","name":"delegate","description":"für delegate 🤖"}', 1795735902362148, ''),
	('identity.us', 22, 1, '01a21a33-589c-7365-bc2c-cc6927ef5b2d', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x26b0f81fa6e1b164b19e7318f730d70f957ca768be6d38b76c48f322e760bf9f', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.put', '{"id":"01a21a33-589a-7300-99e1-0b26f73615b5","kind":"system_account","active":true,"not_before":null}', 1795735902362148, ''),
	('identity.us', 26, 1, '01a21a33-5a6c-72c4-ae6a-6988ec6af525', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x77747373940bc147cd024afd36149aea7542861342ef9645be99a83fe7861ef5', '{"identity.eu":{"epoch":1,"seq":1}}', 'token.minted', '{"id":"46a030e5-0203-515e-b09a-db3a9930eff6","sha256":"4454f041658c98ecc974f683969b6a880be3aeb37b7f22308ee45b2ffcea0e66","principal_id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87","principal_kind":"system_account","name":"pipeline","expires_at":"2027-02-24T23:31:42.821911017Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}}', 1795735902826323, ''),
	('identity.eu', 2, 1, '01a21a33-5ad2-73c1-9bc1-d6a3a00a4a9d', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xfc3c907699f95a5f6be05871f718a0cb3004f8c3d3577d9b3712a8ac4041076a', '{"identity.us":{"epoch":1,"seq":26}}', 'token.minted', '{"id":"2da2cd4a-3037-54be-a80f-2cf0644a8414","sha256":"ad3807dc46e060cea4fddd5fc0b526047f013ec2ffc7c3787e283befc3a15054","principal_id":"01a21a33-583b-7585-ac79-ce9e85637168","principal_kind":"system_account","name":"of eu","expires_at":"2027-02-24T23:31:42.912647619Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}}', 1795735902922980, ''),
	('identity.eu', 5, 1, '01a21a33-5dec-76ff-be47-e0b72a6cd9e7', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0}', '\x5255cfb885487a3e81e4f45b75bd5d23b02421a1c6b290bf246f90870f5b6719', '{"identity.us":{"epoch":1,"seq":34}}', 'token.revoked', '{"id":"01a21a33-5dac-772f-b4fe-da3da6c24b48","expires_at":1803511903}', 1795735903723637, ''),
	('identity.eu', 6, 1, '01a21a33-5f9b-7689-af11-9399f809299a', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\x5ed261f5bd8846c46303a83e26028b3c3543b3940df7ae548bea49825db10e5e', '{"identity.us":{"epoch":1,"seq":34}}', 'organization.put', '{"name":"workshop","owner_id":"01a21a33-5f98-772a-9329-7217b63ae2d1","home_region":"eu","state":"active"}', 1795735904154550, ''),
	('identity.eu', 7, 1, '01a21a33-5f9c-732d-af68-a8ec86fa4d07', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\x7361641a550bfe087c7026cc1467047eb316a7d09a119f374e9290c2b962bb8d', '{"identity.us":{"epoch":1,"seq":34}}', 'principal.put', '{"id":"01a21a33-5f98-772a-9329-7217b63ae2d1","kind":"user","active":true,"not_before":null}', 1795735904154550, ''),
	('identity.eu', 8, 1, '01a21a33-5f9e-745e-89bd-83eb58f6661b', '01a21a33-5f98-772a-9329-7216c1f70807', NULL, '{}', '\x72f39effc346d4acf8b20f2e90c34958231f3d7d93b5ac5555416f8c062431e3', '{"identity.us":{"epoch":1,"seq":34}}', 'token.minted', '{"id":"01a21a33-5f9c-732d-af68-a8edfdac9492","sha256":"68497d5e456b4918e31be5019387d00bb626f059d8f699dd9fde38bc745966be","principal_id":"01a21a33-5f98-772a-9329-7217b63ae2d1","principal_kind":"user","name":"bootstrap","expires_at":"2027-11-26T23:31:44.156714289Z","vector":{}}', 1795735904154550, ''),
	('identity.us', 23, 1, '01a21a33-59c8-7265-bfde-073ddcf5ab8e', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xbd127a10e76f1a584ed01f4255f94119048577ecd625e33b7d8ef010fd55c408', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1","name":"gone","description":"für gone 🤖"}', 1795735902663575, ''),
	('identity.us', 24, 1, '01a21a33-59c9-73af-8f44-7574ae089edb', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x7318a8905a1263e1023dfbcc7fc754545eaf1c3176c6405a3844875933050a74', '{"identity.eu":{"epoch":1,"seq":1}}', 'principal.put', '{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1","kind":"system_account","active":true,"not_before":null}', 1795735902663575, ''),
	('identity.eu', 4, 1, '01a21a33-5d58-73e0-8d69-ad0cf01f41f5', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x4bb8e60c831295287d1747923b7d585fe9a5cd48ddcded90de155b421b73449f', '{"identity.us":{"epoch":1,"seq":33}}', 'token.minted', '{"id":"01a21a33-5d49-765d-886a-e824dea68e16","sha256":"4711405f6cf88b046f898577689367bfcbd121cfd6226f0ce560b1c7ed7328c5","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","principal_kind":"user","name":"made in eu: ключ","expires_at":"2027-02-24T23:31:43.561553286Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":26}}}', 1795735903574935, ''),
	('identity.us', 25, 1, '01a21a33-5a3d-7552-9385-2158ad1c71a8', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x2c9abad80ea2c962da21874b07b8e5b5e3ee50e0e79ffe254c452e06d2e6db5c', '{"identity.eu":{"epoch":1,"seq":1}}', 'system_account.put', '{"id":"01a21a33-583b-7585-ac79-ce9e85637168","name":"auditor","description":"reads, nothing else"}', 1795735902780112, ''),
	('identity.us', 30, 1, '01a21a33-5c8f-712c-a472-ae6319c02357', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xdef30d3f725bdd3e4ab4c2c9001fee925ec5a703d098f8e6de37ec7cdcd95a51', '{"identity.eu":{"epoch":1,"seq":3}}', 'token.revoked', '{"id":"310c802f-6467-5ed5-8773-5ebf9529633c","expires_at":1803511903}', 1795735903366118, ''),
	('identity.us', 31, 1, '01a21a33-5c90-75a8-9ab7-405c00857c1a', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xeb69af584c6d09c115ad15a92cb9ca853c64c2761a2e2b35abf5ab7c3fc7f18e', '{"identity.eu":{"epoch":1,"seq":3}}', 'system_account.removed', '{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1"}', 1795735903366118, ''),
	('identity.us', 32, 1, '01a21a33-5c92-760d-9c77-742bb7f78237', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xf90ab61f11f5b8881834ead471c840d37c072e854e17e3ec5c9dd1350e26daea', '{"identity.eu":{"epoch":1,"seq":3}}', 'principal.removed', '{"id":"01a21a33-59c7-70cc-92ae-a50d479a26a1"}', 1795735903366118, ''),
	('identity.eu', 3, 1, '01a21a33-5b85-7121-817e-e79eeda6578b', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\xc041927d92bcd8fa4760e3788ff711846116933b5c2ee88b32952a5b99302092', '{"identity.us":{"epoch":1,"seq":27}}', 'token.minted', '{"id":"821fd615-1b6b-5c16-829d-2daf1a7577f0","sha256":"f8b9c0b7becf84cfd70454a47f836d9fcf66ffb67d28713b730f6ae4b7ebc46a","principal_id":"7cb883f1-e531-5527-8f8a-b17c6dfe9d87","principal_kind":"system_account","name":"revoked","expires_at":"2027-02-24T23:31:43.104292978Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}}', 1795735903105593, ''),
	('identity.us', 28, 1, '01a21a33-5c04-70be-834d-f6ab1e948641', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x7f0508cf42363fb3abe740a7f4b933cccfde8e56ed6a2491d4f01b4ea838f299', '{"identity.eu":{"epoch":1,"seq":3}}', 'token.revoked', '{"id":"821fd615-1b6b-5c16-829d-2daf1a7577f0","expires_at":1803511903}', 1795735903235391, ''),
	('identity.us', 29, 1, '01a21a33-5c4e-71ad-b506-790665e56009', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x503c03dd07f8ab9fc81cd74d2c34ae8591fa2b54069c6f6ac0e76b2906888219', '{"identity.eu":{"epoch":1,"seq":3}}', 'token.minted', '{"id":"310c802f-6467-5ed5-8773-5ebf9529633c","sha256":"0bb1ecad97c8be955e4963e8dcfeae7c2943c2270ed50162d8129684e1f14d95","principal_id":"01a21a33-59c7-70cc-92ae-a50d479a26a1","principal_kind":"system_account","name":"of an account that is deleted","expires_at":"2027-02-24T23:31:43.30301642Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":24}}}', 1795735903307803, ''),
	('identity.us', 33, 1, '01a21a33-5d06-7244-80b6-be541b0eb6c9', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x81ff1d27f9a4cbaf2c6e60f59235c617f8092e91ab5aa492af5ea301250e10ea', '{"identity.eu":{"epoch":1,"seq":3}}', 'token.minted', '{"id":"01a21a33-5d03-77c0-953b-728943ed5c86","sha256":"bd5b20e9b46aadefcd3de022bc9b8d926ed099cd226a2bb742c6b25f64cdb950","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","principal_kind":"user","name":"expired","expires_at":"2026-11-26T23:31:46Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":26}}}', 1795735903492978, ''),
	('identity.us', 34, 1, '01a21a33-5dad-726e-8f49-043b81aaf463', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', '{01a21a33-20f0-7606-ba27-81b15ac2cb87,01a21a33-210d-740d-9c43-6193ad12f2b0,108a8054-c58f-5f29-bb2a-c803461b0107,2ba6d410-cc48-5804-ae19-fd9a43238b71,431fc0db-e391-5071-9b10-878473a4591e}', '\x74e2f5ed53cacd3f2645fa36c749e95de33c26ace2904a008dbbedc04b4734d2', '{"identity.eu":{"epoch":1,"seq":4}}', 'token.minted', '{"id":"01a21a33-5dac-772f-b4fe-da3da6c24b48","sha256":"329fe24cc6f034ca57695c9ab791679d38b2c1a5166aae1b0ba6bfb95a87069c","principal_id":"01a21a33-20f0-7606-ba27-81b15ac2cb87","principal_kind":"user","name":"revoked","expires_at":"2027-02-24T23:31:43.66013983Z","vector":{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":26}}}', 1795735903661118, '');


--
-- Data for Name: log_organization; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_organization VALUES
	('00000000-0000-0000-0000-000000000000', 'identity.us', 1, 1),
	('00000000-0000-0000-0000-000000000000', 'identity.eu', 1, 1),
	('01a21a33-20f0-7606-ba27-81b0b83900fc', 'identity.us', 1, 34),
	('01a21a33-20f0-7606-ba27-81b0b83900fc', 'identity.eu', 1, 5),
	('01a21a33-5f98-772a-9329-7216c1f70807', 'identity.eu', 1, 8);


--
-- Data for Name: log_origin; Type: TABLE DATA; Schema: public; Owner: -
--

INSERT INTO public.log_origin VALUES
	('identity.us', 1, 34, '\xbe3ac77f0e6a50232d84b9c3550e3fa9a90746eab0ed2987386ddb58c919cd45'),
	('identity.eu', 1, 8, '\x5894814d8d513933ab4912a85053e7550fe7be6f61a90c669d45d0a8a2202cf8');


--
-- Data for Name: signing_secret; Type: TABLE DATA; Schema: regional; Owner: -
--

INSERT INTO regional.signing_secret VALUES
	('us.hFv6w6CtsTAOUXbL', '\x334486e5fff490b1353fc0db8c41e13602db7221880057b8c0439a5762787431d7852a22ad66bc6e0b4e5cfbace8b826bc27ad0342efe4401a9ab123c6cd5919c6db99e7e921e346cdc5c897', '2026-11-26 23:31:27.424443+00', 1, 1, true);


--
-- Data for Name: organization; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.organization VALUES
	('01a21a33-20f0-7606-ba27-81b0b83900fc', 'shop', '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'us', 'active', '2026-11-26 23:31:28.134919+00', '2026-11-26 23:31:28.134919+00'),
	('01a21a33-5f98-772a-9329-7216c1f70807', 'workshop', '01a21a33-5f98-772a-9329-7217b63ae2d1', 'eu', 'active', '2026-11-26 23:31:44.15455+00', '2026-11-26 23:31:44.15455+00');


--
-- Data for Name: removed; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.removed VALUES
	('01a21a33-338d-710d-90c9-64ff0c980347', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:41.652801+00'),
	('01a21a33-39d1-7340-b1fe-d3d03e7370d5', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:41.701374+00'),
	('01a21a33-59c7-70cc-92ae-a50d479a26a1', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:43.366118+00');


--
-- Data for Name: revoked_token; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.revoked_token VALUES
	('01a21a33-33e6-74f0-9d13-0847302cff05', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:41.652801+00'),
	('01a21a33-39ff-722b-b32f-80940bbd97b3', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:41.701374+00'),
	('821fd615-1b6b-5c16-829d-2daf1a7577f0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:43.235391+00'),
	('310c802f-6467-5ed5-8773-5ebf9529633c', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:43.366118+00'),
	('01a21a33-5dac-772f-b4fe-da3da6c24b48', '01a21a33-20f0-7606-ba27-81b0b83900fc', '2026-11-26 23:31:43.723637+00');


--
-- Data for Name: signing_key; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.signing_key VALUES
	('us.hFv6w6CtsTAOUXbL', '{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"us.hFv6w6CtsTAOUXbL","x":"BYg1Ji_z4EgjdzQjBSWxt_jOlYevJQBmn7ejkyUI0ro"}', '2026-11-26 23:31:27.424443+00'),
	('eu.g6iVN6mlddYly8xt', '{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"eu.g6iVN6mlddYly8xt","x":"5nDPIWR0EXLg37hB2GBLAqp5oMRSP9uuoVJ9xqA2Pus"}', '2026-11-26 23:31:28.331742+00');


--
-- Data for Name: system_account; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.system_account VALUES
	('7cb883f1-e531-5527-8f8a-b17c6dfe9d87', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'deployer', 'für deployer 🤖', '2026-11-26 23:31:42.217605+00', '2026-11-26 23:31:42.217605+00'),
	('01a21a33-589a-7300-99e1-0b26f73615b5', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'delegate', 'für delegate 🤖', '2026-11-26 23:31:42.362148+00', '2026-11-26 23:31:42.362148+00'),
	('01a21a33-583b-7585-ac79-ce9e85637168', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'auditor', 'reads, nothing else', '2026-11-26 23:31:42.267783+00', '2026-11-26 23:31:42.780112+00');


--
-- Data for Name: token; Type: TABLE DATA; Schema: replicated; Owner: -
--

INSERT INTO replicated.token VALUES
	('\x0b1beabbd842c23a534b61db40168fefdc94a39f49693d7b972ad28e11ee2f67', '01a21a33-210d-740d-9c43-6193ad12f2b0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'user', 'bootstrap', '2026-11-26 23:31:28.134919+00', '2027-11-26 23:31:28.141707+00', NULL, '{}'),
	('\x00a3baf8b665f030e4f188a0cbb8202812220ede6614bda48f3584cdb1958bb2', '01a21a33-33e6-74f0-9d13-0847302cff05', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-338d-710d-90c9-64ff0c980347', 'system_account', 'tour', '2026-11-26 23:31:32.974438+00', '2027-02-24 23:31:32.966581+00', '2026-11-26 23:31:41.652801+00', '{"authz.us":{"epoch":1,"seq":9}}'),
	('\x6aa2c1f0b11249fbc9bad9075aeb16145ab7b40ff8a5de3a48033bafb976deed', '01a21a33-39ff-722b-b32f-80940bbd97b3', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-39d1-7340-b1fe-d3d03e7370d5', 'system_account', 'tour', '2026-11-26 23:31:34.529445+00', '2027-02-24 23:31:34.527945+00', '2026-11-26 23:31:41.701374+00', '{"authz.eu":{"epoch":1,"seq":7},"authz.us":{"epoch":1,"seq":11}}'),
	('\x4454f041658c98ecc974f683969b6a880be3aeb37b7f22308ee45b2ffcea0e66', '46a030e5-0203-515e-b09a-db3a9930eff6', '01a21a33-20f0-7606-ba27-81b0b83900fc', '7cb883f1-e531-5527-8f8a-b17c6dfe9d87', 'system_account', 'pipeline', '2026-11-26 23:31:42.826323+00', '2027-02-24 23:31:42.821911+00', NULL, '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}'),
	('\xad3807dc46e060cea4fddd5fc0b526047f013ec2ffc7c3787e283befc3a15054', '2da2cd4a-3037-54be-a80f-2cf0644a8414', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-583b-7585-ac79-ce9e85637168', 'system_account', 'of eu', '2026-11-26 23:31:42.92298+00', '2027-02-24 23:31:42.912647+00', NULL, '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}'),
	('\xdbdeb9a450333c5c12a2c9e2abfafdaa0214bc25fe209c89ab4eb3ae80b718b1', 'fb3deca8-6c8a-5928-9a48-c7c3750d5702', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-589a-7300-99e1-0b26f73615b5', 'system_account', 'delegate', '2026-11-26 23:31:43.030165+00', '2027-02-24 23:31:43.029189+00', NULL, '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}'),
	('\xf8b9c0b7becf84cfd70454a47f836d9fcf66ffb67d28713b730f6ae4b7ebc46a', '821fd615-1b6b-5c16-829d-2daf1a7577f0', '01a21a33-20f0-7606-ba27-81b0b83900fc', '7cb883f1-e531-5527-8f8a-b17c6dfe9d87', 'system_account', 'revoked', '2026-11-26 23:31:43.105593+00', '2027-02-24 23:31:43.104292+00', '2026-11-26 23:31:43.235391+00', '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":23}}'),
	('\x0bb1ecad97c8be955e4963e8dcfeae7c2943c2270ed50162d8129684e1f14d95', '310c802f-6467-5ed5-8773-5ebf9529633c', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-59c7-70cc-92ae-a50d479a26a1', 'system_account', 'of an account that is deleted', '2026-11-26 23:31:43.307803+00', '2027-02-24 23:31:43.303016+00', '2026-11-26 23:31:43.366118+00', '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":24}}'),
	('\xbd5b20e9b46aadefcd3de022bc9b8d926ed099cd226a2bb742c6b25f64cdb950', '01a21a33-5d03-77c0-953b-728943ed5c86', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'user', 'expired', '2026-11-26 23:31:43.492978+00', '2026-11-26 23:31:46+00', NULL, '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":26}}'),
	('\x4711405f6cf88b046f898577689367bfcbd121cfd6226f0ce560b1c7ed7328c5', '01a21a33-5d49-765d-886a-e824dea68e16', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'user', 'made in eu: ключ', '2026-11-26 23:31:43.574935+00', '2027-02-24 23:31:43.561553+00', NULL, '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":26}}'),
	('\x329fe24cc6f034ca57695c9ab791679d38b2c1a5166aae1b0ba6bfb95a87069c', '01a21a33-5dac-772f-b4fe-da3da6c24b48', '01a21a33-20f0-7606-ba27-81b0b83900fc', '01a21a33-20f0-7606-ba27-81b15ac2cb87', 'user', 'revoked', '2026-11-26 23:31:43.661118+00', '2027-02-24 23:31:43.660139+00', '2026-11-26 23:31:43.723637+00', '{"authz.eu":{"epoch":1,"seq":10},"authz.us":{"epoch":1,"seq":26}}'),
	('\x68497d5e456b4918e31be5019387d00bb626f059d8f699dd9fde38bc745966be', '01a21a33-5f9c-732d-af68-a8edfdac9492', '01a21a33-5f98-772a-9329-7216c1f70807', '01a21a33-5f98-772a-9329-7217b63ae2d1', 'user', 'bootstrap', '2026-11-26 23:31:44.15455+00', '2027-11-26 23:31:44.156714+00', NULL, '{}');


--
-- Data for Name: person; Type: TABLE DATA; Schema: resident; Owner: -
--

INSERT INTO resident.person VALUES
	('01a21a33-20f0-7606-ba27-81b15ac2cb87', '01a21a33-20f0-7606-ba27-81b0b83900fc', 'owner@shop.example', '', true, '2026-11-26 23:31:28.115891+00', '2026-11-26 23:31:28.115891+00');


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
-- Name: signing_secret signing_secret_pkey; Type: CONSTRAINT; Schema: regional; Owner: -
--

ALTER TABLE ONLY regional.signing_secret
    ADD CONSTRAINT signing_secret_pkey PRIMARY KEY (id);


--
-- Name: organization organization_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.organization
    ADD CONSTRAINT organization_pkey PRIMARY KEY (id);


--
-- Name: removed removed_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.removed
    ADD CONSTRAINT removed_pkey PRIMARY KEY (id);


--
-- Name: revoked_token revoked_token_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.revoked_token
    ADD CONSTRAINT revoked_token_pkey PRIMARY KEY (id);


--
-- Name: signing_key signing_key_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.signing_key
    ADD CONSTRAINT signing_key_pkey PRIMARY KEY (id);


--
-- Name: system_account system_account_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.system_account
    ADD CONSTRAINT system_account_pkey PRIMARY KEY (id);


--
-- Name: token token_pkey; Type: CONSTRAINT; Schema: replicated; Owner: -
--

ALTER TABLE ONLY replicated.token
    ADD CONSTRAINT token_pkey PRIMARY KEY (sha256);


--
-- Name: person person_email; Type: CONSTRAINT; Schema: resident; Owner: -
--

ALTER TABLE ONLY resident.person
    ADD CONSTRAINT person_email UNIQUE (organization_id, email);


--
-- Name: person person_pkey; Type: CONSTRAINT; Schema: resident; Owner: -
--

ALTER TABLE ONLY resident.person
    ADD CONSTRAINT person_pkey PRIMARY KEY (id);


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
-- Name: organization_by_name; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX organization_by_name ON replicated.organization USING btree (name);


--
-- Name: removed_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX removed_by_organization ON replicated.removed USING btree (organization_id);


--
-- Name: revoked_token_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX revoked_token_by_organization ON replicated.revoked_token USING btree (organization_id);


--
-- Name: system_account_by_name; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX system_account_by_name ON replicated.system_account USING btree (organization_id, name);


--
-- Name: system_account_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX system_account_by_organization ON replicated.system_account USING btree (organization_id, id);


--
-- Name: token_by_id; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX token_by_id ON replicated.token USING btree (id);


--
-- Name: token_by_organization; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX token_by_organization ON replicated.token USING btree (organization_id);


--
-- Name: token_by_principal; Type: INDEX; Schema: replicated; Owner: -
--

CREATE INDEX token_by_principal ON replicated.token USING btree (principal_id, id);


--
-- PostgreSQL database dump complete
--


