#!/usr/bin/env python3
"""Fills a fresh two-region deployment with every kind of thing that exists and dumps its databases for the upgrade tests.

    ./dev up --detach --regions us,eu
    migrations/dumps/make.py 0.2.0
    ./dev down

Run it with the binaries of the release that the dump is named after. Everything is made through the public API, the command
line of identity and the network between the regions. See README.md beside this file for what it leaves and who reads it.

Needs Python's standard library, openssl and pg_dump.
"""

import argparse
import datetime
import json
import pathlib
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
SERVICES = ("identity", "authz", "config")
ENTITIES = "/v2/control-planes/{}/core-entities/"
# Seconds that a request is repeated while it is answered 503.
PATIENCE = 30
# What is asked of authz for every token.
QUESTIONS = ["cp:Retrieve", "cp:Create", "route:Read", "route:Write", "node:Enrol", "iam:ReadTeams", "iam:ManageTeams"]


class Region:
    def __init__(self, status):
        self.name = status["region"]
        self.status = status
        self.base = status["api"]
        self.tls = ssl.create_default_context(cafile=status["ca_file"])


class Caller:
    """A token, and what its answers said about the state that the next request must see."""

    def __init__(self, token):
        self.token = token
        self.consistency = None

    def ask(self, region, method, path, body=None, expect=(200, 201, 204), key=None, consistent=True):
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if self.consistency and consistent:
            headers["Landbridge-Consistency"] = self.consistency
        if key:
            headers["Idempotency-Key"] = key
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        expect = (expect,) if isinstance(expect, int) else expect
        deadline = time.monotonic() + PATIENCE
        while True:
            request = urllib.request.Request(region.base + urllib.parse.quote(path, safe="/?=&"), data, headers, method=method)
            try:
                answer = urllib.request.urlopen(request, context=region.tls)
            except urllib.error.HTTPError as error:
                answer = error
            text = answer.read()
            if answer.status == 503 and 503 not in expect and time.monotonic() < deadline:
                time.sleep(0.2)
                continue
            break
        if answer.status not in expect:
            raise SystemExit(f"{method} {region.name} {path}: {answer.status} {text.decode()}")
        self.consistency = answer.headers.get("Landbridge-Consistency") or self.consistency
        return json.loads(text) if text else None

    def post(self, region, path, body, **more):
        return self.ask(region, "POST", path, body, **more)

    def delete(self, region, path, **more):
        return self.ask(region, "DELETE", path, **more)


