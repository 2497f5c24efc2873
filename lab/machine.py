# SPDX-License-Identifier: BSD-2-Clause
"""One machine of the lab: its own network, processes, host name, /etc, /run, /var/log and disk, made of Linux namespaces.

    with Machine("web1") as machine:
        machine.spawn(["apache2", "-DFOREGROUND", …], log="/var/log/lab/apache")
        machine.run(["ip", "addr"])
        with machine.inside():                  # this thread's new sockets belong to the machine
            socket.create_connection(…)

Nothing is registered anywhere on the host (no /run/netns, no directory): when the process that made a machine ends, in whatever
way, the kernel removes the machine, its processes, mounts and links.
"""
import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

CLONE_NEWNET = 0x40000000
DISK = "/run/disk"  # inside: where services keep their data; a memory file system of limited size
LOGS = "/var/log/lab"
DISK_BYTES = 1 << 30
INIT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "init.py")

_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    pass


class Ended(LabError):
    """What was waited for will not come: its process has ended."""


def wait_for(condition, seconds=30, what="the condition", every=0.02):
    """Polls until condition() is true and returns its value; after `seconds` fails with `what` and what was seen last."""
    deadline = time.monotonic() + seconds
    while True:
        last = None
        try:
            value = condition()
            if value:
                return value
            last = value
        except Ended:
            raise
        except Exception as problem:  # pylint: disable=broad-except
            # Whatever is not there yet: refused connections, missing files, half-started servers.
            last = problem
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s for {what}; last seen: {last!r}")
        time.sleep(every)


def _set_network(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise LabError(f"setns: {os.strerror(number)}")


class Machine:
    def __init__(self, name, disk_bytes=DISK_BYTES):
        self.name = name
        self._lock = threading.Lock()
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # A session of its own: Ctrl-C at the terminal is for the lab, which then ends its machines in order.
        self._keeper = subprocess.Popen(["/usr/bin/python3", "-ISE", INIT, name, str(disk_bytes), str(other.fileno())],
                                        pass_fds=[other.fileno()], stdin=subprocess.DEVNULL, start_new_session=True)
        other.close()
        self._channel.settimeout(30)
        found = {}
        try:
            while "pid" not in found or "ready" not in found:
                found.update(self._receive())
        except LabError:
            self.close()
            raise
        self.pid = found["pid"]
        self._pid_namespace = os.readlink(f"/proc/{self.pid}/ns/pid")
        self._network = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def close(self):
        """Ends the machine and everything in it. Harmless when done already."""
        self._channel.close()
        if getattr(self, "_network", None) is not None:
            os.close(self._network)
            self._network = None
        try:
            self._keeper.wait(20)
        except subprocess.TimeoutExpired:
            self._keeper.kill()
            self._keeper.wait()

    def _receive(self):
        try:
            message = self._channel.recv(65536)
        except OSError as problem:
            raise LabError(f"{self.name}: its first process does not answer: {problem}") from None
        if not message:
            raise LabError(f"{self.name}: its first process is gone")
        reply = json.loads(message)
        if "error" in reply:
            raise LabError(f"{self.name}: {reply['error']}")
        return reply

    def _ask(self, request):
        with self._lock:
            try:
                self._channel.send(json.dumps(request).encode())
            except OSError as problem:
                raise LabError(f"{self.name}: its first process does not answer: {problem}") from None
            return self._receive()

    # ---- running things in it

    def spawn(self, argv, log, environment=None):
        """Starts a program that goes on; its output is appended to the file `log` (inside)."""
        self._ask({"spawn": [str(word) for word in argv], "log": log, "environment": environment or {}})

    def command(self, argv):
        """The command of the host that runs a program in the machine."""
        return ["nsenter", "-t", str(self.pid), "-n", "-m", "-u", "-i", "-p", "--", *map(str, argv)]

    def run(self, argv, check=True, timeout=60, stdin=None):
        """Runs a program to its end; returns the CompletedProcess with stdout and stderr as text."""
        result = subprocess.run(self.command(argv), stdin=subprocess.DEVNULL if stdin is None else None, input=stdin,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout, check=False,
                                start_new_session=True)
        if check and result.returncode != 0:
            raise LabError(f"{self.name}: {' '.join(map(str, argv))} ended with {result.returncode}: "
                           f"{(result.stderr or result.stdout).strip()}")
        return result

    @contextlib.contextmanager
    def inside(self):
        """While this lasts, the calling thread's new sockets (and the programs it starts) are in the machine's network."""
        with open("/proc/thread-self/ns/net", "rb") as home:
            _set_network(self._network)
            try:
                yield self
            finally:
                _set_network(home.fileno())

    # ---- files

    def path(self, inside):
        """Where a file of the machine is for this process. Do not follow symbolic links with it: they would lead to the host's
        files."""
        return f"/proc/{self.pid}/root{inside}"

    def write(self, inside, text, mode=0o644, owner=None):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), mode)
            if owner is not None:
                shutil.chown(file.fileno(), *owner)
            file.write(text)

    def read(self, inside):
        with open(self.path(inside), encoding="utf-8", errors="replace") as file:
            return file.read()

    def exists(self, inside):
        return os.path.lexists(self.path(inside))

    def tail(self, inside, size=2000):
        """The end of a log."""
        return self.read(inside)[-size:] if self.exists(inside) else "(no log)"

    def remove(self, inside):
        os.unlink(self.path(inside))

    def fill_disk(self):
        """Leaves not one free byte on the machine's disk."""
        with open(self.path(f"{DISK}/fill"), "ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):  # ends when each size no longer fits: bounded by the disk's size
                block = b"\0" * size
                try:
                    while file.write(block):
                        pass
                except OSError:
                    continue

    def free_disk(self):
        with contextlib.suppress(FileNotFoundError):
            self.remove(f"{DISK}/fill")

    def save_logs(self, directory):
        """Copies the machine's logs to a directory of the host."""
        shutil.copytree(self.path("/var/log"), os.path.join(directory, self.name), dirs_exist_ok=True, symlinks=True)

    # ---- its processes

    def processes(self):
        """{pid as seen here: name} of all processes but the first one."""
        found = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit() and int(entry) != self.pid:
                try:
                    if os.readlink(f"/proc/{entry}/ns/pid") == self._pid_namespace:
                        with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                            stat = file.read()
                        if stat.rpartition(")")[2].split()[0] not in "ZX":
                            found[int(entry)] = stat.partition("(")[2].rpartition(")")[0]
                except OSError:
                    pass  # ended meanwhile
        return found

    def find(self, *names):
        """The pids (as seen here) of the processes with these names."""
        return [pid for pid, name in self.processes().items() if name in names]

    def signal(self, number, *names):
        """Sends a signal to all processes of these names; without names to all."""
        if not names:
            self._ask({"signal_all": int(number)})
            return
        for pid in self.find(*names):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill_all(self):
        """SIGKILL to everything, and waits until nothing is left."""
        def empty():
            self.signal(signal.SIGKILL)
            return not self.processes()
        wait_for(empty, 20, f"{self.name} to be empty")

    def memory_kilobytes(self, *names):
        """Resident memory of these processes, pages that several share counted once (the sum of the proportional sizes)."""
        total = 0
        for pid in self.find(*names):
            with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        return total


def need_root():
    if os.geteuid() != 0:
        sys.exit("the lab makes network namespaces: please run it as root (sudo)")
