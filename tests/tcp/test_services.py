# SPDX-License-Identifier: BSD-2-Clause
"""TCP services: bytes both ways, half-closed, the choice of a server, caps, the PROXY protocol, servers that die, reloads."""
import contextlib
import os
import re
import socket
import struct
import subprocess
import threading

import pytest

from service_of_servers import SANITIZED, Service
from support.noah import local_address, wait_for


# ---- bytes


def test_the_server_speaks_first(tmp_path):
    with Service(tmp_path, servers=("web1",)) as service:
        with service.connect() as client:
            assert client.server() == "web1"
            assert client.echo(b"hello") == b"hello"
            # The client has said everything, and gets the rest of the answer.
            client.socket.sendall(b"last words")
            client.socket.shutdown(socket.SHUT_WR)
            assert client.exactly(13) == b"last wordsbye"
            assert client.is_over()
        service.wait_for_open(0)
        assert service.active() == 0
        counters = service.noah.status()["counters"]
        assert counters["services_accepted"] == 1 and counters["services_failed"] == 0
        assert counters["services_bytes_in"] == 15 and counters["services_bytes_out"] == len("web1 ready\r\n") + 18
        assert "service ssh" not in service.noah.log()


def test_much_at_once_both_ways(tmp_path):
    much = os.urandom(1 << 20) * 8
    with Service(tmp_path, servers=("web1",)) as service, service.connect() as client:
        assert client.server() == "web1"
        sender = threading.Thread(target=client.socket.sendall, args=(much,))
        sender.start()
        assert client.exactly(len(much)) == much
        sender.join()


def test_a_client_that_leaves(tmp_path):
    with Service(tmp_path, servers=("web1",)) as service:
        client = service.connect()
        assert client.server() == "web1"
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.socket.close()
        service.wait_for_open(0)
        wait_for(lambda: not service.servers[0].connections, 10, "the server to be told")
        assert service.noah.counter("services_failed") == 0


# ---- which server


def test_weights(tmp_path):
    with Service(tmp_path, each={"web1": ", weight: 3"}) as service:
        assert sorted(service.names(8)) == ["web1"] * 6 + ["web2"] * 2


def test_least_connections(tmp_path):
    with Service(tmp_path, options="    balance: least-connections") as service:
        clients = [service.connect() for _ in range(6)]
        names = [client.server() for client in clients]
        assert sorted(names) == ["web1"] * 3 + ["web2"] * 3
        for client, name in zip(clients, names):
            if name == "web1":
                client.socket.close()
        wait_for(lambda: service.active() == 3, 10, "those of web1 to be gone")
        more = [service.connect() for _ in range(3)]
        assert [client.server() for client in more] == ["web1"] * 3
        for client in (*clients, *more):
            client.socket.close()


def test_the_same_server_for_the_same_address(tmp_path):
    with Service(tmp_path, servers=("web1", "web2", "web3"), options="    balance: hash\n    hash: address") as service:
        found = {}
        for _ in range(3):
            for number in range(12):
                source = f"127.77.1.{number + 1}"
                with service.connect(source=source) as client:
                    found.setdefault(source, set()).add(client.server())
        assert all(len(names) == 1 for names in found.values()), found
        assert len(set.union(*found.values())) >= 2


def test_least_latency(tmp_path):
    with Service(tmp_path, options="    balance: least-latency") as service:
        assert set(service.names(40)) <= {"web1", "web2"}


def test_a_backup_waits_for_its_turn(tmp_path):
    with Service(tmp_path, each={"web2": ", backup: true"}) as service:
        assert service.names(4) == ["web1"] * 4
        service.servers[0].kill()
        service.noah.wait_for_health(f":{service.servers[0].port}", "down")
        assert service.names(2) == ["web2"] * 2
        service.servers[0].start()
        service.noah.wait_for_health(f":{service.servers[0].port}", "up")
        assert service.names(2) == ["web1"] * 2


# ---- servers that die


def test_a_server_that_dies(tmp_path):
    with Service(tmp_path) as service:
        clients = [service.connect() for _ in range(4)]
        names = [client.server() for client in clients]
        service.servers[0].kill()
        for client, name in zip(clients, names):
            if name == "web1":
                assert client.is_over()
            else:
                assert client.echo(b"still here") == b"still here"
            client.socket.close()
        service.noah.wait_for_log("service ssh: a connection from 127.")
        assert f"(server-broke): web1:{service.servers[0].port}: connection reset by the other side, after 0 bytes to it and 12 from it" \
            in service.noah.log()
        assert service.names(4) == ["web2"] * 4


