# SPDX-License-Identifier: BSD-2-Clause
"""All servers of a cluster file, running on this machine, each in namespaces of its own, and a visitor who comes from outside.

    with Lab("examples/demo.yaml") as lab:
        lab.start()
        lab.power_off("web1")
        …
        lab.power_on("web1")

What runs where is read from the file: an app of a site or a route is an Apache with PHP, a database's servers are MariaDBs (the
first is the primary at the start, the others are its replicas), and noah runs on the servers that a site or a database is `on`.
Leaving the block, by whatever way, removes everything; see machine.py why even SIGKILL leaves nothing.
"""
import ipaddress
import os
import re
import signal
import subprocess
import time

import yaml

from .apache import Apache
from .machine import LabError, Machine, need_root
from .mariadb import NOAH_GRANTS, NOAH_USER, REPLICATION_PASSWORD, REPLICATION_USER, MariaDB
from .network import Network, prefix_of
from .noah import Noah

NOAH_PASSWORD = "a password of the lab"
VISITOR = "visitor"


class Lab:
    def __init__(self, file=None, text=None, host=False, apps=True, noah=True, prepare_app=None, prepare_machine=None,
                 disk_bytes=None):
        """`file` or `text`: the cluster file. `host`: a cable to this machine, for a browser. `apps`, `noah`: False for labs
        that want the machines without them. `prepare_app(machine, document)`: returns arguments for Apache's constructor.
        `prepare_machine(machine)`: puts files on it before anything runs there. `disk_bytes`: {machine: size}."""
        need_root()
        if text is None:
            with open(file, encoding="utf-8") as opened:
                text = opened.read()
        document = read_file(text)
        addresses = {name: str(server["address"]) for name, server in document["servers"].items()}
        if host:
            text, addresses = _move_off_the_hosts_networks(text, addresses)
            document = read_file(text)
        self.text = text
        self.document = document
        self.addresses = addresses
        self.machines = {}
        self.databases = {}  # name of the database: its MariaDBs, the primary at the start first
        self.services = {}   # name of the server: what runs on it
        self.host_address = None
        self._disks = disk_bytes or {}
        self.network = Network(prefix_of(list(addresses.values())))
        try:
            self._make_machines(host)
            for machine in self.machines.values():
                if prepare_machine:
                    prepare_machine(machine)
            self._make_services(apps, noah, prepare_app)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *ignored):
        self.close()

    def close(self):
        for machine in self.machines.values():
            machine.close()
        self.network.close()

    # ---- making it

    def _make_machines(self, host):
        self.addresses[VISITOR] = str(self.network.prefix[-3])
        for name, address in self.addresses.items():
            disk = {"disk_bytes": self._disks[name]} if name in self._disks else {}
            self.machines[name] = Machine(name, **disk)
            self.services[name] = []
            self.network.join(self.machines[name], address)
        hosts = "127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for name, address in self.addresses.items())
        for machine in self.machines.values():
            machine.write("/etc/hosts", hosts)
        if host:
            self.host_address = self.network.join_host()

    def _make_services(self, apps, noah, prepare_app):
        number = 0
        for name, database in (self.document.get("databases") or {}).items():
            self.databases[name] = []
            for server, port in map(_split_app, database["servers"]):
                number += 1
                service = MariaDB(self.machines[server], self.addresses[server], port or 3306, number)
                self.databases[name].append(service)
                self.services[server].append(service)
        if apps:
            for server, port in sorted(set(self._apps())):
                machine = self.machines[server]
                arguments = prepare_app(machine, self.document) if prepare_app else {}
                self.services[server].append(Apache(machine, self.addresses[server], port, **arguments))
        if noah:
            passwords = {database["account"]["password_file"]: NOAH_PASSWORD
                         for database in (self.document.get("databases") or {}).values()}
            for server in self.noah_servers():
                self.services[server].append(Noah(self.machines[server], self.text, passwords))

    def _apps(self):
        """(server, port) of each app of the sites and their routes, again where several have it."""
        for site in (self.document.get("sites") or {}).values():
            for part in [site, *(site.get("routes") or [])]:
                yield from map(_split_app, part.get("apps") or [])

    def noah_servers(self):
        """Where the file wants noah's listeners; the rules are those of docs/cluster-file.md, key `on`."""
        found = set()
        servers = self.document["servers"]
        sites = self.document.get("sites") or {}
        public = [name for name, server in servers.items() if "public" in server]
        apps = [server for server, _ in self._apps()]
        for site in sites.values():
            found.update(site.get("on") or public or servers)
        for database in (self.document.get("databases") or {}).values():
            found.update(database.get("on") or apps or servers)
        return [name for name in servers if name in found]

    # ---- starting it

    def start(self, say=lambda text: None):
        """Starts all services: databases with their replication first, then the apps, then noah."""
        for name, servers in self.databases.items():
            self._start_database(name, servers, say)
        self.start_apps(say)
        self.start_noah(say)

    def _start_database(self, name, servers, say):
        primary = servers[0]
        say(f"database {name}: installing MariaDB on {primary.machine.name}")
        primary.install()
        for replica in servers[1:]:
            replica.install_as_copy_of(primary)
        say(f"database {name}: {primary.machine.name} is the primary")
        for server in servers:
            server.launch()
        primary.start()
        primary.add_user(REPLICATION_USER, REPLICATION_PASSWORD, "REPLICATION SLAVE ON *.*")
        primary.add_user(NOAH_USER, NOAH_PASSWORD, *NOAH_GRANTS)
        for replica in servers[1:]:
            replica.start()
            say(f"database {name}: {replica.machine.name} is a replica of {primary.machine.name}")
            replica.follow(primary)

    def start_apps(self, say=lambda text: None):
        for app in self.apps():
            say(f"{app.machine.name}: starting Apache with PHP on port {app.port}")
            app.start()

    def start_noah(self, say=lambda text: None):
        for noah in self.noahs():
            say(f"{noah.machine.name}: starting noah")
            noah.start()

    def apps(self):
        return [service for services in self.services.values() for service in services if isinstance(service, Apache)]

    def noahs(self):
        return [service for services in self.services.values() for service in services if isinstance(service, Noah)]

    def service(self, name):
        """The one thing that runs on this server."""
        if len(self.services.get(name, ())) != 1:
            raise LabError(f"{name}: {len(self.services.get(name, ()))} services")
        return self.services[name][0]

    # ---- breaking it: a whole server

    def kill(self, name):
        """Its services end with SIGKILL; the server itself stays on the network and refuses connections."""
        for service in self.services[name]:
            service.kill()

    def start_server(self, name):
        """Starts again what is not running, and waits until it answers."""
        for service in self.services[name]:
            if not service.is_running():
                service.start()

    def freeze(self, name):
        """Every process of it stops where it is (SIGSTOP); the kernel goes on accepting connections in their name."""
        self.machines[name].signal(signal.SIGSTOP)

    def thaw(self, name):
        self.machines[name].signal(signal.SIGCONT)

    def power_off(self, name):
        """First the link, so that no process can say goodbye; then every process."""
        self.network.unplug(name)
        self.machines[name].kill_all()

    def power_on(self, name):
        self.network.plug(name)
        self.start_server(name)

    def save_logs(self, directory):
        for machine in self.machines.values():
            machine.save_logs(directory)


