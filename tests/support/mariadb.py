# SPDX-License-Identifier: BSD-2-Clause
"""Real MariaDB servers for tests: small, on a free port, with binary logs and GTIDs, replicating when asked to.

    with MariaDB(tmp_path / "db1", server_id=1) as db1, MariaDB(tmp_path / "db2", server_id=2) as db2:
        db2.make_replica_of(db1)
        db1.query("CREATE DATABASE shop")
        db2.wait_until_applied(db1)

root has no password. Everything lies in the given directory; stop() ends the process, and the atexit hook ends what a failed test left.
"""
import atexit
import errno
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import pymysql
import pymysql.cursors

ROOT_USER = "root"
REPLICATION_USER = "replicator"
REPLICATION_PASSWORD = "replication-secret"
NOAH_USER = "noah"
NOAH_PASSWORD = "noah-secret"

_running = []
_template = None
_ports_given = set()  # by this process: what is not used yet is not given twice


def free_port(address="127.0.0.1"):
    """A port nobody listens on now, from below those that the kernel gives to outgoing connections: one of these on the same
    machine would take it again before it is used."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    while True:
        port = random.randrange(10000, 32000)
        if port in _ports_given:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((address, port))
            except OSError as problem:
                if problem.errno != errno.EADDRINUSE:
                    raise
                continue
        _ports_given.add(port)
        return port


def wait_for(condition, seconds=30, what="the condition"):
    """Polls until condition() is true and returns its value; fails with `what` and the last exception."""
    deadline = time.monotonic() + seconds
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except (OSError, pymysql.Error, AssertionError) as problem:
            last = problem
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s for {what}; last: {last!r}")
        time.sleep(0.02)


def _template_directory():
    """A freshly installed data directory, made once for each test run and copied for each server (installing takes seconds)."""
    global _template
    if _template is None:
        directory = tempfile.mkdtemp(prefix="noah-mariadb-")
        atexit.register(shutil.rmtree, directory, True)
        data = os.path.join(directory, "data")
        command = ["mariadb-install-db", "--no-defaults", "--force", f"--datadir={data}", f"--tmpdir={directory}",
                   "--skip-test-db",
                   "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=8M"]
        if os.geteuid() == 0:
            command.append("--user=root")
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise RuntimeError("mariadb-install-db failed:\n" + result.stdout)
        _template = data
    return _template


class MariaDB:
    def __init__(self, directory, server_id, port=None, address="127.0.0.1", options=()):
        self.directory = str(directory)
        self.server_id = server_id
        self.address = address
        self.fixed_port = port
        self.port = port
        self.options = list(options)
        self.process = None
        os.makedirs(self.directory, exist_ok=True)
        self.data = os.path.join(self.directory, "data")
        self.log_file = os.path.join(self.directory, "mariadbd.log")
        # A Unix socket's path may be 107 bytes; pytest's directories are longer.
        self.socket_directory = tempfile.mkdtemp(prefix="noah-db-")
        self.socket = os.path.join(self.socket_directory, "sock")
        shutil.copytree(_template_directory(), self.data)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    # ---- the process

    def start(self):
        """Starts it (again) and waits until it answers. A port taken in the meantime is tried again with another one."""
        assert self.process is None
        for attempt in range(5):
            if self.port is None:
                self.port = free_port(self.address)
            command = [shutil.which("mariadbd") or "/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.data}", f"--tmpdir={self.directory}",
                       f"--socket={self.socket}", f"--port={self.port}", f"--bind-address={self.address}",
                       f"--server-id={self.server_id}", f"--log-error={self.log_file}", f"--pid-file={self.socket}.pid",
                       f"--report-host={self.address}", f"--report-port={self.port}",
                       "--log-bin=binlog", "--log-slave-updates", "--binlog-format=ROW", "--gtid-domain-id=0",
                       "--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=2",
                       "--sync-binlog=0", "--key-buffer-size=1M", "--aria-pagecache-buffer-size=1M", "--query-cache-size=0",
                       "--performance-schema=OFF", "--skip-name-resolve", "--slave-net-timeout=5", "--max-connections=200",
                       *self.options]
            if os.geteuid() == 0:
                command.append("--user=root")
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                            stderr=subprocess.DEVNULL)
            _running.append(self)
            try:
                wait_for(self._answers, 60, f"MariaDB {self.server_id} to answer")
                return
            except _Ended:
                self._forget()
                if self.fixed_port is not None or attempt == 4:
                    raise RuntimeError(f"mariadbd did not start:\n{self.log()}") from None
                self.port = None

    def _answers(self):
        if self.process.poll() is not None:
            raise _Ended()
        self.query("SELECT 1")
        return True

    def _forget(self):
        self.process = None
        if self in _running:
            _running.remove(self)

    def stop(self):
        """An orderly shutdown."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._forget()

    def kill(self):
        """As a power cut would: no goodbye."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait()
        self._forget()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def close(self):
        self.kill()
        shutil.rmtree(self.data, ignore_errors=True)
        shutil.rmtree(self.socket_directory, ignore_errors=True)

    def log(self):
        try:
            with open(self.log_file, errors="replace") as file:
                return file.read()
        except OSError:
            return "(no log)"

    # ---- talking to it

    def connect(self, user=ROOT_USER, password="", tcp=False, **arguments):
        """A PyMySQL connection: through the Unix socket, or with tcp=True as others come."""
        place = {"host": self.address, "port": self.port} if tcp else {"unix_socket": self.socket}
        arguments.setdefault("autocommit", True)
        arguments.setdefault("connect_timeout", 5)
        arguments.setdefault("read_timeout", 30)
        return pymysql.connect(user=user, password=password, **place, **arguments)

    def query(self, text, *parameters, database=None):
        """Rows as tuples."""
        with self.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return cursor.fetchall()

    def query_one(self, text, *parameters):
        rows = self.query(text, *parameters)
        return rows[0][0] if rows else None

    def row(self, text):
        """The first row as a dictionary, None without one: for SHOW ... STATUS."""
        with self.connect(cursorclass=pymysql.cursors.DictCursor) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchone()

    def add_user(self, name, password, grants="ALL PRIVILEGES ON *.*", host="%"):
        self.query(f"CREATE OR REPLACE USER '{name}'@'{host}' IDENTIFIED VIA mysql_native_password USING PASSWORD('{password}')")
        for grant in [grants] if isinstance(grants, str) else grants:
            self.query(f"GRANT {grant} TO '{name}'@'{host}'")

    def add_noah_account(self):
        """The account as docs/cluster-file.md describes it, with exactly the rights named there."""
        self.add_user(NOAH_USER, NOAH_PASSWORD, ["SLAVE MONITOR ON *.*", "SELECT ON mysql.global_priv"])

    # ---- replication

    def make_replica_of(self, primary, read_only=True):
        """Replicates from `primary`, from the beginning of its binary log, by GTID, and waits until both threads run."""
        if not primary.query("SELECT 1 FROM mysql.user WHERE user = %s", REPLICATION_USER):
            primary.add_user(REPLICATION_USER, REPLICATION_PASSWORD, "REPLICATION SLAVE ON *.*")
        self.query("STOP SLAVE")
        self.query("RESET MASTER")
        self.query("SET GLOBAL gtid_slave_pos = ''")
        self.query(f"CHANGE MASTER TO MASTER_HOST='{primary.address}', MASTER_PORT={primary.port}, "
                   f"MASTER_USER='{REPLICATION_USER}', MASTER_PASSWORD='{REPLICATION_PASSWORD}', "
                   "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1")
        if read_only:
            self.query("SET GLOBAL read_only = 1")
        self.query("START SLAVE")
        wait_for(self.is_replicating, 30, "replication to run")

    def is_replicating(self):
        status = self.row("SHOW SLAVE STATUS")
        return bool(status) and status["Slave_IO_Running"] == "Yes" and status["Slave_SQL_Running"] == "Yes"

    def position(self):
        """The GTID position of the newest write here."""
        return self.query_one("SELECT @@gtid_current_pos")

    def wait_until_applied(self, primary, seconds=30):
        position = primary.query_one("SELECT @@gtid_binlog_pos")
        assert self.query_one("SELECT MASTER_GTID_WAIT(%s, %s)", position, seconds) == 0, \
            f"the replica did not reach {position} in {seconds} s: {self.row('SHOW SLAVE STATUS')}"

    def stop_replication(self):
        self.query("STOP SLAVE")

    def start_replication(self):
        self.query("START SLAVE")

    def delay_replication(self, seconds):
        """Applies everything this much late (0: at once)."""
        self.query("STOP SLAVE SQL_THREAD")
        self.query(f"CHANGE MASTER TO MASTER_DELAY={seconds}")
        self.query("START SLAVE SQL_THREAD")

    def pause_applying(self):
        """Receives, but applies nothing, until resume_applying: a replica that is behind by as long as the test likes."""
        self.query("STOP SLAVE SQL_THREAD")

    def resume_applying(self):
        self.query("START SLAVE SQL_THREAD")

    def statements(self):
        """How many statements of clients it has executed: to tell which server answered."""
        return int(self.row("SHOW GLOBAL STATUS LIKE 'Questions'")["Value"])


class _Ended(Exception):
    pass


@atexit.register
def _stop_all():
    for server in list(_running):
        server.close()
