# SPDX-License-Identifier: BSD-2-Clause
"""The front of the documentation platform as its example file describes it: two fronts behind somebody else's balancer."""
import base64
import gzip
import json
import os
import subprocess

import pytest

from lab.apache import ROOT
from lab.lab import Lab
from lab.machine import wait_for
from lab.visitor import Client

EXAMPLE = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))),
                       "examples/documentation-platform.yaml")
FRONT1, FRONT2 = "10.0.3.11", "10.0.3.12"
WEB1, WEB2 = "10.0.3.21:8080", "10.0.3.22:8080"
WIKI, BLOG = "wiki.example.org", "blog.example.org"
READER, OTHER, OFFICE = "203.0.113.7", "203.0.113.8", "198.51.100.3"
PAGES = {"50x": "<h1>our own page: nobody can answer</h1>", "404": "<h1>our own page: not here</h1>",
         "maintenance": "<h1>our own page: we are working</h1>", "welcome": "<h1>our own page: welcome</h1>"}


def put_files(machine):
    for name, text in PAGES.items():
        machine.write(f"/etc/noah/{name}.html", text)
    users = subprocess.run(["htpasswd", "-nbB", "-C", "5", "writer", "a word"], stdout=subprocess.PIPE, text=True, check=True).stdout
    machine.write("/etc/noah/tracker.users", users, mode=0o600)
    os.makedirs(machine.path("/srv/docs/images"), exist_ok=True)


def put_app(machine, _document):
    machine.write(f"{ROOT}/index.php", "<?php echo json_encode(['by' => gethostname()] + getallheaders()), str_repeat(' words', 1000);")
    return {"more": "FallbackResource /index.php"}


@pytest.fixture(scope="module")
def lab():
    with Lab(EXAMPLE, prepare_machine=put_files, prepare_app=put_app) as running:
        running.start()
        yield running
        assert all(noah.faults() == [] for noah in running.noahs())


def wait_for_health(noah, address, health):
    """Each site has a check of its own, by its name."""
    def all_say_so():
        found = {target["health"] for target in noah.status()["targets"] if target["address"] == address}
        assert found
        return found == {health}
    wait_for(all_say_so, 60, f"{noah.machine.name} to see {address} {health}", every=0.1)


@pytest.fixture
def front1(lab):
    return next(noah for noah in lab.noahs() if noah.machine.name == "front1")


@pytest.fixture
def front2(lab):
    return next(noah for noah in lab.noahs() if noah.machine.name == "front2")


@pytest.fixture(autouse=True)
def all_is_well(lab):
    yield
    for name in ("front1", "front2", "web1", "web2"):
        lab.network.plug(name)
        lab.start_server(name)
    for noah in lab.noahs():
        noah.command("maintenance", "off", WIKI, check=False)
        noah.command("unban", "--all", check=False)
        for target in (WEB1, WEB2):
            wait_for_health(noah, target, "up")


def get(lab, path, site=WIKI, reader=READER, front=FRONT1, headers=(), machine="balancer"):
    """As the balancer asks for a reader."""
    with Client(lab.machines[machine], front, host=site) as client:
        return client.get(path, headers=[("X-Forwarded-For", reader), ("X-Forwarded-Proto", "https"), *headers])


def told(answer):
    """What the app was told, by the names of the fields in small letters."""
    assert answer.status == 200, answer.describe()
    return {name.lower(): value for name, value in json.loads(answer.body[:answer.body.rindex(b"}") + 1]).items()}


def test_the_balancer_is_believed_and_strangers_are_refused(lab):
    seen = told(get(lab, "/", reader=f"192.0.2.66, {READER}"))
    assert seen["x-real-ip"] == READER and seen["x-forwarded-proto"] == "https" and seen["host"] == WIKI
    for machine in ("visitor", "web1"):
        answer = get(lab, "/", machine=machine)
        assert answer.status == 403 and b"by" not in answer.body[:5], machine
    seen = told(get(lab, "/", headers=[("X-Original-URL", "/admin"), ("True-Client-IP", OFFICE)]))
    assert not {"x-original-url", "true-client-ip"} & set(seen)


def test_answers_are_compressed_and_name_no_versions(lab):
    plain = get(lab, "/")
    answer = get(lab, "/", headers=[("Accept-Encoding", "gzip")])
    assert answer.header("content-encoding") == "gzip" and "accept-encoding" in answer.header("vary").lower()
    text = gzip.decompress(answer.body)
    assert len(answer.body) * 4 < len(text) and text.count(b" words") == plain.body.count(b" words") == 1000
    for each in (plain, answer):
        assert not each.header("x-powered-by") and "apache" not in each.header("server").lower()