def test_another_server_when_one_cannot_be_reached(tmp_path):
    """Before a check has noticed."""
    with Service(tmp_path, every="1h") as service:
        service.servers[0].kill()
        assert service.names(8) == ["web2"] * 8
        counters = service.noah.status()["counters"]
        assert counters["retries"] == 2 and counters["services_failed"] == 0  # fall: 2, then it is avoided


def test_no_server_at_all(tmp_path):
    with Service(tmp_path) as service:
        for server in service.servers:
            server.kill()
        for server in service.servers:
            service.noah.wait_for_health(f":{server.port}", "down")
        with service.connect() as client:
            assert client.is_over()
        service.noah.wait_for_log("failed (no-server): no server is up: web1:")
        assert service.noah.counter("services_failed") == 1


def test_a_drained_server_keeps_its_connections(tmp_path):
    with Service(tmp_path) as service:
        clients = [service.connect() for _ in range(2)]
        assert sorted(client.server() for client in clients) == ["web1", "web2"]
        result = service.noah.command("drain", "web1")
        assert result.returncode == 0, result.stderr
        assert service.names(4) == ["web2"] * 4
        for client in clients:
            assert client.echo(b"hello") == b"hello"
            client.socket.close()
        assert service.noah.command("undrain", "web1").returncode == 0
        assert set(service.names(4)) == {"web1", "web2"}


# ---- caps


def test_a_cap_and_its_queue(tmp_path):
    with Service(tmp_path, servers=("web1",), options="    connections: 2") as service:
        first, second, third = service.connect(), service.connect(), None
        assert (first.server(), second.server()) == ("web1", "web1")
        third = service.connect()
        service.wait_for_open(3)
        third.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.socket.recv(1)
        third.socket.settimeout(30)
        first.socket.close()
        assert third.server() == "web1"
        # Somebody who leaves the queue takes nobody's place.
        fourth = service.connect()
        service.wait_for_open(3)
        fourth.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        fourth.socket.close()
        service.wait_for_open(2)
        fifth = service.connect()
        second.socket.close()
        assert fifth.server() == "web1"
        for client in (third, fifth):
            client.socket.close()
        service.wait_for_open(0)


def test_a_queue_that_is_full(tmp_path):
    with Service(tmp_path, servers=("web1",), options="    connections: 1\n    queue: { length: 1, timeout: 1m }") as service:
        with service.connect() as first, service.connect() as second:
            assert first.server() == "web1"
            service.wait_for_open(2)
            with service.connect() as third:
                assert third.is_over()
            service.noah.wait_for_log("failed (queue-full)")
            first.socket.close()
            assert second.server() == "web1"


def test_a_queue_that_lasts_too_long(tmp_path):
    with Service(tmp_path, servers=("web1",), options="    connections: 1\n    queue: { timeout: 300ms }") as service:
        with service.connect() as first:
            assert first.server() == "web1"
            with service.connect() as second:
                assert second.is_over()
            service.noah.wait_for_log("failed (queue-timeout): no connection became free within 300 ms: web1:")
            assert first.echo(b"hello") == b"hello"


def test_sessions(tmp_path):
    with Service(tmp_path, servers=("web1",), options="    sessions: 2", threads=2) as service:
        clients = [service.connect(), service.connect()]
        assert [client.server() for client in clients] == ["web1", "web1"]
        with service.connect() as third:
            assert third.is_over()
        service.noah.wait_for_log("failed (too-many)")
        clients[0].socket.close()
        service.wait_for_open(1)
        assert service.names(1) == ["web1"]
        clients[1].socket.close()


# ---- the PROXY protocol


def packed(address, port):
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address), struct.pack(">H", port)


def headers(tmp_path, version, listen=None):
    """What the server was told, and what it should have been: (source, source's port, target, target's port)."""
    with Service(tmp_path, servers=("web1",), options=f"    proxy_protocol: {version}", listen=listen, proxy_header=True) as service:
        with service.connect() as client:
            assert client.server() == "web1"
            assert client.echo(b"hello") == b"hello"
            source, target = client.socket.getsockname()[:2], client.socket.getpeername()[:2]
        return service.servers[0].headers, (*source, *target)


