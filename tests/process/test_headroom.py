# SPDX-License-Identifier: BSD-2-Clause
"""The most that was under way lately, and the warning that the rest could not carry the loss of one server."""
import contextlib
import http.client
import os
import threading

import pytest

from support.exposition import parse, value
from support.mariadb import free_port, wait_for
from support.noah import Noah
from test_drain import TwoServers
from test_processes import App

CAPS = "    connections: 4\n"


class Patient(TwoServers):
    """On a machine that is busy with other tests, apps that are slow to accept are not down."""

    def text(self, *arguments, **more):
        text = super().text(*arguments, **more)
        return text.replace("every: 1s, timeout: 1s }", "every: 10s, timeout: 10s, fall: 5 }\n    timeouts: { connect: 20s }", 1)


@pytest.fixture(name="site")
def make_site():
    app, other = App(), App()
    yield Patient(app, other)
    app.stop()
    other.stop()


@contextlib.contextmanager
def under_way(site, count):
    """So many requests at once, held by the apps."""
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(site.get("/slow", timeout=30))) for _ in range(count)]
    for thread in threads:
        thread.start()
    yield
    site.app.release.set()
    site.other.release.set()
    for thread in threads:
        thread.join(30)
    assert answers == [(200, b"hello")] * count


def headroom(noah):
    return noah.status()["sites"][0]["headroom"]


def wait_for_peak(noah, peak):
    def is_it():
        seen = noah.status()
        assert seen["sites"][0]["headroom"]["peak"] == peak, (seen["sites"], seen["warnings"])
        return True
    wait_for(is_it, 30, f"the peak of {peak}")


def test_a_warning_from_measured_traffic(tmp_path, site):
    admin = free_port(site.address)
    extra = f'{CAPS}admin: {{ listen: "{site.address}:{admin}" }}'
    with Noah(tmp_path, site.text(extra=extra), expect_crashes=True) as noah:
        assert headroom(noah) == {"peak": 0, "minutes": 15, "capacity": 8, "loss": "web1", "without_one": 4, "enough": True}
        with under_way(site, 4):
            wait_for_peak(noah, 4)
            assert headroom(noah)["enough"] is True and noah.status()["warnings"] == []
        assert noah.command("drain", "web2").returncode == 0
        words = noah.status()["warnings"]
        assert len(words) == 1 and "site example.com: the loss of web1 would overload the rest: up to 4 requests" in words[0]
        assert "nobody else would be left" in words[0]
        assert noah.command("undrain", "web2").returncode == 0
        assert noah.status()["warnings"] == []
        site.app.release.clear()
        site.other.release.clear()
        with under_way(site, 10):  # two of them in line
            wait_for_peak(noah, 10)
        # It is remembered: over a crash of watch, a reload and an upgrade.
        watch = noah.child("watch")
        os.kill(watch, 9)
        wait_for(lambda: noah.child("watch") not in (None, watch) and noah.status()["ready"], 20, "watch to be back")
        noah.reload(site.text(extra=extra + f"\nlog: {{ access: {tmp_path}/access.log }}"))
        assert noah.command("upgrade").returncode == 0
        wait_for(lambda: noah.status()["ready"], 20, "the new program")
        assert headroom(noah) == {"peak": 10, "minutes": 15, "capacity": 8, "loss": "web1", "without_one": 4, "enough": False}
        words = [word for word in noah.status()["warnings"] if "overload" in word]
        assert len(words) == 1 and "the others may have 4" in words[0] and "up to 10 requests" in words[0]
        assert "at most 10 under way at once in the last 15 minutes of 8 that there is room for, 4 without web1" in noah.command("status").stdout

        def number(name):
            with contextlib.closing(http.client.HTTPConnection(site.address, admin, timeout=20)) as connection:
                connection.request("GET", "/metrics")
                return value(parse(connection.getresponse().read().decode()), name, kind="site", name="example.com", route="")
        assert number("noah_group_peak") == 10
        assert number("noah_group_capacity") == 8 and number("noah_group_capacity_without_one") == 4


def test_without_caps_nothing_is_said(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        with under_way(site, 6):
            wait_for_peak(noah, 6)
        assert headroom(noah) == {"peak": 6, "minutes": 15, "capacity": None, "loss": None, "without_one": None, "enough": None}
        assert noah.status()["warnings"] == []
        assert "at most 6 under way at once in the last 15 minutes\n" in noah.command("status").stdout
        # Other servers are another group: it begins anew.
        noah.reload(site.text(name="web3"))
        assert headroom(noah)["peak"] in (0, 6)  # the same addresses with the same check are the same group
        noah.reload(site.text().replace("tcp: true", "get: /"))
        assert headroom(noah)["peak"] == 0
