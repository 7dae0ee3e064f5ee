#!/usr/bin/env python3
"""The manual pages are sound, lead to pages that exist, and say what the programs know: man.py COMITYD COMITYCTL

Every command and option of the programs stands in their pages, by what `comityctl complete` and --help list.
"""

import re
import subprocess

import checking

PAGES = checking.ROOT / "deploy" / "man"
OTHERS = {"sd_notify(3)", "systemd.service(5)", "systemd(1)", "nsupdate(1)"}


def output_of(*command):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


def lint(page):
    """What two formatters have to say about a page."""
    found = output_of("mandoc", "-Tlint", "-Wwarning", page)
    yield from (found.stdout + found.stderr).splitlines()
    found = output_of("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page)
    yield from (f"{page.name}: {line}" for line in found.stderr.splitlines())


def plain(text):
    """The source of a page without what only macros read."""
    text = re.sub(r"\\f[A-Z]", "", re.sub(r"(?m)^\.\\\".*$", "", text))
    return text.replace("\\-", "-").replace("\\(aq", "'")


def references(text):
    """Pages that a text names as .BR name (section)."""
    return {f"{name}({section})" for name, section in re.findall(r"(?m)^\.BR ([\w.-]+) \((\d)\)", plain(text))}


def words_of(text):
    return set(re.findall(r"--?[a-z][\w-]*|[a-z][\w-]*", plain(text)))


def commands_of(control, before=()):
    """(the words before, word) for every command and option there is."""
    for start in ("", "-"):
        for line in output_of(control, "complete", "--", *before, start).stdout.splitlines():
            word = line.split("\t")[0]
            if word.startswith("-"):
                yield before, word
            elif word and line.split("\t")[1:] != [""]:  # a value of an argument has no description
                yield before, word
                yield from commands_of(control, (*before, word))


def undocumented(commands, page):
    """Commands are looked for as a whole, in bold at the start of an entry; options anywhere."""
    text, known = plain(page), words_of(page)
    groups = {before for before, word in commands if not word.startswith("-")}
    for before, word in commands:
        whole = " ".join((*before, word))
        if word.startswith("-"):
            described = word in known
        else:  # what only holds other commands needs no entry
            described = (*before, word) in groups or re.search(rf'(?m)^\.BI? "?{re.escape(whole)}(?![\w-])', text)
        if not described:
            yield f"comityctl.1: {whole} is not described"


def check(daemon, control):
    findings = []
    pages = {page.name: page.read_text(encoding="utf-8") for page in sorted(PAGES.iterdir())}
    ours = {f"{name.rpartition('.')[0]}({name.rpartition('.')[2]})" for name in pages}
    installed = (checking.ROOT / "deploy" / "CMakeLists.txt").read_text(encoding="utf-8")
    for name, text in pages.items():
        if not re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", installed):
            findings.append(f"{name}: deploy/CMakeLists.txt does not install it")
        findings += lint(PAGES / name)
        findings += [f"{name}: {page} is not there" for page in sorted(references(text) - ours - OTHERS)]
    commands = list(dict.fromkeys(commands_of(control)))
    if len(commands) < 20:
        findings.append(f"comityctl complete lists only {len(commands)} commands and options")
    findings += undocumented(commands, pages["comityctl.1"])
    for option in re.findall(r"--[a-z][\w-]*", output_of(daemon, "--help").stdout):
        if option not in words_of(pages["comityd.8"]):
            findings.append(f"comityd.8: {option} is not described")
    return findings


def self_test():
    commands = [((), "status"), ((), "user"), (("user",), "add"), ((), "--json"), (("user", "add"), "--generate")]
    page = '.B status\n.BI "user add " JID \\-\\-generate\n.B \\-\\-json\n'
    faults = checking.judged([
        (page, False), (page.replace("status", "state"), True), (page.replace("user add", "user create"), True),
        (page.replace("json", "xml"), True), (page.replace("\\-\\-generate", ""), True),
    ], lambda text: list(undocumented(commands, text)))
    return faults + checking.judged([
        (".BR comityctl (1),\n.BR sd_notify (3)", False), (".BR comity\\-cause (7)", True),
    ], lambda text: references(text) - OTHERS - {"comityctl(1)"})


if __name__ == "__main__":
    checking.run(check, self_test)
