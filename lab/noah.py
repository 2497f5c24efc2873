# SPDX-License-Identifier: BSD-2-Clause
"""noah on a machine of the lab. Called by lab.py."""
import json
import os
import signal
import subprocess

from .machine import LOGS, Ended, LabError, wait_for
from .service import Service

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.path.abspath(os.environ.get("NOAH", os.path.join(REPOSITORY, "build", "noah")))
FILE = "/etc/noah/noah.yaml"
LOG = f"{LOGS}/noah.log"
# A report of a sanitizer, or noah's own: a fault of the program, whatever else went well.
FAULTS = ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:", "assertion failed")


def has_sanitizer():
    with open(BINARY, "rb") as file:
        content = file.read()
    return b"__asan_init" in content or b"__tsan_init" in content


class Noah(Service):
    names = (os.path.basename(BINARY)[:15], "noah-traffic", "noah-watch")  # the supervisor and its children
    title = "noah"

    def __init__(self, machine, text, passwords):
        """`text`: the cluster file; `passwords`: {file: text}."""
        self.machine = machine
        if not os.access(BINARY, os.X_OK):
            raise LabError(f"{BINARY}: not there; please run make first (or set NOAH)")
        machine.write(FILE, text)
        os.makedirs(machine.path("/run/noah"), exist_ok=True)
        for file, password in passwords.items():
            machine.write(file, password + "\n", mode=0o600)

    def launch(self):
        self.machine.spawn([BINARY, "run", FILE, "--server", self.machine.name, "--user", "noah"], log=LOG)

    def start(self):
        self.launch()
        wait_for(self.is_ready, 60, f"noah on {self.machine.name} to be ready")

    def is_ready(self):
        if not self.is_running():
            raise Ended(f"noah on {self.machine.name} has ended: {self.machine.tail(LOG)}")
        status = self.status()
        return status["ready"] and all(target["health"] != "not checked yet" for target in status["targets"])

    def stop(self):
        """As an administrator would: it finishes what is under way."""
        self.machine.signal(signal.SIGTERM, self.names[0])
        wait_for(lambda: not self.is_running(), 90, f"noah on {self.machine.name} to end")

    # ---- talking to it

    def command(self, *words, check=True):
        return self.machine.run([BINARY, *words], check=check)

    def status(self):
        return json.loads(self.command("status", "--json").stdout)

    def status_lines(self, every_s=1):
        """A Popen that prints noah's one-line view again and again, until it is ended or noah ends."""
        return subprocess.Popen(self.machine.command([BINARY, "status", "--every", every_s]), stdin=subprocess.DEVNULL, text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)

    def counters(self):
        return self.status()["counters"]

    def target(self, address):
        """The state of the app or database server at HOST:PORT."""
        found = [target for target in self.status()["targets"] if target["address"] == address]
        if len(found) != 1:
            raise LabError(f"{address}: {len(found)} targets in noah's status")
        return found[0]

    def wait_for_health(self, address, health, seconds=30):
        wait_for(lambda: self.target(address)["health"] == health, seconds, f"noah to see {address} {health}", every=0.1)

    def children(self):
        """{name: pid as seen here} of the processes that the supervisor has started."""
        inner = {}
        for pid in self.machine.find(*self.names):
            with open(f"/proc/{pid}/status", encoding="utf-8") as file:
                numbers = next(line for line in file if line.startswith("NSpid:")).split()
            inner[int(numbers[-1])] = pid
        return {process["name"]: inner[process["pid"]] for process in self.status()["processes"] if process["pid"] in inner}

    def memory_kilobytes(self):
        return self.machine.memory_kilobytes(*self.names)

    def log(self):
        return self.machine.read(LOG) if self.machine.exists(LOG) else ""

    def faults(self):
        """Lines of the log that show a fault of the program itself."""
        return [line for line in self.log().splitlines() if any(fault in line for fault in FAULTS)]
