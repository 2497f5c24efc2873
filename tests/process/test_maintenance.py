# SPDX-License-Identifier: BSD-2-Clause
"""`noah maintenance`: what visitors get, what goes on, when it ends, and that it outlives reloads and upgrades."""
import contextlib
import http.client
import json
import os
import socket
import threading
import time

import pytest

from support.exposition import parse, value
from support.mariadb import free_port, wait_for
from support.noah import Noah
from test_processes import App, Site


@pytest.fixture(name="site")
def make_site():
    app = App()
    yield Site(app)
    app.stop()


def say(noah, *arguments, expect=0):
    result = noah.command("maintenance", *arguments)
    output = result.stdout + result.stderr
    assert result.returncode == expect, output
    return output


def look(noah, *arguments):
    return json.loads(say(noah, *arguments, "--json"))


def ask(site, path="/", method="GET", headers=None):
    with contextlib.closing(http.client.HTTPConnection(site.address, site.port, timeout=20)) as connection:
        connection.request(method, path, headers={"Host": "example.com", **(headers or {})})
        answer = connection.getresponse()
        return answer, answer.read()


def of_status(noah):
    return noah.status()["sites"][0]["maintenance"]


def test_visitors_are_told_and_come_back(tmp_path, site):
    log = tmp_path / "access.log"
    with Noah(tmp_path, site.text(extra=f"log: {{ access: {log} }}")) as noah:
        assert "no site is in maintenance" in say(noah)
        assert of_status(noah) is None
        words = say(noah, "on", "example.com", "--for", "30m")
        assert "example.com: in maintenance since" in words and "(30 min)" in words and "noah's page; 0 so far" in words
        answer, page = ask(site)
        assert answer.status == 503 and b"being worked on" in page and b"about 30 minutes" in page
        assert 1700 <= int(answer.headers["Retry-After"]) <= 1800
        assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Content-Type"] == "text/html; charset=utf-8"
        head, nothing = ask(site, method="HEAD")
        assert head.status == 503 and nothing == b"" and head.headers["Content-Length"] == str(len(page))
        assert ask(site, method="POST")[0].status == 503
        wait_for(lambda: of_status(noah)["answered"] == 3, 10, "each to be counted, which is done when he has his answer")
        assert 1700 < of_status(noah)["left_s"] <= 1800
        assert "in maintenance since" in noah.command("status").stdout
        assert "3 so far" in say(noah) and look(noah)["sites"][0]["site"] == "example.com"
        assert noah.target(str(site.app.port))["health"] == "up"
        assert "not in maintenance" in say(noah, "off", "example.com")
        assert site.get() == (200, b"hello") and of_status(noah) is None and look(noah) == {"sites": []}
        wait_for(lambda: log.read_text().count(" 503 ") == 3, 10, "the access log")
        for line in (line for line in log.read_text().splitlines() if " 503 " in line):  # each thread writes its own when it likes
            assert " end=maintenance" in line and " server=- " in line and " ref=-" not in line
        # Nothing has failed: no word of it in noah's own log, no warning.
        assert "request failed" not in noah.log() and noah.status()["warnings"] == []


