# SPDX-License-Identifier: BSD-2-Clause
"""Upgrades: WebSocket through noah is as it would be directly; what is no upgrade stays a request; what a tunnel costs."""
import contextlib
import os
import re
import socket

import pytest

from site_of_apps import SANITIZED
from socket_app import SocketSite, frame
from support.noah import wait_for

MASK = b"\x12\x34\x56\x78"


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    with SocketSite(tmp_path_factory.mktemp("upgrade")) as site:
        yield site


def ask(site, head):
    """Head and body of the answer to a request with these bytes, and whether the connection goes on after it."""
    with contextlib.closing(site.socket()) as visitor:
        visitor.sendall(head)
        stream = visitor.makefile("rb")
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            line = stream.readline()
            assert line, answer
            answer += line
        size = int(re.search(rb"Content-Length: (\d+)", answer).group(1))
        return answer, stream.read(size), b"Connection: close" not in answer


# ---- WebSocket


def test_frames_are_as_they_would_be_directly(site):
    with contextlib.closing(site.upgrade("/echo").socket):
        pass
    stream = site.upgrade("/echo")
    head = stream.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
    assert b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head  # RFC 6455 1.3
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
    large = os.urandom(70000)
    huge = os.urandom(1 << 20)
    for first, content in ((0x81, b"Hello"), (0x01, b"Hel"), (0x80, b"lo"), (0x82, b""), (0x82, b"x" * 125), (0x82, b"y" * 126),
                           (0x82, b"z" * 65535), (0x82, large), (0xc2, b"compressed, as far as noah knows"), (0x02, huge), (0x80, huge)):
        stream.socket.sendall(frame(first, content, MASK))
        assert stream.frame() == (first, content, False)
    # A control frame between the fragments of a message, and many frames in one piece.
    stream.socket.sendall(frame(0x01, b"a", MASK) + frame(0x89, b"ping", MASK) + frame(0x80, b"b", MASK))
    assert [stream.frame()[:2] for _ in range(3)] == [(0x01, b"a"), (0x8a, b"ping"), (0x80, b"b")]
    stream.socket.sendall(b"".join(frame(0x81, b"%d" % i, MASK) for i in range(1000)))
    assert [stream.frame()[1] for i in range(1000)] == [b"%d" % i for i in range(1000)]
    # One byte after the other.
    for byte in frame(0x81, b"slow", MASK):
        stream.socket.sendall(bytes([byte]))
    assert stream.frame() == (0x81, b"slow", False)
    # A close code of the application's own, and the end.
    stream.socket.sendall(frame(0x88, b"\x0f\xa1why", MASK))
    assert stream.frame() == (0x88, b"\x0f\xa1why", False)
    assert stream.more() == b""
    stream.socket.close()


def test_what_the_server_is_asked(site):
    stream = site.tunnel("/raw", fields=b"Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
                                        b"X-Forwarded-For: 10.9.8.7\r\nKeep-Alive: 5\r\n")
    stream.socket.close()
    head = site.app.heads[-1]
    assert head.count(b"Connection: ") == 1 and b"\r\nConnection: Upgrade\r\n" in head
    assert head.count(b"Upgrade: ") == 1 and b"\r\nUpgrade: websocket\r\n" in head
    for field in (b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Protocol: chat", b"Host: example.com",
                  b"Sec-WebSocket-Extensions: permessage-deflate", b"X-Forwarded-For: 10.9.8.7, 127."):
        assert b"\r\n" + field in head
    assert b"Keep-Alive" not in head


# ---- what is no upgrade


