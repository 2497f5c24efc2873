# SPDX-License-Identifier: BSD-2-Clause
"""Memory and large bodies: what an idle visitor costs, bodies that pass through without being kept, visitors who are slow."""
import array
import contextlib
import fcntl
import hashlib
import resource
import socket
import termios
import threading
import time

import pytest
from site_of_apps import SANITIZED, Site
from support.acceptor import Acceptor
from support.noah import wait_for

BLOCK = bytes(range(256)) * 256  # as app.py sends it
BIG = 100 * 1000 * 1000 if not SANITIZED else 10 * 1000 * 1000
# Two input buffers of 16 KB for each connection under way, and what malloc keeps.
SLACK = 2 * 1024 * 1024
ANSWER_BUFFER = 1024 * 1024


def big_digest(size):
    digest = hashlib.md5()
    left = size
    while left > 0:
        digest.update(BLOCK[:left])
        left -= min(left, len(BLOCK))
    return digest.hexdigest()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("limits"), apps=("web1",)) as made:
        yield made


@pytest.fixture
def many_descriptors():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 20000), max(before[1], 20000)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def read_answer(visitor):
    got = b""
    while not got.endswith(b"web1"):
        piece = visitor.recv(4096)
        assert piece
        got += piece


def test_idle_visitors_cost_less_than_a_kilobyte(tmp_path, many_descriptors):
    count = 200 if SANITIZED else 10000
    with Site(tmp_path, apps=("web1",), timeouts="{ connect: 1s, answer: 60s, request: 60s, idle: 1h }") as site, \
            contextlib.ExitStack() as open_ones:
        for _ in range(100):  # so that what is kept for ever is there already
            site.get()
        before = site.anonymous_bytes()
        visitors = [open_ones.enter_context(site.socket()) for _ in range(count)]
        for visitor in visitors:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            read_answer(visitor)
        wait_for(lambda: site.noah.counter("connections_open") == count, 10, "all to be open")
        each = (site.anonymous_bytes() - before) / count
        print(f"{each:.0f} bytes for each of {count} idle visitors")
        assert SANITIZED or each <= 1024
        # They are all still there.
        for visitor in visitors[:: count // 100]:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            read_answer(visitor)


def test_a_large_answer(site):
    with contextlib.closing(site.connect(120)) as visitor:
        for _ in range(2):
            visitor.request("GET", f"/big?{BIG}")
            answer = visitor.getresponse()
            digest, size = hashlib.md5(), 0
            while piece := answer.read(65536):
                digest.update(piece)
                size += len(piece)
            assert (size, digest.hexdigest()) == (BIG, big_digest(BIG))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_request(site, chunked):
    def blocks():
        left = BIG
        while left > 0:
            yield BLOCK[:left]
            left -= min(left, len(BLOCK))

    with site.socket(120) as visitor:
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {BIG}"
        visitor.sendall(f"POST /sink HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n".encode())
        for block in blocks():
            visitor.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
        if chunked:
            visitor.sendall(b"0\r\n\r\n")
        got = b""
        wanted = f"{BIG} {big_digest(BIG)}".encode()
        while wanted not in got:
            piece = visitor.recv(4096)
            assert piece, got
            got += piece


def test_a_visitor_who_does_not_read(site):
    """noah takes as much of his answer as the site's `buffer` says (1 MB) and two buffers, then the app is made to wait."""
    site.get()
    before = site.anonymous_bytes()
    sockets = [site.socket(120) for _ in range(10)]
    for visitor in sockets:
        visitor.sendall(f"GET /big?{BIG} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        assert visitor.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    wait_for(lambda: site.noah.targets("check")[0]["active"] == 10, 10, "ten answers to be under way")
    last = -1
    while (now := sent_by_app(sockets)) != last:  # until nothing moves any more
        last = now
        time.sleep(0.2)
    assert SANITIZED or site.anonymous_bytes() - before < SLACK + len(sockets) * ANSWER_BUFFER
    # One of them reads on and gets everything.
    size = 15
    while size < BIG:
        size += len(sockets[0].recv(1 << 20))
    for visitor in sockets:
        visitor.close()
    wait_for(lambda: site.noah.targets("check")[0]["active"] == 0, 10, "the others to be given up")


def sent_by_app(sockets):
    """Bytes that wait in the visitors' sockets: grows as long as anything moves."""
    total = 0
    for visitor in sockets:
        waiting = array.array("i", [0])
        fcntl.ioctl(visitor, termios.FIONREAD, waiting)
        total += waiting[0]
    return total


def test_a_visitor_who_writes_slowly(tmp_path):
    """Longer in all than the request's timeout, which is between two pieces."""
    with Site(tmp_path, apps=("web1",), timeouts="{ connect: 1s, answer: 60s, request: 1s, idle: 60s }") as site, \
            site.socket() as visitor:
        visitor.sendall(b"POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n")
        for _ in range(10):
            time.sleep(0.25)
            visitor.sendall(b"x")
        got = b""
        while b"10 " not in got:
            piece = visitor.recv(4096)
            assert piece, got
            got += piece


def test_slow_heads_hold_nothing_up(site):
    """A hundred visitors who never finish their request do not keep others from being served."""
    slow = [site.socket() for _ in range(100)]
    for visitor in slow:
        visitor.sendall(b"GET / HTTP/1.1\r\nX-Slow: ")
    for _ in range(20):
        assert site.get()[0] == 200
    for visitor in slow:
        visitor.close()


def test_both_directions_at_once(site):
    """An app that answers while it still reads: neither side waits for the other."""
    received, size = [], 3000000
    # The app is replaced at its address by one that sends back what it reads.
    app = site.apps[0]
    app.kill()
    echoes = Acceptor(app.address, serve_checks_and(echo_on(size)), app.port)
    site.noah.wait_for_health(f":{app.port}", "up")
    try:
        with site.socket() as visitor:
            visitor.sendall(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode())
            reader = threading.Thread(target=lambda: received.append(read_body(visitor, size)))
            reader.start()
            sent = bytes(size)
            visitor.sendall(sent)
            reader.join(60)
            assert received and received[0] == size
    finally:
        echoes.close()
        app.start()
        site.noah.wait_for_health(f":{app.port}", "up")


def read_body(visitor, size):
    got = b""
    while b"\r\n\r\n" not in got:
        got += visitor.recv(4096)
    count = len(got.split(b"\r\n\r\n", 1)[1])
    while count < size:
        piece = visitor.recv(65536)
        if not piece:
            break
        count += len(piece)
    return count


def echo_on(size):
    def serve(connection, body):
        connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode())
        left = size - len(body)
        connection.sendall(body)
        while left > 0:
            piece = connection.recv(65536)
            if not piece:
                return
            connection.sendall(piece)
            left -= len(piece)
    return serve


def serve_checks_and(serve):
    """Answers GET /check with 200 and gives everything else to serve(connection, what has come of the body)."""
    def one(connection):
        with connection, contextlib.suppress(OSError):
            data = b""
            while b"\r\n\r\n" not in data:
                piece = connection.recv(4096)
                if not piece:
                    return
                data += piece
            if data.startswith(b"GET /check"):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            else:
                serve(connection, data.split(b"\r\n\r\n", 1)[1])

    return one
