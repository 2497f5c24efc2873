# SPDX-License-Identifier: BSD-2-Clause
"""Caps on the connections to an app, and the queue of those who wait: true over all of noah's threads, in the order of coming."""
import contextlib
import os
import signal
import socket
import threading

from capped_site import CappedSite, receive, receive_all
from support.noah import free_port, local_address, wait_for

NO_CHECK_CONNECTIONS = "{ get: /check, every: 60s, timeout: 1s, rise: 1, fall: 2 }"  # so that checks' connections are not counted


def close(visitors):
    for visitor in visitors:
        visitor.close()


def test_five_hundred_visitors_of_ten_processes(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 10"}, options="    queue: { length: 1000, timeout: 60s }",
                    check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        visitors = [site.send(f"/{number}?ms=20") for number in range(500)]
        answers = receive_all(visitors)
        close(visitors)
        assert answers == [200] * 500, "some were refused"
        assert app.most_at_once() == 10
        assert app.most_open() == 10
        assert site.noah.counter("queue_waited") > 400
        assert len(app.began()) == 500


def test_the_order_is_kept(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 1"}, options="    queue: { timeout: 120s }",
                    check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        first = site.send("/first?held=it")
        wait_for(lambda: len(app.began()) == 1, 10, "the first to be under way")
        visitors = []
        for number in range(40):
            visitors.append(site.send(f"/{number}?ms=1{'&close' if number % 3 == 0 else ''}"))
            wait_for(lambda: site.noah.counter("queue_waited") == number + 1, 10, f"{number} to wait")
        app.release("it")
        assert receive_all([first, *visitors]) == [200] * 41
        close([first, *visitors])
        assert [path.split("?")[0] for path in app.began()] == ["/first"] + [f"/{number}" for number in range(40)]
        assert app.most_at_once() == 1


def wait_for_waiting(site, count):
    wait_for(lambda: site.noah.counter("queue_waited") == count, 10, f"{count} to have had to wait")


def test_a_full_queue_and_a_long_wait_end_in_503(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 1"}, options="    queue: { length: 2, timeout: 4s }",
                    check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        first = site.send("/first?held=it")
        wait_for(lambda: len(app.began()) == 1, 10, "the first to be under way")
        waiting = [site.send(f"/wait/{number}") for number in range(2)]
        wait_for_waiting(site, 2)
        status, _, body = site.get("/refused")
        assert status == 503 and b"503" in body
        assert receive_all(waiting) == [503, 503]
        app.release("it")
        assert receive_all([first]) == [200]
        close([first, *waiting])
        assert app.began() == ["/first?held=it"]
        wait_for(lambda: site.log().count(" 503 ") == 3, 10, "three lines in the access log")
        refused = next(line for line in site.log().splitlines() if "/refused" in line)
        assert "queue-full" in refused and "has 1 connections at most, 2 requests wait" in refused
        late = next(line for line in site.log().splitlines() if "/wait/0" in line)
        assert "queue-timeout" in late and "within 4000 ms" in late
        assert site.noah.counter("queue_refused") == 1
        assert site.noah.counter("queue_timeouts") == 2


def test_who_leaves_is_not_served(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 1"}, check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        first = site.send("/first?held=it")
        wait_for(lambda: len(app.began()) == 1, 10, "the first to be under way")
        waiting = []
        for number in range(3):
            waiting.append(site.send(f"/{number}"))
            wait_for_waiting(site, number + 1)
        waiting[1].close()
        wait_for(lambda: "/1 " in site.log(), 10, "the one who left to be in the log")
        app.release("it")
        assert receive_all([first, waiting[0], waiting[2]]) == [200] * 3
        close([first, waiting[0], waiting[2]])
        assert app.began() == ["/first?held=it", "/0", "/2"]
        assert "visitor-gone" in next(line for line in site.log().splitlines() if "/1 " in line)


def test_the_first_slot_of_any_server(tmp_path):
    """Who waits is bound to no server of the group: the one that becomes free first serves him."""
    with CappedSite(tmp_path, {"web1": "connections: 1", "web2": "connections: 1"}, check=NO_CHECK_CONNECTIONS) as site:
        apps = list(site.apps.values())
        # One for each, since there is no other place. Then the second one's is over, and the first one's is not.
        slow = site.send("/slow?held=slow")
        wait_for(lambda: sum(len(app.began()) for app in apps) == 1, 10, "the slow one to be under way")
        busy = next(app for app in apps if app.began())
        free = next(app for app in apps if app is not busy)
        quick = site.send("/quick?held=quick")
        wait_for(lambda: len(free.began()) == 1, 10, "the quick one to be under way")
        waiting = []
        for number in range(6):
            waiting.append(site.send(f"/{number}"))
            wait_for_waiting(site, number + 1)
        free.release("quick")
        assert receive_all([quick, *waiting]) == [200] * 7
        assert free.began() == ["/quick?held=quick"] + [f"/{number}" for number in range(6)]
        assert busy.began() == ["/slow?held=slow"]
        busy.release("slow")
        assert receive_all([slow]) == [200]
        close([slow, quick, *waiting])


def test_an_idle_connection_is_given_up_for_another_thread(tmp_path):
    """Visitors who keep their connections stay on their threads of noah, whose pools keep the app's only slots."""
    with CappedSite(tmp_path, {"web1": "connections: 2"}, check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        visitors = []
        for number in range(8):
            visitors.append(site.socket())
            wait_for(lambda: site.noah.counter("connections_open") == number + 1, 10, "the visitor to be there")
        assert min(lane["connections_open"] for lane in site.noah.status()["lanes"]) > 0, "all on one thread"
        for turn in range(20):
            for number, visitor in enumerate(visitors):
                visitor.sendall(f"GET /{turn}/{number} HTTP/1.1\r\nHost: example.com\r\n\r\n".encode())
                assert receive(visitor)[0] == 200
        close(visitors)
        assert app.most_at_once() <= 2 and app.most_open() <= 2


def test_no_app_process_is_kept_busy_by_nobody(tmp_path):
    """More visitors than slots on all threads at once, with and without kept connections to the app."""
    with CappedSite(tmp_path, {"web1": "connections: 3", "web2": "connections: 2"}, threads=3,
                    check=NO_CHECK_CONNECTIONS) as site:
        apps, failures = list(site.apps.values()), []

        def visit(number):
            with contextlib.closing(site.socket()) as visitor:
                for turn in range(40):
                    last = "&close" if (turn + number) % 3 == 0 else ""
                    visitor.sendall(f"GET /{number}/{turn}?ms=2{last} HTTP/1.1\r\nHost: example.com\r\n\r\n".encode())
                    if receive(visitor)[0] != 200:
                        failures.append((number, turn))

        threads = [threading.Thread(target=visit, args=(number,), daemon=True) for number in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "somebody waits for ever"
        assert failures == []
        assert apps[0].most_at_once() <= 3 and apps[1].most_at_once() <= 2
        assert apps[0].most_open() <= 3 and apps[1].most_open() <= 2
        assert sum(len(app.began()) for app in apps) == 12 * 40


def test_slots_of_a_killed_traffic_process_come_back(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 3"}, check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        site.noah.expect_crashes = True
        for turn in range(5):
            lost = [site.send(f"/{turn}/{number}?ms=100") for number in range(10)]
            wait_for(lambda: len(app.began()) >= 3 * (turn + 1), 10, "all slots to be held")
            traffic = site.noah.child("traffic")
            os.kill(traffic, signal.SIGKILL)
            wait_for(lambda: site.noah.child("traffic") not in (None, traffic), 20, "another traffic process")
            close(lost)
        wait_for(lambda: len(app.began()) == sum(what == "end" for what, _ in app.journal()), 10,
                 "the app to have ended what the visitors have left")
        mark = len(app.journal())
        visitors = [site.send(f"/after/{number}?ms=100") for number in range(12)]
        assert receive_all(visitors) == [200] * 12
        close(visitors)
        assert app.most_at_once(mark) == 3, "a slot was lost or made"
        assert app.most_open(mark) == 3


def test_who_waits_for_a_server_that_goes_down_moves_to_another(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 1", "web2": "connections: 1, backup: true"}) as site:
        web1, web2 = site.apps["web1"], site.apps["web2"]
        post = {"method": "POST", "fields": "Content-Length: 0\r\n"}  # may not be sent twice
        first = site.send("/first?ms=60000", **post)
        wait_for(lambda: len(web1.began()) == 1, 10, "the first to be under way")
        waiting = []
        for number in range(5):
            # These may: a process that is killed ends its connections before it ends its listening socket, so one of them can be sent to it.
            waiting.append(site.send(f"/{number}"))
            wait_for_waiting(site, number + 1)
        web1.kill()
        assert receive_all([first, *waiting], 20) == [502] + [200] * 5
        close([first, *waiting])
        # Each once. Each thread of noah finds out for itself that the server is down, so the order is that of each thread.
        assert sorted(web2.began()) == [f"/{number}" for number in range(5)]
        assert len(web1.began()) == 1


def test_a_reload_raises_lowers_and_lifts_the_cap(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 1"}, check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        for connections, most in (("connections: 4", 4), ("connections: 2", 2), ("", 8), ("connections: 3", 3)):
            site.entries["web1"] = connections
            before = [site.send(f"/{most}/{number}?held=before-{most}") for number in range(8)]
            site.noah.reload(site.text())
            app.release(f"before-{most}")
            assert receive_all(before) == [200] * 8
            close(before)
            mark, began = len(app.journal()), len(app.began())
            after = [site.send(f"/{most}/{number}?held=after-{most}") for number in range(8)]
            wait_for(lambda: len(app.began()) - began == most, 10, "all slots to be held")
            app.release(f"after-{most}")
            assert receive_all(after) == [200] * 8
            close(after)
            assert app.most_at_once(mark) == most


def test_the_cap_and_the_order_hold_over_an_upgrade(tmp_path):
    """The former generation of the program still has requests under way, and some that wait: those come first."""
    with CappedSite(tmp_path, {"web1": "connections: 2"}, options="    queue: { timeout: 120s }",
                    check=NO_CHECK_CONNECTIONS) as site:
        app = site.apps["web1"]
        held = [site.send(f"/held/{number}?held=it") for number in range(2)]
        wait_for(lambda: len(app.began()) == 2, 10, "both slots to be held")
        old = []
        for number in range(3):
            old.append(site.send(f"/old/{number}?ms=200"))
            wait_for_waiting(site, number + 1)
        traffic = site.noah.child("traffic")
        result = site.noah.command("upgrade", timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        assert site.noah.child("traffic") != traffic
        new = []
        for number in range(3):
            new.append(site.send(f"/new/{number}?ms=200"))
            wait_for_waiting(site, number + 4)
        assert sorted(app.began()) == ["/held/0?held=it", "/held/1?held=it"]
        app.release("it")
        assert receive_all([*held, *old, *new]) == [200] * 8
        close([*held, *old, *new])
        waited = [path.split("?")[0] for path in app.began()[2:]]
        assert sorted(waited[:3]) == [f"/old/{number}" for number in range(3)], "who came later was served earlier"
        assert sorted(waited[3:]) == [f"/new/{number}" for number in range(3)]
        assert app.most_at_once() == 2
        assert app.most_open() <= 3  # and the first check of the new watch
        # What the former generation held is free again.
        mark = len(app.journal())
        again = [site.send(f"/again/{number}?ms=200") for number in range(6)]
        assert receive_all(again) == [200] * 6
        close(again)
        assert app.most_at_once(mark) == 2


def test_connections_of_a_tcp_service_share_the_cap_and_the_queue(tmp_path):
    """A connection of the service and a request of the site, to one address: each waits for the other to end."""
    with CappedSite(tmp_path, {"web1": "connections: 1"}, check=NO_CHECK_CONNECTIONS) as site:
        app, address = site.apps["web1"], local_address()
        port = free_port(address)
        site.more = f"""services:
  raw:
    on: [front]
    listen: ["{address}:{port}"]
    servers: [{{ server: web1:{app.port}, connections: 1 }}]
    check: {{ tcp: true, every: 60s, timeout: 1s }}
"""
        site.noah.reload(site.text())
        wait_for(lambda: all(target["health"] == "up" for target in site.noah.targets(f":{app.port}")), 10, "both checks")

        def ask(visitor, path):
            visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

        first = socket.create_connection((address, port), 30)
        ask(first, "/tcp/first")
        assert receive(first)[0] == 200
        waiting = site.send("/http")
        wait_for_waiting(site, 1)
        second = socket.create_connection((address, port), 30)
        ask(second, "/tcp/second")
        wait_for_waiting(site, 2)
        gone = socket.create_connection((address, port), 30)
        wait_for_waiting(site, 3)
        gone.close()
        assert app.began() == ["/tcp/first"]
        first.close()
        assert receive(waiting)[0] == 200
        assert receive(second)[0] == 200  # the request's connection is kept by noah, and given up for this
        assert app.began() == ["/tcp/first", "/http", "/tcp/second"]
        second.close()
        assert site.get("/last")[0] == 200
        waiting.close()
