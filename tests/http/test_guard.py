# SPDX-License-Identifier: BSD-2-Clause
"""Too much from one address: requests and connections are limited over all threads, who goes over is banned for a while, others notice
nothing, and neither a reload nor an upgrade nor a crash makes noah forget it."""
import contextlib
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
from h2_frames import DATA, END_STREAM, HEADERS, Visitor, request_fields, status_of
from site_of_apps import SANITIZED, Site
from socket_app import SocketSite
from support.noah import Noah, local_address, free_port, run_noah, wait_for

BAD, GOOD, OTHER = "127.0.0.7", "127.0.0.8", "127.0.0.9"
LONG = "{ requests: 10/10m, ban: 10m }"  # nothing is over before the test is


@contextlib.contextmanager
def make_site(tmp_path, visitors, more="", options="", threads=2, apps=("web1",)):
    with Site(tmp_path, apps=apps, threads=threads, options=options, more=f"visitors: {visitors}\n{more}") as site:
        yield site


def connect(site, source, port=None):
    return http.client.HTTPConnection(site.address, port or site.port, timeout=30, source_address=(source, 0))


def ask(site, source, path="/", host="example.com", fields=None):
    """One request on a connection of its own: the answer, read."""
    with contextlib.closing(connect(site, source)) as connection:
        connection.request("GET", path, headers={"Host": host, **(fields or {})})
        answer = connection.getresponse()
        answer.body = answer.read()
        return answer


def statuses(site, source, count, **more):
    return [ask(site, source, **more).status for _ in range(count)]


def ban(site, source=BAD):
    assert statuses(site, source, 12) == [200] * 10 + [429, 403]


def unban(noah, *arguments, code=0):
    result = noah.command("unban", *arguments)
    assert result.returncode == code, result
    return result.stdout + result.stderr


def bans(noah):
    result = noah.command("bans", "--json")
    assert result.returncode == 0, result
    answer = json.loads(result.stdout)
    assert answer["banned"] == len(answer["bans"])
    return {one["address"]: one for one in answer["bans"]}


# ---- what the visitor sees --------------------------------------------------------------------------------------------


def test_too_many_then_banned_then_free(tmp_path):
    with make_site(tmp_path, "{ requests: 10/10m, ban: 3s }") as site:
        assert statuses(site, BAD, 10) == [200] * 10
        answer = ask(site, BAD)
        assert (answer.status, answer.getheader("Retry-After")) == (429, "3")
        assert b"429" in answer.body and answer.getheader("Cache-Control") == "no-store"
        began = time.monotonic()
        while True:  # asking makes it no longer: it ends while he asks all the time
            answer = ask(site, BAD)
            if answer.status != 403:
                break
            assert time.monotonic() < began + 60
            assert b"403" in answer.body
        assert time.monotonic() - began > 2.9
        assert answer.status == 200
        assert statuses(site, BAD, 10) == [200] * 9 + [429]  # as if nothing had been
        site.wait_for_log(rf"(?m)^{BAD} .* 429 .*end=too-many")
        site.wait_for_log(rf"(?m)^{BAD} .* 403 .*end=banned")
        log = site.noah.log()
        assert f"{BAD} sent more than 10 requests in 10m: banned for 3s" in log
        counters = site.noah.status()["counters"]
        assert counters["requests_limited"] >= 2 and counters["requests_banned"] >= 1 and counters["bans"] >= 2
        assert counters["visitors_uncounted"] == 0


def test_others_are_undisturbed(tmp_path):
    with make_site(tmp_path, LONG) as site:
        ban(site)
        with contextlib.closing(connect(site, BAD)) as bad, contextlib.closing(connect(site, GOOD)) as good:
            for number in range(10):
                for _ in range(20):
                    bad.request("GET", "/", headers={"Host": "example.com"})
                    answer = bad.getresponse()
                    assert (answer.status, b"403" in answer.read()) == (403, True)
                good.request("GET", "/", headers={"Host": "example.com"})
                answer = good.getresponse()
                assert (answer.status, answer.read()) == (200, b"web1"), number
        assert statuses(site, OTHER, 10) == [200] * 10


