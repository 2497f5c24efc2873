# SPDX-License-Identifier: BSD-2-Clause
"""The access log: formats, destinations, a full disk, a syslog that is restarted; Server-Timing."""
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time

import pytest

from site_of_apps import App, Site
from support.exposition import parse, value
from support.mariadb import free_port, wait_for
from support.noah import ROOT, Noah, local_address

def can_mount():
    if os.geteuid() != 0:
        return False
    tried = subprocess.run(["unshare", "-m", "--propagation", "private", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    return tried.returncode == 0


needs_root = pytest.mark.skipif(not can_mount(), reason="mounting is not allowed here")

# Apache's own regular expression for its combined format (as in every log analyser), then noah's fields.
COMBINED = re.compile(r'(\S+) (\S+) (\S+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "([^"]*)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"'
                      r'((?: [a-z]+=[^" ]+)+)(?: cause="([^"]*)")?\Z')
MEMBERS = {"time", "client", "user", "method", "target", "protocol", "line", "host", "status", "bytes", "referrer", "agent", "site", "server", "retries",
           "read_us", "queue_us", "connect_us", "first_us", "total_us", "in", "out", "tls", "ref", "end", "cause"}


def strict_json(line):
    """One object, no member twice, no NaN, nothing behind it."""
    def once(pairs):
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), f"a member twice: {line}"
        return dict(pairs)

    def refuse(word):
        raise AssertionError(f"{word} is not JSON: {line}")
    value = json.loads(line, object_pairs_hook=once, parse_constant=refuse)
    assert set(value) == MEMBERS
    return value


class Front:
    """noah with one site in front of an app that refuses connections: it answers 503 by itself, and logs."""

    def __init__(self, directory, log, threads=1, prefix=(), start=True):
        self.address = local_address()
        self.port = free_port(self.address)
        self.log = log
        self.noah = Noah(directory, self.text(), arguments=["--threads", str(threads)], prefix=prefix, start=start)

    def text(self, log=None):
        return f"""
cluster: test
servers:
  front: {{ address: {self.address} }}
sites:
  example.com:
    on: [front]
    listen: ["{self.address}:{self.port}"]
    apps: [front:{free_port(self.address)}]
    check: {{ tcp: true, every: 1s }}
log: {log or self.log}
"""

    def __enter__(self):
        return self

    def __exit__(self, kind, *ignored):
        self.noah.__exit__(kind, *ignored)

    def get(self, *targets):
        """One after the other, on one connection."""
        with contextlib.closing(http.client.HTTPConnection(self.address, self.port, timeout=30)) as connection:
            for target in targets:
                connection.request("GET", target, headers={"Host": "example.com"})
                assert connection.getresponse().read()

    def send(self, sent):
        with contextlib.closing(socket.create_connection((self.address, self.port), 30)) as connection:
            connection.sendall(sent)
            while connection.recv(65536):
                pass

    def lost(self):
        return self.noah.counter("log_lines_lost")


def lines_of(path):
    try:
        with open(path, "rb") as file:
            return file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []


HOSTILE = [
    b'GET /1 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: "}\\",\xff\xfe\x80 caf\xc3\xa9\r\nConnection: close\r\n\r\n',
    b'GET /"quotes"\\and\\\\more HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n',
    b"GET /%0a HTTP/1.1\r\nHost: example.com\r\nReferer: a\tb\r\nConnection: close\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \x00\r\n\r\n",
    b"GET /" + b"\xe4" * 5000 + b" HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
    b"A" * 9000 + b"\r\n\r\n",
    b'{"end":"ok"}\n{"end":"ok"}\r\n\r\n',
    b"GET / HTTP/1.0\r\nUser-Agent: " + b"\xf0\x9f\x90\x98" * 200 + b"\r\n\r\n",
]


@pytest.mark.parametrize("form", ["combined", "json"])
def test_one_valid_line_for_each_request_whatever_its_bytes(tmp_path, form):
    log = tmp_path / "access.log"
    with Front(tmp_path, f"{{ access: {log}, format: {form} }}") as front:
        for request in HOSTILE:
            front.send(request)
        front.get("/last")
        wait_for(lambda: len(lines_of(log)) == len(HOSTILE) + 1, 10, "a line for each request")
        for line in lines_of(log):
            text = line.decode("utf-8")
            if form == "combined":
                assert text.isascii() and COMBINED.match(text), text
            else:
                strict_json(text)
        last = lines_of(log)[-1].decode()
        if form == "combined":
            match = COMBINED.match(last)
            assert match.group(5) == "GET /last HTTP/1.1" and match.group(6) == "503"
            assert re.match(r" site=example.com server=\S+ retries=\d+ read=\d+ connect=\S+ first=- total=\d+ in=\d+ out=\d+ queue=\S+ tls=- ref=[-0-9A-Z]+ end=\S+",
                            match.group(10)), last
        else:
            value = strict_json(last)
            assert value["target"] == "/last" and value["status"] == 503 and value["protocol"] == "HTTP/1.1"
            assert value["host"] == "example.com" and value["site"] == "example.com" and value["line"] is None
            assert value["first_us"] is None and value["total_us"] >= 0 and value["cause"]
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", value["time"])
            assert strict_json(lines_of(log)[0].decode())["agent"] == '"}\\",\ufffd\ufffd\ufffd café'


def test_format_changes_with_a_reload(tmp_path):
    log = tmp_path / "access.log"
    with Front(tmp_path, f"{{ access: {log} }}", threads=2) as front:
        front.get("/one")
        front.noah.reload(front.text(f"{{ access: {log}, format: json }}"))
        front.get("/two")
        front.noah.reload(front.text("{ access: none }"))
        front.get("/three")
        front.noah.reload(front.text(f"{{ access: {log} }}"))
        front.get("/four")
        wait_for(lambda: len(lines_of(log)) == 3, 10, "three lines")
        one, two, four = (line.decode() for line in lines_of(log))
        assert "/one" in COMBINED.match(one).group(5) and strict_json(two)["target"] == "/two" and "/four" in COMBINED.match(four).group(5)
        assert front.lost() == 0


def test_a_disk_that_is_full_holds_nobody(tmp_path):
    with Front(tmp_path, "{ access: /dev/full }") as front:
        front.get(*(f"/{number}" for number in range(200)))
        wait_for(lambda: front.lost() == 200, 10, "200 lost lines to be counted")
        assert any("200 lines of the access log" in warning for warning in front.noah.status()["warnings"])
        assert "No space left on device" in front.noah.log()


@needs_root
def test_after_a_full_disk_lines_are_whole_again(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", disk], check=True)
    try:
        log, ballast = disk / "access.log", disk / "ballast"
        with Front(tmp_path / "noah", f"{{ access: {log} }}") as front:
            with open(ballast, "wb") as file:
                file.write(b"x" * 49152)
            long = "/" + "a" * 1500
            front.get(*[long] * 30)
            wait_for(lambda: front.lost() > 0, 10, "lines to be lost")
            os.unlink(ballast)
            front.get("/after")
            wait_for(lambda: any(b"/after" in line for line in lines_of(log)), 10, "the line after")
            whole = [line for line in lines_of(log) if COMBINED.match(line.decode())]
            torn = [line for line in lines_of(log) if not COMBINED.match(line.decode())]
            assert len(torn) <= 1, torn  # the one that the disk had no more room for stands alone
            assert len(whole) + front.lost() == 31
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---- syslog and the journal ---------------------------------------------------------------------------------------------

class Collector:
    """A stand-in for syslogd or journald: a datagram socket that only this test's noah sees at its usual place."""

    def __init__(self, kind):
        self.directory = tempfile.mkdtemp(prefix="noah-log-")
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "log" if kind == "syslog" else "socket")
        self.socket = None
        if kind == "syslog":  # a /dev of its own, with what a program needs of it
            steps = "".join(f"touch $D/{name}; mount --bind /dev/{name} $D/{name}; " for name in ("null", "zero", "full", "random", "urandom"))
            steps += "mount --rbind $D /dev; "
        else:
            steps = "mount -t tmpfs none /run; mkdir -p /run/systemd/journal; mount --bind $D /run/systemd/journal; "
        # noah's control socket stands in /tmp, which stays as it is
        self.prefix = ["unshare", "-m", "--propagation", "private", "sh", "-ec", f'D={self.directory}; {steps}exec "$@"', "sh"]

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(10)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)

    def take(self, count):
        return [self.socket.recv(262144) for _ in range(count)]


