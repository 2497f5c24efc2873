# SPDX-License-Identifier: BSD-2-Clause
"""The supervisor when much goes wrong: in an upgrade the file turns bad in the middle, a stop comes, the new program does not come
up while visitors are there; no descriptor is left; and several noahs start at the same moment."""
import contextlib
import fcntl
import http.client
import os
import resource
import shutil
import signal
import subprocess
import tempfile
import threading

import pytest

from support.mariadb import wait_for
from support.noah import BINARY, Noah, free_port, local_address, run_noah
from test_processes import App, Site
# make_broken is the fixture `broken`.
from test_upgrade import ask, connect, is_alive, make_broken, retired, script, status_for, upgrade


@pytest.fixture(name="site")
def make_site():
    app = App()
    yield Site(app)
    app.stop()


def test_file_that_turns_bad_after_the_check_leaves_the_former_traffic_alone(tmp_path, site):
    """Its lanes of the board, too: the slot of its connection to a capped app is still its own, and given back by it."""
    with Noah(tmp_path, site.text().replace("    check:", "    connections: 1\n    check:")) as noah:
        traffic, kept = noah.child("traffic"), connect(site)
        busy = connect(site)
        busy.request("GET", "/slow", headers={"Host": "example.com"})
        assert site.app.slow_arrived.wait(20)
        program = script(tmp_path, f"""
if [ "$1" = --upgrade-check ]; then
	{BINARY} "$@" || exit
	echo "cluster: {{" > {noah.file}
	exit 0
fi
exec {BINARY} "$@"
""")
        words = upgrade(noah, "--program", program, expect=1)
        assert "goes on" in words and "noah.yaml:" in words
        assert noah.child("traffic") == traffic and noah.counter("connections_open") == 2
        site.app.release.set()
        assert busy.getresponse().read() == b"hello"
        ask(kept)
        assert noah.child("traffic") == traffic and not retired(noah)
        noah.reload(site.text())


def test_former_traffic_keeps_its_file_until_the_new_program_works(tmp_path, site, broken):
    """A snapshot of a newer program may be one that it cannot read; and when the new one does not come up, nothing has changed."""
    with Noah(tmp_path, site.text()) as noah:
        kept, ending, seen = connect(site), threading.Event(), set()

        def look():
            while not ending.is_set():
                kept.request("GET", "/", headers={"Host": "example.com"})
                answer = kept.getresponse()
                seen.add((answer.status, answer.read()))

        visitor = threading.Thread(target=look, daemon=True)
        visitor.start()
        noah.write(site.text().replace("    apps:", "    routes: [{ path: /, redirect: https://example.org/ }]\n    apps:"))
        try:
            assert "goes on" in upgrade(noah, "--program", broken, expect=1)
        finally:
            ending.set()
            visitor.join(30)
        assert seen == {(200, b"hello")}
        noah.wait_ready()  # its watch starts anew; until then an upgrade is refused
        upgrade(noah)  # the new file counts with the next program that works, for connections of before too
        wait_for(lambda: redirects(site), 20, "the new file to be in force")


GIVES_BACK = """#!/usr/bin/python3
import json, os, sys
if sys.argv[1] != "--upgrade-check":
    record = json.loads(os.pread(int(os.environ["NOAH_HANDOVER"]), 1 << 20, 0))
    del record["guard"]
    record.update(failure="it is too old", program=record["former_program"], former_program="")
    state = os.memfd_create("state", 0)
    os.write(state, json.dumps(record).encode())
    os.environ["NOAH_HANDOVER"] = str(state)
os.execv("{binary}", ["{binary}", *sys.argv[1:]])
"""