class Testbed:
    """The programs of a release, and the folder of the deployment that they run."""

    def __init__(self, binaries, folder):
        self.binaries, self.folder = binaries, folder

    def __call__(self, *arguments):
        return run(self.binaries / "landbridge-testbed", *arguments, "--folder", self.folder)

    def bootstrap(self, region, organization, email):
        settings = region.status["services"]["identity"]["settings"]
        arguments = ["bootstrap", "--config", settings, "--json", "--organization", organization]
        arguments += ["--owner-email", email, "--home-region", region.name]
        # 0.1.0 had a program for each service.
        alone = self.binaries / "identity"
        program = [alone] if alone.exists() else [self.binaries / "landbridge", "identity"]
        return json.loads(run(*program, *arguments))


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def certificate_request():
    """A new key's certificate request, as a node sends it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-subj", "/CN=node", "-keyout", folder + "/key"]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def until(what, holds):
    deadline = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > deadline:
            raise SystemExit(f"in {PATIENCE} s it did not come about: {what}")
        time.sleep(0.2)


def fill(us, eu, owner, status, testbed):
    """Makes everything; returns what a test cannot find in the databases: texts of tokens and keys."""
    known = {"tokens": [], "keys": []}

    me, organization = status["owner_id"], status["organization"]["id"]

    def token(principal, text, state="active", organization=organization):
        kind = "personal" if text.startswith("lbp_") else "system"
        whose = {"principal_id": principal, "organization_id": organization}
        known["tokens"].append({"kind": kind, "text": text, "state": state, **whose})
        return Caller(text)

    token(me, owner.token)

    # --- identity: system accounts and tokens, made in both regions ---------------------------------------------------
    def account(name, region=us, **more):
        return owner.post(region, "/v3/system-accounts", {"name": name, "description": f"für {name} 🤖"}, **more)["id"]

    def account_token(account_id, name, region=us, **more):
        path = f"/v3/system-accounts/{account_id}/access-tokens"
        return owner.post(region, path, {"name": name, **more}, key=str(uuid.uuid4()))

    deployer, auditor = account("deployer", key="upgrade-account"), account("auditór-ö")
    assert account("deployer", key="upgrade-account") == deployer, "a repeated key has one effect"
    delegate, gone = account("delegate"), account("gone", region=eu)
    owner.ask(us, "PATCH", f"/v3/system-accounts/{auditor}", {"name": "auditor", "description": "reads, nothing else"})
    deploys = token(deployer, account_token(deployer, "pipeline")["token"])
    audits = token(auditor, account_token(auditor, "of eu", region=eu)["token"])
    delegates = token(delegate, account_token(delegate, "delegate")["token"])
    revoked = account_token(deployer, "revoked", region=eu)
    token(deployer, revoked["token"], "revoked")
    owner.delete(us, f"/v3/system-accounts/{deployer}/access-tokens/{revoked['id']}")
    token(gone, account_token(gone, "of an account that is deleted")["token"], "ended")
    owner.delete(us, f"/v3/system-accounts/{gone}")
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=3)
    expiring = {"name": "expired", "expires_at": soon.strftime("%Y-%m-%dT%H:%M:%SZ")}
    token(me, owner.post(us, "/v3/users/me/access-tokens", expiring)["token"], "expired")
    spare = owner.post(eu, "/v3/users/me/access-tokens", {"name": "made in eu: ключ"})
    token(me, spare["token"])
    dropped = owner.post(us, "/v3/users/me/access-tokens", {"name": "revoked"})
    token(me, dropped["token"], "revoked")
    owner.delete(eu, f"/v3/users/me/access-tokens/{dropped['id']}")
    other = testbed.bootstrap(eu, "workshop", "ada@workshop.example")
    token(other["owner_id"], other["token"], organization=other["organization_id"])
    until("us knows the organization of eu", lambda: other_is_known(us, other["token"]))

    # --- authz: teams, memberships, assignments, revocations -----------------------------------------------------------
    def assign(caller, region, to, role, entity_id, entity_region, kind="Control Planes", **more):
        body = {"role_name": role, "entity_id": entity_id, "entity_type_name": kind, "entity_region": entity_region}
        return caller.post(region, f"/v3/{to}/assigned-roles", body, **more)

    shop = status["regions"][0]["control_planes"][0]["id"]
    team = owner.post(us, "/v3/teams", {"name": "Zahlungen & Versand", "description": "支払い"}, key="upgrade-team")["id"]
    spare_team = owner.post(eu, "/v3/teams", {"name": "to be deleted"})["id"]
    owner.ask(us, "PATCH", f"/v3/teams/{team}", {"description": "支払いと配送"})
    owner.post(us, f"/v3/teams/{team}/system-accounts", {"account_id": deployer})
    owner.post(eu, f"/v3/teams/{team}/system-accounts", {"account_id": auditor})
    owner.post(us, f"/v3/teams/{team}/users", {"id": me})
    owner.delete(eu, f"/v3/teams/{team}/users/{me}")
    owner.post(us, f"/v3/teams/{spare_team}/users", {"id": me})
    assign(owner, eu, f"teams/{spare_team}", "Viewer", "*", "*")
    owner.delete(us, f"/v3/teams/{spare_team}")
    assign(owner, us, f"teams/{team}", "Viewer", "*", "eu")
    assign(owner, us, f"system-accounts/{deployer}", "Deployer", shop, "us", key="upgrade-assignment")
    assign(owner, eu, f"system-accounts/{auditor}", "Viewer", "*", "*")
    removed = assign(owner, us, f"system-accounts/{auditor}", "Admin", "*", "us")["id"]
    owner.delete(eu, f"/v3/system-accounts/{auditor}/assigned-roles/{removed}")
    assign(owner, us, f"users/{me}", "Creator", "*", "*")
    delegated = assign(owner, us, f"system-accounts/{delegate}", "Admin", "*", "*", kind="Identity")["id"]
    assign(owner, us, f"system-accounts/{delegate}", "Admin", "*", "*")
    delegates.consistency = owner.consistency
    delegates.ask(eu, "GET", "/v3/teams")

    # Concurrent: us takes away what delegate's grant in eu rests on, and eu a membership that us gives again.
    testbed("wan", "cut", "us", "eu")
    delegates.consistency = owner.consistency = None
    owner.delete(us, f"/v3/system-accounts/{delegate}/assigned-roles/{delegated}", consistent=False)
    assign(delegates, eu, f"system-accounts/{auditor}", "Admin", "*", "eu", consistent=False)
    # A caller that has seen nothing of what us wrote.
    over_there = Caller(owner.token)
    over_there.delete(eu, f"/v3/teams/{team}/system-accounts/{auditor}", consistent=False)
    owner.delete(us, f"/v3/teams/{team}/system-accounts/{auditor}", consistent=False)
    owner.post(us, f"/v3/teams/{team}/system-accounts", {"account_id": auditor}, consistent=False)
    testbed("wan", "heal", "us", "eu")

    # --- config: control planes, entities of every kind, revocations, enrolment ----------------------------------------
    for region in (us, eu):
        fill_control_planes(region, owner, known)
    time.sleep(4)  # The expiring token has expired, and sweeps and acknowledgements have run.
    for region in (us, eu):
        until("every region has everything", lambda: nothing_is_behind(region, owner))

    # --- what the services answer now: the test compares ---------------------------------------------------------------
    known["at"] = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    known["organization"], known["other_organization"] = status["organization"]["id"], other["organization_id"]
    known["control_plane"] = shop
    about = [{"control_plane_id": shop, "region": "us"}, {"region": "eu"}, {}]
    checks = [{"action": action, "on": on} for action in QUESTIONS for on in about if applies(action, on)]
    known["decisions"] = []
    for entry in known["tokens"]:
        caller = Caller(entry["text"])
        if entry["state"] == "active":
            answers = caller.post(us, "/v1/authz/check", {"checks": checks})["answers"]
            told = [{**check, "allowed": answer["allowed"]} for check, answer in zip(checks, answers)]
            known["decisions"].append({"token": entry["text"], "checks": told})
        else:
            caller.post(us, "/v1/authz/check", {"checks": checks}, expect=401)
    known["teams"] = owner.ask(us, "GET", "/v3/teams")["data"]
    return known


def applies(action, on):
    """Actions on identity are about the organization, others about control planes; nothing is created in a control plane."""
    if not on:
        return action.startswith("iam:")
    return not action.startswith("iam:") and (action != "cp:Create" or "control_plane_id" not in on) \
        and (action == "cp:Create" or "control_plane_id" in on)


def other_is_known(us, text):
    try:
        Caller(text).ask(us, "GET", "/v3/organizations/me", expect=(200,))
        return True
    except SystemExit:
        return False


def nothing_is_behind(region, owner):
    regions = owner.ask(region, "GET", "/v1/regions", consistent=False)["data"]
    return all(not one["behind"] and not one["fenced"] and one["reachable"] for one in regions)


def fill_control_planes(region, owner, known):
    body = {"name": f"upgrade-{region.name}", "description": "Ünïcode ✓", "labels": {"env": "tëst", "team": "支払い"}}
    plane = owner.post(region, "/v2/control-planes", body, key="upgrade-plane")["id"]
    spare = owner.post(region, "/v2/control-planes", {"name": "to be deleted"})["id"]
    entities = ENTITIES.format(plane)
    owner.post(region, ENTITIES.format(spare) + "services", {"name": "gone", "url": "http://gone.example"})
    owner.delete(region, f"/v2/control-planes/{spare}")
    owner.ask(region, "PATCH", f"/v2/control-planes/{plane}", {"description": "for the upgrade tests ✓"})

    def put(path, body, **more):
        return owner.ask(region, "PUT", entities + path, body, **more)

    def make(path, body, **more):
        return owner.post(region, entities + path, body, **more)

    service = put("services/bücher.v1", {
        "url": "https://api.example.com:8443/v1", "retries": 2, "connect_timeout": 1500, "write_timeout": 2500,
        "read_timeout": 3500, "tls_verify": False, "tags": ["öffentlich", "web"],
    })
    make("services", {"name": "disabled", "host": "2001:db8::1", "port": 8080, "enabled": False}, key="upgrade-service")
    route = make("services/bücher.v1/routes", {
        "name": "bücher", "paths": ["/books", "~/books/(?<isbn>[0-9-]+)$"], "hosts": ["*.example.com", "books.*"],
        "methods": ["GET", "POST"], "protocols": ["https"], "https_redirect_status_code": 301, "strip_path": False,
        "preserve_host": True, "regex_priority": 7, "tags": ["öffentlich"],
    })
    make("routes", {"name": "teapot", "paths": ["/teapot"]})
    make("routes/teapot/plugins", {
        "name": "request-termination", "instance_name": "kurz-und-stoutt",
        "config": {"status_code": 418, "body": "☕", "content_type": "text/plain; charset=utf-8"},
    })
    consumer = put("consumers/日本語", {"custom_id": "kundin-4711", "tags": ["vip"]})
    make("consumers", {"custom_id": "only-a-custom-id"})
    make("services/bücher.v1/plugins", {
        "name": "key-auth", "config": {"key_names": ["apikey", "x-key"], "key_in_query": False, "realm": "books"},
    })
    make("plugins", {"name": "request-termination", "enabled": False, "config": {"message": "closed"}})
    make("consumers/日本語/plugins", {
        "name": "request-termination", "protocols": ["http", "https"], "config": {"status_code": 403},
    })
    make("plugins", {
        "name": "request-termination", "service": {"id": service["id"]}, "route": {"id": route["id"]},
        "consumer": {"id": consumer["id"]}, "config": {"message": "this one, here, no"},
    })
    kept = make("consumers/日本語/key-auth", {"key": f"upgrade-{region.name}-schlüssel".replace("ü", "ue"), "tags": ["a"]})
    made = make("consumers/日本語/key-auth", {})
    revoked = make("key-auths", {"key": f"upgrade-{region.name}-revoked", "consumer": {"id": consumer["id"]}})
    known["keys"] += [{"region": region.name, "id": kept["id"], "key": kept["key"]},
                      {"region": region.name, "id": made["id"], "key": made["key"]}]
    owner.delete(region, entities + f"key-auths/{revoked['id']}")
    put("consumers/leaver", {"tags": []})
    make("consumers/leaver/key-auth", {"key": f"upgrade-{region.name}-of-a-leaver"})
    owner.delete(region, entities + "consumers/leaver")
    put("services/to-be-deleted", {"host": "gone.example"})
    owner.delete(region, entities + "services/to-be-deleted")

    tokens = f"/v2/control-planes/{plane}/enrolment-tokens"
    many = owner.post(region, tokens, {"name": "viele", "uses": 10, "ttl_seconds": 604800}, key="upgrade-enrolment")
    deleted = owner.post(region, tokens, {"name": "deleted"})
    owner.delete(region, f"{tokens}/{deleted['id']}")
    nodes = [str(uuid.uuid4()), str(uuid.uuid4())]
    for node in nodes:
        body = {"token": many["token"], "node_id": node, "hostname": "host-ä", "csr_pem": certificate_request()}
        Caller(None).post(region, "/v1/nodes/enrol", body)
    owner.delete(region, f"/v2/control-planes/{plane}/nodes/{nodes[1]}")
    known.setdefault("control_planes", {})[region.name] = plane
    counts = known.setdefault("entities", {}).setdefault(region.name, {})
    for kind in ("services", "routes", "consumers", "key-auths", "plugins"):
        counts[kind] = owner.ask(region, "GET", entities + kind + "?size=1000")["data"]


def dump(region, service):
    """The database as SQL that any client can run: inserts, and none of psql's own commands."""
    postgres = region.status["postgres"]
    host, port = postgres["address"].split(":")
    connection = {
        "host": host, "port": port, "dbname": service, "user": "operator", "sslmode": "verify-full",
        "sslrootcert": postgres["internal_ca"], "sslcert": postgres["operator_certificate"],
        "sslkey": postgres["operator_key"],
    }
    text = " ".join(f"{name}={value}" for name, value in connection.items())
    command = ["pg_dump", text, "--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=50"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return "".join(line for line in output.splitlines(True) if not line.startswith("\\"))


def main():
    parser = argparse.ArgumentParser(description="Fills a fresh deployment of us and eu, and dumps its databases.")
    parser.add_argument("release", help="as in 0.1.0")
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "target/debug", help="of that release")
    parser.add_argument("--folder", default=ROOT / ".dev/run", help="the deployment's")
    arguments = parser.parse_args()
    testbed = Testbed(arguments.binaries, arguments.folder)
    status = json.loads(testbed("status", "--json"))
    us, eu = (Region(region) for region in status["regions"])
    known = fill(us, eu, Caller(status["token"]), status, testbed)
    known["seal_keys"] = {region.name: seal_keys(region) for region in (us, eu)}
    folder = HERE / arguments.release
    folder.mkdir(exist_ok=True)
    for region in (us, eu):
        for service in SERVICES:
            (folder / f"{service}.{region.name}.sql").write_text(dump(region, service))
    (folder / "known.json").write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def seal_keys(region):
    settings = pathlib.Path(region.status["folder"]) / "settings"
    return {service: (settings / f"{service}.secret").read_text().strip() for service in ("identity", "config")}


if __name__ == "__main__":
    main()
