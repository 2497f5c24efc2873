# SPDX-License-Identifier: BSD-2-Clause
"""Runs noah for a test: a cluster file, its own control socket, its log, and checks at the end that nothing was amiss.

    with Noah(tmp_path, text) as noah:          # started and ready: both children run, every target was checked once
        ... talk to it ...
        noah.reload(new_text)
        assert "up" in noah.target("web1:8080")["health"]

The binary is $NOAH, default build/noah. A test that ends leaves no process; a sanitizer's report in the log fails it.
Ports: local_address() gives each user its own address in 127.0.0.0/8, and free_port(address) a port on it, so that tests that
run side by side do not meet.
"""
import atexit
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile

from .mariadb import free_port, wait_for  # noqa: F401 (both are for tests too)

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BINARY = os.path.abspath(os.environ.get("NOAH", os.path.join(ROOT, "build", "noah")))
SANITIZER_REPORTS = ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:")
ASSERTION = "assertion failed"

_running = []


def local_address():
    """One of 16 million loopback addresses, so that nobody else listens there."""
    return f"127.{random.randint(16, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def run_noah(*arguments, timeout=30, **more):
    """One command of noah, its output as text."""
    return subprocess.run([BINARY, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, check=False, **more)


class Noah:
    def __init__(self, directory, text, server="front", arguments=(), start=True, expect_crashes=False, prefix=()):
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.file = os.path.join(self.directory, "noah.yaml")
        self.log_file = os.path.join(self.directory, "noah.log")
        # Unix sockets' paths may be 107 bytes; pytest's directories are longer.
        self.run_directory = tempfile.mkdtemp(prefix="noah-run-")
        os.chmod(self.run_directory, 0o755)
        self.control = os.path.join(self.run_directory, "noah.sock")
        self.server = server
        self.arguments = list(arguments)
        self.prefix = list(prefix)  # a command that sets something and then executes noah
        self.expect_crashes = expect_crashes
        self.process = None
        self.write(text)
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        if kind is None:
            self.close()
        else:
            print("---- noah's log\n" + self.log())
            self._end()

    # ---- the process

    def write(self, text):
        with open(self.file, "w", encoding="utf-8") as file:
            file.write(text)

    def start(self, wait=True):
        assert self.process is None
        with open(self.log_file, "a", encoding="utf-8") as log:
            # As root this runs the children as "nobody", so that tests need no account of their own.
            user = ["--user", "nobody"] if os.geteuid() == 0 and "--user" not in self.arguments else []
            self.process = subprocess.Popen([*self.prefix, BINARY, "run", self.file, "--server", self.server, "--control", self.control,
                                             *user, *self.arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _running.append(self)
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=30):
        """Both children run, and every target has been checked."""
        wait_for(self._is_ready, seconds, "noah to be ready")

    def _is_ready(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"noah ended with {self.process.returncode}:\n{self.log()}")
        status = self.status()
        return status["ready"] and all(target["health"] != "not checked yet" for target in status["targets"])

    def stop(self, seconds=60):
        """Asks it to end and waits; returns the exit code."""
        if self.process is None:
            return None
        self.process.terminate()
        return self._wait(seconds)

    def _wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"noah did not end within {seconds} s:\n{self.log()}") from None
        finally:
            self._forget()

    def _forget(self):
        self.process = None
        if self in _running:
            _running.remove(self)

    def _end(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                self._wait(10)
        shutil.rmtree(self.run_directory, ignore_errors=True)

    def close(self):
        """Ends it at once (the second signal does not wait for clients) and checks what it left behind."""
        self._end()
        self.check_log()

    def check_log(self):
        log = self.log()
        for report in SANITIZER_REPORTS + (() if self.expect_crashes else (ASSERTION,)):
            assert report not in log, f"{report} in noah's log:\n{log}"
        # At a stop the children end by themselves, without a fault.
        assert "has ended: signal" not in log and "has ended: exit code 1" not in log, log

    def log(self):
        with open(self.log_file, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_for_log(self, text, seconds=30):
        wait_for(lambda: text in self.log(), seconds, f"{text!r} in the log")

    # ---- talking to it

    def command(self, name, *arguments, timeout=30):
        return run_noah(name, "--control", self.control, *arguments, timeout=timeout)

    def status(self):
        """`noah status --json` as a dictionary."""
        result = self.command("status", "--json")
        if result.returncode != 0:
            raise OSError(f"noah status: {result.stderr.strip()}")
        return json.loads(result.stdout)

    def reload(self, text=None, expect=0):
        """Writes the file anew when given, reloads, and returns what `noah reload` printed (both streams)."""
        if text is not None:
            self.write(text)
        result = self.command("reload")
        output = result.stdout + result.stderr
        assert result.returncode == expect, output
        return output

    def child(self, name):
        """The pid of a child, None while it is being restarted."""
        return next((child["pid"] for child in self.status()["processes"] if child["name"] == name and child["pid"]), None)

    def targets(self, part):
        """All rows of the status whose address or key contains `part`."""
        return [target for target in self.status()["targets"] if part in target["key"] or part in target["address"]]

    def target(self, part):
        """The one row of the status whose key or address contains `part`."""
        found = self.targets(part)
        assert len(found) == 1, f"{part}: {found}"
        return found[0]

    def wait_for_health(self, part, health, seconds=30):
        wait_for(lambda: self.target(part)["health"] == health, seconds, f"{part} to be {health}")

    def database(self, name):
        return next(database for database in self.status()["databases"] if database["name"] == name)

    def counter(self, name):
        return self.status()["counters"][name]


@atexit.register
def _stop_all():
    for noah in list(_running):
        noah._end()
