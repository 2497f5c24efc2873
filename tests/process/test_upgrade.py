# SPDX-License-Identifier: BSD-2-Clause
"""`noah upgrade`: another program takes over in the same process, nothing is dropped, and what cannot take over changes nothing."""
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import pytest

from support.mariadb import wait_for
from support.noah import BINARY, Noah
from test_processes import App, Site


@pytest.fixture(name="site")
def make_site():
    app = App()
    yield Site(app)
    app.stop()


def connect(site):
    """A connection to traffic that is not retired: just after an upgrade the former one may still accept a last one."""
    for _ in range(1000):
        connection = http.client.HTTPConnection(site.address, site.port, timeout=30)
        if ask(connection).headers["Connection"] is None:
            return connection
        connection.close()
    raise AssertionError("every connection comes to retired traffic")


def ask(connection, path="/"):
    connection.request("GET", path, headers={"Host": "example.com"})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"hello")
    return answer


def status_for(site, source):
    """Of a request that comes from there."""
    with contextlib.closing(http.client.HTTPConnection(site.address, site.port, 10, source_address=(source, 0))) as connection:
        connection.request("GET", "/", headers={"Host": "example.com"})
        return connection.getresponse().status


def upgrade(noah, *arguments, expect=0):
    result = noah.command("upgrade", *arguments, timeout=90)
    output = result.stdout + result.stderr
    assert result.returncode == expect, output
    return output


