# SPDX-License-Identifier: BSD-2-Clause
"""Requests and answers that try to be read in two ways: what varnishtest cannot send, and all of it over HTTP/2. The app is played by
the test, byte by byte. tests/http/README.md says which class of attack is tested where."""
import socket
import struct
import subprocess

import h2_frames as h2
import pytest
from h2_frames import Visitor, block, frame, request_fields
from test_h2 import app_gets
from test_hostile import OK, Front, read_all, read_until

EVIL = b"GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(name="front", scope="module")
def make_front(tmp_path_factory):
    # Nothing here waits for an app that does not answer: what must end, ends at once.
    with Front(tmp_path_factory.mktemp("smuggling"), "{ connect: 1s, answer: 60s, request: 5s, idle: 60s }") as made:
        yield made


@pytest.fixture(name="visitor")
def make_visitor(front):
    with Visitor(front.address, front.port) as made:
        yield made


def nothing_came(front):
    """What reaches the app next is the next request: noah, which has one thread, has sent nothing else before it."""
    with front.visitor() as other:
        other.sendall(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        app, head = app_gets(front)
        assert head.startswith(b"GET /next HTTP/1.1\r\n") and read_until(other, b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
        app.close()


# ---- HTTP/1.1: bytes that varnishtest cannot send ------------------------------------------------------------------------

@pytest.mark.parametrize("head", [
    b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", b"GE\0T / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET / HTTP/1.1\0\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX: b\0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\0\r\n\r\nabc", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \x003\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \0chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\0: chunked\r\n\r\n0\r\n\r\n"])
def test_nul(front, head):
    with front.visitor() as visitor:
        visitor.sendall(head + EVIL)
        answer = read_all(visitor)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    nothing_came(front)


@pytest.mark.parametrize("body", [
    b"3;a\rb\r\nabc\r\n", b"3;a\nabc\r\n0\r\n\r\n", b"3;a\0\r\nabc\r\n", b"3\0\r\nabc\r\n", b"3\r\r\nabc\r\n",
    b"3\r\nabc\n\r\n0\r\n\r\n", b"3\r\nabc\r\r\n", b"3;" + b"x" * 5000, b"0\r\nX: \0\r\n\r\n", b"0\r\nX: " + b"y" * 9000])
@pytest.mark.parametrize("pieces", [1, 2])
def test_chunks_that_are_none(front, body, pieces):
    """The app may have seen their beginning; it never sees an end, and nothing behind it."""
    with front.visitor() as visitor:
        visitor.sendall(CHUNKED + body if pieces == 1 else CHUNKED)
        with front.accept() as app:
            got = b"" if pieces == 1 else read_until(app, b"\r\n\r\n")
            if pieces == 2:
                visitor.sendall(body)
            head, _, got = (got + read_all(app)).partition(b"\r\n\r\n")
        assert head.endswith(b"\r\nTransfer-Encoding: chunked")
        assert got in (b"", b"3", b"3\r\n", b"3\r\nabc", b"3\r\nabc\r", b"0", b"0\r\n"), got
        answer = read_all(visitor)
        assert answer.startswith(b"HTTP/1.1 4") and answer.count(b"HTTP/1.1 ") == 1
    nothing_came(front)


# ---- HTTP/2: what reaches the app ----------------------------------------------------------------------------------------

def test_what_only_a_proxy_may_say(front, visitor):
    stream = visitor.request(more=[
        ("x-forwarded-host", "evil"), ("x-forwarded-proto", "https"), ("x-forwarded-port", "443"), ("forwarded", "for=192.0.2.1"),
        ("x_forwarded_for", "192.0.2.1"), ("x_real_ip", "192.0.2.1"), ("content_length", "9"), ("transfer_encoding", "chunked"),
        ("proxy-authorization", "Basic eA=="), ("http2-settings", "AAMAAABkAAQAAP__"), ("trailer", "x-t"), ("via", "1.1 first"),
        ("authorization", "Basic eA==")])
    app, head = app_gets(front)
    assert visitor.answer(stream)[0] == 200
    address = visitor.socket.getsockname()[0].encode()
    assert head.split(b"\r\n") == [
        b"GET / HTTP/1.1", b"host: hostile.example", b"via: 1.1 first", b"authorization: Basic eA==", b"X-Forwarded-For: " + address,
        b"X-Forwarded-Proto: http", b"X-Real-IP: " + address, b"Via: 2.0 noah", b"X-Forwarded-Host: hostile.example", b"", b""]
    app.close()


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS", "POST", "OTHER"])
def test_a_body_that_looks_like_a_request(front, visitor, method):
    """It is framed, whatever the method, so that the app cannot take it for the next one."""
    stream = visitor.request(method=method, body=EVIL)
    app, head = app_gets(front, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", EVIL)
    assert head.endswith(b"\r\nContent-Length: %d\r\n\r\n" % len(EVIL) + EVIL) and b"ransfer-" not in head
    assert visitor.answer(stream)[0] == 200
    stream = visitor.request(path="/next")
    assert read_until(app, b"\r\n\r\n").startswith(b"GET /next "), "the connection is in order"
    app.sendall(OK)
    assert visitor.answer(stream)[0] == 200
    app.close()


def uploading(front, visitor, **more):
    """A request whose body of unknown length has begun: the stream, and the app's side."""
    stream = visitor.request(method="POST", end=False, **more)
    app, head = app_gets(front, b"")
    assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
    visitor.send(frame(h2.DATA, 0, stream, b"hello"))
    assert read_until(app, b"hello\r\n") == b"5\r\nhello\r\n"
    return stream, app


def test_data_that_looks_like_chunks(front, visitor):
    stream, app = uploading(front, visitor)
    data = b"0\r\n\r\n" + EVIL
    visitor.send(frame(h2.DATA, 0, stream, data))
    assert read_until(app, EVIL + b"\r\n") == b"%x\r\n" % len(data) + data + b"\r\n"
    visitor.send(frame(h2.DATA, h2.END_STREAM, stream, b""))
    assert read_until(app, b"0\r\n\r\n") == b"0\r\n\r\n"
    app.sendall(OK)
    assert visitor.answer(stream)[0] == 200
    app.close()


@pytest.mark.parametrize("trailers", [
    [("x-a", "b")], [("content-length", "5")], [("content-length", "0")], [("host", "evil")], [("x-forwarded-for", "192.0.2.1")],
    [("transfer-encoding", "chunked")], [("connection", "close")], [(":path", "/evil")], [("x-a", "b\r\nHost: evil")], [("X-A", "b")],
    [("", "b")]])
def test_trailers(front, visitor, trailers):
    """They end the body or the request, and are never seen."""
    stream, app = uploading(front, visitor)
    visitor.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, block(trailers)))
    app.settimeout(20)
    rest = app.recv(1000)
    if rest == b"":
        assert visitor.answer(stream) == ("reset", h2.PROTOCOL_ERROR)
    else:
        assert rest == b"0\r\n\r\n"
        app.sendall(OK)
        assert visitor.answer(stream)[0] == 200
    app.close()


def test_trailers_that_are_not_the_end(front, visitor):
    """RFC 9113 8.1."""
    stream, app = uploading(front, visitor)
    visitor.send(frame(h2.HEADERS, h2.END_HEADERS, stream, block([("x-a", "b")])))
    assert read_all(app) == b""
    app.close()
    assert visitor.answer(stream) == ("reset", h2.PROTOCOL_ERROR)


def test_an_upload_that_breaks_off(front):
    """A reset, an end of the connection: the app gets no last chunk."""
    for how in ("reset", "goaway", "closed", "cut"):
        with Visitor(front.address, front.port) as visitor:
            stream, app = uploading(front, visitor)
            if how == "reset":
                visitor.send(frame(h2.RST_STREAM, 0, stream, struct.pack("!I", h2.NO_ERROR)))
            elif how == "goaway":
                visitor.send(frame(h2.GOAWAY, 0, 0, struct.pack("!II", 0, 0)))
                visitor.socket.shutdown(socket.SHUT_WR)
            elif how == "closed":
                visitor.socket.shutdown(socket.SHUT_WR)
            else:
                visitor.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                visitor.socket.close()
            assert read_all(app) == b"", how
            app.close()
    nothing_came(front)


@pytest.mark.parametrize("kind,payload", [(h2.DATA, EVIL), (h2.HEADERS, block(request_fields("/evil")))])
def test_more_on_a_stream_that_has_ended(front, visitor, kind, payload):
    """RFC 9113 5.1, 5.4.1: it belongs to no request; the connection ends, and what is under way on it."""
    stream = visitor.request(method="POST", body=b"abc")
    app, head = app_gets(front, b"", b"abc")
    assert head.endswith(b"Content-Length: 3\r\n\r\nabc")
    visitor.send(frame(kind, h2.END_HEADERS | h2.END_STREAM if kind == h2.HEADERS else h2.END_STREAM, stream, payload))
    kind, code = visitor.answer(stream)
    assert kind in ("reset", "goaway") and code in (h2.PROTOCOL_ERROR, h2.STREAM_CLOSED)
    assert read_all(app) == b""
    app.close()
    nothing_came(front)


# ---- HTTP/2: what is answered here -----------------------------------------------------------------------------------------

@pytest.mark.parametrize("fields,status", [
    (request_fields(method="TRACE"), 405),
    (request_fields(method="OPTIONS", more=[("max-forwards", "0")]), 200),
    (request_fields(method="OPTIONS", more=[("max-forwards", "0"), ("max-forwards", "1")]), 400),
    (request_fields(method="OPTIONS", more=[("max-forwards", "-1")]), 400),
    (request_fields(more=[("via", ", ".join(["1.1 a"] * 9)), ("via", ", ".join(["2.0 b"] * 8))]), 508),
    (request_fields(method="POST", more=[("expect", "100-continue, more"), ("content-length", "0")]), 417),
])
def test_not_passed_on(front, visitor, fields, status):
    assert visitor.answer(visitor.request(fields))[0] == status
    nothing_came(front)


@pytest.mark.parametrize("ended", [True, False])
def test_an_own_answer_takes_the_body(front, visitor, ended):
    stream = visitor.request(method="POST", more=[("via", ", ".join(["1.1 a"] * 17))], body=EVIL, end=ended)
    assert visitor.answer(stream)[0] == 508
    second = visitor.request(path="/second")
    app, head = app_gets(front)
    assert head.startswith(b"GET /second ") and visitor.answer(second)[0] == 200
    app.close()


def test_max_forwards_counts(front, visitor):
    stream = visitor.request(method="OPTIONS", more=[("max-forwards", "5")])
    app, head = app_gets(front)
    assert b"\r\nMax-Forwards: 4\r\n" in head and head.lower().count(b"max-forwards") == 1
    assert visitor.answer(stream)[0] == 200
    app.close()


# ---- HTTP/2: what an app answers -------------------------------------------------------------------------------------------

@pytest.mark.parametrize("answer", [
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n", b"HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\n" * 17 + OK])
def test_bad_answers(front, visitor, answer):
    """502, and the app's connection is not used again."""
    stream = visitor.request()
    app, _ = app_gets(front, answer)
    assert visitor.answer(stream)[0] == 502
    assert read_all(app) == b""
    app.close()


def test_a_malformed_chunk_in_an_answer_that_has_begun(front, visitor):
    stream = visitor.request()
    app, _ = app_gets(front, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
    assert visitor.wait_for(h2.DATA, stream)[3] == b"hello"
    app.sendall(b"zz\r\n")
    assert visitor.answer(stream) == ("reset", h2.INTERNAL_ERROR)
    assert read_all(app) == b""
    app.close()


@pytest.mark.parametrize("method,answer,status", [
    ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 37\r\n\r\n" + OK, 200),
    ("HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200),
    ("GET", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", 204),
    ("GET", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 204),
    ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\nok", 304), ("GET", OK + OK, 200),
    ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + OK, 200)])
def test_more_than_was_asked_for(front, visitor, method, answer, status):
    """The rest is nobody's answer: the connection ends."""
    stream = visitor.request(method=method)
    app, _ = app_gets(front, answer)
    assert visitor.answer(stream) == (status, b"ok" if answer == OK + OK else b"")
    assert read_all(app) == b""
    app.close()
    stream = visitor.request(path="/next")
    app, head = app_gets(front, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright")
    assert head.startswith(b"GET /next ") and visitor.answer(stream) == (200, b"right")
    app.close()


def test_an_early_answer_ends_the_connection_to_the_app(front, visitor):
    """It still waits for the rest of a body: the next request would be that rest."""
    for more in ([], [("content-length", "50")], [("content-length", "50"), ("expect", "100-continue")]):
        stream = visitor.request(method="POST", end=False, more=more)
        app, _ = app_gets(front, b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno")
        assert visitor.answer(stream) == (403, b"no")
        second = visitor.request(path="/evil")
        other, head = app_gets(front)
        assert head.startswith(b"GET /evil ") and visitor.answer(second)[0] == 200
        assert read_all(app) in (b"", b"0\r\n\r\n")
        app.close()
        other.close()


def test_an_answer_whose_head_is_cut(front, visitor):
    stream = visitor.request(method="POST", body=b"abc")
    app, _ = app_gets(front, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", b"abc")
    app.close()
    assert visitor.answer(stream)[0] == 502
    nothing_came(front)


def test_continue(front, visitor):
    """100 comes from the app, then the body goes."""
    stream = visitor.request(method="POST", end=False, more=[("expect", "100-continue"), ("content-length", "5")])
    app, head = app_gets(front, b"HTTP/1.1 100 Continue\r\n\r\n")
    assert b"\r\nexpect: 100-continue\r\n" in head
    assert h2.status_of(visitor.wait_for(h2.HEADERS, stream)[3]) == 100
    visitor.send(frame(h2.DATA, h2.END_STREAM, stream, b"hello"))
    assert read_until(app, b"hello") == b"hello"
    app.sendall(OK)
    assert visitor.answer(stream) == (200, b"ok")
    app.close()


def test_expect_is_answered_with_a_final_status(front, visitor):
    """The body went with the head, but the app may not wait for it: then it is the next request on that connection."""
    stream = visitor.request(method="POST", more=[("expect", "100-continue")], body=EVIL)
    app, head = app_gets(front, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", EVIL)
    assert b"\r\nexpect: 100-continue\r\n" in head
    assert visitor.answer(stream)[0] == 403
    assert read_all(app) == b""
    app.close()
    nothing_came(front)


def test_fields_of_an_answer(front):
    """What Connection names is gone, what the answer needs is not; curl shows them."""
    command = ["curl", "--silent", "--http2-prior-knowledge", "--max-time", "20", "--include", f"http://{front.address}:{front.port}/"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as curl:
        app, _ = app_gets(front, b"HTTP/1.1 200 OK\r\nConnection: X-Own, Content-Length, Set-Cookie, keep-alive\r\nKeep-Alive: timeout=5\r\n"
                          b"X-Own: 1\r\nUpgrade: h2c\r\nProxy-Connection: close\r\nTrailer: x\r\nSet-Cookie: a=b\r\nX-Kept: 2\r\n"
                          b"Content-Length: 2\r\n\r\nok")
        answer = curl.communicate(timeout=30)[0].decode()
    app.close()
    head, _, body = answer.partition("\r\n\r\n")
    lines = head.split("\r\n")
    assert lines[0].startswith("HTTP/2 200") and body == "ok"
    assert [line for line in lines[1:] if not line.startswith("date: ")] == ["set-cookie: a=b", "x-kept: 2", "via: 1.1 noah", "content-length: 2"]
