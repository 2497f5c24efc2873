#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""The first process of a lab's machine. Run by machine.py; stands alone (no package, no other module of the lab).

    init.py NAME DISK_BYTES CHANNEL_FD

Makes new network, mount, process, host name and IPC namespaces, and is process 1 in them, so that the kernel ends every process
of the machine when it ends; all that the machine stores is on memory file systems that nobody else sees, so that they go with
it. It ends when the other side of the channel is closed: also when the lab was killed with SIGKILL. So nothing can be left
behind.

The channel is a SOCK_SEQPACKET socket. It first says {"pid": as seen from outside} and {"ready": true}, in either order, or
{"error": …}. Then each message is a JSON request, and gets one JSON answer:
    {"spawn": [argv], "log": FILE, "environment": {…}}    -> {"pid": N}  as seen inside
    {"signal_all": NUMBER}                                -> {}          to every process but this one
"""
import ctypes
import json
import os
import select
import signal
import socket
import sys

MESSAGE_SIZE_MOST = 65536

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18

libc = ctypes.CDLL(None, use_errno=True)

# Copied and not linked to the host's: the machine has a user of its own in them.
OWN_ETC_FILES = ("passwd", "group")
NOAH_USER_ID = 64999


def call(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source, target, kind, flags, data=""):
    call(libc.mount(source.encode(), target.encode(), kind.encode(), flags, data.encode()), f"mount {target}")


def make_etc(name):
    """/etc of its own: the host's entries as links, and room for the machine's files."""
    os.mkdir("/run/host-etc")
    mount("/etc", "/run/host-etc", "", MS_BIND | MS_REC)
    mount("etc", "/etc", "tmpfs", MS_NOSUID | MS_NODEV, "size=16m,mode=755")
    for entry in os.listdir("/run/host-etc"):
        if entry not in ("hostname", "hosts", "noah", "wordpress", *OWN_ETC_FILES):
            os.symlink(f"/run/host-etc/{entry}", f"/etc/{entry}")
    for entry, line in zip(OWN_ETC_FILES, (f"noah:x:{NOAH_USER_ID}:{NOAH_USER_ID}::/nonexistent:/usr/sbin/nologin",
                                           f"noah:x:{NOAH_USER_ID}:")):
        with open(f"/run/host-etc/{entry}", encoding="utf-8") as file:
            lines = [old for old in file.read().splitlines() if not old.startswith("noah:")]
        with open(f"/etc/{entry}", "w", encoding="utf-8") as file:
            file.write("\n".join([*lines, line]) + "\n")
    with open("/etc/hostname", "w", encoding="utf-8") as file:
        file.write(name + "\n")
    os.mkdir("/etc/noah")
    os.mkdir("/etc/wordpress")


def make_file_systems(name, disk_bytes):
    mount("none", "/", "", MS_REC | MS_PRIVATE)
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755")
    mount("log", "/var/log", "tmpfs", MS_NOSUID | MS_NODEV, "size=512m,mode=755")
    os.mkdir("/run/disk")
    mount("disk", "/run/disk", "tmpfs", MS_NOSUID | MS_NODEV, f"size={disk_bytes},mode=755")
    mount("srv", "/srv", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m,mode=755")  # where files of sites belong
    os.mkdir("/var/log/lab")
    os.mkdir("/var/log/noah")
    make_etc(name)


def spawn(request, others):
    """Answers when the program has taken over (or could not)."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8",
                   **request.get("environment", {})}
    done_read, done_write = os.pipe()  # closed by a successful exec
    pid = os.fork()
    if pid:
        os.close(done_write)
        with open(done_read, "rb") as done:
            problem = done.read()
        return {"error": problem.decode()} if problem else {"pid": pid}
    try:
        os.setsid()
        for number in (signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        null = os.open("/dev/null", os.O_RDONLY)
        log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(null, 0)
        os.dup2(log, 1)
        os.dup2(log, 2)
        for descriptor in (null, log, done_read, *others):
            os.close(descriptor)
        os.chdir("/")
        os.execvpe(request["spawn"][0], request["spawn"], environment)
    except BaseException as problem:  # pylint: disable=broad-except
        os.write(done_write, f"{request['spawn'][0]}: {problem}".encode())
    os._exit(127)


def answer(request, others):
    if "spawn" in request:
        return spawn(request, others)
    if "signal_all" in request:
        try:
            os.kill(-1, request["signal_all"])
        except ProcessLookupError:
            pass
        return {}
    return {"error": "unknown request"}


def serve(channel):
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_read, False)
    os.set_blocking(wake_write, False)
    signal.signal(signal.SIGCHLD, lambda *ignored: None)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    others = [channel.fileno(), wake_read, wake_write]
    while True:
        ready, _, _ = select.select([channel, wake_read], [], [])
        if wake_read in ready:
            os.read(wake_read, 4096)
        while True:  # at most as many as there are children
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    break
            except ChildProcessError:
                break
        if channel in ready:
            message = channel.recv(MESSAGE_SIZE_MOST)
            if not message:
                return
            try:
                reply = answer(json.loads(message), others)
            except (OSError, KeyError, ValueError) as problem:
                reply = {"error": str(problem)}
            channel.send(json.dumps(reply).encode())


def main():
    name, disk_bytes, descriptor = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    channel = socket.socket(fileno=descriptor)
    call(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET), "unshare (are you root?)")
    pid = os.fork()
    if pid:
        channel.send(json.dumps({"pid": pid}).encode())
        channel.close()
        os.waitpid(pid, 0)
        return
    try:
        make_file_systems(name, disk_bytes)
        socket.sethostname(name)
        channel.send(json.dumps({"ready": True}).encode())
    except OSError as problem:
        channel.send(json.dumps({"error": str(problem)}).encode())
        return
    try:
        serve(channel)
    except (BrokenPipeError, ConnectionResetError):
        pass


main()