def syslog_line(datagram):
    match = re.match(r"<(\d+)>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d noah\[\d+\]: (.*)\Z", datagram.decode())
    assert match and match.group(1) in ("132", "134"), datagram
    return match.group(2)


def journal_fields(datagram):
    assert datagram.endswith(b"\n")
    pairs = [line.split("=", 1) for line in datagram.decode()[:-1].split("\n")]
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)) and all(re.fullmatch("[A-Z][A-Z0-9_]*", name) for name in names), names
    return dict(pairs)


@needs_root
@pytest.mark.parametrize("form", ["combined", "json"])
def test_syslog(tmp_path, form):
    with Collector("syslog") as syslog:
        syslog.open()
        with Front(tmp_path, f"{{ access: syslog, format: {form} }}", prefix=syslog.prefix) as front:
            front.get("/hello")
            line = syslog_line(*syslog.take(1))
            assert strict_json(line)["target"] == "/hello" if form == "json" else "GET /hello" in COMBINED.match(line).group(5)


@needs_root
def test_syslog_that_does_not_read_holds_nobody_and_loses_nothing_for_a_while(tmp_path):
    with Collector("syslog") as syslog:
        syslog.open()
        with Front(tmp_path, "{ access: syslog }", prefix=syslog.prefix) as front:
            targets = [f"/{number}" for number in range(400)]
            front.get(*targets)  # the socket's queue holds fewer
            taken = [COMBINED.match(syslog_line(datagram)).group(5) for datagram in syslog.take(400)]
            assert taken == [f"GET {target} HTTP/1.1" for target in targets]
            assert front.lost() == 0


