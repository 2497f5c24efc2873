#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Breaks a demo that runs in another terminal:  sudo python3 -m lab.ctl [--lab NAME] web1 kill  (help: what else)."""
import sys

from .control import HELP, running_labs, send


def main(words):
    if not words or words[0] in ("-h", "--help", "help"):
        print(f"usage: python3 -m lab.ctl [--lab NAME] COMMAND\n\n{HELP}")
        return 0
    labs = running_labs()
    if words[0] == "--lab":
        labs, words = [name for name in labs if name == words[1]], words[2:]
    if not labs:
        print("no such lab is running (make demo starts one)", file=sys.stderr)
        return 1
    if len(labs) > 1:
        print(f"several labs are running; which one? --lab {' | '.join(labs)}", file=sys.stderr)
        return 2
    print(send(labs[0], " ".join(words)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
