# SPDX-License-Identifier: BSD-2-Clause
"""Checks: what is up, what is down, why, and when that changes."""
import contextlib
import hashlib
import http.server
import os
import signal
import threading

import pytest

from support.acceptor import Acceptor
from support.mariadb import free_port, wait_for
from support.noah import Noah, local_address


class App:
    """An application server whose answer the test chooses. `seen` gathers the requests' heads."""

    def __init__(self):
        self.address = local_address()
        self.status, self.body, self.chunked, self.answers = 200, b"fine\n", False, True
        self.seen = []
        self.port = free_port(self.address)
        self.server = None
        self.start()

    def start(self):
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):  # noqa: N802
                app.seen.append((self.path, dict(self.headers)))
                if not app.answers:
                    app.stopped.wait(30)
                    return
                self.send_response(app.status)
                if app.chunked:
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for byte in app.body:
                        self.wfile.write(b"1\r\n" + bytes([byte]) + b"\r\n")
                    self.wfile.write(b"0\r\n\r\n")
                else:
                    self.send_header("Content-Length", str(len(app.body)))
                    self.end_headers()
                    self.wfile.write(app.body)

            def log_message(self, *ignored):
                pass

        self.stopped = threading.Event()
        self.server = http.server.ThreadingHTTPServer((self.address, self.port), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        if self.server is not None:
            self.stopped.set()
            self.server.shutdown()
            self.server.server_close()
            self.server = None

    @property
    def place(self):
        return f"{self.address}:{self.port}"


@pytest.fixture(name="app")
def make_app():
    app = App()
    yield app
    app.stop()


def cluster_file(app, check, more=""):
    front = local_address()
    return f"""
cluster: test
servers:
  front: {{ address: {front} }}
  web1: {{ address: {app.address} }}
sites:
  example.com:
    on: [front]
    listen: ["{front}:{free_port(front)}"]
    apps: [web1:{app.port}]
    check: {{ {check} }}
{more}
"""


def test_first_success_is_enough_later_ones_need_rise(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "get: /servercheck.txt, every: 300ms, timeout: 300ms, rise: 3, fall: 2")) as noah:
        assert noah.target(app.place)["health"] == "up"
        assert noah.target(app.place)["reason"].startswith("200 OK in ")
        assert app.seen[0][0] == "/servercheck.txt"
        app.status = 503
        noah.wait_for_health(app.place, "down")
        assert noah.target(app.place)["reason"] == "503 Service Unavailable, but 200-399 is expected"
        before = len(app.seen)
        app.status = 204
        app.body = b""
        noah.wait_for_health(app.place, "up")
        assert len(app.seen) - before >= 3
        log = noah.log()
        assert f"web1:{app.port} is down: 503" in log and f"web1:{app.port} is up: 204" in log


def test_single_failures_change_nothing_below_fall(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "get: /, every: 300ms, timeout: 300ms, fall: 100")) as noah:
        app.status = 500
        wait_for(lambda: "500" in noah.target(app.place)["reason"], 10, "a failed check")
        checks = len(app.seen)
        wait_for(lambda: len(app.seen) > checks + 5, 10, "more checks")
        assert noah.target(app.place)["health"] == "up"


def test_nothing_is_up_before_its_first_success(tmp_path, app):
    app.stop()
    with Noah(tmp_path, cluster_file(app, "get: /, every: 300ms, timeout: 300ms, rise: 2, fall: 50")) as noah:
        assert noah.target(app.place)["health"] == "down"  # at once, though fall is 50
        assert noah.target(app.place)["reason"] == "connection refused"
        app.start()
        noah.wait_for_health(app.place, "up")


def test_status_range(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "get: /, status: 418, every: 300ms, timeout: 300ms, rise: 1, fall: 1")) as noah:
        assert noah.target(app.place)["health"] == "down"
        app.status = 418
        noah.wait_for_health(app.place, "up")


@pytest.mark.parametrize("name", ["md5", "sha256"])
@pytest.mark.parametrize("chunked", [False, True])
def test_digest_of_the_body(tmp_path, app, name, chunked):
    app.chunked = chunked
    app.body = b"the right page\n" * 20
    digest = hashlib.new(name, app.body).hexdigest()
    check = f"get: /page, {name}: {digest}, every: 200ms, timeout: 200ms, rise: 1, fall: 1"
    with Noah(tmp_path, cluster_file(app, check)) as noah:
        noah.wait_for_health(app.place, "up")
        app.body = b"another page\n"
        noah.wait_for_health(app.place, "down")
        reason = noah.target(app.place)["reason"]
        assert hashlib.new(name, app.body).hexdigest() in reason and digest in reason and "body differs" in reason


def test_host_of_the_check(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "get: /x, host: shop.example.com, every: 1s, timeout: 1s")):
        assert app.seen[0][1]["Host"] == "shop.example.com"
        assert app.seen[0][1]["Connection"] == "close"


def test_no_answer_in_time(tmp_path, app):
    app.answers = False
    with Noah(tmp_path, cluster_file(app, "get: /, every: 300ms, timeout: 250ms")) as noah:
        assert noah.target(app.place)["health"] == "down"
        assert noah.target(app.place)["reason"] == "timed out after 0.25 s while waiting for the answer"


