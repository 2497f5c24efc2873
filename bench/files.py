# SPDX-License-Identifier: BSD-2-Clause
"""Files: noah beside nginx, with no server behind either. nginx is there in the ways in which it can be tuned for it; the best of them is
the peer.

The files are pictures, so that nobody compresses them and nobody says Vary.
"""
import os
import random

import loads
from proxies import Nginx, NoahProxy

SIZES = {"1 KB": 1024, "100 KB": 100 * 1024}
# name -> (open_file_cache or not, tcp_nopush)
NGINX = {"nginx": (False, "on"), "nginx, open_file_cache": (True, "on"), "nginx, open_file_cache, no tcp_nopush": (True, "off")}
CACHE = "open_file_cache max=1000 inactive=60s; open_file_cache_valid 60s;"


def path_of(size):
    return f"/{size.replace(' ', '').lower()}.jpg"


def make_files(directory):
    """A root with one file of each size; returns its path."""
    root = os.path.join(directory, "files")
    os.mkdir(root, 0o755)
    chance = random.Random(1)
    for size, size_bytes in SIZES.items():
        with open(root + path_of(size), "wb") as file:
            file.write(chance.randbytes(size_bytes))
    return root


class NoahFiles(NoahProxy):
    """One site that is nothing but files."""

    def __init__(self, directory, root, certificate):
        self.root = root
        super().__init__(directory, None, [], certificate)

    def what(self, backend):
        return [f"    static: {{ root: {self.root} }}"]


class NginxFiles(Nginx):
    template = "nginx-files.conf"

    def __init__(self, directory, root, certificate, name):
        self.name = name
        cache, nopush = NGINX[name]
        self.more = {"root": root, "cache": CACHE if cache else "", "nopush": nopush}
        directory = os.path.join(directory, f"nginx-files-{list(NGINX).index(name)}")
        os.mkdir(directory)
        super().__init__(directory, ("127.0.0.1", 9), certificate)


def start(lab, with_noah, has_nginx):
    """The fronts of the measurements; the lab ends them."""
    root = make_files(lab.directory)
    fronts = [lab.keep(NoahFiles(os.path.join(lab.directory, "noah-files"), root, lab.certificate))] if with_noah else []
    if has_nginx:
        fronts += [lab.keep(NginxFiles(lab.directory, root, lab.certificate, name)) for name in NGINX]
    return fronts


def rows(fronts, seconds, ways):
    """For measure_rounds; ways: {"": load over the plain listener, ", TLS": …}."""
    return [(f"{proxy.name}{way}, {size}", proxy,
             lambda address=getattr(proxy, listener), load=load, path=path_of(size): load(address, seconds, path))
            for way, (listener, load) in ways.items() for size in SIZES for proxy in fronts if not way or "tcp_nopush" not in proxy.name]


PLAIN = {"": ("http", loads.plain_gets)}
SECURE = {", TLS": ("https", loads.tls_gets), ", HTTP/2": ("https", loads.h2_gets)}
