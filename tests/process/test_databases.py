# SPDX-License-Identifier: BSD-2-Clause
"""Who is primary, who is a replica: discovered by watch on real MariaDB servers."""
import os
import signal

import pytest

from support.mariadb import NOAH_PASSWORD, NOAH_USER, MariaDB, free_port, wait_for
from support.noah import Noah, local_address


@pytest.fixture(name="pair")
def make_pair(tmp_path):
    """db1 is the primary, db2 its replica."""
    with MariaDB(tmp_path / "db1", 1, address=local_address()) as db1, MariaDB(tmp_path / "db2", 2, address=local_address()) as db2:
        db2.make_replica_of(db1)
        db1.add_noah_account()
        db2.wait_until_applied(db1)
        yield db1, db2


def cluster_file(directory, *servers, password=NOAH_PASSWORD):
    front = local_address()
    secret = os.path.join(str(directory), "password")
    with open(secret, "w", encoding="utf-8") as file:
        file.write(password + "\n")
    os.chmod(secret, 0o600)
    names = [f"db{server.server_id}" for server in servers]
    lines = "".join(f"  {name}: {{ address: {server.address} }}\n" for name, server in zip(names, servers))
    places = ", ".join(f"{name}:{server.port}" for name, server in zip(names, servers))
    return f"""
cluster: test
servers:
  front: {{ address: {front} }}
{lines}
databases:
  main:
    servers: [{places}]
    on: [front]
    listen: ["{front}:{free_port(front)}"]
    account: {{ user: {NOAH_USER}, password_file: {secret} }}
    check: {{ every: 400ms, timeout: 400ms, rise: 1, fall: 2 }}
"""


def place(server):
    return f"{server.address}:{server.port}"


def role(noah, server):
    return noah.target(place(server))["role"]


def primary_of(noah):
    return noah.database("main")["primary"]


def wait_for_primary(noah, server):
    wait_for(lambda: primary_of(noah) == (server and f"db{server.server_id}:{server.port}"), 30, f"{server} to be the primary")


