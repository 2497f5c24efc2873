# SPDX-License-Identifier: BSD-2-Clause
"""A small site for the cluster tests, and loads on it that write down what goes wrong."""
import contextlib
import os
import threading

import pymysql

from lab.apache import ROOT
from lab.machine import wait_for
from lab.visitor import Client

FRONT = "10.213.80.10"
FILE = """
cluster: test
servers:
  front: { address: 10.213.80.10, public: 10.213.80.10 }
  web1: { address: 10.213.80.11 }
  web2: { address: 10.213.80.12 }
  db1: { address: 10.213.80.21 }
  db2: { address: 10.213.80.22 }
sites:
  test.example:
    on: [front]
    apps: [web1:8080, web2:8080]
    check: { get: /servercheck.txt, every: 500ms, timeout: 500ms, rise: 2, fall: 2 }
    timeouts: { connect: 500ms, answer: 10s }
databases:
  main:
    servers: [db1, db2]
    on: [front]
    listen: [10.213.80.10:3306]
    account: { user: noah, password_file: /etc/noah/main.password }
    check: { every: 500ms, timeout: 500ms, rise: 2, fall: 2 }
    timeouts: { connect: 500ms }
log: { access: /var/log/noah/access.log }
"""
WEB1, WEB2 = "10.213.80.11:8080", "10.213.80.12:8080"
DB1, DB2 = "10.213.80.21:3306", "10.213.80.22:3306"
USER, PASSWORD = "shop", "shop-secret"

# What a load's worker may meet before it gives up: far more than any test needs.
REQUESTS_MOST = 1_000_000


def prepare_app(machine, _document):
    """Pages that tell who answers: at once, and after the time that a page of an application may take."""
    machine_root = machine.path(ROOT)
    os.makedirs(machine_root, exist_ok=True)
    machine.write(f"{ROOT}/index.php", "<?php echo gethostname();")
    machine.write(f"{ROOT}/slow.php", "<?php usleep(100000); echo gethostname();")
    return {}


class Load:
    """Threads that do the same again and again; `failures` holds what went wrong, `count` how often it was done."""

    def __init__(self, threads):
        self.failures = []
        self.count = 0
        self.answered_by = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        self.wait_for_more(50)
        return self

    def __exit__(self, *ignored):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self):
        for _ in range(REQUESTS_MOST):
            if self._stop.is_set():
                return
            try:
                by, problem = self.work()
            except Exception as unexpected:  # pylint: disable=broad-except
                by, problem = "", repr(unexpected)
            with self._lock:
                self.count += 1
                self.answered_by[by] = self.answered_by.get(by, 0) + 1
                if problem:
                    self.failures.append(problem)
            self._stop.wait(0.01)

    def work(self):
        """Once; returns who answered and what went wrong ("" when nothing)."""
        raise NotImplementedError

    def wait_for_more(self, number, seconds=60):
        wanted = self.count + number
        wait_for(lambda: self.count >= wanted, seconds, f"{number} more of the load")

    def wait_until_answered_by(self, name, number=10, seconds=30):
        wanted = self.answered_by.get(name, 0) + number
        wait_for(lambda: self.answered_by.get(name, 0) >= wanted, seconds, f"{number} answers by {name}")


class Visitors(Load):
    """GETs, half of them on connections that stay open."""

    def __init__(self, lab, path="/index.php", threads=4):
        super().__init__(threads)
        self.machine = lab.machines["visitor"]
        self.path = path
        self._own = threading.local()

    def work(self):
        client = getattr(self._own, "client", None)
        if client is None:
            client = self._own.client = Client(self.machine, FRONT)
            self._own.number = 0
        answer = client.get(self.path)
        self._own.number += 1
        if self._own.number % 2 == 0:
            client.close()
        good = answer.whole and answer.status == 200
        return answer.body.decode("latin-1") if good else "", "" if good else answer.describe()


def tell_who_is_who(primary, replica):
    """A table that holds another name on the replica: an ordinary read of it tells who answered."""
    primary.query("CREATE TABLE shop.who (name VARCHAR(20))")
    primary.query("INSERT INTO shop.who VALUES ('db1')")
    wait_for(lambda: replica.has_applied_all_of(primary), 20, "the replica to have it")
    with replica.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute("UPDATE shop.who SET name = 'db2'")


class Readers(Load):
    """SELECTs through noah, on connections that stay open; `answered_by` counts db1 and db2."""

    def __init__(self, lab, threads=3, text="SELECT name FROM who"):
        super().__init__(threads)
        self.lab = lab
        self.text = text
        self._own = threading.local()

    def work(self):
        if getattr(self._own, "connection", None) is None:
            self._own.connection = connect(self.lab)
        try:
            with self._own.connection.cursor() as cursor:
                cursor.execute(self.text)
                return str(cursor.fetchone()[0]), ""
        except (pymysql.MySQLError, OSError) as problem:
            with contextlib.suppress(pymysql.MySQLError):
                self._own.connection.close()
            self._own.connection = None
            return "", repr(problem)


def connect(lab, **arguments):
    """As an application, through noah."""
    arguments = {"autocommit": True, "connect_timeout": 10, "read_timeout": 30, "database": "shop", **arguments}
    with lab.machines["visitor"].inside():
        return pymysql.connect(host=FRONT, port=3306, user=USER, password=PASSWORD, **arguments)


def query(lab, text, *parameters):
    with connect(lab) as connection, connection.cursor() as cursor:
        cursor.execute(text, parameters or None)
        return cursor.fetchall()
