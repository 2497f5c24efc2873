# SPDX-License-Identifier: BSD-2-Clause
"""Servers that die, freeze, close and come back while visitors ask: what reaches a visitor, and how requests are shared out."""
import contextlib
import http.client
import os
import re
import signal
import socket
import threading
import time

from site_of_apps import SANITIZED, Site, Visitors
from support.noah import wait_for


def names(site, count):
    return [site.get()[1].decode() for _ in range(count)]


def test_weighted_round_robin(tmp_path):
    with Site(tmp_path, apps=("web1", "web2", "web3"), weights=(4, 1, 1)) as site:
        got = names(site, 12)
        assert sorted(got) == ["web1"] * 8 + ["web2"] * 2 + ["web3"] * 2
        # Smooth: the two light servers do not come one after the other.
        assert ["web2", "web3"] not in [got[i:i + 2] for i in range(11)]


def test_least_connections(tmp_path):
    with Site(tmp_path, options="    balance: least-connections") as site:
        busy = [site.connect() for _ in range(2)]
        for connection in busy:
            connection.request("GET", "/slow?4")
        wait_for(lambda: sum(target["active"] for target in site.noah.targets("check")) == 2, 10, "both to be under way")
        active = {target["address"]: target["active"] for target in site.noah.targets("check")}
        assert sorted(active.values()) == [1, 1]
        # One more on one of them: from then on the other one has fewer.
        third = site.connect()
        third.request("GET", "/slow?4")
        wait_for(lambda: sum(target["active"] for target in site.noah.targets("check")) == 3, 10, "three to be under way")
        fewer = min(site.noah.targets("check"), key=lambda target: target["active"])["address"]
        port = fewer.rsplit(":", 1)[-1]
        name = next(app.name for app in site.apps if str(app.port) == port)
        assert names(site, 5) == [name] * 5
        for connection in (*busy, third):
            assert connection.getresponse().read() in (b"web1", b"web2")
            connection.close()


def test_a_killed_server_costs_no_get(tmp_path):
    with Site(tmp_path) as site:
        with Visitors(site) as visitors:
            visitors.wait_for_more(200)
            for app in site.apps:
                app.kill()
                visitors.wait_for_more(200)
                app.start()
                site.noah.wait_for_health(f":{app.port}", "up")
                visitors.wait_for_more(200)
        visitors.check()
        # Every POST that a visitor saw fail is in the log with its cause.
        failed = re.findall(r'"POST /count HTTP/1.1" 50\d .* cause="', site.log())
        assert len(failed) == len(visitors.failed_posts)
        assert site.noah.counter("retries") > 0


def test_a_frozen_server_costs_no_get(tmp_path):
    with Site(tmp_path) as site:
        with Visitors(site) as visitors:
            visitors.wait_for_more(100)
            began = time.monotonic()
            site.apps[0].signal(signal.SIGSTOP)
            site.noah.wait_for_health(f":{site.apps[0].port}", "down")
            visitors.wait_for_more(100)
            took = time.monotonic() - began
            site.apps[0].signal(signal.SIGCONT)
            site.noah.wait_for_health(f":{site.apps[0].port}", "up")
            visitors.wait_for_more(100)
        visitors.check()
        assert took < 40, "GETs waited for the answer's timeout"
        assert "was found down while the request waited" in site.log()


def test_servers_that_close_idle_connections(tmp_path):
    """The race: the server closes a kept connection at the moment at which the next request goes out on it."""
    rounds = 60 if SANITIZED else 250
    with Site(tmp_path, apps=("web1",), idle_s=0.03) as site, contextlib.closing(site.connect()) as visitor:
        for turn in range(rounds):
            visitor.request("GET", "/")
            answer = visitor.getresponse()
            assert (answer.status, answer.read()) == (200, b"web1")
            time.sleep(0.026 + turn % 10 * 0.001)


def test_no_server_left(tmp_path):
    with Site(tmp_path) as site:
        for app in site.apps:
            app.kill()
        for app in site.apps:
            site.noah.wait_for_health(f":{app.port}", "down")
        status, body, headers = site.get()
        assert status == 503 and b"none of its servers is available" in body
        assert int(headers["Retry-After"]) >= 1
        site.wait_for_log(r'503 .*server=- .*end=no-server cause="no server is up: web1:\d+ down since .*; web2:\d+ down since ')
        assert "no server is up" in site.noah.log()
        site.apps[1].start()
        site.noah.wait_for_health(f":{site.apps[1].port}", "up")
        assert names(site, 3) == ["web2"] * 3


def test_a_server_that_cannot_be_reached_is_avoided(tmp_path):
    """Between two checks: after `fall` failed connections no request goes there."""
    with Site(tmp_path, check="{ get: /check, every: 1h, timeout: 1s, rise: 1, fall: 2 }") as site:
        site.apps[0].kill()
        assert names(site, 20) == ["web2"] * 20
        assert site.noah.counter("retries") == 2


