"""What every check of the tree shares: the tracked files, how findings end the program, and proof that it can fail."""

import json
import pathlib
import shlex
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FOLDERS = ("dns", "tls", "connection", "server")


def tracked(*patterns):
    """The tracked files that match git's patterns (all without one), relative to the root, that exist."""
    listed = subprocess.run(["git", "-c", f"safe.directory={ROOT}", "-C", str(ROOT), "ls-files", "-z", "--", *patterns],
                            capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def flags_in(build):
    """The options that matter to what a source means, by the source: from the build directory's compile_commands.json."""
    with open(pathlib.Path(build) / "compile_commands.json", encoding="utf-8") as commands:
        return {entry["file"]: flags_of(entry["command"]) for entry in json.load(commands)}


def flags_of(command):
    """The options of a compiler's command that matter to what a source means."""
    words = shlex.split(command)
    kept = [word for word in words if word.startswith(("-D", "-std=", "-W"))]
    for at, word in enumerate(words):
        if word.startswith("-I"):
            kept.append(word)
        elif word in ("-isystem", "-I"):
            kept += [word, words[at + 1]]
    return tuple(kept)


def run(check, self_test, arguments=None):
    """Ends the program: by the findings of check(*arguments), or with --self-test by those of self_test().

    Both give a list of lines; an empty one is success. The self-test's say where a bad sample passed, or a good one
    did not.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    findings = self_test() if arguments == ["--self-test"] else check(*arguments)
    for line in findings:
        print(line)
    sys.exit(1 if findings else 0)


def judged(samples, judge):
    """For self_test(): the faults over (sample, whether it is bad) pairs; judge(sample) gives its findings."""
    faults = []
    for sample, bad in samples:
        findings = judge(sample)
        if bad and not findings:
            faults.append(f"passed, though it is bad: {sample!r}")
        if not bad and findings:
            faults.append(f"refused, though it is good: {sample!r}: {findings}")
    return faults
