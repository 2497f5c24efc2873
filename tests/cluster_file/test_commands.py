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


def test_plan_of_a_bad_file(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("clutser: x\n")
    result = run("plan", file)
    assert (result.returncode, result.stdout) == (2, "")
    assert f"{file}:1:1: clutser: unknown key; did you mean `cluster`?" in result.stderr
