# SPDX-License-Identifier: BSD-2-Clause
"""A small site for tests: some app servers (app.py) behind one noah, and visitors."""
import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import threading
import time

from support.noah import Noah, free_port, local_address, wait_for

SANITIZED = "san" in os.environ.get("NOAH", "")


class App:
    def __init__(self, directory, name, idle_s=60):
        self.name, self.idle_s = name, idle_s
        self.address = local_address()
        self.port = free_port(self.address)
        self.count_file = os.path.join(directory, f"{name}.count")
        self.process = None
        self.start()

    def start(self):
        self.process = subprocess.Popen(["/usr/bin/python3", os.path.join(os.path.dirname(__file__), "app.py"), self.address,
                                         str(self.port), self.name, self.count_file, str(self.idle_s)])
        wait_for(self._listens, 20, f"{self.name} to listen")

    def _listens(self):
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
            return True
        return False

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def counted(self):
        """The ids of the POSTs that it has carried out."""
        if not os.path.exists(self.count_file):
            return []
        with open(self.count_file, encoding="ascii") as file:
            return file.read().split()


class Site:
    """More for the site and more sites come as text for the cluster file; check, timeouts can be replaced."""

    def __init__(self, directory, apps=("web1", "web2"), idle_s=60, weights=None, options="", check=None, timeouts=None,
                 body="0", more="", threads=1, start=True):
        self.directory = str(directory)
        self.apps = [App(self.directory, name, idle_s) for name in apps]
        self.address = local_address()
        self.port = free_port(self.address)
        self.weights = weights or [1] * len(self.apps)
        self.check = check or "{ get: /check, every: 200ms, timeout: 200ms, rise: 1, fall: 2 }"
        self.timeouts = timeouts or "{ connect: 1s, answer: 60s, request: 10s, idle: 60s }"
        self.options, self.body, self.more = options, body, more
        self.log_file = os.path.join(self.directory, "access.log")
        self.noah = Noah(directory, self.text(), arguments=["--threads", str(threads)], start=start)

    def text(self):
        servers = "\n".join(f"  {app.name}: {{ address: {app.address} }}" for app in self.apps)
        apps = ", ".join(f"{{ server: {app.name}:{app.port}, weight: {weight} }}" for app, weight in zip(self.apps, self.weights))
        return f"""
cluster: example.com
servers:
  front: {{ address: {self.address} }}
{servers}
sites:
  example.com:
    on: [front]
    listen: ["{self.address}:{self.port}"]
    apps: [{apps}]
    check: {self.check}
    timeouts: {self.timeouts}
    body: {self.body}
{self.options}
{self.more}
log: {{ access: {self.log_file} }}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        try:
            self.noah.__exit__(kind, *ignored)
        finally:
            for app in self.apps:
                if app.process is not None:
                    app.signal(signal.SIGCONT)
                app.kill()

    def connect(self, timeout=30):
        return http.client.HTTPConnection(self.address, self.port, timeout=timeout)

    def socket(self, timeout=30):
        return socket.create_connection((self.address, self.port), timeout)

    def get(self, path="/", host="example.com", timeout=30):
        with contextlib.closing(self.connect(timeout)) as connection:
            connection.request("GET", path, headers={"Host": host})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers

    def log(self):
        with open(self.log_file, encoding="utf-8") as file:
            return file.read()

    def wait_for_log(self, pattern, seconds=5):
        wait_for(lambda: re.search(pattern, self.log()), seconds, f"{pattern} in the access log")

    def anonymous_bytes(self):
        """Of the traffic process: its own memory, without the pages it shares."""
        with open(f"/proc/{self.noah.child('traffic')}/smaps_rollup", encoding="ascii") as file:
            return 1024 * int(re.search(r"^Anonymous: +(\d+) kB", file.read(), re.M).group(1))


class Visitors:
    """Threads that send GET / and, every third time, POST /count with an id of its own, on connections that they keep."""

    def __init__(self, site, threads=6):
        self.site, self.stop = site, threading.Event()
        self.gets, self.failed_gets = 0, []
        self.posts, self.failed_posts = [], []  # ids
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(threads)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *ignored):
        self.stop.set()
        for thread in self.threads:
            thread.join(90)
            assert not thread.is_alive()

    def answered(self):
        with self.lock:
            return self.gets + len(self.posts)

    def wait_for_more(self, count, seconds=60):
        goal = self.answered() + count
        wait_for(lambda: self.answered() >= goal, seconds, f"{count} more answers")

    def _run(self, number):
        connection, turn = self.site.connect(90), 0
        while not self.stop.is_set():
            turn += 1
            identity = f"{number}-{turn}" if turn % 3 == 0 else None
            try:
                if identity:
                    connection.request("POST", "/count", body=b"x", headers={"X-Id": identity})
                else:
                    connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                right = answer.status == 200
                what = f"{answer.status} {body[:200]}"
            except (OSError, http.client.HTTPException) as error:
                right, what = False, repr(error)
                connection.close()
            with self.lock:
                self._note(identity, right, what)
            time.sleep(0.002)
        connection.close()

    def _note(self, identity, right, what):
        if identity:
            (self.posts if right else self.failed_posts).append(identity)
        elif right:
            self.gets += 1
        else:
            self.failed_gets.append(what)

    def check(self):
        """No GET has failed; each POST was carried out at most once, each that was answered exactly once."""
        done = [identity for app in self.site.apps for identity in app.counted()]
        assert self.failed_gets == []
        assert len(done) == len(set(done)), "a POST was carried out twice"
        assert set(self.posts) <= set(done), "a POST that was answered was not carried out"
