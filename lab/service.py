# SPDX-License-Identifier: BSD-2-Clause
"""What Apache, MariaDB and noah on a machine of the lab have in common: they are processes that can be killed and frozen."""
import signal

from .machine import wait_for


class Service:
    """`machine`: where it runs; `names`: what its processes are called; `title`: what messages call it."""

    def is_running(self):
        return bool(self.machine.find(*self.names))

    def kill(self):
        """SIGKILL to all its processes at once."""
        def gone():
            self.machine.signal(signal.SIGKILL, *self.names)
            return not self.is_running()
        wait_for(gone, 20, f"{self.title} on {self.machine.name} to be gone")

    def freeze(self):
        self.machine.signal(signal.SIGSTOP, *self.names)

    def thaw(self):
        self.machine.signal(signal.SIGCONT, *self.names)
