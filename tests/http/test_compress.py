# SPDX-License-Identifier: BSD-2-Clause
"""Answers that are compressed on their way out, expiry, and what a server says about its software. The app is played by the test: what
it answers is written here byte by byte, what the visitor got is read byte by byte and decompressed by the codings' own tools."""
import base64
import concurrent.futures
import contextlib
import os
import re
import socket
import subprocess
import threading
import zlib

import pytest

from files_site import FilesSite
from site_of_apps import SANITIZED
from socket_app import SocketApp, SocketSite, Stream, reset
from support.noah import wait_for

PAGE = "".join(f"<p class=\"line\">This is line {n} of a page, and {n * n % 997} is a number.</p>\n" for n in range(160)).encode()
HTML = b"Content-Type: text/html; charset=utf-8\r\n"


class PageApp(SocketApp):
    """pages: path to what is answered: bytes, or a function of (connection, head) which returns whether another request may follow."""

    def __init__(self):
        self.pages = {}
        super().__init__()

    def _answer(self, stream):
        head = stream.until(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        if path == "/check":
            stream.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup")
            return True
        self.heads.append(head)
        page = self.pages[path]
        if callable(page):
            return page(stream.socket, head)
        stream.socket.sendall(page.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head.startswith(b"HEAD ") else page)
        return b"\r\nConnection: close" not in page and b"\r\nContent-Length: " in page or b"\r\nTransfer-Encoding: " in page


class PageSite(SocketSite):
    def __init__(self, directory, options="", **rest):
        super().__init__(directory, start=False, options=options, **rest)
        self.app.kill()
        self.app = PageApp()
        self.apps = [self.app]
        self.noah.write(self.text())
        self.noah.start()

    def page(self, path, fields=HTML, body=PAGE, status=b"200 OK"):
        self.app.pages[path] = b"HTTP/1.1 " + status + b"\r\n" + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body
        return path

    def ask(self, path, accept="gzip", method="GET", version="1.1", fields=""):
        with contextlib.closing(Stream(self.socket())) as stream:
            if accept is not None:
                fields += f"Accept-Encoding: {accept}\r\n"
            stream.socket.sendall(f"{method} {path} HTTP/{version}\r\nHost: example.com\r\n{fields}\r\n".encode())
            return Answer(stream, method)


class Answer:
    """status, fields (a list of pairs, names in lower case), body as it came but for chunks; `clean`: it ended in order."""

    def __init__(self, stream, method="GET"):
        lines = stream.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.head = lines
        self.status = int(lines[0].split()[1])
        self.fields = [(name.lower(), value) for name, value in (line.split(": ", 1) for line in lines[1:] if line)]
        self.body, self.chunks, self.clean = b"", [], True
        if method == "HEAD" or self.status in (204, 304):
            return
        if self["transfer-encoding"] == "chunked":
            self._chunks(stream)
        elif self["content-length"] is not None:
            self.body = stream.exactly(int(self["content-length"]))
        else:
            with contextlib.suppress(EOFError, ConnectionResetError):
                while stream.more():
                    pass
            self.body = stream.buffer

    def _chunks(self, stream):
        try:
            while size := int(stream.until(b"\r\n"), 16):
                self.chunks.append(stream.exactly(size))
                assert stream.exactly(2) == b"\r\n"
            assert stream.exactly(2) == b"\r\n"
        except (EOFError, ConnectionResetError):
            self.clean = False
        self.body = b"".join(self.chunks)

    def __getitem__(self, name):
        values = [value for field, value in self.fields if field == name]
        assert len(values) < 2, self.fields
        return values[0] if values else None

    def vary(self):
        return [value for field, value in self.fields if field == "vary"]

    def content(self):
        return unpack(self["content-encoding"], self.body)


def unpack(coding, data):
    if coding is None:
        return data
    if coding == "gzip":
        decoder = zlib.decompressobj(31)
        content = decoder.decompress(data)
        assert decoder.eof and not decoder.unused_data
        return content
    tool = {"br": ["brotli", "-dc"], "zstd": ["zstd", "-dcq"]}[coding]
    return subprocess.run(tool, input=data, stdout=subprocess.PIPE, check=True, timeout=60).stdout


# Stream closes with its socket.
Stream.close = lambda self: self.socket.close()


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    routes = ("    compress: safe\n    routes:\n"
              "      - { path: /all/, compress: all }\n      - { path: /none/, compress: none }\n"
              "      - { path: /versions/, hide_versions: false }\n      - { types: [css, js], expires: 30d }\n"
              "      - { path: /never/, expires: 0s }\n")
    with PageSite(tmp_path_factory.mktemp("compress"), options=routes) as site:
        yield site


# ---- what the visitor takes -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("accept,coding", [
    ("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip, deflate, br, zstd", "zstd"), ("gzip, deflate, br", "br"),
    ("GZip", "gzip"), ("x-gzip", "gzip"), ("gzip;q=0.5, br;q=0.4", "gzip"), ("zstd;q=0.001, gzip;q=0.002", "gzip"),
    ("gzip;q=0, br", "br"), ("*", "gzip"), ("*;q=0.1, gzip;q=0", "br"), ("identity;q=0, gzip", "gzip"),
    (None, None), ("", None), ("identity", None), ("deflate", None), ("gzip;q=0", None), ("*;q=0", None), ("gzip;q=0.000", None),
    ("gzip;q=1.5", None), ("gzip;q=x", None), ("gzip;level=9", None), ("gzip, gzip;q=0", None), ("identity, gzip;q=0.5", None),
    ("identity;q=0", None), ("gzipped, ungzip, brotli", None), (";q=1, ,gzip;q=0.1", "gzip")])
