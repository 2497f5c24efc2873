# SPDX-License-Identifier: BSD-2-Clause
"""Which server answers what, and that a session looks the same on both."""
import time

import pytest

from conftest import WHERE
from support.mariadb import wait_for
from support.mysql_client import AUTOCOMMIT, COM_INIT_DB, COM_PING, COM_SET_OPTION, COM_STATISTICS, IN_TRANSACTION, Failure


def test_reads_go_to_the_replica_and_the_rest_to_the_primary(client):
    assert client.one(WHERE) == "replica"
    assert client.one(WHERE + " FOR UPDATE") == "primary"
    client.query("INSERT INTO item (name) VALUES ('a')")
    assert client.insert_id > 0
    made = str(client.insert_id)
    assert client.one("SELECT LAST_INSERT_ID()") == made
    assert client.one(WHERE) == "replica"


def test_counters_and_places(site, client):
    before = {name: site.noah.counter(name) for name in ("statements", "statements_read", "reads_replica")}
    served = site.noah.target(f"{site.replica.address}:{site.replica.port}")["served"]
    for _ in range(5):
        client.one(WHERE)
    assert {name: site.noah.counter(name) - value for name, value in before.items()} == \
        {"statements": 5, "statements_read": 5, "reads_replica": 5}
    assert site.noah.target(f"{site.replica.address}:{site.replica.port}")["served"] == served + 5


def test_transactions_stay_on_the_primary(client):
    client.query("START TRANSACTION")
    assert client.status & IN_TRANSACTION
    assert client.one(WHERE) == "primary"
    client.query("INSERT INTO item (name) VALUES ('undone')")
    assert client.one("SELECT COUNT(*) FROM item WHERE name = 'undone'") == "1"
    client.query("ROLLBACK")
    assert client.one(WHERE) == "replica"
    assert client.one("SELECT COUNT(*) FROM item WHERE name = 'undone'") == "0"
    client.query("SET autocommit = 0")
    assert client.one(WHERE) == "primary"
    client.query("COMMIT")
    assert client.one(WHERE) == "primary"
    client.query("SET autocommit = 1")
    assert client.one(WHERE) == "replica"
    assert client.status & AUTOCOMMIT


def test_what_binds_a_session(site):
    for statement in ("SET @a = 1", "SELECT GET_LOCK('x', 0)", "CREATE TEMPORARY TABLE tt (a INT)", "PREPARE p FROM 'SELECT 1'"):
        with site.client() as client:
            assert client.one(WHERE) == "replica"
            client.query(statement)
            assert client.one(WHERE) == "primary", statement
    with site.client() as client:
        client.query("LOCK TABLES place READ")
        assert client.one(WHERE) == "primary"
        client.query("UNLOCK TABLES")
        assert client.one(WHERE) == "replica"


def test_settings_are_in_force_on_both_servers(client):
    assert client.one(WHERE) == "replica"
    client.query("SET NAMES latin1")
    client.query("SET SESSION sql_mode = 'PIPES_AS_CONCAT', group_concat_max_len = 5")
    assert client.query("SELECT 'a' || name, GROUP_CONCAT('123456789') FROM place") == [("areplica", "12345")]
    assert client.one("SELECT HEX('\u00e4')") == "C3A4"
    client.query("SET SESSION sql_mode = ''")
    assert client.query("SELECT name, 'a' || 'b' FROM place") == [("replica", "0")]


def test_a_setting_that_failed_is_not_kept(client):
    assert client.one(WHERE) == "replica"
    with pytest.raises(Failure):
        client.query("SET SESSION sql_mode = 'NO_SUCH_MODE'")
    assert client.one(WHERE) == "replica"


def test_schema_follows(site):
    site.primary.query("CREATE DATABASE IF NOT EXISTS `other one`")
    site.primary.query("GRANT ALL ON `other one`.* TO app")
    with site.client() as client:
        assert client.one(WHERE) == "replica"
        client.query("USE `other one`")
        client.query("CREATE OR REPLACE TABLE t (a INT)")
        client.query("INSERT INTO t VALUES (7)")
        before = site.noah.counter("reads_replica")
        assert client.one("SELECT a FROM t") == "7"
        client.command(COM_INIT_DB, b"shop")
        assert client.one("SELECT name FROM place") == "replica"
        assert site.noah.counter("reads_replica") == before + 2
        with pytest.raises(Failure) as caught:
            client.command(COM_INIT_DB, b"nowhere")
        assert caught.value.code == 1044
        assert client.one("SELECT DATABASE()") == "shop"


