# SPDX-License-Identifier: BSD-2-Clause
"""Files on disks that are slow, and files that change while they are sent: others are served, and nothing false is sent."""
import contextlib
import os
import socket
import threading

import pytest

from files_site import Answer, FilesSite
from site_of_apps import SANITIZED
from support import stalling_disk
from support.noah import wait_for

needs_fuse = pytest.mark.skipif(not stalling_disk.is_possible(), reason="a file system of the test's own needs root and /dev/fuse")


def fnv(text):
    """As noah hashes the path of a root."""
    number = 0xcbf29ce484222325
    for byte in text.encode():
        number = (number ^ byte) * 0x100000001b3 % (1 << 64)
    return number


class SiteOnDisk(FilesSite):
    """The site's root is on a quick disk, `/slow/…` on one that stalls when it is told to."""

    def __init__(self, directory, files, **rest):
        super().__init__(directory, start=False, **rest)
        self.put("quick.css", b"quick")
        self.put("quick.zip", os.urandom(300_000))
        # Roots whose hashes end alike were once taken for one, and shared what one may have of the threads.
        self.other = next(path for path in (f"{self.place}/other{number}" for number in range(10000)) if fnv(path) % 64 == fnv(self.root) % 64)
        os.mkdir(self.other)
        # A route's files lie below its own root, by the whole path.
        self.disk = stalling_disk.StallingDisk(os.path.join(self.other, "slow"), files)
        self.site += f"""
    routes:
      - {{ path: /slow/, static: {{ root: {self.other} }} }}"""
        self.noah.write(self.text())
        self.noah.start()

    def __exit__(self, *why):
        self.disk.resume()
        try:
            super().__exit__(*why)
        finally:
            self.disk.__exit__()

    def ask_in_background(self, target):
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.ask(target)), daemon=True)
        thread.start()
        return thread, answers


@needs_fuse
@pytest.mark.parametrize("what", ["lookup", "open", "read"])
def test_a_stalled_disk_holds_up_nobody_else(tmp_path, what):
    files = {f"{number}.zip": os.urandom(50_000) for number in range(12)}
    with SiteOnDisk(tmp_path, files) as site:
        assert site.ask("/slow/0.zip").body == files["0.zip"]
        site.disk.stall(what)
        asked = [site.ask_in_background(f"/slow/{number}.zip") for number in range(1, 12)]
        wait_for(lambda: site.disk.waiting > 0, 20, "the disk to be asked")
        # The same core goes on: what is in memory, and what has yet to be read from another disk.
        for number in range(20):
            assert site.ask("/quick.css").body == b"quick"
            site.put(f"new{number}.css", f"{number}")
            assert site.ask(f"/new{number}.css").body == f"{number}".encode()
            assert len(site.ask("/quick.zip").body) == 300_000
        assert all(not answers for _, answers in asked)
        site.disk.resume()
        for number, (thread, answers) in enumerate(asked, 1):
            thread.join(20)
            assert answers and (answers[0].status, answers[0].body) == (200, files[f"{number}.zip"])


@needs_fuse
def test_a_disk_that_stalls_when_files_are_closed(tmp_path):
    """close(2) asks some file systems too: files that are other ones now, and such as nobody asks for any more, are let go beside the loop."""
    names = [f"{number}.zip" for number in range(6)]
    with SiteOnDisk(tmp_path, {name: b"before" * 9000 for name in names}) as site:
        for name in names:
            assert site.ask(f"/slow/{name}").status == 200
        site.disk.stall("flush")
        for name in names:
            site.disk.put(name, b"after" * 9000)
        for name in names:
            wait_for(lambda name=name: site.ask(f"/slow/{name}", timeout=5).body == b"after" * 9000, 20, "the file that is there now")
            assert site.ask("/quick.css", timeout=5).body == b"quick"
        wait_for(lambda: site.disk.waiting > 0, 20, "a file to be closed")
        assert site.ask("/quick.css", timeout=5).body == b"quick"
        site.disk.resume()
        for name in names:
            assert site.ask(f"/slow/{name}").body == b"after" * 9000
        traffic = site.noah.child("traffic")
        wait_for(lambda: not any(os.readlink(f"/proc/{traffic}/fd/{number}").endswith(".zip") for number in os.listdir(f"/proc/{traffic}/fd")
                                 if os.path.lexists(f"/proc/{traffic}/fd/{number}")), 30, "all of them to be closed")