def test_table_of_addresses_outlives_a_program_that_knows_of_none(tmp_path, site):
    """Back to one of before 0.3, which does not come up: traffic counts on in its table, and `noah bans` is about that one."""
    program = tmp_path / "gives_back"
    program.write_text(GIVES_BACK.format(binary=BINARY))
    program.chmod(0o755)
    with Noah(tmp_path, site.text(extra="visitors: { requests: 1/1h, ban: 1h, exempt: [127.0.0.1] }")) as noah:
        traffic = noah.child("traffic")
        assert [status_for(site, "127.0.0.7") for _ in range(3)] == [200, 429, 403]
        assert "it is too old" in upgrade(noah, "--program", program, expect=1)
        assert noah.child("traffic") == traffic and status_for(site, "127.0.0.7") == 403
        assert "127.0.0.7 " in noah.command("bans").stdout
        assert noah.command("unban", "127.0.0.7").returncode == 0 and status_for(site, "127.0.0.7") == 200
        tables = [number for number in os.listdir(f"/proc/{noah.process.pid}/fd")
                  if "noah-guard" in os.readlink(f"/proc/{noah.process.pid}/fd/{number}")]
        assert len(tables) == 1
        noah.wait_ready()
        with open(f"/proc/{noah.child('watch')}/environ", "rb") as file:
            assert b"NOAH_GUARD" not in file.read()


def redirects(site):
    connection = http.client.HTTPConnection(site.address, site.port, timeout=20)
    connection.request("GET", "/", headers={"Host": "example.com"})
    status = connection.getresponse().status
    connection.close()
    return status == 301