def test_negotiation(site, accept, coding):
    site.page("/")
    answer = site.ask("/", accept)
    assert answer["content-encoding"] == coding and answer.content() == PAGE
    assert answer.vary() == ["Accept-Encoding"]
    assert answer["transfer-encoding"] == (None if coding is None else "chunked")
    assert (answer["content-length"] is None) == (coding is not None)


def test_the_visitor_may_forbid_it(site):
    site.page("/")
    assert site.ask("/", fields="Cache-Control: no-cache, no-transform\r\n")["content-encoding"] is None  # RFC 9111 5.2.1.6
    assert site.ask("/", fields="Cache-Control: no-cache\r\n")["content-encoding"] == "gzip"


def test_several_lines(site):
    site.page("/")
    answer = site.ask("/", "br;q=0.5", fields="Accept-Encoding: zstd;q=0.4\r\nAccept-Encoding: gzip;q=0.3\r\n")
    assert answer["content-encoding"] == "br" and answer.content() == PAGE


def test_the_app_sees_what_the_visitor_takes(site):
    site.page("/seen")
    site.ask("/seen", "br, gzip;q=0.5")
    assert b"\r\nAccept-Encoding: br, gzip;q=0.5\r\n" in site.app.heads[-1]


# ---- what is compressed -----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("fields,path,coding,vary", [
    (b"Content-Type: application/json\r\n", "/", "gzip", True),
    (b"Content-Type: image/svg+xml\r\n", "/", "gzip", True),
    (b"Content-Type: TEXT/CSS ; charset=x\r\n", "/", "gzip", True),
    (b"Content-Type: image/jpeg\r\n", "/", None, False),
    (b"Content-Type: application/octet-stream\r\n", "/", None, False),
    (b"Content-Type: text/event-stream\r\n", "/", None, False),
    (b"", "/", None, False),
    (HTML + b"Content-Type: text/plain\r\n", "/", None, False),
    (HTML + b"Content-Encoding: deflate\r\n", "/", None, False),
    (HTML + b"Cache-Control: public, No-Transform\r\n", "/", None, False),
    (HTML + b"Cache-Control: public\r\n", "/", "gzip", True),
    (HTML + b"Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\n", "/", None, False),
    (HTML + b"Repr-Digest: sha-256=:AA==:\r\n", "/", None, False),
    (HTML + b"Set-Cookie: a=b\r\n", "/", None, False),
    (HTML + b"Set-Cookie: a=b\r\n", "/all/", "gzip", True),
    (HTML, "/none/", None, False)])
