# SPDX-License-Identifier: BSD-2-Clause
"""What a session knows must not silently become something else when a server is lost, the schema changes, or nobody is primary."""
import socket
import time

import pytest

from conftest import PASSWORD, SCHEMA, USER, WHERE
from support.mariadb import wait_for
from support.mysql_client import COM_RESET_CONNECTION, LONG_DATA, Client, Failure

PLACE = "SELECT name FROM place"  # of the session's schema


def kill_connections(server, user=USER):
    """The server ends this user's connections, as a restart or its wait_timeout does."""
    rows = server.query(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'")
    for (number,) in rows:
        server.query(f"KILL {number}")
    wait_for(lambda: not server.query(f"SELECT id FROM information_schema.processlist WHERE user = '{user}'"), 20, "them to end")


def test_a_generated_id_that_is_lost_is_not_zero(site):
    with site.client() as client:
        client.query("INSERT INTO item (name) VALUES ('x')")
        assert client.one("SELECT LAST_INSERT_ID()") != "0"
        kill_connections(site.primary)
        with pytest.raises(Failure) as caught:
            client.query("INSERT INTO item (price) VALUES (LAST_INSERT_ID())")
        assert (caught.value.code, caught.value.state) == (2013, "HY000"), "the id of the lost connection is not 0"
        assert client.one("SELECT LAST_INSERT_ID()") == "0"  # said once
        kill_connections(site.primary)
        client.query("UPDATE item SET price = 1 WHERE id = 0")
        assert client.one("SELECT LAST_INSERT_ID()") == "0"  # there was none to lose


def test_a_prepared_statement_keeps_its_schema(site):
    site.primary.query("CREATE DATABASE IF NOT EXISTS tenant")
    site.primary.query("CREATE OR REPLACE TABLE tenant.place AS SELECT 'tenant' AS name")
    site.primary.query("GRANT ALL ON tenant.* TO app")
    with site.client() as client:
        statement = client.prepare(PLACE)
        client.query("USE tenant")
        assert client.one(PLACE) == "tenant"
        assert client.execute(statement)[0][0] in ("primary", "replica"), "it was prepared for another schema"
        kill_connections(site.primary)
        kill_connections(site.replica)
        with pytest.raises(Failure) as caught:
            client.execute(statement)
        assert caught.value.code == 2013
        client.query("USE shop")
        wait_for(lambda: client.execute(client.prepare(PLACE)) == [("replica",)], 10, "new ones to be read on the replica")


def test_autocommit_does_not_tie_prepared_statements_to_the_primary(site):
    with site.client() as client:
        statement = client.prepare(WHERE)
        client.query("SET autocommit = 0")
        client.query("SET autocommit = 1")
        assert client.execute(statement) == [("replica",)]


def test_long_data_that_is_lost_is_not_executed_without(site):
    with site.client() as client:
        client.query("DELETE FROM item")
        insert = client.prepare("INSERT INTO item (name, price) VALUES (?, ?)")
        client.execute(insert, ["first", 1])
        client.send_long_data(insert, 0, b"some")
        assert client.one("SELECT COUNT(*) FROM item") == "1"
        kill_connections(site.primary)
        with pytest.raises(Failure) as caught:
            client.execute(insert, [LONG_DATA, 2])
        assert caught.value.code == 2013
        client.send_long_data(insert, 0, b"again")
        client.execute(insert, [LONG_DATA, 3], resend_types=True)
        assert client.query("SELECT name, price FROM item ORDER BY id") == [("first", "1"), ("again", "3")]


def test_a_transaction_lost_before_long_data_is_said(site):
    with site.client() as client:
        client.query("DELETE FROM item")
        insert = client.prepare("INSERT INTO item (name) VALUES (?)")
        client.query("BEGIN")
        client.query("INSERT INTO item (name) VALUES ('undone')")
        kill_connections(site.primary)
        client.send_long_data(insert, 0, b"long")
        with pytest.raises(Failure) as caught:
            client.execute(insert, [LONG_DATA])
        assert (caught.value.code, caught.value.state) == (2013, "40000")
        assert client.one("SELECT COUNT(*) FROM item") == "0"


def test_isolation_and_access_mode_are_two_settings(site):
    with site.client() as client:
        client.query("SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE")
        client.query("SET SESSION TRANSACTION READ ONLY")
        kill_connections(site.primary)
        assert client.query("SELECT @@tx_isolation, @@tx_read_only, VERSION()")[0][:2] == ("SERIALIZABLE", "1")
        client.query("SET SESSION TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED")
        kill_connections(site.primary)
        assert client.query("SELECT @@tx_isolation, @@tx_read_only, VERSION()")[0][:2] == ("READ-COMMITTED", "0")


def test_found_rows_through_a_prepared_statement(site):
    with site.client() as client:
        assert client.query("SELECT 1 FROM place, seq_1_to_7") == [("1",)] * 7
        assert client.execute(client.prepare("SELECT FOUND_ROWS()")) == [(7,)]


def test_a_write_hidden_behind_a_system_variable_is_not_run_twice(own_site):
    """The connection breaks while it runs: what called an unknown function or a sequence is not sent again."""
    site = own_site
    site.primary.query("CREATE TABLE shop.calls (a INT) ENGINE=MyISAM")  # not undone
    site.primary.query("""CREATE FUNCTION shop.call_me() RETURNS INT DETERMINISTIC SQL SECURITY INVOKER
                          BEGIN INSERT INTO calls VALUES (1); DO SLEEP(3); RETURN 1; END""")
    site.primary.query("GRANT EXECUTE, INSERT ON shop.* TO app")
    client = site.client()
    client.send_query("SELECT @@version, call_me()")
    wait_for(lambda: site.primary.query_one("SELECT COUNT(*) FROM information_schema.processlist WHERE state = 'User sleep'"), 20,
             "it to run")
    kill_connections(site.primary)
    with pytest.raises(Failure):
        client.read_result()
    assert site.primary.query_one("SELECT COUNT(*) FROM shop.calls") == 1


def test_preparing_without_a_primary(own_site):
    site = own_site
    client = site.client()
    assert client.one(WHERE) == "replica"
    site.primary.kill()
    site.wait_for_primary(None)
    statement = client.prepare("SELECT ?, name FROM place")
    assert client.execute(statement, [5]) == [(5, "replica")]
    other = client.prepare(WHERE)
    assert other.number != statement.number
    assert client.execute(other) == [("replica",)]
    site.primary.start()
    site.wait_for_primary(site.primary)
    assert client.execute(statement, [6])[0][0] == 6


@pytest.mark.parametrize("text", ["SET NAMES 'gbk'", "SET NAMES gbk", 'SET character_set_client = "gbk"', "SET character_set_client = 28",
                                  "SET NAMES gbk/**/COLLATE gbk_chinese_ci"])
def test_a_character_set_with_quotes_in_it_is_known(site, text):
    """In gbk \\xbf\\x5c is one character, so that the quote behind it ends the string: what follows is not a string, and writes."""
    with site.client() as client:
        client.query(text)
        assert client.query(b"SELECT '\xbf\x5c', name FROM place -- '")[0][1] == "primary"
    with site.client() as client:
        client.query(text)
        assert client.one(WHERE) == "replica"  # plain text is plain in it


def test_reset_goes_back_to_the_character_set_of_the_login(site):
    login = Client((site.address, site.port), USER, PASSWORD, SCHEMA, login=False)
    with login as client:
        client.read_greeting()
        send = client.send_packet
        client.send_packet = lambda payload, sequence: send(payload[:8] + bytes([28]) + payload[9:], sequence)
        client.send_login(USER, PASSWORD, SCHEMA)
        client.send_packet = send
        client._finish_login(PASSWORD)
        client.command(COM_RESET_CONNECTION)
        assert client.one("SELECT @@character_set_client") == "gbk"
        assert client.query(b"SELECT '\xbf\x5c', name FROM place -- '")[0][1] == "primary"


def test_kill_by_the_id_of_the_greeting_hits_nobody(site):
    with site.client() as client, site.client() as other:
        for text in (f"KILL {client.connection_id}", f"KILL QUERY {other.connection_id}", f"KILL CONNECTION {other.connection_id}"):
            with pytest.raises(Failure) as caught:
                client.query(text)
            assert caught.value.code == 1094 and "CONNECTION_ID()" in caught.value.message
        with pytest.raises(Failure) as caught:
            client.command(12, client.connection_id.to_bytes(4, "little"))
        assert caught.value.code == 1094
        assert other.one("SELECT 1") == "1"
        number = other.query("SELECT CONNECTION_ID()")[0][0]
        assert int(number) < client.connection_id  # a server's own id goes to the server
        client.query(f"KILL {number}")
        assert other.one("SELECT VERSION()") and client.one("SELECT 1") == "1"


def test_a_login_that_drips_is_ended(site):
    """Ten seconds for all of it, not for each byte."""
    client = Client((site.address, site.port), USER, PASSWORD, SCHEMA, login=False)
    client.read_greeting()
    client.socket.settimeout(1)
    began = time.monotonic()
    client.socket.sendall(b"\x40\0\0\1")
    while time.monotonic() - began < 25:
        try:
            client.socket.sendall(b"x") if time.monotonic() - began < 20 else None
            if client.socket.recv(100) == b"":
                break
        except socket.timeout:
            continue
        except OSError:
            break
    assert time.monotonic() - began < 15
    client.socket.close()
