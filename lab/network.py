# SPDX-License-Identifier: BSD-2-Clause
"""What joins the machines: one bridge in a namespace of its own ("switch"), one cable to each machine, and ways to break the
cables.

A cable that is unplugged loses its carrier on both ends (as when a server's power goes). Packets that are dropped are dropped
silently, as on a broken line: nftables in the switch, family bridge, so that ARP is lost too. The host's own network is not
touched, unless join_host() is called.
"""
import ipaddress
import json
import os
import subprocess

from .machine import LabError, Machine


class Fault:
    """Lasts until mend(), or for the length of a `with` block."""

    def __init__(self, network, number):
        self._network = network
        self._number = number

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.mend()

    def mend(self):
        self._network.mend(self._number)


class Network:
    def __init__(self, prefix):
        """`prefix`: an ipaddress network that holds all addresses."""
        self.prefix = ipaddress.ip_network(prefix)
        self.switch = Machine("switch", disk_bytes=1 << 20)
        self._faults = {}  # number: rule
        self._numbers = 0
        self._host_link = None
        self._switch_ip("link add bridge type bridge stp_state 0 mcast_snooping 0", "link set bridge up", "link set lo up")

    def close(self):
        if self._host_link:
            subprocess.run(["ip", "link", "delete", self._host_link], stderr=subprocess.DEVNULL, check=False)
            self._host_link = None
        self.switch.close()

    def _ip(self, machine, *commands):
        result = subprocess.run(["nsenter", "-t", str(machine.pid), "-n", "--", "ip", "-batch", "-"],
                                input="\n".join(commands) + "\n", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                check=False)
        if result.returncode != 0:
            raise LabError(f"ip ({'; '.join(commands)}): {result.stdout.strip()}")

    def _switch_ip(self, *commands):
        self._ip(self.switch, *commands)

    # ---- cables

    def join(self, machine, address):
        """A cable from the machine (its eth0, with this address) to the switch (a port with the machine's name)."""
        if ipaddress.ip_address(address) not in self.prefix:
            raise LabError(f"{machine.name}: {address} is not in {self.prefix}")
        if len(machine.name) > 15:
            raise LabError(f"{machine.name}: the name of a network port has at most 15 letters")
        self._switch_ip(f"link add {machine.name} type veth peer name eth0 netns {machine.pid}",
                        f"link set {machine.name} master bridge up")
        self._ip(machine, "link set lo up", f"addr add {address}/{self.prefix.prefixlen} dev eth0", "link set eth0 up")

    def join_host(self):
        """A cable to the host, so that a browser here reaches the machines. The host gets the last address of the range."""
        name = f"noahlab{os.getpid()}"[:15]
        address = self.prefix[-2]
        self._switch_ip(f"link add host type veth peer name {name} netns {os.getpid()}", "link set host master bridge up")
        self._host_link = name
        result = subprocess.run(["ip", "-batch", "-"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                                input=f"addr add {address}/{self.prefix.prefixlen} dev {name}\nlink set {name} up\n")
        if result.returncode != 0:
            raise LabError(f"the cable to the host: {result.stdout.strip()}")
        return str(address)

    def unplug(self, name):
        self._switch_ip(f"link set {name} down")

    def plug(self, name):
        self._switch_ip(f"link set {name} up")

    def is_plugged(self, name):
        output = subprocess.run(["nsenter", "-t", str(self.switch.pid), "-n", "--", "ip", "-j", "link", "show", "dev", name],
                                stdout=subprocess.PIPE, text=True, check=True).stdout
        return "UP" in json.loads(output)[0]["flags"]

    # ---- dropping packets silently

    def cut(self, name, other=None):
        """No packet passes between the machine and `other` (without it: everybody), either way."""
        to, back = (f' oifname "{other}"', f' iifname "{other}"') if other else ("", "")
        return self._add(f'iifname "{name}"{to} drop', f'oifname "{name}"{back} drop')

    def cut_one_way(self, sender, receiver):
        """What `sender` sends does not reach `receiver`; the other way works."""
        return self._add(f'iifname "{sender}" oifname "{receiver}" drop')

    def lose(self, name, percent):
        """So many of a hundred packets are lost, from the machine and to it."""
        chance = f"numgen random mod 100 < {int(percent)}"
        return self._add(f'iifname "{name}" {chance} drop', f'oifname "{name}" {chance} drop')

    def _add(self, *rules):
        self._numbers += 1
        self._faults[self._numbers] = rules
        self._apply()
        return Fault(self, self._numbers)

    def mend(self, number):
        if self._faults.pop(number, None) is not None:
            self._apply()

    def mend_all(self):
        self._faults.clear()
        self._apply()

    def _apply(self):
        """Replaces all rules in one step."""
        rules = "\n".join(f"\t\t{rule}" for fault in self._faults.values() for rule in fault)
        text = ("table bridge faults\ndelete table bridge faults\ntable bridge faults {\n\tchain forward {\n"
                f"\t\ttype filter hook forward priority 0;\n{rules}\n\t}}\n}}\n")
        result = subprocess.run(["nsenter", "-t", str(self.switch.pid), "-n", "--", "nft", "-f", "-"], input=text,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if result.returncode != 0:
            raise LabError(f"nft: {result.stdout.strip()}\n{text}")


def prefix_of(addresses):
    """The smallest network, /24 or wider, that holds all the addresses."""
    parsed = [ipaddress.ip_address(address) for address in addresses]
    for bits in range(24, 7, -1):
        network = ipaddress.ip_network(f"{parsed[0]}/{bits}", strict=False)
        if all(address in network for address in parsed):
            return network
    raise LabError(f"the addresses {', '.join(addresses)} are not in one network")
