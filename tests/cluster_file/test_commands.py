# SPDX-License-Identifier: BSD-2-Clause
"""The commands themselves: help, exit codes, words, the plan."""
import os
import pty
import re
import subprocess

import pytest

from conftest import HEAD, NOAH, ROOT, run

GOOD = HEAD + """\
sites:
  a.example:
    names: [www.a.example, '*']
    apps: [web1:8080, { server: web2:8080, weight: 2 }]
    check: { get: /alive, every: 5s, fall: 1 }
databases:
  main: { servers: [db1, db2:3307], account: { user: noah, password_file: /nowhere/password } }
"""


@pytest.fixture(name="good")
def fixture_good(tmp_path):
    file = tmp_path / "good.yaml"
    file.write_text(GOOD)
    return file


def commands():
    return re.findall(r"^  (\w+) {2,}\S", run().stdout, re.MULTILINE)


def test_help():
    for arguments in ([], ["--help"], ["help"]):
        result = run(*arguments)
        assert result.returncode == 0
        assert "usage: noah COMMAND" in result.stdout
        assert "--child" not in result.stdout
    assert {"run", "check", "plan", "status", "reload", "schema"} <= set(commands())


def test_every_command_has_help():
    for command in commands():
        result = run(command, "--help")
        assert result.returncode == 0 and result.stderr == ""
        if command != "help":
            assert result.stdout.startswith(f"usage: noah {command}")
            assert run("help", command).stdout == result.stdout
            assert "Exit code" in result.stdout


def test_version():
    with open(os.path.join(ROOT, "VERSION"), encoding="utf-8") as stream:
        assert run("--version").stdout == f"noah {stream.read().strip()}\n"


def test_unknown_words():
    result = run("chekc")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == "noah: unknown command `chekc`; did you mean `check`?\n"
    result = run("frobnicate")
    assert (result.returncode, result.stderr) == (2, "noah: unknown command `frobnicate`; `noah help` lists them\n")
    result = run("check", "--jsno")
    assert (result.returncode, result.stderr) == (2, "noah check: unknown option --jsno; did you mean --json?\n")
    result = run("check", "--server")
    assert (result.returncode, result.stderr) == (2, "noah check: --server needs a value; see `noah check --help`\n")
    result = run("check", "--json=yes")
    assert (result.returncode, result.stderr) == (2, "noah check: --json takes no value; see `noah check --help`\n")
    result = run("check", "a", "b")
    assert (result.returncode, result.stderr) == (2, "noah check: `b` is one argument too many; see `noah check --help`\n")
    assert run("check", "-x").returncode == 2
    assert run("schema", "file").returncode == 2
    assert run("--child").returncode == 2


def test_check(good):
    result = run("check", "--file-only", good)
    assert result.returncode == 0
    assert result.stdout == (f"{good} is good: cluster example.com, 5 servers, 1 site, 1 database; "
                             "this machine is none of its servers\n")
    result = run("check", "--file-only", "--server=web2", good)
    assert result.stdout.endswith("this machine is web2\n")
    result = run("check", "--file-only", "--server", "wbe2", good)
    assert result.returncode == 2
    assert "no server is called `wbe2`; did you mean `web2`?" in result.stderr
    result = run("check", good)  # the password file is not there
    assert result.returncode == 2
    assert f"{good} is not good" in result.stderr


def test_a_server_is_found_by_its_address(tmp_path, check):
    text = "cluster: c\nservers: { here: { address: 127.0.0.1 }, there: { address: 203.0.113.2 } }\nsites: { s: { apps: there:8080 } }\n"
    assert check(text)["this_server"] == "here"
    # by its public address too; and two of them at once are not guessed between
    assert check(text.replace("127.0.0.1", "192.0.2.1, public: 127.0.0.1"))["this_server"] == "here"
    both = text.replace("203.0.113.2", "203.0.113.2, public: '::1'")
    if os.path.exists("/proc/net/if_inet6"):
        assert check(both)["this_server"] is None
    assert check(both, "--server", "there")["this_server"] == "there"


def test_colours_only_on_a_terminal(good):
    def on_terminal(**environment):
        terminal, other = pty.openpty()
        subprocess.run([NOAH, "check", "--file-only", str(good)], stdout=other, check=True, timeout=60,
                       env={**os.environ, "TERM": "xterm", **environment})
        os.close(other)
        text = os.read(terminal, 4096).decode()
        os.close(terminal)
        return text
    assert "\x1b[32m" in on_terminal()
    assert "\x1b" not in on_terminal(NO_COLOR="1")
    assert "\x1b" not in on_terminal(TERM="dumb")
    assert "\x1b" not in run("check", "--file-only", good).stdout


def test_a_full_disk_is_no_success(good):
    with open("/dev/full", "w", encoding="utf-8") as full:
        result = subprocess.run([NOAH, "check", "--file-only", str(good)], stdout=full, stderr=subprocess.PIPE, check=False, timeout=60)
    assert result.returncode == 1


