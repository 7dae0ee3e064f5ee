"""Every command of README.md on the tree itself does what is said of it there. Runs on what deploy/quickstart has built.

Those on what is installed are run in tests/package.
"""

import os
import pathlib
import re
import signal
import subprocess
import unittest
import urllib.request


ROOT = pathlib.Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SERVING = 60  # seconds until a quickstart that has nothing to build serves
ORDER = ("deploy/quickstart", "build/bin/comityd", "build/bin/comityctl")
ON_THE_TREE = re.compile(r"(deploy/(quickstart|test)|build/bin/comity(d|ctl))\b(?!-)")


def commands():
    """The commands in README.md's blocks of shell, and among its code spans."""
    found = []
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", README):
        found += [line for line in block.splitlines() if ON_THE_TREE.match(line)]
    found += [span for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", README)
              if ON_THE_TREE.match(span)]
    return list(dict.fromkeys(found))


def run(command, **options):
    return subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
                          **options)


class Readme(unittest.TestCase):
    def test_all_commands(self):
        """All those that ask a running server, while the one that the README starts runs."""
        tests = {"deploy/quickstart": None, "deploy/quickstart --check": None,
                 "deploy/test": self.usage, "deploy/test --fast": self.usage}
        asking = [command for command in commands() if command.startswith(ORDER[1:])]
        self.assertGreater(len(asking), 3)
        self.assertEqual([command for command in commands() if command not in asking and command not in tests], [],
                         "a command that no test runs")
        for command, test in tests.items():
            self.assertIn(command, commands())
            if test is not None:
                test(command)

        server = subprocess.Popen(["deploy/quickstart"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            said = ""
            while "server.ready" not in said:
                line = server.stdout.readline()
                self.assertTrue(line, said)
                said += line
            self.how_to_connect(said)
            for command in asking:
                with self.subTest(command):
                    done = run(command)
                    self.assertEqual((done.returncode, done.stderr), (0, ""))
                    self.shows(command, done.stdout)
            for path in set(re.findall(r"http://127\.0\.0\.1:9568(/\w+)", README)):
                with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
                        f"http://127.0.0.1:9568{path}", timeout=5) as answer:
                    self.assertEqual(answer.status, 200)
        finally:
            os.killpg(server.pid, signal.SIGINT)
            rest, _ = server.communicate(timeout=SERVING)
        self.assertEqual(server.returncode, 0, rest)

    def how_to_connect(self, said):
        for expected in ("alice@localhost   password", "bob@localhost     password", "STARTTLS    127.0.0.1 port 5222",
                         "direct TLS  127.0.0.1 port 5223", "run/ca.crt", "http://127.0.0.1:9568/metrics"):
            self.assertIn(expected, said)

    def shows(self, command, said):
        if command.endswith("user list"):
            self.assertEqual(said, "alice@localhost\nbob@localhost\n")
        elif command.endswith("--check-config"):
            self.assertEqual(said, "")
        elif command.endswith("reload"):
            self.assertEqual(said, "reloaded\n")
        else:
            self.assertTrue(said)

    def usage(self, command):
        # This test is part of what it would run: that it is there, and knows the option.
        self.assertTrue(os.access(ROOT / command.split()[0], os.X_OK))
        refused = run(command.split()[0] + " --nonsense")
        self.assertEqual(refused.returncode, 2)
        self.assertTrue(set(command.split()[1:]) <= set(re.findall(r"--\w+", refused.stderr)), refused.stderr)

    def test_the_check_prints_what_is_shown(self):
        done = run("deploy/quickstart --check")
        self.assertEqual(done.returncode, 0, done.stderr)
        shown = re.search(r"(?ms)^```\n(quickstart --check:.*?)^```$", README)[1]

        def lasting(text):
            """Without what differs from one run to the next."""
            text = text[text.index("quickstart --check:"):]
            text = re.sub(r"(localhost)/\S+", r"\1/RESOURCE", text)
            text = re.sub(r"\b[0-9a-f]{8}\b", "SAID", text)
            return re.sub(r"\d+ before, \d+ after", "N before, M after", text)
        self.assertEqual(lasting(done.stdout), lasting(shown))


if __name__ == "__main__":
    unittest.main()
