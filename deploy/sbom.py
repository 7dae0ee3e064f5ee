#!/usr/bin/env python3
"""What the programs are made of, as an SPDX 2.3 document on standard output: sbom.py BUILD VERSION PROGRAM...

It asks the build: which headers and sources from outside of this tree were compiled into the programs (ninja's record of
dependencies), and which shared libraries they load; and dpkg, whose files those are.
"""

import datetime
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys


def output_of(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, **options).stdout


def compiled_in(build):
    """Files from outside of the tree that were compiled."""
    found = set()
    for line in output_of("ninja", "-C", build, "-t", "deps").splitlines():
        path = line.strip()
        if line.startswith("    ") and path.startswith("/usr/"):
            found.add(os.path.normpath(path))
    return found


def loaded(program):
    """The shared libraries that a program loads, those of its libraries among them."""
    return set(re.findall(r"=> (/\S+)", output_of("ldd", program)))


def packages_of(paths):
    """Debian packages that have these files, as name:architecture. Some names of a file lead through /lib -> /usr/lib."""
    names = set()
    for path in paths:
        real = os.path.realpath(path)
        names |= {path, real, real.removeprefix("/usr")}
    done = subprocess.run(["dpkg-query", "--search", *sorted(names)], capture_output=True, text=True, check=False)
    found = set()
    for line in done.stdout.splitlines():
        owners, _, _ = line.partition(": /")
        found.update(owner.strip() for owner in owners.split(",") if not owner.startswith("diversion"))
    return found


def facts_of(packages):
    """By package: version, architecture, source package and its version."""
    shown = "${binary:Package} ${Version} ${Architecture} ${source:Package} ${source:Version}\n"
    return {line.split()[0]: line.split()[1:]
            for line in output_of("dpkg-query", "--show", f"--showformat={shown}", *sorted(packages)).splitlines()}


def document(version, linked, contained):
    """`linked` and `contained`: facts of the packages that are loaded, and of those whose code is in the programs."""
    def entry(name, facts):
        package, architecture = name.partition(":")[0], facts[1]
        return {"name": package, "SPDXID": f"SPDXRef-{re.sub(r'[^a-zA-Z0-9.-]', '-', package)}", "versionInfo": facts[0],
                "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
                "sourceInfo": f"built from the source package {facts[2]} {facts[3]}",
                "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION",
                "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                  "referenceLocator": f"pkg:deb/debian/{package}@{facts[0]}?arch={architecture}"}]}
    ours = {"name": "comity", "SPDXID": "SPDXRef-Package-comity", "versionInfo": version,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "Apache-2.0",
            "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION", "primaryPackagePurpose": "APPLICATION"}
    packages, relations = [ours], [("SPDXRef-DOCUMENT", "DESCRIBES", ours["SPDXID"])]
    for kind, group in (("DYNAMIC_LINK", linked), ("STATIC_LINK", contained)):
        for name, facts in sorted(group.items()):
            packages.append(entry(name, facts))
            relations.append((ours["SPDXID"], kind, packages[-1]["SPDXID"]))
    made = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc)
    content = hashlib.sha256(json.dumps(packages, sort_keys=True).encode()).hexdigest()[:32]
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"comity-{version}",
            "documentNamespace": f"https://spdx.org/spdxdocs/comity-{version}-{content}",
            "creationInfo": {"created": made.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: comity-sbom"]},
            "packages": packages,
            "relationships": [{"spdxElementId": a, "relationshipType": kind, "relatedSpdxElement": b}
                              for a, kind, b in relations]}


def main(build, version, *programs):
    build = pathlib.Path(build)
    libraries = set().union(*(loaded(build / "bin" / program) for program in programs))
    linked = facts_of(packages_of(libraries))
    sources = {facts[2] for facts in linked.values()}
    # Headers of a library that is loaded are that library; those of others are code of ours by now.
    contained = {name: facts for name, facts in facts_of(packages_of(compiled_in(build))).items()
                 if facts[2] not in sources}
    json.dump(document(version, linked, contained), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit("usage: sbom.py BUILD VERSION PROGRAM...")
    main(*sys.argv[1:])
