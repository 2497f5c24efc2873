# SPDX-License-Identifier: BSD-2-Clause
"""A whole site through noah while its servers are broken: what visitors and applications notice."""
import os
import signal
import time

import pymysql
import pytest

from lab.lab import Lab
from lab.machine import wait_for

from small_site import (DB1, DB2, FILE, FRONT, PASSWORD, USER, WEB1, WEB2, Readers, Visitors, connect, prepare_app, query,
                        tell_who_is_who)
from lab.visitor import Client


@pytest.fixture(scope="module")
def lab():
    with Lab(text=FILE, prepare_app=prepare_app) as running:
        running.start()
        primary, _ = running.databases["main"]
        primary.query("CREATE DATABASE shop")
        primary.query("CREATE TABLE shop.item (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(100))")
        primary.query("INSERT INTO shop.item (text) VALUES ('first')")
        tell_who_is_who(*running.databases["main"])
        primary.add_user(USER, PASSWORD, "ALL PRIVILEGES ON shop.*")
        yield running
        assert running.noahs()[0].faults() == []


@pytest.fixture
def noah(lab):
    return lab.noahs()[0]


@pytest.fixture(autouse=True)
def all_is_well(lab, request):
    """Each test starts and ends with everything up; a test that fails shows the end of noah's log."""
    yield
    noah = lab.noahs()[0]
    lab.network.mend_all()
    for name in lab.services:
        lab.machines[name].signal(signal.SIGCONT)
        lab.network.plug(name)
        lab.machines[name].free_disk()
        lab.start_server(name)
    try:
        for target in (WEB1, WEB2, DB1, DB2):
            noah.wait_for_health(target, "up")
        wait_for(lambda: noah.target(DB1)["role"] == "primary" and noah.target(DB2)["role"] == "replica", 30, "the roles",
                 every=0.1)
    finally:
        if getattr(request.node, "rep_call", None) is not None and request.node.rep_call.failed:
            print("---- the end of noah's log\n" + noah.log()[-4000:])


# ---- web servers

def breaks():
    """Ways in which a web server is lost: (name, how, how it comes back)."""
    return [
        ("power off", lambda lab: lab.power_off("web1"), lambda lab: lab.power_on("web1")),
        ("killed", lambda lab: lab.kill("web1"), lambda lab: lab.start_server("web1")),
        ("cut", lambda lab: lab.network.cut("web1"), lambda lab: lab.network.mend_all()),
        ("cut towards it", lambda lab: lab.network.cut_one_way("front", "web1"), lambda lab: lab.network.mend_all()),
        ("cut from it", lambda lab: lab.network.cut_one_way("web1", "front"), lambda lab: lab.network.mend_all()),
        ("frozen", lambda lab: lab.freeze("web1"), lambda lab: lab.thaw("web1")),
    ]


@pytest.mark.parametrize("way", breaks(), ids=lambda way: way[0].replace(" ", "-"))
def test_no_get_fails_when_a_web_server_is_lost(lab, noah, way):
    _, lose, bring_back = way
    with Visitors(lab) as fast, Visitors(lab, "/slow.php", threads=2) as slow:
        lose(lab)
        noah.wait_for_health(WEB1, "down")
        fast.wait_for_more(100)
        slow.wait_for_more(10)
        bring_back(lab)
        noah.wait_for_health(WEB1, "up")
        fast.wait_until_answered_by("web1")
        slow.wait_until_answered_by("web1", 2)
    assert not fast.failures and not slow.failures
    assert set(fast.answered_by) == {"web1", "web2"}


def test_no_get_fails_on_a_bad_line(lab):
    with Visitors(lab) as visitors, lab.network.lose("web1", 10):
        visitors.wait_for_more(300, seconds=120)
    assert not visitors.failures


def test_a_server_without_its_check_file_gets_no_requests(lab, noah):
    app = lab.service("web2")
    with Visitors(lab) as visitors:
        app.remove_check_file()
        noah.wait_for_health(WEB2, "down")
        visitors.wait_for_more(20)  # those that were under way
        before = visitors.answered_by["web2"]
        visitors.wait_for_more(200)
        assert visitors.answered_by["web2"] == before
        assert "404" in noah.target(WEB2)["reason"]
        app.put_check_file()
        noah.wait_for_health(WEB2, "up")
        visitors.wait_until_answered_by("web2")
    assert not visitors.failures


def test_without_any_web_server_there_is_a_page_that_says_so(lab, noah):
    lab.kill("web1")
    lab.power_off("web2")
    noah.wait_for_health(WEB1, "down")
    noah.wait_for_health(WEB2, "down")
    with Client(lab.machines["visitor"], FRONT) as client:
        answer = client.get("/index.php?v=nobody")
        assert answer.status == 503 and answer.header("retry-after") and answer.whole
        lab.start_server("web1")
        noah.wait_for_health(WEB1, "up")
        assert client.get("/index.php").body == b"web1"
    wait_for(lambda: "v=nobody" in noah.machine.read("/var/log/noah/access.log"), 10, "the line in the access log")
    line = next(line for line in noah.machine.read("/var/log/noah/access.log").splitlines() if "v=nobody" in line)
    assert " 503 " in line and "cause=" in line


# ---- databases