def test_an_image_that_is_not_here_yet_comes_from_the_other_front(lab, front2):
    lab.machines["front1"].write("/srv/docs/images/new.png", "a new picture")
    for front in (FRONT1, FRONT2):
        answer = get(lab, "/images/new.png", front=front)
        assert answer.status == 200 and answer.body == b"a new picture", answer.describe()
        assert answer.header("cache-control") == "max-age=604800"
    lab.machines["front2"].write("/srv/docs/images/new.png", "a new picture, arrived")
    assert get(lab, "/images/new.png", front=FRONT2).body == b"a new picture, arrived"
    nowhere = get(lab, "/images/nowhere.png", front=FRONT2)
    assert nowhere.status == 404 and b"our own page: not here" in nowhere.body
    lab.machines["front1"].write("/srv/docs/images/alone.png", "only there")
    lab.power_off("front1")
    wait_for_health(front2, f"{FRONT1}:80", "down")
    unknown = get(lab, "/images/alone.png", front=FRONT2)  # a clone that is down is not asked
    assert unknown.status == 404 and b"our own page: not here" in unknown.body
    lab.power_on("front1")
    wait_for_health(front2, f"{FRONT1}:80", "up")
    assert get(lab, "/images/alone.png", front=FRONT2).body == b"only there"


def test_who_may_see_what(lab):
    assert get(lab, "/", site="stats.example.org").status == 200
    assert get(lab, "/admin", site="stats.example.org").status == 403
    assert get(lab, "/%61dmin/", site="stats.example.org").status == 403
    assert get(lab, "/admin", site="stats.example.org", reader=OFFICE).status == 200
    asked = get(lab, "/", site="tracker.example.org")
    assert asked.status == 401 and asked.header("www-authenticate").startswith('Basic realm="Tracker"')
    for password, status in (("a word", 200), ("another", 401)):
        word = base64.b64encode(f"writer:{password}".encode()).decode()
        assert get(lab, "/", site="tracker.example.org", headers=[("Authorization", f"Basic {word}")]).status == status
    welcome = get(lab, "/", site="nobody.example.net")
    assert welcome.status == 200 and b"our own page: welcome" in welcome.body
    moved = get(lab, "/page", site="www.example.org")
    assert moved.status in (301, 308) and moved.header("location") == f"https://{WIKI}/page"


def test_a_reader_who_edits_too_often_is_banned_everywhere_and_others_are_not(lab, front1):
    statuses = [get(lab, "/edit").status for _ in range(31)]
    assert statuses == [200] * 30 + [429]
    for site, path in ((WIKI, "/edit"), (WIKI, "/"), (BLOG, "/")):
        assert get(lab, path, site=site).status == 403
    assert get(lab, "/edit", reader=OTHER).status == 200
    front1.command("reload")
    assert get(lab, "/").status == 403
    assert READER in front1.command("bans").stdout
    assert get(lab, "/edit", reader=OFFICE).status == 200
    front1.command("unban", READER)
    assert get(lab, "/").status == 200
    assert all(get(lab, "/edit", reader=OFFICE).status == 200 for _ in range(40))


def test_no_page_fails_when_an_app_server_is_lost_and_all_lost_show_our_page(lab, front1):
    lab.power_off("web1")
    for _ in range(40):
        assert told(get(lab, "/"))["by"] == "web2"
    wait_for_health(front1, WEB1, "down")
    lab.kill("web2")
    wait_for_health(front1, WEB2, "down")
    for site in (WIKI, BLOG):
        answer = get(lab, "/", site=site)
        assert answer.status == 503 and b"our own page: nobody can answer" in answer.body
    lab.start_server("web2")
    wait_for(lambda: get(lab, "/").status == 200, 30, "a page again")


def test_maintenance_is_for_one_site_on_one_front(lab, front1):
    front1.command("maintenance", "on", WIKI, "--for", "5m")
    answer = get(lab, "/")
    assert answer.status == 503 and b"our own page: we are working" in answer.body and answer.header("retry-after")
    assert get(lab, "/", site=BLOG).status == 200
    assert get(lab, "/", front=FRONT2).status == 200
    front1.command("maintenance", "off", WIKI)
    assert get(lab, "/").status == 200
