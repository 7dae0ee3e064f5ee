"""A TCP proxy in user space that does to connections what bad networks do.

It listens on a loopback port of its own and joins each connection to the port `target`. What it does with them is a
`Weather`, or a function that makes one of the address that somebody comes from; each connection keeps what it came
under, but for down(), which is for all.
"""

import asyncio
import dataclasses
import socket
import struct
import threading

from harness import SANITIZED

# After every so many bytes of the answers a connection is reset, where tests reset it after each byte of who connects.
# All take long under a sanitizer.
ANSWERS_BETWEEN = 5 if SANITIZED else 1


@dataclasses.dataclass(frozen=True)
class Weather:
    piece: int = 65536  # the largest segment that is passed on
    delay: float = 0.0  # seconds before each
    # Bytes from who connected, and bytes of what it is answered; then both sides get RST.
    reset_after: int | None = None
    reset_answer_after: int | None = None


def reset(writer):
    """Ends the connection by RST, unless it has ended: nobody has said good-bye, and nothing on its way arrives."""
    connection = writer.get_extra_info("socket")
    if connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Use as a context manager; it runs on a thread of its own."""

    def __init__(self, target, weather=Weather()):
        self.target = target
        self.weather = weather
        self.port = None
        self.connections = 0  # that were made, ever
        self.carried = 0  # bytes from those who connected
        self.answered = 0  # bytes to them
        self.loop = asyncio.new_event_loop()
        self.up = None
        self.pairs = set()
        self.tasks = set()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result()
        return self

    def __exit__(self, kind, value, trace):
        asyncio.run_coroutine_threadsafe(self._end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def down(self):
        """From now on nothing passes either way, nobody is told, and who connects waits: a cable is pulled."""
        self.loop.call_soon_threadsafe(self.up.clear)

    def heal(self):
        self.loop.call_soon_threadsafe(self.up.set)

    def reset_all(self):
        """RST to both sides of all connections."""
        async def all_of_them():
            for writer in list(self.pairs):
                reset(writer)
        asyncio.run_coroutine_threadsafe(all_of_them(), self.loop).result()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def _listen(self):
        self.up = asyncio.Event()
        self.up.set()
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1024)
        self.port = self.server.sockets[0].getsockname()[1]

    async def _end(self):
        self.server.close()
        for task in list(self.tasks):
            task.cancel()
        for writer in list(self.pairs):
            writer.transport.abort()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        self.connections += 1
        task = asyncio.current_task()
        self.tasks.add(task)
        ends = [writer]
        try:
            await self.up.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            ends.append(back)
            self.pairs.update(ends)
            weather = self.weather
            if callable(weather):
                weather = weather(writer.get_extra_info("peername")[0])
            await asyncio.gather(self._carry(reader, back, ends, weather, weather.reset_after),
                                 self._carry(there, writer, ends, weather, weather.reset_answer_after),
                                 return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in ends:
                self.pairs.discard(each)
                each.transport.abort()
            self.tasks.discard(task)

    async def _carry(self, source, sink, ends, weather, left):
        """Until the source has ended, or `left` bytes are through."""
        sink.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while left is None or left > 0:
            most = weather.piece if left is None else min(weather.piece, left)
            data = await source.read(most)
            if not data:
                if sink.can_write_eof():
                    sink.write_eof()
                return
            if weather.delay:
                await asyncio.sleep(weather.delay)
            await self.up.wait()
            sink.write(data)
            await sink.drain()
            if sink is ends[1]:
                self.carried += len(data)
            else:
                self.answered += len(data)
            if left is not None:
                left -= len(data)
        for each in ends:
            reset(each)
