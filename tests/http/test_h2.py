# SPDX-License-Identifier: BSD-2-Clause
"""HTTP/2, frame by frame: what a request over it becomes, what is refused, and what wears noah out. The app is played by the test."""
import socket
import struct

import h2_frames as h2
import pytest
from h2_frames import Visitor, block, frame, request_fields
from test_hostile import OK, Front, read_until


@pytest.fixture(name="front")
def make_front(tmp_path):
    with Front(tmp_path) as made:
        yield made


@pytest.fixture(name="visitor")
def make_visitor(front):
    with Visitor(front.address, front.port) as made:
        yield made


def app_gets(front, answer=OK, end=b"\r\n\r\n"):
    """The next request up to this end, as the app sees it; answered."""
    app = front.accept()
    head = read_until(app, end)
    app.sendall(answer)
    return app, head


def nothing_came(front):
    front.listener.settimeout(0.2)
    with pytest.raises(TimeoutError):
        front.accept()
    front.listener.settimeout(20)


# ---- what a request becomes ----------------------------------------------------------------------------------------------

def test_a_request_becomes_canonical(front, visitor):
    """Host from :authority, cookies joined, hop-by-hop and what only a proxy may say left out, everything else as it came."""
    stream = visitor.request(request_fields("/a%20b?c=d&e", more=[
        ("cookie", "a=1"), ("x-one", "1"), ("te", "trailers"), ("cookie", "b=2"), ("x-forwarded-for", "192.0.2.9"),
        ("x-real-ip", "192.0.2.9"), ("cookie", "c=3"), ("x_real_ip", "no"), ("empty", "")]))
    app, head = app_gets(front)
    assert visitor.answer(stream) == (200, b"ok")
    lines = head.decode().split("\r\n")
    assert lines[:5] == ["GET /a%20b?c=d&e HTTP/1.1", "host: hostile.example", "x-one: 1", "empty: ", "cookie: a=1; b=2; c=3"]
    assert lines[5:] == ["X-Forwarded-For: 192.0.2.9, 127.0.0." + lines[5].rsplit(".", 1)[1], "X-Forwarded-Proto: http",
                         f"X-Real-IP: {lines[5].rsplit(' ', 1)[1]}", "Via: 2.0 noah", "X-Forwarded-Host: hostile.example", "", ""]
    front.wait_for_log(r'"GET /a%20b\?c=d&e HTTP/2.0" 200 2 .*end=ok')
    app.close()


@pytest.mark.parametrize("fields,line", [
    (request_fields("*", "OPTIONS"), b"OPTIONS * HTTP/1.1\r\nhost: hostile.example\r\n"),
    ([(":method", "GET"), (":path", "/"), (":scheme", "https"), ("host", "hostile.example")],
     b"GET / HTTP/1.1\r\nhost: hostile.example\r\n"),
    (request_fields(more=[("host", "HOSTILE.example")]), b"GET / HTTP/1.1\r\nhost: hostile.example\r\nX-Forwarded-For"),
])
def test_forms_of_requests(front, visitor, fields, line):
    stream = visitor.request(fields)
    app, head = app_gets(front)
    assert visitor.answer(stream)[0] == 200
    assert head.startswith(line), head
    assert head.count(b"\r\nhost:") == 1
    assert b"X-Forwarded-Proto: http\r\n" in head, "what :scheme says is not believed"
    app.close()


def test_bodies(front, visitor):
    """A body that is here gets its length; one that is still coming without one is chunked; Content-Length stays."""
    stream = visitor.request(method="POST", body=b"hello")
    app, head = app_gets(front, OK, b"hello")
    assert head.endswith(b"\r\nContent-Length: 5\r\n\r\nhello")
    assert visitor.answer(stream)[0] == 200

    stream = visitor.request(method="POST", end=False)
    head = read_until(app, b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n\r\n" in head and b"ontent-" not in head
    visitor.send(frame(h2.DATA, 0, stream, b"hello"))
    assert read_until(app, b"hello\r\n") == b"5\r\nhello\r\n"
    visitor.send(frame(h2.DATA, h2.PADDED, stream, b"\3you\0\0\0"))
    assert read_until(app, b"you\r\n") == b"3\r\nyou\r\n"
    visitor.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, block([("x-trailer", "1")])))
    assert read_until(app, b"0\r\n\r\n") == b"0\r\n\r\n", "trailers go nowhere"
    app.sendall(OK)
    assert visitor.answer(stream)[0] == 200

    stream = visitor.request(method="PUT", more=[("content-length", "6")], end=False)
    head = read_until(app, b"\r\n\r\n")
    assert b"\r\nContent-Length: 6\r\n\r\n" in head
    visitor.send(frame(h2.DATA, 0, stream, b"abc") + frame(h2.DATA, h2.END_STREAM, stream, b"def"))
    assert read_until(app, b"def") == b"abcdef"
    app.sendall(OK)
    assert visitor.answer(stream)[0] == 200

    stream = visitor.request(method="POST")
    head = read_until(app, b"\r\n\r\n")
    assert b"\r\nContent-Length: 0\r\n\r\n" in head
    app.sendall(OK)
    assert visitor.answer(stream)[0] == 200
    app.close()


