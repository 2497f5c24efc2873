# SPDX-License-Identifier: BSD-2-Clause
"""`noah advise` beside Debian's Apache (prefork) with PHP: what it measures is what /proc says, and what it advises follows from it."""
import contextlib
import glob
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from support.mariadb import free_port, wait_for
from support.noah import local_address, run_noah
from test_processes import App

MODULES = "/usr/lib/apache2/modules"
APACHE = shutil.which("apache2") or "/usr/sbin/apache2"
PHP = sorted(glob.glob(f"{MODULES}/libphp*.so"))
needs_apache = pytest.mark.skipif(not os.path.exists(APACHE) or not PHP or os.geteuid() != 0,
                                  reason="Apache with PHP (tools/setup demo), started as root")
WORKERS = 6
CONFIGURATION = """
ServerName web1
ServerRoot {directory}
DefaultRuntimeDir {directory}
PidFile {directory}/pid
Listen {address}:{port}
User www-data
Group www-data
ErrorLog {directory}/error.log
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule php_module {php}
TypesConfig /etc/mime.types
AddHandler application/x-httpd-php .php
StartServers {workers}
MinSpareServers {workers}
MaxSpareServers {workers}
MaxRequestWorkers {workers}
DocumentRoot {directory}/www
<Directory />
	Require all granted
</Directory>
"""


class Apache:
    def __init__(self, directory):
        self.directory = str(directory)
        self.address = local_address()
        self.port = free_port(self.address)
        os.makedirs(f"{self.directory}/www")
        with open(f"{self.directory}/www/large.php", "w", encoding="ascii") as file:
            file.write("<?php ini_set('memory_limit', '256M'); $x = str_repeat('x', 40 << 20);\n"
                       "while (!file_exists('release')) { clearstatcache(); usleep(20000); }\necho strlen($x);")
        with open(f"{self.directory}/apache.conf", "w", encoding="ascii") as file:
            file.write(CONFIGURATION.format(directory=self.directory, address=self.address, port=self.port, modules=MODULES, php=PHP[-1],
                                            workers=WORKERS))
        self.process = subprocess.Popen([APACHE, "-f", f"{self.directory}/apache.conf", "-DFOREGROUND"],
                                        start_new_session=True)  # at its end it signals its whole group
        wait_for(self._answers, 30, "Apache to answer")
        wait_for(lambda: len(self.workers()) == WORKERS, 30, "Apache's workers")

    def _answers(self):
        assert self.process.poll() is None, "Apache has ended"
        with contextlib.suppress(OSError), socket.create_connection((self.address, self.port), 1):
            return True
        return False

    def workers(self):
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


def share_of(pid):
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        text = file.read()
    return 1024 * sum(int(re.search(rf"^{name}: +(\d+) kB", text, re.M).group(1)) for name in ("Pss", "SwapPss"))


@pytest.fixture(name="apache", scope="module")
def make_apache():
    directory = tempfile.mkdtemp(prefix="noah-apache-")  # pytest's directories are not open to www-data
    os.chmod(directory, 0o755)
    apache = Apache(directory)
    yield apache
    apache.stop()
    shutil.rmtree(directory)


def write(path, apps, address, on="front", more=""):
    file = path / "noah.yaml"
    file.write_text(f"""
cluster: test
servers:
  front: {{ address: 127.0.0.1 }}
  front2: {{ address: 127.0.0.2 }}
  web1: {{ address: {address} }}
sites:
  example.com:
    on: [{on}]
    apps: {apps}
{more}
""", encoding="utf-8")
    return file


def advise(file, *arguments, expect=0):
    result = run_noah("advise", file, *arguments)
    assert result.returncode == expect, result.stdout + result.stderr
    return result.stdout + result.stderr


def look(file, *arguments, expect=0):
    return json.loads(advise(file, "--server", "web1", "--json", *arguments, expect=expect))