def test_plan(good):
    result = run("plan", good)
    assert (result.returncode, result.stderr) == (0, "")
    plan = {part.split(" ", 1)[0]: part for part in result.stdout.split("\n\n")}
    assert set(plan) == {"The", "front", "web1", "web2", "db1", "db2"}
    assert ("listens on port 80 of every address for a.example and www.a.example (and every other name), and sends each request to "
            "web1 (192.0.2.11:8080) or web2 (192.0.2.12:8080, weight 2), in turn.") in plan["front"]
    assert "GET http://a.example/alive (answer 200 to 399) every 5s, for at most 1s each time: 1 failure in a row" in plan["front"]
    for server in ("web1", "web2"):
        assert "listens on 127.0.0.1:3306 for the database main: db1 (192.0.2.21:3306) and db2 (192.0.2.22:3307), whichever is primary" \
            in plan[server]
        assert "runs the site a.example on port 8080" in plan[server]
    assert "noah has nothing to do here" in plan["db1"]
    assert "runs a server of the database main on port 3307" in plan["db2"]


FRONT = HEAD + """\
sites:
  a.example:
    names: [www.a.example, '*.a.example']
    canonical: www.a.example
    certificate: [/etc/noah/a.pem, { chain: /etc/noah/b.pem, key: /etc/noah/b.key }]
    https: { hsts: 180d, least: 1.3 }
    apps: [web1:8080, { server: web2:8080, backup: true, connections: 1 }]
    connections: 10
    queue: { length: 500, timeout: 5s }
    slow_start: 30s
    sticky: app
    balance: least-connections
    routes:
      - { path: /old/, redirect: https://b.example/ }
      - { path: /up, body: 1g, timeouts: { answer: 5m, request: 1m } }
      - { types: [jpg, png], path: /pictures, apps: [web1:81, web2:81], hash: path, connections: 0 }
  b.example: { page: /etc/noah/b.html, certificate: self-signed, https: { redirect: false } }
services:
  ssh: { listen: 2222, servers: [web1:22, web2:22], hash: address, proxy_protocol: v2, connections: 1, queue: { length: 0 }, sessions: 50 }
log: { access: journal, format: json }
admin: { listen: 9180 }
"""


def test_plan_of_a_front(tmp_path):
    file = tmp_path / "front.yaml"
    file.write_text(FRONT)
    plan = {part.split(" ", 1)[0]: part.splitlines() for part in run("plan", file).stdout.split("\n\n")}
    assert "Each noah writes a line about each request to the journal, as JSON." in plan["The"]
    for line in (
            "  - listens on port 80 of every address and port 443 of every address with TLS for a.example, www.a.example and *.a.example, "
            "and sends each request to web1 (192.0.2.11:8080) or web2 (192.0.2.12:8080, only while no other works, at most 1 connection), "
            "whichever has the fewest under way.",
            "    TLS is of version 1.3 or newer, with the certificate of /etc/noah/a.pem and the certificate of /etc/noah/b.pem.",
            "    Requests without TLS are redirected to it.",
            "    Browsers are told to come only with TLS for 180d.",
            "    Requests for a.example are redirected to www.a.example.",
            "    At most 10 connections go to each of them at the same time, from all threads of this noah.",
            "    Up to 500 requests may wait in line for one whose connections are all in use, each for at most 5s.",
            "    One that came up again gets its full share after 30s.",
            "    A visitor stays with one of them by the cookie app, while it works.",
            "    Requests for /old/... are redirected to https://b.example/ and what follows (301).",
            "    Requests for /up and all below go to the same.",
            "      Their bodies may have 1g.",
            "      noah waits 5m for an answer.",
            "      noah waits 1m for the rest of a request.",
            "    Requests for *.jpg or *.png in /pictures and all below go to web1 (192.0.2.11:81) or web2 (192.0.2.12:81), "
            "always the same one for a path.",
            "  - listens on port 80 of every address and port 443 of every address with TLS for b.example, "
            "and answers each request with /etc/noah/b.html.",
            "    TLS is of version 1.2 or newer, with a certificate that noah makes and signs itself, so browsers warn.",
            "  - listens on port 2222 of every address for the service ssh, and passes each connection on to web1 (192.0.2.11:22) or "
            "web2 (192.0.2.12:22), always the same one for an address.",
            "    It tells the server who has connected (PROXY protocol, version 2).",
            "    At most 50 are open at the same time; one on which nothing was sent for 1h is closed.",
            "    At most 1 connection goes to each of them at the same time, from all threads of this noah.",
            "    While the connections of all are in use, a connection is refused.",
            "  - listens on 127.0.0.1:9180 for its own numbers (/metrics)."):
        assert line in plan["front"], plan["front"]
    assert plan["front"].count("    Requests without TLS are redirected to it.") == 1  # not of b.example
    assert "  - runs a part of the site a.example on port 81 (a web server that is not noah)." in plan["web1"]
    assert "  - does the work of the service ssh on port 22." in plan["web1"]


