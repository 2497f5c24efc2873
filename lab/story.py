# SPDX-License-Identifier: BSD-2-Clause
"""The story of `make demo-check`: a real WordPress through noah, under load, while its servers are broken one after the other.

What must hold through the whole story is in check(): each bar is one sentence that is printed with what was measured.
"""
import contextlib
import os
import re
import shutil
import time

from . import load as loads
from .lab import Lab
from .machine import wait_for
from .noah import REPOSITORY, has_sanitizer
from .wordpress import make_site, prepare_app

MEMORY_MOST_KILOBYTES = 24 * 1024
LOGS_KEPT = os.path.join(REPOSITORY, "build", "demo-log")  # of a story that did not go well


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


class Story:
    def __init__(self, file, quick=False, say=print):
        self.file = file
        self.quick = quick
        self.say = say
        self.started = time.monotonic()
        self.steps = []              # names in order
        self.reads_primary = self.reads_replica = 0  # statements while everything is healthy
        self.memory = {}             # when: kilobytes
        self.lab = self.noah = self.load = self.wordpress = None
        self.status_at_end = None

    def tell(self, text):
        self.say(f"{time.monotonic() - self.started:6.1f} s  {text}")

    def run(self):
        """True when every bar holds."""
        with Lab(self.file, prepare_app=prepare_app) as self.lab:
            good = False
            try:
                good = self._run()
            finally:
                if not good:
                    shutil.rmtree(LOGS_KEPT, ignore_errors=True)
                    self.lab.save_logs(LOGS_KEPT)
                    self.say(f"\nThe logs of all servers are in {LOGS_KEPT}; the end of noah's:\n"
                             f"{self.lab.noahs()[0].log()[-4000:]}")
            return good

    def _run(self):
        self.wordpress = make_site(self.lab, users=1, say=self.tell)
        self.noah = self.lab.noahs()[0]
        self.memory["before the load"] = self.noah.memory_kilobytes()
        self.load = loads.Load(self.wordpress)
        self.load.step = "start"
        self.load.start()
        try:
            self._tell_story()
        finally:
            self.load.stop()
        self._wait_until_still()
        self.memory["after the load"] = self.noah.memory_kilobytes()
        self.status_at_end = self.noah.status()
        self._report_steps()
        return self._check()

    # ---- the story

    def _tell_story(self):
        web1, web2 = self.lab.apps()
        primary, replica = self.lab.databases["main"]
        first, second = (f"{app.address}:{app.port}" for app in (web1, web2))
        second_database = f"{replica.address}:{replica.port}"
        with self._step("all is well", healthy=True):
            self._go_on(2)
        with self._step("Apache on web1 is killed"):
            web1.kill()
            self.noah.wait_for_health(first, "down")
            self._go_on()
        with self._step("Apache on web1 is back"):
            web1.start()
            self.noah.wait_for_health(first, "up")
            self._go_on()
        with self._step("web2 is without /servercheck.txt"):
            web2.remove_check_file()
            self.noah.wait_for_health(second, "down")
            self._go_on()
        with self._step("/servercheck.txt is back"):
            web2.put_check_file()
            self.noah.wait_for_health(second, "up")
            self._go_on()
        with self._step("web1 is powered off"):
            self.lab.power_off("web1")
            self.noah.wait_for_health(first, "down")
            self._go_on()
        with self._step("web1 is powered on"):
            self.lab.power_on("web1")
            self.noah.wait_for_health(first, "up")
            self._go_on()
        with self._step("the replica is held 5 s behind"):
            replica.hold(5)
            wait_for(lambda: not replica.has_applied_all_of(primary), 10, "the replica to be behind")
            self._go_on(1.5)
        with self._step("the replica is released"):
            replica.hold(0)
            wait_for(lambda: replica.has_applied_all_of(primary), 60, "the replica to have caught up")
            self._go_on()
        with self._step("the replica is killed"):
            replica.kill()
            self.noah.wait_for_health(second_database, "down")
            self._go_on()
        with self._step("the replica is back"):
            replica.start()
            self.noah.wait_for_health(second_database, "up")
            wait_for(replica.is_replicating, 30, "the replica to replicate")
            wait_for(lambda: self.noah.target(second_database)["role"] == "replica", 30, "noah to see that it does", every=0.1)
            self._go_on()
        with self._step("all is well again", healthy=True):
            self._go_on(2)

    @contextlib.contextmanager
    def _step(self, name, healthy=False):
        self.steps.append(name)
        self.load.step = name
        before = self._count_reads()
        failed = len(self._bad())
        started = time.monotonic()
        yield
        if healthy:
            after = self._count_reads()
            self.reads_primary += after[0] - before[0]
            self.reads_replica += after[1] - before[1]
        self.tell(f"{name:36} {time.monotonic() - started:5.1f} s, requests so far {self.load.count()}, "
                  f"not well answered in this step {len(self._bad()) - failed}")

    def _count_reads(self):
        """How many SELECTs the primary has answered, and how many reads the replica. Of the primary's, noah's questions for its
        position are none; noah's checks are left in: they are few, and count against it."""
        counters = self.noah.counters()
        selects = int(self.lab.databases["main"][0].query("SHOW GLOBAL STATUS LIKE 'Com_select'")[0][1])
        return selects - counters["positions_asked"], counters["reads_replica"]

    def _go_on(self, share=1.0):
        """The load goes on for a while: so many seconds, and until two comments were posted in each of them on average."""
        seconds = (3 if self.quick else 6) * share
        wanted = self.load.count("comment") + 2 * seconds
        started = time.monotonic()
        wait_for(lambda: time.monotonic() - started > seconds and self.load.count("comment") >= wanted, 120,
                 "the load to go on", every=0.1)

    def _bad(self):
        return [record for record in list(self.load.records) if record.result != loads.OK]

    def _wait_until_still(self):
        primary, *replicas = self.lab.databases["main"]
        wait_for(lambda: all(replica.has_applied_all_of(primary) for replica in replicas), 60, "the replicas to have caught up")
        wait_for(lambda: self.noah.counters()["connections_open"] == 0, 30, "the last visitor to have gone")

    # ---- the bars

    def _check(self):
        bars = [self._check_gets(), self._check_posts(), self._check_comments(), self._check_causes(), self._check_stale(),
                self._check_reads(), self._check_memory(), self._check_noah()]
        self.say("")
        for good, sentence in bars:
            self.say(f"{'yes' if good else 'NO '}  {sentence}")
        good = all(good for good, _ in bars)
        end = "The story went well." if good else "The story did NOT go well."
        self.say(f"\n{end} ({time.monotonic() - self.started:.0f} s)")
        return good

    def _check_gets(self):
        gets = [record for record in self.load.records if record.method == "GET"]
        failed = [record for record in gets if record.result == loads.FAILED]
        cut = [record for record in gets if record.result == loads.CUT]
        return not failed and bool(gets), (
            f"no GET failed whose answer had not begun: {len(failed)} of {len(gets)} did; {len(cut)} broke off later"
            f"{_list(failed)}")

    def _check_posts(self):
        arrived = self.wordpress.posts_arrived()
        posts = [record for record in self.load.records if record.method == "POST"]
        twice = [record for record in posts if arrived.get(record.number, 0) > 1]
        missing = [record for record in posts if record.result == loads.OK and arrived.get(record.number, 0) == 0]
        return not twice and not missing and bool(posts), (
            f"each POST was executed at most once: {len(posts)} sent, {len(twice)} executed twice, {len(missing)} answered "
            f"without being executed{_list(twice + missing)}")

    def _check_comments(self):
        acknowledged = set(self.load.acknowledged)
        wrong = []
        for database in self.lab.databases["main"]:
            found = self.wordpress.comments_in(database)
            wrong += [f"{text} is {found.get(text, 0)} times in {database.machine.name}" for text in self.load.attempted
                      if found.get(text, 0) > 1 or (text in acknowledged and found.get(text, 0) != 1)]
        return not wrong and bool(acknowledged), (
            f"each acknowledged comment is in both databases once: {len(acknowledged)} of {len(self.load.attempted)} were "
            f"acknowledged, {len(wrong)} are wrong{_list(wrong)}")

    def _check_causes(self):
        lines = self._access_lines()
        bad = [record for record in self._bad() if record.result != loads.STALE]
        unexplained = [record for record in bad if not _explains(lines.get(record.number, ""), record)]
        return not unexplained, (
            f"every failure that a visitor saw is in the log with its cause: {len(bad)} failures, "
            f"{len(unexplained)} not in the log{_list(unexplained)}")

    def _access_lines(self):
        file = self.lab.document["log"]["access"]
        found = {}
        for line in self.noah.machine.read(file).splitlines():
            match = re.search(r"[?&]v=([\w-]+)", line)
            if match:
                found[match[1]] = line
        return found

    def _check_stale(self):
        after = [record for record in self.load.records if record.kind.startswith("view after")]
        stale = [record for record in after if record.result == loads.STALE]
        servers = sorted({record.server for record in after if record.server})
        return not stale and len(servers) == 2, (
            f"no stale page: {len(stale)} of {len(after)} pages after a comment or a login, answered by {' and '.join(servers)}"
            f"{_list(stale)}")

    def _check_reads(self):
        reads = self.reads_replica + self.reads_primary
        share = self.reads_replica / reads if reads else 0
        return share >= 0.5, (
            f"at least half of the reads are answered by the replica while it is healthy: {share:.1%} of {reads}")

    def _check_memory(self):
        if has_sanitizer():
            return True, "noah's memory is not measured: it is built with a sanitizer"
        most = max(self.memory.values())
        text = ", ".join(f"{kilobytes / 1024:.1f} MB {when}" for when, kilobytes in self.memory.items())
        return most <= MEMORY_MOST_KILOBYTES, f"noah needs at most 24 MB while nobody asks for anything: {text}"

    def _check_noah(self):
        faults = self.noah.faults()
        restarts = {process["name"]: process["restarts"] for process in self.status_at_end["processes"] if process["restarts"]}
        return not faults and not restarts, f"noah itself had no fault: restarts {restarts or 'none'}{_list(faults)}"

    def _report_steps(self):
        titles = ("views", "logins", "comments", "failed", "cut", "stale", "p50 ms", "p99 ms")
        self.say(f"\n{'step':33}" + "".join(f"{title:>9}" for title in titles))
        for name in [*self.steps, None]:
            records = [record for record in self.load.records if name in (None, record.step)]
            times = [record.seconds * 1000 for record in records if record.method == "GET"]
            figures = [len(times), *(sum(1 for record in records if record.kind == kind) for kind in ("login", "comment")),
                       *(sum(1 for record in records if record.result == result)
                         for result in (loads.FAILED, loads.CUT, loads.STALE)),
                       percentile(times, 0.5), percentile(times, 0.99)]
            self.say(f"{name or 'the whole story':33}" + "".join(f"{figure:9.0f}" for figure in figures))


def _explains(line, record):
    """Does the line of noah's access log (docs/http.md) say what the visitor saw, and why?"""
    match = re.search(r'" (\d+) \d+ ".* end=(\S+)(?: cause=".*")?$', line)
    if not match:
        return False
    status, end = int(match[1]), match[2]
    if end == "ok":  # the server itself answered so
        return record.result == loads.FAILED and status == record.status
    return record.result == loads.CUT or not record.status or status == record.status


def _list(things, most=8):
    """The first few, each on a line of its own."""
    texts = [thing if isinstance(thing, str) else f"{thing.number} ({thing.step}): {thing.kind}: {thing.detail or thing.result}"
             for thing in things]
    if len(texts) > most:
        texts = [*texts[:most], f"and {len(texts) - most} more"]
    return "".join(f"\n       {text}" for text in texts)