@pytest.mark.parametrize("listen, family", [(None, 4), ("::1", 6)])
def test_proxy_protocol_1(tmp_path, listen, family):
    found, (source, source_port, target, target_port) = headers(tmp_path, "v1", listen)
    assert found == [f"PROXY TCP{family} {source} {target} {source_port} {target_port}\r\n".encode()]


@pytest.mark.parametrize("listen, family", [(None, b"\x11\x00\x0c"), ("::1", b"\x21\x00\x24")])
def test_proxy_protocol_2(tmp_path, listen, family):
    found, (source, source_port, target, target_port) = headers(tmp_path, "v2", listen)
    (source, source_port), (target, target_port) = packed(source, source_port), packed(target, target_port)
    assert found == [b"\r\n\r\n\0\r\nQUIT\n\x21" + family + source + target + source_port + target_port]


# ---- time


def test_idle_timeout(tmp_path):
    with Service(tmp_path, servers=("web1",), options="    timeouts: { idle: 1s }") as service, service.connect() as client:
        assert client.server() == "web1"
        assert client.is_over()
        wait_for(lambda: not service.servers[0].connections, 10, "the server to be told")
        assert service.noah.counter("services_failed") == 0


def test_reloads_keep_connections(tmp_path):
    with Service(tmp_path) as service:
        clients = [service.connect() for _ in range(4)]
        names = [client.server() for client in clients]
        # The servers change, then the whole service goes.
        gone = service.servers.pop(0)
        service.noah.reload(service.text())
        assert service.names(3) == ["web2"] * 3
        service.noah.reload(f"""
cluster: example.com
servers:
  front: {{ address: {service.address} }}
  web2: {{ address: {service.servers[0].address} }}
services:
  other: {{ on: [front], listen: ["{local_address()}:2222"], servers: [web2:22] }}
""")
        with contextlib.suppress(ConnectionRefusedError, ConnectionResetError), service.connect() as client:
            assert client.is_over()
        for client, name in zip(clients, names):
            assert client.echo(name.encode()) == name.encode()
            client.socket.close()
        service.wait_for_open(0)
        gone.kill()


def test_hundreds_of_idle_connections(tmp_path):
    count = 300
    with Service(tmp_path, servers=("web1",)) as service:
        warm = [service.connect() for _ in range(40)]
        assert {client.server() for client in warm} == {"web1"}
        before = service.anonymous_bytes()
        clients = [service.connect() for _ in range(count)]
        assert {client.server() for client in clients} == {"web1"}
        assert service.noah.counter("services_open") == count + 40 and service.active() == count + 40
        each = (service.anonymous_bytes() - before) / count
        if not SANITIZED:
            assert each < 4096, f"{each} bytes for each idle connection"
        for client in (*clients, *warm):
            assert client.echo(b"hello") == b"hello"
            client.socket.close()
        service.wait_for_open(0)


def test_a_stop_does_not_wait_for_idle_connections(tmp_path):
    with Service(tmp_path, servers=("web1",)) as service, service.connect() as client:
        assert client.server() == "web1"
        assert service.noah.stop(25) == 0  # busy ones get 30 s
        assert client.is_over()
        assert "connections are still busy" not in service.noah.log()


def test_an_upgrade_keeps_connections(tmp_path):
    with Service(tmp_path, servers=("web1",)) as service, service.connect() as client:
        assert client.server() == "web1"
        result = service.noah.command("upgrade", timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        assert client.echo(b"hello") == b"hello"
        assert service.names(2) == ["web1"] * 2
        assert client.echo(b"still there") == b"still there"


def test_machines_that_vanish_are_noticed(tmp_path):
    """Their silence would be taken for an idle connection's: noah's kernel asks, sooner on the side of the server."""
    def timer(*filters):
        command = ["ss", "--no-header", "--tcp", "--numeric", "--options", "state", "established", *filters]
        found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        match = re.search(r"timer:\(keepalive,(?:(\d+)min)?(?:([\d.]+)(ms|sec))?", found)
        assert match, found
        seconds = float(match.group(2) or 0) / (1000 if match.group(3) == "ms" else 1)
        return 60 * int(match.group(1) or 0) + seconds
    with Service(tmp_path, servers=("web1",)) as service, service.connect() as client:
        assert client.server() == "web1"
        server = service.servers[0]
        assert 0 < timer("src", f"{service.address}:{service.port}") <= 60
        assert 0 < timer("dst", f"{server.address}:{server.port}") <= 10
