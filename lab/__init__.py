# SPDX-License-Identifier: BSD-2-Clause
"""The lab: a small site of several servers on one machine, and ways to break it. docs/lab.md says how to use it.

machine.py   one server: namespaces, processes in them, kill, freeze, fill the disk        (init.py is its first process)
network.py   what joins the servers: a bridge in a namespace of its own; cut, one direction, loss, power
lab.py       all servers of a cluster file
apache.py mariadb.py noah.py wordpress.py   what runs on them
service.py   what the first three of these have in common: killed, frozen, thawed
visitor.py   an HTTP client that notices everything
control.py   the words a person breaks things with ("web1 kill")
demo.py      `make demo` and, with --check, `make demo-check`; story.py is what the check does
"""