@needs_apache
def test_measured(tmp_path, apache):
    file = write(tmp_path, f"[web1:{apache.port}]", apache.address)
    answer = look(file)
    [app] = answer["apps"]
    program, memory = app["program"], answer["memory"]
    assert program["program"] == os.path.realpath(APACHE) and program["model"] == "one-each" and program["model_known"] is True
    assert (program["workers"], program["parents"]) == (WORKERS, 1)
    sizes = sorted((share_of(pid) for pid in apache.workers()), reverse=True)
    assert abs(program["average_bytes"] - sum(sizes) / WORKERS) < 0.2 * sizes[0]
    assert abs(program["large_bytes"] - sum(sizes[:2]) / 2) < 0.2 * sizes[0]
    assert abs(program["parents_bytes"] - share_of(apache.process.pid)) < 0.5 * program["parents_bytes"]
    # The parts are the whole, and the advice follows from them.
    parts = sum(memory[name] for name in ("kernel_bytes", "databases_bytes", "noah_bytes", "others_bytes", "reserve_bytes", "left_bytes"))
    assert parts + program["parents_bytes"] + (answer["pool"] or {"parents_bytes": 0})["parents_bytes"] == memory["total_bytes"]
    if answer["pool"] is None:
        assert app["fit"] == min(memory["left_bytes"] // program["large_bytes"], 100000) > 0
    assert app["configured"] is None and app["fronts"] == 1 and app["used_by"] == "site example.com"


@needs_apache
def test_words_and_what_is_configured(tmp_path, apache):
    text = advise(write(tmp_path, f"[web1:{apache.port}]", apache.address), "--server", "web1")
    assert "left for web servers" in text and "one request each" in text and "the file sets no cap" in text
    line = re.search(r"- (\{ server: web1:\d+, connections: \d+ \})", text).group(1)
    text = advise(write(tmp_path, f"[{line}]", apache.address), "--server", "web1")  # the line that it gave is good
    assert "fit, the file allows" in text
    text = advise(write(tmp_path, f"[{{ server: web1:{apache.port}, connections: 2 }}]", apache.address), "--server", "web1")
    assert "fit, the file allows 2: good" in text
    text = advise(write(tmp_path, f"[{{ server: web1:{apache.port}, connections: 100000 }}]", apache.address), "--server", "web1")
    assert "the file allows 100000: with all of them in use the machine would run out of memory" in text or "100000 connections fit" in text


@needs_apache
def test_processes_that_have_grown(tmp_path, apache):
    """Under load they are as large as what they serve makes them."""
    file = write(tmp_path, f"[web1:{apache.port}]", apache.address)
    before = look(file)["apps"][0]["program"]["large_bytes"]

    def ask():
        connection = http.client.HTTPConnection(apache.address, apache.port, timeout=30)
        connection.request("GET", "/large.php")
        return connection
    visitors = [ask() for _ in range(WORKERS)]
    wait_for(lambda: look(file)["apps"][0]["program"]["large_bytes"] > before + (30 << 20), 30, "the workers to have grown")
    with open(f"{apache.directory}/www/release", "w", encoding="ascii"):
        pass
    for connection in visitors:
        assert connection.getresponse().read() == b"41943040"
        connection.close()


@needs_apache
def test_two_fronts_share_what_fits(tmp_path, apache):
    one = look(write(tmp_path, f"[web1:{apache.port}]", apache.address))["apps"][0]
    both = look(write(tmp_path, f"[web1:{apache.port}]", apache.address, on="front, front2"))
    [app] = both["apps"]
    assert app["fronts"] == 2 and app["fit"] <= one["fit"] * 0.6
    assert any("2 servers send requests there" in note for note in both["notes"])


def test_nobody_and_what_is_no_app(tmp_path):
    address = local_address()
    port = free_port(address)
    file = write(tmp_path, f"[web1:{port}]", address)
    answer = look(file, expect=1)
    assert answer["apps"][0]["listens"] is False and answer["apps"][0]["fit"] is None
    assert any("nobody listens there now" in note for note in answer["notes"])
    assert "nobody listens there now" in advise(file, "--server", "web1", expect=1)
    assert "no app on front" in advise(file, "--server", "front", expect=1)
    assert "web1" in advise(file, "--server", "web11", expect=2)
    assert "noah.yaml" in advise(write(tmp_path, "[nobody:80]", address), "--server", "web1", expect=2)
    assert "unknown option --jsn" in advise("--jsn", expect=2)
    assert "usage: noah advise" in advise("--help")


def test_a_program_with_threads(tmp_path):
    """Memory says nothing of one that serves many in each process; and noah says so."""
    app = App()
    try:
        file = write(tmp_path, f"[web1:{app.port}]", app.address)
        answer = json.loads(run_noah("advise", file, "--server", "web1", "--json").stdout)
        program = answer["apps"][0]["program"]
        assert program["model"] == "many" and answer["apps"][0]["listens"] is True
        if answer["pool"] is None:
            assert answer["apps"][0]["fit"] is None
            assert any("serves many connections at once" in note for note in answer["notes"])
    finally:
        app.stop()

