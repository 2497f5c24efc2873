# SPDX-License-Identifier: BSD-2-Clause
"""Architecture 2 as its example file describes it: the front sends the files itself, PHP behind it makes the pages."""
import os
import re

import pytest

from lab.apache import ROOT
from lab.lab import Lab
from lab.machine import wait_for
from lab.visitor import Client

EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "examples/architecture-2.yaml")
FRONT, SITE = "10.0.2.10", "www.example.com"
FILES = "/srv/www/example.com"
PAGES = {"/etc/noah/50x.html": "<h1>our own page: soon back</h1>", "/etc/noah/maintenance.html": "<h1>our own page: we are working</h1>"}
BAN_S = 3


def example():
    """As it stands, but for the length of the ban: nobody wants to wait for five minutes."""
    with open(EXAMPLE, encoding="utf-8") as file:
        text = file.read()
    assert "ban: 5m" in text
    return text.replace("ban: 5m", f"ban: {BAN_S}s")


def put_files(machine):
    for path, text in PAGES.items():
        machine.write(path, text)
    if machine.name == "front":
        machine.write(f"{FILES}/style.css", "p { color: black }\n" * 200)
        machine.write(f"{FILES}/docs/index.html", "<p>from the front</p>")
        machine.write(f"{FILES}/.htpasswd", "secret")
        machine.write(f"{FILES}/config.php", "<?php secret();")


def put_app(machine, _document):
    machine.write(f"{ROOT}/index.php", "<?php echo gethostname(), ' ', json_encode(array_intersect_key(getallheaders(), "
                  "array_flip(['Host', 'X-Real-IP', 'X-Forwarded-For', 'X-Forwarded-Proto'])));")
    machine.write(f"{ROOT}/config.php", "<?php echo 'made by PHP';")
    machine.write(f"{ROOT}/new.css", "only at the app server")
    return {}


@pytest.fixture(scope="module")
def lab():
    with Lab(text=example(), prepare_machine=put_files, prepare_app=put_app) as running:
        running.start()
        yield running
        assert running.noahs()[0].faults() == []


@pytest.fixture
def noah(lab):
    return lab.noahs()[0]


@pytest.fixture(autouse=True)
def all_is_well(lab, noah):
    yield
    noah.command("maintenance", "off", "example.com", check=False)
    noah.command("unban", "--all", check=False)
    lab.network.mend_all()
    lab.network.plug("web")
    lab.start_server("web")
    noah.wait_for_health("10.0.2.11:8080", "up")


def get(lab, path, **more):
    with Client(lab.machines["visitor"], FRONT, host=SITE) as client:
        return client.get(path, **more)


def test_files_come_from_the_front_and_pages_from_the_app(lab):
    css = get(lab, "/style.css")
    assert css.status == 200 and css.body.startswith(b"p { color") and css.header("etag") and css.header("last-modified")
    assert css.header("cache-control") == "max-age=2592000"
    assert get(lab, "/style.css", headers=[("If-None-Match", css.header("etag"))]).status == 304
    part = get(lab, "/style.css", headers=[("Range", "bytes=2-6")])
    assert part.status == 206 and part.body == css.body[2:7]
    assert get(lab, "/docs/").body == b"<p>from the front</p>"
    moved = get(lab, "/docs")
    assert moved.status == 301 and moved.header("location").endswith("/docs/")
    page = get(lab, "/")
    assert page.status == 200 and page.body.startswith(b"web ")
    visitor = lab.addresses["visitor"].encode()
    assert f'"Host":"{SITE}"'.encode() in page.body and page.body.count(visitor) == 2
    assert page.header("server") in ("", "noah") and not page.header("x-powered-by")


def test_what_is_not_in_front_is_asked_of_the_app(lab):
    later = get(lab, "/new.css")
    assert later.status == 200 and later.body == b"only at the app server"
    assert get(lab, "/nowhere.css").status == 404
    assert get(lab, "/config.php").body == b"made by PHP"
    assert b"secret" not in get(lab, "/.htpasswd").body


def test_files_stay_while_the_app_is_lost_and_pages_say_so(lab, noah):
    lab.power_off("web")
    wait_for(lambda: get(lab, "/", timeout=100).status in (502, 503, 504), 30, "a page that says so")
    noah.wait_for_health("10.0.2.11:8080", "down", 60)
    gone = get(lab, "/index.php")
    assert gone.status == 503 and b"our own page: soon back" in gone.body and gone.header("retry-after")
    assert get(lab, "/style.css").status == 200
    assert get(lab, "/docs/").status == 200
    lab.power_on("web")
    noah.wait_for_health("10.0.2.11:8080", "up", 60)
    assert get(lab, "/index.php").status == 200


def test_a_body_beyond_the_limit_is_refused_at_the_front(lab):
    with Client(lab.machines["visitor"], FRONT, host=SITE) as client:
        answer = client.request("PUT", "/index.php", [("Content-Length", str(9 << 20))])
    assert answer.status == 413


def test_who_asks_too_often_is_banned_for_his_time_and_nobody_else(lab, noah):
    """429, then 403 until the ban ends; the app server, which is exempt, and noah's own checks are not disturbed."""
    seen = []
    with Client(lab.machines["visitor"], FRONT, host=SITE) as client:
        for _ in range(400):
            answer = client.get("/style.css")
            if not seen or seen[-1] != answer.status:
                seen.append(answer.status)
            if answer.status == 403:
                break
    assert seen == [200, 429, 403]
    assert lab.addresses["visitor"] in noah.command("bans").stdout
    with Client(lab.machines["web"], FRONT, host=SITE) as client:
        assert all(client.get("/style.css").status == 200 for _ in range(300))
    wait_for(lambda: get(lab, "/style.css").status == 200, BAN_S + 30, "the ban to end", every=0.3)
    assert noah.target("10.0.2.11:8080")["health"] == "up"


def test_maintenance_is_said_and_taken_back(lab, noah):
    noah.command("maintenance", "on", "example.com", "--for", "10m")
    assert "example.com" in noah.command("maintenance").stdout
    for path in ("/", "/style.css"):
        answer = get(lab, path)
        assert answer.status == 503 and b"our own page: we are working" in answer.body, path
        assert re.fullmatch(r"\d+", answer.header("retry-after")) and 0 < int(answer.header("retry-after")) <= 600
    noah.command("reload")
    assert get(lab, "/").status == 503
    noah.command("maintenance", "off", "example.com")
    assert get(lab, "/").status == 200 and get(lab, "/style.css").status == 200
