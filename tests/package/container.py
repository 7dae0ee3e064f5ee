"""A machine for one test: systemd boots in a container whose root is this machine's, with a layer above it that takes all
changes and goes with the test. In it a script of the test's runs as a service; systemd goes down when it has ended.
"""

import os
import signal
import subprocess
import sys
import tempfile

SKIPPED = 77
BOOT = 300  # seconds until all is done in there, on a busy machine

# Runs in a mount namespace of its own, so all that it mounts goes with it. The layer is in memory, since an overlay takes
# no layer that lies on another overlay.
CONTAINER = """
set -eu
mount -t tmpfs comity "$LAYER"
mkdir "$LAYER/changes" "$LAYER/work" "$LAYER/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$LAYER/changes,workdir=$LAYER/work" "$LAYER/root" || exit 77
cd "$LAYER/root"
mkdir -p proof/package
cp "$GUEST" proof/guest.sh
cp "$PACKAGE" proof/package/
mkdir -p proof/exchange
cat > etc/systemd/system/proof.service << UNIT
[Service]
Type=oneshot
ExecStart=/bin/bash /proof/guest.sh
StandardOutput=append:/proof/said
StandardError=inherit
ExecStopPost=/bin/sh -c 'echo \\$SERVICE_RESULT > /proof/result; systemctl --force --force poweroff'
UNIT
systemd-nspawn --quiet --directory "$LAYER/root" --machine "comity-proof-$$" $NETWORK --register=no \\
  --bind "$SHARED:/proof/exchange" --resolv-conf=off \\
  --keep-unit --link-journal=no --console=pipe --boot systemd.unit=proof.service \\
  < /dev/null > "$LAYER/console" 2>&1 || true
cat proof/said 2> /dev/null || cat "$LAYER/console"
[ "$(cat proof/result 2> /dev/null)" = success ]
left=$(find "$LAYER/changes" -iname '*comity*' ! -path "$LAYER/changes/proof/*")
[ -n "$KEEPS" ] || [ -z "$left" ] || { echo "purged, it leaves: $left"; exit 1; }
"""


def start(guest, package, shared, network=None, keeps=False):
    """The script `guest` in a container that has `package` in /proof/package, and the directory `shared` as
    /proof/exchange; a process. It has the network namespace `network`, or one of its own where nobody is. Unless it
    `keeps` the package, nothing of it may be left at the end."""
    layer = tempfile.TemporaryDirectory(prefix="comity-container-")
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", "bash", "-c", CONTAINER], start_new_session=True,
        env={**os.environ, "LAYER": layer.name, "GUEST": str(guest), "PACKAGE": str(package), "SHARED": str(shared),
             "NETWORK": f"--network-namespace-path=/run/netns/{network}" if network else "--private-network",
             "KEEPS": "yes" if keeps else ""})
    process.layer = layer  # goes with the process
    return process


def end(process):
    """How it ended: 0, or SKIPPED where the kernel gives no container."""
    try:
        status = process.wait(BOOT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        sys.exit(f"not done within {BOOT} s")
    finally:
        process.layer.cleanup()
    if status == SKIPPED:
        print("skipped: there are no overlays here")
    elif status != 0:
        sys.exit(f"the container's test failed ({status})")
    return status


def run(guest, package, shared):
    return end(start(guest, package, shared))
