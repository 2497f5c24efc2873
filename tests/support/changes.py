# SPDX-License-Identifier: BSD-2-Clause
"""A site under load, with tunnels open, while noah is reloaded or upgraded again and again: nothing may fail, nothing may grow.

    with Place(directory) as place:
        place.begin(sockets=100, clients=4)
        place.reloads(200, seconds=300)
        place.end()                              # asserts that no request failed and no tunnel was dropped

tests/process/test_reload_load.py runs a sample of it, tests/soak/changes all of it.
"""
import asyncio
import contextlib
import http.client
import os
import re
import threading
import time

from .mariadb import free_port, wait_for
from .noah import Noah, local_address

PING_EVERY_S = 0.5
ANSWER_S = 20


class App:
    """Answers GET with "hello"; a request for an upgrade gets 101, and then whatever it sends comes back."""

    def __init__(self):
        self.address = local_address()
        self.loop = asyncio.new_event_loop()
        self.server = self.loop.run_until_complete(asyncio.start_server(self.serve, self.address, 0))
        self.port = self.server.sockets[0].getsockname()[1]
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    async def serve(self, reader, writer):
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if b"\r\nupgrade:" in head.lower():
                    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                    while data := await reader.read(65536):
                        writer.write(data)
                    break
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        writer.close()

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Tunnels:
    """Connections that were upgraded; each sends a line now and then and waits for it to come back."""

    def __init__(self, address, port):
        self.address, self.port = address, port
        self.dropped, self.open, self.echoes = [], 0, 0
        self.ending = False
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def add(self, count):
        async def start():
            return [asyncio.ensure_future(self.live(number)) for number in range(count)]
        before = self.open
        asyncio.run_coroutine_threadsafe(start(), self.loop).result(ANSWER_S)
        wait_for(lambda: self.dropped or self.open == before + count, 60, "the tunnels to be open")

    async def live(self, number):
        try:
            reader, writer = await asyncio.open_connection(self.address, self.port)
            writer.write(b"GET /socket HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), ANSWER_S)
            assert head.startswith(b"HTTP/1.1 101"), head
            self.open += 1
            while not self.ending:
                line = f"{number} {self.echoes}\n".encode()
                writer.write(line)
                assert await asyncio.wait_for(reader.readline(), ANSWER_S) == line
                self.echoes += 1
                await asyncio.sleep(PING_EVERY_S)
            writer.close()
        except (OSError, AssertionError, asyncio.IncompleteReadError, asyncio.TimeoutError) as fault:
            self.dropped.append(f"tunnel {number}: {fault!r}")
        finally:
            self.open -= 1

    def end(self):
        self.ending = True
        wait_for(lambda: self.open <= 0, 60, "the tunnels to end")
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)


class Clients:
    """Each asks again and again, on one connection until an answer says that it is the last."""

    def __init__(self, address, port, count):
        self.address, self.port = address, port
        self.failures, self.done, self.ending = [], 0, threading.Event()
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def run(self):
        while not self.ending.is_set():
            connection = http.client.HTTPConnection(self.address, self.port, timeout=ANSWER_S)
            try:
                while not self.ending.is_set():
                    connection.request("GET", "/", headers={"Host": "example.com"})
                    answer = connection.getresponse()
                    assert (answer.status, answer.read()) == (200, b"hello"), answer.status
                    self.done += 1
                    if answer.headers["Connection"] == "close":
                        break
            except (OSError, AssertionError, http.client.HTTPException) as fault:
                self.failures.append(f"after {self.done} requests: {fault!r}")
            connection.close()

    def end(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(ANSWER_S + 10)


class Place:
    def __init__(self, directory):
        self.directory = str(directory)
        self.apps = [App(), App()]
        self.address = local_address()
        self.port = free_port(self.address)
        self.number = 0
        self.noah = Noah(os.path.join(self.directory, "noah"), self.text(), arguments=["--threads", "2"])
        self.tunnels = self.clients = None

    def text(self):
        """Another weight, check and log each time, so that a reload has something to do."""
        self.number += 1
        apps = ", ".join(f"{{ server: web{index}:{app.port}, weight: {1 + (self.number + index) % 3} }}" for index, app in enumerate(self.apps))
        servers = "\n".join(f"  web{index}: {{ address: {app.address} }}" for index, app in enumerate(self.apps))
        return f"""
cluster: test
servers:
  front: {{ address: {self.address} }}
{servers}
sites:
  example.com:
    on: [front]
    listen: ["{self.address}:{self.port}"]
    apps: [{apps}]
    check: {{ tcp: true, every: 2s, timeout: {1 + self.number % 2}s }}
log: {{ access: {self.directory}/access{self.number % 2}.log }}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        try:
            for part in (self.clients, self.tunnels):
                if part is not None:
                    part.end()
        finally:
            self.noah.__exit__(kind, *rest)
            for app in self.apps:
                app.stop()

    def begin(self, sockets, clients):
        self.tunnels = Tunnels(self.address, self.port)
        self.tunnels.add(sockets)
        self.clients = Clients(self.address, self.port, clients)
        self.wait_for_work()

    def wait_for_work(self, requests=50):
        before = self.clients.done
        wait_for(lambda: self.clients.failures or self.clients.done >= before + requests, 60, "requests to be answered")

    def reload(self):
        self.noah.reload(self.text())

    def upgrade(self, new_sockets=0):
        self.noah.write(self.text())
        result = self.noah.command("upgrade", timeout=90)
        assert result.returncode == 0, result.stderr
        self.tunnels.add(new_sockets)

    def spread(self, count, seconds, deed):
        """Does it `count` times, evenly over that time; each time some requests are answered in between."""
        begun = time.monotonic()
        for number in range(count):
            deed()
            self.wait_for_work(20)
            rest = begun + seconds * (number + 1) / count - time.monotonic()
            if rest > 0:
                time.sleep(rest)  # the pace of a measurement, not a condition
            if self.clients.failures or self.tunnels.dropped:
                break

    def resident_kb(self):
        """Of all processes that serve now."""
        return sum(smaps(pid, "Rss") for pid in (self.noah.process.pid, self.noah.child("traffic"), self.noah.child("watch")))

    def retired_kb(self):
        """What each earlier generation has to itself, shared pages counted in parts."""
        return {old["pid"]: smaps(old["pid"], "Pss") for old in self.noah.status()["retired"]}

    def only_tunnels_are_left(self):
        """In the former generations. How many in which is not certain: just after an upgrade the former one may accept a last one."""
        found = [(old["open"], old["tunnels"]) for old in self.noah.status()["retired"]]
        assert all(count == tunnels for count, tunnels in found), found
        return True

    def problems(self):
        counters = self.noah.status()["counters"]
        return self.clients.failures[:5] + self.tunnels.dropped[:5] + [
            f"{counters[name]} {name}" for name in ("requests_failed", "answers_5xx") if counters[name]]


def smaps(pid, what):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        return int(re.search(rf"^{what}:\s+(\d+) kB", file.read(), re.M)[1])


def ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
