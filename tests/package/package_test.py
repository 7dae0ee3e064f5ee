#!/usr/bin/env python3
"""The Debian package, as its operator meets it: built, judged by lintian, and installed, run, reloaded, hung, upgraded,
removed and purged under a real systemd.

That systemd boots in a container whose root is this machine's, with a layer above it that takes all changes and goes with
the test: nothing is installed here. Where the kernel gives no such container the test is skipped.
"""

import gzip
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SKIPPED = 77
BOOT = 300  # seconds until all is done in there, on a busy machine

HELD = [
    "usr/bin/comityd", "usr/bin/comityctl", "lib/systemd/system/comityd.service", "usr/lib/sysusers.d/comity.conf",
    "usr/lib/tmpfiles.d/comity.conf", "usr/share/man/man8/comityd.8.gz", "usr/share/man/man1/comityctl.1.gz",
    "usr/share/man/man5/comity.toml.5.gz", "usr/share/man/man7/comity-causes.7.gz",
    "usr/share/bash-completion/completions/comityctl", "usr/share/bash-completion/completions/comityd",
    "usr/share/zsh/vendor-completions/_comityctl", "usr/share/fish/vendor_completions.d/comityctl.fish",
    "usr/share/doc/comity/copyright", "usr/share/doc/comity/examples/comity.toml",
    "usr/share/doc/comity/examples/prometheus/comity.rules.yml",
    "usr/share/doc/comity/examples/grafana/dashboards/overview.json"]

# Runs in a mount namespace of its own, so all that it mounts goes with it. The layer is in memory, since an overlay takes
# no layer that lies on another overlay.
CONTAINER = """
set -eu
mount -t tmpfs comity "$LAYER"
mkdir "$LAYER/changes" "$LAYER/work" "$LAYER/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$LAYER/changes,workdir=$LAYER/work" "$LAYER/root" || exit 77
cd "$LAYER/root"
mkdir proof
cp "$GUEST" "$PACKAGE" proof/
cat > etc/systemd/system/proof.service << UNIT
[Service]
Type=oneshot
ExecStart=/bin/bash /proof/$(basename "$GUEST")
StandardOutput=append:/proof/said
StandardError=inherit
ExecStopPost=/bin/sh -c 'echo \\$SERVICE_RESULT > /proof/result; systemctl --force --force poweroff'
UNIT
systemd-nspawn --quiet --directory "$LAYER/root" --machine "comity-proof-$$" --private-network --register=no \\
  --keep-unit --link-journal=no --console=pipe --boot systemd.unit=proof.service \\
  < /dev/null > "$LAYER/console" 2>&1 || true
cat proof/said 2> /dev/null || cat "$LAYER/console"
[ "$(cat proof/result 2> /dev/null)" = success ]
cp proof/setup "$LAYER/../setup"
left=$(find "$LAYER/changes" -iname '*comity*' ! -path "$LAYER/changes/proof/*")
[ -z "$left" ] || { echo "purged, it leaves: $left"; exit 1; }
"""


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


def live(package, layer):
    container = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", CONTAINER], start_new_session=True,
        env={**os.environ, "LAYER": str(layer), "GUEST": str(HERE / "guest.sh"), "PACKAGE": str(package)})
    try:
        status = container.wait(BOOT)
    except subprocess.TimeoutExpired:
        os.killpg(container.pid, signal.SIGKILL)
        container.wait()
        sys.exit(f"not done within {BOOT} s")
    if status == SKIPPED:
        print("skipped: there are no overlays here")
    elif status != 0:
        sys.exit(f"the container's test failed ({status})")
    return status


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
        return SKIPPED
    directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-package-"))
    try:
        package = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else build(directory)
        judge(package.parent)
        inspect(package, directory)
        (directory / "layer").mkdir()
        status = live(package, directory / "layer")
        if status == 0:
            as_shown((directory / "setup").read_text(encoding="utf-8"))
        return status
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main())