@pytest.mark.parametrize("request_line, fields", [
    ("POST", b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"),
    ("GET", b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"),
    ("GET", b"Upgrade: websocket\r\n\r\n"),
    ("GET", b"Connection: keep-alive\r\nUpgrade: websocket\r\n\r\n"),
    ("GET", b"Connection: Upgrade\r\n\r\n"),
    ("GET", b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"),
    ("GET", b"Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n"),
    ("GET", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
    ("GET", b"Connection: Upgrade\r\nUpgrade: H2C\r\n\r\n"), ("GET", b"Connection: Upgrade\r\nUpgrade: h2\r\n\r\n"),
    ("GET", b"Connection: Upgrade\r\nUpgrade: HTTP/2.0\r\n\r\n"), ("GET", b"Connection: Upgrade\r\nUpgrade: http\r\n\r\n"),
    ("GET", b"Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n"), ("GET", b"Connection: Upgrade\r\nUpgrade: h2c-16\r\n\r\n"),
])
def test_not_asked_for(site, request_line, fields):
    head, body, _ = ask(site, request_line.encode() + b" /plain HTTP/1.1\r\nHost: example.com\r\n" + fields)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"\r\nUpgrade:" not in body and b"Connection" not in body and b"HTTP2-Settings" not in body


def test_not_for_http_1_0(site):
    head, body, _ = ask(site, b"GET /plain HTTP/1.0\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ") and b"\r\nUpgrade:" not in body


def test_a_refusal_is_an_answer(site):
    """What the visitor has sent ahead was meant for the tunnel: it is no request, for nobody."""
    before = len(site.app.heads)
    stream = site.upgrade("/refuse", more=b"GET /smuggled HTTP/1.1\r\nHost: example.com\r\n\r\n")
    head = stream.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 426 ") and b"\r\nConnection: close\r\n" in head
    assert stream.exactly(len(site.app.heads[before])) == site.app.heads[before]
    with contextlib.suppress(ConnectionResetError):
        assert stream.more() == b""
    stream.socket.close()
    for number in range(5):
        assert site.get(f"/after?{number}")[1].startswith(b"GET /after?%d " % number)
    assert not any(b"smuggled" in head for head in site.app.heads)


@pytest.mark.parametrize("path", ["/wrong-protocol", "/wrong-connection", "/wrong-nothing", "/wrong-twice"])
def test_a_101_that_does_not_fit(site, path):
    stream = site.upgrade(path)
    assert stream.until(b"\r\n\r\n").startswith(b"HTTP/1.1 502 ")
    stream.socket.close()
    site.wait_for_log(f'"GET {path} HTTP/1.1" 502 .*end=bad-answer')
    assert site.get("/after")[0] == 200


def test_a_101_that_nobody_asked_for(site):
    with contextlib.closing(site.socket()) as visitor:
        # The app sees Upgrade in another field's value and changes protocol all the same.
        visitor.sendall(b"GET /raw HTTP/1.1\r\nHost: example.com\r\nX: y\r\nUpgrade: websocket\r\n\r\n")
        assert visitor.recv(4096).startswith(b"HTTP/1.1 200 ")  # for noah has dropped it


# ---- bytes


def test_early_bytes_wait_for_the_101(site):
    site.app.go.clear()
    site.app.early.clear()
    stream = site.upgrade("/late", more=b"too early")
    wait_for(lambda: site.app.heads[-1].startswith(b"GET /late "), 10, "the request")
    stream.socket.sendall(b", and more")
    site.app.go.set()
    stream.until(b"\r\n\r\n")
    assert stream.exactly(19) == b"too early, and more"
    assert site.app.early == [b""]
    stream.socket.close()


def test_the_first_words_of_the_server(site):
    stream = site.tunnel("/early")
    assert stream.exactly(11) == b"first words"
    stream.socket.close()


def test_half_close(site):
    stream = site.tunnel("/raw")
    stream.socket.sendall(b"last request")
    stream.socket.shutdown(socket.SHUT_WR)
    assert stream.exactly(15) == b"last requestbye"
    assert stream.more() == b""
    stream.socket.close()
    site.wait_for_log(r'"GET /raw HTTP/1.1" 101 15 .*server=web1:\d+ .* end=tunnel$')


def test_one_line_for_each_tunnel(site):
    stream = site.tunnel("/raw?line")
    stream.socket.sendall(b"x" * 1000)
    stream.exactly(1000)
    assert "/raw?line" not in site.log()
    stream.socket.shutdown(socket.SHUT_WR)
    assert stream.exactly(3) == b"bye"
    stream.socket.close()
    site.wait_for_log(r"GET /raw\?line ")
    lines = [line for line in site.log().splitlines() if "/raw?line" in line]
    assert len(lines) == 1
    head_in = int(re.search(r" in=(\d+)", lines[0]).group(1)) - 1000
    head_out = int(re.search(r" out=(\d+)", lines[0]).group(1)) - 1003
    assert 100 < head_in < 400 and 100 < head_out < 400


def test_a_server_that_breaks_off(site):
    stream = site.tunnel("/cut")
    with pytest.raises(ConnectionResetError):
        stream.more()
    stream.socket.close()
    site.wait_for_log(r'"GET /cut HTTP/1.1" 101 .*end=tunnel-cut cause="web1:\d+: connection reset')


# ---- what a tunnel costs


def test_idle_timeout(tmp_path):
    with SocketSite(tmp_path, timeouts="{ connect: 1s, answer: 60s, request: 10s, idle: 1s }") as site:
        stream = site.tunnel("/mute")
        assert stream.more() == b""
        stream.socket.close()
        site.wait_for_log('"GET /mute HTTP/1.1" 101 0 .*end=tunnel-idle')
        wait_for(lambda: site.noah.counter("tunnels_open") == 0, 10, "the tunnel to be gone")
        assert site.noah.target("check")["active"] == 0


def mapped_snapshots(site):
    with open(f"/proc/{site.noah.child('traffic')}/maps", encoding="ascii") as file:
        return sum("memfd:" in line and "board" not in line for line in file)


def test_hundreds_of_idle_tunnels(tmp_path):
    count = 300
    with SocketSite(tmp_path) as site:
        # What the first few cost once (stacks, buffers) is not the others' fault.
        warm = [site.tunnel("/raw") for _ in range(40)]
        before = site.anonymous_bytes()
        snapshots = mapped_snapshots(site)
        tunnels = [site.tunnel("/raw") for _ in range(count)]
        wait_for(lambda: site.noah.counter("tunnels_open") == count + 40, 10, "all to stand")
        assert site.noah.counter("connections_open") == count + 40
        assert site.noah.target("check")["active"] == count + 40
        each = (site.anonymous_bytes() - before) / count
        if not SANITIZED:
            assert each < 4096, f"{each} bytes for each idle tunnel"
        for number in range(5):
            site.noah.reload(site.text().replace("idle: 60s", f"idle: {61 + number}s"))
        wait_for(lambda: mapped_snapshots(site) == snapshots, 10, "old snapshots to be gone")
        for number, stream in enumerate((*warm, *tunnels)):
            stream.socket.sendall(b"still there? %d" % number)
        for number, stream in enumerate((*warm, *tunnels)):
            expected = b"still there? %d" % number
            assert stream.exactly(len(expected)) == expected
        for stream in (*warm, *tunnels):
            stream.socket.close()
        wait_for(lambda: site.noah.counter("tunnels_open") == 0, 20, "all to be gone")
        assert site.noah.counter("connections_open") == 0 and site.noah.target("check")["active"] == 0


def test_a_site_that_is_gone_leaves_its_tunnels(tmp_path):
    with SocketSite(tmp_path) as site:
        stream = site.tunnel("/raw")
        site.noah.reload(site.text().replace("  example.com:\n", "  other.test:\n"))
        stream.socket.sendall(b"hello")
        stream.socket.shutdown(socket.SHUT_WR)
        assert stream.exactly(8) == b"hellobye"
        assert stream.more() == b""
        stream.socket.close()
        site.wait_for_log(r'"GET /raw HTTP/1.1" 101 .*site=example.com .*end=tunnel')


def test_a_stop_does_not_wait_for_idle_tunnels(tmp_path):
    with SocketSite(tmp_path) as site:
        stream = site.tunnel("/raw")
        assert site.noah.stop(25) == 0  # busy connections get 30 s
        assert stream.more() == b""
        stream.socket.close()
        assert "connections are still busy" not in site.noah.log()


def test_a_tunnel_is_one_of_its_servers_connections(tmp_path):
    with SocketSite(tmp_path, options="    connections: 1\n") as site:
        first = site.tunnel("/raw")
        second = site.upgrade("/raw")
        wait_for(lambda: site.noah.counter("queue_waited") == 1, 10, "the second to wait")
        first.socket.sendall(b"hello")
        assert first.exactly(5) == b"hello"
        assert len(site.app.heads) == 1
        first.socket.close()
        assert second.until(b"\r\n\r\n").startswith(b"HTTP/1.1 101 ")
        second.socket.close()
        # And its place is free again.
        wait_for(lambda: site.noah.counter("tunnels_open") == 0, 10, "all to be gone")
        assert site.get("/plain")[0] == 200