def test_without_a_ban_only_as_long_as_it_is_too_often(tmp_path):
    with make_site(tmp_path, "{ requests: 4/2s, ban: 0s }") as site:
        answers = []
        while len(answers) < 200 and (not answers or answers[-1].status != 429):
            answers.append(ask(site, BAD))
        assert answers[-1].status == 429
        assert 1 <= int(answers[-1].getheader("Retry-After")) <= 3
        wait_for(lambda: ask(site, BAD).status == 200, 30, "the next request to be let in")
        assert bans(site.noah) == {}


def test_pipelined_requests_count_each(tmp_path):
    with make_site(tmp_path, LONG) as site, \
            socket.create_connection((site.address, site.port), 30, (BAD, 0)) as visitor:
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n" * 19 +
                        b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
        got = b""
        while piece := visitor.recv(65536):
            got += piece
        assert re.findall(rb"HTTP/1.1 (\d+) ", got) == [b"200"] * 10 + [b"429"] + [b"403"] * 9


def test_streams_of_http2_are_requests(tmp_path):
    with make_site(tmp_path, LONG) as site, Visitor(site.address, site.port) as visitor:
        streams = [visitor.request(request_fields(authority="example.com")) for _ in range(15)]
        found, open_ones = {}, set(streams)
        while open_ones:  # they end in any order
            kind, flags, stream, payload = visitor.frame()
            if kind == HEADERS:
                found[stream] = status_of(payload)
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                open_ones.discard(stream)
        assert sorted(found.values()) == [200] * 10 + [403] * 4 + [429]
        assert list(bans(site.noah)) == ["127.0.0.1"]


def test_all_threads_count_together(tmp_path):
    """Many connections at once, on both threads: exactly as many pass as may."""
    with make_site(tmp_path, "{ requests: 200/10m, ban: 10m }", threads=2) as site:
        found, lock = [], threading.Lock()

        def run():
            mine = statuses(site, BAD, 40)
            with lock:
                found.extend(mine)

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lanes = [lane["connections_open"] for lane in site.noah.status()["lanes"]]
        assert len(lanes) == 2
        assert found.count(200) == 200 + site.noah.counter("visitors_uncounted")
        assert found.count(429) == 1 and found.count(403) == 320 - found.count(200) - 1


def test_requests_for_what_is_not_here_count(tmp_path):
    options = """    routes: [{ path: /x, body: 1m }]"""
    with make_site(tmp_path, LONG, options=options) as site:
        assert statuses(site, BAD, 12, path="/x/%2e%2e%5c/%00") == [400] * 10 + [429, 403]
        assert ask(site, BAD).status == 403


def raw(site, source, request):
    """The status of what is answered to these bytes, on a connection of their own."""
    with socket.create_connection((site.address, site.port), 30, (source, 0)) as visitor:
        visitor.sendall(request)
        return int(read_to_end(visitor).split(b" ", 2)[1])


def test_what_is_no_valid_request_counts_too(tmp_path):
    """Somebody else's does not count for the front end that passes it on."""
    more = f"front_ends: {{ from: [{GOOD}], address: forwarded-for }}"
    with make_site(tmp_path, LONG, more=more) as site:
        broken = b"GET / HTTP/1.1\r\nHost: example.com\r\nBad Name: x\r\n\r\n"
        assert [raw(site, BAD, broken) for _ in range(12)] == [400] * 10 + [429, 403]
        assert ask(site, BAD).status == 403
        assert [raw(site, GOOD, broken) for _ in range(12)] == [400] * 12
        assert list(bans(site.noah)) == [BAD]