@needs_root
def test_syslog_with_a_short_queue_gets_every_line_of_a_burst(tmp_path):
    """A socket's queue holds but ten datagrams on many machines; who reads at his own pace gets all of them."""
    with Collector("syslog") as syslog:
        syslog.open()
        taken = []

        def read():
            while len(taken) < 1400:
                taken.append(syslog.socket.recv(262144))
        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        with Front(tmp_path, "{ access: syslog }", prefix=syslog.prefix) as front:
            front.get(*(f"/{number}" for number in range(1400)))
            reader.join(20)
            assert len(taken) == 1400 and front.lost() == 0


@needs_root
def test_syslog_that_is_restarted_is_found_again(tmp_path):
    with Collector("syslog") as syslog:
        syslog.open()
        with Front(tmp_path, "{ access: syslog }", prefix=syslog.prefix) as front:
            front.get("/before")
            assert "/before" in syslog_line(*syslog.take(1))
            syslog.close()
            front.get("/meanwhile")
            front.noah.wait_for_log("nobody takes the access log at /dev/log")
            syslog.open()
            front.get("/after")
            assert ["/meanwhile" in syslog_line(syslog.take(1)[0]), "/after" in syslog_line(syslog.take(1)[0])] == [True, True]
            front.noah.wait_for_log("the access log goes to /dev/log again")
            assert front.lost() == 0