def test_which_answers(site, fields, path, coding, vary):
    site.page(path, fields)
    answer = site.ask(path)
    assert answer["content-encoding"] == ("deflate" if b"deflate" in fields else coding), answer.head
    assert (answer.content() if b"deflate" not in fields else answer.body) == PAGE
    assert answer.vary() == (["Accept-Encoding"] if vary else [])


@pytest.mark.parametrize("status,coding", [("200 OK", "gzip"), ("201 Created", "gzip"), ("404 Not Found", "gzip"),
                                           ("500 Internal Server Error", "gzip"), ("206 Partial Content", None)])
def test_statuses(site, status, coding):
    more = b"Content-Range: bytes 0-%d/99999\r\n" % (len(PAGE) - 1) if coding is None else b""
    site.page("/", HTML + more, status=status.encode())
    answer = site.ask("/", fields="Range: bytes=0-\r\n")
    assert answer["content-encoding"] == coding and answer.content() == PAGE and answer.status == int(status[:3])


def test_short_answers_stay(site):
    site.page("/short", body=PAGE[:1023])
    assert site.ask("/short")["content-encoding"] is None
    site.page("/short", body=PAGE[:1024])
    assert site.ask("/short").content() == PAGE[:1024]
    assert site.ask("/short")["content-encoding"] == "gzip"


@pytest.mark.parametrize("given,got", [
    (b"Vary: Cookie\r\n", ["Cookie", "Accept-Encoding"]), (b"Vary: Cookie, accept-encoding\r\n", ["Cookie, accept-encoding"]),
    (b"Vary: *\r\n", ["*"]), (b"Vary: Cookie\r\nVary: Accept-Encoding\r\n", ["Cookie", "Accept-Encoding"])])
def test_vary_is_said_once(site, given, got):
    site.page("/", HTML + given)
    assert site.ask("/").vary() == got
    assert site.ask("/", None).vary() == got


@pytest.mark.parametrize("given,got", [('"v1"', 'W/"v1"'), ('W/"v1"', 'W/"v1"'), ("v1", None), ('""', 'W/""')])
def test_tags_are_weak(site, given, got):
    site.page("/", HTML + f"ETag: {given}\r\nAccept-Ranges: bytes\r\nLast-Modified: Sat, 21 Nov 2026 05:00:00 GMT\r\n".encode())
    answer = site.ask("/")
    assert answer["etag"] == got and answer["accept-ranges"] is None and answer["last-modified"] is not None
    plain = site.ask("/", "identity")
    assert plain["etag"] == given and plain["accept-ranges"] == "bytes" and plain.body == PAGE


def test_not_modified(site):
    """Whoever has a compressed copy finds its tag again; the app sees what he sent."""
    site.app.pages["/"] = b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nContent-Length: 4000\r\n\r\n'
    answer = site.ask("/", fields='If-None-Match: "v0", W/"v1"\r\n')
    assert answer.status == 304 and answer["etag"] == 'W/"v1"' and answer.vary() == ["Accept-Encoding"]
    assert b'\r\nIf-None-Match: "v0", W/"v1"\r\n' in site.app.heads[-1]
    for his in ('If-None-Match: "v1"\r\n', 'If-None-Match: W/"v11"\r\n', "", "If-None-Match: *\r\n"):
        answer = site.ask("/", fields=his)
        assert answer.status == 304 and answer["etag"] == '"v1"' and answer.vary() == [], his


def test_head_is_as_get(site):
    site.page("/", HTML + b'ETag: "v1"\r\nAccept-Ranges: bytes\r\n')
    get, head = site.ask("/", "br"), site.ask("/", "br", method="HEAD")
    ignored = ("date", "transfer-encoding")
    assert [pair for pair in head.fields if pair[0] not in ignored] == [pair for pair in get.fields if pair[0] not in ignored]
    assert head["content-encoding"] == "br" and head["content-length"] is None
    assert site.ask("/", "br", method="HEAD", version="1.0")["content-length"] == str(len(PAGE))


