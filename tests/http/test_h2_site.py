# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 with real visitors (curl, nghttp, h2load) and real app servers: bodies both ways, many streams, windows, memory, the end of a
connection."""
import hashlib
import os
import re
import signal
import socket
import struct
import subprocess

import h2_frames as h2
import pytest
from h2_frames import Visitor, frame, request_fields
from site_of_apps import SANITIZED, Site
from support.noah import free_port, wait_for
from test_hostile import Front, read_until


@pytest.fixture(name="site", scope="module")
def make_site(tmp_path_factory):
    with Site(tmp_path_factory.mktemp("site")) as made:
        yield made


def run(*command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, timeout=120, **more).stdout


def curl(site, path, *options, **more):
    return run("curl", "-sS", "--http2-prior-knowledge", "--max-time", "60", f"http://{site.address}:{site.port}{path}", *options, **more)


def test_curl(site):
    assert curl(site, "/", "-w", " %{http_version} %{http_code}").endswith(b" 2 200")
    assert len(curl(site, "/big?3000000")) == 3000000
    body = os.urandom(3000000)
    expected = f"3000000 {hashlib.md5(body).hexdigest()}".encode()
    assert curl(site, "/sink", "--data-binary", "@-", input=body) == expected
    assert curl(site, "/sink", "-T", "-", "-X", "POST", "-H", "Expect: 100-continue", input=body) == expected, "without a length"
    site.wait_for_log(r'"POST /sink HTTP/2.0" 200 .* end=ok')


def test_http1_on_the_same_port(site):
    assert site.get()[0] == 200


def test_over_tls(tmp_path):
    """Agreed on by ALPN; HTTP/1.1 goes on beside it."""
    with Site(tmp_path, start=False) as site:
        tls = free_port(site.address)
        text = site.text().replace(f'listen: ["{site.address}:{site.port}"]',
                                   f'listen: ["https:{site.address}:{tls}"]\n    certificate: self-signed')
        site.noah.write(text)
        site.noah.start()
        for option, version in (("--http2", b"2"), ("--http1.1", b"1.1")):
            out = run("curl", "-sSk", option, "--max-time", "60", f"https://{site.address}:{tls}/", "-w", " %{http_version} %{http_code}")
            assert out.endswith(b" " + version + b" 200")
        out = run("h2load", "-c", "2", "-m", "50", "-n", "500", f"https://{site.address}:{tls}/").decode()
        assert "500 succeeded, 0 failed" in out, out
        big = run("curl", "-sSk", "--http2", "--max-time", "60", f"https://{site.address}:{tls}/big?2000000")
        assert len(big) == 2000000
        site.wait_for_log(r'"GET / HTTP/2.0" 200 .* tls=TLSv1.3')


def test_nghttp(site):
    """It asks for priorities, and multiplies what it fetches."""
    out = run("nghttp", "-n", "-v", "-m", "20", "--window-bits=20", f"http://{site.address}:{site.port}/big?100000").decode()
    assert out.count(":status: 200") == 20
    assert "GOAWAY" not in out.split("recv GOAWAY")[0] or "error_code=NO_ERROR" in out


@pytest.mark.parametrize("clients,streams,path", [(1, 100, "/"), (4, 100, "/"), (2, 30, "/big?100000")])
def test_many_streams(site, clients, streams, path):
    count = 400 if SANITIZED else 2000
    out = run("h2load", "-c", str(clients), "-m", str(streams), "-n", str(count), f"http://{site.address}:{site.port}{path}").decode()
    assert f"{count} succeeded, 0 failed" in out, out
    assert f"status codes: {count} 2xx" in out


def test_an_upload_waits_for_the_app(tmp_path):
    """The window of a stream opens only as the app takes the body, so noah holds next to nothing; then all of it gets there."""
    with Front(tmp_path, "{ connect: 1s, answer: 60s, request: 60s, idle: 60s }") as front:
        with Visitor(front.address, front.port, timeout=60) as visitor:
            stream = visitor.request(method="POST", end=False)
            app = front.accept()
            app.settimeout(60)
            read_until(app, b"\r\n\r\n")
            piece, windows = bytes(range(256)) * 16, {0: 65535, stream: 65535}
            sent = 0

            def receive():
                kind, _, of, payload = visitor.frame()
                assert kind != h2.RST_STREAM
                if kind == h2.WINDOW_UPDATE:
                    windows[of] += struct.unpack("!I", payload)[0]

            visitor.socket.settimeout(1)
            try:
                while sent < 64 * 1024 * 1024:
                    while min(windows.values()) < len(piece):
                        receive()
                    visitor.send(frame(h2.DATA, 0, stream, piece))
                    sent += len(piece)
                    windows[0] -= len(piece)
                    windows[stream] -= len(piece)
            except TimeoutError:
                pass
            assert sent < 32 * 1024 * 1024, "the windows are open although nobody reads"
            other = visitor.request(path="/other")
            second = front.accept()
            read_until(second, b"\r\n\r\n")
            second.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert visitor.answer(other)[0] == 204, "another stream goes on"
            second.close()
            visitor.send(frame(h2.DATA, h2.END_STREAM, stream))
            got = read_until(app, b"\r\n0\r\n\r\n")
            sizes = re.compile(rb"([0-9a-f]+)\r\n")
            body, at = b"", 0
            while (size := int(sizes.match(got, at)[1], 16)) > 0:
                at = sizes.match(got, at).end()
                body, at = body + got[at:at + size], at + size + 2
            assert body == piece * (sent // len(piece))
            app.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            visitor.socket.settimeout(20)
            assert visitor.answer(stream)[0] == 204
            app.close()


@pytest.mark.skipif(SANITIZED, reason="memory is measured")
def test_who_does_not_read_costs_little(site):
    """100 streams that each ask for 100 MB, and not a byte is read."""
    before = site.anonymous_bytes()
    with Visitor(site.address, site.port, [(h2.INITIAL_WINDOW_SIZE, (1 << 31) - 1)]) as visitor:
        visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        visitor.send(frame(h2.WINDOW_UPDATE, 0, 0, struct.pack("!I", (1 << 31) - 65536)))
        for _ in range(100):
            visitor.request(path="/big?100000000")
        wait_for(lambda: site.noah.counter("server_connections_opened") >= 100, 20, "the requests to go out")
        assert site.get()[0] == 200
        assert site.anonymous_bytes() - before < 8 * 1024 * 1024
    wait_for(lambda: site.noah.counter("connections_open") == 0, 20, "the connection to end")


@pytest.mark.skipif(SANITIZED, reason="memory is measured")
def test_idle_connections_cost_little(site):
    """No stack and no buffers: what is left is nghttp2's own."""
    before, count = site.anonymous_bytes(), 200
    visitors = [Visitor(site.address, site.port) for _ in range(count)]
    for visitor in visitors:
        assert visitor.answer(visitor.request())[0] == 200
    each = (site.anonymous_bytes() - before) / count
    print(f"{each} bytes each")
    for visitor in visitors:
        visitor.socket.close()
    assert each < 48 * 1024, f"{each} bytes each"