ANSWERS = [
    (b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", "GET", 204, b""),
    (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "GET", 304, b""),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "HEAD", 200, b""),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX: y\r\n\r\n", "GET", 200, b"abcde"),
    (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", "GET", 200, b"until the end"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Created\r\nConnection: x-b\r\nX-B: c\r\nContent-Length: 1\r\n\r\nz", "GET",
     201, b"z"),
    (b"HTTP/1.1 599 \r\nContent-Length: 0\r\n\r\n", "GET", 599, b""),
]


@pytest.mark.parametrize("answer,method,status,body", ANSWERS)
def test_answers(front, visitor, answer, method, status, body):
    stream = visitor.request(method=method)
    app, _ = app_gets(front, answer)
    app.close()
    assert visitor.answer(stream) == (status, body)


def test_an_answer_that_is_cut_is_reset(front, visitor):
    """So that nobody takes it for the whole."""
    for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"):
        stream = visitor.request()
        app, _ = app_gets(front, answer)
        app.close()
        assert visitor.answer(stream) == ("reset", h2.INTERNAL_ERROR)
    front.wait_for_log("end=answer-cut")


def test_an_early_answer_ends_the_upload(front, visitor):
    stream = visitor.request(method="POST", end=False)
    app, _ = app_gets(front)
    assert visitor.answer(stream) == (200, b"ok")
    assert visitor.wait_for(h2.RST_STREAM, stream)[3] == struct.pack("!I", h2.NO_ERROR)
    visitor.send(frame(h2.DATA, h2.END_STREAM, stream, b"late"))
    app.close()
    second = visitor.request()
    app, _ = app_gets(front)
    assert visitor.answer(second)[0] == 200
    app.close()


# ---- what is refused ------------------------------------------------------------------------------------------------------

