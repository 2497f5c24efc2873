# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2 and TLS over `noah upgrade`: what is under way is answered by the former generation, and the new one knows the same keys."""
import socket
import ssl
import struct

import h2_frames as h2
import pytest
from h2_frames import Visitor
from socket_app import Stream
from support.noah import wait_for
from test_hostile import OK, Front, read_until
from test_https_routes import SecureSite


def upgrade(noah):
    result = noah.command("upgrade", timeout=90)
    assert result.returncode == 0, result.stderr


@pytest.fixture(name="front")
def make_front(tmp_path):
    with Front(tmp_path) as made:
        yield made


def serve(front):
    """The connection of the next request; what a health check opens is closed without a word."""
    while True:
        app = front.accept()
        if app.recv(1, socket.MSG_PEEK):
            read_until(app, b"\r\n\r\n")
            return app
        app.close()


def test_http2_is_told_and_answered(front):
    with Visitor(front.address, front.port, timeout=30) as busy, Visitor(front.address, front.port, timeout=30) as idle:
        asked = idle.request()
        app = serve(front)
        app.sendall(OK)
        assert idle.answer(asked) == (200, b"ok")
        stream = busy.request()
        read_until(app, b"\r\n\r\n")
        upgrade(front.noah)
        _, _, _, payload = idle.wait_for(h2.GOAWAY)
        assert struct.unpack("!I", payload[4:8])[0] == h2.NO_ERROR
        assert idle.goaway() == h2.NO_ERROR  # and then it closes
        app.sendall(OK)
        assert busy.answer(stream) == (200, b"ok")
        busy.frames()  # until it closes
        with Visitor(front.address, front.port, timeout=30) as new:
            stream = new.request()
            another = serve(front)
            another.sendall(OK)
            assert new.answer(stream) == (200, b"ok")
            another.close()
        app.close()
    wait_for(lambda: not front.noah.status()["retired"], 30, "the former generation to end")


def ask(stream, path=b"/"):
    stream.socket.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: example.com\r\n\r\n")
    head = stream.until(b"\r\n\r\n").lower()
    stream.exactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    return head


def test_tls_keys_and_connections_outlive_it(tmp_path):
    with SecureSite(tmp_path) as site:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose session is known after the handshake

        def connect(session=None):
            return context.wrap_socket(socket.create_connection((site.address, site.secure_port), 30), server_hostname="example.com", session=session)
        first = connect()
        kept = Stream(first)
        assert b"connection: close" not in ask(kept)
        certificate, session = first.getpeercert(True), first.session
        upgrade(site.noah)
        with connect(session) as again:
            assert again.session_reused and again.getpeercert(True) == certificate
        assert connect().getpeercert(True) == certificate
        assert b"connection: close" in ask(kept)
        first.close()
        wait_for(lambda: not site.noah.status()["retired"], 30, "the former generation to end")
