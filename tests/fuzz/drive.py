#!/usr/bin/env python3
"""Runs the libFuzzer targets of a build tree, and says in a table what they did.

    drive.py TREE [TARGET...] [--seconds N] [--jobs N] [--nice N] [--keep DIRECTORY] [--coverage]
             [--random] [--replay-decides]

Each target replays its corpus of the source tree, with what earlier long runs have found, and then looks for more for so
many seconds: new inputs are kept under DIRECTORY/corpus, inputs that fail under DIRECTORY/failures together with the
command that runs them again. Without --keep nothing is. The exit status is 1 if a target failed; with --replay-decides, if
one failed for the corpus of the source tree: what a short look into new places finds differs from one revision to the next,
so it is told, and counted, and is no failure of whoever changed something else.

--coverage adds which part of the lines of the files a target is there for it runs, for trees that are built with
-fprofile-instr-generate and -fcoverage-mapping. ctest does the short run of a tree with sanitizers (COMITY_SUMMARY), and
`deploy/fuzz` long ones.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "system"))
import summary  # noqa: E402

# Of one input; a target that needs more has found something.
SECONDS_MOST = 20
MEBIBYTES_MOST = 1024
_STATUS = re.compile(r"^#\d+\s+\w+ +cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_FINAL = re.compile(r"^stat::(\w+):\s+(\d+)", re.MULTILINE)
_DONE = re.compile(r"^Done (\d+) runs", re.MULTILINE)
_ARTIFACT = re.compile(r"Test unit written to (\S+)")


class Target:
    def __init__(self, line, tree):
        name, seeds, covers = (part.strip() for part in line.split(":"))
        self.name = name
        self.program = tree / "bin" / f"{name}_fuzz"
        self.seeds = [ROOT / each for each in seeds.split()]
        self.covers = [ROOT / each for each in covers.split()]
        dictionary = ROOT / "tests" / "fuzz" / f"{name}.dict"
        self.dictionary = dictionary if dictionary.exists() else None


def targets_of(tree):
    lines = (tree / "tests" / "fuzz" / "targets").read_text(encoding="utf-8").splitlines()
    return {target.name: target for target in (Target(line, tree) for line in lines)}


def outcome_of(text, cpu_seconds):
    """Executions, those in a second of one core's time, and features, from what a run has said."""
    final = {name: int(value) for name, value in _FINAL.findall(text)}
    seen = [tuple(int(number) for number in found) for found in _STATUS.findall(text)]
    done = _DONE.search(text)
    runs = final.get("number_of_executed_units", int(done[1]) if done else 0)
    return {"executions": runs, "per second": round(runs / max(cpu_seconds, 0.01)),
            "features": max((features for _, features, _ in seen), default=0),
            "corpus": max((inputs for _, _, inputs in seen), default=0)}


def environment():
    """Long runs are not for profiles, and what a sanitizer finds ends the run."""
    # Hardly anything is used over more than one input, so what one frees is all that has to be remembered to be found if it is used;
    # where each block came from is told in few frames. Half of the time of some targets went there.
    asan = "detect_stack_use_after_return=1:quarantine_size_mb=16:malloc_context_size=4"
    return {**os.environ, "LLVM_PROFILE_FILE": os.devnull, "ASAN_OPTIONS": asan,
            "UBSAN_OPTIONS": "print_stacktrace=1"}


def explore(target, seconds, seed, niceness, corpus, failures):
    command = ["nice", "-n", str(niceness), str(target.program), f"-max_total_time={seconds}", f"-timeout={SECONDS_MOST}",
               f"-rss_limit_mb={MEBIBYTES_MOST}", f"-seed={seed}", "-print_final_stats=1", "-reload=1",
               f"-artifact_prefix={failures}/{target.name}-"]
    if target.dictionary:
        command.append(f"-dict={target.dictionary}")
    corpus.mkdir(parents=True, exist_ok=True)
    command += [str(corpus), *map(str, target.seeds)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=environment())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)  # it is waited for
        said.seek(0)
        text = said.read().decode(errors="replace")
    outcome = outcome_of(text, used.ru_utime + used.ru_stime)
    if process.returncode != 0:
        artifact = _ARTIFACT.search(text)
        outcome["failed"] = artifact[1] if artifact else "no input was kept"
        outcome["said"] = text
    return outcome


def replays(target):
    """Whether it holds for all of its corpus in the source tree; if not, says why."""
    done = subprocess.run([str(target.program), "-runs=0", *map(str, target.seeds)], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, env=environment())
    if done.returncode != 0:
        print(f"== {target.name} does not hold for its corpus", *done.stdout.splitlines()[-60:], sep="\n")
    return done.returncode == 0


def together(one, other):
    """What two processes of one target did."""
    if one is None:
        return other
    both = {**one, **other}
    both["executions"] = one["executions"] + other["executions"]
    for figure in ("per second", "features", "corpus"):
        both[figure] = max(one[figure], other[figure])
    return both