SMUGGLED = "x\r\nHost: evil\r\n\r\nGET /evil HTTP/1.1"
HTTP2_ONLY = [(":method", "GET"), (":scheme", "http"), (":path", "/")]
REFUSED = {
    "line end in a value": request_fields(more=[("x-a", SMUGGLED)]),
    "LF in a value": request_fields(more=[("x-a", "b\nx-c: d")]),
    "CR in a value": request_fields(more=[("x-a", "b\rc")]),
    "NUL in a value": request_fields(more=[("x-a", "b\0c")]),
    "control byte in a value": request_fields(more=[("x-a", "b\x01c")]),
    "blank before a value": request_fields(more=[("x-a", " b")]),
    "blank behind a value": request_fields(more=[("x-a", "b\t")]),
    "line end in a name": request_fields(more=[("x-a: b\r\nx-c", "d")]),
    "colon in a name": request_fields(more=[("x-a:b", "c")]),
    "blank in a name": request_fields(more=[("x-a ", "c")]),
    "empty name": request_fields(more=[("", "c")]),
    "upper case in a name": request_fields(more=[("X-A", "b")]),
    "upper case framing": request_fields(more=[("Transfer-Encoding", "chunked")]),
    "byte over 127 in a name": request_fields(more=[("x-\xe4", "b")]),
    "line end in the path": request_fields("/ HTTP/1.1\r\nHost: evil\r\n\r\nGET /evil"),
    "blank in the path": request_fields("/ HTTP/1.1 x"),
    "version in the path": request_fields("/a HTTP/1.1"),
    "fragment in the path": request_fields("/a#b"),
    "empty path": request_fields(""),
    "path without a slash": request_fields("a"),
    "path with a host": request_fields("http://evil/"),
    "path of a proxy": request_fields("//evil\\@/ x"),
    "asterisk": request_fields("*"),
    "line end in the method": request_fields(method="GET / HTTP/1.1\r\nHost: evil\r\n\r\nGET"),
    "blank in the method": request_fields(method="GET /evil"),
    "empty method": request_fields(method=""),
    "no method": [(":scheme", "http"), (":authority", "hostile.example"), (":path", "/")],
    "no path": [(":method", "GET"), (":scheme", "http"), (":authority", "hostile.example")],
    "no scheme": [(":method", "GET"), (":path", "/"), (":authority", "hostile.example")],
    "another scheme": request_fields(scheme="ftp"),
    "no host": HTTP2_ONLY,
    "two methods": [(":method", "POST"), *request_fields()],
    "two paths": request_fields(more=[]) + [(":path", "/evil")],
    "two authorities": [(":authority", "evil"), *request_fields()],
    "pseudo-header behind a field": [*HTTP2_ONLY, ("x-a", "b"), (":authority", "hostile.example")],
    "unknown pseudo-header": [*request_fields(), (":evil", "x")],
    "pseudo-header of an answer": [*request_fields(), (":status", "200")],
    "extended CONNECT": [(":method", "CONNECT"), (":protocol", "websocket"), *request_fields()[1:]],
    "CONNECT with a path": request_fields(method="CONNECT"),
    "another Host": request_fields(more=[("host", "evil")]),
    "two Hosts": [*HTTP2_ONLY, ("host", "hostile.example"), ("host", "hostile.example")],
    "Host with a port": request_fields(more=[("host", "hostile.example:81")]),
    "user in the authority": request_fields(authority="user@hostile.example"),
    "line end in the authority": request_fields(authority="hostile.example\r\nx-a: b"),
    "blank in the authority": request_fields(authority="hostile.example x"),
    "path in the authority": request_fields(authority="hostile.example/x"),
    "Connection": request_fields(more=[("connection", "close")]),
    "Connection that names": request_fields(more=[("connection", "host"), ("x", "y")]),
    "Keep-Alive": request_fields(more=[("keep-alive", "1")]),
    "Proxy-Connection": request_fields(more=[("proxy-connection", "close")]),
    "Upgrade": request_fields(more=[("upgrade", "websocket")]),
    "h2c": request_fields(more=[("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")]),
    "Transfer-Encoding": request_fields(method="POST", more=[("transfer-encoding", "chunked")]),
    "Transfer-Encoding and length": request_fields(method="POST", more=[("content-length", "3"), ("transfer-encoding", "chunked")]),
    "TE": request_fields(more=[("te", "gzip")]),
    "TE with more": request_fields(more=[("te", "trailers, chunked")]),
    "two lengths": request_fields(method="POST", more=[("content-length", "0"), ("content-length", "0")]),
    "list of lengths": request_fields(method="POST", more=[("content-length", "0, 0")]),
    "signed length": request_fields(method="POST", more=[("content-length", "+0")]),
    "empty length": request_fields(method="POST", more=[("content-length", "")]),
    "too large a length": request_fields(method="POST", more=[("content-length", "18446744073709551616")]),
    "length without a body": request_fields(method="POST", more=[("content-length", "5")]),
    "unknown expectation": request_fields(method="POST", more=[("expect", "200-maybe")]),
    "129 fields": request_fields(more=[(f"x-{i}", "1") for i in range(129)]),
}


@pytest.mark.parametrize("fields", REFUSED.values(), ids=REFUSED.keys())
def test_refused(front, visitor, fields):
    """Malformed (RFC 9113 8.1.1), or with two readings in HTTP/1.1: a 4xx or a reset, and no byte of it reaches the app; the connection's
    other streams go on."""
    answer = visitor.answer(visitor.request(fields))
    assert answer == ("reset", h2.PROTOCOL_ERROR) or 400 <= answer[0] < 500, answer
    stream = visitor.request(path="/good")
    app, head = app_gets(front)
    assert head.startswith(b"GET /good HTTP/1.1\r\nhost: hostile.example\r\nX-Forwarded-For") and b"evil" not in head
    assert visitor.answer(stream)[0] == 200
    app.close()
    front.wait_for_log(r'"[^"]*" 4\d\d .*end=(bad-request|refused-method)')


def test_connect_is_refused(front, visitor):
    assert visitor.answer(visitor.request([(":method", "CONNECT"), (":authority", "hostile.example:80")]))[0] == 405
    nothing_came(front)


@pytest.mark.parametrize("said,sent,end", [("5", b"abc", True), ("2", b"abc", True), ("2", b"abc", False), ("0", b"a", True)])
def test_length_against_data(front, visitor, said, sent, end):
    """RFC 9113 8.1.1: what the app is told and what it gets are the same, or it gets nothing."""
    stream = visitor.request(method="POST", more=[("content-length", said)], body=sent, end=end)
    assert visitor.answer(stream) == ("reset", h2.PROTOCOL_ERROR)
    nothing_came(front)