@needs_fuse
def test_a_dead_disk_is_given_up(tmp_path):
    with SiteOnDisk(tmp_path, {"a.zip": b"a" * 50_000}) as site:
        site.disk.stall("open")
        answer = site.ask("/slow/a.zip")
        assert answer.status == 503
        site.wait_for_log(r'"GET /slow/a.zip HTTP/1.1" 503 .*end=file-failed')
        site.disk.resume()
        wait_for(lambda: site.ask("/slow/a.zip").body == b"a" * 50_000, 20, "the disk that is well again")


@needs_fuse
def test_a_disk_that_dies_while_a_file_is_sent(tmp_path):
    """Some of it has gone out: the connection ends, and nothing takes the place of the rest."""
    content = os.urandom(3_000_000)
    with SiteOnDisk(tmp_path, {"a.zip": content}) as site, contextlib.closing(site.socket()) as visitor:
        site.disk.stall("read", behind=1_000_000)
        visitor.sendall(b"GET /slow/a.zip HTTP/1.1\r\nHost: example.com\r\n\r\n")
        got = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := visitor.recv(1 << 20):
                got += piece
        answer = Answer(got)
        assert not answer.whole and answer.body and content.startswith(answer.body)
        site.wait_for_log(r'"GET /slow/a.zip HTTP/1.1" 200 .*end=file-failed')


@pytest.mark.parametrize("way", ["--http1.1", "--http2-prior-knowledge"])
def test_a_file_that_is_cut_while_it_is_sent(tmp_path, way):
    size = 64_000_000
    with FilesSite(tmp_path) as site:
        path = site.put("large.zip", b"")
        os.truncate(path, size)
        if way == "--http1.1":
            with contextlib.closing(site.socket()) as visitor:
                visitor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
                visitor.sendall(b"GET /large.zip HTTP/1.1\r\nHost: example.com\r\n\r\n")
                got = visitor.recv(65536)
                os.truncate(path, 1000)
                with contextlib.suppress(ConnectionResetError):
                    while piece := visitor.recv(1 << 20):
                        got += piece
            answer = Answer(got)
            assert answer.fields["content-length"] == str(size) and not answer.whole and len(answer.body) < size
            site.wait_for_log(r'"GET /large.zip HTTP/1.1" 200 .*end=file-failed')
        else:
            import subprocess  # pylint: disable=import-outside-toplevel
            with subprocess.Popen(["curl", "-s", way, "--limit-rate", "1M", f"http://{site.address}:{site.port}/large.zip"],
                                  stdout=subprocess.PIPE) as curl:
                got = len(curl.stdout.read(65536))
                os.truncate(path, 1000)
                got += len(curl.stdout.read())
                assert curl.wait(60) == 92 and got < size  # the stream was not closed cleanly
        # Whoever asks now gets what is there.
        assert len(site.ask("/large.zip").body) == 1000


def test_a_slow_visitor_holds_no_memory_for_a_file(tmp_path):
    """Forty of them ask for a large file over plain HTTP and read nothing: nothing of it is kept for them."""
    with FilesSite(tmp_path) as site:
        os.truncate(site.put("large.zip", b""), 200_000_000)
        visitors = []
        try:
            for _ in range(40):
                visitor = site.socket()
                visitor.sendall(b"GET /large.zip HTTP/1.1\r\nHost: example.com\r\n\r\n")
                visitors.append(visitor)
            for visitor in visitors:
                visitor.recv(1)
            with open(f"/proc/{site.noah.child('traffic')}/smaps_rollup", encoding="ascii") as file:
                anonymous = sum(int(line.split()[1]) for line in file if line.startswith("Anonymous:"))
            assert SANITIZED or anonymous < 20_000  # kB, noah itself included
        finally:
            for visitor in visitors:
                visitor.close()
