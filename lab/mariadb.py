# SPDX-License-Identifier: BSD-2-Clause
"""MariaDB on a machine of the lab, with GTIDs; primary or replica. Called by lab.py.

What it stores lies on the machine's disk, so a full disk is a full disk for it. The administrator comes in through the Unix
socket, which works whatever has been done to the network.
"""
import os
import subprocess

import pymysql
import pymysql.cursors

from .machine import DISK, LOGS, Ended, wait_for
from .service import Service

DATA = f"{DISK}/mysql"
SOCKET = f"{DATA}/socket"
REPLICATION_USER = "replicator"
REPLICATION_PASSWORD = "of the lab only"
NOAH_USER = "noah"
# What docs/cluster-file.md says under `account`.
NOAH_GRANTS = ("BINLOG MONITOR, SLAVE MONITOR ON *.*", "SELECT ON mysql.*")

OPTIONS = ["--no-defaults", f"--datadir={DATA}/data", f"--socket={SOCKET}", f"--pid-file={DATA}/pid", f"--tmpdir={DATA}/tmp",
           "--user=mysql", "--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-method=fsync",
           "--key-buffer-size=1M", "--aria-pagecache-buffer-size=1M", "--performance-schema=OFF", "--skip-name-resolve",
           "--max-connections=300"]
REPLICATION_OPTIONS = ["--log-bin=binlog", "--log-slave-updates", "--binlog-format=ROW", "--gtid-strict-mode=ON",
                       "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--slave-net-timeout=5", "--relay-log=relay",
                       "--max-relay-log-size=16M"]


class MariaDB(Service):
    names = ("mariadbd",)
    title = "MariaDB"

    def __init__(self, machine, address, port, server_id):
        self.machine = machine
        self.address = address
        self.port = port
        self.server_id = server_id
        self.follows = None  # the MariaDB it is a replica of
        self.delay_seconds = 0

    # ---- the data directory

    def _make_directories(self):
        for directory in ("", "/data", "/tmp"):
            os.makedirs(self.machine.path(DATA + directory), exist_ok=True)
        self.machine.run(["chown", "-R", "mysql:mysql", DATA])

    def install(self):
        self._make_directories()
        self.machine.run(["mariadb-install-db", *OPTIONS, "--skip-test-db", "--auth-root-authentication-method=normal"],
                         timeout=180)

    def install_as_copy_of(self, other):
        """Of one that has been installed and never started."""
        self._make_directories()
        subprocess.run(["cp", "-a", other.machine.path(f"{DATA}/data/."), self.machine.path(f"{DATA}/data")], check=True)

    # ---- the process

    def launch(self):
        # A replica is read-only from its first moment: whoever comes back after a crash must not take writes.
        read_only = ["--read-only"] if self.follows else []
        self.machine.spawn(["mariadbd", *OPTIONS, *REPLICATION_OPTIONS, *read_only, f"--server-id={self.server_id}",
                            f"--bind-address={self.address}", f"--port={self.port}", f"--report-host={self.machine.name}"],
                           log=f"{LOGS}/mariadbd.log")

    def answers(self):
        if not self.is_running():
            raise Ended(f"MariaDB on {self.machine.name} has ended: {self.machine.tail(f'{LOGS}/mariadbd.log')}")
        return self.query("SELECT 1") == ((1,),)

    def start(self):
        self.launch()
        wait_for(self.answers, 90, f"MariaDB on {self.machine.name} to answer")

    # ---- talking to it

    def connect(self, **arguments):
        """As its administrator, from anywhere."""
        arguments.setdefault("autocommit", True)
        arguments.setdefault("read_timeout", 60)
        return pymysql.connect(unix_socket=self.machine.path(SOCKET), user="root", connect_timeout=5, **arguments)

    def query(self, text, *parameters, database=None):
        with self.connect(database=database) as connection, connection.cursor() as cursor:
            cursor.execute(text, parameters or None)
            return cursor.fetchall()

    def row(self, text):
        with self.connect(cursorclass=pymysql.cursors.DictCursor) as connection, connection.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchone()

    def add_user(self, name, password, *grants):
        self.query(f"CREATE OR REPLACE USER '{name}'@'%%' IDENTIFIED VIA mysql_native_password USING PASSWORD(%s)", password)
        for grant in grants:
            self.query(f"GRANT {grant} TO '{name}'@'%'")

    # ---- replication

    def follow(self, primary):
        """Replicates from `primary`, from the beginning of its binary log."""
        self.follows = primary
        self.query("SET GLOBAL read_only = 1")
        self.query(f"CHANGE MASTER TO MASTER_HOST='{primary.address}', MASTER_PORT={primary.port}, "
                   f"MASTER_USER='{REPLICATION_USER}', MASTER_PASSWORD='{REPLICATION_PASSWORD}', "
                   "MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1, MASTER_HEARTBEAT_PERIOD=1")
        self.query("START SLAVE")
        wait_for(self.is_replicating, 30, f"{self.machine.name} to replicate")

    def is_replicating(self):
        status = self.row("SHOW SLAVE STATUS")
        return bool(status) and status["Slave_IO_Running"] == "Yes" and status["Slave_SQL_Running"] == "Yes"

    def has_applied_all_of(self, primary):
        wanted = primary.query("SELECT @@gtid_binlog_pos")[0][0]
        return self.query("SELECT MASTER_GTID_WAIT(%s, 0)", wanted)[0][0] == 0

    def hold(self, seconds):
        """A replica: apply everything this much late (0: at once)."""
        self.query("STOP SLAVE")
        self.query(f"CHANGE MASTER TO MASTER_DELAY={int(seconds)}")
        self.query("START SLAVE")
        self.delay_seconds = seconds
