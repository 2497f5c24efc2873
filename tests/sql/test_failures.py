# SPDX-License-Identifier: BSD-2-Clause
"""Servers that die, freeze, lag and come back under sessions that go on."""
import threading
import time

import pytest

from conftest import WHERE, Site
from support.mariadb import wait_for
from support.mysql_client import IN_TRANSACTION, Failure


class InFlight(threading.Thread):
    """A statement that is under way while the test does something else."""

    def __init__(self, client, text):
        super().__init__(daemon=True)
        self.client, self.text, self.rows, self.failure = client, text, None, None
        self.start()

    def run(self):
        try:
            self.rows = self.client.query(self.text)
        except (Failure, OSError, EOFError) as problem:
            self.failure = problem

    def result(self, seconds=30):
        self.join(seconds)
        assert not self.is_alive(), "still waiting for its answer"
        if self.failure:
            raise self.failure
        return self.rows


class Locked:
    """Holds a table of a server, so that what others do with it waits."""

    def __init__(self, server, table):
        self.server, self.table = server, table
        self.connection = server.connect(database="shop")
        self.connection.cursor().execute(f"LOCK TABLES {table} WRITE")

    def wait_for_waiter(self):
        wait_for(lambda: int(self.server.query_one("SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'app' "
                                                   "AND state LIKE 'Waiting for table%'")) > 0, 20, "a statement to wait there")


def test_read_in_flight_on_a_killed_replica_is_run_again(own_site):
    site = own_site
    client, prepared = site.client(), site.client()
    assert client.one(WHERE) == "replica"
    statement = prepared.prepare(WHERE)
    assert prepared.execute(statement) == [("replica",)]
    lock = Locked(site.replica, "place")
    waiting = InFlight(client, WHERE)
    lock.wait_for_waiter()
    site.replica.kill()
    assert waiting.result() == [("primary",)]
    assert prepared.execute(statement) == [("primary",)]
    assert client.one(WHERE) == "primary"
    assert site.noah.counter("statements_rerun") >= 1
    assert site.noah.counter("statements_failed") == 0
    site.replica.start()
    site.wait_until_reads_go_to("replica")
    wait_for(lambda: client.one(WHERE) == "replica", 20, "the old session to read there again")
    wait_for(lambda: prepared.execute(statement) == [("replica",)], 20, "the other, perhaps on another core, too")


def test_frozen_replica(own_site):
    site = own_site
    client = site.client()
    assert client.one(WHERE) == "replica"
    site.replica.freeze()
    try:
        began = time.monotonic()
        assert client.one(WHERE) == "primary"
        assert time.monotonic() - began < 15
        client.query("INSERT INTO item (name) VALUES ('x')")
        assert client.one("SELECT COUNT(*) FROM item") == "1"
        assert site.noah.counter("statements_failed") == 0
    finally:
        site.replica.thaw()
    site.wait_until_reads_go_to("replica")


def test_lagging_replica_is_not_read(own_site):
    site = own_site
    site.noah.reload(site.text("    fresh_wait: 20ms\n"))
    client = site.client()
    wait_for(lambda: client.one(WHERE) == "replica", 20, "the replica to be read")
    site.replica.pause_applying()
    for i in range(1, 101):
        client.query(f"INSERT INTO item (price) VALUES ({i})")
        assert client.one("SELECT MAX(price) FROM item") == str(i)
    assert client.one(WHERE) == "primary"
    assert site.noah.counter("reads_too_late") >= 100
    site.replica.resume_applying()
    site.wait_until_reads_go_to("replica")
    assert client.one("SELECT MAX(price) FROM item") == "100"


def test_replica_lost_in_the_middle_of_an_answer(own_site):
    site = own_site
    client = site.client()
    client.send_query("SELECT REPEAT('x', 1000000), name FROM place, seq_1_to_2000")
    assert len(client.socket.recv(1 << 20)) > 0
    site.replica.kill()
    got = 0
    while True:
        try:
            more = client.socket.recv(1 << 20)
        except ConnectionResetError:
            break
        if not more:
            break
        got += len(more)
    assert got < 2_000_000_000
    site.noah.wait_for_log("in the middle of an answer")


def test_primary_gone_reads_go_on_and_writes_say_why(own_site):
    site = own_site
    client = site.client()
    assert client.one(WHERE) == "replica"
    statement = client.prepare(WHERE)
    site.primary.kill()
    assert client.one(WHERE) == "replica"
    site.wait_for_primary(None)
    with pytest.raises(Failure) as caught:
        client.query("INSERT INTO item (name) VALUES ('lost')")
    assert (caught.value.code, caught.value.state) == (1290, "HY000")
    assert "not executed" in caught.value.message and "database main has no primary" in caught.value.message
    assert client.one(WHERE) == "replica"
    assert client.execute(statement) == [("replica",)]
    client.query("SET NAMES utf8mb4")
    assert client.query("SELECT @@character_set_client, name FROM place") == [("utf8mb4", "replica")]
    with pytest.raises(Failure) as caught:
        client.query("BEGIN")
    assert caught.value.code == 1290
    with site.client() as late:  # logs in by the accounts read before, on the replica
        late.query("SET SESSION sql_mode = 'ANSI_QUOTES'")
        assert late.one('SELECT "name" FROM place') == "replica"
    assert site.noah.counter("reads_stale") > 0
    site.noah.wait_for_log("may be behind, because the primary cannot be asked")
    site.primary.start()
    site.wait_for_primary(site.primary)
    client.query("INSERT INTO item (name) VALUES ('kept')")
    assert client.one("SELECT COUNT(*) FROM item") == "1"