def test_a_new_server_gets_nothing_before_its_first_check(tmp_path):
    with Site(tmp_path, start=False) as site:
        site.apps[0].kill()
        site.noah.start(wait=False)
        wait_for(lambda: os.path.exists(site.noah.control) and site.noah.wait_ready() is None, 30, "noah")
        assert names(site, 6) == ["web2"] * 6
        assert site.noah.counter("retries") == 0


def test_a_visitor_who_resets_ends_the_request_at_the_app(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site:
        visitor = site.socket()
        visitor.sendall(b"GET /slow?20 HTTP/1.1\r\nHost: example.com\r\n\r\n")
        wait_for(lambda: site.noah.targets("check")[0]["active"] == 1, 10, "the request to be under way")
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        visitor.close()
        site.wait_for_log(r"/slow\?20 .* 000 0 .*end=visitor-gone")
        assert site.noah.targets("check")[0]["active"] == 0


def test_half_closed_visitors_get_their_answer(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site, site.socket() as visitor:
        visitor.sendall(b"GET /slow?0.5 HTTP/1.1\r\nHost: example.com\r\n\r\n")
        visitor.shutdown(socket.SHUT_WR)
        got = b""
        while piece := visitor.recv(4096):
            got += piece
        assert got.startswith(b"HTTP/1.1 200") and got.endswith(b"web1")


def test_sites_by_name(tmp_path):
    with Site(tmp_path) as site:
        web1, web2 = site.apps
        two = f"""
  second.example:
    names: [alias.example]
    on: [front]
    listen: ["{site.address}:{site.port}"]
    apps: [web2:{web2.port}]
    check: {site.check}
"""
        site.more = two
        text = site.text().replace(f", {{ server: web2:{web2.port}, weight: 1 }}", "")
        site.noah.reload(text)
        site.noah.wait_ready()
        assert site.get(host="Example.COM")[1] == b"web1"
        assert site.get(host="example.com:1234")[1] == b"web1"
        assert site.get(host="example.com.")[1] == b"web1"
        assert site.get(host="second.example")[1] == b"web2"
        assert site.get(host="ALIAS.example")[1] == b"web2"
        status, body, _ = site.get(host="third.example")
        assert status == 421 and b"no site of this name" in body
        site.wait_for_log("end=unknown-site")
        site.noah.reload(text.replace("alias.example", "alias.example, '*'"))
        assert site.get(host="third.example")[1] == b"web2"
        assert site.get(host="example.com")[1] == b"web1"


def test_reloads_under_load(tmp_path):
    with Site(tmp_path, threads=2) as site:
        text = site.text()
        with Visitors(site) as visitors, contextlib.closing(site.connect()) as kept:
            kept.request("GET", "/")
            assert kept.getresponse().read() in (b"web1", b"web2")
            same = kept.sock.getsockname()
            for turn in range(10):
                site.noah.reload(text.replace("weight: 1", f"weight: {turn % 3 + 1}"))
                visitors.wait_for_more(20)
            kept.request("GET", "/")
            assert kept.getresponse().read() in (b"web1", b"web2")
            assert kept.sock.getsockname() == same, "a reload has closed a visitor's connection"
        visitors.check()
        assert visitors.failed_posts == []


def test_stopping_lets_requests_finish(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site:
        with contextlib.closing(site.connect()) as busy, site.socket() as idle:
            busy.request("GET", "/slow?1")
            wait_for(lambda: site.noah.targets("check")[0]["active"] == 1, 10, "the request to be under way")
            stopping = threading.Thread(target=site.noah.stop)
            stopping.start()
            assert idle.recv(100) == b""  # closed at once
            answer = busy.getresponse()
            assert (answer.status, answer.read()) == (200, b"web1")
            assert answer.headers["Connection"] == "close"
            stopping.join(30)
        assert 'GET /slow?1 HTTP/1.1" 200' in site.log()


def test_logs_are_reopened(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site:
        site.get("/before")
        site.wait_for_log("/before")
        os.rename(site.log_file, site.log_file + ".1")
        site.noah.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(site.log_file), 10, "a new log file")
        wait_for(lambda: site.get("/after") and "/after" in site.log(), 10, "lines in the new one")


def test_no_answer_is_lost_to_http_client(tmp_path):
    """Many short connections, as ab(1) makes them."""
    with Site(tmp_path) as site:
        for _ in range(100):
            connection = http.client.HTTPConnection(site.address, site.port, timeout=10)
            connection.request("GET", "/", headers={"Connection": "close"})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.headers["Connection"] == "close"
            assert answer.read() in (b"web1", b"web2")
            connection.close()
