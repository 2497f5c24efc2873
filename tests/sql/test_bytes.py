# SPDX-License-Identifier: BSD-2-Clause
"""Large answers, large commands, and bytes that are not the protocol."""
import os
import random
import socket
import struct

import pytest

from conftest import PASSWORD, USER
from support.mariadb import wait_for
from support.mysql_client import DEFAULT, DEPRECATE_EOF, SESSION_TRACK, Client, Failure


def resident_kb(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS"))


def test_a_large_answer_streams_in_bounded_memory(site, client):
    pid = site.noah.child("traffic")
    before = resident_kb(pid)
    client.send_query("SELECT REPEAT('x', 10000) FROM seq_1_to_10000")
    size, most = 0, 0
    while size < 100_000_000:
        got = len(client.socket.recv(1 << 20))
        assert got > 0
        size += got
        if size % 64 == 0:
            most = max(most, resident_kb(pid))
    most = max(most, resident_kb(pid))
    client.socket.settimeout(1)
    with pytest.raises(TimeoutError):
        while True:
            client.socket.recv(1 << 20)
    assert most - before < 20000, f"{most - before} KB more"


def test_a_client_that_does_not_read_stops_the_server(site):
    """Back-pressure: noah does not take in what it cannot pass on."""
    pid = site.noah.child("traffic")
    clients = [site.client() for _ in range(10)]
    before = resident_kb(pid)
    for client in clients:
        client.send_query("SELECT REPEAT('x', 1000000) FROM seq_1_to_50")
    with site.client() as other:
        for i in range(200):
            assert other.one(f"SELECT {i}") == str(i)
    assert resident_kb(pid) - before < 20000
    for client in clients:
        client.socket.close()


@pytest.mark.parametrize("size", [16379, 16380, 16384, 70000, 262140, 270000, 16777214, 16777217, 40000000])
def test_statements_of_all_sizes(site, size):
    with site.client() as client:
        text = "SELECT LENGTH('" + "a" * (size - 17) + "')"
        if size >= 16 << 20:  # more than the servers' max_allowed_packet: their own error, or the end when they close first
            with pytest.raises((Failure, OSError, EOFError)) as caught:
                client.one(text)
            assert not isinstance(caught.value, Failure) or caught.value.code in (1153, 1290), caught.value
        else:
            assert client.one(text) == str(size - 17)
            assert client.one("SELECT 1") == "1"


@pytest.mark.parametrize("capabilities", [DEFAULT, DEFAULT & ~DEPRECATE_EOF, DEFAULT | SESSION_TRACK])
def test_capabilities_reach_the_server(site, capabilities):
    with site.client(capabilities=capabilities) as client:
        client.query("SET NAMES utf8mb4")
        assert client.query("SELECT name, NULL, '' FROM place") == [("replica", None, "")]
        assert client.query_all("SELECT 1; SELECT 2") == [[("1",)], [("2",)]]
        assert client.query("SELECT name FROM place WHERE 0") == []
        with pytest.raises(Failure):
            client.query("SELECT * FROM nowhere.nothing")
        client.query("USE shop")
        assert client.one("SELECT name FROM place") == "replica"


def test_load_data_local_is_refused_cleanly(client):
    with pytest.raises(Failure):
        client.query("LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE item")
    assert client.one("SELECT 1") == "1"


def greeted(site):
    return Client((site.address, site.port), USER, login=False, timeout=15)


def test_wrong_packets_end_only_their_own_session(site, client):
    client.query("SET @mine = 1")

    def command(data):
        with site.client() as victim:
            victim.socket.sendall(data)
            victim.socket.shutdown(socket.SHUT_WR)
            answer = b""
            while True:
                more = victim.socket.recv(65536)
                if not more:
                    return answer
                answer += more

    assert b"packets out of order" in command(b"\0\0\0\0")
    assert b"packets out of order" in command(b"\1\0\0\5\x0e")
    assert command(b"\1\0\0\0\x0e")[4] == 0  # a ping, to see that the way is right
    assert b"Malformed" in command(b"\2\0\0\0\x17\1")
    assert b"Unknown prepared" in command(b"\5\0\0\0\x1a\1\0\0\0")
    command(b"\xff\xff\xff\0\3SELECT")
    command(b"\x20\0\0\0\3SELECT")
    assert client.one("SELECT @mine") == "1"


def test_wrong_logins(site):
    rng = random.Random(7)
    shapes = [b"", b"\0" * 32, b"\xff" * 32, struct.pack("<IIB23x", DEFAULT, 1 << 24, 45) + b"no end", os.urandom(400)]
    shapes += [bytes(rng.randrange(256) for _ in range(rng.randrange(1, 200))) for _ in range(60)]
    for payload in shapes:
        victim = greeted(site)
        victim.read_greeting()
        victim.send_packet(payload, 1)
        victim.socket.shutdown(socket.SHUT_WR)
        answer = b""
        while True:
            try:
                more = victim.socket.recv(4096)
            except ConnectionResetError:
                break
            if not more:
                break
            answer += more
        assert answer == b"" or answer[4] == 0xFF
        victim.socket.close()
    with site.client() as client:
        assert client.one("SELECT 1") == "1"
    assert site.noah.child("traffic") is not None


def test_tls_request_is_refused(site):
    victim = greeted(site)
    victim.read_greeting()
    victim.send_packet(struct.pack("<IIB23x", DEFAULT | 1 << 11, 1 << 24, 45), 1)
    assert b"TLS" in victim.read_packet()
    victim.socket.close()


def test_random_commands(site):
    """Anything may come after a login; noah answers or ends that session, and goes on."""
    rng = random.Random(11)
    pid = site.noah.child("traffic")
    for _ in range(150):
        victim = site.client(timeout=10)
        for _ in range(rng.randrange(1, 6)):
            number = rng.choice([2, 3, 3, 4, 14, 22, 23, 23, 24, 25, 26, 27, 28, 31, rng.randrange(256)])
            if number in (1, 17):
                continue
            body = bytes(rng.randrange(256) for _ in range(rng.choice([0, 1, 4, 5, 9, 10, 30, 300])))
            victim.send_command(number, body)
        victim.socket.shutdown(socket.SHUT_WR)
        try:
            while victim.socket.recv(65536):
                pass
        except OSError:
            pass
        victim.socket.close()
    assert site.noah.child("traffic") == pid
    wait_for(lambda: site.noah.counter("sessions_open") == 0, 20, "the sessions to end")
    with site.client(USER, PASSWORD) as client:
        assert client.one("SELECT 1") == "1"