def read_file(text):
    """The cluster file as dictionaries, lists and strings: as noah, and unlike YAML 1.1, it takes `on` for a word."""
    return yaml.load(text, Loader=yaml.BaseLoader)


def _split_app(app):
    """("web1", 8080 or None) from an entry of `apps` or of a database's `servers`: "web1:8080", "db1", {server: "web1:8080",
    weight: 2}."""
    name, _, port = str(app["server"] if isinstance(app, dict) else app).partition(":")
    return name, int(port) if port else None


def _move_off_the_hosts_networks(text, addresses):
    """When the host has a route into the file's range, another range is chosen, and the file's text changed accordingly."""
    prefix = prefix_of(list(addresses.values()))
    if prefix.prefixlen != 24:
        raise LabError(f"a lab that the host can reach needs all addresses in one /24, not {prefix}")
    output = subprocess.run(["ip", "-o", "-4", "route", "show", "table", "all"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout
    words = [word for line in output.splitlines() for word in line.split()[:2]]
    taken = [ipaddress.ip_network(word, strict=False) for word in words if re.fullmatch(r"\d+\.\d+\.\d+\.\d+(/\d+)?", word)]
    start = os.getpid() + int(time.time())
    candidates = [prefix] + [ipaddress.ip_network(f"10.213.{(start + step) % 256}.0/24") for step in range(256)]
    for candidate in candidates:
        if not any(candidate.overlaps(network) for network in taken):
            old, new = str(prefix.network_address)[:-1], str(candidate.network_address)[:-1]
            text = re.sub(rf"(?<![\d.]){re.escape(old)}(?=\d)", new, text)
            return text, {name: address.replace(old, new, 1) for name, address in addresses.items()}
    raise LabError("no range of addresses is free on this host")