def test_length_against_data_later(front, visitor):
    """The head has gone to the app already: its connection is cut, not continued by anything."""
    stream = visitor.request(method="POST", more=[("content-length", "5")], end=False)
    app, head = app_gets(front, b"")
    assert b"Content-Length: 5\r\n\r\n" in head
    visitor.send(frame(h2.DATA, h2.END_STREAM, stream, b"abc"))
    assert visitor.answer(stream) == ("reset", h2.PROTOCOL_ERROR)
    rest = b""
    while piece := app.recv(100):
        rest += piece
    assert b"abc".startswith(rest)
    app.close()
    second = visitor.request(path="/second")
    app, head = app_gets(front)
    assert head.startswith(b"GET /second ")
    assert visitor.answer(second)[0] == 200
    app.close()


def test_head_too_large(front, visitor):
    stream = visitor.request(more=[("x-a", "a" * 9000)])
    app, head = app_gets(front)
    assert b"x-a: " + b"a" * 9000 + b"\r\n" in head
    assert visitor.answer(stream)[0] == 200
    app.close()
    big = block(request_fields(more=[(f"x-{i}", "a" * 4000) for i in range(5)]))
    stream, visitor.next_stream = visitor.next_stream, visitor.next_stream + 2
    visitor.send(frame(h2.HEADERS, h2.END_STREAM, stream, big[:16384]) + frame(h2.CONTINUATION, h2.END_HEADERS, stream, big[16384:]))
    assert visitor.answer(stream)[0] == 431
    front.wait_for_log(r'" 431 .*end=bad-request cause="the head is too large"')


