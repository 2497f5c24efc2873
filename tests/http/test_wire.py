# SPDX-License-Identifier: BSD-2-Clause
"""Runs each wire/*.vtc as one test: varnishtest plays the visitors and the app server, noah stands between.

Macros of a play: ${noah} is where noah listens (for client -connect), ${app} where the app server has to listen (for server
-listen). noah takes the app to be up from the start: while it is started, a listener of the test stands there, and the next check is an
hour away. Comments at the top of a play:

    # site: KEY: VALUE      one line more, or another value, for the site in the cluster file
    # log: WORDS            each must stand in the access log afterwards, in this order
    # no-log: WORDS         and this must not
"""
import glob
import os
import re
import socket
import subprocess

import pytest
from support.acceptor import Acceptor
from support.noah import Noah, free_port, local_address, wait_for

WIRE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wire")
PLAYS = sorted(os.path.basename(path) for path in glob.glob(os.path.join(WIRE, "*.vtc")))
SITE = {
    "on": "[front]",
    "check": "{ tcp: true, every: 1h, rise: 1, fall: 100 }",
    "timeouts": "{ connect: 1s, answer: 2s, request: 2s, idle: 5s }",
    "body": "64k",
}


def cluster_file(text, front, app, log):
    site = dict(SITE)
    site.update(dict(re.findall(r"^# site: (\w+): (.*)$", text, re.M)))
    lines = "\n".join(f"    {key}: {value}" for key, value in site.items())
    return f"""
cluster: wire
servers:
  front: {{ address: {front[0]} }}
  app: {{ address: {app[0]} }}
sites:
  wire.example:
    listen: ["{front[0]}:{front[1]}"]
    apps: [app:{app[1]}]
{lines}
log: {{ access: {log} }}
"""


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def stands_in_order(words, text):
    at = 0
    for word in words:
        at = text.find(word, at)
        if at < 0:
            return False
        at += len(word)
    return True


@pytest.mark.parametrize("play", PLAYS)
def test_wire(play, tmp_path):
    text = read(os.path.join(WIRE, play))
    front, app = local_address(), local_address()
    front, app = (front, free_port(front)), (app, free_port(app))
    # The traffic process may run as another user; the supervisor opens the log.
    log = str(tmp_path / "access.log")
    stand_in = Acceptor(app[0], socket.socket.close, app[1])  # so that the first check succeeds
    with Noah(tmp_path, cluster_file(text, front, app, log), arguments=["--threads", "1"]) as noah:
        stand_in.close()
        played = subprocess.run(
            ["varnishtest", "-t", "60", "-D", f"noah={front[0]} {front[1]}", "-D", f"app={app[0]} {app[1]}",
             os.path.join(WIRE, play)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False, cwd=tmp_path)
        assert played.returncode == 0, played.stdout[-6000:]
        wanted = re.findall(r"^# log: (.*)$", text, re.M)
        wait_for(lambda: stands_in_order(wanted, read(log)), 5, f"{wanted} in the access log")
        for unwanted in re.findall(r"^# no-log: (.*)$", text, re.M):
            assert unwanted not in read(log)


def test_there_are_plays():
    assert len(PLAYS) > 30
