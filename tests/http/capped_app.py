#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""An app with few processes, as a small Apache: capped_app.py ADDRESS PORT NAME JOURNAL

Each connection keeps a process busy until it ends. Each request is a line of the journal ("begin NAME PATH", "end NAME PATH"); an
answer takes as long as ?ms=N says (none with ?broken=NAME of this app, which is a 500), and with ?held=WORD until there is a file JOURNAL.WORD. GET /check is answered without a line.
Each connection that comes is a line "open NAME N": with it N connections are open that the other side has not closed. (One that
is seen open was open when the new one came, so N is never more than what was open at once.)"""
import os
import socket
import sys
import threading
import time
import urllib.parse


def serve(connection, name, journal, journal_file):
    file = connection.makefile("rb")
    with connection, file:
        while True:
            line = file.readline().decode("ascii", "replace").split()
            if len(line) != 3:
                return
            while file.readline() not in (b"\r\n", b""):
                pass
            path, _, query = line[1].partition("?")
            options = dict(urllib.parse.parse_qsl(query))
            if path != "/check":
                os.write(journal, f"begin {name} {line[1]}\n".encode())
                if options.get("broken") != name:
                    time.sleep(float(options.get("ms", "0")) / 1000)
                while "held" in options and not os.path.exists(f"{journal_file}.{options['held']}"):
                    time.sleep(0.005)
                os.write(journal, f"end {name} {line[1]}\n".encode())
            last = "close" in options
            body = name.encode()
            status = "500 Broken" if options.get("broken") == name else "200 OK"
            head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n" + ("Connection: close\r\n" if last else "") + "\r\n"
            connection.sendall(head.encode() + body)
            if last:
                return


def count_open(connections):
    """TCP_INFO begins with the state; 1 is "established", from which the other side's close leads away."""
    for connection in list(connections):
        if connection.fileno() < 0 or connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 1:
            connections.discard(connection)
    return len(connections)


def guarded(connection, name, journal, journal_file):
    try:
        serve(connection, name, journal, journal_file)
    except OSError:
        pass  # visitors who leave are part of the tests


def main(address, port, name, journal_file):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, int(port)))
    listener.listen(512)
    connections = set()
    journal = os.open(journal_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections.add(connection)
        os.write(journal, f"open {name} {count_open(connections)}\n".encode())
        threading.Thread(target=guarded, args=(connection, name, journal, journal_file), daemon=True).start()


main(*sys.argv[1:])