def test_http1_is_not_mistaken(front):
    """PRI is HTTP/2 only as a whole preface; in pieces too."""
    with socket.create_connection((front.address, front.port), 20) as other:
        other.sendall(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n")
        assert other.recv(100).startswith(b"HTTP/1.1 505 ") or other.recv(100).startswith(b"HTTP/1.1 400 ")
    with socket.create_connection((front.address, front.port), 20) as other:
        other.sendall(b"PRI")
        other.sendall(h2.PREFACE[3:20])
        other.sendall(h2.PREFACE[20:] + frame(h2.SETTINGS))
        assert other.recv(9)[3] == h2.SETTINGS


def test_push_and_other_nonsense_end_the_connection(front):
    for bad in (frame(h2.PUSH_PROMISE, h2.END_HEADERS, 1, b"\0\0\0\2" + block(request_fields())), frame(h2.DATA, 0, 1, b"x"),
                frame(h2.HEADERS, h2.END_HEADERS, 2, block(request_fields())), frame(h2.HEADERS, h2.END_HEADERS, 0, b""),
                frame(h2.SETTINGS, 0, 0, b"abc"), frame(h2.PING, 0, 0, b"short"), frame(h2.CONTINUATION, h2.END_HEADERS, 1, b""),
                frame(h2.DATA, 0, 1, b"", length=20000), frame(h2.HEADERS, h2.END_HEADERS, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
                frame(h2.SETTINGS, 0, 0, struct.pack("!HI", h2.INITIAL_WINDOW_SIZE, 1 << 31)),
                frame(h2.WINDOW_UPDATE, 0, 0, struct.pack("!I", 0x7fffffff)) * 2, frame(h2.WINDOW_UPDATE, 0, 0, b"\0\0\0\0")):
        with Visitor(front.address, front.port) as visitor:
            visitor.send(bad)
            assert visitor.goaway() != h2.NO_ERROR, bad[:20]
    nothing_came(front)


# ---- what wears noah out ---------------------------------------------------------------------------------------------------

def calm(front, visitor, why):
    assert visitor.goaway() == h2.ENHANCE_YOUR_CALM
    front.noah.wait_for_log(why)


def test_rapid_reset(front, visitor):
    """CVE-2023-44487."""
    for stream in range(1, 1001, 2):
        visitor.send_all_that_goes(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, stream, block(request_fields())) +
                                   frame(h2.RST_STREAM, 0, stream, struct.pack("!I", h2.CANCEL)))
    calm(front, visitor, "too many requests were cancelled")


def test_made_you_reset(front, visitor):
    """CVE-2025-8671: frames that make noah reset streams itself, here a window that grows too large."""
    for stream in range(1, 1001, 2):
        visitor.send_all_that_goes(frame(h2.HEADERS, h2.END_HEADERS, stream, block(request_fields(method="POST"))) +
                                   frame(h2.WINDOW_UPDATE, 0, stream, struct.pack("!I", 0x7fffffff)))
    calm(front, visitor, "had to be reset")


@pytest.mark.parametrize("kind,payload,why", [
    (h2.PING, b"12345678", "PING or SETTINGS"), (h2.SETTINGS, b"", "PING or SETTINGS"), (h2.WINDOW_UPDATE, b"\0\0\0\1", "small steps")])
def test_floods(front, visitor, kind, payload, why):
    visitor.send_all_that_goes(frame(kind, 0, 0, payload) * 20000)
    calm(front, visitor, why)


def test_frames_that_nobody_reads(front, visitor):
    """Unknown types and priorities are passed over, as long as it is not thousands of them."""
    visitor.send(frame(0x42, 0, 0, b"x") * 400 + frame(h2.PRIORITY, 0, 5, b"\0\0\0\0\0") * 400)
    stream = visitor.request()
    app, _ = app_gets(front)
    assert visitor.answer(stream)[0] == 200
    app.close()


@pytest.mark.parametrize("flood", [
    frame(0x42, 0, 0, b"x"), frame(0x42), frame(h2.PRIORITY, 0, 5, b"\0\0\0\0\0"),
    frame(h2.WINDOW_UPDATE, 0, 1, struct.pack("!I", 1000)), frame(h2.DATA, h2.PADDED, 1, b"\0")],
    ids=["unknown", "unknown and empty", "priority", "window of a stream that is over", "data of a stream that is over"])
def test_floods_of_frames_that_are_passed_over(front, visitor, flood):
    """nghttp2 says nothing of them."""
    stream = visitor.request()
    app, _ = app_gets(front)
    assert visitor.answer(stream)[0] == 200
    app.close()
    visitor.send_all_that_goes(flood * 20000)
    calm(front, visitor, "mean nothing here")


@pytest.mark.parametrize("data", [frame(h2.DATA, 0, 1), frame(h2.DATA, h2.PADDED, 1, b"\0"),
                                  frame(h2.DATA, h2.PADDED, 1, b"\2\0\0")], ids=["empty", "no padding", "padding"])
def test_empty_data(front, visitor, data):
    visitor.request(method="POST", end=False)
    visitor.send_all_that_goes(data * 20000)
    calm(front, visitor, "empty DATA")


def test_continuation_without_end(front, visitor):
    visitor.send(frame(h2.HEADERS, 0, 1, block(request_fields())))
    visitor.send_all_that_goes(frame(h2.CONTINUATION, 0, 1, block([("x-a", "b" * 100)])) * 5000)
    assert visitor.goaway() in (h2.ENHANCE_YOUR_CALM, h2.PROTOCOL_ERROR, h2.INTERNAL_ERROR)
    nothing_came(front)


def test_header_bomb(front, visitor):
    """One field of 4,000 bytes in the table, and then 16,000 references to it in one frame: 64 MB."""
    bomb = block(request_fields()) + b"\x40" + h2.text("x-bomb") + h2.text("b" * 4000) + b"\xbe" * 12000
    visitor.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 1, bomb))
    calm(front, visitor, "unpacks to far more")
    nothing_came(front)


def test_a_head_that_does_not_come(front, visitor):
    """The request timeout (here 2 s) holds for a head in pieces."""
    visitor.send(frame(h2.HEADERS, 0, 1, block(request_fields())))
    calm(front, visitor, "within the request timeout")


def test_more_streams_than_allowed(front, visitor):
    """128 at once; others are refused and may be sent again (RFC 9113 8.7)."""
    for _ in range(140):
        visitor.request(path="/slow")
    refused = set()
    while len(refused) < 12:
        kind, _, stream, payload = visitor.wait_for(h2.RST_STREAM)
        assert payload == struct.pack("!I", h2.REFUSED_STREAM)
        refused.add(stream)
    assert refused == set(range(257, 281, 2))
    apps = [front.accept() for _ in range(64)]  # the listener's backlog
    for app in apps:
        app.close()


def test_cancelled_requests_leave_the_app(front, visitor):
    stream = visitor.request()
    app, _ = app_gets(front, b"")
    visitor.send(frame(h2.RST_STREAM, 0, stream, struct.pack("!I", h2.CANCEL)))
    assert app.recv(10) == b""
    app.close()
    front.wait_for_log("end=visitor-gone")
