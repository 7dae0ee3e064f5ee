"""What a service manager is told (sd_notify(3)): ready, reloading, stopping, and that nothing is stuck."""

import contextlib
import ctypes
import os
import pathlib
import signal
import socket
import time
import unittest

from harness import PATIENCE, Server

BEAT = 0.1  # seconds between two signs of life
QUIET = 12 * BEAT  # how long none may come while a thread is stuck

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_SEIZE, _INTERRUPT, _DETACH, _WALL = 0x4206, 0x4207, 17, 0x40000000


@contextlib.contextmanager
def stuck(thread):
    """That one thread does not run, as if what it does had no end."""
    def trace(request):
        if _libc.ptrace(request, thread, None, None) != 0:
            raise OSError(ctypes.get_errno(), f"ptrace {request:#x} of {thread}")
    trace(_SEIZE)
    trace(_INTERRUPT)
    os.waitpid(thread, _WALL)
    try:
        yield
    finally:
        trace(_DETACH)


class Service(unittest.TestCase):
    def setUp(self):
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.manager.close)
        self.server = Server()
        self.addCleanup(self.server.abandon)
        at = str(self.server.directory / "notify")
        self.manager.bind(at)
        environment = {"NOTIFY_SOCKET": at, "WATCHDOG_USEC": str(int(BEAT * 3e6))}
        os.environ.update(environment)
        try:
            self.server.start(wait=False)
        finally:
            for name in environment:
                del os.environ[name]

    def told(self, timeout):
        """The next message; None if there is none in time."""
        self.manager.settimeout(timeout)
        try:
            return self.manager.recv(4096).decode().split("\n")[0]
        except TimeoutError:
            return None

    def wait_told(self, what):
        deadline = time.monotonic() + PATIENCE
        while (message := self.told(max(0.001, deadline - time.monotonic()))) != what:
            self.assertIsNotNone(message, f"{what} is told\n{self.server.tail()}")

    def beats(self, seconds):
        """How often a sign of life comes."""
        count, end = 0, time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            count += self.told(left) == "WATCHDOG=1"
        return count

    def threads(self):
        tasks = pathlib.Path(f"/proc/{self.server.pid}/task")
        return {(task / "comm").read_text(encoding="ascii").strip(): int(task.name) for task in tasks.iterdir()}

    def test_from_start_to_end(self):
        self.wait_told("READY=1")
        self.assertEqual(self.server.http("/readyz")[0], 200)
        self.wait_told("WATCHDOG=1")
        self.server.process.send_signal(signal.SIGHUP)
        self.wait_told("RELOADING=1")
        self.wait_told("READY=1")
        self.server.write_config("nonsense")
        self.server.process.send_signal(signal.SIGHUP)
        self.wait_told("RELOADING=1")
        self.wait_told("READY=1")
        self.server.process.send_signal(signal.SIGTERM)
        self.wait_told("STOPPING=1")
        self.server.assert_stops()

    def test_a_stuck_thread_gives_no_sign_of_life(self):
        self.wait_told("READY=1")
        self.wait_told("WATCHDOG=1")  # each thread runs, and has its name
        threads = self.threads()
        for name, thread in (("loop-0", threads["loop-0"]), ("loop-1", threads["loop-1"]), ("main", self.server.pid)):
            self.wait_told("WATCHDOG=1")
            with self.subTest(name), stuck(thread):
                # One may have been on its way.
                self.assertLessEqual(self.beats(QUIET), 1)
            self.wait_told("WATCHDOG=1")
        self.server.stop()


if __name__ == "__main__":
    unittest.main()
