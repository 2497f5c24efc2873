# SPDX-License-Identifier: BSD-2-Clause
"""The load that bench/run puts on a proxy. Each function returns (how many were answered, how many a second, p50 ms, p99 ms); a
single wrong answer is an error, not a figure."""
import contextlib
import http.client
import os
import re
import socket
import ssl
import subprocess

from proxies import BUILD, LOAD_CPU, SITE, pinned

HTTP_CONNECTIONS = 64
H2_CONNECTIONS, H2_STREAMS = 4, 100
HANDSHAKE_THREADS = 8
SQL_CONNECTIONS = 16
TABLE_ROWS = 10000
USER, PASSWORD = "bench", "bench-secret"
UNKNOWN = float("nan")


def run_pinned(command, seconds):
    return subprocess.run(["taskset", "-c", str(LOAD_CPU), *command], stdout=subprocess.PIPE, text=True, check=True,
                          timeout=seconds + 60).stdout


def to_ms(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def wrk(url, seconds, more=()):
    fields = [word for field in (f"Host: {SITE}", *more) for word in ("-H", field)]
    output = run_pinned(["wrk", "-t1", f"-c{HTTP_CONNECTIONS}", f"-d{seconds}s", "--latency", *fields, url], seconds)
    if bad := re.search(r"(Non-2xx or 3xx responses: \d+|Socket errors: .*)", output):
        raise RuntimeError(f"wrk: {bad[1]}")
    if re.search(r"^\s*0 requests in", output, re.M):
        raise RuntimeError("wrk got no answer at all:\n" + output)
    return (int(re.search(r"(\d+) requests in", output)[1]), float(re.search(r"Requests/sec:\s+([\d.]+)", output)[1]),
            to_ms(re.search(r"^ +50%\s+(\S+)", output, re.M)[1]), to_ms(re.search(r"^ +99%\s+(\S+)", output, re.M)[1]))


def plain_gets(address, seconds, path="/", more=()):
    return wrk(f"http://{address[0]}:{address[1]}{path}", seconds, more)


def tls_gets(address, seconds, path="/"):
    # wrk sends the URL's name as the server name, and an address is none.
    return wrk(f"https://localhost:{address[1]}{path}", seconds)


def h2_gets(address, seconds, path="/"):
    """h2load tells no percentiles: instead of the median there is the mean."""
    output = run_pinned(["h2load", "-t1", f"-c{H2_CONNECTIONS}", f"-m{H2_STREAMS}", f"-D{seconds}",
                         f"--connect-to={address[0]}:{address[1]}", f"https://{SITE}{path}"], seconds)
    counts = re.search(r"(\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout", output)
    if not counts or int(counts[2]) == 0 or any(int(counts[number]) for number in (3, 4, 5)) or "Application protocol: h2" not in output:
        raise RuntimeError("h2load:\n" + output)
    mean = to_ms(re.search(r"time for request:\s+\S+\s+\S+\s+(\S+)", output)[1])
    return int(counts[2]), float(re.search(r"([\d.]+) req/s", output)[1]), mean, UNKNOWN


def full_handshakes(address, seconds):
    output = run_pinned([os.path.join(BUILD, "bench/handshakes"), address[0], str(address[1]), SITE, str(HANDSHAKE_THREADS), str(seconds)],
                        seconds)
    count, p50, p99 = re.fullmatch(r"(\d+) handshakes, p50 ([\d.]+), p99 ([\d.]+)\n", output).groups()
    return int(count), int(count) / seconds, float(p50), float(p99)


def sysbench(address, arguments):
    with pinned(LOAD_CPU):
        result = subprocess.run(["sysbench", "oltp_point_select", f"--mysql-host={address[0]}", f"--mysql-port={address[1]}",
                                 f"--mysql-user={USER}", f"--mysql-password={PASSWORD}", "--mysql-db=bench", "--tables=1",
                                 f"--table-size={TABLE_ROWS}", *arguments],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
    if result.returncode != 0:
        raise RuntimeError("sysbench:\n" + result.stdout)
    return result.stdout


def point_selects(address, seconds, prepared):
    output = sysbench(address, [f"--threads={SQL_CONNECTIONS}", f"--time={seconds}", "--histogram=on",
                                f"--db-ps-mode={'auto' if prepared else 'disable'}", "run"])
    if int(re.search(r"ignored errors:\s+(\d+)", output)[1]) or int(re.search(r"reconnects:\s+(\d+)", output)[1]):
        raise RuntimeError("sysbench had errors:\n" + output)
    queries = int(re.search(r"total:\s+(\d+)", output)[1])
    steps = [(float(value), int(count)) for value, count in re.findall(r"^\s*([\d.]+) \|\**\s*(\d+)$", output, re.M)]
    return queries, float(re.search(r"queries:\s+\d+\s+\(([\d.]+) per sec", output)[1]), percentile(steps, 0.5), percentile(steps, 0.99)


def percentile(steps, share):
    total, seen = sum(count for _, count in steps), 0
    for value, count in steps:
        seen += count
        if seen >= share * total:
            return value
    return UNKNOWN


# ---- single requests --------------------------------------------------------------------------------------------------------

def connect(address, authority=None):
    """A connection to it; over TLS 1.3 when the certificate to trust is given."""
    connection = socket.create_connection(address, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if authority is None:
        return connection
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    return context.wrap_socket(connection, server_hostname=SITE)


def get_once(address, authority=None, path="/"):
    with connect(address, authority) as connection:
        return get_on(connection, path)


def size_of_coded(address, coding):
    """Of the body of `/` in this content coding."""
    with contextlib.closing(http.client.HTTPConnection(*address, timeout=10)) as connection:
        connection.request("GET", "/", headers={"Host": SITE, "Accept-Encoding": coding})
        answer = connection.getresponse()
        if answer.headers["Content-Encoding"] != coding:
            raise RuntimeError(f"asked for {coding}, got {answer.headers['Content-Encoding']}")
        return len(answer.read())


def get_on(connection, path="/"):
    """One GET on an open connection; the answer is read wholly."""
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {SITE}\r\n\r\n".encode())
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise OSError("closed before the answer")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 200"):
        raise OSError(head.split(b"\r\n")[0].decode())
    wanted = int(re.search(rb"(?i)content-length: *(\d+)", head)[1])
    while len(body) < wanted:
        body += connection.recv(65536)
    return True
