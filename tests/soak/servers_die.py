#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""One of four servers is killed, again and again, under load: no GET fails whose answer had not begun, and each POST is carried out
at most once (the servers keep count), exactly once when it was answered.

    tests/soak/servers_die.py [--kills 100]

A server gives a small answer in one write: when it is killed, an answer has begun wholly or not at all, so no GET may fail.
"""
import argparse
import os
import random
import shutil
import signal
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, ".."))
sys.path.insert(0, os.path.join(HERE, "..", "http"))
from site_of_apps import Site, Visitors  # noqa: E402

SERVERS = ("web1", "web2", "web3", "web4")


def run(kills, directory):
    """A dictionary of what happened; raises AssertionError when a promise was broken."""
    with Site(directory, apps=SERVERS, threads=2) as site:
        with Visitors(site, threads=8) as visitors:
            visitors.wait_for_more(200)
            for _ in range(kills):
                app = random.choice(site.apps)
                app.signal(signal.SIGKILL)
                app.kill()
                visitors.wait_for_more(100)
                app.start()
                site.noah.wait_for_health(f":{app.port}", "up")
                visitors.wait_for_more(50)
        visitors.check()
        done = sum(len(app.counted()) for app in site.apps)
        return {"kills": kills, "GETs": visitors.gets, "POSTs answered": len(visitors.posts), "POSTs carried out": done,
                "POSTs that failed": len(visitors.failed_posts), "retries": site.noah.counter("retries")}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="noah-kills-")
    os.chmod(directory, 0o755)
    try:
        print(run(options.kills, directory))
    except AssertionError as error:
        print(f"FAILED servers_die: {error}")
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    print("ok servers_die")
    return 0


if __name__ == "__main__":
    sys.exit(main())
