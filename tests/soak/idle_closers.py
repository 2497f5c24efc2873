#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Servers that close idle connections whenever they like, without a word: no visitor may notice.

    tests/soak/idle_closers.py [--requests 1000000] [--connections 48]

Two servers (processes of their own) close most connections some time between 0 and 20 ms after an answer, so again and again just
when noah sends the next request there. Prints how many GETs had their whole answer, what the others had, and how often noah
sent one again. Not one may fail.
"""
import argparse
import asyncio
import collections
import json
import os
import random
import subprocess
import sys
import tempfile
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
sys.path.insert(0, ROOT)
sys.dont_write_bytecode = True
from tests.support.noah import Noah, free_port, local_address, wait_for  # noqa: E402

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nwhole\n"
REQUEST = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n"
CLOSED_PERCENT = 20  # of answers: behind them the connection ends


class Server(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.data = transport, b""

    def data_received(self, data):
        self.data += data
        while b"\r\n\r\n" in self.data:
            self.data = self.data.split(b"\r\n\r\n", 1)[1]
            self.transport.write(ANSWER)
            if random.random() * 100 < CLOSED_PERCENT:
                delay = random.choice((0, 0, 0.0001, 0.001, random.random() / 50))
                asyncio.get_running_loop().call_later(delay, self.close)

    def close(self):
        # Like a server that has not seen a request that is on its way: what arrives now is answered with a reset.
        self.transport.close()


async def serve(address, port):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Server, address, port, backlog=512)
    await server.serve_forever()


class Visitor(asyncio.Protocol):
    """Sends one request after the other, now and then with a pause, so that the pool behind noah has idle connections."""

    def __init__(self, visit):
        self.visit, self.data, self.transport = visit, b"", None

    def connection_made(self, transport):
        self.transport = transport
        self.ask()

    def ask(self):
        if self.visit.left == 0:
            self.transport.close()
            self.visit.ended()
            return
        self.visit.left -= 1
        self.transport.write(REQUEST)

    def data_received(self, data):
        self.data += data
        head, found, body = self.data.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().split(b"content-length:")[1].split()[0]):
            return
        self.visit.answers[head.split()[1].decode() if body == b"whole\n" or head.split()[1] != b"200" else "wrong body"] += 1
        self.data = b""
        if random.random() < 0.05:
            asyncio.get_running_loop().call_later(random.random() / 50, self.ask)
        else:
            self.ask()

    def connection_lost(self, error):
        if self.visit.running and self.visit.left > 0:
            self.visit.answers["connection lost"] += 1
            self.visit.ended()


class Visit:
    def __init__(self, requests, connections):
        self.left, self.connections, self.running = requests, connections, connections
        self.answers = collections.Counter()
        self.done = None

    def ended(self):
        self.running -= 1
        if self.running == 0 and not self.done.done():
            self.done.set_result(None)

    async def run(self, address, port):
        loop = asyncio.get_running_loop()
        self.done = loop.create_future()
        for _ in range(self.connections):
            await loop.create_connection(lambda: Visitor(self), address, port)
        await self.done


def cluster_file(address, port, servers, log):
    names = "\n".join(f"  web{number}: {{ address: {server} }}" for number, (server, _) in enumerate(servers))
    apps = ", ".join(f"web{number}:{its_port}" for number, (_, its_port) in enumerate(servers))
    return f"""
cluster: example.com
servers:
  front: {{ address: {address} }}
{names}
sites:
  example.com:
    on: [front]
    listen: ["http:{address}:{port}"]
    apps: [{apps}]
    check: {{ tcp: true, every: 2s, timeout: 2s }}
log: {{ access: {log} }}
"""


def run(requests, connections):
    """(answers by status, counters of noah, seconds)"""
    servers = []
    processes = []
    with tempfile.TemporaryDirectory(prefix="noah-idle-") as directory:
        os.chmod(directory, 0o755)
        try:
            for _ in range(2):
                address = local_address()
                servers.append((address, free_port(address)))
                processes.append(subprocess.Popen([sys.executable, __file__, "--serve", address, str(servers[-1][1])]))
            address = local_address()
            port = free_port(address)
            with Noah(directory, cluster_file(address, port, servers, os.path.join(directory, "access.log")),
                      arguments=["--threads", "2"]) as noah:
                wait_for(lambda: all(target["health"] == "up" for target in noah.status()["targets"]), 30, "the servers to be up")
                visit, began = Visit(requests, connections), time.monotonic()
                asyncio.run(visit.run(address, port))
                return visit.answers, noah.status()["counters"], time.monotonic() - began
        finally:
            for process in processes:
                process.kill()
                process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--requests", type=int, default=1000000)
    parser.add_argument("--connections", type=int, default=48)
    parser.add_argument("--serve", nargs=2)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve[0], int(options.serve[1])))
        return 0
    answers, counters, seconds = run(options.requests, options.connections)
    print(json.dumps({"answers": dict(answers), "retries": counters["retries"], "seconds": round(seconds, 1),
                      "opened": counters["server_connections_opened"], "reused": counters["server_connections_reused"]}))
    whole = dict(answers) == {"200": options.requests}
    print("ok idle_closers" if whole and counters["retries"] > 0 else f"FAILED idle_closers: {dict(answers)}")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