def test_http_1_0(site):
    """Has no chunks: as it is, with its length."""
    site.page("/")
    answer = site.ask("/", version="1.0", fields="Connection: keep-alive\r\n")
    assert answer["content-encoding"] is None and answer["content-length"] == str(len(PAGE)) and answer.body == PAGE
    assert answer["connection"] == "keep-alive" and answer.vary() == ["Accept-Encoding"]


# ---- how it comes -----------------------------------------------------------------------------------------------------

def chunked(body, size, extension=b""):
    pieces = [body[at:at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x%s\r\n%s\r\n" % (len(piece), extension, piece) for piece in pieces) + b"0\r\nX-Trailer: 1\r\n\r\n"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
@pytest.mark.parametrize("size", [1, 7, 4096, 70000])
def test_chunked(site, coding, size):
    body = PAGE * (1 if size == 1 else 20)
    site.app.pages["/"] = b"HTTP/1.1 200 OK\r\n" + HTML + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(body, size, b";a=b" if size > 99 else b"")
    answer = site.ask("/", coding)
    assert answer["content-encoding"] == coding and answer.clean and answer.content() == body


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_until_close(site, coding):
    site.app.pages["/"] = b"HTTP/1.0 200 OK\r\n" + HTML + b"\r\n" + PAGE * 20
    answer = site.ask("/", coding)
    assert answer["content-encoding"] == coding and answer.clean and answer.content() == PAGE * 20


def test_empty_bodies(site):
    for fields, body in ((b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), (b"Connection: close\r\n", b"")):
        site.app.pages["/"] = b"HTTP/1.1 200 OK\r\n" + HTML + fields + b"\r\n" + body
        answer = site.ask("/")
        assert answer.clean and answer.content() == b""


def test_requests_follow_one_another(site):
    site.page("/")
    with contextlib.closing(Stream(site.socket())) as stream:
        request = b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: zstd\r\n\r\n"
        stream.socket.sendall(request * 20)
        for _ in range(20):
            assert Answer(stream).content() == PAGE


def test_the_servers_connection_is_kept(site):
    site.page("/")
    assert site.ask("/").content() == PAGE
    before = len(site.app.connections)
    for _ in range(5):
        assert site.ask("/").content() == PAGE
    assert len(site.app.connections) == before


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_page_that_comes_in_pieces_is_not_held_back(site, coding):
    """Each piece must be readable before the app sends the next one."""
    seen = threading.Semaphore(0)

    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Transfer-Encoding: chunked\r\n\r\n")
        for piece in (b"one", b"two", b"three"):
            assert seen.acquire(timeout=20)
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        assert seen.acquire(timeout=20)
        connection.sendall(b"0\r\n\r\n")
        return True

    site.app.pages["/"] = page
    with contextlib.closing(Stream(site.socket())) as stream:
        stream.socket.sendall(f"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
        assert f"\r\nContent-Encoding: {coding}\r\n".encode() in stream.until(b"\r\n\r\n"), "the head comes before any content"
        got = b""
        for piece in (b"one", b"two", b"three", b""):
            seen.release()
            if coding == "gzip" and piece:
                size = int(stream.until(b"\r\n"), 16)
                got += stream.exactly(size)
                stream.exactly(2)
                assert zlib.decompressobj(31).decompress(got).endswith(piece)
            elif piece:
                size = int(stream.until(b"\r\n"), 16)
                got += stream.exactly(size)
                stream.exactly(2)
        while size := int(stream.until(b"\r\n"), 16):
            got += stream.exactly(size)
            stream.exactly(2)
        assert unpack(coding, got) == b"onetwothree"


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_what_becomes_very_small_does_not_wait_for_more(site, coding):
    """A server that never pauses and says nothing new: the visitor sees that something comes."""
    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Content-Length: 1000000000\r\n\r\n")
        for _ in range(16):
            connection.sendall(bytes(1 << 16))
        assert seen.wait(20)
        return False

    seen = threading.Event()
    site.app.pages["/"] = page
    with contextlib.closing(Stream(site.socket())) as stream:
        stream.socket.sendall(f"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: {coding}\r\n\r\n".encode())
        stream.until(b"\r\n\r\n")
        for _ in range(4):
            stream.exactly(int(stream.until(b"\r\n"), 16))
            stream.exactly(2)
        seen.set()


def test_an_answer_that_is_cut_looks_cut(site):
    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Content-Length: 100000\r\n\r\n" + PAGE)
        assert gone.wait(20)
        reset(connection)
        return False

    gone = threading.Event()
    site.app.pages["/"] = page
    with contextlib.closing(Stream(site.socket())) as stream:
        stream.socket.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n\r\n")
        stream.until(b"\r\n\r\n")
        gone.set()
        with contextlib.suppress(ConnectionResetError):
            while stream.more():
                pass
        assert not stream.buffer.endswith(b"0\r\n\r\n")


def test_cut_before_anything_went_out(site):
    """Then it can still be said with a status, and that page is no coded one."""
    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n")
        return False

    site.app.pages["/"] = page
    answer = site.ask("/")
    assert answer.status == 502 and answer["content-encoding"] is None and b"<html" in answer.body


def test_the_log_says_what_was_sent(site):
    site.page("/logged-size")
    answer = site.ask("/logged-size")
    site.wait_for_log(rf'/logged-size HTTP/1.1" 200 {len(answer.body)} ')


# ---- HTTP/2 -----------------------------------------------------------------------------------------------------------

def curl(site, path, *options):
    return subprocess.run(["curl", "-sS", "--http2-prior-knowledge", "-H", "Host: example.com", *options,
                           f"http://{site.address}:{site.port}{path}"], stdout=subprocess.PIPE, check=True, timeout=120).stdout


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_http_2(site, coding):
    site.page("/", HTML + b'ETag: "v1"\r\n', PAGE * 50)
    assert curl(site, "/", "--compressed", "-H", f"Accept-Encoding: {coding}") == PAGE * 50
    head = curl(site, "/", "-I", "-H", f"Accept-Encoding: {coding}").decode().lower()
    assert f"content-encoding: {coding}" in head and 'etag: w/"v1"' in head and "content-length" not in head
    site.app.pages["/"] = b"HTTP/1.1 200 OK\r\n" + HTML + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(PAGE * 50, 5000)
    assert unpack(coding, curl(site, "/", "-H", f"Accept-Encoding: {coding}")) == PAGE * 50


# ---- much of it -------------------------------------------------------------------------------------------------------

def memory_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


@pytest.mark.parametrize("coding", ["gzip", "zstd"])
def test_a_huge_answer_in_bounded_memory(site, coding):
    block = PAGE * 100
    count = (1 << (26 if SANITIZED else 30)) // len(block) + 1

    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Content-Length: %d\r\n\r\n" % (len(block) * count))
        for _ in range(count):
            connection.sendall(block)
        return True

    site.app.pages["/"] = page
    traffic = site.noah.child("traffic")
    before = memory_of(traffic)
    tool = {"gzip": "gzip -dc", "zstd": "zstd -dcq"}[coding]
    command = (f"curl -sS -H 'Host: example.com' -H 'Accept-Encoding: {coding}' http://{site.address}:{site.port}/ | {tool} | "
               "{ head -c 1000000 | md5sum; wc -c; }")
    with subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, text=True) as visitor:
        most = before
        while visitor.poll() is None:
            most = max(most, memory_of(traffic))
            with contextlib.suppress(subprocess.TimeoutExpired):
                visitor.wait(0.2)
        assert int(visitor.stdout.read().split()[2]) == len(block) * count - 1000000
    if not SANITIZED:
        assert most - before < 8000, "KB"


def test_many_at_once(site):
    """200 that do not end: no more than the bound are compressed, the others go out as they are; all of them whole in the end."""
    go = threading.Event()

    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Content-Length: %d\r\n\r\n" % (2 * len(PAGE)) + PAGE)
        assert go.wait(60)
        connection.sendall(PAGE)
        return True

    site.app.pages["/"] = page
    before, compressed = site.noah.counter("compressors_exhausted"), site.noah.counter("answers_compressed")
    streams = [Stream(site.socket(60)) for _ in range(200)]
    try:
        for stream in streams:
            stream.socket.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n\r\n")
        for stream in streams:
            while b"\r\n\r\n" not in stream.buffer:
                assert stream.more()
        coded = [b"\r\nContent-Encoding: gzip\r\n" in stream.buffer for stream in streams]
        assert sum(coded) == 64
        assert site.noah.counter("compressors_exhausted") - before == 200 - 64
        go.set()
        for stream in streams:
            assert Answer(stream).content() == PAGE * 2
    finally:
        go.set()
        for stream in streams:
            stream.close()
    site.page("/")
    assert site.ask("/")["content-encoding"] == "gzip", "all are given back"
    assert site.noah.counter("answers_compressed") - compressed == 65


def test_who_leaves_gives_his_compressor_back(site):
    left = threading.Semaphore(0)

    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Content-Length: 10000000\r\n\r\n" + PAGE)
        with contextlib.suppress(OSError):
            while connection.recv(1):
                pass
        left.release()
        return False

    site.app.pages["/"] = page
    for _ in range(2):
        streams = [Stream(site.socket()) for _ in range(64)]
        for stream in streams:
            stream.socket.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n\r\n")
        for stream in streams:
            assert b"\r\nContent-Encoding: gzip\r\n" in stream.until(b"\r\n\r\n")
            reset(stream.socket)
        for _ in streams:
            assert left.acquire(timeout=20)
    site.page("/")
    wait_for(lambda: site.ask("/")["content-encoding"] == "gzip", 10, "the compressors to be back")


def test_others_have_their_turn(site):
    """A small request is answered while several huge answers are compressed on the one core."""
    stop = threading.Event()

    def page(connection, _):
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Connection: close\r\n\r\n")
        while not stop.is_set():
            connection.sendall(PAGE * 20)
        return False

    def read(stream):
        with contextlib.suppress(OSError):
            while stream.socket.recv(1 << 16):
                pass

    site.app.pages["/huge"] = page
    site.page("/small", body=PAGE[:500])
    streams = [Stream(site.socket()) for _ in range(6)]
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        try:
            for stream in streams:
                stream.socket.sendall(b"GET /huge HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: br\r\n\r\n")
                pool.submit(read, stream)
            for _ in range(50):
                assert site.ask("/small").body == PAGE[:500]
        finally:
            stop.set()
            for stream in streams:
                with contextlib.suppress(OSError):
                    stream.socket.shutdown(socket.SHUT_RDWR)
                stream.close()


def test_who_does_not_read(tmp_path):
    """He is given up after the idle timeout, with his compressor; nothing is compressed ahead of him without a bound."""
    with PageSite(tmp_path, timeouts="{ connect: 1s, answer: 60s, request: 10s, idle: 1s }") as site:
        size = 50_000_000
        text = base64.b64encode(os.urandom(1 << 20))
        sent = []

        def page(connection, _):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Content-Length: %d\r\n\r\n" % size)
            while sum(sent) < size:
                sent.append(connection.send(text))
            return True

        site.app.pages["/"] = page
        with contextlib.closing(Stream(site.socket())) as stream:
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stream.socket.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n\r\n")
            site.wait_for_log(r"end=visitor-stalled", 30)
        assert sum(sent) < size
        site.page("/")
        assert site.ask("/").content() == PAGE


def test_a_stop_in_the_middle(tmp_path):
    """noah ends with answers half compressed, waiting for their turn, their visitor or their server."""
    with PageSite(tmp_path) as site:
        stop = threading.Event()

        def page(connection, head):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + HTML + b"Connection: close\r\n\r\n" + PAGE)
            with contextlib.suppress(OSError):
                while not stop.wait(0 if b" /fast " in head else 0.05):
                    connection.sendall(PAGE * 50)
            return False

        site.app.pages.update({"/fast": page, "/slow": page})
        streams = [Stream(site.socket()) for _ in range(30)]
        try:
            for number, stream in enumerate(streams):
                path = "/fast" if number % 2 else "/slow"
                stream.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: example.com\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            for stream in streams[::3]:
                stream.until(b"\r\n\r\n")
            site.noah.process.terminate()
            site.noah.wait_for_log("to finish")
            assert site.noah.stop(30) == 0, "the second signal does not wait for them"
        finally:
            stop.set()
            for stream in streams:
                stream.close()


# ---- expiry, versions -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path,fields,status,method,got", [
    ("/a.css", b"", "200 OK", "GET", "max-age=2592000"), ("/a.js", b"", "200 OK", "HEAD", "max-age=2592000"),
    ("/never/x", b"", "200 OK", "GET", "max-age=0"), ("/a.html", b"", "200 OK", "GET", None),
    ("/a.css", b"", "203 Other", "GET", "max-age=2592000"), ("/a.css", b"", "404 Not Found", "GET", None),
    ("/a.css", b"", "302 Found", "GET", None), ("/a.css", b"", "200 OK", "POST", None),
    ("/a.css", b"Cache-Control: private\r\n", "200 OK", "GET", "private"), ("/a.css", b"Pragma: no-cache\r\n", "200 OK", "GET", None),
    ("/a.css", b"Expires: 0\r\n", "200 OK", "GET", None), ("/a.css", b"Set-Cookie: a=b\r\n", "200 OK", "GET", None)])
