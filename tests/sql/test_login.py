# SPDX-License-Identifier: BSD-2-Clause
"""Who may log in through noah, and what everybody else is told."""
import subprocess

import pymysql
import pytest

from conftest import PASSWORD, SCHEMA, USER
from support.mariadb import wait_for
from support.mysql_client import PLUGIN_AUTH, DEFAULT, Client, Failure


def fails(call):
    with pytest.raises(Failure) as caught:
        call().close()
    return caught.value


def test_right_password_over_tcp_and_unix_socket(site):
    with site.client() as client:
        assert client.query("SELECT CURRENT_USER()") == [("app@%",)]
        assert client.version.startswith("5.5.5-10.")
    with Client(site.directory + "/s", USER, PASSWORD, SCHEMA) as client:
        assert client.one("SELECT DATABASE()") == SCHEMA


def test_wrong_password_and_unknown_user(site):
    failure = fails(lambda: site.client(password="wrong"))
    assert (failure.code, failure.state) == (1045, "28000")
    assert failure.message.startswith("Access denied for user 'app'@'127.") and failure.message.endswith("(using password: YES)")
    failure = fails(lambda: site.client(user="nobody", password=""))
    assert failure.code == 1045 and failure.message.endswith("(using password: NO)")
    failure = fails(lambda: site.client(password=""))
    assert failure.code == 1045


def test_the_server_judges_the_database(site):
    assert fails(lambda: site.client(database="nowhere")).code == 1044
    site.primary.add_user("all", "all-secret")
    failure = fails(lambda: site.client("all", "all-secret", "nowhere"))
    assert (failure.code, failure.state) == (1049, "42000")
    with site.client(database=None) as client:
        assert client.one("SELECT DATABASE()") is None


def test_a_user_made_or_changed_a_moment_ago(site):
    assert fails(lambda: site.client("late", "one", None)).code == 1045
    site.primary.add_user("late", "one", "SELECT ON shop.*")
    site.client("late", "one", "shop").close()
    site.primary.query("SET PASSWORD FOR 'late'@'%' = PASSWORD('two')")
    site.client("late", "two", "shop").close()
    assert fails(lambda: site.client("late", "one", "shop")).code == 1045
    site.primary.query("DROP USER late")
    assert fails(lambda: site.client("late", "two", "shop")).code == 1045


def test_locked_account_is_refused_as_the_server_does(site):
    site.primary.add_user("locked", "secret", "SELECT ON shop.*")
    site.primary.query("ALTER USER locked ACCOUNT LOCK")
    assert fails(lambda: site.client("locked", "secret")).code == 4151


def test_account_without_password(site):
    site.primary.add_user("open", "", "SELECT ON shop.*")
    site.client("open", "").close()
    assert fails(lambda: site.client("open", "something")).code == 1045


def test_other_plugin_is_named(site):
    site.primary.query("CREATE OR REPLACE USER special@'%' IDENTIFIED VIA unix_socket")
    failure = fails(lambda: site.client("special", "x"))
    assert failure.code == 1251 and "'special'@'%'" in failure.message and "unix_socket" in failure.message


def test_client_that_proposes_another_plugin_is_switched(site):
    with site.client(plugin="caching_sha2_password") as client:
        assert client.one("SELECT 1") == "1"
    assert fails(lambda: site.client(password="wrong", plugin="caching_sha2_password")).code == 1045


def test_client_without_plugins(site):
    with site.client(capabilities=DEFAULT & ~PLUGIN_AUTH) as client:
        assert client.one("SELECT 1") == "1"


def test_pymysql_and_the_mariadb_client(site):
    with pymysql.connect(host=site.address, port=site.port, user=USER, password=PASSWORD, database=SCHEMA, charset="utf8mb4") as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s, DATABASE()", ("it's",))
            assert cursor.fetchall() == (("it's", SCHEMA),)
    result = subprocess.run(["mariadb", "--no-defaults", f"-h{site.address}", f"-P{site.port}", f"-u{USER}", f"-p{PASSWORD}", "-N", SCHEMA, "-e",
                             "SELECT 40 + 2; SELECT 'b'"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    assert (result.returncode, result.stdout) == (0, "42\nb\n"), result.stderr


def test_change_user_and_reset(site):
    site.primary.add_user("second", "second-secret", "SELECT ON shop.*")
    with site.client() as client:
        client.query("SET @a = 1")
        client.query("SET SESSION sql_mode = 'ANSI'")
        client.change_user("second", "second-secret", "shop")
        assert client.query("SELECT CURRENT_USER(), @a, DATABASE()") == [("second@%", None, "shop")]
        assert site.is_answered_by(client, "replica")
        with pytest.raises(Failure):
            client.query("DELETE FROM item")
    with site.client() as client:
        with pytest.raises(Failure) as caught:
            client.change_user("second", "wrong", "shop")
        assert caught.value.code == 1045
    with site.client() as client:
        client.query("SET @a = 1")
        client.query("SET NAMES latin1")
        assert not site.is_answered_by(client, "replica")
        client.command(31)
        assert client.query("SELECT @a") == [(None,)]
        client.command(31)
        wait_for(lambda: site.is_answered_by(client, "replica"), 10, "the session to be free again")
        assert client.one("SELECT DATABASE()") == SCHEMA


def test_too_many_sessions_and_reload(site):
    site.noah.reload(site.text("    sessions: 2\n"))
    try:
        clients = [site.client(), site.client()]
        failure = fails(site.client)
        assert failure.code == 1040 and failure.message == "Too many connections"
        for client in clients:
            assert client.one("SELECT 1") == "1"
            client.close()
        wait_for(lambda: site.noah.counter("sessions_open") == 0, 10, "the sessions to end")
        site.client().close()
    finally:
        site.noah.reload(site.text())


def test_idle_session_is_ended(site):
    site.noah.reload(site.text("    timeouts: { idle: 1s }\n"))
    try:
        with site.client() as client:
            assert client.one("SELECT 1") == "1"
            assert client.socket.recv(4096)[4:7] == b"\xff\xbf\x0f"  # 4031, unasked
            assert client.socket.recv(1) == b""
    finally:
        site.noah.reload(site.text())


def test_parked_session_goes_on(site):
    """Longer than a session keeps its stack."""
    with site.client() as client:
        client.query("SET NAMES utf8mb4")
        client.socket.settimeout(2.5)
        with pytest.raises(TimeoutError):
            client.socket.recv(1)
        client.socket.settimeout(30)
        assert client.one("SELECT @@character_set_client") == "utf8mb4"