@pytest.mark.parametrize("way", [
    ("power off", lambda lab: lab.power_off("db2"), lambda lab: lab.power_on("db2")),
    ("killed", lambda lab: lab.kill("db2"), lambda lab: lab.start_server("db2")),
    ("cut", lambda lab: lab.network.cut("db2"), lambda lab: lab.network.mend_all()),
    ("frozen", lambda lab: lab.freeze("db2"), lambda lab: lab.thaw("db2")),
], ids=lambda way: way[0].replace(" ", "-"))
def test_no_read_fails_when_the_replica_is_lost(lab, noah, way):
    _, lose, bring_back = way
    with Readers(lab) as readers:
        readers.wait_until_answered_by("db2")
        lose(lab)
        noah.wait_for_health(DB2, "down")
        readers.wait_until_answered_by("db1", 50)
        bring_back(lab)
        noah.wait_for_health(DB2, "up")
        readers.wait_until_answered_by("db2")
    assert not readers.failures


@pytest.mark.parametrize("way", [
    ("power off", lambda lab: lab.power_off("db1"), lambda lab: lab.power_on("db1")),
    ("killed", lambda lab: lab.kill("db1"), lambda lab: lab.start_server("db1")),
    ("cut", lambda lab: lab.network.cut("db1"), lambda lab: lab.network.mend_all()),
    ("frozen", lambda lab: lab.freeze("db1"), lambda lab: lab.thaw("db1")),
], ids=lambda way: way[0].replace(" ", "-"))
def test_without_the_primary_reads_go_on_and_writes_are_told_why(lab, noah, way):
    _, lose, bring_back = way
    replica = lab.databases["main"][1]
    wait_for(lambda: replica.has_applied_all_of(lab.databases["main"][0]), 20, "the replica to have all")
    with Readers(lab) as readers:
        lose(lab)
        noah.wait_for_health(DB1, "down")
        readers.wait_until_answered_by("db2", 50)
        before = replica.query("SELECT COUNT(*) FROM shop.item")
        with pytest.raises(pymysql.MySQLError) as caught:
            query(lab, "INSERT INTO item (text) VALUES ('lost')")
        number, message = caught.value.args
        assert number != 0 and "main" in message, caught.value
        assert replica.query("SELECT COUNT(*) FROM shop.item") == before
        bring_back(lab)
        noah.wait_for_health(DB1, "up")
        wait_for(lambda: query(lab, "INSERT INTO item (text) VALUES ('kept')") == (), 30, "writes to go on", every=0.2)
    assert not readers.failures
    assert query(lab, "SELECT COUNT(*) FROM item WHERE text = 'lost'") == ((0,),)


def test_a_write_is_on_the_next_read_while_the_replica_is_late(lab):
    replica = lab.databases["main"][1]
    replica.hold(3)
    try:
        for number in range(50):
            with connect(lab) as writer, writer.cursor() as cursor:
                cursor.execute("INSERT INTO item (text) VALUES (%s)", (f"late {number}",))
            assert query(lab, "SELECT COUNT(*) FROM item WHERE text = %s", f"late {number}") == ((1,),)
    finally:
        replica.hold(0)


def test_a_full_disk_of_the_primary_stops_no_read(lab, noah):
    """MariaDB itself waits for room; what is asserted is that nobody else is disturbed, and that it goes on afterwards."""
    with Readers(lab) as readers, Visitors(lab) as visitors:
        lab.machines["db1"].fill_disk()
        readers.wait_for_more(100)
        visitors.wait_for_more(100)
        lab.machines["db1"].free_disk()
        readers.wait_for_more(20)
    assert not readers.failures and not visitors.failures
    wait_for(lambda: query(lab, "INSERT INTO item (text) VALUES ('room')") == (), 60, "writes to go on", every=0.2)


# ---- noah itself

def kill_child(noah, name):
    before = noah.children()[name]
    os.kill(before, signal.SIGKILL)
    return before


def test_a_killed_traffic_process_is_back_and_nobody_is_refused(lab, noah):
    """Whoever is on a connection of the process that dies loses it; whoever comes then waits in the queue of the socket, which
    stays."""
    with Client(lab.machines["visitor"], FRONT) as before:
        assert before.get("/index.php").status == 200
        for _ in range(5):
            old = kill_child(noah, "traffic")
            with Client(lab.machines["visitor"], FRONT) as client:
                answer = client.get("/index.php")
            # Accepted by the dying process, it may be lost; refused it is never.
            assert answer.status == 200 or "refused" not in answer.problem, answer.describe()
            wait_for(lambda: noah.children().get("traffic", old) != old, 20, "a new traffic process")
            with Client(lab.machines["visitor"], FRONT) as client:
                assert client.get("/index.php").status == 200
            assert query(lab, "SELECT text FROM item WHERE id = 1") == (("first",),)
    assert next(process["restarts"] for process in noah.status()["processes"] if process["name"] == "traffic") >= 5


def test_a_killed_watch_forgets_nothing(lab, noah):
    lab.kill("web2")
    noah.wait_for_health(WEB2, "down")
    with Visitors(lab) as visitors:
        old = kill_child(noah, "watch")
        deadline = time.monotonic() + 20
        while noah.children().get("watch", old) == old:
            assert noah.target(WEB2)["health"] == "down" and noah.target(WEB1)["health"] == "up"
            assert time.monotonic() < deadline, "no new watch"
        visitors.wait_for_more(50)
        lab.start_server("web2")
        noah.wait_for_health(WEB2, "up")
        visitors.wait_until_answered_by("web2")
    assert not visitors.failures