def test_expiry(site, path, fields, status, method, got):
    site.page(path, b"Content-Type: text/css\r\n" + fields, b"" if method == "HEAD" else b"x", status.encode())
    assert site.ask(path, None, method, fields="Content-Length: 0\r\n" if method == "POST" else "")["cache-control"] == got


def test_expiry_of_what_has_not_changed(site):
    site.app.pages["/a.css"] = b'HTTP/1.1 304 Not Modified\r\nETag: "v1"\r\nContent-Length: 4000\r\n\r\n'
    assert site.ask("/a.css", None)["cache-control"] == "max-age=2592000"


def test_versions_are_hidden(site):
    fields = (b"Server: Apache/2.2.22 (Debian)\r\nX-A: 1\r\nX-Powered-By: PHP/5.4\r\nx-powered-by: W3 Total Cache\r\nX-B: 2\r\n"
              b"X-AspNet-Version: 4.0\r\nX-AspNetMvc-Version: 5.2\r\n")
    for path, coding in (("/", "gzip"), ("/", "identity"), ("/versions/", "gzip")):
        site.page(path, HTML + fields)
        answer = site.ask(path, coding)
        names = [name for name, _ in answer.fields]
        assert answer["x-a"] == "1" and answer["x-b"] == "2" and answer.content() == PAGE
        for name in ("server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version"):
            assert names.count(name) == (0 if path == "/" else 2 if name == "x-powered-by" else 1), name


