# SPDX-License-Identifier: BSD-2-Clause
"""The demo as a person starts it, and its story in the short form."""
import contextlib
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from lab import control
from lab.machine import wait_for

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Running:
    """A program, and what it has printed so far."""

    def __init__(self, *arguments):
        self.text = ""
        self.process = subprocess.Popen([sys.executable, "-u", "-m", "lab.demo", *arguments], cwd=REPOSITORY, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.text += line

    def wait_for(self, pattern, seconds=60):
        def found():
            if self.process.poll() is not None and not self._reader.is_alive() and not re.search(pattern, self.text):
                pytest.fail(f"it ended without {pattern!r}:\n{self.text}")
            return re.search(pattern, self.text)
        return wait_for(found, seconds, f"{pattern!r} in its output")

    def type(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self, seconds=60):
        self.process.wait(seconds)
        self._reader.join(seconds)
        return self.process.returncode


@pytest.fixture
def demo():
    running = Running()
    yield running
    with contextlib.suppress(ProcessLookupError):
        os.kill(running.process.pid, signal.SIGKILL)
    running.end()


def fetch(address):
    return subprocess.run(["curl", "-s", "-m", "20", "-w", "%{http_code}", address], stdout=subprocess.PIPE, text=True,
                          check=False).stdout


def test_the_demo_can_be_used_and_broken(demo):
    address = demo.wait_for(r"The site is at\s+(http://\S+)").group(1)
    page = fetch(address)
    assert page.endswith("200") and "Two of everything" in page and re.search("answered by web[12]", page)
    demo.wait_for(r"web1:8080 up .*db1:3306 primary")  # the live line

    demo.type("web1 kill")
    demo.wait_for("web1: killed")
    for _ in range(4):
        assert "answered by web2" in fetch(address)
    demo.wait_for("web1:8080 down")
    name = f"{control.SOCKET_PREFIX}{demo.process.pid}"
    assert name in control.running_labs()
    result = subprocess.run([sys.executable, "-m", "lab.ctl", "--lab", name, "web1", "start"], cwd=REPOSITORY, text=True,
                            stdout=subprocess.PIPE, check=False)
    assert result.returncode == 0 and result.stdout == "web1: runs\n"
    wait_for(lambda: "answered by web1" in fetch(address), 30, "web1 to answer again")

    demo.type("db2 lag 5")
    demo.wait_for("db2: applies everything 5 s late")
    demo.type("db1 lag 5")
    demo.wait_for("db1 is not a replica")
    demo.type("web9 kill")
    demo.wait_for("there is no web9")
    demo.type("db2 run hostname")
    demo.wait_for(r"(?m)^db2$")
    demo.type("status")
    demo.wait_for(r"database main")
    demo.type("quit")
    assert demo.end() == 0, demo.text
    assert name not in control.running_labs()
    assert not os.path.exists(f"/sys/class/net/noahlab{demo.process.pid}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_demo_ends_by_a_signal_at_any_time(number):
    running = Running()
    try:
        running.wait_for("is the primary")  # in the middle of being made
        os.kill(running.process.pid, number)
        assert running.end() == 0, running.text
        assert not os.path.exists(f"/sys/class/net/noahlab{running.process.pid}")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.process.pid, signal.SIGKILL)


def test_the_story(record_property):
    running = Running("--check", "--quick")
    code = running.end(600)
    record_property("report", running.text)
    assert code == 0, running.text