def test_it_ends_by_itself(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        say(noah, "on", "example.com", "--for", "ever")
        assert of_status(noah)["until"] is None and of_status(noah)["left_s"] is None
        assert ask(site)[0].headers["Retry-After"] == "300" and b"about 5 minutes" in ask(site)[1]
        assert "for ever, that is until" in say(noah)
        began = time.monotonic()
        say(noah, "on", "example.com", "--for", "3s")  # begins anew
        wait_for(lambda: ask(site)[0].status == 200, 30, "the site to be back")
        assert time.monotonic() - began >= 3 and of_status(noah) is None
        assert 3500 < (say(noah, "on", "example.com") and of_status(noah)["left_s"]) <= 3600


def test_kept_over_reload_upgrade_and_crash(tmp_path, site):
    with Noah(tmp_path, site.text(), expect_crashes=True) as noah:
        say(noah, "on", "example.com", "--for", "2h")
        since = of_status(noah)["since"]
        noah.reload(site.text(extra=f"log: {{ access: {tmp_path}/access.log }}"))
        assert ask(site)[0].status == 503
        assert noah.command("upgrade").returncode == 0
        assert ask(site)[0].status == 503
        traffic = noah.child("traffic")
        os.kill(traffic, 9)
        wait_for(lambda: noah.child("traffic") not in (None, traffic) and noah.status()["ready"], 20, "traffic to be back")
        assert ask(site)[0].status == 503 and of_status(noah)["since"] == since
        say(noah, "off", "example.com")
        assert site.get() == (200, b"hello")


def test_a_site_that_changes_its_key_or_comes_back(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        say(noah, "on", "example.com")
        other = site.text().replace("  example.com:", "  example.org:")
        noah.reload(other)
        assert site.get() == (200, b"hello") and look(noah) == {"sites": []}
        assert "did you mean example.org?" in say(noah, "off", "example.com", expect=1)
        for text in (other.replace("example.org", "example.net"), other, site.text()):
            noah.reload(text)
        assert ask(site)[0].status == 503 and look(noah)["sites"][0]["site"] == "example.com"
        say(noah, "off", "example.com")
        assert site.get() == (200, b"hello")


def test_what_goes_on(tmp_path, site):
    """A request that has begun, a kept connection, and the challenges of a certificate authority."""
    with Noah(tmp_path, site.text()) as noah:
        slow = http.client.HTTPConnection(site.address, site.port, timeout=20)
        slow.request("GET", "/slow", headers={"Host": "example.com"})
        assert site.app.slow_arrived.wait(20)
        say(noah, "on", "example.com")
        assert ask(site)[0].status == 503
        site.app.release.set()
        answer = slow.getresponse()
        assert answer.status == 200 and answer.read() == b"hello"
        slow.request("GET", "/", headers={"Host": "example.com"})  # the same connection, a new request
        answer = slow.getresponse()
        assert answer.status == 503 and b"worked on" in answer.read()
        slow.close()
        assert ask(site, "/.well-known/acme-challenge/aZ0-_token")[0].status == 200
        for path in ("/.well-known/acme-challenge/", "/.well-known/acme-challenge/../../admin", "/.well-known/acme-challenge/a/b",
                     "/.well-known/acme-challenge/%2e%2e", "/x/.well-known/acme-challenge/a"):
            assert ask(site, path)[0].status == 503, path


class Tunnel:
    """Agrees to every upgrade and echoes."""

    def __init__(self, address):
        self.listener = socket.create_server((address, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    @staticmethod
    def _serve(connection):
        with connection, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            while piece := connection.recv(4096):
                connection.sendall(piece)


def test_an_open_tunnel_stays_and_a_new_one_is_refused(tmp_path, site):
    tunnel = Tunnel(site.app.address)
    site.app.server.server_close()
    text = site.text().replace(f"web1:{site.app.port}", f"web1:{tunnel.port}")
    upgrade = b"GET /ws HTTP/1.1\r\nHost: example.com\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" \
              b"Sec-WebSocket-Version: 13\r\n\r\n"

    def begin():
        connection = socket.create_connection((site.address, site.port), 20)
        connection.sendall(upgrade)
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
        return connection, head.split()[1]

    with Noah(tmp_path, text) as noah:
        before, status = begin()
        assert status == b"101"
        say(noah, "on", "example.com")
        new, status = begin()
        new.close()
        assert status == b"503"
        before.sendall(b"still here")
        assert before.recv(100) == b"still here"
        before.close()
    tunnel.listener.close()


def test_words(tmp_path, site):
    text = site.text().replace("    on: [front]", "    on: [front]\n    names: [www.example.com]")
    with Noah(tmp_path, text) as noah:
        assert "did you mean example.com?" in say(noah, "on", "exmaple.com", expect=1)
        assert "noah plan" in say(noah, "off", "something-else-entirely", expect=1)
        assert "name it example.com" in say(noah, "on", "www.example.com", expect=1)
        assert "which site?" in say(noah, "on", expect=2) and "which site?" in say(noah, "off", expect=2)
        assert "on or off?" in say(noah, "onn", "example.com", expect=2)
        assert "goes with on" in say(noah, "off", "example.com", "--for", "1h", expect=2)
        assert "goes with on" in say(noah, "--for", "1h", expect=2)
        assert "one argument too many" in say(noah, "on", "example.com", "www", expect=2)
        for time_ in ("30", "m", "0m", "-1m", "1.5h", "367d", "99999999999999999999s", "", "forever", "1w"):
            assert "such as 90s, 30m" in say(noah, "on", "example.com", "--for", time_, expect=2), time_
        assert "no site's name" in say(noah, "on", "example.com x", expect=2)
        assert look(noah) == {"sites": []}
        assert say(noah, "on", "example.com", "--for", "366d") and of_status(noah)["left_s"] > 365 * 86400
        assert ask(site)[0].headers["Retry-After"] == "86400"
    result = noah.command("maintenance")
    assert result.returncode == 1 and "noah is not running" in result.stderr


def test_a_site_of_other_servers(tmp_path, site):
    text = site.text() + f"""
  elsewhere.example:
    on: [web1]
    listen: ["{site.app.address}:{free_port(site.app.address)}"]
    apps: [web1:{site.app.port}]
    check: {{ tcp: true, every: 1s, timeout: 1s }}
"""
    with Noah(tmp_path, text) as noah:
        assert "noah does not serve elsewhere.example on this server" in say(noah, "on", "elsewhere.example")
        assert site.get() == (200, b"hello")


def test_metrics(tmp_path, site):
    admin = free_port(site.address)
    with Noah(tmp_path, site.text(extra=f'admin: {{ listen: "{site.address}:{admin}" }}')) as noah:
        def number(name):
            with contextlib.closing(http.client.HTTPConnection(site.address, admin, timeout=20)) as connection:
                connection.request("GET", "/metrics")
                return value(parse(connection.getresponse().read().decode()), name, site="example.com")
        assert number("noah_site_maintenance") == 0
        say(noah, "on", "example.com")
        assert ask(site)[0].status == 503
        wait_for(lambda: number("noah_site_maintenance") == 1 and number("noah_site_maintenance_total") == 1, 20, "the metrics")