@needs_root
def test_journal(tmp_path):
    with Collector("journal") as journal:
        journal.open()
        with Front(tmp_path, "{ access: journal }", threads=2, prefix=journal.prefix) as front:
            front.get("/hello")
            fields = journal_fields(*journal.take(1))
            assert COMBINED.match(fields["MESSAGE"]).group(5) == "GET /hello HTTP/1.1"
            assert fields["SYSLOG_IDENTIFIER"] == "noah" and fields["PRIORITY"] == "4"  # a failure: there is no app
            assert fields["NOAH_TARGET"] == "/hello" and fields["NOAH_STATUS"] == "503" and fields["NOAH_SITE"] == "example.com"
            assert fields["NOAH_METHOD"] == "GET" and fields["NOAH_CLIENT"] and int(fields["NOAH_TOTAL_US"]) >= 0 and fields["NOAH_CAUSE"]
            front.send(b"x\r\n\r\n")
            assert journal_fields(*journal.take(1))["NOAH_STATUS"] == "400"
            front.noah.reload(front.text("{ access: journal, format: json }"))
            front.get("/again")
            assert strict_json(journal_fields(*journal.take(1))["MESSAGE"])["target"] == "/again"


@needs_root
def test_journal_that_is_not_there_costs_lines_and_nothing_else(tmp_path):
    with Collector("journal") as journal:
        with Front(tmp_path, "{ access: journal }", prefix=journal.prefix) as front:
            front.noah.wait_for_log("nobody takes the access log at /run/systemd/journal/socket")
            targets = [f"/{number}" for number in range(1500)]
            front.get(*targets)
            wait_for(lambda: front.lost() > 0, 10, "lines to be lost")
            lost = front.lost()
            assert any(f"{lost} lines of the access log" in warning for warning in front.noah.status()["warnings"])
            journal.open()
            for number in range(1500 - lost):  # what was kept, in order
                assert journal_fields(*journal.take(1))["NOAH_TARGET"] == f"/{number}"
            front.get("/again")
            assert journal_fields(*journal.take(1))["NOAH_TARGET"] == "/again"
            assert front.lost() == lost


# ---- Server-Timing ------------------------------------------------------------------------------------------------------------

PATIENT_CHECK = "{ get: /check, every: 1s, timeout: 1s, rise: 1, fall: 5 }"


def timing_of(value):
    """{name: milliseconds}; the grammar of a list of metrics with one `dur` each (W3C Server Timing)."""
    return {name: float(dur) for name, dur in (re.fullmatch(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+);dur=(\d+\.\d{3})", part).groups()
                                               for part in value.split(", "))}


def test_server_timing(tmp_path):
    with Site(tmp_path, apps=("web1",), options="    server_timing: true", check=PATIENT_CHECK) as site:
        status, _, headers = site.get("/slow?0.2")
        assert status == 200
        timing = timing_of(headers["Server-Timing"])
        assert list(timing) == ["noah-queue", "noah-connect", "noah-app", "noah"]
        assert timing["noah"] >= timing["noah-app"] > 0
        site.apps[0].kill()
        status, _, headers = site.get("/")
        assert status == 503 or status == 502
        assert "noah" in timing_of(headers["Server-Timing"])


def test_no_server_timing_unless_asked_for(tmp_path):
    with Site(tmp_path, apps=("web1",), check=PATIENT_CHECK) as site:
        assert site.get("/")[2]["Server-Timing"] is None


# ---- HTTP/2, TLS, tunnels -----------------------------------------------------------------------------------------------------

SECURE = """
cluster: test
servers:
  front: {{ address: {address} }}
  web1: {{ address: {app.address} }}
sites:
  example.com:
    on: [front]
    listen: ["https:{address}:{port}"]
    certificate: self-signed
    apps: [web1:{app.port}]
    check: {{ get: /check, every: 1s, timeout: 1s, fall: 5 }}
log: {{ access: {log}, format: json }}
admin: {{ listen: "{address}:{admin}" }}
"""


