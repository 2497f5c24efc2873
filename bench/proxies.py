# SPDX-License-Identifier: BSD-2-Clause
"""The programs that bench/run measures: how each is started, which processes it consists of, and what they used.

Every proxy is started pinned to PROXY_CPU; the backend, the databases and the load run on LOAD_CPU. Processes die with the
bench (PR_SET_PDEATHSIG), also when it is killed.
"""
import contextlib
import ctypes
import glob
import os
import re
import resource
import signal
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), ".."))
sys.path.insert(0, ROOT)
from tests.support.mariadb import free_port, wait_for  # noqa: E402
from tests.support.noah import Noah  # noqa: E402

BUILD = os.environ.get("BUILD", os.path.join(ROOT, "build"))
PEERS = os.path.join(ROOT, "build", "peers-root")
PROXY_CPU = min(os.sched_getaffinity(0))
LOAD_CPU = max(os.sched_getaffinity(0))
DESCRIPTORS = 65536
SITE = "bench.example"
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


@contextlib.contextmanager
def pinned(cpu):
    """What is started inside runs on this processor only."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def start(cpu, command, output, **more):
    with pinned(cpu):
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, preexec_fn=_die_with_parent, **more)


def stop(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def start_printing_port(cpu, command):
    process = start(cpu, command, subprocess.PIPE, text=True)
    return process, int(process.stdout.readline())


def raise_descriptor_limit():
    """As far as the kernel lets us, up to DESCRIPTORS; for this process and all that it starts."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (DESCRIPTORS, hard):
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
            return


