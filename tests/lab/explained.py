"""Every failure that a scenario expects in its metrics must be named by `comityctl s2s explain` too: the cause and the
phase, by the same words, to people and to programs."""

import json
import re
import time

from software import Comity
from steps import PAIR, SAMPLE, labels_of, spread

# What a search for the peer does not end with: it says how its stanzas fared.
NOT_OF_THE_WAY = {"stream_timeout", "limit", "shutdown", "internal"}
# So long an explanation may take to be asked for a second time, in the other form.
QUICK = 1.0


def expected(hosts, step):
    """(host, from, domain, phase or None, cause) of each failure on the way out that the step's metrics have."""
    pairs = [PAIR.match(each) for deed in ("message", "iq", "subscribe") if deed in step
             for text in ([step[deed]] if isinstance(step[deed], str) else step[deed]) for each in spread(text)]
    for name, lines in step.get("metrics", {}).items():
        host = hosts[name]
        if not isinstance(host, Comity):
            continue
        ends = {(mine, theirs) for pair in pairs
                for mine, theirs in [(pair[1].partition("@")[2], pair[3].rpartition("@")[2])]
                if mine in host.domains and theirs not in host.domains}
        if len(ends) != 1:
            continue  # not told apart
        mine, theirs = ends.pop()
        for line in lines:
            family, labels, value = SAMPLE.match(line).groups()
            labels = dict(labels_of(labels or ""))
            if float(value) == 0 or "cause" not in labels:
                continue
            if family == "comity_connection_failures_total" and labels.get("direction") == "outbound":
                yield name, mine, theirs, labels.get("phase"), labels["cause"]
            elif (family == "comity_s2s_bounced_stanzas_total" and labels["cause"] not in NOT_OF_THE_WAY or
                  family == "comity_s2s_verification_failures_total" and labels.get("direction") == "outbound"):
                yield name, mine, theirs, None, labels["cause"]


def causes_in(report):
    """(phase, cause) of all that the report names: now, before, and as the end of it all."""
    found = {(each["phase"], each["cause"]) for each in report["attempts"] + report["before"] + [report["outcome"]]}
    return found | {("dns", each["cause"]) for each in report["located"]}


def check(place, failures):
    """Asks once for programs and once for people; the second is a dry run where the first had to wait for somebody."""
    wanted = {}
    for name, mine, theirs, phase, cause in failures:
        if place.hosts[name].process is not None:
            wanted.setdefault((name, mine, theirs), set()).add((phase, cause))
    for (name, mine, theirs), causes in wanted.items():
        asked = ("s2s", "explain", theirs, "--from", mine)
        begun = time.monotonic()
        done = place.hosts[name].ask(*asked, "--json")
        quick = time.monotonic() - begun < QUICK
        report = json.loads(done.stdout)
        if (done.returncode == 0) != report["outcome"]["reached"] or (done.returncode != 0) != bool(done.stderr):
            raise AssertionError(f"explain {theirs}: status {done.returncode}, {done.stderr!r}:\n{done.stdout}")
        found = causes_in(report)
        text = place.hosts[name].ask(*asked, *([] if quick else ["--dry-run"])).stdout
        for phase, cause in causes:
            if not any(cause == each and phase in (None, at) for at, each in found):
                raise AssertionError(f"explain {theirs} --json names no {cause} in {phase}:\n{done.stdout}")
            if not re.search(rf"\b{cause}\b" if phase in (None, "dns") else rf"\b{cause} in {phase}\b", text):
                raise AssertionError(f"explain {theirs} names no {cause} in {phase}:\n{text}")