def test_write_whose_answer_is_lost(own_site):
    site = own_site
    client = site.client()
    client.query("INSERT INTO item (name) VALUES ('first')")
    lock = Locked(site.primary, "item")
    waiting = InFlight(client, "INSERT INTO item (name) VALUES ('second')")
    lock.wait_for_waiter()
    site.primary.kill()
    with pytest.raises(Failure) as caught:
        waiting.result()
    assert (caught.value.code, caught.value.state) == (1105, "08007")
    assert "may or may not have been executed" in caught.value.message
    site.wait_for_primary(None)
    site.primary.start()
    site.wait_for_primary(site.primary)
    assert client.one("SELECT COUNT(*) FROM item") == "1"  # never sent again; the session is the same


def test_transaction_and_state_lost_are_said_once(own_site):
    site = own_site
    client, bound = site.client(), site.client()
    client.query("BEGIN")
    client.query("INSERT INTO item (name) VALUES ('undone')")
    bound.query("SET @a = 5")
    site.primary.kill()
    site.wait_for_primary(None)
    site.primary.start()
    site.wait_for_primary(site.primary)
    with pytest.raises(Failure) as caught:
        client.query("INSERT INTO item (name) VALUES ('undone too')")
    assert (caught.value.code, caught.value.state) == (2013, "40000")
    assert "rolled back" in caught.value.message
    assert client.one("SELECT COUNT(*) FROM item") == "0"
    assert not client.status & IN_TRANSACTION
    with pytest.raises(Failure) as caught:
        bound.query("SELECT @a")
    assert caught.value.code == 2013 and "user variable" in caught.value.message
    assert bound.one("SELECT @a") is None


def test_transaction_lost_in_flight(own_site):
    site = own_site
    client = site.client()
    client.query("BEGIN")
    client.query("INSERT INTO item (name) VALUES ('undone')")
    lock = Locked(site.primary, "place")
    waiting = InFlight(client, "INSERT INTO place VALUES ('x')")
    lock.wait_for_waiter()
    site.primary.kill()
    with pytest.raises(Failure) as caught:
        waiting.result()
    assert (caught.value.code, caught.value.state) == (2013, "40000")


def test_settings_survive_a_restart_of_the_primary(own_site):
    site = own_site
    client = site.client()
    client.query("SET SESSION sql_mode = 'PIPES_AS_CONCAT'")
    client.query("USE shop")
    insert = client.prepare("INSERT INTO item (name, price) VALUES (?, ?)")
    client.execute(insert, ["a", 1])
    site.primary.kill()
    site.wait_for_primary(None)
    site.primary.start()
    site.wait_for_primary(site.primary)
    assert client.query("SELECT 'a' || 'b' FROM place FOR UPDATE") == [("ab",)]
    client.execute(insert, ["b", 2])  # types not sent again
    assert client.one("SELECT SUM(price) FROM item") == "3"


def test_stale_reads_refused(tmp_path):
    site = Site(tmp_path, more="    stale_reads: refuse\n")
    try:
        client = site.client()
        assert client.one(WHERE) == "replica"
        site.primary.kill()
        site.wait_for_primary(None)
        with pytest.raises(Failure) as caught:
            client.one(WHERE)
        assert caught.value.code == 1290 and "stale_reads: refuse" in caught.value.message
    finally:
        site.close()


def test_accounts_come_from_a_replica_when_noah_starts_without_the_primary(tmp_path):
    from support.noah import Noah
    site = Site(tmp_path, noah=False)
    try:
        site.primary.kill()
        site.noah = Noah(f"{site.directory}/noah", site.text())
        with site.client() as client:
            assert client.one(WHERE) == "replica"
        site.replica.kill()
        site.noah.wait_for_health(f":{site.replica.port}", "down")
        with pytest.raises(Failure) as caught:
            site.client()
        assert caught.value.code in (1105, 1290) and "no primary" in caught.value.message
    finally:
        site.close()


def test_one_server_only(tmp_path):
    site = Site(tmp_path, servers=1)
    try:
        client = site.client()
        assert client.one(WHERE) == "primary"
        asked = site.noah.counter("positions_asked")
        for _ in range(20):
            assert client.one(WHERE) == "primary"
        assert site.noah.counter("positions_asked") == asked, "nobody has to be asked where there is one server"
        site.primary.kill()
        with pytest.raises(Failure) as caught:
            client.one(WHERE)
        assert caught.value.code == 1290
        site.primary.start()
        site.wait_for_primary(site.primary)
        assert client.one(WHERE) == "primary"
    finally:
        site.close()


def test_traffic_process_killed(own_site):
    """Sessions end with their process; the next ones work at once."""
    import os
    import signal
    site = own_site
    site.noah.expect_crashes = True
    client = site.client()
    os.kill(site.noah.child("traffic"), signal.SIGKILL)
    with pytest.raises((OSError, EOFError)):
        client.one("SELECT 1")
    wait_for(lambda: site.client().one("SELECT 1") == "1", 10, "a new session")
    assert site.noah.counter("sessions_open") < 1000
