#!/usr/bin/env python3
"""The Debian package, as its operator meets it: built, judged by lintian, and installed, run, reloaded, hung, upgraded,
removed and purged under a real systemd.

Nothing is installed here, but in a container (container.py); where the kernel gives none the test is skipped. After it a
new user goes by README.md from nothing to a server that federates (new_user.py).
"""

import gzip
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import container
import new_user

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]

HELD = [
    "usr/bin/comityd", "usr/bin/comityctl", "lib/systemd/system/comityd.service", "usr/lib/sysusers.d/comity.conf",
    "usr/lib/tmpfiles.d/comity.conf", "usr/share/man/man8/comityd.8.gz", "usr/share/man/man1/comityctl.1.gz",
    "usr/share/man/man5/comity.toml.5.gz", "usr/share/man/man7/comity-causes.7.gz",
    "usr/share/bash-completion/completions/comityctl", "usr/share/bash-completion/completions/comityd",
    "usr/share/zsh/vendor-completions/_comityctl", "usr/share/fish/vendor_completions.d/comityctl.fish",
    "usr/share/doc/comity/copyright", "usr/share/doc/comity/examples/comity.toml",
    "usr/share/doc/comity/examples/prometheus/comity.rules.yml",
    "usr/share/doc/comity/examples/grafana/dashboards/overview.json"]

def build(into):
    done = subprocess.run([ROOT / "deploy" / "package", into], check=False)
    if done.returncode != 0:
        sys.exit("deploy/package failed")
    packages = [path for path in into.glob("comity_*.deb")]
    if len(packages) != 1:
        sys.exit(f"deploy/package made {packages}")
    return packages[0]


def judge(into):
    """Lintian has nothing to say of the package and its debugging symbols."""
    as_root = ["--allow-root"] if os.getuid() == 0 else []
    changes, = into.glob("*.changes")
    done = subprocess.run(["lintian", *as_root, "--fail-on", "error,warning", changes], check=False)
    if done.returncode != 0:
        sys.exit("lintian finds faults")


def inspect(package, directory):
    """It holds what an operator looks for, and says what it is made of."""
    root = directory / "unpacked"
    subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    missing = [name for name in HELD if not (root / name).is_file()]
    if missing:
        sys.exit(f"the package lacks {missing}")
    with gzip.open(root / "usr/share/doc/comity/comity.spdx.json.gz", "rb") as file:
        made_of = json.load(file)
    kinds = {(each["relationshipType"], each["relatedSpdxElement"]) for each in made_of["relationships"]}
    for kind, name in (("DYNAMIC_LINK", "libssl3"), ("DYNAMIC_LINK", "libunbound8"), ("STATIC_LINK", "libasio-dev"),
                       ("STATIC_LINK", "node-llhttp")):
        if (kind, f"SPDXRef-{name}") not in kinds:
            sys.exit(f"comity.spdx.json does not name {name} as {kind}")
    identifiers = {each["SPDXID"] for each in made_of["packages"]}
    if len(identifiers) != len(made_of["packages"]) or not {name for _, name in kinds} <= identifiers:
        sys.exit("comity.spdx.json: elements are missing, or there twice")


def lasting(text):
    """What `setup` prints, without what differs from one run to the next."""
    text = re.sub(r"(not shown again: )\S+", r"\1PASSWORD", text)
    return re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text).strip()


def as_shown(said):
    """README.md shows what was printed."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"(?s)comityctl setup .*?^```\n(made a certificate.*?)^```$", readme, re.MULTILINE)
    if not shown or lasting(shown[1]) != lasting(said):
        sys.exit(f"README.md does not show what setup prints:\n{said}")


def main():
    if os.getuid() != 0:
        print("skipped: a container takes root")
        return container.SKIPPED
    directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-package-"))
    try:
        package = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else build(directory)
        judge(package.parent)
        inspect(package, directory)
        proof = directory / "proof"
        proof.mkdir()
        status = container.run(HERE / "guest.sh", package, proof)
        if status == 0:
            as_shown((proof / "setup").read_text(encoding="utf-8"))
            new_user.walk(package)
        return status
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
