"""A Prometheus of a test's own: started, asked over its HTTP API, and ended."""

import contextlib
import http.client
import json
import pathlib
import shutil
import subprocess
import tempfile
import urllib.parse


class Prometheus:
    """Use as a context manager. `files` are its configuration, prometheus.yml, and what that names. `popen` starts it
    and `inside` is where its `port` on loopback is, if that is another network namespace."""

    def __init__(self, files, port, popen=subprocess.Popen, inside=contextlib.nullcontext):
        self.port, self.popen, self.inside = port, popen, inside
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="comity-prometheus-"))
        for name, text in files.items():
            (self.directory / name).write_text(text, encoding="utf-8")
        self.process = None

    def __enter__(self):
        with open(self.directory / "log", "wb") as log:
            self.process = self.popen(
                ["prometheus", f"--config.file={self.directory}/prometheus.yml",
                 f"--storage.tsdb.path={self.directory}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
                stdout=log, stderr=log)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)

    def log(self):
        return (self.directory / "log").read_text(encoding="utf-8", errors="replace")[-4000:]

    def ready(self):
        with contextlib.suppress(OSError):
            return self._get("/-/ready")[0] == 200
        return False

    def ask(self, path, **parameters):
        """The data of an answer; ValueError, with what Prometheus says, where it refuses the question."""
        status, body = self._get(f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ValueError(f"{status}: {answer['error']}")
        return answer["data"]

    def query(self, expression, **parameters):
        """[(labels, value)] of an instant query."""
        return [(row["metric"], float(row["value"][1]))
                for row in self.ask("query", query=expression, **parameters)["result"]]

    def over(self, expression, start, end, step=1):
        """[(labels, [value, …])] of a query over a range of time."""
        rows = self.ask("query_range", query=expression, start=start, end=end, step=step)["result"]
        return [(row["metric"], [float(value) for _, value in row["values"]]) for row in rows]

    def _get(self, path):
        with self.inside():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.connect()
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
