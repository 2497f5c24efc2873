# SPDX-License-Identifier: BSD-2-Clause
"""No read misses a write that was acknowledged before it began. 2,000 pairs here; fresh_pairs.py runs as many as it is told to."""
import multiprocessing
import time

import fresh_pairs
from conftest import WHERE, Site
from support.mariadb import wait_for
from support.mysql_client import Client


def test_pairs_while_the_lag_wanders(tmp_path):
    site = Site(tmp_path, more="    fresh_wait: 20ms\n")
    try:
        outcome = fresh_pairs.run_pairs(site.primary, site.replica, site.noah, (site.address, site.port), 2000, 4)
        assert outcome["stale"] == 0, outcome
        assert outcome["pairs"] == 2000
        assert outcome["reads_replica"] * 2 >= outcome["reads"], outcome
        assert outcome["held"] > 0.1, outcome
    finally:
        site.close()


def test_a_caught_up_replica_costs_one_question_at_most(site):
    with site.client() as client:
        wait_for(lambda: client.one(WHERE) == "replica", 10, "the replica to be read")
        asked, waited = site.noah.counter("positions_asked"), site.noah.counter("reads_waited")
        for _ in range(50):
            client.one(WHERE)
        assert site.noah.counter("positions_asked") - asked <= 50
        assert site.noah.counter("reads_waited") == waited


def _read(address, port, count, done):
    client = Client((address, port), "app", "app-secret", "shop")
    for _ in range(count):
        client.one(WHERE)
    done.put(True)


def test_readers_share_questions(site):
    """Each core asks once for all reads that came before."""
    asked, read = site.noah.counter("positions_asked"), site.noah.counter("statements_read")
    done = multiprocessing.Queue()
    crowd = [multiprocessing.Process(target=_read, args=(site.address, site.port, 200, done), daemon=True) for _ in range(12)]
    for process in crowd:
        process.start()
    for process in crowd:
        done.get(timeout=60)
        process.join(10)
    reads, questions = site.noah.counter("statements_read") - read, site.noah.counter("positions_asked") - asked
    assert reads >= 2400
    assert questions < reads


def test_writes_that_bypass_noah(site):
    with site.client() as client:
        for i in range(200):
            site_value = 1000 + i
            site.primary.query(f"INSERT INTO shop.item (name, price) VALUES ('bypass', {site_value})")
            assert client.one("SELECT MAX(price) FROM item WHERE name = 'bypass'") == str(site_value)


def test_an_older_copy_put_on_a_replica_that_runs_on(own_site):
    """As loading a dump does: replication stops, the data and the position go back, replication starts again. noah's own connection to
    it stays open all the while."""
    site = own_site
    site.noah.reload(site.text("    fresh_wait: 50ms\n"))
    client = site.client()
    older = site.replica.query_one("SELECT @@gtid_slave_pos")
    client.query("INSERT INTO item (name) VALUES ('new')")
    wait_for(lambda: client.one(WHERE) == "replica", 20, "the replica to be read")
    site.replica.stop_replication()
    stopped = time.monotonic()
    wait_for(lambda: site.noah.target(f"{site.replica.address}:{site.replica.port}")["role"] != "replica", 20, "noah to see it")
    with site.replica.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION sql_log_bin = 0")
        cursor.execute("DELETE FROM shop.item")
        cursor.execute("RESET MASTER")
        cursor.execute(f"SET GLOBAL gtid_slave_pos = '{older}'")
        cursor.execute("CHANGE MASTER TO MASTER_DELAY=3600")
        wait_for(lambda: time.monotonic() - stopped > 1, 20, "the time that loading takes")
        cursor.execute("START SLAVE")
    wait_for(lambda: site.noah.target(f"{site.replica.address}:{site.replica.port}")["role"] == "replica", 20, "noah to see it again")
    for _ in range(20):
        assert client.one("SELECT COUNT(*) FROM item WHERE name = 'new'") == "1"