VISITORS = HEAD + """\
front_ends: { from: [db1, 203.0.113.0/24], address: proxy-protocol, only: true }
visitors: { requests: 100/10s, connections: 200, ban: 5m, exempt: [10.0.0.0/8, front] }
sites:
  a.example:
    apps: web1
    static: { root: /srv/a, match: [jpg, png, html, htm], index: [index.html, index.htm], try: [web2:81, web1] }
    compress: all
    hide_versions: false
    expires: 30d
    minimum_rate: 2k
    buffer: { request: 8m, answer: 0 }
    requests: 5/1m
    allow: [10.0.0.0/8, web1]
    deny: 10.1.0.0/16
    users: /u
    realm: Staging
    errors: { 403: /403, 50x: /50x }
    routes:
      - { path: /same, body: 1g }
      - { path: /open, allow: ['::/0'], deny: 192.0.2.9, users: none, requests: none, minimum_rate: 0, expires: none, compress: none,
          hide_versions: true, buffer: { request: 0, answer: 2m } }
      - { path: /apps, apps: web2 }
      - { path: /own, static: { root: /srv/own, match: png, try: none }, requests: 1/1s, users: /v }
      - { path: /same-root, static: { root: /srv/a } }
  b.example: { static: { root: /srv/b, try: web2 }, compress: none, minimum_rate: 0, deny: web2, routes: [{ path: /x, expires: 1h }] }
"""


def test_plan_of_files_and_visitors(tmp_path):
    file = tmp_path / "visitors.yaml"
    file.write_text(VISITORS)
    plan = {part.split(" ", 1)[0]: part.splitlines() for part in run("plan", file).stdout.split("\n\n")}
    assert plan["The"][1:] == [
        "Who the visitor is, is what the front ends at 192.0.2.21 and 203.0.113.0/24 say, by the PROXY protocol. Nobody else is answered.",
        "On each server, an address may send 100 requests in 10s; more are answered with 429.",
        "Who asks too often gets 403 for 5m.",
        "On each server, an address may have 200 connections at the same time.",
        "Not counted are 10.0.0.0/8, 192.0.2.10 and 198.51.100.10."]
    first, second = "\n".join(plan["front"]).split("for b.example, ")
    for line in (
            "    But it sends itself the files of /srv/a (*.jpg, *.png, *.html and *.htm), for a directory its index.html or index.htm.",
            "    What is not among its files is asked one after another of web2 (192.0.2.12:81) and web1 (192.0.2.11:80), until one has it.",
            "    A visitor who is slower than 2k bytes a second for more than 10s is cut off.",
            "    8m of a body are awaited before an app gets the request.",
            "    An app waits for slow visitors to take its answer.",
            "    An address may send 5 requests in 1m; more are answered with 429.",
            "    Texts are compressed for visitors who can read that, also where cookies are set.",
            "    What the apps say about themselves and their versions goes to the visitors.",
            "    Browsers may keep answers for 30d, unless these say it themselves.",
            "    Only visitors from 10.0.0.0/8 and 192.0.2.11 are let in, but not those from 10.1.0.0/16.",
            "    Visitors must give a name and password that are in /u (Staging).",
            "    Its own pages: /403 when refused (403) and /50x when no server can answer (50x)."):
        assert line in first.splitlines()
    routes = first.split("    Requests for /")[1:]
    assert routes[0] == "same and all below go to the same.\n      Their bodies may have 1g.\n"
    assert routes[1].splitlines() == [
        "open and all below go to the same.",
        "      No visitor is cut off because he is slow.",
        "      Bodies go to an app as they come.",
        "      2m of an answer are taken from its app while the visitor is slow.",
        "      An address may send any number of requests.",
        "      Nothing is compressed.",
        "      What the apps say about themselves and their versions is left out.",
        "      How long browsers may keep them is left to the apps.",
        "      Only visitors from ::/0 are let in, but not those from 192.0.2.9.",
        "      Nobody is asked for a password."]
    assert routes[2].splitlines()[:2] == ["apps and all below go to web2 (192.0.2.12:80).", "      The site's files are not looked at."]
    assert routes[3].splitlines()[:5] == [
        "own and all below go to the same.",
        "      But it sends itself the files of /srv/own (*.png).",
        "      What is not among its files is answered with 404.",
        "      An address may send 1 request in 1s; more are answered with 429.",
        "      Visitors must give a name and password that are in /v (Staging)."]
    assert routes[4].splitlines()[:3] == [
        "same-root and all below go to the same.",
        "      But it sends itself the files of /srv/a, for a directory its index.html.",
        "      What is not among its files is asked of the apps."]
    assert second.splitlines() == [
        "and sends the files of /srv/b, for a directory its index.html.",
        "    What is not among its files is asked of web2 (192.0.2.12:80).",
        "    No visitor is cut off because he is slow.",
        "    Nothing is compressed.",
        "    Visitors from 192.0.2.12 are not let in.",
        "    Requests for /x and all below are answered in the same way.",
        "      Browsers may keep answers for 1h, unless these say it themselves."]
    assert "  - is asked for files of the site a.example that are missing, on port 81." in plan["web2"]
    assert "  - is a front end: what it says of visitors' addresses is believed." in plan["db1"]


def test_plan_of_a_bad_file(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("clutser: x\n")
    result = run("plan", file)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"{file}:1:1: clutser: unknown key; did you mean `cluster`?" in result.stderr
