#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Pairs of a write and the reads behind it, while the replica's lag wanders between 0 and 50 ms: no read may miss the write.

    tests/sql/fresh_pairs.py --pairs 100000          # starts two MariaDB servers and noah, prints the result, exits 0 or 1

A pair: one row is written, then read three times: through a new connection and through two long-lived ones, one of which may be the one
that wrote. Writers take turns: through the long-lived connection, through a new one, and at the primary itself, bypassing noah.
The lag: a ticker's table is locked on the replica for a while, so that everything behind the ticker's next write waits there.
"""
import argparse
import multiprocessing
import os
import random
import sys
import tempfile
import time

sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..")))

from support.mariadb import MariaDB  # noqa: E402
from support.mysql_client import Client  # noqa: E402
from support.noah import Noah, free_port  # noqa: E402

LAG_MOST = 0.050


def run_worker(number, pairs, through, primary, account, results):
    """Writes and reads its own row; puts (pairs, stale reads, examples) into results."""
    user, password, schema = account
    writer = Client(through, user, password, schema)
    reader = Client(through, user, password, schema)
    direct = Client(primary, user, password, schema)
    stale, examples = 0, []
    for value in range(1, pairs + 1):
        write = f"UPDATE pairs SET value = {value} WHERE id = {number}"
        read = f"SELECT value FROM pairs WHERE id = {number}"
        way = value % 3
        if way == 0:
            writer.query(write)
        elif way == 1:
            direct.query(write)
        else:
            with Client(through, user, password, schema) as once:
                once.query(write)
        with Client(through, user, password, schema) as new:
            seen = [new.one(read), reader.one(read), writer.one(read)]
        wrong = [place for place, text in zip(("new", "reader", "writer"), seen) if int(text) != value]
        stale += len(wrong)
        if wrong and len(examples) < 3:
            examples.append(f"worker {number}: wrote {value} ({('by writer', 'directly', 'by new')[way]}), saw {seen}")
    results.put((pairs, stale, examples))


def run_ticker(primary, account, stop):
    user, password, schema = account
    client = Client(primary, user, password, schema)
    number = 0
    while not stop.is_set():
        number += 1
        client.query(f"UPDATE ticker SET value = {number} WHERE id = 1")
        time.sleep(0.001)


def run_lag(replica_socket, primary, account, stop, share):
    """Holds the ticker's table for a time that wanders between 0 and 50 ms, lets the replica catch up, then leaves it alone for a while."""
    user, password, schema = account
    asking = Client(primary, user, password, schema)
    client = Client(replica_socket, "root", "", schema)
    hold, held, began = 0.025, 0.0, time.monotonic()
    while not stop.is_set():
        hold += random.uniform(-0.02, 0.02)
        hold = -hold if hold < 0 else 2 * LAG_MOST - hold if hold > LAG_MOST else hold
        since = time.monotonic()
        client.query("LOCK TABLES ticker WRITE")
        time.sleep(hold)
        client.query("UNLOCK TABLES")
        client.query(f"SELECT MASTER_GTID_WAIT('{asking.one('SELECT @@gtid_binlog_pos')}', 10)")
        held += time.monotonic() - since
        time.sleep(random.uniform(0, LAG_MOST))
    share.value = held / (time.monotonic() - began)


def prepare(primary, replica, workers):
    primary.query("CREATE DATABASE fresh")
    primary.add_user("app", "app-secret", "ALL PRIVILEGES ON fresh.*")
    primary.query("CREATE TABLE fresh.pairs (id INT PRIMARY KEY, value INT NOT NULL) ENGINE=InnoDB")
    primary.query("CREATE TABLE fresh.ticker (id INT PRIMARY KEY, value INT NOT NULL) ENGINE=InnoDB")
    primary.query("INSERT INTO fresh.ticker VALUES (1, 0)")
    primary.query("INSERT INTO fresh.pairs VALUES " + ",".join(f"({i}, 0)" for i in range(workers)))
    replica.wait_until_applied(primary)


def run_pairs(primary, replica, noah, through, pairs, workers):
    """Returns a dictionary: pairs, reads, stale, by_replica, examples, seconds, held (share of the time in which the replica was behind)."""
    prepare(primary, replica, workers)
    account = ("app", "app-secret", "fresh")
    at = (primary.address, primary.port)
    stop, results, share = multiprocessing.Event(), multiprocessing.Queue(), multiprocessing.Value("d", 0.0)
    before = {name: noah.counter(name) for name in ("statements_read", "reads_replica", "reads_waited", "reads_too_late", "reads_stale",
                                                    "positions_asked")}
    began = time.monotonic()
    helpers = [multiprocessing.Process(target=run_ticker, args=(at, account, stop), daemon=True),
               multiprocessing.Process(target=run_lag, args=(replica.socket, at, account, stop, share), daemon=True)]
    crowd = [multiprocessing.Process(target=run_worker, args=(i, pairs // workers, through, at, account, results), daemon=True)
             for i in range(workers)]
    for process in helpers + crowd:
        process.start()
    done, stale, examples = 0, 0, []
    for _ in crowd:
        while True:
            try:
                count, wrong, some = results.get(timeout=1)
                break
            except Exception:  # multiprocessing's own Empty
                for process in crowd:
                    if process.exitcode not in (None, 0):
                        raise AssertionError("a worker failed: see above") from None
        done, stale, examples = done + count, stale + wrong, examples + some
    seconds = time.monotonic() - began
    stop.set()
    for process in crowd + helpers:
        process.join(10)
    counts = {name: noah.counter(name) - value for name, value in before.items()}
    return {"pairs": done, "reads": done * 3, "stale": stale, "examples": examples, "seconds": seconds, "held": share.value, **counts}


def cluster_file(directory, primary, replica, port):
    password_file = os.path.join(str(directory), "noah.password")
    with open(os.open(password_file, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write("noah-secret\n")
    return f"""
cluster: pairs
servers:
  front: {{ address: 127.0.0.1 }}
databases:
  main:
    servers: ["front:{primary.port}", "front:{replica.port}"]
    on: [front]
    listen: ["127.0.0.1:{port}"]
    account: {{ user: noah, password_file: {password_file} }}
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--pairs", type=int, default=100000)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="noah-pairs-") as directory:
        with MariaDB(os.path.join(directory, "db1"), 1) as primary, MariaDB(os.path.join(directory, "db2"), 2) as replica:
            replica.make_replica_of(primary)
            primary.add_noah_account()
            replica.wait_until_applied(primary)
            port = free_port()
            with Noah(os.path.join(directory, "noah"), cluster_file(directory, primary, replica, port)) as noah:
                outcome = run_pairs(primary, replica, noah, ("127.0.0.1", port), options.pairs, options.workers)
    for name, value in outcome.items():
        print(f"{name}: {value:.2f}" if isinstance(value, float) else f"{name}: {value}")
    good = outcome["stale"] == 0 and outcome["reads_replica"] * 2 >= outcome["reads"]
    print(f"{outcome['reads_replica'] / outcome['reads']:.0%} of the reads answered by the replica; {outcome['stale']} stale: "
          + ("good" if good else "NOT GOOD"))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
