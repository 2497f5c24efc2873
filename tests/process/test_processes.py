# SPDX-License-Identifier: BSD-2-Clause
"""Supervisor and children: who may do what, crashes, reload, logs, stop."""
import contextlib
import http.client
import http.server
import os
import pwd
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time

import pytest

from support.mariadb import free_port, wait_for
from support.noah import BINARY, Noah, local_address, run_noah

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="root is needed to drop privileges from")


class App:
    """Answers "hello"; holds requests for /slow until release is set."""

    def __init__(self):
        self.address = local_address()
        self.release = threading.Event()
        self.slow_arrived = threading.Event()
        app = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):  # noqa: N802
                if self.path == "/slow":
                    app.slow_arrived.set()
                    app.release.wait(30)
                self.send_response(200)
                self.send_header("Content-Length", "5")
                self.end_headers()
                self.wfile.write(b"hello")

            def log_message(self, *ignored):
                pass

        self.server = http.server.ThreadingHTTPServer((self.address, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


class Site:
    """A cluster file with one site in front of one app."""

    def __init__(self, app):
        self.app = app
        self.address = local_address()
        self.port = free_port(self.address)

    def text(self, listen=None, extra=""):
        listen = listen or [self.port]
        places = ", ".join(f'"{self.address}:{port}"' for port in listen)
        return f"""
cluster: test
servers:
  front: {{ address: {self.address} }}
  web1: {{ address: {self.app.address} }}
sites:
  example.com:
    on: [front]
    listen: [{places}]
    apps: [web1:{self.app.port}]
    check: {{ tcp: true, every: 1s, timeout: 1s }}
{extra}
"""

    def get(self, path="/", port=None, timeout=10):
        connection = http.client.HTTPConnection(self.address, port or self.port, timeout=timeout)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Host": "example.com"})
            answer = connection.getresponse()
            return answer.status, answer.read()


@pytest.fixture(name="site")
def make_site():
    app = App()
    yield Site(app)
    app.stop()


def is_listening(address, port):
    try:
        socket.create_connection((address, port), 5).close()
        return True
    except ConnectionRefusedError:
        return False


def process_status(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


# ---- who may do what


@needs_root
def test_children_have_no_privileges(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        nobody = pwd.getpwnam("nobody")
        for name in ("traffic", "watch"):
            status = process_status(noah.child(name))
            assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
            assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
            assert status["Groups"].split() == []
            assert status["NoNewPrivs"] == "1"
            for capabilities in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
                assert int(status[capabilities], 16) == 0
            assert os.readlink(f"/proc/{noah.child(name)}/cwd") == "/"


@needs_root
def test_children_hold_only_what_they_were_handed(tmp_path, site):
    with open(tmp_path / "inherited", "w", encoding="ascii") as stray:
        os.set_inheritable(stray.fileno(), True)
        with Noah(tmp_path, site.text()) as noah:
            for name, listens in (("traffic", True), ("watch", False)):
                pid = noah.child(name)
                links = [os.readlink(f"/proc/{pid}/fd/{number}") for number in os.listdir(f"/proc/{pid}/fd")]
                assert not any("inherited" in link or "signalfd" in link or "memfd" in link for link in links), links
                listening = subprocess.run(["ss", "-Hltnp", f"src {site.address}"], stdout=subprocess.PIPE, text=True, check=True).stdout
                assert (f"pid={pid}," in listening) == listens, listening


def test_child_cannot_be_started_by_hand():
    result = run_noah("--child", "traffic", "0", "0", "0", "3")
    assert result.returncode == 2
    assert "noah run" in result.stderr


@needs_root
def test_unknown_user_names_the_mend(tmp_path, site):
    with Noah(tmp_path, site.text(), start=False, arguments=["--user", "nosuchuser"]) as noah:
        noah.start(wait=False)
        assert noah.process.wait(20) == 1
        assert "adduser --system --group --no-create-home nosuchuser" in noah.log() and "--user" in noah.log()


@needs_root
def test_runs_without_root(tmp_path, site):
    """As the present user, whoever that is; nothing is dropped and nothing is needed."""
    directory = tempfile.mkdtemp(prefix="noah-plain-")
    os.chmod(directory, 0o777)
    file = os.path.join(directory, "noah.yaml")
    with open(file, "w", encoding="utf-8") as out:
        out.write(site.text())
    control = os.path.join(directory, "noah.sock")
    binary = os.path.join(directory, "noah")
    subprocess.run(["cp", BINARY, binary], check=True)
    with open(os.path.join(directory, "log"), "w+", encoding="utf-8") as log:
        process = subprocess.Popen([binary, "run", file, "--server", "front", "--control", control], stdout=log, stderr=log,
                                   user="nobody", group="nogroup", extra_groups=[], cwd="/")
        try:
            wait_for(lambda: site.get()[0] == 200, 20, "an answer")
            assert run_noah("stop", "--control", control).returncode == 0
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()
            subprocess.run(["rm", "-r", directory], check=True)


def test_control_socket_is_closed_to_others(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        assert stat.S_IMODE(os.stat(noah.control).st_mode) == 0o660


def test_second_noah_is_refused(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        result = run_noah("run", noah.file, "--server", "front", "--control", noah.control, "--user", "nobody")
        assert result.returncode == 1
        assert "another noah runs already" in result.stderr
        assert noah.status()["ready"]


def test_control_socket_of_a_killed_noah_is_replaced(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        children = [noah.child("traffic"), noah.child("watch")]
        noah.process.kill()
        noah.process.wait()
        noah._forget()
        # The children notice that they are alone.
        wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), 10, "the children to end")
        noah.start()
        assert site.get() == (200, b"hello")


def test_control_path_that_is_a_file_is_not_deleted(tmp_path, site):
    file = tmp_path / "noah.yaml"
    file.write_text(site.text())
    result = run_noah("run", file, "--server", "front", "--control", file, "--user", "nobody")
    assert result.returncode == 1
    assert "--control" in result.stderr and "not a socket" in result.stderr
    assert read(file) == site.text()


def test_bad_control_requests_harm_nobody(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        for request in (b"nonsense\n", b"\n", b"x" * 1000, b"\0\xff\n", b"status"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(noah.control)
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(4096)
                assert answer == b"" or answer.startswith(b"failed\n")
        idle = []
        for _ in range(7):  # all but one of the places
            client = socket.socket(socket.AF_UNIX)
            client.connect(noah.control)
            idle.append(client)
        assert noah.status()["ready"]
        for client in idle:
            client.close()


# ---- crashes


@pytest.mark.parametrize("name", ["traffic", "watch"])
def test_killed_child_is_back_within_100_ms(tmp_path, site, name):
    with Noah(tmp_path, site.text()) as noah:
        assert site.get() == (200, b"hello")
        before = noah.child(name)
        os.kill(before, signal.SIGKILL)
        # The listening socket never closes: whoever connects meanwhile is served a moment later.
        while noah.child(name) in (None, before):
            assert is_listening(site.address, site.port)
        assert site.get() == (200, b"hello")
        row = next(child for child in noah.status()["processes"] if child["name"] == name)
        assert row["restarts"] == 1 and "signal 9" in row["last_end"]
        assert any(f"{name} died" in warning for warning in noah.status()["warnings"])
        died, started = restart_times(noah, name, before)
        assert started - died < 0.1


def restart_times(noah, name, pid):
    """When the supervisor noticed the death, and when the successor was started (from the kernel)."""
    line = next(line for line in noah.log().splitlines() if f"{name} (process {pid}) died" in line)
    hours, minutes, seconds = re.match(r"\S+T(\d+):(\d+):([\d.]+)Z", line).groups()
    died = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    with open(f"/proc/{noah.child(name)}/stat", encoding="ascii") as file:
        ticks = int(file.read().rsplit(")", 1)[1].split()[19])
    since_boot = ticks / os.sysconf("SC_CLK_TCK")
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + since_boot
    return died, started % 86400


def test_child_that_keeps_dying_waits_longer_and_longer(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        for count in range(6):
            pid = wait_for(lambda: noah.child("watch"), 10, "watch to run")
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda: f"watch (process {pid}) died" in noah.log(), 10, f"death {count}")
        noah.wait_for_log("after a pause because it keeps dying")
        wait_for(lambda: noah.child("watch"), 10, "watch to come back")
        assert site.get() == (200, b"hello")


def test_counters_and_generation_survive_a_crash(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        for _ in range(3):
            site.get()
        wait_for(lambda: noah.counter("requests") == 3, 10, "three requests counted")
        noah.reload()
        before = noah.child("traffic")
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: noah.child("traffic") not in (None, before) and noah.status()["ready"], 10, "a new traffic")
        assert noah.counter("requests") == 3 and noah.counter("connections_open") == 0
        assert noah.status()["generation"] == 2


# ---- reload


def test_reload_opens_and_closes_listeners_and_says_what_changed(tmp_path, site):
    other = free_port(site.address)
    with Noah(tmp_path, site.text()) as noah:
        output = noah.reload(site.text(listen=[site.port, other]))
        assert str(other) in output
        assert site.get(port=other) == (200, b"hello") and site.get() == (200, b"hello")
        noah.reload(site.text(listen=[other]))
        assert site.get(port=other) == (200, b"hello")
        wait_for(lambda: not is_listening(site.address, site.port), 10, "the old address to close")
        assert noah.status()["generation"] == 3
        assert "nothing that matters has changed" in noah.reload()


def test_bad_file_changes_nothing_and_says_why(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        output = noah.reload(site.text().replace("apps:", "aps:"), expect=1)
        assert "noah.yaml:" in output and "apps" in output
        assert noah.status()["generation"] == 1 and site.get() == (200, b"hello")
        assert "reload refused, nothing has changed" in noah.log()
        noah.reload(site.text())


def test_taken_address_refuses_the_reload(tmp_path, site):
    third = free_port(site.address)
    with socket.create_server((site.address, 0)) as holder, Noah(tmp_path, site.text()) as noah:
        taken = holder.getsockname()[1]
        output = noah.reload(site.text(listen=[site.port, third, taken]), expect=1)
        assert f"{site.address}:{taken}" in output and "another program listens there" in output
        assert site.get() == (200, b"hello")
        assert not is_listening(site.address, third)  # what had been opened for it is closed again
        assert noah.status()["generation"] == 1


def test_address_within_the_wildcard_says_that_noah_has_it(tmp_path, site):
    port = free_port(site.address)
    everywhere = site.text().replace(f'"{site.address}:{site.port}"', f'"0.0.0.0:{port}"')
    with Noah(tmp_path, everywhere) as noah:
        output = noah.reload(site.text(listen=[port]), expect=1)
        assert "noah itself listens at this port" in output and "restart" in output
        assert site.get(port=port) == (200, b"hello")


def test_hangup_reloads(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        noah.write(site.text(extra="log: { access: " + str(tmp_path / "access.log") + " }"))
        noah.process.send_signal(signal.SIGHUP)
        wait_for(lambda: noah.status()["generation"] == 2, 10, "the second snapshot")
        site.get("/counted")
        wait_for(lambda: "/counted" in read(tmp_path / "access.log"), 10, "a line in the access log")


def test_hangup_during_a_reload_is_not_lost(tmp_path, site):
    third = free_port(site.address)
    with Noah(tmp_path, site.text()) as noah:
        watch = noah.child("watch")
        os.kill(watch, signal.SIGSTOP)
        try:
            noah.process.send_signal(signal.SIGHUP)
            wait_for(lambda: noah.status()["generation"] == 2, 10, "the second snapshot")
            noah.write(site.text(listen=[site.port, third]))
            noah.process.send_signal(signal.SIGHUP)  # while watch has not taken the one before
        finally:
            os.kill(watch, signal.SIGCONT)
        wait_for(lambda: noah.status()["generation"] == 3, 20, "the third snapshot")
        assert site.get(port=third) == (200, b"hello")


def test_asker_who_leaves_during_a_reload_costs_nothing(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        watch, supervisor = noah.child("watch"), noah.process.pid
        os.kill(watch, signal.SIGSTOP)
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(noah.control)
                client.sendall(b"reload\n")
                wait_for(lambda: noah.status()["generation"] == 2, 10, "the second snapshot")
            before = processor_ticks(supervisor)
            noah.wait_for_log("not every process works by the new file")
            # Far less than the five seconds that it waited: it did not go round and round.
            assert processor_ticks(supervisor) - before < os.sysconf("SC_CLK_TCK") / 4
        finally:
            os.kill(watch, signal.SIGCONT)
        assert noah.status()["ready"] or wait_for(lambda: noah.status()["ready"], 10, "watch to catch up")


def processor_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_refused_reload_keeps_the_databases(tmp_path, site):
    secret = tmp_path / "password"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    places = [free_port(site.address) for _ in range(2)]

    def text(name, place, listen=None):
        return site.text(listen=listen, extra=f"""
databases:
  {name}:
    servers: [web1:{site.app.port}]
    on: [front]
    listen: ["{site.address}:{place}"]
    account: {{ user: noah, password_file: {secret} }}
""")
    with socket.create_server((site.address, 0)) as holder, Noah(tmp_path, text("main", places[0])) as noah:
        noah.reload(text("other", places[1], listen=[holder.getsockname()[1]]), expect=1)
        assert [database["name"] for database in noah.status()["databases"]] == ["main"]
        secret.unlink()
        assert "password" in noah.reload(text("main", places[1]), expect=1)
        assert [database["name"] for database in noah.status()["databases"]] == ["main"] and site.get() == (200, b"hello")


def test_frozen_traffic_is_a_warning(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        traffic = noah.child("traffic")
        assert not noah.status()["warnings"]
        os.kill(traffic, signal.SIGSTOP)
        try:
            wait_for(lambda: any("traffic" in warning and "silent" in warning for warning in noah.status()["warnings"]), 20,
                     "the warning")
        finally:
            os.kill(traffic, signal.SIGCONT)
        wait_for(lambda: not noah.status()["warnings"], 10, "the warning to go")
        assert site.get() == (200, b"hello")


def test_access_log_that_is_a_pipe_holds_nobody(tmp_path, site):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    extra = f"log: {{ access: {pipe} }}"
    with Noah(tmp_path, site.text()) as noah:
        assert "access log" in noah.reload(site.text(extra=extra), expect=1)  # nobody reads it
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        noah.reload(site.text(extra=extra))
        for _ in range(400):  # more than a pipe holds: the reader sleeps
            assert site.get("/" + "x" * 300) == (200, b"hello")
        os.close(reader)
        assert site.get() == (200, b"hello")


def test_reload_without_free_descriptors_loses_nobody(tmp_path, site):
    with Noah(tmp_path, site.text(), prefix=["prlimit", "--nofile=48:48"]) as noah:
        kept = http.client.HTTPConnection(site.address, site.port, timeout=20)
        kept.request("GET", "/", headers={"Host": "example.com"})
        assert kept.getresponse().read() == b"hello"
        mine, crowd = kept.sock, [socket.create_connection((site.address, site.port), 10) for _ in range(80)]
        noah.wait_for_log("cannot accept a connection")
        noah.reload(site.text(extra=f"log: {{ access: {tmp_path}/access.log }}"))
        noah.process.send_signal(signal.SIGUSR1)
        noah.wait_for_log("logs opened again")
        noah.reload()
        assert all(process["restarts"] == 0 for process in noah.status()["processes"])
        for client in crowd:
            client.close()
        kept.request("GET", "/", headers={"Host": "example.com"})
        assert kept.getresponse().read() == b"hello" and kept.sock is mine
        wait_for(lambda: read(tmp_path / "access.log"), 10, "a line in the access log")
        kept.close()


def test_reload_keeps_connections_and_requests_under_way(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        connection = http.client.HTTPConnection(site.address, site.port, timeout=20)
        connection.request("GET", "/", headers={"Host": "example.com"})
        assert connection.getresponse().read() == b"hello"
        kept = connection.sock
        connection.request("GET", "/slow", headers={"Host": "example.com"})
        assert site.app.slow_arrived.wait(10)
        for number in range(3):
            noah.reload(site.text(extra=f"log: {{ access: {tmp_path}/access{number}.log }}"))
        site.app.release.set()
        assert connection.getresponse().read() == b"hello"
        connection.request("GET", "/", headers={"Host": "example.com"})
        assert connection.getresponse().read() == b"hello"
        assert connection.sock is kept
        connection.close()


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# ---- logs


def test_logs_are_opened_again(tmp_path, site):
    access, log = tmp_path / "access.log", tmp_path / "own.log"
    with Noah(tmp_path, site.text(extra=f"log: {{ access: {access} }}"), arguments=["--log", str(log)]) as noah:
        site.get("/before")
        wait_for(lambda: "/before" in read(access), 10, "a line in the access log")
        os.rename(access, tmp_path / "access.old")
        os.rename(log, tmp_path / "own.old")
        noah.process.send_signal(signal.SIGUSR1)
        wait_for(lambda: os.path.exists(log) and "logs opened again" in read(log), 10, "the new log")
        site.get("/after")
        wait_for(lambda: os.path.exists(access) and "/after" in read(access), 10, "a line in the new access log")
        assert "/after" not in read(tmp_path / "access.old")
        site.app.stop()
        wait_for(lambda: "watch" in read(log), 10, "a line of a child in the new log")


def test_missing_log_directory_names_the_mend(tmp_path, site):
    with Noah(tmp_path, site.text(extra="log: { access: /nonexistent/access.log }"), start=False) as noah:
        noah.start(wait=False)
        assert noah.process.wait(20) == 1
        assert "/nonexistent/access.log" in noah.log() and "make its directory" in noah.log()


# ---- start and stop


def test_readiness_is_told_to_systemd(tmp_path, site):
    path = os.path.join(tempfile.mkdtemp(prefix="noah-notify-"), "s")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(path)
        systemd.settimeout(20)
        os.environ["NOTIFY_SOCKET"] = path
        try:
            with Noah(tmp_path, site.text()) as noah:
                assert systemd.recv(1000) == b"READY=1"
                noah.reload()
                assert systemd.recv(1000).startswith(b"RELOADING=1")
                assert systemd.recv(1000) == b"READY=1"
                assert noah.stop() == 0
                assert systemd.recv(1000) == b"STOPPING=1"
        finally:
            del os.environ["NOTIFY_SOCKET"]
    os.unlink(path)
    os.rmdir(os.path.dirname(path))


def test_stop_finishes_requests_under_way(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        answers = []
        thread = threading.Thread(target=lambda: answers.append(site.get("/slow", timeout=30)))
        thread.start()
        assert site.app.slow_arrived.wait(10)
        assert noah.command("stop").returncode == 0
        wait_for(lambda: not is_listening(site.address, site.port), 10, "the address to close")
        assert noah.process.poll() is None
        site.app.release.set()
        thread.join(20)
        assert answers == [(200, b"hello")]
        assert noah._wait(20) == 0
        assert not os.path.exists(noah.control)


def test_second_signal_stops_at_once(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        connection = http.client.HTTPConnection(site.address, site.port, timeout=20)
        connection.request("GET", "/slow", headers={"Host": "example.com"})
        assert site.app.slow_arrived.wait(10)
        noah.process.send_signal(signal.SIGTERM)
        noah.wait_for_log("stopping")
        assert noah.process.poll() is None
        noah.process.send_signal(signal.SIGINT)
        assert noah._wait(20) == 0
        connection.close()


def test_bad_file_at_start_is_exit_code_2(tmp_path, site):
    with Noah(tmp_path, "cluster: {", start=False) as noah:
        noah.start(wait=False)
        assert noah.process.wait(20) == 2
        assert "noah.yaml:" in noah.log()


def test_commands_without_noah_say_so(tmp_path):
    for name in ("status", "reload", "stop"):
        result = run_noah(name, "--control", tmp_path / "none.sock")
        assert result.returncode == 1
        assert "noah is not running" in result.stderr


def test_status_for_people(tmp_path, site):
    with Noah(tmp_path, site.text()) as noah:
        site.get()
        wait_for(lambda: noah.counter("requests") == 1, 10, "the request to be counted")
        text = noah.command("status").stdout
        assert "site example.com" in text and f"web1:{site.app.port}" in text and "1 requests" in text
        line = noah.command("status", "--line").stdout
        assert line.count("\n") == 1 and f"web1:{site.app.port} up 1" in line


def test_idle_memory(tmp_path, site):
    """All processes together, shared pages counted once."""
    with Noah(tmp_path, site.text()) as noah:
        site.get()
        total = 0
        for pid in (noah.process.pid, noah.child("traffic"), noah.child("watch")):
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
                total += sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
        if "san-" not in BINARY:
            assert total <= 24 * 1024, f"{total} KB"


def test_connections_are_spread_over_the_threads(tmp_path, site):
    with Noah(tmp_path, site.text(), arguments=["--threads", "4"]) as noah:
        connections = [socket.create_connection((site.address, site.port)) for _ in range(40)]
        wait_for(lambda: noah.counter("connections_open") == 40, 10, "all connections to be open")
        lanes = lane_connections(noah)
        assert sum(lanes) == 40 and max(lanes) - min(lanes) <= 4, lanes
        for connection in connections:
            connection.close()


def lane_connections(noah):
    return [thread["connections_open"] for thread in noah.status()["lanes"]]
