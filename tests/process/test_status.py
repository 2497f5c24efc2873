# SPDX-License-Identifier: BSD-2-Clause
"""What `noah status` says of sites with everything: certificates, routes, caps, services, drained servers."""
import contextlib
import socket
import subprocess

import pytest

from support.mariadb import free_port, wait_for
from support.noah import Noah, local_address
from test_processes import App, Site


class Everything(Site):
    def __init__(self, app, directory, days):
        super().__init__(app)
        self.secure, self.service = free_port(self.address), free_port(self.address)
        self.pem = directory / "site.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", str(days),
                        "-subj", "/CN=example.com", "-addext", "subjectAltName=DNS:example.com", "-keyout", directory / "key",
                        "-out", directory / "chain"], check=True, stderr=subprocess.DEVNULL)
        self.pem.write_text((directory / "chain").read_text() + (directory / "key").read_text())

    def text(self, listen=None, extra=""):
        return f"""
cluster: test
servers:
  front: {{ address: {self.address} }}
  web1: {{ address: {self.app.address} }}
sites:
  example.com:
    on: [front]
    listen: ["{self.address}:{self.port}", "https:{self.address}:{self.secure}"]
    certificate: {self.pem}
    https: {{ redirect: false }}
    apps: [{{ server: web1:{self.app.port}, connections: 2 }}]
    check: {{ tcp: true, every: 1s, timeout: 1s }}
    routes:
      - {{ path: /api/, apps: [{{ server: web1:{self.app.port}, connections: 2 }}] }}
services:
  git:
    on: [front]
    listen: ["{self.address}:{self.service}"]
    servers: [{{ server: web1:{self.app.port}, connections: 2 }}]
    check: {{ tcp: true, every: 1s, timeout: 1s }}
{extra}
"""


@pytest.fixture(name="app")
def make_app():
    app = App()
    yield app
    app.stop()


def test_everything(tmp_path, app):
    site = Everything(app, tmp_path, days=5)
    with Noah(tmp_path, site.text()) as noah:
        held = [socket.create_connection((site.address, site.port), 20) for _ in range(3)]
        for client in held:
            client.sendall(b"GET /slow HTTP/1.1\r\nHost: example.com\r\n\r\n")
        name = f"web1:{app.port}"

        def is_full():
            target = noah.status()["sites"][0]["apps"][0]
            return (target["connections"], target["connections_most"], target["waiting"]) == (2, 2, 1)
        wait_for(is_full, 20, "two connections to be in use and one request to wait")
        status = noah.status()
        shown = status["sites"][0]
        assert shown["listen"] == [f"{site.address}:{site.port}", f"https:{site.address}:{site.secure}"]
        assert [route["path"] for route in shown["routes"]] == ["/api/"] and shown["routes"][0]["apps"][0]["name"] == name
        assert status["services"][0]["name"] == "git" and status["services"][0]["servers"][0]["name"] == name
        certificate = status["certificates"][0]
        assert certificate["site"] == "example.com" and certificate["names"] == "example.com" and not certificate["self_signed"]
        assert any(warning.startswith("site example.com: certificate: ") and "expires at" in warning for warning in status["warnings"])
        words = noah.command("status").stdout
        assert "2 of 2 connections, 1 waiting" in words and "certificate example.com of " in words and "\nservice git" in words
        assert "  /api/:" in words and "(checked 20" in words and "warning: site example.com: certificate: expires at" in words
        assert noah.command("drain", "web1").returncode == 0
        words = noah.command("status").stdout
        assert f"{name}" in words and " drained" in words
        line = noah.command("status", "--line").stdout
        assert f"example.com: {name} drained" in line and f" | example.com /api/: {name} drained" in line and f" | git: {name} drained" in line
        assert "warning: site example.com: no server is up and in use" in words and "warning: service git: no server" in words
        app.release.set()
        for client in held:
            with contextlib.closing(client):
                client.settimeout(20)
                assert client.recv(100).startswith(b"HTTP/1.1 ")


def test_certificate_that_is_good_is_no_warning(tmp_path, app):
    site = Everything(app, tmp_path, days=60)
    with Noah(tmp_path, site.text()) as noah:
        assert noah.status()["certificates"][0]["not_after"] and not noah.status()["warnings"]
        assert "warning" not in noah.command("status").stdout


def test_down_is_said_of_a_drained_server_too(tmp_path, app):
    site = Site(app)
    with Noah(tmp_path, site.text()) as noah:
        app.stop()
        wait_for(lambda: noah.status()["sites"][0]["apps"][0]["health"] == "down", 20, "the app to be down")
        assert noah.command("drain", "web1").returncode == 0
        words = noah.command("status").stdout
        shown = next(line for line in words.splitlines() if f"web1:{app.port}" in line)
        assert " down " in shown and ", drained" in shown and "connection refused" in shown


def test_servers_that_are_tried_for_files(tmp_path, app):
    """Those of the site and of its routes, once each; nobody is warned when none of them is up."""
    address = Site(app).address
    text = f"""
cluster: test
servers: {{ front: {{ address: {address} }}, web1: {{ address: {app.address} }}, gone: {{ address: {local_address()} }} }}
sites:
  example.com:
    on: [front]
    listen: ["{address}:{free_port(address)}"]
    apps: [web1:{app.port}]
    check: {{ tcp: true, every: 1s, timeout: 1s }}
    static: {{ root: {tmp_path}, try: [gone:1] }}
    routes: [{{ path: /images/, static: {{ root: {tmp_path}, try: [gone:1, gone:2] }} }}]
"""
    with Noah(tmp_path, text) as noah:
        tried = noah.status()["sites"][0]["tried"]
        assert [(target["name"], target["health"]) for target in tried] == [("gone:1", "down"), ("gone:2", "down")]
        assert noah.status()["warnings"] == []
        words = noah.command("status").stdout
        assert words.index("asked for files that are not here:\n  gone:1 ") < words.index("  gone:2 ")