def states(pid):
    """Of each thread, as ps shows them."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii") as file:
            yield file.read().rsplit(")", 1)[1].split()[0]


def is_alive(pid):
    try:
        return set(states(pid)) != {"Z"}
    except OSError:
        return False


def retired(noah):
    return noah.status()["retired"]


# ---- what goes on


def test_requests_and_connections_go_on(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        supervisor, traffic, watch = noah.process.pid, noah.child("traffic"), noah.child("watch")
        idle, busy = connect(site), connect(site)
        busy.request("GET", "/slow", headers={"Host": "example.com"})
        assert site.app.slow_arrived.wait(20)
        assert "serves now; 2 connections" in upgrade(noah)
        assert noah.process.pid == supervisor and noah.process.poll() is None
        assert noah.child("traffic") not in (None, traffic) and noah.child("watch") not in (None, watch)
        assert [(old["pid"], old["open"]) for old in retired(noah)] == [(traffic, 2)]
        connect(site)  # to the new one
        assert ask(idle).headers["Connection"] == "close"  # the former one, for the last time
        site.app.release.set()
        assert busy.getresponse().read() == b"hello"
        wait_for(lambda: not is_alive(traffic), 20, "the former traffic to end")
        wait_for(lambda: not retired(noah), 20, "its lanes to be free")
        assert noah.status()["ready"] and noah.stop() == 0


def test_a_connection_without_a_request_yet_is_answered(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        connection = http.client.HTTPConnection(site.address, site.port, timeout=30)
        connection.connect()
        wait_for(lambda: noah.counter("connections_open") == 1, 20, "the connection to be accepted")
        upgrade(noah)
        ask(connection)


def test_what_waits_in_the_queue_is_accepted_by_the_new_one(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        traffic = noah.child("traffic")
        os.kill(traffic, signal.SIGSTOP)
        try:
            wait_for(lambda: set(states(traffic)) == {"T"}, 20, "all its threads to stand still")
            waiting = [socket.create_connection((site.address, site.port), 20) for _ in range(20)]
            for client in waiting:
                client.settimeout(20)
                client.sendall(b"GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")
            upgrade(noah)
            for client in waiting:
                with client:
                    assert client.recv(65536).startswith(b"HTTP/1.1 200")
        finally:
            os.kill(traffic, signal.SIGCONT)
        wait_for(lambda: not is_alive(traffic), 20, "the former traffic to end")


def test_counters_go_on_and_stop_ends_all_generations(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        kept = []
        for number in range(3):
            kept.append(connect(site))
            wait_for(lambda number=number: noah.counter("requests") == number + 1, 20, "the request to be counted")
            upgrade(noah)
        assert len(retired(noah)) == 3 and noah.counter("connections_open") == 3
        for connection in kept:
            connection.close()
        wait_for(lambda: not retired(noah), 20, "all former ones to end")
        assert noah.counter("connections_open") == 0
        kept.append(connect(site))
        upgrade(noah)
        assert noah.stop() == 0


def test_reload_and_logs_reach_a_retired_one(tmp_path, site):
    access = tmp_path / "access.log"
    with Noah(tmp_path, site.text(extra=f"log: {{ access: {access} }}")) as noah:
        old = connect(site)
        upgrade(noah)
        noah.reload(site.text(extra=f"log: {{ access: {access} }}").replace("tcp: true", "get: /"))
        os.rename(access, tmp_path / "access.old")
        noah.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(access), 20, "the new log")
        noah.wait_ready()
        ask(old, "/of-the-former-one")
        wait_for(lambda: "/of-the-former-one" in read(access), 20, "its line in the new log")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def test_nothing_fails_under_load(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        load = Load(site, 4)
        load.start()
        for _ in range(4):
            before = load.done
            upgrade(noah)
            wait_for(lambda before=before: load.done > before + 50, 60, "requests after the upgrade")
        assert load.stop() == []
        assert noah.counter("requests_failed") == 0 and noah.counter("answers_5xx") == 0


class Load:
    """Keep-alive clients, each one request after the other; a connection is used until an answer says that it ends."""

    def __init__(self, site, count):
        self.site, self.ending, self.failures, self.done = site, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(count)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def run(self):
        connection = None
        try:
            while not self.ending.is_set():
                if connection is None:
                    connection = http.client.HTTPConnection(self.site.address, self.site.port, timeout=30)
                if ask(connection).headers["Connection"] == "close":
                    connection.close()
                    connection = None
                self.done += 1
        except (OSError, AssertionError, http.client.HTTPException) as fault:
            self.failures.append(repr(fault))

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(40)
        return self.failures


def test_systemd_sees_one_process(tmp_path, site):
    path = os.path.join(tempfile.mkdtemp(prefix="noah-notify-"), "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(20)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            with Noah(tmp_path, site.text()) as noah:
                assert systemd.recv(1000) == b"READY=1"
                upgrade(noah)
                assert systemd.recv(1000).startswith(b"RELOADING=1")
                assert systemd.recv(1000) == b"READY=1"
        finally:
            del os.environ["NOTIFY_SOCKET"]
            shutil.rmtree(os.path.dirname(path))


# ---- which program


def private_copy(tmp_path, name="noah"):
    """A copy that the unprivileged processes can execute too."""
    directory = tempfile.mkdtemp(prefix="noah-copy-")
    os.chmod(directory, 0o755)
    place = os.path.join(directory, name)
    shutil.copy(BINARY, place)
    return place


def test_replaced_file_is_what_runs_then(tmp_path, site, monkeypatch):
    copy = private_copy(tmp_path)
    monkeypatch.setattr("support.noah.BINARY", copy)
    with Noah(tmp_path, site.text()) as noah:
        shutil.copy(BINARY, copy + ".new")
        os.rename(copy + ".new", copy)
        assert os.readlink(f"/proc/{noah.process.pid}/exe") == copy + " (deleted)"
        upgrade(noah)
        for pid in (noah.process.pid, noah.child("traffic"), noah.child("watch")):
            assert os.readlink(f"/proc/{pid}/exe") == copy and os.stat(f"/proc/{pid}/exe").st_ino == os.stat(copy).st_ino
        assert site.get() == (200, b"hello")
    shutil.rmtree(os.path.dirname(copy))


def test_named_program_is_remembered(tmp_path, site):
    copy = private_copy(tmp_path)
    with Noah(tmp_path, site.text()) as noah:
        upgrade(noah, "--program", copy)
        assert os.readlink(f"/proc/{noah.process.pid}/exe") == copy
        upgrade(noah)
        assert os.readlink(f"/proc/{noah.process.pid}/exe") == copy
    shutil.rmtree(os.path.dirname(copy))


def script(tmp_path, text):
    place = tmp_path / f"program{len(os.listdir(tmp_path))}"
    place.write_text("#!/bin/sh\n" + text)
    place.chmod(0o755)
    return place


def test_program_that_cannot_take_over_changes_nothing(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        before, kept = (noah.process.pid, noah.child("traffic"), noah.child("watch")), connect(site)
        for program, words in ((tmp_path / "none", "No such file"),
                               (script(tmp_path, "exit 0\n"), "it is no noah"),
                               (script(tmp_path, "exit 3\n"), "exit code 3"),
                               (script(tmp_path, "kill -SEGV $$\n"), "signal 11"),
                               (script(tmp_path, "echo this is not for you; exit 1\n"), "this is not for you"),
                               ("/etc/passwd", "cannot be executed")):
            assert words in upgrade(noah, "--program", program, expect=1)
        noah.write("cluster: {")
        assert "noah.yaml:" in upgrade(noah, expect=1)
        assert before == (noah.process.pid, noah.child("traffic"), noah.child("watch"))
        assert ask(kept).headers["Connection"] is None and not retired(noah)


def test_program_of_another_board_is_refused(tmp_path, site):
    """What the running noah would hand over is judged by the new program: here a board that it does not know."""
    with Noah(tmp_path, site.text()):
        pass
    state, board = os.memfd_create("state", 0), os.memfd_create("board", 0)
    os.truncate(board, 1 << 20)
    record = {"format": 1, "version": "0.0.1", "failure": "", "program": "/x", "former_program": "", "former_descriptor": -1,
              "board": board, "keyring": -1, "snapshot": 0, "control": 0, "generation": 1, "threads": 1, "first_lane": 0, "next_listener_id": 1,
              "children": [], "listeners": [], "retired": [], "clients": [], "some later thing": [1, 2]}

    def check(**changes):
        os.ftruncate(state, 0)
        os.pwrite(state, json.dumps({**record, **changes}).encode(), 0)
        result = subprocess.run([BINARY, "--upgrade-check", "run", str(tmp_path / "noah.yaml"), "--server", "front"],
                                env={**os.environ, "NOAH_HANDOVER": str(state)}, pass_fds=(state, board), stdout=subprocess.PIPE,
                                text=True, timeout=30, check=False)
        return result.returncode, result.stdout
    code, words = check()
    assert code == 1 and "noah 0.0.1 cannot read the same board" in words
    code, words = check(format=0)
    assert code == 1 and "noah 0.0.1 cannot hand over" in words and "restart" in words
    code, words = check(listeners="rubbish")
    assert code == 1 and "(listeners)" in words
    os.close(state)
    os.close(board)


# ---- back again


BREAKING = r"""
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
__attribute__((constructor)) static void end_the_traffic_of_a_broken_program(void)
{
	char name[256] = "", words[256] = "";
	int file = open("/proc/self/cmdline", O_RDONLY);
	if (readlink("/proc/self/exe", name, sizeof name - 1) < 0 || read(file, words, sizeof words - 1) < 0)
		_exit(9);
	close(file);
	if (strstr(name, "broken") != NULL && memmem(words, sizeof words, "--child\0traffic", 15) != NULL)
		_exit(7);
}
"""


@pytest.fixture(name="broken")
def make_broken(tmp_path, monkeypatch):
    """A program that says that it can, and whose traffic dies at once."""
    broken = private_copy(tmp_path, "broken")
    directory = os.path.dirname(broken)
    source, library = os.path.join(directory, "end.c"), os.path.join(directory, "end.so")
    with open(source, "w", encoding="ascii") as out:
        out.write(BREAKING)
    subprocess.run(["gcc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", library, source], check=True)
    monkeypatch.setenv("LD_PRELOAD", library)
    monkeypatch.setenv("ASAN_OPTIONS", os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0")
    yield broken
    shutil.rmtree(directory)


def test_program_whose_traffic_dies_gives_back(tmp_path, site, broken):
    """The new program says that it can, takes over, and then its traffic dies at once, again and again."""
    with Noah(tmp_path, site.text(extra="visitors: { requests: 1/1h, ban: 1h, exempt: [127.0.0.1] }")) as noah:
        traffic, kept, load = noah.child("traffic"), connect(site), Load(site, 2)
        assert [status_for(site, "127.0.0.7") for _ in range(3)] == [200, 429, 403]
        load.start()
        words = upgrade(noah, "--program", broken, expect=1)
        assert status_for(site, "127.0.0.7") == 403  # its table goes on
        assert "goes on" in words and "its processes die" in words
        assert os.readlink(f"/proc/{noah.process.pid}/exe") == BINARY
        assert noah.child("traffic") == traffic and not retired(noah)
        assert ask(kept).headers["Connection"] is None
        noah.wait_ready()
        done = load.done
        wait_for(lambda: load.done > done + 20, 30, "requests afterwards")
        assert load.stop() == []
        assert not noah.status()["warnings"]
        noah.reload(site.text(extra=f"log: {{ access: {tmp_path}/access.log }}"))
        site.get("/logged")
        wait_for(lambda: "/logged" in read(tmp_path / "access.log"), 20, "the line in the log")
        upgrade(noah)  # and to a good one all the same
        assert noah.child("traffic") != traffic


# ---- former generations


def test_retired_one_that_dies_is_told_and_its_lanes_are_free(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        traffic, kept = noah.child("traffic"), connect(site)
        upgrade(noah)
        os.kill(traffic, signal.SIGKILL)
        noah.wait_for_log(f"process {traffic}) died: signal 9")
        wait_for(lambda: noah.counter("connections_open") == 0, 20, "its connection not to be counted any more")
        assert not retired(noah) and site.get() == (200, b"hello")
        kept.close()
        upgrade(noah)


def test_retired_ones_are_bounded(tmp_path, site):
    with Noah(tmp_path, site.text(), arguments=["--threads", "1"]) as noah:
        kept = []
        for _ in range(16):
            kept.append(connect(site))
            upgrade(noah)
        words = upgrade(noah, expect=1)
        assert "--end-oldest" in words and "16 earlier generations" in words
        oldest = retired(noah)[0]["pid"]
        assert str(oldest) in upgrade(noah, "--end-oldest")
        wait_for(lambda: not is_alive(oldest), 20, "the oldest to end")
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(kept[0])
        upgrade(noah)
        ask(kept[1])
    assert "is ended" not in noah.log()
