# SPDX-License-Identifier: BSD-2-Clause
"""What TLS has to do with routing: redirects to https, HSTS, requests for a host that this connection is not for; WebSocket over TLS."""
import contextlib
import os
import socket
import ssl
import subprocess

import pytest

from socket_app import SocketSite, Stream, frame
from support.noah import free_port, wait_for

MASK = b"\x12\x34\x56\x78"
HSTS = "max-age=15552000"


class SecureSite(SocketSite):
    """Two sites, each with a certificate of its own that noah makes; listens plain and with TLS."""

    def __init__(self, directory, options="", other=""):
        self.secure_port = 0
        self.other = other
        super().__init__(directory, start=False, options="    certificate: self-signed\n" + options)
        self.secure_port = free_port(self.address)
        self.noah.write(self.text())
        self.noah.start()

    def text(self):
        listen = f'    listen: ["{self.address}:{self.port}"]'
        both = f'    listen: ["{self.address}:{self.port}", "https:{self.address}:{self.secure_port}"]'
        text = super().text().replace(listen, both)
        page = os.path.join(self.directory, "page.html")
        with open(page, "w", encoding="utf-8") as file:
            file.write("another site")
        return text.replace("\nlog:", f"  other.test:\n    on: [front]\n{both}\n    certificate: self-signed\n    page: {page}\n{self.other}\nlog:")

    def secure_socket(self, name="example.com", timeout=30):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection((self.address, self.secure_port), timeout)
        return context.wrap_socket(plain, server_hostname=name)

    def ask(self, target, host="example.com", secure=False, method="GET", name=None, fields=b""):
        """(status, fields with names in lower case, body)"""
        with contextlib.closing(self.secure_socket(name or host.partition(":")[0]) if secure else self.socket()) as visitor:
            visitor.sendall(b"%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (method.encode(), target.encode(), host.encode(), fields))
            stream = Stream(visitor)
            lines = stream.until(b"\r\n\r\n").decode().split("\r\n")[:-2]
            got = {}
            for line in lines[1:]:
                key, _, value = line.partition(": ")
                assert key.lower() not in got, f"{key} is repeated"
                got[key.lower()] = value
            body = b"" if method == "HEAD" else stream.exactly(int(got["content-length"]))
            return int(lines[0].split()[1]), got, body


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    options = ("    names: [www.example.com, '*.example.com']\n    canonical: www.example.com\n    https: { hsts: 180d }\n    routes:\n"
               "      - { path: /old/, redirect: /new/, status: 302 }\n      - { path: /away/, redirect: 'https://example.org/' }\n")
    with SecureSite(tmp_path_factory.mktemp("https"), options) as site:
        yield site


def test_plain_requests_are_sent_to_https(site):
    www = f"https://www.example.com:{site.secure_port}"
    for host, target, status, location in (
            ("www.example.com", "/a%20b?c=d", 301, www + "/a%20b?c=d"), ("WWW.example.com:99", "/", 301, www.replace("www", "WWW", 1) + "/"),
            ("example.com", "/x", 301, www + "/x"),  # to https and to the canonical name in one hop
            ("a.example.com", "/x", 301, f"https://a.example.com:{site.secure_port}/x"),
            ("example.com", "//evil.example/x", 301, www + "//evil.example/x"),
            ("example.com", "/old/x?y", 302, www + "/new/x?y"), ("www.example.com", "/away/x", 301, "https://example.org/x")):
        got = site.ask(target, host)
        assert (got[0], got[1]["location"]) == (status, location), (host, target)
        assert "strict-transport-security" not in got[1]  # RFC 6797 7.2
    assert site.ask("/", "www.example.com", method="HEAD")[0] == 301
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        status, fields, _ = site.ask("/x", "www.example.com", method=method)
        assert (status, fields["location"]) == (308, www + "/x")
    status, fields, _ = site.ask("/x", "www.example.com", method="POST", fields=b"Content-Length: 0\r\n")
    assert status == 308 and "connection" not in fields
    site.wait_for_log('"GET /x HTTP/1.1" 301 .*site=example.com server=- .*end=redirected')


def test_certificates_can_be_asked_for(site):
    """An authority asks without TLS, under each name (RFC 8555 8.3)."""
    for host in ("www.example.com", "example.com"):
        status, fields, body = site.ask("/.well-known/acme-challenge/token", host)
        assert status == 200 and "location" not in fields
        assert body.startswith(b"GET /.well-known/acme-challenge/token ")
    assert site.ask("/.well-known/acme-challenge", "example.com")[0] == 301
    assert site.ask("/x/.well-known/acme-challenge/", "example.com")[0] == 301


def test_secure_requests(site):
    status, fields, body = site.ask("/x", "www.example.com", secure=True)
    assert status == 200 and fields["strict-transport-security"] == HSTS
    assert b"\r\nX-Forwarded-Proto: https\r\n" in body
    status, fields, _ = site.ask("/x?y", f"example.com:{site.secure_port}", secure=True)
    assert (status, fields["location"]) == (301, f"https://www.example.com:{site.secure_port}/x?y")
    assert fields["strict-transport-security"] == HSTS  # on noah's own answers too
    status, fields, _ = site.ask("/old/x", "www.example.com", secure=True)
    assert (status, fields["location"], fields["strict-transport-security"]) == (302, "/new/x", HSTS)
    assert "strict-transport-security" not in site.ask("/", "other.test", secure=True)[1]
    status, fields, _ = site.ask("/x%2fy", "www.example.com", secure=True)
    assert (status, fields["strict-transport-security"]) == (400, HSTS)


def test_a_host_that_the_connection_is_not_for(site):
    assert site.ask("/", "other.test", secure=True)[2] == b"another site"
    assert site.ask("/", "other.test", secure=True, name="www.example.com")[0] == 421
    assert site.ask("/", "www.example.com", secure=True, name="other.test")[0] == 421
    # Another name of the same site, and who has named none.
    assert site.ask("/", "a.example.com", secure=True, name="www.example.com")[0] == 200
    with contextlib.closing(site.secure_socket("www.example.com")) as visitor:
        stream = Stream(visitor)
        for host, status in ((b"www.example.com", b"200"), (b"other.test", b"421"), (b"www.example.com", b"200"), (b"nobody.test", b"421")):
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
            head = stream.until(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 " + status)
            stream.exactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
    site.wait_for_log("421 .*site=other.test .*end=misdirected cause=\"the connection was made for www.example.com")


def test_an_absolute_target_is_what_counts(site):
    """RFC 9112 3.2.2: neither Host nor the scheme in the target takes a request where its connection is not for."""
    assert site.ask("https://other.test/x", "www.example.com", secure=True)[0] == 421
    assert site.ask("http://other.test/x", "www.example.com", secure=True)[0] == 421
    assert site.ask("https://other.test/", "www.example.com", secure=True, name="other.test")[2] == b"another site"
    status, _, body = site.ask("https://www.example.com/x", "other.test", secure=True, name="www.example.com")
    assert status == 200 and body.startswith(b"GET /x HTTP/1.1\r\n")
    assert b"\r\nHost: www.example.com\r\n" in body and b"other.test" not in body and body.count(b"\r\nHost: ") == 1
    # "https" in a target does not make a plain connection a secure one.
    status, fields, _ = site.ask("https://www.example.com/x", "www.example.com")
    assert (status, fields["location"]) == (301, f"https://www.example.com:{site.secure_port}/x")


def test_hsts_of_the_server_gives_way(tmp_path):
    with SecureSite(tmp_path, "    https: { hsts: 1h }\n") as site:
        site.app.more_fields = b"strict-transport-security: max-age=1\r\nX-Other: y\r\n"
        _, fields, _ = site.ask("/x", secure=True)
        assert fields["strict-transport-security"] == "max-age=3600" and fields["x-other"] == "y"
        assert site.ask("/x")[0] == 301
        site.noah.reload(site.text().replace("    https: { hsts: 1h }\n", "    https: { redirect: false }\n"))
        wait_for(lambda: site.ask("/x")[0] == 200, 10, "plain requests to be answered")
        for secure in (False, True):
            assert site.ask("/x", secure=secure)[1]["strict-transport-security"] == "max-age=1"


# ---- WebSocket over TLS


def secure_tunnel(site, path):
    stream = Stream(site.secure_socket("www.example.com"))
    stream.socket.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: www.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                          b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head = stream.until(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ") and b"\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in head
    assert f"\r\nStrict-Transport-Security: {HSTS}\r\n".encode() in head
    return stream


def test_websocket_over_tls(site):
    stream = secure_tunnel(site, b"/echo")
    huge = os.urandom(1 << 20)
    for first, content in ((0x81, b"Hello"), (0x01, b"Hel"), (0x80, b"lo"), (0x82, b"z" * 65535), (0x82, huge)):
        stream.socket.sendall(frame(first, content, MASK))
        assert stream.frame() == (first, content, False)
    stream.socket.sendall(b"".join(frame(0x81, b"%d" % i, MASK) for i in range(1000)))
    assert [stream.frame()[1] for i in range(1000)] == [b"%d" % i for i in range(1000)]
    stream.socket.sendall(frame(0x88, b"\x0f\xa1why", MASK))
    assert stream.frame() == (0x88, b"\x0f\xa1why", False)
    assert stream.more() == b""  # with close_notify: else this would raise
    stream.socket.close()
    site.wait_for_log('"GET /echo HTTP/1.1" 101 .*end=tunnel$')


def test_the_server_has_the_last_word(site):
    stream = secure_tunnel(site, b"/early")
    assert stream.exactly(11) == b"first words"
    stream.socket.sendall(b"x" * 100000)
    assert stream.exactly(100000) == b"x" * 100000
    stream.socket.close()


def test_idle_tunnels_over_tls_and_reloads(tmp_path):
    with SecureSite(tmp_path, "    names: [www.example.com]\n    https: { hsts: 180d }\n") as site:
        tunnels = [secure_tunnel(site, b"/raw") for _ in range(50)]
        for number in range(3):
            site.noah.reload(site.text().replace("idle: 60s", f"idle: {61 + number}s"))
        for number, stream in enumerate(tunnels):
            stream.socket.sendall(b"still there? %d" % number)
        for number, stream in enumerate(tunnels):
            expected = b"still there? %d" % number
            assert stream.exactly(len(expected)) == expected
            stream.socket.close()
        wait_for(lambda: site.noah.counter("tunnels_open") == 0, 20, "all to be gone")


# ---- the same over HTTP/2


def test_over_http_2(site):
    """curl asks, as HTTP/2 is not for hands."""
    def ask(url_host, target, *more):
        command = ["curl", "--silent", "--insecure", "--http2", "--path-as-is", "--max-time", "20", "--dump-header", "-", "--connect-to",
                   f"::{site.address}:{site.secure_port}", *more, f"https://{url_host}{target}"]
        answer = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        assert lines[0].startswith("HTTP/2 ")
        return int(lines[0].split()[1]), dict(line.split(": ", 1) for line in lines[1:]), answer.partition(b"\r\n\r\n")[2]
    status, fields, body = ask("www.example.com", "/x")
    assert status == 200 and fields["strict-transport-security"] == HSTS and body.startswith(b"GET /x HTTP/1.1\r\n")
    status, fields, _ = ask("example.com", "/x?y")
    assert (status, fields["location"], fields["strict-transport-security"]) == (301, "https://www.example.com/x?y", HSTS)
    for _ in range(20):  # who is answered before he has sent all may finish: curl would report a reset as a failure
        assert ask("example.com", "/x", "--data", "z")[0] == 308
    status, fields, _ = ask("example.com", "/old/x")
    assert (status, fields["location"]) == (302, "https://www.example.com/new/x")
    assert ask("www.example.com", "/x/%2e%2e/y")[0] == 400
    assert ask("other.test", "/")[2] == b"another site"
    assert ask("other.test", "/", "--request", "DELETE")[1]["allow"] == "GET, HEAD"
    assert ask("www.example.com", "/", "--header", "Host: other.test")[0] == 421
