# SPDX-License-Identifier: BSD-2-Clause
"""The words with which a person breaks a running lab ("web1 kill"): typed into the demo, or sent with `python3 -m lab.ctl`.

The socket for the latter has an abstract name, so that no file is left behind.
"""
import os
import socket
import socketserver
import threading

from .apache import Apache
from .machine import LabError
from .mariadb import MariaDB

SOCKET_PREFIX = "noah-lab-"

HELP = """\
  SERVER kill         end its Apache, MariaDB or noah with SIGKILL; the server stays on the network
  SERVER start        start what is not running
  SERVER off | on     pull the plug: link down and every process gone; and back
  SERVER freeze | thaw        stop every process where it is (SIGSTOP), and let them go on
  SERVER cut | mend   silently drop every packet; mend also ends one-way and lose
  SERVER one-way OTHER        drop what SERVER sends to OTHER
  SERVER lose PERCENT drop so many packets of a hundred, in each direction
  SERVER fill | free  fill its disk, and free it
  WEB unwell | well   remove /servercheck.txt, and put it back
  REPLICA lag SECONDS apply everything so much late (0: at once)
  SERVER run COMMAND  run a shell command there
  status              noah's view of it all
  help                this
  quit                remove everything (as Ctrl-C does)"""


class Control:
    def __init__(self, lab):
        self.lab = lab
        self._lock = threading.Lock()  # one command at a time
        self._faults = {}  # server: what was added to the network for it
        self._server = None

    # ---- commands

    def do(self, line):
        """Carries out one line and returns what to say about it."""
        words = line.split()
        if not words:
            return ""
        with self._lock:
            try:
                return self._do(words)
            except (LabError, OSError, ValueError, IndexError) as problem:
                return f"that did not work: {problem}"

    def _do(self, words):
        if words == ["help"]:
            return HELP
        if words == ["status"]:
            return self.lab.noahs()[0].command("status", check=False).stdout.rstrip()
        name, verb, rest = words[0], (words[1:] or [""])[0], words[2:]
        if name not in self.lab.services:
            return f"there is no {name}; the servers are {', '.join(self.lab.services)}; help shows what can be done"
        action = {"kill": self._kill, "start": self._start, "off": self._off, "on": self._on, "freeze": self._freeze,
                  "thaw": self._thaw, "cut": self._cut, "one-way": self._one_way, "lose": self._lose, "mend": self._mend,
                  "fill": self._fill, "free": self._free, "unwell": self._unwell, "well": self._well, "lag": self._lag,
                  "run": self._run}.get(verb)
        if action is None:
            return f"{verb or 'that'} is not known; help shows what can be done"
        return action(name, *rest)

    def _kill(self, name):
        self.lab.kill(name)
        return f"{name}: killed; it comes back with: {name} start"

    def _start(self, name):
        self.lab.start_server(name)
        return f"{name}: runs"

    def _off(self, name):
        self.lab.power_off(name)
        return f"{name}: is off; it comes back with: {name} on"

    def _on(self, name):
        self.lab.power_on(name)
        return f"{name}: is on"

    def _freeze(self, name):
        self.lab.freeze(name)
        return f"{name}: frozen; it goes on with: {name} thaw"

    def _thaw(self, name):
        self.lab.thaw(name)
        return f"{name}: goes on"

    def _fault(self, name, fault):
        self._faults.setdefault(name, []).append(fault)

    def _cut(self, name):
        self._fault(name, self.lab.network.cut(name))
        return f"{name}: every packet from and to it is dropped; it ends with: {name} mend"

    def _one_way(self, name, other):
        if other not in self.lab.machines:
            return f"there is no {other}"
        self._fault(name, self.lab.network.cut_one_way(name, other))
        return f"{name}: what it sends to {other} is dropped; it ends with: {name} mend"

    def _lose(self, name, percent):
        self._fault(name, self.lab.network.lose(name, int(percent)))
        return f"{name}: {int(percent)} % of its packets are lost in each direction; it ends with: {name} mend"

    def _mend(self, name):
        for fault in self._faults.pop(name, []):
            fault.mend()
        return f"{name}: its cable is whole"

    def _fill(self, name):
        self.lab.machines[name].fill_disk()
        return f"{name}: not a byte is free; it ends with: {name} free"

    def _free(self, name):
        self.lab.machines[name].free_disk()
        return f"{name}: there is room again"

    def _service(self, name, kind, what):
        service = next((service for service in self.lab.services[name] if isinstance(service, kind)), None)
        if service is None:
            raise LabError(f"{name} has no {what}")
        return service

    def _unwell(self, name):
        self._service(name, Apache, "web server").remove_check_file()
        return f"{name}: /servercheck.txt is gone; it comes back with: {name} well"

    def _well(self, name):
        self._service(name, Apache, "web server").put_check_file()
        return f"{name}: /servercheck.txt is there"

    def _lag(self, name, seconds):
        database = self._service(name, MariaDB, "database")
        if database.follows is None:
            raise LabError(f"{name} is not a replica")
        database.hold(int(seconds))
        return f"{name}: applies everything {int(seconds)} s late"

    def _run(self, name, *words):
        result = self.lab.machines[name].run(["sh", "-c", " ".join(words)], check=False)
        return (result.stdout + result.stderr).rstrip()

    # ---- from another terminal

    def listen(self):
        """Serves `python3 -m lab.ctl` until the process ends."""
        control = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                self.wfile.write((control.do(self.rfile.readline(4096).decode("utf-8", "replace")) + "\n").encode())

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        self._server = Server(f"\0{SOCKET_PREFIX}{os.getpid()}", Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def running_labs():
    """The names of the sockets of the labs that listen now."""
    with open("/proc/net/unix", encoding="utf-8") as file:
        names = {line.split()[-1][1:] for line in file if f"@{SOCKET_PREFIX}" in line}
    return sorted(names)


def send(name, line):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(f"\0{name}")
        connection.sendall(line.encode() + b"\n")
        with connection.makefile(encoding="utf-8") as answer:
            return answer.read().rstrip()
