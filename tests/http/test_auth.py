# SPDX-License-Identifier: BSD-2-Clause
"""Who is let in: networks, and passwords in files as htpasswd, openssl and crypt(3) write them; what the app sees of them, what the
log says, and that wrong ones in any number hold up nobody else."""
import base64
import concurrent.futures
import contextlib
import ctypes
import json
import os
import socket
import subprocess
import time

import pytest

from echo_site import EchoSite
from support.noah import wait_for

PASSWORD = "correct horse"
INSIDE, OUTSIDE = "127.7.0.1", "127.8.0.1"


def run(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def crypt(password, setting):
    """crypt(3) itself: Python's own module has gone."""
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return library.crypt(password.encode(), setting.encode()).decode()


def htpasswd(directory, cost=4):
    """A file with one user of each kind, all with the same password, written by the programs that people use."""
    file = os.path.join(str(directory), "users")
    run("htpasswd", "-cbB", "-C", str(cost), file, "bcrypt", PASSWORD)
    run("htpasswd", "-b2", file, "sha256", PASSWORD)
    run("htpasswd", "-b5", file, "sha512", PASSWORD)
    with open(file, "a", encoding="utf-8") as users:
        users.write("\n# by hand\n")
        for name, hashed in (("openssl5", run("openssl", "passwd", "-5", PASSWORD)),
                             ("openssl6", run("openssl", "passwd", "-6", PASSWORD)),
                             ("yescrypt", crypt(PASSWORD, "$y$j75$abcdefghijklmnopqrstu.$")),
                             ("jürgen", run("openssl", "passwd", "-6", "grün")),
                             ("two words", run("openssl", "passwd", "-5", PASSWORD)),
                             ("empty", crypt("", "$5$saltsalt$"))):
            assert hashed.startswith("$")
            users.write(f"{name}:{hashed}\r\n")
    os.chmod(file, 0o600)
    return file


def basic(name, password=PASSWORD):
    return [("Authorization", "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode())]


NAMES = ["bcrypt", "sha256", "sha512", "openssl5", "openssl6", "yescrypt", "two words"]


@pytest.fixture(scope="module", name="site")
def _site(tmp_path_factory):
    directory = tmp_path_factory.mktemp("auth")
    htpasswd(directory)
    lines = ("    users: {directory}/users\n    realm: The inner circle\n    routes:\n"
             "      - { path: /open, users: none }\n      - { path: /inside, allow: [127.7.0.0/16], users: none }\n"
             "      - { path: /outside, deny: [127.7.0.0/16], users: none }\n"
             "      - { path: /both, allow: [127.7.0.0/16, 127.9.0.0/16], deny: [127.7.0.128/25], users: none }\n")
    with EchoSite(directory, site=lines, tls=True) as site:
        yield site


# ---- networks -------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path, source, status", [
    ("/inside", INSIDE, 200), ("/inside", OUTSIDE, 403), ("/outside", INSIDE, 403), ("/outside", OUTSIDE, 200), ("/both", INSIDE, 200),
    ("/both", "127.7.0.127", 200), ("/both", "127.7.0.128", 403), ("/both", "127.7.1.128", 200), ("/both", "127.9.0.1", 200), ("/both", OUTSIDE, 403),
])
def test_networks(site, path, source, status):
    assert site.curl(path, source=source, secure=True).status == status
    assert site.get(path, source=source).status == (301 if status == 200 else 403)


@pytest.mark.parametrize("path, status", [
    ("/inside;x", 400), ("/inside;/y", 400), ("/;/inside", 400), ("/;x/;y//inside;z/a", 400), ("/outside;x/y", 400), ("/a/../inside", 400),
    ("/open;x", 400), ("/inside/x;y", 403), ("/open/a;b", 200), ("/x;y", 401), ("/x;inside", 401), ("/x;/y?/../inside;", 401),
])
def test_what_some_servers_leave_out_of_a_path_lets_nobody_in(site, path, status):
    """Servers of Java read "/inside;x" as "/inside"."""
    assert site.curl(path, source=OUTSIDE, secure=True, options=["--path-as-is"]).status == status


def test_a_refusal_stands_in_the_log(site):
    site.curl("/inside?refused", source=OUTSIDE, secure=True)
    site.wait_for_log(rf"refused.* 403 .*end=refused-address cause=\"{OUTSIDE} is not among those that are allowed")
    site.curl("/outside?refused2", source=INSIDE, secure=True)
    site.wait_for_log(rf"refused2.* 403 .*end=refused-address cause=\"{INSIDE} is among those that are denied")


def test_networks_look_at_the_visitor_not_at_the_front_end(tmp_path):
    with EchoSite(tmp_path, site="    allow: [192.0.2.0/24, '2001:db8::/32']\n", more="front_ends: { from: [127.7.0.0/16] }\n") as site:
        for visitor, status in (("192.0.2.7", 200), ("198.51.100.1", 403), ("2001:db8:1::1", 200), ("2001:db9::1", 403)):
            assert site.get(fields=[("X-Forwarded-For", visitor)], source=INSIDE).status == status
        assert site.get(fields=[("X-Forwarded-For", "192.0.2.7")], source=OUTSIDE).status == 403
        assert site.get(source=INSIDE).status == 403  # the front end itself


# ---- right passwords --------------------------------------------------------------------------------------------------------------

def ask(site, path="/", fields=(), **more):
    return site.curl(path, fields=fields, secure=True, **more)


@pytest.mark.parametrize("name", NAMES)
def test_a_password_of_each_kind(site, name):
    for _ in range(2):  # hashed, and remembered
        answer = ask(site, fields=basic(name))
        assert answer.status == 200
        assert answer.one("X-Forwarded-User") == name and answer.one("Authorization") is None
    assert ask(site, fields=basic(name, PASSWORD + "!")).status == 401
    assert ask(site, fields=basic(name, PASSWORD[:-1])).status == 401
    assert ask(site, fields=basic(name, "")).status == 401


def test_names_and_passwords_in_utf_8(site):
    answer = ask(site, fields=basic("jürgen", "grün"))
    assert answer.status == 200 and answer.one("X-Forwarded-User").encode("latin-1").decode() == "jürgen"
    assert ask(site, fields=basic("jürgen", "gruen")).status == 401
    assert ask(site, fields=[("Authorization", "Basic " + base64.b64encode("jürgen:grün".encode("latin-1")).decode())]).status == 401


def test_an_empty_password_is_one(site):
    assert ask(site, fields=basic("empty", "")).status == 200
    assert ask(site, fields=basic("empty", "x")).status == 401


def test_curl_and_its_own_way(site):
    assert site.curl(secure=True, options=["--user", f"bcrypt:{PASSWORD}"]).status == 200
    assert site.curl(secure=True, options=["--user", "bcrypt:x"]).status == 401


# ---- wrong ones ------------------------------------------------------------------------------------------------------------------

def test_who_shows_none_is_asked(site):
    answer = ask(site)
    assert answer.status == 401 and answer.seen is None
    assert answer.fields["www-authenticate"] == 'basic realm="the inner circle", charset="utf-8"'
    assert answer.fields["cache-control"] == "no-store"


@pytest.mark.parametrize("value", ["Basic", "Basic x", "Basic YmNyeXB0", "Bearer abc", "Digest username=\"bcrypt\"", "Basic Og==", "Negotiate",
                                   "Basic " + base64.b64encode(b"bcrypt:" + b"x" * 600).decode(),
                                   "Basic " + base64.b64encode(b"x" * 300 + b":x").decode(),
                                   "Basic " + base64.b64encode(b"bcrypt\0:" + PASSWORD.encode()).decode()])
def test_what_is_no_password_is_none(site, value):
    assert ask(site, fields=[("Authorization", value)]).status == 401


def test_two_authorizations_are_none(site):
    assert ask(site, fields=basic("bcrypt") + basic("sha256")).status == 401
    assert ask(site, fields=basic("bcrypt") + basic("bcrypt")).status == 401


def test_nobody_and_everybody(site):
    for name in ("nobody", "", "#", "# by hand", "bcrypt ", "BCRYPT", "bcryp", "\u00fcber"):
        assert ask(site, fields=basic(name)).status == 401, name


def test_x_forwarded_user_is_nobodys_to_say(site):
    answer = ask(site, "/open", fields=[("X-Forwarded-User", "admin"), ("X_Forwarded_User", "admin")])
    assert answer.status == 200 and answer.one("X-Forwarded-User") is None and b"admin" not in answer.body
    assert ask(site, fields=basic("bcrypt") + [("X-Forwarded-User", "admin")]).one("X-Forwarded-User") == "bcrypt"


def test_where_nobody_asks_it_is_the_apps(site):
    assert ask(site, "/open", fields=[("Authorization", "Bearer abc")]).one("Authorization") == "Bearer abc"
    assert ask(site, "/open/../", fields=()).status == 401


def test_nobody_is_asked_in_plain_where_https_is_spoken(site):
    answer = site.get("/a?b")
    assert answer.status == 301 and answer.fields["Location"].startswith("https://example.com") and "WWW-Authenticate" not in answer.fields
    assert site.get(fields=basic("bcrypt")).status == 301
    # What is not redirected is asked; no way round through the path that certificates are made with.
    assert site.get("/.well-known/acme-challenge/x").status == 401
    assert site.get("/.well-known/acme-challenge/../../secret").status in (400, 401)


def test_the_log_names_the_user(site):
    ask(site, "/logged", fields=basic("two words"))
    site.wait_for_log(r"^127\.0\.0\.1 - two\\x20words \[.*/logged")
    ask(site, "/wrong", fields=basic("two words", "x"))
    site.wait_for_log(r"^127\.0\.0\.1 - - \[.*/wrong.* 401 .*end=unauthorized cause=\"no such user, or not the password: two words\"")
    ask(site, "/without")
    site.wait_for_log(r"^127\.0\.0\.1 - - \[.*/without.* 401 .*end=unauthorized")


def test_the_log_as_json(tmp_path):
    htpasswd(tmp_path)
    with EchoSite(tmp_path, site="    users: {directory}/users\n") as site:
        site.noah.reload(site.text().replace("log: { access: ", "log: { format: json, access: "))
        site.get("/json", fields=basic("bcrypt"))
        site.get("/none")
        wait_for(lambda: site.log().count('"user"') >= 2, 10, "two lines")
        lines = {line["target"]: line for line in map(json.loads, site.log().splitlines()) if "user" in line}
        assert lines["/json"]["user"] == "bcrypt" and lines["/none"]["user"] is None


# ---- files that change ---------------------------------------------------------------------------------------------------------------

def test_a_reload_forgets_who_was_right(tmp_path):
    file = htpasswd(tmp_path)
    with EchoSite(tmp_path, site="    users: {directory}/users\n") as site:
        assert site.get(fields=basic("bcrypt")).status == 200
        run("htpasswd", "-bB", "-C", "4", file, "bcrypt", "new")
        assert site.get(fields=basic("bcrypt")).status == 200  # the file was read with the cluster file
        site.noah.reload(site.text())
        assert site.get(fields=basic("bcrypt")).status == 401
        assert site.get(fields=basic("bcrypt", "new")).status == 200
        run("htpasswd", "-D", file, "bcrypt")
        site.noah.reload(site.text())
        assert site.get(fields=basic("bcrypt", "new")).status == 401


def test_a_weak_file_changes_nothing(tmp_path):
    file = htpasswd(tmp_path)
    with EchoSite(tmp_path, site="    users: {directory}/users\n") as site:
        run("htpasswd", "-bm", file, "weak", PASSWORD)
        assert "htpasswd -B" in site.noah.reload(site.text(), expect=1)
        assert site.get(fields=basic("bcrypt")).status == 200 and site.get(fields=basic("weak")).status == 401


# ---- too many ------------------------------------------------------------------------------------------------------------------------

def cpu_s(noah):
    """Of all threads of the traffic process so far."""
    with open(f"/proc/{noah.child('traffic')}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_right_password_is_hashed_once(tmp_path):
    htpasswd(tmp_path, cost=11)  # some 100 ms
    with EchoSite(tmp_path, site="    users: {directory}/users\n", threads=1) as site:
        before = cpu_s(site.noah)
        assert site.get(fields=basic("bcrypt")).status == 200
        once = cpu_s(site.noah) - before
        for _ in range(30):
            assert site.get(fields=basic("bcrypt")).status == 200
        assert cpu_s(site.noah) - before < 10 * max(once, 0.02)


def test_a_name_that_nobody_has_costs_a_hash_too(tmp_path):
    """In processor time, not by the clock: the same number of hashes."""
    file = os.path.join(str(tmp_path), "users")
    run("htpasswd", "-cbB", "-C", "10", file, "somebody", PASSWORD)
    with EchoSite(tmp_path, site="    users: {directory}/users\n", threads=1) as site:
        costs = []
        for name in ("somebody", "nobody"):
            before = cpu_s(site.noah)
            for number in range(8):
                assert site.get(fields=basic(name, f"wrong{number}")).status == 401
            costs.append(cpu_s(site.noah) - before)
        assert 0.5 < costs[0] / costs[1] < 2


def wrong(site, number, source):
    return site.get(f"/wrong{number}", fields=basic("bcrypt", f"wrong{number}"), source=source).status


def test_a_flood_of_wrong_passwords_holds_up_nobody(tmp_path):
    htpasswd(tmp_path, cost=11)
    with EchoSite(tmp_path, site="    users: {directory}/users\n    routes: [{ path: /open, users: none }]\n", threads=1) as site:
        assert site.get(fields=basic("sha256"), source=INSIDE).status == 200  # he is remembered
        with concurrent.futures.ThreadPoolExecutor(40) as pool:
            flood = [pool.submit(wrong, site, number, OUTSIDE) for number in range(40)]
            wait_for(lambda: any(each.done() for each in flood), 20, "the flood to be turned away")
            assert site.get("/open", source=OUTSIDE).status == 200
            assert site.get(fields=basic("sha256"), source=INSIDE).status == 200
            assert site.get(fields=basic("openssl5"), source=INSIDE).status == 200  # has to be hashed, before the flood is over or not
            statuses = [each.result() for each in flood]
        # As many as of one address may wait, and those whose turn it was; the rest is told at once.
        assert set(statuses) == {401, 429}
        assert 429 in statuses and statuses.count(401) >= 8
        site.wait_for_log(r"end=too-many-passwords")
        assert site.get(fields=basic("bcrypt"), source=OUTSIDE).status == 200


def test_the_line_has_an_end(tmp_path):
    htpasswd(tmp_path, cost=12)
    with EchoSite(tmp_path, site="    users: {directory}/users\n    routes: [{ path: /open, users: none }]\n", threads=1) as site:
        visitors = []
        with contextlib.ExitStack() as stack:
            for number in range(120):
                visitor = socket.create_connection((site.address, site.port), 60, (f"127.8.{number}.1", 0))
                visitors.append(stack.enter_context(visitor))
                fields = "".join(f"{name}: {value}\r\n" for name, value in basic("bcrypt", f"wrong{number}"))
                visitor.sendall(f"GET /full HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n{fields}\r\n".encode())
            site.wait_for_log(r"/full.* 503 .*end=passwords-busy", 20)
            assert site.get("/open").status == 200
            # Who does not wait for his answer gives his place away; the line goes on.
        wait_for(lambda: site.get(fields=basic("sha256")).status == 200, 60, "the line to go on")


def test_a_stop_does_not_wait_for_the_line(tmp_path):
    htpasswd(tmp_path, cost=12)
    with EchoSite(tmp_path, site="    users: {directory}/users\n") as site:
        with concurrent.futures.ThreadPoolExecutor(12) as pool:
            tries = [pool.submit(wrong, site, number, f"127.8.{number}.1") for number in range(12)]
            wait_for(lambda: any(each.done() for each in tries), 30, "the first answer")
            site.noah.process.terminate()
            site.noah.process.terminate()
            assert site.noah._wait(25) == 0  # requests under way may take 30 seconds