# ---- files ------------------------------------------------------------------------------------------------------------

def test_files(tmp_path):
    """The same decision is taken for what noah serves itself."""
    with FilesSite(tmp_path, site="    routes:\n      - { types: [css], expires: 30d }") as files:
        files.put("page.html", PAGE)
        files.put("style.css", PAGE)
        files.put("picture.jpg", PAGE)
        strong = files.ask("/page.html").fields["etag"]
        for coding in ("gzip", "br", "zstd"):
            answer = files.ask("/page.html", accept_encoding=coding)
            assert answer.fields["content-encoding"] == coding and unpack(coding, answer.body) == PAGE
            assert answer.fields["etag"] == "W/" + strong and answer.fields["vary"] == "Accept-Encoding"
        unchanged = files.ask("/page.html", accept_encoding="br", if_none_match=f'"x", W/{strong}')
        assert unchanged.status == 304 and unchanged.fields["etag"] == "W/" + strong, "as he knows it"
        assert files.ask("/page.html", accept_encoding="br", if_none_match=strong).fields["etag"] == strong
        assert "content-encoding" not in files.ask("/picture.jpg", accept_encoding="br").fields
        answer = files.ask("/style.css", accept_encoding="zstd")
        assert answer.fields["cache-control"] == "max-age=2592000" and unpack("zstd", answer.body) == PAGE
