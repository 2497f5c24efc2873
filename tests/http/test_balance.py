# SPDX-License-Identifier: BSD-2-Clause
"""How requests are shared out: weights, backups, hashing, latency, slow start, sticky cookies, and what an administrator says of a
server."""
import collections
import contextlib
import http.client
import re
import ssl
import threading

import pytest
from capped_site import CappedSite, receive
from support.noah import wait_for


def shares(names):
    return dict(collections.Counter(names))


def nearly(got, expected):
    """Where a round was under way when something changed, one or two requests may be missing or too many."""
    return all(abs(got.get(name, 0) - expected.get(name, 0)) <= 2 for name in {*got, *expected})


def is_up(site, name, health="up"):
    site.noah.wait_for_health(f":{site.apps[name].port}", health)


@pytest.mark.parametrize("threads", [1, 2])
def test_weights_and_a_backup(tmp_path, threads):
    with CappedSite(tmp_path, {"web1": "weight: 3", "web2": "", "spare": "backup: true"}, threads=threads) as site:
        assert nearly(shares(site.names(40)), {"web1": 30, "web2": 10})
        site.apps["web1"].kill()
        is_up(site, "web1", "down")
        assert shares(site.names(10)) == {"web2": 10}
        site.apps["web2"].kill()
        is_up(site, "web2", "down")
        assert shares(site.names(10)) == {"spare": 10}
        site.apps["web2"].start()
        is_up(site, "web2")
        assert shares(site.names(10)) == {"web2": 10}


@pytest.mark.parametrize("what, field, keys", [
    ("path", "", [f"/{number}" for number in range(60)]),
    ("header X-Key", "X-Key: {}\r\n", range(60)),
    ("cookie id", "Cookie: a=1; id={}\r\n", range(60)),
])
def test_a_hash_sends_equal_keys_to_one_server(tmp_path, what, field, keys):
    apps = {"web1": "", "web2": "", "web3": ""}

    def where(site):
        return {key: site.names(1, *((key,) if not field else ("/", field.format(key))))[0] for key in keys}

    with CappedSite(tmp_path, apps, options=f"    hash: {what}") as site:
        before = where(site)
        assert where(site) == before
        assert min(shares(before.values()).get(name, 0) for name in apps) > 5, "one server has next to nothing"
        site.apps["web2"].kill()
        is_up(site, "web2", "down")
        without = where(site)
        # What another server had stays where it was.
        assert all(without[key] == name for key, name in before.items() if name != "web2")
        assert {without[key] for key, name in before.items() if name == "web2"} == {"web1", "web3"}
        site.apps["web2"].start()
        is_up(site, "web2")
        assert where(site) == before