def make_certificate(directory):
    """ECDSA P-256, signed by itself, with its key in one file, as all three take it. Also good for localhost."""
    parts = [os.path.join(directory, name) for name in ("key.pem", "chain.pem", "certificate.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
                    "-subj", f"/CN={SITE}", "-addext", f"subjectAltName=DNS:{SITE},DNS:localhost", "-keyout", parts[0], "-out", parts[1]],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    with open(os.open(parts[2], os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="ascii") as both:
        for part in parts[1::-1]:
            with open(part, encoding="ascii") as file:
                both.write(file.read())
    return parts[2]


# ---- what processes use ---------------------------------------------------------------------------------------------------

def family(pid):
    """The process and everything below it."""
    found, todo = [], [pid]
    while todo:
        pid = todo.pop()
        found.append(pid)
        for path in glob.glob(f"/proc/{pid}/task/*/children"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
                todo += [int(word) for word in file.read().split()]
    return found


def cpu_ns(pids):
    """Time on the processor so far, in user and system mode, of all threads."""
    total = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            with contextlib.suppress(OSError), open(path, encoding="ascii") as file:
                total += int(file.read().split()[0])
    return total


def memory_bytes(pids):
    """Resident memory; a page shared by several of them counts once (each has its share of it)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError), open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            total += int(re.search(r"^Pss:\s+(\d+) kB", file.read(), re.M)[1]) * 1024
    return total


# ---- the proxies ----------------------------------------------------------------------------------------------------------

class Proxy:
    """`http`, `https` and `sql` are (address, port) or None; `hot` is the process that carries the traffic."""
    name = version = ""
    http = https = sql = None

    def pids(self):
        raise NotImplementedError

    def hot(self):
        return self.pids()[0]

    def close(self):
        raise NotImplementedError


class Relay(Proxy):
    """The floor: one for each target."""
    name = version = "bare relay"

    def __init__(self, target, kind):
        self.process, port = start_printing_port(PROXY_CPU, [os.path.join(BUILD, "bench/relay"), "127.0.0.1", f"{target[0]}:{target[1]}"])
        setattr(self, kind, ("127.0.0.1", port))

    def pids(self):
        return [self.process.pid]

    def close(self):
        stop(self.process)


class NoahProxy(Proxy):
    """One site with the backend, and one database with these servers (none: no database)."""
    name = "noah"

    def __init__(self, directory, backend, databases, certificate):
        os.mkdir(directory)
        os.chmod(directory, 0o755)
        self.http, self.https, self.sql = (("127.0.0.1", free_port()) for _ in range(3))
        self.access_log = os.path.join(directory, "access.log")
        with pinned(PROXY_CPU):
            self.noah = Noah(directory, self.text(directory, backend, databases, certificate))
        self.version = subprocess.run([os.environ.get("NOAH", os.path.join(BUILD, "noah")), "--version"], stdout=subprocess.PIPE, text=True,
                                      check=True).stdout.strip()

    def text(self, directory, backend, databases, certificate):
        servers = {"front": "127.0.0.1", **({"web1": backend[0]} if backend else {}),
                   **{f"db{server.server_id}": server.address for server in databases}}
        lines = [f"cluster: {SITE}", "servers:", *(f"  {name}: {{ address: {address} }}" for name, address in servers.items()),
                 f"log: {{ access: {self.access_log} }}", "sites:", f"  {SITE}:", "    on: [front]",
                 "    names: [localhost]", f"    listen: [\"{text_of(self.http)}\", \"https:{text_of(self.https)}\"]",
                 f"    certificate: {certificate}", "    https: { redirect: false, least: 1.3 }", *self.what(backend)]
        if databases:
            password = os.path.join(directory, "password")
            with open(password, "w", encoding="ascii") as file:
                file.write("noah-secret\n")
            os.chmod(password, 0o600)
            lines += ["databases:", "  main:", "    on: [front]", f"    listen: [\"{text_of(self.sql)}\"]",
                      f"    account: {{ user: noah, password_file: {password} }}",
                      "    servers: [" + ", ".join(f"\"db{server.server_id}:{server.port}\"" for server in databases) + "]"]
        return "\n".join(lines) + "\n"

    def what(self, backend):
        """The lines of the site that say what it is made of."""
        return [f"    apps: [\"web1:{backend[1]}\"]"]

    def pids(self):
        return family(self.noah.process.pid)

    def hot(self):
        return self.noah.child("traffic")

    def close(self):
        self.noah.close()


def peer_command(name):
    """From the scratch root with its own libraries when it is there, else this system's; None when neither is."""
    program = os.path.join(PEERS, "usr/sbin", name)
    if os.path.exists(program):
        loader = glob.glob(os.path.join(PEERS, "usr/lib*/ld-linux-*.so.*")) + glob.glob(os.path.join(PEERS, "usr/lib/*/ld-linux-*.so.*"))
        libraries = glob.glob(os.path.join(PEERS, "usr/lib/*-linux-gnu"))
        return [loader[0], "--library-path", ":".join(libraries), program]
    return next(([path] for path in (f"/usr/sbin/{name}", f"/usr/bin/{name}") if os.path.exists(path)), None)


def peer_configuration(template, folder, **values):
    with open(os.path.join(ROOT, "bench/peers", template), encoding="utf-8") as file:
        text = file.read()
    for key, value in values.items():
        text = text.replace(f"@{key.upper()}@", value)
    path = os.path.join(folder, template)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def text_of(address):
    return f"{address[0]}:{address[1]}"


class HAProxy(Proxy):
    name = "HAProxy"

    def __init__(self, directory, backend, database, certificate, log="stdout"):
        directory = os.path.join(directory, "haproxy-" + log)
        if log != "stdout":
            self.name = "HAProxy, log kept in memory"
        os.mkdir(directory)
        command = peer_command("haproxy")
        self.version = re.search(r"version (\S+)", subprocess.run(command + ["-v"], stdout=subprocess.PIPE, text=True, check=True).stdout)[1]
        self.http, self.https, self.sql = (("127.0.0.1", free_port()) for _ in range(3))
        path = peer_configuration("haproxy.cfg", directory, http=text_of(self.http), https=text_of(self.https), sql=text_of(self.sql),
                                  backend=text_of(backend), database=text_of(database or backend), certificate=certificate, log=log)
        self.access_log = os.path.join(directory, "haproxy-access.log")
        with open(self.access_log, "ab") as log, open(os.path.join(directory, "haproxy-error.log"), "ab") as errors:
            self.process = start(PROXY_CPU, command + ["-db", "-f", path], log, stderr=errors)

    def pids(self):
        return family(self.process.pid)

    def close(self):
        stop(self.process)


class Nginx(Proxy):
    name = "nginx"
    template = "nginx.conf"
    more = {"compression": ""}  # values of the template beside those that all have

    def __init__(self, directory, backend, certificate):
        command = peer_command("nginx")
        self.version = re.search(r"nginx/(\S+)", subprocess.run(command + ["-v"], stderr=subprocess.PIPE, text=True, check=True).stderr)[1]
        self.http, self.https = (("127.0.0.1", free_port()) for _ in range(2))
        self.access_log = os.path.join(directory, "nginx-access.log")
        path = peer_configuration(self.template, directory, http=text_of(self.http), https=text_of(self.https), backend=text_of(backend),
                                  certificate=certificate, directory=directory, log=self.access_log, **self.http2(), **self.more)
        with open(os.path.join(directory, "nginx-output.log"), "ab") as output:
            self.process = start(PROXY_CPU, command + ["-p", directory, "-c", path], output, stderr=output)

    def http2(self):
        """How HTTP/2 is turned on; a directive of its own since 1.25.1."""
        if tuple(int(word) for word in self.version.split(".")) >= (1, 25, 1):
            return {"http2": "http2 on;", "listen_http2": ""}
        return {"http2": "", "listen_http2": " http2"}

    def pids(self):
        return family(self.process.pid)

    def hot(self):
        return self.pids()[-1]

    def close(self):
        stop(self.process)