def test_stop_while_a_program_is_being_asked(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        asked = tmp_path / "asked"
        program = script(tmp_path, f"echo $$ > {asked}.new; mv {asked}.new {asked}; exec sleep 300\n")
        busy = connect(site)
        busy.request("GET", "/slow", headers={"Host": "example.com"})
        assert site.app.slow_arrived.wait(20)
        with subprocess.Popen([BINARY, "upgrade", "--control", noah.control, "--program", str(program)], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True) as command:
            wait_for(asked.exists, 20, "the program to be asked")
            noah.process.send_signal(signal.SIGTERM)
            assert "noah is stopping" in command.communicate(timeout=30)[0]
        assert not is_alive(int(asked.read_text()))
        site.app.release.set()
        assert busy.getresponse().read() == b"hello"
        busy.close()
        assert noah.stop() == 0


def test_pipe_in_place_of_the_file_does_not_hold_noah_up(tmp_path, site):
    """One to which nobody writes, and one to which somebody might: the supervisor waits for neither."""
    with Noah(tmp_path, site.text()) as noah:
        os.unlink(noah.file)
        os.mkfifo(noah.file)
        noah.reload(expect=1)
        writer = os.open(noah.file, os.O_RDWR)
        assert "cannot be read: Connection timed out" in noah.reload(expect=1)
        os.write(writer, site.text().encode())
        os.close(writer)
        os.unlink(noah.file)
        assert "nothing that matters" in noah.reload(site.text())
    check = subprocess.run([BINARY, "check", "--file-only", "/dev/stdin"], input=site.text(), text=True, capture_output=True, check=False)
    assert check.returncode == 0 and "is good" in check.stdout


def test_command_waits_while_no_descriptor_is_left(tmp_path, site):
    # poll(2) refuses to look at more than may be open, so that most of its descriptors have to be listeners.
    port = free_port("0.0.0.0")
    more = "".join(f"""  more{number}.example:
    on: [front]
    listen: [{", ".join(f'"{local_address()}:{port}"' for _ in range(8))}]
    apps: [web1:{site.app.port}]
    check: {{ tcp: true, every: 1s, timeout: 1s }}
""" for number in range(12))
    with Noah(tmp_path, site.text(extra=more)) as noah:
        used = max(map(int, os.listdir(f"/proc/{noah.process.pid}/fd"))) + 1
        limits = resource.prlimit(noah.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(noah.process.pid, resource.RLIMIT_NOFILE, (used - 2, limits[1]))
        with subprocess.Popen([BINARY, "status", "--json", "--control", noah.control], stdout=subprocess.PIPE) as command:
            noah.wait_for_log("a command waits: it cannot be taken now: Too many open files")
            assert site.get() == (200, b"hello")
            resource.prlimit(noah.process.pid, resource.RLIMIT_NOFILE, limits)
            assert b"example.com" in command.communicate(timeout=30)[0]


def descriptors(noah):
    """Of each process, by name, when nothing is under way."""
    pids = {"noah": noah.process.pid, "traffic": noah.child("traffic"), "watch": noah.child("watch")}
    return {name: len(os.listdir(f"/proc/{pid}/fd")) for name, pid in pids.items()}


def test_nothing_is_left_open_by_upgrades_and_reloads(tmp_path, site):
    with Noah(tmp_path, site.text(), arguments=["--threads", "1"]) as noah:
        def settled():
            wait_for(lambda: not retired(noah) and noah.counter("connections_open") == 0, 20, "former generations to end")
            noah.wait_ready()

        def all_kinds(number):
            refused = script(tmp_path, "exit 3\n") if number == 0 else tmp_path / "none"
            upgrade(noah, "--program", refused, expect=1)
            upgrade(noah)
            for change in ("tcp: true", "get: /"):
                noah.reload(site.text().replace("tcp: true", change))
            noah.reload("cluster: {", expect=1)
            noah.write(site.text())

        all_kinds(0)
        settled()
        before = descriptors(noah)
        for number in range(1, 5):
            all_kinds(number)
        settled()
        wait_for(lambda: all(count <= before[name] for name, count in descriptors(noah).items()), 20,
                 f"no more descriptors than before, {before}")


def test_who_starts_waits_for_another_that_is_just_starting(tmp_path, site):
    """Between looking whether somebody answers and answering oneself; here the test stands in for the other one."""
    noah = Noah(tmp_path, site.text(), start=False)
    with open(noah.control + ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        noah.start(wait=False)
        wait_for(lambda: lock.name in opened(noah.process.pid), 20, "it to come to the lock")
        assert not os.path.exists(noah.control)
    noah.wait_ready()
    assert lock.name not in opened(noah.process.pid)
    assert noah.stop() == 0 and not os.path.exists(noah.control)
    noah.close()


def opened(pid):
    directory, names = f"/proc/{pid}/fd", set()
    for number in os.listdir(directory):
        with contextlib.suppress(OSError):
            names.add(os.readlink(f"{directory}/{number}"))
    return names


def test_of_many_that_start_at_once_one_runs(tmp_path):
    """They fight over the control socket: exactly one gets it, it answers there, and the others say why they do not start."""
    directory = tempfile.mkdtemp(prefix="noah-run-")
    control, started = os.path.join(directory, "noah.sock"), []
    try:
        for number in range(6):
            address = local_address()
            file = tmp_path / f"noah{number}.yaml"
            file.write_text(f"cluster: c{number}\nservers: {{ front: {{ address: {address} }} }}\nsites:\n  example.com:\n"
                            f'    on: [front]\n    listen: ["{address}:{free_port(address)}"]\n    apps: [front:9]\n')
            log = open(tmp_path / f"log{number}", "w+", encoding="utf-8")  # pylint: disable=consider-using-with
            started.append((log, subprocess.Popen([BINARY, "run", str(file), "--server", "front", "--control", control, "--user",  # pylint: disable=consider-using-with
                                                   "nobody"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)))
        wait_for(lambda: sum(process.poll() is None for _, process in started) == 1, 30, "all but one to end")
        wait_for(lambda: run_noah("status", "--control", control).returncode == 0, 30, "the one to answer")
        for log, process in started:
            log.seek(0)
            assert process.poll() is None or "another noah runs already" in log.read()
    finally:
        for log, process in started:
            process.terminate()
            process.wait(60)
            log.close()
        shutil.rmtree(directory)
