"""Dashboards and alerts name only series that the code has, with labels that they have (`./dev lint`).

A series is made where a macro of the facade names it: `counter!("landbridge_x", "label" => …)`, or with a constant for the name. What a
dashboard or rule says in vain stays empty for ever, and nobody notices.
"""

import json
import re
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
MACRO = re.compile(r"\b(counter|gauge|histogram)!\(\s*((?:\w+::)*\w+|\"\w+\")\s*((?:,\s*\"\w+\"\s*=>[^,()]*(?:\([^()]*\)[^,()]*)*)*),?\s*\)")
CONSTANT = re.compile(r"const (\w+): &str = \"(landbridge_\w+)\";")
LABEL = re.compile(r"\"(\w+)\"\s*=>")
NAMED = re.compile(r"\b(landbridge_\w+)(?:\{([^{}]*)\})?")
MATCHED = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
# Labels that Prometheus adds itself.
SCRAPED = {"instance", "job", "le"}
SUFFIXES = {"counter": [""], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}


def made():
    """Labels by series, of all series in the code."""
    labels = defaultdict(set)
    for file in [*ROOT.glob("libs/**/src/**/*.rs"), *ROOT.glob("services/**/src/**/*.rs")]:
        text = file.read_text()
        siblings = "".join(other.read_text() for other in file.parent.glob("*.rs"))
        names = dict(CONSTANT.findall(siblings)) | dict(CONSTANT.findall(text))
        for kind, name, given in MACRO.findall(text):
            series = name.strip('"') if name.startswith('"') else names.get(name.split("::")[-1])
            # A constant of a histogram that is passed on by a variable is found by its text.
            for suffix in SUFFIXES[kind] if series else []:
                labels[series + suffix] |= set(LABEL.findall(given))
        for name in set(CONSTANT.findall(text)):
            if name[1].endswith("_seconds"):
                for suffix in SUFFIXES["histogram"]:
                    labels.setdefault(name[1] + suffix, set())
    return labels


def expressions():
    """Where, and what is asked there."""
    for file in ROOT.glob("infra/grafana/*.json"):
        dashboard = json.loads(file.read_text())
        for panel in dashboard["panels"]:
            for target in panel["targets"]:
                yield f"{file.name}: {panel['title']}", target["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{file.name}: ${variable['name']}", variable["query"]
    for file in ROOT.glob("infra/prometheus/*.yaml"):
        for number, block in enumerate(re.split(r"^\s*- (?=alert|record)", file.read_text(), flags=re.M)[1:]):
            expression = re.search(r"expr: (?:\|\n)?(.*?)(?=\n\s*(?:for|labels|annotations):|\Z)", block, flags=re.S)
            if not expression:
                sys.exit(f"{file.name}: rule {number} has no expression")
            yield f"{file.name}: {block.splitlines()[0]}", expression.group(1)


def main():
    labels, faults, asked = made(), [], 0
    for where, expression in expressions():
        series = NAMED.findall(expression)
        known = set(SCRAPED)
        for name, matchers in series:
            asked += 1
            if name not in labels:
                faults.append(f"{where}: there is no series {name}")
            known |= labels.get(name, set())
            wrong = set(MATCHED.findall(matchers)) - labels.get(name, set()) - SCRAPED
            faults += [f"{where}: {name} has no label {label}" for label in sorted(wrong)]
        for group in GROUPED.findall(expression):
            wrong = {label.strip() for label in group.split(",")} - known
            faults += [f"{where}: none of its series has the label {label}" for label in sorted(wrong)] if series else []
    if asked < 20:
        faults.append(f"only {asked} series were found in infra/: is this check broken?")
    sys.exit("\n".join(faults) or 0)


if __name__ == "__main__":
    main()
