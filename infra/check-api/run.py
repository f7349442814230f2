"""Sends what the OpenAPI documents allow, and what they do not, to every endpoint of a running region: ./dev check-api.

Usage: run.py STATUS OPERATOR_TOKEN SECONDS [SEED]

STATUS is the status.json of a deployment (`landbridge-testbed up`). The documents of identity, authz, config and the edge,
which has all of them merged, are gone through by schemathesis: the examples, what lies at the borders of each schema, and
random input, SECONDS for each document at most. Fails if an answer is a fault (checks.py), has a status that the document
does not name, or a content type that it does not name.
"""

import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CHECKS = "no_fault,status_code_conformance,content_type_conformance"
OPERATOR = "^/v1/operator/"


def documents(region):
    """The base URL of each document, by name."""
    services = {name: service["api"] for name, service in region["services"].items()}
    return {**services, "edge": region["api"]}


def check(name, base, ca, token, only, seconds, seed):
    """Goes through one document with one token; answers whether all answers were right."""
    print(f"==> {name} ({'operator' if only == '--include-path-regex' else 'owner'})", flush=True)
    command = [
        str(pathlib.Path(sys.executable).parent / "st"), "run", f"{base}/openapi.json", "--url", base,
        "--tls-verify", ca, "--header", f"Authorization: Bearer {token}", only, OPERATOR,
        "--checks", CHECKS, "--phases", "examples,coverage,fuzzing", "--max-time", str(seconds),
        "--max-examples", "20", "--request-timeout", "20", "--suppress-health-check", "all",
        "--continue-on-failure", "--generation-database", "none",
        "--generation-with-security-parameters", "false", "--seed", str(seed), "--warnings", "off", "--no-color",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": str(HERE / "checks.py")}
    return subprocess.run(command, cwd=HERE, env=environment, check=False).returncode == 0


def main():
    status, operator, seconds = json.loads(pathlib.Path(sys.argv[1]).read_text()), sys.argv[2], int(sys.argv[3])
    seed = int(sys.argv[4]) if len(sys.argv) > 4 else int.from_bytes(os.urandom(4))
    region = status["regions"][0]
    owner = status["token"]
    wrong = []
    for name, base in documents(region).items():
        if not check(name, base, region["ca_file"], owner, "--exclude-path-regex", seconds, seed):
            wrong.append(name)
        if name == "identity" and not check(
            name, base, region["ca_file"], operator, "--include-path-regex", seconds, seed
        ):
            wrong.append(f"{name} (operator)")
    if wrong:
        sys.exit(f"seed {seed}: answers of {', '.join(wrong)} are not as documented")
    print(f"every answer is as documented (seed {seed})")


if __name__ == "__main__":
    main()