def told(target, outcome, keep):
    """Prints a failure: what was said of it, and how to see it again."""
    lines = [line for line in outcome["said"].splitlines() if not line.startswith(("#", "INFO: ", "\tNEW_FUNC"))]
    print(f"== {target.name} failed", *lines[-60:], sep="\n")
    path = pathlib.Path(outcome["failed"])
    if path.exists():
        print(f"== its input, {path.stat().st_size} bytes: {path.read_bytes()[:2000]!r}")
        if keep:
            print(f"== again: {shlex.quote(str(target.program))} {shlex.quote(str(path))}")


def coverage_of(target, corpus, tools):
    """In percent of the lines of its files; None where the tree has no profiles."""
    with tempfile.TemporaryDirectory(prefix="comity-fuzz-") as directory:
        raw, merged = pathlib.Path(directory) / "raw", pathlib.Path(directory) / "merged"
        command = [str(target.program), "-runs=0", str(corpus), *map(str, target.seeds)]
        subprocess.run(command, capture_output=True, check=False, env={**environment(), "LLVM_PROFILE_FILE": str(raw)})
        if not raw.exists():
            return None
        subprocess.run([tools["llvm-profdata"], "merge", "-sparse", str(raw), "-o", str(merged)], check=True)
        exported = subprocess.run(
            [tools["llvm-cov"], "export", "-summary-only", f"-instr-profile={merged}", str(target.program),
             *map(str, target.covers)], capture_output=True, text=True, check=True)
        lines = json.loads(exported.stdout)["data"][0]["totals"]["lines"]
        return 100.0 * lines["covered"] / lines["count"] if lines["count"] else None


def table(rows):
    columns = ["target", "executions", "per second", "features", "corpus", "lines"]
    cells = [columns] + [[name, f"{o['executions']:,}", f"{o['per second']:,}", f"{o['features']:,}", f"{o['corpus']:,}",
                          f"{o['lines']:.1f} %" if o.get("lines") is not None else "-"]
                         for name, o in sorted(rows.items())]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    return ["  ".join(cell.ljust(width) if column == 0 else cell.rjust(width)
                      for column, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in cells]


def seed_of(tree):
    """That of the revision: one commit looks into the same places each time, the next one into others."""
    ran = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "--short=7", "HEAD"], capture_output=True, text=True, check=False)
    return int(ran.stdout, 16) or 1 if ran.returncode == 0 else 1


def main():
    parser = argparse.ArgumentParser(description="runs libFuzzer targets")
    parser.add_argument("tree", type=pathlib.Path)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--nice", type=int, default=10)
    parser.add_argument("--keep", type=pathlib.Path)
    parser.add_argument("--coverage", action="store_true")
    parser.add_argument("--replay-decides", action="store_true", help="what exploring finds is told, but is no failure")
    parser.add_argument("--random", action="store_true", help="another way each time, not that of the revision")
    options = parser.parse_args()

    known = targets_of(options.tree.resolve())
    unknown = [name for name in options.targets if name not in known]
    if unknown:
        sys.exit(f"no such target: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    chosen = [known[name] for name in options.targets or sorted(known)]
    missing = [str(path) for target in chosen for path in target.covers + target.seeds if not path.exists()]
    if missing:
        sys.exit(f"tests/fuzz/CMakeLists.txt names what is not there: {', '.join(missing)}")
    tools = {name: f"{name}-19" for name in ("llvm-profdata", "llvm-cov")}
    seed = 0 if options.random else seed_of(options.tree)

    with tempfile.TemporaryDirectory(prefix="comity-fuzz-") as temporary:
        at = (options.keep or pathlib.Path(temporary)).resolve()
        failures = at / "failures"
        failures.mkdir(parents=True, exist_ok=True)
        rows = {}
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            broken = [target.name for target, holds in zip(chosen, pool.map(replays, chosen)) if not holds]
        # Where there are more cores than targets, several processes share the corpus of one.
        at_once = max(1, options.jobs // len(chosen))
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            runs = {pool.submit(explore, target, options.seconds, seed + n if seed else 0, options.nice,
                                at / "corpus" / target.name, failures): target
                    for target in chosen for n in range(at_once)}
            for run in concurrent.futures.as_completed(runs):
                target, outcome = runs[run], run.result()
                rows[target.name] = together(rows.get(target.name), outcome)
                if options.keep:
                    print(f"{target.name}: {outcome['executions']:,} executions", flush=True)
                if "failed" in outcome:
                    told(target, outcome, options.keep)
        if options.coverage:
            for target in chosen:
                rows[target.name]["lines"] = coverage_of(target, at / "corpus" / target.name, tools)
    print(*table(rows), sep="\n")
    found = sorted(name for name, outcome in rows.items() if "failed" in outcome)
    failed = broken if options.replay_decides else sorted({*broken, *found})
    summary.record("fuzz", fuzz={"targets": len(rows), "failed": len(failed), "findings": len(found),
                                 "executions": sum(o["executions"] for o in rows.values()),
                                 "features": sum(o["features"] for o in rows.values())})
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
