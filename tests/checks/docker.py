#!/usr/bin/env python3
"""The Dockerfile keeps our rules: built in a stage of its own, of pinned images, run by a user who is not root and has a
number, asked for its health, listening where the configuration does, and copying only what there is."""

import fnmatch
import json
import re
import tomllib

import checking

FOLDER = checking.ROOT / "deploy" / "docker"
PROGRAMS = {"comityd", "comityctl"}


def instructions(text):
    """(keyword, rest) of each instruction, its lines joined."""
    text = re.sub(r"(?m)^\s*#.*\n", "", text)
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip():
            keyword, _, rest = line.strip().partition(" ")
            yield keyword.upper(), rest.strip()


def program_of(rest):
    """The first word of the exec form, ["…"]; None for the shell's."""
    try:
        return json.loads(rest)[0]
    except (ValueError, IndexError):
        return None


def findings_in(text, ignored, files, ports):
    stages, copied = [], []
    for keyword, rest in instructions(text):
        if keyword == "FROM":
            stages.append({})
            if not re.fullmatch(r"\S+:(?!latest)\S+( AS \w+)?", rest):
                yield f"FROM {rest}: the image has no tag"
            continue
        stages[-1].setdefault(keyword, []).append(rest)
        if keyword in ("COPY", "ADD") and not rest.startswith("--from"):
            copied += rest.split()[:-1]
        if "apt-get" in rest and "install" in rest:
            for command in re.findall(r"apt-get[^&|;]*\binstall\b", rest):
                if "--no-install-recommends" not in command:
                    yield f"{command}: without --no-install-recommends"
    if len(stages) < 2:
        yield "built and run in one stage: the compiler would be in the image"
    for source in copied:
        if source == ".":
            continue
        if not any(file == source or file.startswith(source.rstrip("/") + "/") for file in files):
            yield f"COPY {source}: is not there"
        if any(fnmatch.fnmatch(source, pattern) for pattern in ignored):
            yield f"COPY {source}: is ignored"
    last = stages[-1]
    if not re.fullmatch(r"[1-9]\d*(:\d+)?", last.get("USER", ["root"])[-1]):
        yield "the last USER is root, or has no number by which Kubernetes could tell"
    built = [command for stage in stages[:-1] for command in stage.get("RUN", [])]
    lists = {word for command in built for match in re.findall(r"deploy/packages/install ([\w ]+)", command)
             for word in match.split()}
    if not {"build", "package"} <= lists:
        yield "the build's packages are not those of deploy/packages"
    if not any("deploy/package " in command for command in built):
        yield "the programs are not those of deploy/package"
    for keyword in ("HEALTHCHECK", "ENTRYPOINT"):
        rest = last.get(keyword, [""])[-1]
        if program_of(rest[rest.find("["):] if "[" in rest else "") not in PROGRAMS:
            yield f"{keyword} runs none of our programs by itself"
    if set(last.get("EXPOSE", [""])[-1].split()) != ports:
        yield f"EXPOSE is not {' '.join(sorted(ports))}"


def ports_listened_on():
    with open(checking.ROOT / "deploy" / "comity.toml", "rb") as file:
        return {each["address"].rpartition(":")[2] for each in tomllib.load(file)["listen"]}


def check():
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split()
    return [f"deploy/docker/Dockerfile: {each}" for each in findings_in(
        (FOLDER / "Dockerfile").read_text(encoding="utf-8"), ignored, checking.tracked(), ports_listened_on())]


def self_test():
    good = (FOLDER / "Dockerfile").read_text(encoding="utf-8")

    def without(pattern, by=""):
        changed = re.sub(pattern, by, good, flags=re.MULTILINE)
        assert changed != good, pattern
        return changed
    bad = [without(r"debian:12-slim$", "debian"), without(r"debian:12-slim$", "debian:latest"),
           without(r"^FROM debian:12-slim$"), without(r"^USER.*$"), without(r"^USER.*$", "USER root"),
           without(r"^USER.*$", "USER comity"), without(r"^HEALTHCHECK.*$"), without(r"^ENTRYPOINT.*$"),
           without(r"^ENTRYPOINT.*$", "ENTRYPOINT comityd"), without(" 5270$"), without("install build package", "install build"),
           without("^COPY deploy/packages", "COPY deploy/parcels"), without("^COPY deploy/packages", "COPY build deploy/packages"),
           without("^RUN deploy/package ", "RUN make "), without("--no-install-recommends")]
    return checking.judged([(good, False), *((each, True) for each in bad)], lambda text: list(
        findings_in(text, ["build"], ["deploy/packages/build", "build/x"], {"5222", "5223", "5269", "5270"})))


if __name__ == "__main__":
    checking.run(check, self_test)
