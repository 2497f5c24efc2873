# SPDX-License-Identifier: BSD-2-Clause
"""Slow visitors are slow at noah and not at the app: bodies wait until they are whole, answers until they are taken; who is slower than the
least rate is cut off, and who is only slow is not. The app is played by the test, or serves everybody at once."""
import contextlib
import hashlib
import random
import re
import socket
import struct
import subprocess
import threading
import time

import h2_frames as h2
import pytest
from h2_frames import Visitor, frame
from support.acceptor import Acceptor
from support.noah import wait_for
from test_hostile import OK, Front, read_all, read_until

DEFAULT = "{ request: 1m, answer: 1m }"
# The kernel takes megabytes for a visitor too (tcp_wmem): only what is larger shows what noah does.
LARGE = "{ request: 8m, answer: 8m }"
BEYOND_KERNEL = 6 << 20
ONE = 1  # connection to the app: whoever held it would hold up everybody else


@pytest.fixture(name="front")
def make_front(tmp_path):
    with Front(tmp_path, connections=ONE, buffer=DEFAULT) as made:
        yield made


@pytest.fixture(name="large")
def make_large(tmp_path):
    with Front(tmp_path, connections=ONE, buffer=LARGE) as made:
        yield made


def some_bytes(size):
    return random.Random(size).randbytes(size)


def post(path="/slow", length=None, more=""):
    framing = "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: a\r\n{framing}\r\n{more}\r\n".encode()


def get(path="/"):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()


def is_served(front, app=None):
    """Somebody else has the app for himself meanwhile. Returns the app's side of the connection."""
    with front.visitor() as other:
        other.sendall(get("/other"))
        app = app or front.accept()
        assert read_until(app, b"\r\n\r\n").startswith(b"GET /other ")
        app.sendall(OK)
        read_until(other, b"\r\n\r\nok")
    return app


def head_and_body(app, size):
    got = read_until_has(app, b"\r\n\r\n")
    head, _, body = got.partition(b"\r\n\r\n")
    while len(body) < size:
        piece = app.recv(65536)
        assert piece
        body += piece
    return head + b"\r\n", body


def read_until_has(connection, words):
    got = b""
    while words not in got:
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


