# SPDX-License-Identifier: BSD-2-Clause
"""What the other tests stand on."""
import os
import signal
import subprocess
import sys

SCRIPT = """
import signal, os, socket, sys
sys.path.insert(0, sys.argv[1])
from support.acceptor import Acceptor

served = []
def serve(connection):
    served.append(1)
    connection.sendall(b"old")

old = Acceptor("127.0.0.1", serve)
with socket.create_connection(("127.0.0.1", old.port), 10) as visitor:
    assert visitor.recv(3) == b"old"
number = old.listener.fileno()
old.close()
new = socket.create_server(("127.0.0.1", 0))
assert new.fileno() == number
print("stop me", flush=True)
sys.stdin.readline()
with socket.create_connection(new.getsockname(), 10) as visitor, new.accept()[0] as server:
    server.sendall(b"new")
    assert visitor.recv(3) == b"new"
"""


def test_an_acceptor_that_was_closed_takes_nobody_elses_connections():
    """A stopped process begins its waits anew when it goes on, by the numbers of the descriptors."""
    tests = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    with subprocess.Popen([sys.executable, "-c", SCRIPT, tests], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "stop me\n"
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        process.send_signal(signal.SIGCONT)
        process.communicate("go on\n", timeout=30)
        assert process.returncode == 0
