# SPDX-License-Identifier: BSD-2-Clause
"""The admin listener: metrics in the strict format, the same numbers as the access log, and no way to disturb the checks."""
import contextlib
import http.client
import os
import re
import shutil
import socket
import subprocess
import threading

import pytest

from support.exposition import parse, total, value
from support.mariadb import free_port, wait_for
from support.noah import ROOT, Noah, local_address
from test_processes import App

FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Site:
    """One site in front of one app, with metrics."""

    def __init__(self, directory, app, threads=2, more="", extra=""):
        self.address = local_address()
        self.port, self.admin = free_port(self.address), free_port(self.address)
        self.log_file = os.path.join(str(directory), "access.log")
        self.app, self.more, self.extra = app, more, extra
        self.noah = Noah(directory, self.text(), arguments=["--threads", str(threads)])

    def text(self, admin=True):
        listen = f'admin: {{ listen: "{self.address}:{self.admin}" }}' if admin else ""
        return f"""
cluster: test
servers:
  front: {{ address: {self.address} }}
  web1: {{ address: {self.app.address} }}
sites:
  example.com:
    on: [front]
    listen: ["{self.address}:{self.port}"]
    apps: [web1:{self.app.port}]
    check: {{ get: /, every: 1s, timeout: 1s, rise: 1, fall: 3 }}
{self.more}
log: {{ access: {self.log_file} }}
{listen}
{self.extra}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        self.noah.__exit__(kind, *ignored)

    def get(self, path="/", method="GET", host="example.com"):
        with contextlib.closing(http.client.HTTPConnection(self.address, self.port, timeout=30)) as connection:
            connection.request(method, path, headers={"Host": host})
            return connection.getresponse().read()

    def ask(self, path="/metrics", method="GET", body=None):
        with contextlib.closing(http.client.HTTPConnection(self.address, self.admin, timeout=30)) as connection:
            connection.request(method, path, body=body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def metrics(self):
        status, text, _ = self.ask()
        assert status == 200
        return parse(text)

    def raw(self, sent):
        """What the admin listener answers to these bytes, until it closes."""
        with contextlib.closing(socket.create_connection((self.address, self.admin), 30)) as connection:
            connection.sendall(sent)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
            return answer


@pytest.fixture
def app():
    app = App()
    yield app
    app.stop()


@pytest.fixture
def site(tmp_path, app):
    with Site(tmp_path, app) as site:
        yield site


def lines_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read().splitlines()


def test_metrics_and_log_say_the_same(site):
    for number in range(30):
        site.get(f"/{number}")
    site.get("/", host="nobody.example")  # one site answers every name
    site.get("/", method="TRACE")         # 405, before any site is looked at
    with contextlib.closing(socket.create_connection((site.address, site.port), 30)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost : example.com\r\n\r\n")
        assert b" 400 " in connection.recv(4096)
    wait_for(lambda: len(lines_of(site.log_file)) == 33, 10, "33 lines")
    lines = lines_of(site.log_file)

    def settled():
        families = site.metrics()
        assert value(families, "noah_requests_total") + value(families, "noah_requests_failed_total") == len(lines)
        for digit in "2345":
            logged = sum(bool(re.search(rf'" {digit}\d\d ', line)) for line in lines)
            assert value(families, f"noah_answers_{digit}xx_total") == logged, digit
        with_site = [line for line in lines if "site=example.com " in line]
        assert len(with_site) == 31
        assert value(families, "noah_site_requests_total", site="example.com") == 31
        assert total(families, "noah_site_answers_total", site="example.com") == 31
        assert value(families, "noah_site_request_seconds", "_count", site="example.com") == 31
        for direction in ("in", "out"):
            logged = sum(int(re.search(rf" {direction}=(\d+)", line).group(1)) for line in with_site)
            assert value(families, "noah_site_bytes_total", site="example.com", direction=direction) == logged
        assert value(families, "noah_target_served_total", server=f"web1:{site.app.port}") == 31
        assert value(families, "noah_log_lines_lost_total") == 0
        return True

    wait_for(settled, 10, "the numbers of the log")


class TunnelApp:
    """Grants every WebSocket, says one word in it and ends it; other requests get 200."""

    def __init__(self):
        self.address = local_address()
        self.listener = socket.create_server((self.address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                threading.Thread(target=self.talk, args=(connection,), daemon=True).start()

    def talk(self, connection):
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(65536)
                if not piece:
                    return
                head += piece
            if b"upgrade: websocket" in head.lower():
                connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                   b"Sec-WebSocket-Accept: x\r\n\r\nword")
            else:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def stop(self):
        self.listener.close()


def test_a_tunnel_is_one_line_and_one_request(tmp_path):
    app = TunnelApp()
    with Site(tmp_path, app) as site:
        with contextlib.closing(socket.create_connection((site.address, site.port), 30)) as visitor:
            visitor.sendall(b"GET /t HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\n\r\n")
            answer = b""
            while piece := visitor.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 101 ") and answer.endswith(b"word")
        wait_for(lambda: len(lines_of(site.log_file)) == 1, 10, "the tunnel's line")
        assert re.search(r'"GET /t HTTP/1.1" 101 4 .* end=tunnel$', lines_of(site.log_file)[0])

        def settled():
            families = site.metrics()
            assert value(families, "noah_requests_total") == value(families, "noah_site_requests_total", site="example.com") == 1
            assert value(families, "noah_requests_failed_total") == 0
            assert value(families, "noah_site_answers_total", **{"site": "example.com", "class": "1xx"}) == 1
            assert value(families, "noah_site_request_seconds", "_count", site="example.com") == 0
            assert value(families, "noah_tunnels_open") == 0
            return True
        wait_for(settled, 10, "the metrics to say the same")
    app.stop()


def test_metrics_tell_of_targets_groups_and_processes(site):
    families = site.metrics()
    server = f"web1:{site.app.port}"
    assert value(families, "noah_target_up", server=server) == 1
    assert value(families, "noah_target_usable", server=server) == 1
    assert 0 < value(families, "noah_target_check_seconds", server=server) < 10
    assert value(families, "noah_group_servers", kind="site", name="example.com", route="") == 1
    assert value(families, "noah_group_servers_usable", name="example.com") == 1
    assert value(families, "noah_server_drained", server="web1") == 0
    assert value(families, "noah_server_weight_percent", server="web1") == 100
    assert value(families, "noah_process_restarts_total", process="traffic") == 0
    assert value(families, "noah_process_restarts_total", process="watch") == 0
    assert value(families, "noah_build_info", version=open(os.path.join(ROOT, "VERSION"), encoding="ascii").read().strip()) == 1
    site.app.stop()
    wait_for(lambda: value(site.metrics(), "noah_target_up", server=server) == 0, 30, "the app to be down")
    assert value(site.metrics(), "noah_group_servers_usable", name="example.com") == 0


def test_a_drained_server_is_none_that_a_site_has_left(site):
    wait_for(lambda: value(site.metrics(), "noah_group_servers_usable", name="example.com") == 1, 20, "the app to be up")
    assert site.noah.command("drain", "web1").returncode == 0
    wait_for(lambda: value(site.metrics(), "noah_group_servers_usable", name="example.com") == 0, 20, "the metrics to say so")
    assert site.noah.command("undrain", "web1").returncode == 0
    wait_for(lambda: value(site.metrics(), "noah_group_servers_usable", name="example.com") == 1, 20, "it to count again")


def test_what_is_there_and_what_is_not(site):
    status, text, headers = site.ask("/")
    assert status == 200 and "/metrics" in text and headers["Content-Type"].startswith("text/plain")
    status, text, headers = site.ask("/metrics")
    assert status == 200 and headers["Content-Type"] == FORMAT and headers["Connection"] == "close"
    assert site.ask("/metrics?name[]=x")[0] == 200
    status, text, headers = site.ask("/metrics", "HEAD")
    assert status == 200 and text == "" and int(headers["Content-Length"]) > 1000
    for path in ("/metrics/", "/metricsx", "/status", "//metrics", "/%6detrics", "/..//metrics"):
        assert site.ask(path)[0] == 404, path
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        status, _, headers = site.ask("/metrics", method)
        assert status == 405 and headers["Allow"] == "GET, HEAD"
    assert site.raw(b"GET /metrics HTTP/1.1\n\n").startswith(b"HTTP/1.1 400 ")
    assert site.raw(b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: " + b"x" * 20000 + b"\r\n\r\n").startswith(b"HTTP/1.1 431 ")
    assert b"200 OK" in site.raw(b"GET / HTTP/1.0\r\n\r\n")


def test_idle_clients_do_not_disturb_the_checks(site):
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection((site.address, site.admin), 30)) for _ in range(16)]
        for connection in held:
            connection.sendall(b"GET /metrics HT")

        def refused():
            with contextlib.closing(socket.create_connection((site.address, site.admin), 30)) as more:
                return more.recv(1) == b""
        assert refused()
        before = site.noah.target("/")["checked"]
        wait_for(lambda: site.noah.target("/")["checked"] > before, 10, "another check")
        # Each is ended after ten seconds at most, whatever it does; then there is room again.
        for connection in held:
            assert connection.recv(1) == b""
    wait_for(lambda: site.ask()[0] == 200, 10, "room for one more")


def test_admin_listener_comes_and_goes_with_a_reload(site):
    assert site.ask()[0] == 200
    site.noah.reload(site.text(admin=False))

    def is_closed():  # watch lets go of it a moment after the reload
        try:
            site.ask()
        except ConnectionResetError:
            return False
        except ConnectionRefusedError:
            return True
        return False
    wait_for(is_closed, 10, "the listener to be closed")
    site.noah.reload(site.text())
    wait_for(lambda: value(site.metrics(), "noah_snapshot_generation") == 3, 10, "the third file")
    # watch that has died gets its listener again
    pid = site.noah.child("watch")
    os.kill(pid, 9)
    wait_for(lambda: value(site.metrics(), "noah_process_restarts_total", process="watch") == 1, 30, "watch to be back")


def test_every_metric_is_documented(site):
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as file:
        documented = set(re.findall(r"^\| `(noah_[a-z0-9_]+)`", file.read(), re.M))
    written = set(site.metrics())
    assert written == documented, f"not documented: {written - documented}; not written: {documented - written}"


def test_promtool_agrees(site):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (package prometheus)")
    site.get("/")
    checked = subprocess.run([promtool, "check", "metrics"], input=site.ask()[1], text=True, capture_output=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
