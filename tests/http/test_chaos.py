# SPDX-License-Identifier: BSD-2-Clause
"""Apps and visitors who misbehave at random: afterwards nothing is left over, and those who behave were served all the while."""
import contextlib
import http.client
import itertools
import random
import socket
import threading
import time

from site_of_apps import SANITIZED, Site
from support.acceptor import Acceptor
from support.noah import wait_for

RESET = b"\1\0\0\0\0\0\0\0"
ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 304 Not Modified\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + bytes(50000),
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"",
]
REQUESTS = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n" + bytes(40000),
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
]


def end(connection, chance):
    if chance.random() < 0.5:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    connection.close()


def bad_app(seed):
    """Reads something, answers something or a part of it, goes on or ends in one of two ways."""
    def serve(connection, chance):
        with contextlib.suppress(OSError):
            connection.settimeout(1)
            while chance.random() < 0.9:
                got = connection.recv(chance.choice((1, 10, 65536)))
                if not got:
                    break
                if got.startswith(b"GET /check"):
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    break
                answer = chance.choice(ANSWERS)
                cut = len(answer) if chance.random() < 0.7 else chance.randrange(len(answer) + 1)
                connection.sendall(answer[:cut])
        end(connection, chance)

    numbers = itertools.count(seed)
    return lambda connection: serve(connection, random.Random(next(numbers)))


def bad_visitor(site, count, seed):
    chance = random.Random(seed)
    for _ in range(count):
        with contextlib.suppress(OSError):
            visitor = site.socket(1)
            request = chance.choice(REQUESTS)
            cut = len(request) if chance.random() < 0.7 else chance.randrange(len(request) + 1)
            visitor.sendall(request[:cut])
            if chance.random() < 0.8:
                visitor.settimeout(chance.choice((0.01, 0.3)))
                with contextlib.suppress(OSError):
                    visitor.recv(chance.choice((1, 100, 100000)))
            end(visitor, chance)


def test_chaos(tmp_path):
    more = """
  bad.example:
    names: ['*']
    on: [front]
    listen: ["{listen}"]
    apps: [web2:{port}]
    check: {{ tcp: true, every: 100ms, rise: 1, fall: 100 }}
    timeouts: {{ connect: 1s, answer: 500ms, request: 500ms, idle: 1s }}
"""
    with Site(tmp_path, start=False) as site:
        web1, web2 = site.apps
        web2.kill()
        bad = Acceptor(web2.address, bad_app(1), web2.port, backlog=512)
        site.more = more.format(listen=f"{site.address}:{site.port}", port=web2.port)
        site.noah.write(site.text().replace(f", {{ server: web2:{web2.port}, weight: 1 }}", ""))
        site.noah.start()
        crowd = [threading.Thread(target=bad_visitor, args=(site, 60 if SANITIZED else 250, 1000 * seed), daemon=True)
                 for seed in range(8)]
        for visitor in crowd:
            visitor.start()
        served = 0
        with contextlib.closing(site.connect()) as good:
            while any(visitor.is_alive() for visitor in crowd):
                good.request("GET", "/", headers={"Host": "example.com"})
                answer = good.getresponse()
                assert (answer.status, answer.read()) == (200, web1.name.encode())
                served += 1
                time.sleep(0.005)
        assert served > 10
        wait_for(lambda: site.noah.counter("connections_open") == 0, 20, "all connections to be closed")
        assert all(target["active"] == 0 for target in site.noah.targets(""))
        assert site.noah.status()["processes"][0]["restarts"] == 0
        bad.close()


def test_a_refused_visitor_cannot_stay(tmp_path):
    """After an answer that closes, noah drops what still comes, but not for ever."""
    with Site(tmp_path, apps=("web1",)) as site, site.socket() as visitor:
        visitor.sendall(b"GET / HTTP/9.9\r\n\r\n")
        began = time.monotonic()
        with contextlib.suppress(OSError):
            while time.monotonic() - began < 20:
                visitor.sendall(b"x")
                time.sleep(0.1)
        assert time.monotonic() - began < 15


def test_an_answer_survives_what_the_visitor_still_sends(tmp_path):
    """A reset would destroy the answer before he reads it (RFC 9112 9.6)."""
    with Site(tmp_path, apps=("web1",), body="1k") as site:
        for _ in range(20):
            with contextlib.closing(site.connect()) as visitor:
                visitor.putrequest("POST", "/sink")
                visitor.putheader("Content-Length", "40000")
                visitor.endheaders()
                visitor.send(bytes(40000))
                answer = visitor.getresponse()
                assert answer.status == 413 and b"larger than this site accepts" in answer.read()


def test_closing_visitors_are_not_kept_waiting(tmp_path):
    with Site(tmp_path, apps=("web1",)) as site:
        visitor = http.client.HTTPConnection(site.address, site.port, timeout=10)
        visitor.request("GET", "/", headers={"Connection": "close"})
        raw = visitor.sock
        copy = raw.dup()
        answer = visitor.getresponse()
        assert answer.read() == b"web1"
        copy.settimeout(1.5)
        assert copy.recv(1) == b""
        copy.close()
