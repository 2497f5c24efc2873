# SPDX-License-Identifier: BSD-2-Clause
"""`noah drain`, `undrain` and `weight`: what they say, and that it outlives reloads and upgrades."""
import json
import threading

import pytest

from support.mariadb import wait_for
from support.noah import Noah
from test_processes import App, Site


class TwoServers(Site):
    def __init__(self, app, other):
        super().__init__(app)
        self.other = other

    def text(self, listen=None, extra="", name="web2"):
        text = super().text(listen, extra)
        text = text.replace("sites:", f"  {name}: {{ address: {self.other.address} }}\nsites:", 1)
        return text.replace(f"apps: [web1:{self.app.port}]", f"apps: [web1:{self.app.port}, {name}:{self.other.port}]")


@pytest.fixture(name="site")
def make_site():
    app, other = App(), App()
    yield TwoServers(app, other)
    app.stop()
    other.stop()


def say(noah, *arguments, expect=0):
    result = noah.command(*arguments)
    output = result.stdout + result.stderr
    assert result.returncode == expect, output
    return output


def look(noah, *arguments):
    return json.loads(say(noah, *arguments, "--json"))


def test_words(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        words = say(noah, "drain", "web1")
        assert "web1 is drained" in words and "noah undrain web1" in words and "nothing is under way" in words
        assert "warning" not in words
        assert "site example.com has no other server" in say(noah, "drain", "web2")
        assert "web1 gets its share" in say(noah, "undrain", "web1")
        assert "web2 is drained" in say(noah, "weight", "web2", "40")
        assert "web2 gets 40 % of its share" in say(noah, "undrain", "web2")
        assert "only visitors who belong there" in say(noah, "weight", "web2", "0")
        assert "no site or TCP service" in say(noah, "drain", "front")
        assert look(noah, "drain", "web1") == {"server": "web1", "drained": True, "weight": 100, "under_way": 0,
                                               "serves": ["site example.com"],
                                               "warnings": ["site example.com has no other server that is up and in use, new visitors are refused"]}


def test_wrong_words(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        for name in ("drain", "undrain"):
            assert "did you mean web1?" in say(noah, name, "web11", expect=1)
            assert "noah plan" in say(noah, name, "something-else", expect=1)
            assert "name it web1" in say(noah, name, f"web1:{site.app.port}", expect=1)
            assert "which server?" in say(noah, name, expect=2)
            assert "one argument too many" in say(noah, name, "web1", "web2", expect=2)
            assert "no server's name" in say(noah, name, "web1 web2", expect=2)
        for percent in ("+1", "1001", "half", "", "5.5"):
            assert "from 0 to 1000" in say(noah, "weight", "web1", percent, expect=2)
        assert "from 0 to 1000" in say(noah, "weight", "web1", expect=2)
        assert "which server?" in say(noah, "weight", expect=2)
        assert look(noah, "undrain", "web1")["weight"] == 100


def test_kept_over_reload_upgrade_and_crash(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        say(noah, "drain", "web1")
        say(noah, "weight", "web2", "250")
        site.other.release.set()

        def is_kept():
            rows = {server["name"]: server for server in noah.status()["servers"]}
            return rows["web1"]["drained"] is True and rows["web2"]["drained"] is False and rows["web2"]["weight"] == 250
        assert is_kept()
        noah.reload(site.text(extra=f"log: {{ access: {tmp_path}/access.log }}"))
        assert is_kept()
        say(noah, "upgrade")
        assert is_kept()
        assert [site.get("/slow") for _ in range(8)] == [(200, b"hello")] * 8  # web1 would hold them
        noah.reload(site.text(name="web3"))
        assert [(server["name"], server["weight"]) for server in noah.status()["servers"]][-1] == ("web3", 100)


def test_wait_until_nothing_is_under_way(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(site.get("/slow", timeout=30))) for _ in range(12)]
        for thread in threads:
            thread.start()
        assert site.app.slow_arrived.wait(20) and site.other.slow_arrived.wait(20)
        wait_for(lambda: look(noah, "undrain", "web1")["under_way"] + look(noah, "undrain", "web2")["under_way"] == 12, 20,
                 "all requests to be under way")
        assert "still under way" in say(noah, "drain", "web1")
        mine = look(noah, "drain", "web1")["under_way"]
        say(noah, "upgrade")  # those of the former generation count too
        assert look(noah, "drain", "web1")["under_way"] == mine > 0
        done = []
        waiter = threading.Thread(target=lambda: done.append(say(noah, "drain", "web1", "--wait")))
        waiter.start()
        site.other.release.set()
        wait_for(lambda: len(answers) == 12 - mine, 20, "the other server's answers")
        assert waiter.is_alive() and not done
        site.app.release.set()
        waiter.join(30)
        assert "nothing is under way on web1 any more" in done[0]
        for thread in threads:
            thread.join(20)
        assert answers == [(200, b"hello")] * 12
        assert "nothing is under way there" in say(noah, "drain", "web1", "--wait")
        assert look(noah, "drain", "web1", "--wait")["under_way"] == 0