# ---- bodies ----------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("size", [10, 5000, 100000, 1 << 20])
def test_a_body_waits_until_it_is_whole(front, size):
    body = some_bytes(size)
    with front.visitor() as slow:
        slow.sendall(post(length=size) + body[:size // 2])
        with is_served(front) as app:
            slow.sendall(body[size // 2:])
            head, got = head_and_body(app, size)
            assert head.startswith(b"POST /slow ") and f"\r\nContent-Length: {size}\r\n".encode() in head
            assert got == body
            app.sendall(OK)
            read_until(slow, b"\r\n\r\nok")
            slow.sendall(get("/next"))  # the connection goes on
            assert read_until(app, b"\r\n\r\n").startswith(b"GET /next ")
            app.sendall(OK)
            read_until(slow, b"\r\n\r\nok")


def test_a_chunked_body_waits_until_it_is_whole(front):
    with front.visitor() as slow:
        slow.sendall(post() + b"5\r\nhello\r\n7;x=y\r\n the")
        with is_served(front) as app:
            slow.sendall(b"re!\r\n0\r\nTrailer: no\r\n\r\n")
            got = read_until(app, b"\r\n0\r\n\r\n")
            assert got.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\n there!\r\n0\r\n\r\n")
            app.sendall(OK)
            read_until(slow, b"\r\n\r\nok")


def test_requests_behind_a_held_body(front):
    """What follows it on the connection is the next request, and not a part of it."""
    with front.visitor() as slow:
        slow.sendall(post(length=20000) + bytes(10000))
        with is_served(front) as app:
            slow.sendall(bytes(10000) + get("/second"))
            assert head_and_body(app, 20000)[1] == bytes(20000)
            app.sendall(OK)
            assert read_until(app, b"\r\n\r\n").startswith(b"GET /second ")
            app.sendall(OK)
            read_until(slow, b"\r\n\r\nok")


def test_noah_invites_the_body(front):
    """Expect: 100-continue is met by noah; the app is not asked."""
    with front.visitor() as slow:
        slow.sendall(post(length=5, more="Expect: 100-continue\r\n"))
        assert read_until(slow, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        slow.sendall(b"hel")
        with is_served(front) as app:
            slow.sendall(b"lo")
            head, body = head_and_body(app, 5)
            assert body == b"hello" and b"xpect" not in head
            app.sendall(OK)
            assert read_until(slow, b"ok").startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_over_the_buffer_goes_on_as_it_comes(tmp_path):
    size, body = 300000, some_bytes(300000)
    with Front(tmp_path, buffer="{ request: 64k }", connections=ONE) as front, front.visitor() as slow:
        slow.sendall(post(length=size) + body[:65535])
        with is_served(front) as app:  # not before there is as much as the buffer holds
            slow.sendall(body[65535:65536])
            head, got = head_and_body(app, 65536)
            assert head.startswith(b"POST /slow ") and got == body[:65536]
            slow.sendall(body[65536:70000])
            got = b""
            while len(got) < 70000 - 65536:
                got += app.recv(65536)
            assert got == body[65536:70000]
            sender = threading.Thread(target=slow.sendall, args=(body[70000:],))
            sender.start()
            while len(got) < size - 65536:
                piece = app.recv(65536)
                assert piece
                got += piece
            sender.join()
            assert got == body[65536:]
            app.sendall(OK)
            read_until(slow, b"\r\n\r\nok")


def test_a_held_body_can_be_sent_again(front):
    """A kept connection that ends under a PUT costs nothing: the body is still there."""
    body = some_bytes(200000)
    with front.visitor() as visitor:
        app = front.kept_connection(visitor)
        visitor.sendall(post(length=len(body)).replace(b"POST", b"PUT") + body)
        app.recv(1000)
        app.close()
        with front.accept() as app:
            head, got = head_and_body(app, len(body))
            assert head.startswith(b"PUT ") and got == body
            app.sendall(OK)
            read_until(visitor, b"\r\n\r\nok")


def test_a_post_is_not_sent_again(front):
    body = some_bytes(200000)
    with front.visitor() as visitor:
        app = front.kept_connection(visitor)
        visitor.sendall(post(length=len(body)) + body)
        read_until_has(app, b"\r\n\r\n")
        app.close()
        assert read_all(visitor).startswith(b"HTTP/1.1 502 ")


def test_an_answer_before_the_held_body_is_taken(large):
    front, body = large, some_bytes(BEYOND_KERNEL)
    front.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with front.visitor() as visitor:
        visitor.sendall(post(length=len(body)) + body)
        with front.accept() as app:
            app.recv(1000)
            app.sendall(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
            assert read_until(visitor, b"\r\n\r\nno").startswith(b"HTTP/1.1 413 No\r\n")
            app.settimeout(10)
            with contextlib.suppress(ConnectionResetError):
                while app.recv(65536):
                    pass  # noah does not keep a connection on which a body has not ended


def test_a_held_body_that_is_not_whole_reaches_no_app(front):
    with front.visitor() as visitor:
        visitor.sendall(post(length=20000) + bytes(9000))
    front.wait_for_log(r'"POST /slow HTTP/1.1" 000 .*end=request-cut')
    with front.visitor() as visitor:
        visitor.sendall(post() + b"5\r\nhello\r\nzz\r\n")
        assert read_all(visitor).startswith(b"HTTP/1.1 400 ")
    is_served(front).close()


def test_held_over_http2(front):
    body = some_bytes(150000)
    with Visitor(front.address, front.port, timeout=20) as visitor:
        visitor.wait_for(h2.SETTINGS)
        visitor.send(frame(h2.SETTINGS, h2.ACK))
        stream = visitor.request(method="POST", more=[("content-length", str(len(body)))], end=False)
        visitor.send(frame(h2.DATA, 0, stream, body[:5000]))
        with is_served(front) as app:
            sender = threading.Thread(target=send_body_frames, args=(visitor, stream, body, 5000))
            sender.start()
            head, got = head_and_body(app, len(body))
            sender.join()
            assert head.startswith(b"POST / ") and got == body
            app.sendall(OK)
            assert visitor.answer(stream) == (200, b"ok")


def send_body_frames(visitor, stream, body, at):
    """As far as the windows let it, which open meanwhile."""
    windows = {0: 65535 - at, stream: 8192 - at}
    while at < len(body):
        while min(windows.values()) <= 0:
            kind, _, of, payload = visitor.frame()
            if kind == h2.WINDOW_UPDATE and of in windows:
                windows[of] += struct.unpack("!I", payload)[0]
        size = min(4096, len(body) - at, *windows.values())
        visitor.send(frame(h2.DATA, h2.END_STREAM if at + size == len(body) else 0, stream, body[at:at + size]))
        windows = {key: value - size for key, value in windows.items()}
        at += size


# ---- answers ---------------------------------------------------------------------------------------------------------------

def small_windows(front):
    """A visitor whose kernel takes little for him."""
    visitor = socket.socket()
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    visitor.settimeout(20)
    visitor.connect((front.address, front.port))
    return visitor


def answer_of(size, chunked=False):
    body = some_bytes(size)
    if chunked:
        return body, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (size, body)
    return body, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (size, body)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_waits_for_a_slow_visitor_not_its_app(large, chunked):
    front = large
    body, answer = answer_of(BEYOND_KERNEL, chunked)
    with small_windows(front) as slow:
        slow.sendall(get("/slow"))
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            app.sendall(answer)
            is_served(front, app)  # on the same connection, which is the only one that may be
        got = read_until(slow, body[-20:] + (b"\r\n0\r\n\r\n" if chunked else b""))
        assert body in got if chunked else got.partition(b"\r\n\r\n")[2] == body
    front.wait_for_log(r'"GET /slow HTTP/1.1" 200 .*end=ok')


def test_an_answer_waits_over_http2(front):
    body, answer = answer_of(700000)
    with Visitor(front.address, front.port, timeout=20) as visitor:
        stream = visitor.request(path="/slow")
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            app.sendall(answer)  # his window is 65,535 bytes
            is_served(front, app)
        visitor.send(frame(h2.WINDOW_UPDATE, 0, 0, struct.pack("!I", 1 << 20)) +
                     frame(h2.WINDOW_UPDATE, 0, stream, struct.pack("!I", 1 << 20)))
        assert visitor.answer(stream) == (200, body)


def test_more_than_the_buffer_makes_the_app_wait(tmp_path):
    body, answer = answer_of(20 << 20)
    with Front(tmp_path, buffer="{ answer: 64k }") as front, small_windows(front) as slow:
        slow.sendall(get("/slow"))
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            app.settimeout(1)
            with pytest.raises(TimeoutError):
                app.sendall(answer)
    # And one that is read on is whole.
    with Front(tmp_path, buffer="{ answer: 64k }") as front, small_windows(front) as slow:
        slow.sendall(get("/slow"))
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            sender = threading.Thread(target=app.sendall, args=(answer,))
            sender.start()
            got = read_until_has(slow, b"\r\n\r\n").partition(b"\r\n\r\n")[2]
            digest, size = hashlib.sha256(got), len(got)
            while size < len(body):
                piece = slow.recv(65536)
                digest.update(piece)
                size += len(piece)
            sender.join()
            assert digest.digest() == hashlib.sha256(body).digest()


def test_nothing_is_delayed(front):
    """Whoever takes what comes gets each piece when it comes: an event, not a buffer full of them."""
    with front.visitor() as visitor:
        visitor.sendall(get("/events"))
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            app.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            read_until(visitor, b"\r\n\r\n")
            for number in range(5):
                event = b"data: %d\n\n" % number
                app.sendall(b"%x\r\n%s\r\n" % (len(event), event))
                read_until(visitor, event + b"\r\n")


def test_a_visitor_who_leaves_while_his_answer_waits(large):
    front = large
    _, answer = answer_of(BEYOND_KERNEL)
    slow = small_windows(front)
    slow.sendall(get("/slow"))
    with front.accept() as app:
        read_until(app, b"\r\n\r\n")
        app.sendall(answer)
        is_served(front, app)
        slow.close()
        front.wait_for_log(r'"GET /slow HTTP/1.1" 200 .*end=visitor-gone')
        is_served(front, app)


# ---- too slow --------------------------------------------------------------------------------------------------------------

PAGE = 16 << 20


def test_who_is_too_slow_and_who_is_not(tmp_path):
    """All at once, because it takes as long as it takes: 10 s of grace."""
    with Front(tmp_path, "{ connect: 1s, answer: 60s, request: 30s, idle: 30s }", buffer=DEFAULT,
               more="    minimum_rate: 4k\n    body: 1g") as front, contextlib.ExitStack() as open_ones:
        stop, results = threading.Event(), {}
        app = open_ones.enter_context(Acceptor(front.app_address, page_server(PAGE), front.take_over_port()))
        assert app

        def drip():
            with front.visitor() as visitor:
                visitor.settimeout(0.5)
                visitor.sendall(post("/drip", 100000))
                results["drip"] = drips(visitor, lambda: visitor.sendall(b"x" * 500), stop)

        def sip():
            with small_windows(front) as visitor:
                visitor.sendall(get("/sip"))
                results["sip"] = drips(visitor, lambda: visitor.recv(1), stop)

        def drink():
            """Slow, but above the rate: about 10 KB a second."""
            with small_windows(front) as visitor:
                visitor.sendall(get("/drink"))
                deadline, size = time.monotonic() + 14, 0
                while time.monotonic() < deadline:
                    size += len(visitor.recv(1024))
                    time.sleep(0.08)
                while size < PAGE and (piece := visitor.recv(65536)):
                    size += len(piece)
                results["drink"] = size

        def http2():
            with Visitor(front.address, front.port, timeout=60) as visitor:
                streams = [visitor.request(path="/window"), visitor.request(method="POST", end=False)]
                results["http2"] = [visitor.wait_for(h2.RST_STREAM, streams[0]) is not None, True]

        threads = [threading.Thread(target=each) for each in (drip, sip, drink, http2)]
        sipper = threads[1]  # what his kernel had before the reset, he could sip for an hour
        for thread in threads:
            thread.start()
        for thread in threads:
            if thread is not sipper:
                thread.join(60)
        assert results["drip"].startswith(b"HTTP/1.1 408 "), results["drip"]
        front.wait_for_log(r'"POST /drip HTTP/1.1" 408 .*end=request-slow cause="\d+ bytes of the body came in 1\d s; at least 4096')
        front.wait_for_log(r'"GET /sip HTTP/1.1" 200 .*end=visitor-slow cause="he took \d+ bytes in 1\d s; at least 4096')
        stop.set()
        sipper.join(60)
        front.wait_for_log(r'"GET /window HTTP/2.0" 200 .*end=visitor-slow')
        front.wait_for_log(r'"POST / HTTP/2.0" 408 .*end=request-slow')
        assert results["drink"] >= PAGE
        assert all(results["http2"])


def test_a_long_upload_is_not_cut_off(tmp_path):
    """1 GB at 1 Mbit/s, to scale: twice the least rate and far over what is held, for longer than the grace and several times each
    timeout. All of it arrives, over HTTP/1 with and without a length, and over HTTP/2."""
    pace, piece_s, pieces = 131072, 0.1, 140
    body = some_bytes(int(pace * piece_s) * pieces)
    pieces_of_it = [body[at:at + len(body) // pieces] for at in range(0, len(body), len(body) // pieces)]
    arrived, answers, began = [], {}, time.monotonic()

    def serve(connection):
        """Takes one body, in either framing, and says how it looked when it had all."""
        with connection, contextlib.suppress(OSError), connection.makefile("rb") as stream:
            while line := stream.readline():
                length, got = None, b""
                while (line := stream.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                if length is None:
                    while size := int(stream.readline() or b"0", 16):
                        got += stream.read(size)
                        stream.readline()
                    stream.readline()
                else:
                    got = stream.read(length)
                arrived.append(got)
                connection.sendall(OK)

    def send_slowly(send):
        for number, piece in enumerate(pieces_of_it):
            wait_s = began + number * piece_s - time.monotonic()
            if wait_s > 0:
                time.sleep(wait_s)
            send(number, piece)

    def over_http1(name, head, wrap):
        with front.visitor() as visitor:
            visitor.settimeout(30)
            visitor.sendall(head)
            send_slowly(lambda number, piece: visitor.sendall(wrap(number, piece)))
            answers[name] = read_until_has(visitor, b"\r\n\r\nok")

    def over_http2():
        with Visitor(front.address, front.port, timeout=30) as visitor:
            stream = visitor.request(method="POST", path="/h2", end=False)
            windows = {0: 65535, stream: 65535}

            def listen():
                kind, _, number, payload = visitor.frame()
                if kind == h2.WINDOW_UPDATE:
                    windows[number] += struct.unpack("!I", payload)[0]
                elif kind == h2.SETTINGS and payload:
                    for key, value in struct.iter_unpack("!HI", payload):
                        windows[stream] += value - 65535 if key == h2.INITIAL_WINDOW_SIZE else 0
                    visitor.send(frame(h2.SETTINGS, h2.ACK, 0, b""))
                assert kind in (h2.WINDOW_UPDATE, h2.SETTINGS, h2.PING), kind

            def send(number, piece):
                while piece:
                    while (room := min(windows.values())) <= 0:
                        listen()
                    now, piece = piece[:room], piece[room:]
                    for each in windows:
                        windows[each] -= len(now)
                    visitor.send(frame(h2.DATA, h2.END_STREAM if number == pieces - 1 and not piece else 0, stream, now))

            listen()
            send_slowly(send)
            answers["h2"] = b"HTTP/1.1 %d " % int(visitor.answer(stream)[0])

    def last_chunk(number, piece):
        return b"%x\r\n%s\r\n" % (len(piece), piece) + (b"0\r\n\r\n" if number == pieces - 1 else b"")

    with Front(tmp_path, "{ connect: 1s, answer: 4s, request: 4s, idle: 4s }", buffer="{ request: 64k, answer: 64k }",
               more="    minimum_rate: 64k\n    body: 1g") as front, Acceptor(front.app_address, serve, front.take_over_port()):
        threads = [threading.Thread(target=over_http1, args=("length", post("/length", len(body)), lambda number, piece: piece)),
                   threading.Thread(target=over_http1, args=("chunked", post("/chunked"), last_chunk)),
                   threading.Thread(target=over_http2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert sorted(answers) == ["chunked", "h2", "length"]
        assert all(answer.startswith(b"HTTP/1.1 200 ") for answer in answers.values()), answers
        assert arrived == [body] * 3
        wait_for(lambda: front.log().count("end=ok") == 3, 10, "three lines in the access log")


def drips(visitor, step, stop):
    """A step every half second until noah says something or ends it; what it says."""
    got = b""
    with contextlib.suppress(OSError):
        while not stop.is_set():
            step()
            try:
                piece = visitor.recv(65536) if visitor.gettimeout() == 0.5 else None
            except TimeoutError:
                continue
            if piece is None:
                time.sleep(0.5)
            elif not piece:
                break
            else:
                got += piece
                if b"\r\n\r\n" in got:
                    break
    return got


def page_server(size):
    """Takes any body, answers with a page of this size."""
    page = bytes(size)

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            data = b""
            while True:
                while b"\r\n\r\n" not in data:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    data += piece
                head, _, data = data.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                left = (int(length[1]) if length else 0) - len(data)
                while left > 0:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    left -= len(piece)
                data = b""
                answer = page if head.startswith(b"GET ") else b"ok"
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(answer), answer))
    return serve


# ---- many of them ------------------------------------------------------------------------------------------------------------

MODES = {
    "heads": ["-H", "-i", "1", "-x", "24"],
    "bodies": ["-B", "-i", "1", "-s", "8192", "-x", "10"],
    "ranges": ["-R", "-a", "1", "-b", "500", "-t", "GET"],
    "readers": ["-X", "-w", "256", "-y", "512", "-n", "1", "-z", "32"],
}
MANY = 150


@pytest.mark.parametrize("mode", MODES)
def test_many_slow_visitors(tmp_path, mode):
    """slowhttptest beside somebody who wants a page; the app serves one at a time, so nobody may keep it."""
    with Front(tmp_path, "{ connect: 1s, answer: 20s, request: 20s, idle: 20s }", connections=ONE, buffer=DEFAULT) as front, \
            Acceptor(front.app_address, page_server(100000), front.take_over_port()):
        crowd = subprocess.Popen(["slowhttptest", *MODES[mode], "-c", str(MANY), "-r", str(MANY), "-l", "8", "-p", "5",
                                  "-u", f"http://{front.address}:{front.port}/"],
                                 stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=tmp_path)
        try:
            wait_for(lambda: front.noah.counter("connections_open") >= MANY * 2 // 3 or crowd.poll() is not None, 20, "the crowd")
            for _ in range(40):
                with front.visitor() as probe:
                    probe.sendall(get("/probe"))
                    assert read_until_has(probe, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")
            assert front.noah.targets("tcp")[0]["active"] <= ONE
        finally:
            crowd.terminate()
            crowd.wait()
        # Those who were there have left nothing behind.
        wait_for(lambda: front.noah.targets("tcp")[0]["active"] == 0, 20, "nobody to be served")