def test_invalid_requests_of_one_http2_connection_count(tmp_path):
    with make_site(tmp_path, LONG) as site, Visitor(site.address, site.port) as visitor:
        found = []
        for _ in range(12):
            stream = visitor.request(request_fields(authority="example.com", more=[("host", "other.example")]))
            kind, _, of, payload = visitor.frame()
            while (kind, of) != (HEADERS, stream):
                kind, _, of, payload = visitor.frame()
            found.append(status_of(payload))
        assert found == [400] * 10 + [429, 403]


def test_front_ends_own_requests_do_not_count(tmp_path):
    """A front end that asks for itself (its checks), and one that a visitor has made to forget his address, is never banned: it would
    take this server for dead."""
    more = f"front_ends: {{ from: [{GOOD}, {OTHER}], address: forwarded-for }}"
    with make_site(tmp_path, LONG, more=more) as site:
        assert statuses(site, GOOD, 15) == [200] * 15
        assert statuses(site, GOOD, 15, fields={"X-Forwarded-For": OTHER}) == [200] * 15
        assert statuses(site, GOOD, 15, fields={"X-Forwarded-For": f"unknown, {OTHER}"}) == [400] * 15
        assert bans(site.noah) == {}


# ---- where the file says it ---------------------------------------------------------------------------------------------


def test_sites_and_routes_count_by_themselves(tmp_path):
    options = """    requests: 6/10m
    routes:
      - { path: /login, requests: 3/10m }
      - { path: /other, body: 1m }"""
    with make_site(tmp_path, "{ ban: 0s }", options=options) as site:
        assert statuses(site, BAD, 4, path="/login") == [200] * 3 + [429]
        assert statuses(site, BAD, 3, path="/") == [200] * 3  # /login has not counted here
        assert statuses(site, BAD, 4, path="/other") == [200] * 3 + [429]  # but with its site
        assert ask(site, BAD).status == 429
        assert statuses(site, GOOD, 4, path="/login") == [200] * 3 + [429]
        site.noah.reload(site.text().replace("ban: 0s", "ban: 10m"))
        assert statuses(site, BAD, 3, path="/login") == [429, 403, 403]  # it was counted before the reload
        assert ask(site, BAD).status == 403  # the ban is for all that there is
        assert statuses(site, GOOD, 2, path="/") == [200] * 2
        one = bans(site.noah)[BAD]
        assert (one["limit_of"], one["for_all_sites"]) == ("example.com/login", False)
        site.noah.wait_for_log(f"{BAD} sent more than 3 requests in 10m to example.com/login: banned for 10m")


def test_exempt(tmp_path):
    with make_site(tmp_path, "{ requests: 10/10m, connections: 2, ban: 10m, exempt: [127.0.0.8, 127.0.5.0/24] }") as site, \
            contextlib.ExitStack() as open_ones:
        for source in (GOOD, "127.0.5.77"):
            assert statuses(site, source, 30) == [200] * 30
            for _ in range(5):
                open_ones.enter_context(contextlib.closing(connect(site, source))).connect()
            assert ask(site, source).status == 200
        ban(site)
        site.noah.reload(site.text().replace("exempt: [", f"exempt: [{BAD}, "))
        assert ask(site, BAD).status == 200  # a reload lets him in although he is banned
        assert not bans(site.noah)[BAD]["in_force"]


