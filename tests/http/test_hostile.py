# SPDX-License-Identifier: BSD-2-Clause
"""What hostile visitors and careless servers try: each of these was possible once, or nearly. The app is played by the test, byte
by byte."""
import contextlib
import ctypes
import re
import socket
import struct
import threading

import pytest
from support.noah import Noah, free_port, local_address, wait_for

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
RESET = b"\1\0\0\0\0\0\0\0"


class Front:
    """One noah and one app, which is this listener. It sees a body as it comes, unless `buffer` says otherwise."""

    def __init__(self, directory, timeouts="{ connect: 1s, answer: 5s, request: 2s, idle: 5s }", connections=64, buffer="{ request: 0 }",
                 more=""):
        self.address = local_address()
        self.app_address = app = local_address()
        self.port = free_port(self.address)
        self.listener = socket.create_server((app, 0), backlog=64)
        self.listener.settimeout(20)
        self.log_file = f"{directory}/access.log"
        self.text = f"""
cluster: hostile
servers:
  front: {{ address: {self.address} }}
  app: {{ address: {app} }}
sites:
  hostile.example:
    listen: ["{self.address}:{self.port}"]
    apps: [app:{self.listener.getsockname()[1]}]
    connections: {connections}
    check: {{ tcp: true, every: 1h, rise: 1, fall: 100 }}
    timeouts: {timeouts}
    buffer: {buffer}
{more}
log: {{ access: {self.log_file} }}
"""
        self.noah = Noah(directory, self.text, arguments=["--threads", "1"])
        self.accept().close()  # the check

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        self.listener.close()
        self.noah.__exit__(kind, *ignored)

    def accept(self):
        connection = self.listener.accept()[0]
        connection.settimeout(20)
        return connection

    def take_over_port(self):
        """The app's port, for a server that serves by itself."""
        port = self.listener.getsockname()[1]
        self.listener.close()
        return port

    def visitor(self):
        return socket.create_connection((self.address, self.port), 20)

    def log(self):
        with open(self.log_file, encoding="utf-8") as file:
            return file.read()

    def wait_for_log(self, pattern):
        wait_for(lambda: re.search(pattern, self.log()), 10, f"{pattern} in the access log")

    def kept_connection(self, visitor):
        """After a request: the app's side of the connection that noah keeps."""
        visitor.sendall(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
        app = self.accept()
        read_until(app, b"\r\n\r\n")
        app.sendall(OK)
        read_until(visitor, b"\r\n\r\nok")
        return app


@pytest.fixture
def front(tmp_path):
    with Front(tmp_path) as made:
        yield made


def read_until(connection, end):
    got = b""
    while not got.endswith(end):
        piece = connection.recv(65536)
        assert piece, got
        got += piece
    return got


def read_all(connection):
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := connection.recv(65536):
            got += piece
    return got


def test_a_body_that_has_begun_is_not_continued_elsewhere(front):
    """The size of a chunk went to one connection; what the visitor sends next would be a request of his making on another one."""
    with front.visitor() as visitor:
        with front.kept_connection(visitor) as app:
            visitor.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            read_until(app, b"\r\n\r\n")
            visitor.sendall(b"30\r\n")
            assert app.recv(100) == b"30\r\n"
        answer = read_all(visitor)
        assert answer.startswith(b"HTTP/1.1 502 ")
    front.listener.settimeout(0.2)
    with pytest.raises(TimeoutError):
        front.accept()
    front.wait_for_log(r'"PUT / HTTP/1.1" 502 .* retries=0 .*end=server-closed')


def test_an_empty_line_is_no_request(front):
    """RFC 9112 2.2. Some visitors send one behind the body of a POST: it begins nothing that could time out or fail."""
    put = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
    with front.visitor() as visitor, front.kept_connection(visitor) as app:
        for behind in (b"\r\n", b"\r", b""):
            visitor.sendall(put + behind)
            read_until(app, b"\r\n\r\nx")
            app.sendall(OK)
            read_until(visitor, b"\r\n\r\nok")
            if behind == b"\r":
                visitor.sendall(b"\n")
            visitor.settimeout(2.5)  # longer than the timeout of a request that has begun
            if behind:
                with pytest.raises(TimeoutError):
                    visitor.recv(1)
        visitor.sendall(b"\r\n")
    with front.visitor() as visitor:
        visitor.sendall(b"\r\n")
    with front.visitor() as visitor:
        visitor.sendall(b"\r")
    with front.visitor() as visitor:
        visitor.sendall(b"\r\nG")
    front.wait_for_log("end=request-cut")
    assert re.findall(r"end=(\S+)", front.log()) == ["ok"] * 4 + ["request-cut"]
    assert front.noah.counter("requests_failed") == 1


def test_a_visitor_who_resets_while_noah_connects(tmp_path):
    """What he asked for does not keep the app busy for the whole of the answer's timeout."""
    with Front(tmp_path, "{ connect: 10s, answer: 60s, request: 2s, idle: 5s }") as front, contextlib.ExitStack() as fillers:
        front.listener.listen(0)
        for _ in range(2):  # the backlog is full: noah's SYN is dropped, and sent again after a second
            filler = fillers.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(front.listener.getsockname())
        with front.visitor() as visitor:
            visitor.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            wait_for(lambda: front.noah.targets("")[0]["active"] == 1, 10, "the request to be under way")
            visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        fillers.close()
        while True:
            with front.accept() as app:
                if app.recv(100):
                    read_all(app)
                    break
        front.wait_for_log("end=visitor-gone")


def test_a_post_that_was_sent_is_not_said_not_to_have_been_carried_out(front):
    """503 with Retry-After invites to send it again."""
    with front.visitor() as visitor:
        visitor.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        with front.accept() as app:
            read_until(app, b"\r\n\r\nx")
            front.noah.process.terminate()
            front.noah.wait_for_log("stopping (")
            front.noah.process.terminate()
            answer = read_all(visitor)
    assert answer.startswith(b"HTTP/1.1 502 ") and b"Retry-After" not in answer and b"was not carried out" not in answer
    front.wait_for_log('"POST / HTTP/1.1" 502 .* end=stopping')


def test_a_put_that_was_sent_before_no_connection_was_left(front):
    with front.visitor() as visitor, front.kept_connection(visitor) as app:
        visitor.sendall(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        read_until(app, b"\r\n\r\nx")
        front.listener.close()
        app.close()
        answer = read_until(visitor, b"</html>\n")
    assert answer.startswith(b"HTTP/1.1 502 ") and b"Retry-After" not in answer and b"was not carried out" not in answer
    front.wait_for_log('"PUT / HTTP/1.1" 502 .* end=connect-failed')


LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


def test_a_kept_connection_that_ends_with_408(front):
    """It was for the server's idle time, and crossed the next request on its way."""
    with front.visitor() as visitor:
        with front.kept_connection(visitor) as app:
            visitor.sendall(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            read_until(app, b"\r\n\r\n")
            app.sendall(LATE)
        with front.accept() as app:
            assert read_until(app, b"\r\n\r\n").startswith(b"GET /next ")
            app.sendall(OK)
            assert read_until(visitor, b"\r\n\r\nok").startswith(b"HTTP/1.1 200 ")
            visitor.sendall(b"POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            read_until(app, b"\r\n\r\nx")
            app.sendall(LATE)  # it may have been carried out: not sent again
        assert read_until(visitor, b"\r\n\r\n").startswith(b"HTTP/1.1 408 ")
        visitor.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            app.sendall(LATE)  # on a new connection it is an answer
        assert read_until(visitor, b"\r\n\r\n").startswith(b"HTTP/1.1 408 ")
    front.wait_for_log(r'"GET /next HTTP/1.1" 200 .* retries=1 (.*\n)+.*"POST /post .* 408 .* retries=0 (.*\n)+.*"GET /slow .* 408')


def test_nothing_follows_a_refused_connect(front):
    """What comes behind it was meant for the far end of a tunnel: others chose it."""
    with front.visitor() as visitor:
        visitor.sendall(b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = read_all(visitor)
        assert answer.startswith(b"HTTP/1.1 405 ") and b"Connection: close\r\n" in answer and answer.count(b"HTTP/1.1 ") == 1


def drop_all_that_comes(connection):
    """As if the machine had gone: not even the kernel answers any more."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 6, 0, 0, 0))  # return 0: keep no byte
    filters = struct.pack("HxxxxxxP", 1, ctypes.addressof(program))
    connection.setsockopt(socket.SOL_SOCKET, 26, filters)  # SO_ATTACH_FILTER


def test_an_answer_whose_machine_goes_away_is_not_made_to_look_whole(tmp_path):
    """Its end would have been the connection's; the kernel's giving up is none."""
    with Front(tmp_path, "{ connect: 1s, answer: 50s, request: 2s, idle: 5s }") as front, front.visitor() as visitor:
        visitor.settimeout(60)
        visitor.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            app.sendall(b"HTTP/1.1 200 OK\r\n\r\nhalf of")
            drop_all_that_comes(app)
            answer = read_all(visitor)
        assert answer.endswith(b"half of\r\n")
        front.wait_for_log("end=answer-cut")


def test_who_floods_with_pipelined_requests_holds_nobody_up(front):
    """noah answers them by itself, so nothing else makes it wait."""
    flood = b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n" * 3000

    def send(visitor):
        with contextlib.suppress(OSError):
            while True:
                visitor.sendall(flood)

    def read(visitor):
        with contextlib.suppress(OSError):
            while visitor.recv(1 << 20):
                pass

    with front.visitor() as visitor, contextlib.ExitStack() as ends:
        threads = [threading.Thread(target=role, args=(visitor,), daemon=True) for role in (send, read)]
        for thread in threads:
            thread.start()
        ends.callback(lambda: [thread.join(20) for thread in threads])
        ends.callback(visitor.shutdown, socket.SHUT_RDWR)
        wait_for(lambda: front.noah.counter("requests") > 2000, 20, "the flood")
        with front.visitor() as other:
            other.settimeout(3)
            other.sendall(flood[:48])
            assert read_until(other, b"\r\n\r\n").startswith(b"HTTP/1.1 200 ")


def test_half_a_preface_of_http_2_does_not_last(tmp_path):
    """Its pieces have the time of a request's head together, not each: else a visitor would hold a stack for 24 times as long."""
    with Front(tmp_path, timeouts="{ connect: 1s, answer: 5s, request: 1s, idle: 5s }") as front, \
            contextlib.closing(front.visitor()) as visitor:
        visitor.settimeout(0.7)
        sent = 0
        answer = None
        while answer is None and sent < 12:
            visitor.sendall(b"PRI * HTTP/2.0"[sent:sent + 1])
            sent += 1
            with contextlib.suppress(TimeoutError):
                answer = visitor.recv(64)
        assert answer is not None and answer.startswith(b"HTTP/1.1 408 ")
