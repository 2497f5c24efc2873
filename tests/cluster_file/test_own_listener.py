# SPDX-License-Identifier: BSD-2-Clause
"""`listen` with the addresses of several servers: each server opens its own, and only that."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from support.noah import Noah, free_port, local_address  # noqa: E402


def is_open(address, port):
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex((address, port)) == 0


def test_each_server_opens_its_own_address(tmp_path):
    here, there = local_address(), local_address()
    port = free_port(here)
    text = (f"cluster: c\nservers:\n  here: {{ address: {here} }}\n  there: {{ address: {there} }}\n"
            f"sites:\n  s.example:\n    on: [here, there]\n    listen: ['{here}:{port}', '{there}:{port}']\n"
            f"    apps: [there:{free_port(there)}]\n")
    with Noah(tmp_path, text, server="here"):
        assert is_open(here, port)
        assert not is_open(there, port)