def test_a_hash_of_the_address(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": "", "web3": ""}, options="    hash: address") as site:
        assert len(set(site.names(20)) | set(site.names(20))) == 1


def test_a_request_without_the_key_goes_round(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": ""}, options="    hash: cookie id") as site:
        assert nearly(shares(site.names(20)), {"web1": 10, "web2": 10})


def test_least_latency_avoids_the_slow_one(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": "", "web3": ""}, options="    balance: least-latency") as site:
        # Each server learns from its own answers how slow it is: web1 is asked for slow ones until it has had some.
        seen = collections.Counter()
        # With answers of 20 ms a hiccup of the machine does not make one seem a hundred times slower than the others.
        wait_for(lambda: seen.update(site.names(3, "/?ms=20")) or min(seen[name] for name in site.apps) >= 3, 20, "all to be measured")
        site.noah.reload(site.text())  # what was learned outlives a reload
        site.noah.command("drain", "web2"), site.noah.command("drain", "web3")
        assert set(site.names(8, "/?ms=300")) == {"web1"}
        site.noah.command("undrain", "web2"), site.noah.command("undrain", "web3")
        assert "web1" not in site.names(40)


def test_least_latency_is_not_drawn_to_fast_errors(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": ""}, options="    balance: least-latency") as site:
        seen = collections.Counter()
        wait_for(lambda: seen.update(site.names(3, "/?ms=20")) or min(seen[name] for name in site.apps) >= 3, 20, "all to be measured")
        # Each error makes it seem slower by an eighth, where each fast success made it seem faster.
        names = collections.Counter(site.names(60, "/?ms=20&broken=web1"))
        assert names["web1"] < names["web2"], names


def test_slow_start_grows(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": ""}, options="    slow_start: 14s") as site:
        half = {"web1": 50, "web2": 50}
        assert nearly(shares(site.names(100)), half), "no slow start when noah itself starts"
        site.noah.reload(site.text().replace("slow_start: 14s", "slow_start: 15s"))
        assert nearly(shares(site.names(100)), half), "nor after a reload"
        site.apps["web1"].kill()
        is_up(site, "web1", "down")
        site.apps["web1"].start()
        is_up(site, "web1")
        first = shares(site.names(100)).get("web1", 0)
        assert first < 40
        # More and more, until it has its half again.
        wait_for(lambda: first < shares(site.names(100)).get("web1", 0) < 48, 15, "its share to grow")
        wait_for(lambda: nearly(shares(site.names(100)), half), 30, "its full share")


# ---- what an administrator says


def test_drain_and_weight(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": ""}) as site:
        def say(*words):
            result = site.noah.command(*words)
            assert result.returncode == 0, result.stderr

        say("drain", "web1")
        assert shares(site.names(10)) == {"web2": 10}
        site.noah.reload(site.text())
        assert shares(site.names(10)) == {"web2": 10}, "a reload undrains"
        say("undrain", "web1")
        assert nearly(shares(site.names(20)), {"web1": 10, "web2": 10})
        say("weight", "web1", "300")
        assert nearly(shares(site.names(40)), {"web1": 30, "web2": 10})
        say("weight", "web1", "0")
        assert shares(site.names(10)) == {"web2": 10}
        say("drain", "web2")
        status, _, _ = site.get("/nobody")
        assert status == 503
        wait_for(lambda: "/nobody" in site.log(), 10, "the line in the access log")
        line = next(line for line in site.log().splitlines() if "/nobody" in line)
        assert f"web1:{site.apps['web1'].port} up, with no weight; web2:{site.apps['web2'].port} drained" in line
        say("undrain", "web2")
        assert shares(site.names(10)) == {"web2": 10}


# ---- sticky cookies


def set_cookies(head):
    return re.findall(r"^set-cookie: (.*)$", head, re.I | re.M)


def ask(site, fields=""):
    """(name of the server, Set-Cookie fields)"""
    status, head, body = site.get("/", fields)
    assert status == 200
    return body.decode(), [cookie.strip() for cookie in set_cookies(head)]


def test_sticky_visitors_stay(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": "", "web3": ""}, options="    sticky: server") as site:
        cookies = {}
        for _ in range(6):
            name, (cookie,) = ask(site)
            value = re.fullmatch(r"server=([0-9a-f]{16}); Path=/; HttpOnly; SameSite=Lax", cookie).group(1)
            assert cookies.setdefault(name, value) == value
        assert len(cookies) == len(set(cookies.values())) == 3
        for name, value in cookies.items():
            for fields in (f"Cookie: server={value}\r\n", f"Cookie: a=b; server={value}; c=d\r\n", f'Cookie: server="{value}"\r\n',
                           f"Cookie: a=b\r\nCookie: server={value}\r\n",
                           f"Cookie: server=0123456789abcdef; server={value}\r\n", f"Cookie: server=web9;server={value}\r\n"):
                assert [ask(site, fields) for _ in range(4)] == [(name, [])] * 4, fields
        # Not his cookie: another name, a part of it, nonsense.
        value = cookies["web1"]
        for fields in (f"Cookie: Server={value}\r\n", f"Cookie: xserver={value}\r\n", f"Cookie: server={value[:-1]}\r\n",
                       "Cookie: server=\r\n", "Cookie: ;;=;server\r\n", f"Cookie: a=server={value}\r\n"):
            got = [ask(site, fields) for _ in range(6)]  # on one of two threads three at least, in turn
            assert {name for name, _ in got} == {"web1", "web2", "web3"}, fields
            assert all(len(cookie) == 1 for _, cookie in got)


def test_sticky_survives_death_drain_and_restart(tmp_path):
    with CappedSite(tmp_path, {"web1": "", "web2": ""}, options="    sticky: server") as site:
        name, (cookie,) = ask(site)
        other = "web2" if name == "web1" else "web1"
        his = f"Cookie: {cookie.split(';')[0]}\r\n"
        site.apps[name].kill()
        is_up(site, name, "down")
        moved, (new_cookie,) = ask(site, his)
        assert moved == other and new_cookie != cookie
        site.apps[name].start()
        is_up(site, name)
        assert ask(site, his) == (name, [])
        assert ask(site, f"Cookie: {new_cookie.split(';')[0]}\r\n") == (other, [])
        # Drained: nothing new, not even those who belong there. No weight: only those.
        site.noah.command("drain", name)
        assert ask(site, his) == (other, [new_cookie])
        site.noah.command("undrain", name)
        site.noah.command("weight", name, "0")
        assert ask(site, his) == (name, [])
        assert ask(site)[0] == other
        # The words for servers are the same after a restart.
        assert site.noah.stop() == 0
        site.noah.start()
        assert ask(site, his) == (name, [])


def test_a_sticky_visitor_waits_for_his_server(tmp_path):
    with CappedSite(tmp_path, {"web1": "connections: 1", "web2": "connections: 1"}, options="    sticky: server") as site:
        name, (cookie,) = ask(site)
        his = f"Cookie: {cookie.split(';')[0]}\r\n"
        busy = site.send("/busy?held=it", fields=his)
        app = site.apps[name]
        wait_for(lambda: "/busy?held=it" in app.began(), 10, "his server to be busy")
        done, before = [], site.noah.counter("queue_waited")  # for an idle connection of the other thread, perhaps
        thread = threading.Thread(target=lambda: done.append(ask(site, his)), daemon=True)
        thread.start()
        wait_for(lambda: site.noah.counter("queue_waited") == before + 1, 10, "him to wait")
        assert ask(site)[0] != name  # the other one is free
        app.release("it")
        thread.join(20)
        assert done == [(name, [])]
        assert receive(busy)[0] == 200
        busy.close()


def test_a_sticky_cookie_over_tls_is_secure(tmp_path):
    with CappedSite(tmp_path, {"web1": ""}, tls=True,
                    options="    sticky: server\n    certificate: self-signed\n    https: { redirect: false }") as site:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(site.address, site.tls_port, timeout=20, context=context)
        with contextlib.closing(connection):
            connection.request("GET", "/", headers={"Host": "example.com"})
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read() == b"web1"
            assert re.fullmatch(r"server=[0-9a-f]{16}; Path=/; HttpOnly; SameSite=Lax; Secure", answer.headers["Set-Cookie"])
        assert not ask(site)[1][0].endswith("Secure")


def test_a_sticky_cookie_on_an_answer_of_noahs_own(tmp_path):
    with CappedSite(tmp_path, {"web1": ""}, options="    sticky: server") as site:
        site.apps["web1"].kill()
        is_up(site, "web1", "down")
        status, head, _ = site.get()
        assert status == 503 and set_cookies(head) == []
