"""Holds the instructions and allocations of each piece against bounds.json: gate.py RELEASE_TREE [--write].

Builds there what it counts by. Instructions are counted by callgrind, so a busy machine changes nothing; --write sets
the bounds to what is measured now, and a change of them belongs into the commit that causes it. --self-test: that the
gate can fail.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BOUNDS = HERE / "bounds.json"
TURNS = 200
ROOM = 1.08  # by so much may compilers and libraries of a point release differ


def build(tree):
    """The programs, in a tree that is configured and has comityd: little is left to compile."""
    def cmake(*words):
        subprocess.run(["cmake", *words], check=True, stdout=subprocess.DEVNULL)
    cmake("-S", HERE.parent.parent, "-B", tree, "-DCOMITY_BENCH=ON")
    try:
        cmake("--build", tree, "--target", "comity-bench", "comity-bench-allocations", "comity-bench-count",
              "comity-bench-floor", "comity-bench-pieces", "--", "--quiet")
    finally:
        cmake("-S", HERE.parent.parent, "-B", tree, "-DCOMITY_BENCH=OFF")  # who builds a release has no use for them


def measured(folder):
    """{piece: {"instructions": of one turn, "allocations": of one turn}}"""
    program = folder / "bin" / "comity-bench-count"
    preloaded = next(folder.rglob("libcomity-bench-allocations.so"))
    with tempfile.TemporaryDirectory(prefix="comity-gate-") as place:
        counted = subprocess.run([program, str(TURNS)], check=True, capture_output=True, text=True,
                                 env={**os.environ, "LD_PRELOAD": str(preloaded),
                                      "COMITY_BENCH_ALLOCATIONS": f"{place}/count"})
        found = {name: {"allocations": round(float(number), 2)}
                 for name, number in (line.split() for line in counted.stdout.splitlines())}
        subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={place}/out", program, str(TURNS)],
                       check=True, capture_output=True)
        for dump in pathlib.Path(place).glob("out.*"):
            text = dump.read_text(encoding="utf-8", errors="replace")
            name = re.search(r"^desc: Trigger: Client Request: (\S+)$", text, re.MULTILINE)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
            if name and total:
                found[name[1]]["instructions"] = round(int(total[1]) / TURNS)
    return found


def faults(found, bounds):
    said = []
    for name in sorted(found.keys() | bounds.keys()):
        if name not in found or name not in bounds:
            said.append(f"{name}: {'not measured' if name not in found else 'has no bounds'}")
            continue
        for what, most in bounds[name].items():
            now = found[name].get(what)
            if now is None or now > most * ROOM:
                said.append(f"{name}: {now} {what}, at most {most} expected")
    return said


def self_test():
    bounds = {"a": {"instructions": 1000, "allocations": 2}}
    just = {"a": {"instructions": 1080, "allocations": 2}}
    assert not faults(just, bounds)
    assert faults({"a": {"instructions": 1081, "allocations": 2}}, bounds)
    assert faults({"a": {"instructions": 1000, "allocations": 3}}, bounds)
    assert faults({"a": {"allocations": 2}}, bounds)
    assert faults({}, bounds) and faults({**just, "b": just["a"]}, bounds)


def main(words):
    if words == ["--self-test"]:
        return self_test()
    tree = pathlib.Path(words[0]).resolve()
    build(tree)
    found = measured(tree)
    for name, numbers in found.items():
        print(f"{name:12} {numbers.get('instructions', 0):8} instructions {numbers['allocations']:6} allocations")
    if "--write" in words:
        BOUNDS.write_text(json.dumps(found, indent=1) + "\n", encoding="ascii")
        return None
    said = faults(found, json.loads(BOUNDS.read_text(encoding="ascii")))
    return "\n".join(said) or None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