def test_an_idle_connection_is_ended_in_order(tmp_path):
    with Front(tmp_path, "{ connect: 1s, answer: 5s, request: 2s, idle: 1s }") as front:
        with Visitor(front.address, front.port) as visitor:
            stream = visitor.request()
            app = front.accept()
            read_until(app, b"\r\n\r\n")
            app.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            assert visitor.answer(stream)[0] == 204
            visitor.send(frame(h2.PING, 0, 0, b"12345678"))  # does not make it less idle
            assert visitor.goaway() == h2.NO_ERROR
            app.close()


def test_who_takes_nothing_is_reset(tmp_path):
    """A stream whose window stays shut for the idle timeout holds its server no longer."""
    with Front(tmp_path, "{ connect: 1s, answer: 5s, request: 2s, idle: 1s }") as front:
        with Visitor(front.address, front.port, [(h2.INITIAL_WINDOW_SIZE, 3)]) as visitor:
            stream = visitor.request()
            app = front.accept()
            read_until(app, b"\r\n\r\n")
            app.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789")
            assert visitor.wait_for(h2.DATA, stream)[3] == b"012"
            visitor.send(frame(h2.WINDOW_UPDATE, 0, stream, struct.pack("!I", 4)))
            assert visitor.wait_for(h2.DATA, stream)[3] == b"3456"
            assert visitor.answer(stream) == ("reset", h2.INTERNAL_ERROR)
            app.close()
            front.wait_for_log("end=visitor-stalled")


def test_a_reload_goes_unnoticed(tmp_path):
    with Site(tmp_path) as site, Visitor(site.address, site.port) as visitor:
        slow = visitor.request(fields=request_fields("/slow?0.3", authority="example.com"))
        site.noah.reload()
        assert visitor.answer(slow)[0] == 200
        assert visitor.answer(visitor.request(fields=request_fields(authority="example.com")))[0] == 200


def test_a_stop_lets_streams_finish(tmp_path):
    """First GOAWAY that names no stream, then, with the requests on their way answered, the one that does; then the end."""
    with Site(tmp_path) as site, Visitor(site.address, site.port) as visitor, Visitor(site.address, site.port) as idle:
        assert idle.answer(idle.request(fields=request_fields(authority="example.com")))[0] == 200
        slow = visitor.request(fields=request_fields("/slow?1.5", authority="example.com"))
        wait_for(lambda: site.noah.counter("server_connections_opened") >= 1, 20, "the request to go out")
        site.noah.process.send_signal(signal.SIGTERM)
        kind, _, _, payload = visitor.wait_for(h2.GOAWAY)
        assert payload == b"\x7f\xff\xff\xff\0\0\0\0"
        late = visitor.request(fields=request_fields(authority="example.com"))
        frames = visitor.frames()
        statuses = {of: h2.status_of(data) for kind, _, of, data in frames if kind == h2.HEADERS}
        # A machine that is busy may have let the second pass before the late one was sent: then it is named as not seen.
        assert statuses in ({slow: 200, late: 200}, {slow: 200})
        last = [data for kind, _, _, data in frames if kind == h2.GOAWAY]
        assert last == [struct.pack("!II", max(statuses), 0)]
        assert idle.goaway() == h2.NO_ERROR


def active(site):
    return sum(site.noah.target(f"{app.address}:{app.port}")["active"] for app in site.apps)


def test_a_visitor_who_vanishes(site):
    """His requests are given up, their servers freed."""
    with Visitor(site.address, site.port) as visitor:
        for _ in range(20):
            visitor.request(fields=request_fields("/slow?20", authority="example.com"))
        wait_for(lambda: active(site) >= 20, 20, "the requests to go out")
    wait_for(lambda: active(site) == 0, 20, "the requests to be given up")
    wait_for(lambda: site.log().count("end=visitor-gone") >= 20, 5, "their lines in the log")