@pytest.mark.parametrize("answer, reason", [
    (b"SSH-2.0-OpenSSH\r\n\r\n", "bad answer"),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "closed the connection while reading the body"),
    (b"", "closed the connection while waiting for the answer"),
])
def test_bad_answers(tmp_path, app, answer, reason):
    app.stop()

    def serve(connection):
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            connection.sendall(answer)

    with Acceptor(app.address, serve, app.port):
        check = "get: /, md5: d41d8cd98f00b204e9800998ecf8427e, every: 200ms, timeout: 200ms"
        with Noah(tmp_path, cluster_file(app, check)) as noah:
            wait_for(lambda: reason in noah.target(app.place)["reason"], 10, reason)
            assert noah.target(app.place)["health"] == "down"


def test_tcp_check(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "tcp: true, every: 300ms, timeout: 300ms, fall: 2")) as noah:
        assert noah.target(app.place)["health"] == "up"
        assert noah.target(app.place)["reason"].startswith("connected in ")
        app.stop()
        noah.wait_for_health(app.place, "down")
        assert noah.target(app.place)["reason"] == "connection refused"
        app.start()
        noah.wait_for_health(app.place, "up")


def test_states_survive_reload(tmp_path, app):
    check = "get: /, every: 300ms, timeout: 300ms, rise: 100, fall: 2"
    text = cluster_file(app, check)
    with Noah(tmp_path, text) as noah:
        app.status = 500
        noah.wait_for_health(app.place, "down")
        since = noah.target(app.place)["since"]
        app.status = 200
        noah.reload(text.replace("on: [front]", "on: [front]\n    names: [www.example.com]"))
        wait_for(lambda: noah.target(app.place)["reason"].startswith("200"), 10, "a check after the reload")
        # It would be up at once if it counted as new.
        assert noah.target(app.place)["health"] == "down"
        assert noah.target(app.place)["since"] == since


def test_reload_with_another_check_leaves_the_site_served(tmp_path, app):
    text = cluster_file(app, "get: /, every: 1s, timeout: 1s, rise: 2, fall: 50")
    other = App()
    try:
        with Noah(tmp_path, text) as noah:
            watch = noah.child("watch")
            os.kill(watch, signal.SIGSTOP)  # so that nobody checks anything after the reload
            changed = text.replace("get: /", "get: /other").replace("sites:", f"  web2: {{ address: {other.address} }}\nsites:")
            noah.write(changed.replace(f"web1:{app.port}]", f"web1:{app.port}, web2:{other.port}]"))
            reload = threading.Thread(target=noah.command, args=("reload",))
            reload.start()
            wait_for(lambda: noah.status()["generation"] == 2, 10, "the second snapshot")
            assert noah.target(app.place)["health"] == "up" and noah.target(app.place)["usable"]
            assert "carried over" in noah.target(app.place)["reason"] and "/other" in noah.target(app.place)["key"]
            assert noah.target(other.place)["health"] == "not checked yet"  # a new server proves itself first
            app.status = 500
            os.kill(watch, signal.SIGCONT)
            reload.join(20)
            # The first check decides, though fall is 50.
            noah.wait_for_health(app.place, "down")
            noah.wait_for_health(other.place, "up")
    finally:
        other.stop()


def test_states_survive_a_crash_of_watch(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "get: /, every: 300ms, timeout: 300ms, rise: 100, fall: 2")) as noah:
        app.status = 500
        noah.wait_for_health(app.place, "down")
        since = noah.target(app.place)["since"]
        app.status = 200
        before = noah.child("watch")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: noah.child("watch") not in (None, before), 10, "a new watch")
        wait_for(lambda: noah.target(app.place)["reason"].startswith("200"), 10, "a check by the new watch")
        assert noah.target(app.place)["health"] == "down"
        assert noah.target(app.place)["since"] == since


def test_removed_targets_are_no_longer_checked(tmp_path, app):
    other = App()
    text = cluster_file(app, "get: /, every: 300ms, timeout: 300ms").replace(
        "sites:", f"  web2: {{ address: {other.address} }}\nsites:").replace(f"web1:{app.port}]", f"web1:{app.port}, web2:{other.port}]")
    try:
        with Noah(tmp_path, text) as noah:
            noah.reload(text.replace(f", web2:{other.port}]", "]"))
            assert [target["address"] for target in noah.status()["targets"]] == [app.place]
            seen, mine = len(other.seen), len(app.seen)
            wait_for(lambda: len(app.seen) > mine + 5, 10, "more checks of web1")
            assert len(other.seen) <= seen + 1  # one may have been under way
    finally:
        other.stop()


def test_silent_watch_is_a_warning(tmp_path, app):
    with Noah(tmp_path, cluster_file(app, "get: /, every: 1s, timeout: 1s")) as noah:
        watch = noah.child("watch")
        os.kill(watch, signal.SIGSTOP)
        try:
            wait_for(lambda: any("watch has been silent" in warning for warning in noah.status()["warnings"]), 20, "the warning")
        finally:
            os.kill(watch, signal.SIGCONT)
        wait_for(lambda: not noah.status()["warnings"], 10, "the warning to go")
