#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make demo` and `make demo-check`: the site of examples/demo.yaml on this machine.

    python3 -m lab.demo                         until Ctrl-C; commands are typed in, or sent with python3 -m lab.ctl
    python3 -m lab.demo --check [--quick] [--runs N]     the story of story.py; exit code 0 when it went well, 1 when not
"""
import argparse
import os
import signal
import sys
import threading
import time

from .control import Control
from .lab import Lab
from .machine import LabError
from .noah import REPOSITORY
from .story import Story
from .wordpress import ADMINISTRATOR, make_site, prepare_app

FILE = os.path.join(REPOSITORY, "examples", "demo.yaml")


def say(text):
    print(text, flush=True)


def become_root():
    """The demo makes network namespaces; without root it starts itself again with sudo, which is asked for first."""
    if os.geteuid() == 0:
        return
    command = ["sudo", *(["-n"] if os.environ.get("CI") else []), "--preserve-env=NOAH,CI", sys.executable, "-B", "-m", "lab.demo",
               *sys.argv[1:]]
    if not os.environ.get("CI"):
        say("The demo makes network namespaces of its own, and that needs root.")
        if not sys.stdin.isatty() or input("Run it with sudo? [y/N] ").strip().lower() not in ("y", "yes"):
            sys.exit("Not run. The command is: sudo " + " ".join(command[command.index(sys.executable):]))
    os.chdir(REPOSITORY)
    os.execvp("sudo", command)


# ---- make demo

INTRODUCTION = """
The site is at   http://{address}/      (on this machine)
Administration   http://{address}/wp-admin/   user {user}, password {password}

  front  {front}   noah: HTTP for visitors, SQL for the web servers
  web1, web2            Apache with PHP, WordPress
  db1, db2              MariaDB, primary and replica

Try, here or from another terminal with "sudo {python} -m lab.ctl COMMAND":
  web1 kill     then reload the page: the other web server answers. web1 start brings it back.
  web1 off      as if its power went; web1 on
  web2 unwell   its health check says no; web2 well
  db2 lag 5     the replica is five seconds late; a comment that you post is still on the next page. db2 lag 0
  db2 kill      reads go to the primary; db2 start
  db1 kill      pages are still shown, comments are refused; db1 start
  help          everything that can be done;  status: noah's view
Ctrl-C removes everything.
"""


class View:
    """One line that is rewritten once a second; on something that is no terminal, a line whenever it changes."""

    def __init__(self):
        self.terminal = sys.stdout.isatty()
        self.last = ""
        self.lock = threading.Lock()

    def show(self, line):
        with self.lock:
            if self.terminal:
                width = max(20, _columns() - 1)
                sys.stdout.write(f"\r\x1b[K{line[:width]}")
                sys.stdout.flush()
            elif line != self.last:
                say(line)
            self.last = line

    def say(self, text):
        with self.lock:
            sys.stdout.write("\r\x1b[K" if self.terminal else "")
            say(text)


def _columns():
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except OSError:
        return 80


def show_status(noah, view):
    """A thread: noah's own line, once a second, until the demo ends."""
    while True:
        if noah.is_running():
            with noah.status_lines() as lines:
                for line in lines.stdout:
                    view.show(line.rstrip())
        else:
            view.show("noah is not running")
        time.sleep(1)


def obey(control, view):
    """Does what is typed, until quit. Ctrl-C and signals end it, too."""
    typed = b""
    while data := os.read(0, 4096):
        *lines, typed = (typed + data).split(b"\n")
        for line in lines:
            if line.strip() in (b"quit", b"exit"):
                return
            view.say(control.do(line.decode("utf-8", "replace")))
    while True:
        signal.pause()  # nobody types


def demo():
    view = View()
    started = time.monotonic()

    def tell(text):
        say(f"{time.monotonic() - started:6.1f} s  {text}")

    tell("making the servers: namespaces joined by a bridge")
    with Lab(FILE, host=True, prepare_app=prepare_app) as lab:
        try:
            make_site(lab, say=tell)
            control = Control(lab)
            control.listen()
            front = lab.noah_servers()[0]
            user, password = ADMINISTRATOR
            say(INTRODUCTION.format(address=lab.addresses[front], front=lab.addresses[front], user=user, password=password,
                                    python=sys.executable))
            threading.Thread(target=show_status, args=(lab.noahs()[0], view), daemon=True).start()
            obey(control, view)
        except KeyboardInterrupt:
            pass
        finally:
            view.say("removing everything")
    return 0


# ---- make demo-check

def check(runs, quick):
    for number in range(runs):
        if runs > 1:
            say(f"==== run {number + 1} of {runs}")
        if not Story(FILE, quick, say).run():
            return 1
    return 0


def _end(*ignored):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(prog="lab.demo", description="The demo of noah.")
    parser.add_argument("--check", action="store_true", help="run the story without a person")
    parser.add_argument("--quick", action="store_true", help="with --check: the load goes on for a shorter time in each step")
    parser.add_argument("--runs", type=int, default=1, metavar="N", help="with --check: so many times in a row")
    arguments = parser.parse_args()
    become_root()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    try:
        return check(arguments.runs, arguments.quick) if arguments.check else demo()
    except LabError as problem:
        print(f"lab: {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130  # of a check; the demo ends this way in the ordinary course


if __name__ == "__main__":
    sys.exit(main())
