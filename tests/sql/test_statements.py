# SPDX-License-Identifier: BSD-2-Clause
"""Prepared statements of the binary protocol."""
import pytest

from conftest import WHERE
from support.mysql_client import CURSOR_EXISTS, DEFAULT, DEPRECATE_EOF, LAST_ROW_SENT, LONG_DATA, Failure


def test_executions_are_routed(site, client):
    read = client.prepare("SELECT name FROM place WHERE name <> ?")
    write = client.prepare("INSERT INTO item (name, price) VALUES (?, ?)")
    assert client.execute(read, ["x"]) == [("replica",)]
    assert client.execute(read, ["y"]) == [("replica",)]  # types not sent again
    assert client.execute(write, ["nail", 3]) is None and client.affected == 1
    client.query("BEGIN")
    assert client.execute(read, ["x"]) == [("primary",)]
    client.query("COMMIT")
    assert client.execute(read, ["x"]) == [("replica",)]


def test_types_bound_on_one_server_reach_the_other(client):
    read = client.prepare("SELECT name, ? + 1, ? FROM place")
    client.query("BEGIN")
    assert client.execute(read, [41, "a"]) == [("primary", 42, "a")]
    client.query("COMMIT")
    assert client.execute(read, [1, "b"]) == [("replica", 2, "b")]
    assert client.execute(read, ["2.5", "c"])[0][0] == "replica"
    client.query("BEGIN")
    assert client.execute(read, ["7", "d"])[0][0] == "primary"
    client.query("COMMIT")


def test_null_and_no_parameters(client):
    assert client.execute(client.prepare("SELECT ?, name FROM place"), [None]) == [(None, "replica")]
    assert client.execute(client.prepare(WHERE)) == [("replica",)]


def test_close_and_unknown_ids(client):
    statement = client.prepare(WHERE)
    assert client.execute(statement, number=0xFFFFFFFF) == [("replica",)]  # the one prepared last
    client.close_statement(statement)
    with pytest.raises(Failure) as caught:
        client.execute(statement)
    assert caught.value.code == 1243
    with pytest.raises(Failure) as caught:
        client.fetch(statement, 1)
    assert caught.value.code == 1243
    client.close_statement(statement)  # no answer, no harm
    with pytest.raises(Failure) as caught:
        client.prepare("SELECT nonsense FROM place")
    assert caught.value.code == 1054
    assert client.one("SELECT 1") == "1"


def test_many_statements_are_closed_at_the_servers(site, client):
    for i in range(200):
        statement = client.prepare(f"SELECT {i}, name FROM place")
        assert client.execute(statement)[0] == (i, "replica")
        client.close_statement(statement)
    client.query("SELECT 1")
    for server in (site.primary, site.replica):
        assert int(server.row("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")["Value"]) == 0


def test_long_data_goes_where_the_execution_goes(site, client):
    statement = client.prepare("SELECT LENGTH(?), name FROM place")
    client.send_long_data(statement, 0, b"x" * 100000)
    client.send_long_data(statement, 0, b"y" * 1000000)
    assert client.execute(statement, [LONG_DATA]) == [(1100000, "primary")]
    client.send_long_data(statement, 0, b"z")
    client.reset_statement(statement)
    assert client.execute(statement, ["abc"])[0][0] == 3


@pytest.mark.parametrize("capabilities", [DEFAULT, DEFAULT & ~DEPRECATE_EOF])
def test_cursors(site, capabilities):
    with site.client(capabilities=capabilities) as client:
        client.query("DELETE FROM item")
        client.query("INSERT INTO item (id, name) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        statement = client.prepare("SELECT id, name FROM item ORDER BY id")
        client.execute(statement, cursor=True)
        assert client.status & CURSOR_EXISTS
        assert client.fetch(statement, 2) == [(1, "a"), (2, "b")]
        client.query("INSERT INTO item (id, name) VALUES (4, 'd')")
        assert client.fetch(statement, 2) == [(3, "c")]
        assert client.status & LAST_ROW_SENT
        client.reset_statement(statement)
        assert client.execute(statement) == [(1, "a"), (2, "b"), (3, "c"), (4, "d")]


def test_large_parameters(client):
    statement = client.prepare("SELECT LENGTH(?), name FROM place")
    for size in (100, 16380, 16384, 60000, 300000, 16000000, 50):
        assert client.execute(statement, ["x" * size])[0][0] == size


def test_setting_through_a_prepared_statement(client):
    assert client.one(WHERE) == "replica"
    client.execute(client.prepare("SET SESSION group_concat_max_len = 4"))
    assert client.query("SELECT GROUP_CONCAT('123456789'), name FROM place")[0][0] == "1234"


def test_reset_forgets_statements(client):
    statement = client.prepare(WHERE)
    client.command(31)
    with pytest.raises(Failure) as caught:
        client.execute(statement)
    assert caught.value.code == 1243
