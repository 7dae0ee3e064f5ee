"""How cost grows with sessions, clients, contacts and remote domains: what is run for it, and whether it is linear.

A curve's points are (size, cost of one at that size): of n sessions, n clients' messages and so on the cost of all is n
times that. Linear is an exponent of 1 in total = a · size^exponent, fitted by least squares over the logarithms; a fixed
cost, which small sizes share, makes it smaller. The steepest step between neighbours above a hundred says whether the
end bends up, where a fit over all may hide it.
"""

import math

# A factor of 10 may make one dearer by a quarter: caches are smaller than ten thousand connections, for a relay too.
MOST = 1.1
BEGINNING = 100

CURVES = {
    "idle sessions": {"of": "sessions", "unit": "KiB each (PSS)", "sizes": [1000, 5000, 10_000, 19_000]},
    "saturated messages": {"of": "clients", "unit": "CPU ms per message", "sizes": [2, 20, 200, 2000]},
    # Two for each contact: a roster holds 5,000 (THREATS F14).
    "presence": {"of": "contacts' sessions", "unit": "CPU ms per delivery", "sizes": [2, 10, 100, 1000, 10_000]},
    "new remote domains": {"of": "domains", "unit": "CPU ms per domain", "sizes": [1, 10, 100, 1000]},
}
SECONDS = {"floor": 60, "comity": 80, "pa+": 400, "pa": 500, "ea": 300}  # about


def accounts_wanted(size):
    return size(max(max(CURVES[name]["sizes"]) for name in ("saturated messages", "presence"))) // 2 + 1


def domains_wanted(size):
    return sum(_steps([size(each) for each in CURVES["new remote domains"]["sizes"]]))


def _steps(sizes):
    """How many more each of the rising sizes is."""
    return [size - before for before, size in zip([0, *sizes], sizes)]


def sessions(servers, size, say):
    """{kind: [(size, cost of one)]} of processes that nobody was connected to before; before servers.start()."""
    sizes = sorted({size(each) for each in CURVES["idle sessions"]["sizes"]})
    found = {}
    for kind in servers.kinds:
        say(f"growth: {kind}: idle sessions")
        one = servers.fresh(kind, ["idle", "--sessions", ",".join(map(str, sizes))])
        found[kind] = [(one[f"sessions_{i}"], one[f"pss_kib_each_{i}"]) for i in range(1, len(sizes) + 1)] if one else []
    return found


def others(servers, size, say):
    """{curve: {kind: [(size, cost of one)]}} of all else; after servers.start()."""
    sizes = {name: sorted({size(each) for each in curve["sizes"]}) for name, curve in CURVES.items()}
    found = {name: {kind: [] for kind in servers.kinds} for name in CURVES if name != "idle sessions"}
    for kind in servers.kinds:
        def run(name, words, of=kind):
            say(f"growth: {of}: {' '.join(words)}")
            return (servers.between if name == "new remote domains" else servers.alone)(of, words)

        for each in sizes["saturated messages"]:
            one = run("saturated messages", ["messages", "--seconds", str(size(2.0)), "--pairs", str(max(each // 2, 1))])
            if one:
                found["saturated messages"][kind].append((each, one["server_cpu_s_per_1000"]))
        for each in sizes["presence"]:
            one = run("presence", ["fan-out", "--contacts", str(each), "--sessions", "2", "--rounds", "9"])
            if one:
                found["presence"][kind].append((each, one["server_cpu_us_per_delivery"] / 1000))
        total = 0  # of all so far, by what each step adds
        for each, more in zip(sizes["new remote domains"], _steps(sizes["new remote domains"])):
            one = kind != "floor" and run("new remote domains", ["domains", "--count", str(more)])
            if one:
                total += one["server_cpu_ms_each"] * more
                found["new remote domains"][kind].append((each, total / each))
    return found


def exponents(points):
    """(fitted over all, the steepest between neighbours that are not small) of total cost against size."""
    logs = [(math.log(size), math.log(size * cost)) for size, cost in points]
    middle_x, middle_y = (sum(each) / len(logs) for each in zip(*logs))
    fitted = sum((x - middle_x) * (y - middle_y) for x, y in logs) / sum((x - middle_x) ** 2 for x, _ in logs)
    steps = [(y2 - y1) / (x2 - x1) for (x1, y1), (x2, y2) in zip(logs, logs[1:]) if x1 >= math.log(BEGINNING)]
    return fitted, max(steps, default=fitted)


def verdicts(curves):
    """A row for each curve and kind: (curve, kind, sizes, cost of one at each, fitted, steepest, whether it is linear).

    It is linear up to MOST, or where a relay without any state of its own does no better on the same machine."""
    rows = []
    for name, kinds in curves.items():
        floor = exponents(kinds["floor"]) if len(kinds.get("floor", [])) > 1 else None
        for kind, points in kinds.items():
            if len(points) < 2:
                continue
            fitted, steepest = exponents(points)
            most = max(MOST, floor[1] + MOST - 1) if floor and kind != "floor" else MOST
            rows.append((name, kind, points, fitted, steepest, fitted <= MOST and steepest <= most))
    return rows