def test_roles_are_discovered(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        wait_for(lambda: role(noah, db2) == "replica", 10, "db2 to be a replica")
        assert role(noah, db1) == "primary"
        assert noah.target(place(db2))["lag_ms"] == 0
        assert noah.target(place(db1))["version"].startswith("10.") or noah.target(place(db1))["version"].startswith("11.")
        assert noah.database("main")["epoch"] >= 1
        db1.query("CREATE DATABASE shop")
        db2.wait_until_applied(db1)
        position = db1.query_one("SELECT @@gtid_binlog_pos")
        wait_for(lambda: {t["position"] for t in noah.status()["targets"]} == {position}, 10, "both positions on the board")


def test_changed_users_are_noticed(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        wait_for(lambda: noah.database("main")["accounts_version"] >= 2, 10, "the first checksum")
        before = noah.database("main")["accounts_version"]
        db1.add_user("newcomer", "secret", "SELECT ON *.*")
        wait_for(lambda: noah.database("main")["accounts_version"] > before, 10, "accounts_version to grow")


def test_replica_that_stops_applying_is_broken_and_comes_back(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for(lambda: role(noah, db2) == "replica", 10, "db2 to be a replica")
        db2.pause_applying()
        wait_for(lambda: role(noah, db2) == "replica that does not replicate", 10, "db2 to be broken")
        assert "applies nothing from db1" in noah.target(place(db2))["reason"]
        db2.resume_applying()
        wait_for(lambda: role(noah, db2) == "replica", 10, "db2 to be a replica again")


def test_applying_error_is_the_reason(tmp_path, pair):
    db1, db2 = pair
    db1.query("CREATE DATABASE shop")
    db1.query("CREATE TABLE shop.goods (id INT PRIMARY KEY)")
    db2.wait_until_applied(db1)
    with db2.connect() as connection, connection.cursor() as cursor:  # a row that only the replica has
        cursor.execute("SET sql_log_bin = 0")
        cursor.execute("INSERT INTO shop.goods VALUES (1)")
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for(lambda: role(noah, db2) == "replica", 10, "db2 to be a replica")
        db1.query("INSERT INTO shop.goods VALUES (1)")
        wait_for(lambda: "Duplicate entry" in noah.target(place(db2))["reason"], 10, "the server's own error")
        assert primary_of(noah) == f"db1:{db1.port}"


def test_lost_primary_leaves_none_and_the_replica_stays_one(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        epoch = noah.database("main")["epoch"]
        db1.kill()
        wait_for_primary(noah, None)
        assert "db1" in noah.database("main")["reason"]
        assert any("no primary" in warning for warning in noah.status()["warnings"])
        assert noah.database("main")["epoch"] > epoch
        # Its receiving thread tries again and again: it can still serve reads.
        assert role(noah, db2) == "replica"
        db1.start()
        wait_for_primary(noah, db1)


def test_writable_replica_is_never_taken_for_the_primary(tmp_path, pair):
    db1, db2 = pair
    db2.query("SET GLOBAL read_only = 0")
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        wait_for(lambda: role(noah, db2) == "replica", 10, "db2 to be a replica")
        db1.kill()
        wait_for_primary(noah, None)
        noah.wait_for_health(place(db1), "down")
        assert primary_of(noah) is None


def test_switch_by_hand_is_followed(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        db1.query("SET GLOBAL read_only = 1")
        wait_for_primary(noah, None)
        assert "read-only" in noah.database("main")["reason"]
        db2.query("STOP SLAVE")
        db2.query("RESET SLAVE ALL")
        db2.query("SET GLOBAL read_only = 0")
        wait_for_primary(noah, db2)
        noah.wait_for_log(f"the primary is db2:{db2.port}")


def test_two_writable_servers_at_start_are_nobody(tmp_path, pair):
    db1, db2 = pair
    db2.query("STOP SLAVE")
    db2.query("RESET SLAVE ALL")
    db2.query("SET GLOBAL read_only = 0")
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for(lambda: "several servers are writable" in noah.database("main")["reason"], 10, "the reason")
        assert primary_of(noah) is None


def test_second_writable_server_changes_nothing(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        db2.query("STOP SLAVE")
        db2.query("RESET SLAVE ALL")
        db2.query("SET GLOBAL read_only = 0")
        wait_for(lambda: "stays primary though 2 servers are writable" in noah.database("main")["reason"], 10, "the reason")
        assert primary_of(noah) == f"db1:{db1.port}"


def test_frozen_primary_is_found_out(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        db1.freeze()
        try:
            noah.wait_for_health(place(db1), "down")
            assert "timed out" in noah.target(place(db1))["reason"]
        finally:
            db1.thaw()
        wait_for_primary(noah, db1)


def test_wrong_password_says_so_and_a_reload_mends_it(tmp_path, pair):
    db1, db2 = pair
    text = cluster_file(tmp_path, db1, db2, password="wrong")
    with Noah(tmp_path / "noah", text) as noah:
        noah.wait_for_health(place(db1), "down")
        assert "Access denied" in noah.target(place(db1))["reason"]
        with open(tmp_path / "password", "w", encoding="utf-8") as file:
            file.write(NOAH_PASSWORD)
        noah.reload()
        wait_for_primary(noah, db1)


def test_roles_survive_a_crash_of_watch(tmp_path, pair):
    db1, db2 = pair
    with Noah(tmp_path / "noah", cluster_file(tmp_path, db1, db2)) as noah:
        wait_for_primary(noah, db1)
        epoch = noah.database("main")["epoch"]
        before = noah.child("watch")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: noah.child("watch") not in (None, before), 10, "a new watch")
        assert primary_of(noah) == f"db1:{db1.port}"
        checked = noah.target(place(db1))["checked"]
        wait_for(lambda: noah.target(place(db1))["checked"] > checked, 10, "another check")
        assert noah.database("main")["epoch"] == epoch
        assert primary_of(noah) == f"db1:{db1.port}"
