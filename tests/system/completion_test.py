"""What shells complete: their scripts are read by the shells themselves, and ask the tool."""

import os
import pathlib
import subprocess
import unittest

from harness import SystemTest, program

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "completions"


class Completion(SystemTest):
    options = {"hosts": ("comity.test", "other.test"), "users": ("alice", "adam")}

    def shell(self, *command, **environment):
        """What a shell prints, for which `comityctl` is the tool under test."""
        tools = self.server.directory / "tools"
        if not tools.exists():
            tools.mkdir()
            (tools / "comityctl").symlink_to(program("COMITYCTL"))
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60,
                              env={"PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(self.server.directory),
                                   "LC_ALL": "C.UTF-8", **environment})
        self.assertEqual(done.stderr, "")
        return done.stdout.splitlines()

    def bash(self, line):
        """The answers to a line as bash splits it; those behind = alone stand for the last part."""
        return self.shell("bash", "--norc", "-c", """
            . /usr/share/bash-completion/bash_completion
            . "$SCRIPT"
            COMP_LINE=$LINE COMP_POINT=${#LINE}
            mapfile -t COMP_WORDS < <(printf '%s\\n' "$LINE" | sed 's/=/\\n=\\n/g; s/ /\\n/g')
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _"${COMP_WORDS[0]}"
            [ ${#COMPREPLY[@]} -eq 0 ] || printf '%s\\n' "${COMPREPLY[@]}"
            """, SCRIPT=str(SCRIPTS / "comityctl.bash"), LINE=line)

    def zsh(self, line):
        words = " ".join(f"'{word}'" for word in line.split(" "))
        return self.shell("zsh", "--no-rcs", "-c", f"""
            _describe() {{ print -rl -- "${{(@P)2}}" }}
            _files() {{ print -r -- files }}
            words=({words}) CURRENT=$#words
            . "$SCRIPT" || true
            """, SCRIPT=str(SCRIPTS / "_comityctl"))

    def fish(self, line):
        return self.shell("fish", "--no-config", "-c", "source $SCRIPT; complete -C $LINE",
                          SCRIPT=str(SCRIPTS / "comityctl.fish"), LINE=line)

    def test_each_shell(self):
        socket = f"--socket {self.server.directory / 'admin.sock'}"
        for ask in (self.bash, self.zsh, self.fish):
            def words(line, ask=ask):
                return sorted(answer.split(":")[0].split("\t")[0] for answer in ask(line))
            with self.subTest(ask.__name__):
                self.assertEqual(words("comityctl connect"), ["connections"])
                self.assertEqual(words("comityctl user "), ["add", "delete", "list", "passwd"])
                self.assertEqual(words("comityctl --json user p"), ["passwd"])
                self.assertEqual(words("comityctl user add x@y.example --pass"), ["--password-stdin"])
                self.assertEqual(words("comityctl cause dns_b"), ["dns_bogus"])
                self.assertEqual(words(f"comityctl {socket} user delete a"), ["adam@comity.test", "alice@comity.test"])
                self.assertEqual(words("comityctl nonsense "), [])

    def test_hosts_come_from_the_configuration(self):
        for line in (f"comityctl --config {self.server.config} user list ",
                     f"comityctl --config={self.server.config} user list ",
                     f"comityctl user list --config {self.server.config} "):
            self.assertEqual(self.bash(line), ["comity.test", "other.test"], line)
        self.assertEqual(self.bash(f"comityctl --config {self.server.config} user list o"), ["other.test"])

    def test_files(self):
        (self.server.directory / "here.toml").touch()
        start = str(self.server.directory / "her")
        for line in (f"comityctl --config {start}", f"comityctl --config={start}", f"comityd --config {start}"):
            self.assertEqual(self.bash(line), [start + "e.toml"], line)
        self.assertEqual(self.zsh(f"comityctl --config {start}"), ["files"])
        self.assertEqual(self.fish(f"comityctl --config {start}"), [start + "e.toml"])

    def test_what_is_behind_an_equals_sign(self):
        self.assertEqual(self.bash("comityctl dns records --format=ns"), ["nsupdate"])

    def test_the_daemon(self):
        self.assertEqual(self.bash("comityd --c"), ["--config", "--check-config"])
        said = subprocess.run([program("COMITYD"), "--help"], capture_output=True, text=True, check=True).stdout
        for option in self.bash("comityd --"):
            self.assertIn(option, said)

    def test_no_daemon_no_words_and_no_trace(self):
        """Nothing is asked of a store by who completes a line: it might be made as another user's."""
        config = self.server.directory / "elsewhere.toml"
        config.write_text(self.server.config_text().replace('"data"', '"elsewhere"').replace("admin.sock", "none.sock"),
                          encoding="utf-8")
        self.assertEqual(self.bash(f"comityctl --config {config} user delete "), [])
        self.assertFalse((self.server.directory / "elsewhere").exists())


if __name__ == "__main__":
    unittest.main()