def test_system_schemas_are_read_on_the_primary(site):
    with site.client(database="information_schema") as client:
        assert client.one("SELECT COUNT(*) FROM SCHEMATA WHERE SCHEMA_NAME = 'shop'") == "1"


def test_found_rows_and_warnings_ask_who_ran_it(site, client):
    client.query("DELETE FROM item")
    client.query("INSERT INTO item (name) VALUES ('a'), ('b'), ('c')")
    client.query("SELECT SQL_CALC_FOUND_ROWS id FROM item LIMIT 1")
    assert client.one("SELECT FOUND_ROWS()") == "3"
    client.query("SELECT CAST('x' AS SIGNED) FROM place")
    assert "Truncated incorrect" in client.query("SHOW WARNINGS")[0][2]


def test_several_statements_and_results(client):
    results = client.query_all("SELECT 1; INSERT INTO item (name) VALUES ('m'); SELECT 2; SELECT name FROM place")
    assert results == [[("1",)], None, [("2",)], [("primary",)]]
    with pytest.raises(Failure):
        client.query_all("SELECT 1; SELECT nonsense FROM place; SELECT 2")
    assert client.one(WHERE) in ("primary", "replica")


def test_set_option_reaches_both_connections(site):
    with site.client() as client:
        assert client.one(WHERE) == "replica"
        client.command(COM_SET_OPTION, b"\1\0")  # multi statements off
        with pytest.raises(Failure) as caught:
            client.query("SELECT 1; SELECT 2")
        assert caught.value.code == 1064
        assert client.one(WHERE) == "replica"
        client.command(COM_SET_OPTION, b"\0\0")
        assert client.query_all("SELECT 1; SELECT 2") == [[("1",)], [("2",)]]


def test_other_commands(client):
    client.command(COM_PING)
    client.send_command(COM_STATISTICS)
    assert client.read_packet().startswith(b"Uptime")
    client.send_command(4, b"item\0")  # COM_FIELD_LIST
    names = []
    while True:
        packet = client.read_packet()
        if client._is_end(packet):
            break
        names.append(packet)
    assert len(names) == 3
    for number in (18, 21, 30, 99):
        with pytest.raises(Failure) as caught:
            client.command(number, b"x" * 20)
        assert (caught.value.code, caught.value.state) == (1047, "08S01")
    assert client.one("SELECT 1") == "1"


def test_pipelined_commands_are_answered_in_order(client):
    for i in range(50):
        client.send_query(f"SELECT {i}, name FROM place")
    assert [client.read_result()[0][0] for i in range(50)] == [str(i) for i in range(50)]


def test_reload_does_not_disturb_sessions(site, client):
    client.query("SET @kept = 5")
    site.noah.reload(site.text("    fresh_wait: 2s\n"))
    assert client.one("SELECT @kept") == "5"
    site.noah.reload(site.text())
    with site.client() as other:
        wait_for(lambda: other.one(WHERE) == "replica", 10, "reads to go to the replica")


def test_drain_lets_a_transaction_end(tmp_path):
    from conftest import Site
    site = Site(tmp_path, servers=1)
    try:
        idle, busy = site.client(), site.client()
        busy.query("BEGIN")
        busy.query("INSERT INTO item (name) VALUES ('kept')")
        site.noah.process.terminate()
        wait_for(lambda: idle.socket.recv(100) == b"", 10, "the idle session to end")
        assert busy.one("SELECT COUNT(*) FROM item") == "1"
        busy.query("COMMIT")
        assert site.noah.process.wait(20) == 0
        assert site.primary.query_one("SELECT COUNT(*) FROM shop.item") == 1
    finally:
        site.close()


def test_fresh_within_one_session(client):
    deadline = time.monotonic() + 2
    number = 0
    while time.monotonic() < deadline:
        number += 1
        client.query(f"INSERT INTO item (name, price) VALUES ('f', {number})")
        assert client.one("SELECT MAX(price) FROM item WHERE name = 'f'") == str(number)
