# SPDX-License-Identifier: BSD-2-Clause
"""Slow visitors: slowhttptest's four modes, CONNECTIONS at once, and beside them somebody who wants a page at once.

The probe is a GET on a connection of its own, again and again, from the moment when all slow visitors have begun. The server behind
gives everybody the same PAGE_BYTES. Counted are also the visitors who are still there at the
end, and the connections to the server that they keep busy.
"""
import os
import statistics
import subprocess
import time

from loads import get_once
from proxies import BUILD, LOAD_CPU, Nginx, NoahProxy, pinned, start_printing_port, stop

# More would measure the kernel: all sockets of the machine together have net.ipv4.tcp_mem, and here both ends are on it.
PAGE_BYTES = 100_000
CONNECTIONS_A_SECOND = 1000
PROBE_EVERY_S = 0.01
# mode -> what slowhttptest is told; each sends or takes some bytes every few seconds.
MODES = {
    "slow heads": ["-H", "-i", "5", "-x", "24"],
    "slow bodies": ["-B", "-i", "5", "-s", "8192", "-x", "10"],
    "many ranges": ["-R", "-a", "1", "-b", "2000", "-t", "GET"],
    "slow readers": ["-X", "-w", "512", "-y", "1024", "-n", "5", "-z", "32"],
}


def start(lab, with_noah, has_nginx):
    """The server, and the fronts before it; the lab ends them."""
    process, port = start_printing_port(LOAD_CPU, [os.path.join(BUILD, "bench/backend"), "127.0.0.2", str(PAGE_BYTES)])
    lab.stack.callback(stop, process)
    backend = ("127.0.0.2", port)
    fronts = [lab.keep(NoahProxy(os.path.join(lab.directory, "noah-slow"), backend, [], lab.certificate))] if with_noah else []
    if has_nginx:
        directory = os.path.join(lab.directory, "nginx-slow")
        os.mkdir(directory)
        fronts.append(lab.keep(Nginx(directory, backend, lab.certificate)))
    return backend, fronts


class Visitors:
    """slowhttptest; it ends when all its connections have, and is then started again."""

    def __init__(self, address, mode, count):
        self.command = ["slowhttptest", *MODES[mode], "-c", str(count), "-r", str(CONNECTIONS_A_SECOND), "-l", "3600", "-u",
                        f"http://{address[0]}:{address[1]}/"]
        self.process = None
        self.go_on()

    def go_on(self):
        if self.process is None or self.process.poll() is not None:
            with pinned(LOAD_CPU):
                self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        stop(self.process)


def connections_at(port):
    """How many are established at this port of ours, at its end."""
    with open("/proc/net/tcp", encoding="ascii") as file:
        rows = [line.split() for line in file][1:]
    return sum(row[3] == "01" and int(row[1].split(":")[1], 16) == port for row in rows)


def probe(address, visitors, seconds):
    """Times in ms of one GET after the other, in order of size, and how many failed."""
    times, failed = [], 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        visitors.go_on()
        began = time.monotonic()
        try:
            get_once(address)
        except OSError:
            failed += 1
        times.append((time.monotonic() - began) * 1000)
        time.sleep(PROBE_EVERY_S)
    return sorted(times), failed


def measure(fronts, backend, seconds, count, progress):
    result = {}
    for mode in MODES:
        for proxy in fronts:
            with Visitors(proxy.http, mode, count) as visitors, pinned(LOAD_CPU):
                probe(proxy.http, visitors, count / CONNECTIONS_A_SECOND + 1)
                times, failed = probe(proxy.http, visitors, seconds)
                there, behind = connections_at(proxy.http[1]), connections_at(backend[1])
            row = {"p50_ms": statistics.median(times), "p99_ms": times[int(len(times) * 0.99)], "most_ms": times[-1], "probes": len(times),
                   "failed": failed, "visitors": there, "at_server": behind}
            result[f"{proxy.name}, {mode}"] = row
            progress(f"{proxy.name}, {mode}: {row}")
    return result
