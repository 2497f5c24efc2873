# SPDX-License-Identifier: BSD-2-Clause
"""A listening socket of a test, with a thread that accepts.

    with Acceptor(address, serve) as app:      # serve(connection) in a thread of its own for each; closes nothing that it keeps
        ... app.port ...

Why not a bare thread around accept(): closing a socket does not wake the thread that waits in accept() on it. Whenever that thread is
stopped and goes on (a signal, a frozen container), the kernel begins its call anew, with the same descriptor number. By then it may be
another test's socket, whose connections the forgotten thread takes and answers in the old test's way. So the socket is first shut
down, which ends the wait, then the thread is joined, and only then is the number free.
"""
import socket
import threading


class Acceptor:
    def __init__(self, address, serve, port=0, backlog=128):
        self.address, self.serve = address, serve
        self.listener = socket.create_server((address, port), backlog=backlog)
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    @property
    def place(self):
        return f"{self.address}:{self.port}"

    def _run(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except ConnectionAbortedError:
                continue  # he has left before he was accepted
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def close(self):
        """Ends the accepting; connections that were accepted go on."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
