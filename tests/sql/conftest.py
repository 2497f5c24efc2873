# SPDX-License-Identifier: BSD-2-Clause
"""What the tests of the SQL side share: a primary, its replica, and noah in front of both.

Which server answered is told by the table shop.place: its one row says "primary" on the primary and "replica" on the replica, where it was
changed without the binary log.
"""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support.mariadb import NOAH_PASSWORD, NOAH_USER, MariaDB, free_port, wait_for  # noqa: E402
from support.mysql_client import Client  # noqa: E402
from support.noah import Noah, local_address  # noqa: E402

USER, PASSWORD, SCHEMA = "app", "app-secret", "shop"
WHERE = "SELECT name FROM shop.place"


class Site:
    """Two servers and noah, and how to talk to them."""

    def __init__(self, directory, more="", servers=2, noah=True):
        self.directory = str(directory)
        self.address = local_address()
        self.port = free_port(self.address)
        self.primary = MariaDB(os.path.join(self.directory, "db1"), 1, address=local_address())
        self.replica = MariaDB(os.path.join(self.directory, "db2"), 2, address=local_address()) if servers > 1 else None
        self.password_file = os.path.join(self.directory, "password")
        with open(os.open(self.password_file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(NOAH_PASSWORD + "\n")
        self._fill()
        self.more = more
        self.noah = Noah(os.path.join(self.directory, "noah"), self.text(more)) if noah else None

    def _fill(self):
        if self.replica:
            self.replica.make_replica_of(self.primary)
        self.primary.add_user(NOAH_USER, NOAH_PASSWORD, ["SLAVE MONITOR ON *.*", "SELECT ON mysql.global_priv"])
        self.primary.query("CREATE DATABASE shop")
        self.primary.query("CREATE TABLE shop.place (name VARCHAR(20)) ENGINE=InnoDB")
        self.primary.query("INSERT INTO shop.place VALUES ('primary')")
        self.primary.query("CREATE TABLE shop.item (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(200), price INT) ENGINE=InnoDB")
        self.primary.add_user(USER, PASSWORD, "ALL PRIVILEGES ON shop.*")
        if self.replica:
            self.replica.wait_until_applied(self.primary)
            with self.replica.connect() as connection, connection.cursor() as cursor:
                cursor.execute("SET SESSION sql_log_bin = 0")
                cursor.execute("UPDATE shop.place SET name = 'replica'")

    def text(self, more=""):
        if "fresh_wait" not in more:
            more += "    fresh_wait: 3s\n"  # a busy machine is no reason for a read to go elsewhere than the test expects
        servers = [server for server in (self.primary, self.replica) if server]
        lines = "".join(f"  db{server.server_id}: {{ address: {server.address} }}\n" for server in servers)
        places = ", ".join(f"db{server.server_id}:{server.port}" for server in servers)
        return f"""
cluster: test
servers:
  front: {{ address: {self.address} }}
{lines}
databases:
  main:
    servers: [{places}]
    on: [front]
    listen: ["{self.address}:{self.port}", {self.directory}/s]
    account: {{ user: {NOAH_USER}, password_file: {self.password_file} }}
    check: {{ every: 400ms, timeout: 400ms, rise: 1, fall: 2 }}
{more}"""

    def close(self):
        try:
            if self.noah:
                self.noah.close()
        finally:
            self.primary.close()
            if self.replica:
                self.replica.close()

    def client(self, user=USER, password=PASSWORD, database=SCHEMA, **more):
        return Client((self.address, self.port), user, password, database, **more)

    def is_answered_by(self, client, place):
        return client.one(WHERE) == place

    def wait_until_reads_go_to(self, place, seconds=30):
        """Through a session of its own."""
        def look():
            with self.client() as client:
                return client.one(WHERE) == place
        wait_for(look, seconds, f"reads to go to the {place}")

    def wait_for_primary(self, server, seconds=30):
        wanted = server and f"db{server.server_id}:{server.port}"
        wait_for(lambda: self.noah.database("main")["primary"] == wanted, seconds, f"{wanted} to be the primary")


@pytest.fixture(name="site", scope="module")
def make_site(tmp_path_factory):
    """For tests that break nothing."""
    # The Unix socket's path may be 107 bytes.
    site = Site(tmp_path_factory.mktemp("s"))
    yield site
    site.close()


@pytest.fixture(name="own_site")
def make_own_site(tmp_path):
    """For tests that kill servers."""
    site = Site(tmp_path)
    yield site
    site.close()


@pytest.fixture(name="client")
def make_client(site):
    with site.client() as client:
        yield client