def test_nothing_configured_costs_nothing(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site:
        assert statuses(site, BAD, 50) == [200] * 50
        assert site.noah.status()["visitors"] == {"banned": 0, "limited": 0, "remembered": 0}
        assert bans(site.noah) == {}
        assert site.noah.command("bans").stdout == "no address is banned\n"


def test_visitors_behind_a_front_end(tmp_path):
    """Who is counted is the visitor, not the machine that passes him on; and connections of that machine are nobody's."""
    more = f"front_ends: {{ from: [{GOOD}], address: forwarded-for }}"
    with make_site(tmp_path, "{ requests: 10/10m, connections: 2, ban: 10m }", more=more) as site, contextlib.ExitStack() as open_ones:
        for _ in range(5):
            open_ones.enter_context(contextlib.closing(connect(site, GOOD))).connect()
        found = [ask(site, GOOD, fields={"X-Forwarded-For": "192.0.2.7"}).status for _ in range(12)]
        assert found == [200] * 10 + [429, 403]
        assert ask(site, GOOD, fields={"X-Forwarded-For": "192.0.2.8"}).status == 200
        assert ask(site, BAD, fields={"X-Forwarded-For": "192.0.2.7"}).status == 200  # a stranger's word is nothing
        assert list(bans(site.noah)) == ["192.0.2.7"]


# ---- connections ----------------------------------------------------------------------------------------------------------


def read_to_end(visitor):
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := visitor.recv(65536):
            got += piece
    return got


def test_connections(tmp_path):
    with make_site(tmp_path, "{ connections: 5 }", threads=2) as site, contextlib.ExitStack() as open_ones:
        mine = [open_ones.enter_context(contextlib.closing(connect(site, BAD))) for _ in range(5)]
        for connection in mine:
            connection.request("GET", "/", headers={"Host": "example.com"})
            assert connection.getresponse().read() == b"web1"
        with socket.create_connection((site.address, site.port), 30, (BAD, 0)) as visitor:
            got = read_to_end(visitor)  # he needs not even ask
            assert got.startswith(b"HTTP/1.1 429 ") and b"Connection: close" in got
        assert ask(site, GOOD).status == 200
        mine[0].close()
        wait_for(lambda: ask(site, BAD).status == 200, 30, "a place to become free")
        assert site.noah.counter("connections_limited") >= 1
        assert f"a connection of {BAD} refused: it has 5 already" in site.noah.log()
        for connection in mine[1:]:  # those that were there were never disturbed
            connection.request("GET", "/", headers={"Host": "example.com"})
            assert connection.getresponse().read() == b"web1"


def test_tunnels_are_connections(tmp_path):
    with SocketSite(tmp_path, more="visitors: { connections: 1 }") as site:
        with socket.create_connection((site.address, site.port), 30, (BAD, 0)) as visitor:
            visitor.sendall(b"GET /mute HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
            got = b""
            while b"\r\n\r\n" not in got:
                got += visitor.recv(4096)
            assert got.startswith(b"HTTP/1.1 101 ")
            assert ask(site, BAD).status == 429
            assert ask(site, GOOD).status == 200
        wait_for(lambda: ask(site, BAD).status == 200, 30, "the place of the tunnel to become free")


def tls_site(tmp_path, visitors):
    address = local_address()
    port = free_port(address)
    page = tmp_path / "page.html"
    page.write_text("here")
    return address, port, f"""
cluster: example.com
servers:
  front: {{ address: {address} }}
sites:
  example.com:
    on: [front]
    listen: ["https:{address}:{port}"]
    certificate: self-signed
    page: {page}
visitors: {visitors}
"""


class TlsVisitors:
    def __init__(self, address, port):
        self.address, self.port = address, port
        self.context = ssl.create_default_context()
        self.context.check_hostname, self.context.verify_mode = False, ssl.CERT_NONE

    def connect(self, source):
        plain = socket.create_connection((self.address, self.port), 30, (source, 0))
        try:
            return self.context.wrap_socket(plain, server_hostname="example.com")
        except OSError:
            plain.close()
            raise

    def ask(self, source):
        """The status; None: the connection was closed before the handshake."""
        with contextlib.suppress(OSError), self.connect(source) as visitor:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
            return int(read_to_end(visitor).split()[1])
        return None


def test_tls(tmp_path):
    """A connection too many is closed; a banned one gets its 403 until that has been said often enough."""
    address, port, text = tls_site(tmp_path, "{ requests: 10/10m, connections: 3, ban: 10m }")
    with Noah(tmp_path, text) as noah:
        visitors = TlsVisitors(address, port)
        with contextlib.ExitStack() as open_ones:
            for _ in range(3):
                open_ones.enter_context(visitors.connect(BAD))
            assert visitors.ask(BAD) is None
            assert visitors.ask(GOOD) == 200
        wait_for(lambda: visitors.ask(BAD) == 200, 30, "a place to become free")
        found = [visitors.ask(BAD) for _ in range(10)]
        assert found[9] == 429 or 429 in found
        found = [visitors.ask(BAD) for _ in range(120)]
        assert found[:90] == [403] * 90 and found[-1] is None and set(found) == {403, None}
        assert visitors.ask(GOOD) == 200
        assert noah.counter("connections_limited") >= 2


# ---- what outlives what -----------------------------------------------------------------------------------------------------


def test_reload_keeps_bans_and_counts(tmp_path):
    with make_site(tmp_path, LONG) as site:
        ban(site)
        assert statuses(site, GOOD, 6) == [200] * 6
        site.noah.reload(site.text() + "admin: { listen: [" + f"\"{site.address}:{free_port(site.address)}\"" + "] }\n")
        assert ask(site, BAD).status == 403 and bans(site.noah)[BAD]["in_force"]
        assert statuses(site, GOOD, 6) == [200] * 4 + [429, 403]
        # A file that limits nothing asks nobody; the bans are there again with the limits.
        site.noah.reload(site.text().replace(f"visitors: {LONG}", ""))
        assert statuses(site, BAD, 20) == [200] * 20
        assert "too many to all sites together; but the file lets it in now\n" in site.noah.command("bans").stdout
        assert not bans(site.noah)[BAD]["in_force"] and site.noah.status()["visitors"]["banned"] == 0
        site.noah.reload(site.text())
        assert ask(site, BAD).status == 403


def test_crash_of_traffic_keeps_bans_and_gives_connections_back(tmp_path):
    visitors = "{ requests: 10/10m, connections: 4, ban: 10m }"
    with make_site(tmp_path, visitors) as site, contextlib.ExitStack() as open_ones:
        ban(site)
        assert statuses(site, GOOD, 6) == [200] * 6
        for _ in range(4):
            open_ones.enter_context(contextlib.closing(connect(site, OTHER))).connect()
        wait_for(lambda: site.noah.counter("connections_open") == 4, 30, "the connections to be counted")
        before = site.noah.child("traffic")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: site.noah.child("traffic") not in (None, before) and site.noah.status()["ready"], 30, "traffic to be back")
        assert ask(site, BAD).status == 403 and bans(site.noah)[BAD]["in_force"]
        assert statuses(site, GOOD, 6) == [200] * 4 + [429, 403]
        assert ask(site, OTHER).status == 200
        assert BAD in bans(site.noah) and GOOD in bans(site.noah)


def upgrade(noah):
    result = noah.command("upgrade", timeout=60)
    assert result.returncode == 0, result


def test_upgrade_keeps_bans_counts_and_connections(tmp_path):
    visitors = "{ requests: 10/10m, connections: 4, ban: 10m }"
    with make_site(tmp_path, visitors) as site, contextlib.ExitStack() as open_ones:
        ban(site)
        assert statuses(site, GOOD, 6) == [200] * 6
        held = [open_ones.enter_context(contextlib.closing(connect(site, OTHER))) for _ in range(4)]
        for connection in held:
            connection.connect()
        # Not by asking: who asks too often meanwhile is banned.
        wait_for(lambda: site.noah.counter("connections_open") == 4, 30, "the connections to be counted")
        upgrade(site.noah)
        assert ask(site, BAD).status == 403 and bans(site.noah)[BAD]["in_force"]
        assert statuses(site, GOOD, 6) == [200] * 4 + [429, 403]
        # The former traffic still has them.
        assert site.noah.status()["retired"] != []
        assert ask(site, OTHER).status == 429
        for connection in held:
            connection.close()
        wait_for(lambda: site.noah.status()["retired"] == [], 30, "the former traffic to end")
        assert ask(site, OTHER).status == 200
        upgrade(site.noah)
        assert sorted(bans(site.noah)) == [BAD, GOOD]


# ---- a million addresses -----------------------------------------------------------------------------------------------------


def resident_bytes(pid):
    """Of the table of addresses, in this process."""
    found, inside = 0, False
    with open(f"/proc/{pid}/smaps", encoding="ascii") as file:
        for line in file:
            if re.match("^[0-9a-f]+-", line):
                inside = "noah-guard" in line
            elif inside and line.startswith("Rss:"):
                found += int(line.split()[1]) * 1024
    return found


def ask_for_many(address, port, numbers):
    """One pipelined request of each of these visitors, through a front end; returns how many answers came."""
    with socket.create_connection((address, port), 60, ("127.0.0.1", 0)) as visitor:
        answers = []

        def read():
            rest = b""
            while piece := visitor.recv(1 << 20):
                rest += piece
                answers.append(rest.count(b"HTTP/1.1 200 "))
                rest = rest[-12:]  # one less than what is counted

        reader = threading.Thread(target=read)
        reader.start()
        for first in range(0, len(numbers), 500):
            visitor.sendall(b"".join(b"GET / HTTP/1.1\r\nHost: example.com\r\nX-Forwarded-For: %d.%d.%d.%d\r\n\r\n"
                                     % (11 + (i >> 20), i >> 12 & 255, i >> 4 & 255, i & 15) for i in numbers[first:first + 500]))
        visitor.shutdown(socket.SHUT_WR)
        reader.join()
        return sum(answers)


def test_a_million_addresses(tmp_path):
    """Each is counted, in less than 64 MB; who was banned stays so, and others are answered meanwhile."""
    count = 1000000 if not SANITIZED else 50000
    address, page = local_address(), tmp_path / "page.html"
    port = free_port(address)
    page.write_text("x")
    text = f"""
cluster: example.com
servers:
  front: {{ address: {address} }}
sites:
  example.com:
    on: [front]
    listen: ["{address}:{port}"]
    page: {page}
visitors: {{ requests: 10/1h, ban: 1h, exempt: [{GOOD}] }}
front_ends: {{ from: [127.0.0.1], address: forwarded-for }}
"""

    class Here:
        pass

    Here.address, Here.port = address, port
    with Noah(tmp_path, text, arguments=["--threads", "2"]) as noah:
        ban(Here)
        answered = []
        threads = [threading.Thread(target=lambda part=part: answered.append(ask_for_many(address, port, range(part, count, 4))))
                   for part in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            assert ask(Here, GOOD).status == 200
        for thread in threads:
            thread.join()
        assert sum(answered) == count
        visitors = noah.status()["visitors"]
        assert visitors["remembered"] >= count * 0.999 and visitors["banned"] == 1
        for name in ("traffic", None):
            resident = resident_bytes(noah.child(name) if name else noah.process.pid)
            assert 1000000 < resident <= 64000000
        assert ask(Here, BAD).status == 403
        assert noah.command("bans").stdout.startswith(BAD)
        assert ask_for_many(address, port, [0] * 9) == 9 and ask_for_many(address, port, [0]) == 0  # the first one has had his ten


# ---- for the administrator ----------------------------------------------------------------------------------------------------


def test_bans_and_unban(tmp_path):
    with make_site(tmp_path, LONG) as site:
        noah = site.noah
        for source in (BAD, GOOD, OTHER):
            ban(site, source)
        assert noah.status()["visitors"]["banned"] == 3
        shown = noah.command("status").stdout
        assert re.search(r"3 addresses banned", shown), shown
        one = bans(noah)[BAD]
        assert (one["for_all_sites"], one["refused"], one["limit_of"]) == (True, 1, None) and 500 < one["left_s"] <= 600
        assert re.search(rf"^{BAD} +for another \d+ min, since .*; 1 requests refused; too many to all sites together$",
                         noah.command("bans").stdout, re.M)
        assert unban(noah, BAD) == f"{BAD}: banned no more\n"
        assert "is not banned" in unban(noah, BAD, code=1)
        assert statuses(site, BAD, 11) == [200] * 10 + [429]
        assert ask(site, GOOD).status == 403
        for wrong in ("example.com", "192.0.2.7:80", "/run/x.sock", "10.0.0.0/8", "300.1.1.1"):
            assert "no IPv4 or IPv6 address" in unban(noah, wrong, code=1)
        assert unban(noah, code=2) and unban(noah, BAD, "--all", code=2)
        assert unban(noah, "--all") == "all addresses: banned no more\n"
        assert bans(noah) == {} and noah.status()["visitors"]["banned"] == 0
        assert [ask(site, source).status for source in (BAD, GOOD, OTHER)] == [200] * 3
        noah.wait_for_log(f"{BAD}: banned no more, an administrator has said so")


def test_no_noah_to_ask(tmp_path):
    for command in (["bans"], ["unban", "--all"]):
        result = run_noah(*command, "--control", tmp_path / "nobody.sock")
        assert result.returncode == 1 and result.stderr


# ---- IPv6 ---------------------------------------------------------------------------------------------------------------------


class Network:
    """A network namespace of its own, which ends with the process that holds it."""

    def __init__(self, addresses):
        self.holder = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo ready; exec sleep 600"], stdout=subprocess.PIPE)
        assert self.holder.stdout.readline() == b"ready\n"
        self.path = f"/proc/{self.holder.pid}/ns/net"
        self.enter = ["nsenter", f"--net={self.path}"]
        subprocess.run([*self.enter, "ip", "link", "set", "lo", "up"], check=True)
        for address in addresses:
            subprocess.run([*self.enter, "ip", "address", "add", f"{address}/128", "dev", "lo", "nodad"], check=True)

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()

    def inside(self, function):
        """Runs it in a thread that has moved there; its result."""
        result = []

        def run():
            with open(self.path, "rb") as namespace:
                assert ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0x40000000) == 0
            result.append(function())

        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        assert result, "it failed in the network namespace"
        return result[0]


@pytest.mark.skipif(os.geteuid() != 0, reason="a network namespace needs root")
def test_ipv6_counts_by_64(tmp_path):
    here, port = "2001:db8:1:1::1", 8080
    one, same, other = "2001:db8:2:3::1", "2001:db8:2:3:ffff::9", "2001:db8:2:4::1"
    page = tmp_path / "page.html"
    page.write_text("here")
    text = f"""
cluster: example.com
servers:
  front: {{ address: "{here}" }}
sites:
  example.com:
    on: [front]
    listen: ["[{here}]:{port}"]
    page: {page}
visitors: {LONG}
"""

    def get(network, source):
        def request():
            with contextlib.closing(http.client.HTTPConnection(here, port, timeout=30, source_address=(source, 0))) as connection:
                connection.request("GET", "/", headers={"Host": "example.com"})
                return connection.getresponse().status
        return network.inside(request)

    with Network([here, one, same, other]) as network, Noah(tmp_path, text, prefix=network.enter) as noah:
        found = [get(network, source) for source in (one, same) * 6]
        assert found == [200] * 10 + [429, 403]
        assert get(network, other) == 200
        assert list(bans(noah)) == ["2001:db8:2:3::/64"]
        assert unban(noah, "2001:db8:2:3::77") == "2001:db8:2:3::/64: banned no more\n"
        assert get(network, one) == 200
        assert "is not banned" in unban(noah, "2001:db8:2:3::/64", code=1)