def test_one_line_for_each_stream_and_the_version_of_tls(tmp_path):
    app, address, log = App(str(tmp_path), "web1"), local_address(), tmp_path / "access.log"
    port, admin = free_port(address), free_port(address)
    text = SECURE.format(address=address, port=port, admin=admin, app=app, log=log)
    try:
        with Noah(tmp_path, text, arguments=["--threads", "1"]) as noah:
            curl = ["curl", "-sk", "--fail", "--resolve", f"example.com:{port}:{address}"]
            places = [f"https://example.com:{port}/{path}" for path in ("a", "big?100000", "c")]
            subprocess.run([*curl, "--http2", *(f"{place}" for place in places)], check=True, stdout=subprocess.DEVNULL, timeout=60)
            subprocess.run([*curl, "--http1.1", "--tls-max", "1.2", places[0]], check=True, stdout=subprocess.DEVNULL, timeout=60)
            wait_for(lambda: len(lines_of(log)) == 4, 10, "four lines")
            lines = [strict_json(line.decode()) for line in lines_of(log)]
            assert [line["protocol"] for line in lines] == ["HTTP/2.0"] * 3 + ["HTTP/1.1"]
            assert [line["tls"] for line in lines] == ["TLSv1.3"] * 3 + ["TLSv1.2"]
            assert [line["target"] for line in lines] == ["/a", "/big?100000", "/c", "/a"]
            assert all(line["status"] == 200 and line["end"] == "ok" and line["host"] == f"example.com:{port}" for line in lines)
            assert lines[1]["bytes"] == 100000 and lines[1]["out"] > 100000 and all(line["in"] > 0 for line in lines)

            def settled():
                with contextlib.closing(http.client.HTTPConnection(address, admin, timeout=30)) as connection:
                    connection.request("GET", "/metrics")
                    families = parse(connection.getresponse().read().decode())
                assert value(families, "noah_requests_total") == value(families, "noah_site_requests_total", site="example.com") == 4
                assert value(families, "noah_site_bytes_total", direction="out") == sum(line["out"] for line in lines)
                assert value(families, "noah_site_bytes_total", direction="in") == sum(line["in"] for line in lines)
                assert value(families, "noah_tls_handshakes_total") == 2
                assert value(families, "noah_certificate_not_after_timestamp_seconds", number="1") > time.time()
                return True
            wait_for(settled, 10, "the metrics to say the same")
            noah.reload(text.replace("certificate: self-signed", "certificate: self-signed\n    server_timing: true"))
            head = subprocess.run([*curl, "--http2", "-o", os.devnull, "-D", "-", places[0]], check=True, capture_output=True, text=True,
                                  timeout=60).stdout
            assert "noah-app" in timing_of(re.search(r"^server-timing: (.*)\r?$", head, re.M | re.I).group(1).strip())
    finally:
        app.kill()


# ---- the documentation ----------------------------------------------------------------------------------------------------------

def words_of(file, table):
    """The texts of an X(...) table in a header."""
    with open(os.path.join(ROOT, file), encoding="utf-8") as source:
        body = re.search(rf"#define {table}\(X\)(.*?[^\\])\n", source.read(), re.S).group(1)
    return re.findall(r'X\(\w+, "([^"]+)"', body)


def test_every_way_to_end_is_documented():
    outcomes = set(words_of("src/http/outcome.h", "HTTP_OUTCOMES")) - {"nothing"}  # which is not logged
    with open(os.path.join(ROOT, "docs", "http.md"), encoding="utf-8") as file:
        table = file.read().split("| `end` | meaning |")[1].split("\n\n")[0]
    documented = set(re.findall(r"`([a-z-]+)`", "".join(line.split("|")[1] for line in table.split("\n")[2:])))
    assert len(outcomes) > 20 and outcomes == documented, (outcomes - documented, documented - outcomes)


def test_every_member_of_the_log_is_documented():
    with open(os.path.join(ROOT, "docs", "operations.md"), encoding="utf-8") as file:
        table = file.read().split("| combined | JSON | meaning |")[1].split("\n\n")[0]
    rows = [line.split("|") for line in table.split("\n")[2:]]
    assert {word for row in rows for word in re.findall(r"`(\w+)`", row[2])} == MEMBERS
