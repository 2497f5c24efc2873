# SPDX-License-Identifier: BSD-2-Clause
"""Bodies on their way: a server gets all of one, as it came, or nothing that it could take for one; a visitor gets a whole answer, or sees that it
was cut. The servers are played by the test."""
import contextlib
import os
import random
import select
import socket
import struct
import threading
import time

import pytest
from files_site import FilesSite
from support.noah import local_address, wait_for
from test_hostile import OK, Front, read_until

BUFFER = "{ request: 1m, answer: 1m }"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"


def listen():
    listener = socket.create_server((local_address(), 0), backlog=16)
    listener.settimeout(20)
    return listener


def accept(listener):
    connection = listener.accept()[0]
    connection.settimeout(20)
    return connection


def read_until_has(connection, words):
    got = b""
    while words not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


# ---- sent once, and whole ----------------------------------------------------------------------------------------------------

@pytest.fixture(name="tried")
def site_that_tries(tmp_path):
    """A site of files whose missing ones are asked for at two servers."""
    servers = [listen(), listen()]
    places = [server.getsockname() for server in servers]
    with FilesSite(tmp_path, start=False) as site, contextlib.ExitStack() as open_ones:
        for server in servers:
            open_ones.callback(server.close)
        site.servers = "".join(f"  web{i}: {{ address: {place[0]} }}\n" for i, place in enumerate(places))
        site.static = ", try: [" + ", ".join(f"web{i}:{place[1]}" for i, place in enumerate(places)) + "]"
        site.site = "    check: { tcp: true, every: 1h, rise: 1, fall: 100 }\n    buffer: { request: 1k }"
        site.noah.write(site.text())
        site.noah.start(wait=False)
        for server in servers:
            accept(server).close()  # the check
        site.noah.wait_ready()
        wait_for(lambda: all(target["health"] == "up" for target in site.noah.status()["targets"]), 20, "both to be up")
        yield site, servers


def any_accept(servers, seconds=20):
    """The connection, and whose it is."""
    ready = select.select(servers, [], [], seconds)[0]
    return (accept(ready[0]), ready[0]) if ready else (None, None)


def test_a_body_that_has_gone_to_one_server_goes_to_no_other(tried):
    """What is left of a chunked body looks to the next server like anything the visitor wants, such as requests of others."""
    site, servers = tried
    request = b"GET /missing.css HTTP/1.1\r\nHost: example.com\r\nTransfer-Encoding: chunked\r\n\r\n"
    with site.socket() as visitor:
        visitor.sendall(request + b"1000\r\n" + bytes(4096) + b"\r\n")
        first, whose = any_accept(servers)
        with first:
            read_until_has(first, b"1000\r\n" + bytes(4096))
            first.sendall(MISSING)
            others = [server for server in servers if server is not whose]
            more = b"0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n"
            visitor.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(more), more))
            answered, other = threading.Event(), []
            watcher = threading.Thread(target=watch_for, args=(others, answered, other))
            watcher.start()
            answer = visitor.recv(65536)
            answered.set()
            watcher.join()
            assert answer.startswith(b"HTTP/1.1 404 ") and not other, (answer, other)


def watch_for(servers, until, came):
    """Whoever asks one of them meanwhile gets an answer, and what he said is kept."""
    while not until.is_set():
        connection, _ = any_accept(servers, 0.1)
        if connection is not None:
            with connection:
                came.append(connection.recv(65536))
                connection.sendall(OK)


@pytest.fixture(name="front")
def make_front(tmp_path):
    with Front(tmp_path, connections=1, buffer=BUFFER) as made:
        yield made


def test_who_was_invited_by_noah_costs_no_connection(front):
    """The app was not asked whether to go on, so that it says nothing of that leaves its connection as good as before."""
    with front.visitor() as visitor:
        app = front.kept_connection(visitor)
        for _ in range(2):
            visitor.sendall(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
            assert read_until(visitor, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            visitor.sendall(b"hello")
            assert b"xpect" not in read_until_has(app, b"\r\n\r\nhello")
            app.sendall(OK)
            read_until(visitor, b"\r\n\r\nok")
        app.close()


@pytest.mark.parametrize("cut", [1, 250, 5000, 16700, 40000, 75000])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_was_cut_anywhere_is_sent_again_as_it_was(front, cut, chunked):
    body = random.Random(7).randbytes(75000)
    framing, wire = b"Content-Length: 75000", body
    if chunked:
        pieces = [body[at:at + 7000] for at in range(0, len(body), 7000)]
        framing, wire = b"Transfer-Encoding: chunked", b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    with front.visitor() as visitor:
        app = front.kept_connection(visitor)
        visitor.sendall(b"PUT /x HTTP/1.1\r\nHost: a\r\n" + framing + b"\r\n\r\n")
        visitor.sendall(wire)
        got = 0
        while got < cut:
            piece = app.recv(cut - got)
            assert piece
            got += len(piece)
        app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        app.close()  # a reset
        with front.accept() as again:
            head, _, came = read_until_has(again, b"\r\n\r\n").partition(b"\r\n\r\n")
            while len(came) < len(wire):
                piece = again.recv(65536)
                assert piece
                came += piece
            assert framing in head and came == wire
            again.sendall(OK)
            read_until(visitor, b"\r\n\r\nok")


# ---- files and those who take them slowly --------------------------------------------------------------------------------------

FILE_BYTES = 64 << 20


def reader(site, path, bytes_at_once, every_s, seconds):
    """Reads so much so often, for a while. What came; ends with an error where noah ended it."""
    with socket.socket() as visitor:
        visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        visitor.settimeout(20)
        visitor.connect((site.address, site.port))
        visitor.sendall(f"GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n".encode())
        size, deadline = 0, time.monotonic() + seconds
        while time.monotonic() < deadline:
            if bytes_at_once > 0:
                piece = visitor.recv(bytes_at_once)
                assert piece, "ended"
                size += len(piece)
            time.sleep(every_s)
        return size


def test_a_file_at_the_visitors_pace(tmp_path):
    """The kernel takes megabytes for a visitor, and is ready for more long after the idle time of one who takes some all the time. Who is
    below the least rate, or takes nothing, is not waited for."""
    results = {}

    def run(site, *how):
        try:
            results[how[0]] = reader(site, *how)
        except (OSError, AssertionError) as error:
            results[how[0]] = error

    routes = """
    timeouts: { idle: 2s }
    routes:
      - { path: /quick, minimum_rate: 1m }"""
    with FilesSite(tmp_path, site=routes) as site:
        for name in ("fair.zip", "quick/slow.zip", "still.zip"):
            os.truncate(site.put(name, b""), FILE_BYTES)
        threads = [threading.Thread(target=run, args=(site, *how)) for how in (
            ("/fair.zip", 4096, 0.1, 8), ("/quick/slow.zip", 16384, 0.1, 13), ("/still.zip", 0, 1, 6))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert isinstance(results["/fair.zip"], int) and results["/fair.zip"] > 100000, results
        site.wait_for_log(r'"GET /quick/slow.zip HTTP/1.1" 200 .*end=visitor-slow cause="he took')
        site.wait_for_log(r'"GET /still.zip HTTP/1.1" 200 .*end=visitor-stalled')
        site.wait_for_log(r'"GET /fair.zip HTTP/1.1" 200 .*end=visitor-gone')
