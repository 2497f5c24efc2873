# SPDX-License-Identifier: BSD-2-Clause
"""A page of 10 KB from a server, compressed on its way: noah beside nginx's gzip of the same level, and what noah's other codings
cost.

The page is made of words that are as frequent as words are, in HTML, and gets as much smaller as pages of real sites do.
"""
import os
import random

import loads
from proxies import BUILD, LOAD_CPU, Nginx, NoahProxy, start_printing_port, stop

PAGE_BYTES = 10240
CODINGS = ("gzip", "br", "zstd")
LEVEL = 4  # of gzip; noah's own (CODING_GZIP in src/http/compress.h)
GZIP = f"gzip on; gzip_comp_level {LEVEL}; gzip_proxied any; gzip_vary on;"


def make_page(path):
    chance = random.Random(1)
    letters = "eeeeeeeeeeeetttttttttaaaaaaaaooooooooiiiiiiinnnnnnnsssssshhhhhhrrrrrrddddllllcccuuummmwwffggyyppbbvk"
    words = ["".join(chance.choice(letters) for _ in range(chance.randint(2, 9))) for _ in range(1500)]
    frequencies = [1 / (rank + 3) for rank in range(len(words))]

    def some(count):
        return " ".join(chance.choices(words, frequencies, k=count))

    with open(path, "w", encoding="ascii") as file:
        file.write("<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>A page</title></head>\n<body>\n")
        while file.tell() < PAGE_BYTES:
            file.write(f"<h2 class=\"title\">{some(4)}</h2>\n<p class=\"text\">{some(chance.randint(20, 60))}</p>\n"
                       f"<ul class=\"links\">\n  <li><a href=\"/{some(1)}/{some(1)}.html\">{some(2)}</a></li>\n</ul>\n")


class NginxGzip(Nginx):
    more = {"compression": GZIP}


def start(lab, with_noah, has_nginx):
    """The server, and the fronts before it; the lab ends them."""
    page = os.path.join(lab.directory, "page.html")
    make_page(page)
    process, port = start_printing_port(LOAD_CPU, [os.path.join(BUILD, "bench/backend"), "127.0.0.2", str(PAGE_BYTES), page])
    lab.stack.callback(stop, process)
    backend = ("127.0.0.2", port)
    fronts = [lab.keep(NoahProxy(os.path.join(lab.directory, "noah-compressed"), backend, [], lab.certificate))] if with_noah else []
    if has_nginx:
        directory = os.path.join(lab.directory, "nginx-compressed")
        os.mkdir(directory)
        fronts.append(lab.keep(NginxGzip(directory, backend, lab.certificate)))
    return fronts


def rows(fronts, seconds):
    """For measure_rounds; each with the size of what it makes of the page."""
    found = []
    for proxy in fronts:
        for coding in CODINGS[:1] if proxy.name == "nginx" else CODINGS:
            accept = f"Accept-Encoding: {coding}"
            size = loads.size_of_coded(proxy.http, coding)
            found.append((f"{proxy.name}, {coding} ({size:,} bytes)", proxy,
                          lambda address=proxy.http, accept=accept: loads.plain_gets(address, seconds, more=(accept,))))
    return found
