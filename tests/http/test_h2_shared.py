# SPDX-License-Identifier: BSD-2-Clause
"""What the streams of one HTTP/2 connection share: its output, its window, its end. The app is played by the test, or by threads of it."""
import collections
import struct
import threading

import h2_frames as h2
import pytest
from h2_frames import Visitor, frame
from test_hostile import OK, Front, read_until

LARGE = 24 << 20


@pytest.fixture(name="front")
def make_front(tmp_path):
    with Front(tmp_path) as made:
        yield made


def answers(app, size):
    """In a thread, because the app's side fills up."""
    def run():
        try:
            app.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            for _ in range(size >> 16):
                app.sendall(bytes(65536))
        except OSError:
            pass
    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_large_answers_share_the_way_out(front):
    """Ten downloads at once and a visitor slower than noah: the last does not wait until the others are over."""
    with Visitor(front.address, front.port, [(h2.INITIAL_WINDOW_SIZE, 0x7fffffff)]) as visitor:
        visitor.send(frame(h2.WINDOW_UPDATE, 0, 0, struct.pack("!I", 0x7fff0000)))
        streams, threads, apps = [], [], []
        for _ in range(10):
            streams.append(visitor.request())
            apps.append(front.accept())
            read_until(apps[-1], b"\r\n\r\n")
        threads = [answers(app, LARGE) for app in apps]
        got = collections.Counter()
        while got[streams[-1]] < 1 << 20 and got[streams[0]] < LARGE:
            kind, _, stream, payload = visitor.frame()
            got[stream] += len(payload) if kind == h2.DATA else 0
        assert got[streams[-1]] >= 1 << 20, got
    for app in apps:
        app.close()
    for thread in threads:
        thread.join()


def test_a_broken_connection_ends_at_once(front):
    """RFC 9113 5.4.1: after an error of the connection noah closes it, whatever else is under way on it."""
    with Visitor(front.address, front.port) as visitor:
        visitor.request()
        app = front.accept()
        read_until(app, b"\r\n\r\n")
        visitor.send(frame(h2.HEADERS, h2.END_HEADERS | h2.END_STREAM, 3, b"\xff\xff\xff\xff\xff\xff\xff"))
        assert visitor.goaway() == h2.COMPRESSION_ERROR
        assert app.recv(10) == b"", "nobody waits for its answer any more"
        app.close()
    front.wait_for_log("end=visitor-gone")


def takes(app, size):
    while size > 0:
        piece = app.recv(min(size, 1 << 16))
        assert piece
        size -= len(piece)


def takes_and_answers(app, size):
    takes(app, size)
    app.sendall(OK)


class Uploads:
    """A visitor's side of flow control."""

    def __init__(self, visitor):
        self.visitor, self.left = visitor, {0: 65535}
        settings = dict(struct.iter_unpack("!HI", visitor.wait_for(h2.SETTINGS)[3]))
        self.stream_window = settings.get(h2.INITIAL_WINDOW_SIZE, 65535)
        visitor.send(frame(h2.SETTINGS, h2.ACK))
        self.take_update()

    def take_update(self):
        _, _, stream, payload = self.visitor.wait_for(h2.WINDOW_UPDATE)
        self.left[stream] = self.left.get(stream, self.stream_window) + struct.unpack("!I", payload)[0]

    def begin(self, path, size):
        stream = self.visitor.request(path=path, method="POST", more=[("content-length", str(size))], end=False)
        self.left[stream] = self.stream_window
        return stream

    def send(self, stream, most):
        """As much as the windows let through."""
        size = min(most, self.left[stream], self.left[0])
        for at in range(0, size, 16384):
            self.visitor.send(frame(h2.DATA, 0, stream, bytes(min(16384, size - at))))
        self.left[stream] -= size
        self.left[0] -= size
        return size


def test_uploads_that_wait_leave_room_for_others(tmp_path):
    """Bodies of requests that wait in the queue fill the connection's window: the one whose turn it is gets through all the same."""
    size = 1 << 20
    with Front(tmp_path, connections=1) as front, Visitor(front.address, front.port) as visitor:
        uploads = Uploads(visitor)
        first = uploads.begin("/first", size)
        app = front.accept()
        read_until(app, b"\r\n\r\n")
        for number in range(100):
            uploads.send(uploads.begin(f"/{number}", size), size)
        reader = threading.Thread(target=takes_and_answers, args=(app, size))
        reader.start()
        left = size
        while left > 0:
            sent = uploads.send(first, left)
            left -= sent
            if sent == 0:
                uploads.take_update()
        assert visitor.answer(first) == (200, b"ok")
        reader.join()
        app.close()


def test_an_upload_that_began_early_gets_the_large_window_too(front):
    """The request came before its visitor had read noah's SETTINGS: their acknowledgement makes its window small, having a server large."""
    with Visitor(front.address, front.port) as visitor:
        stream = visitor.request(method="POST", more=[("content-length", "100000")], end=False)
        with front.accept() as app:
            read_until(app, b"\r\n\r\n")
            visitor.send(frame(h2.DATA, 0, stream, b"x" * 1000))
            takes(app, 1000)
            visitor.send(frame(h2.SETTINGS, h2.ACK) + frame(h2.DATA, 0, stream, b"x" * 1000))
            takes(app, 1000)
            assert struct.unpack("!I", visitor.wait_for(h2.WINDOW_UPDATE, stream)[3])[0] >= 40000
