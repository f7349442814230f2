"""Documents name only what is there (`./dev lint`).

Every path in backticks and every relative link in the documents at the top of the repository has to exist. A path is
recognized by a slash and a first part that is a folder of this repository.
"""

import re
import subprocess
import sys
from pathlib import Path

DOCUMENTS = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "GLOSSARY.md", "loadtests/README.md"]


def tracked():
    """Every tracked file, and every folder that holds one."""
    listed = subprocess.run(["git", "ls-files"], check=True, stdout=subprocess.PIPE, text=True).stdout
    files = {Path(line) for line in listed.splitlines()}
    return files | {parent for file in files for parent in file.parents}


def named(text):
    for path in re.findall(r"`([A-Za-z0-9_./-]+/[A-Za-z0-9_./-]*)`", text):
        yield path
    for link in re.findall(r"\]\(([^)#\s]+)\)", text):
        if "://" not in link:
            yield link


def problems():
    known = tracked()
    tops = {path.parts[0] for path in known if path.parts}
    for document in DOCUMENTS:
        folder = Path(document).parent
        for path in sorted(set(named(Path(document).read_text()))):
            if path.split("/")[0] not in tops:
                continue
            if Path(path.rstrip("/")) not in known and folder / path.rstrip("/") not in known:
                yield f"{document} names {path}, which is not there"


def main():
    found = list(problems())
    for problem in found:
        print(f"documents: {problem}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
