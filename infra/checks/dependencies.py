"""Rules about who depends on whom, checked on what cargo resolves (`./dev lint`).

* One TLS stack and one HTTP stack: some crates are banned, some may be there in one version only.
* Dependencies point one way: services -> libs -> proto. A library never depends on a service, nor does a service: only
  the binary that holds all of them does. Of the libraries few know sqlx; the data plane reaches no SQL at all. Tests may
  reach further.
* What exists for tests is never part of what is built for anything else.
"""

import json
import subprocess
import sys
from collections import defaultdict

BANNED = {"ring", "openssl-sys", "native-tls"}
ONE_VERSION = {"axum", "aws-lc-rs", "hyper", "prost", "reqwest", "rustls", "tonic"}
# The only libraries that may use sqlx themselves.
SQL_LIBRARIES = {"audit-log", "landbridge-postgres", "mutation", "oplog", "test-database"}
# Libraries that all but the load tests may only have as a dev-dependency.
TEST_LIBRARIES = {"fuzzing", "local-redis", "pebble", "test-database"}
# It measures, and starts what tests start.
LOAD_TESTS = "loadtests"
# What the data plane must not reach, however indirectly.
BANNED_IN_DATA_PLANE = {"sqlx", "sqlx-core", "cedar-policy"}
# The one member of services/ that depends on the others: the binary with a command for each of them.
ALL_SERVICES = "landbridge"
# Which layers a member of a layer must not depend on.
WRONG_WAY = {"services": {"services"}, "libs": {"services"}, "proto": {"services", "libs"}}


def cargo(*arguments):
    command = ["cargo", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def linked(*selection):
    """Versions by name of every crate that ends up in what is built, tests aside."""
    versions = defaultdict(set)
    tree = cargo("tree", "--locked", "--edges", "normal,build", "--prefix", "none", "--format", "{p}", *selection)
    for line in tree.splitlines():
        if line.strip():
            name, version = line.split()[:2]
            versions[name].add(version)
    return versions


def check_stacks():
    versions = linked("--workspace")
    for name in sorted(BANNED & versions.keys()):
        yield f"{name} is in the dependency tree: see `cargo tree -i {name}`"
    for name in sorted(ONE_VERSION & versions.keys()):
        if len(versions[name]) > 1:
            yield f"{name} is there in several versions: {', '.join(sorted(versions[name]))}"
    for name in sorted(BANNED_IN_DATA_PLANE & linked("--package", "dataplane").keys()):
        yield f"the data plane reaches {name}: see `cargo tree -p dataplane -i {name}`"


def check_layers():
    workspace = json.loads(cargo("metadata", "--locked", "--no-deps", "--format-version", "1"))
    root = workspace["workspace_root"] + "/"
    layers = {
        package["name"]: package["manifest_path"].removeprefix(root).split("/")[0]
        for package in workspace["packages"]
    }
    for package in workspace["packages"]:
        name = package["name"]
        for dependency in package["dependencies"]:
            target = layers.get(dependency["name"])
            if dependency["kind"] == "dev":
                continue
            is_binary = name == ALL_SERVICES and target == "services"
            if target in WRONG_WAY.get(layers[name], ()) and not is_binary:
                yield f"{name} ({layers[name]}) depends on {dependency['name']} ({target})"
            if dependency["name"] == "sqlx" and layers[name] == "libs" and name not in SQL_LIBRARIES:
                yield f"{name} depends on sqlx: only the services and {', '.join(sorted(SQL_LIBRARIES))} do"
            if dependency["name"] in TEST_LIBRARIES and name != LOAD_TESTS:
                yield f"{name} depends on {dependency['name']}, which is for tests only"


def main():
    problems = [*check_stacks(), *check_layers()]
    for problem in problems:
        print(f"dependencies: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
