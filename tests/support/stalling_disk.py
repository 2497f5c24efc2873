# SPDX-License-Identifier: BSD-2-Clause
"""A file system that answers when it is told to: a few files, served through /dev/fuse by a thread of this process, with the kernel's
own protocol (FUSE 7.31). Needs root.

    with StallingDisk(directory, {"a.zip": b"..."}) as disk:
        disk.stall("read")       # reads get no answer until disk.resume()
"""
import ctypes
import errno
import os
import stat
import struct
import threading

_libc = ctypes.CDLL(None, use_errno=True)
MNT_DETACH = 2
HEADER = struct.Struct("<IIQQIIII")  # length, opcode, unique, node, uid, gid, pid, padding
LOOKUP, FORGET, GETATTR, OPEN, READ, STATFS, RELEASE, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, BATCH_FORGET = (
    1, 2, 3, 14, 15, 17, 18, 25, 26, 27, 28, 29, 36, 42)
NAMES = {LOOKUP: "lookup", OPEN: "open", READ: "read", FLUSH: "flush"}
VALID_S = 1  # how long the kernel may believe names and sizes
MODIFIED = 1000000000


def is_possible():
    return os.geteuid() == 0 and os.path.exists("/dev/fuse")


class StallingDisk:
    def __init__(self, directory, files):
        self.directory, self.files = str(directory), list(files.items())
        self.stalled, self.going = set(), threading.Condition()
        self.behind = 0  # only reads from here on stall
        self.waiting = 0  # requests that have not got their answer
        os.makedirs(self.directory, exist_ok=True)
        self.device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = f"fd={self.device},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions".encode()
        if _libc.mount(b"noah-test", self.directory.encode(), b"fuse", 0, options) != 0:
            os.close(self.device)
            raise OSError(ctypes.get_errno(), "mount")
        threading.Thread(target=self._serve, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *why):
        self.resume()
        _libc.umount2(self.directory.encode(), MNT_DETACH)
        os.close(self.device)

    def stall(self, what, behind=0):
        """What is asked from now on in this way (lookup, open, read, flush, which is close(2); reads only behind this offset) gets no answer."""
        with self.going:
            self.behind = behind
            self.stalled.add(what)

    def resume(self):
        with self.going:
            self.stalled.clear()
            self.going.notify_all()

    def put(self, name, content):
        """In the place of what the file held."""
        self.files = [(name, content) if known == name else (known, before) for known, before in self.files]

    # ---- answering

    def _serve(self):
        while True:
            try:
                request = os.read(self.device, 1 << 20)
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT, errno.EAGAIN):
                    continue
                return  # unmounted
            _, opcode, unique, node, *_ = HEADER.unpack_from(request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            body = request[HEADER.size:]
            if NAMES.get(opcode) in self.stalled and (opcode != READ or struct.unpack_from("<QQ", body)[1] >= self.behind):
                threading.Thread(target=self._answer_later, args=(opcode, unique, node, body), daemon=True).start()
            else:
                self._answer(opcode, unique, node, body)

    def _answer_later(self, opcode, unique, node, body):
        with self.going:
            self.waiting += 1
            self.going.wait_for(lambda: NAMES[opcode] not in self.stalled)
            self.waiting -= 1
        self._answer(opcode, unique, node, body)

    def _answer(self, opcode, unique, node, body):
        try:
            error, content = 0, self._content(opcode, node, body)
        except OSError as failure:
            error, content = -failure.errno, b""
        try:
            os.write(self.device, struct.pack("<IiQ", 16 + len(content), error, unique) + content)
        except OSError:
            pass  # it was given up, or unmounted

    def _attributes(self, node):
        size, mode = (0, stat.S_IFDIR | 0o755) if node == 1 else (len(self.files[node - 2][1]), stat.S_IFREG | 0o644)
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, (size + 511) // 512, MODIFIED, MODIFIED, MODIFIED, 0, 0, 0, mode,
                           2 if node == 1 else 1, 0, 0, 0, 4096, 0)

    def _content(self, opcode, node, body):
        if opcode == INIT:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 65536, 0, 12, 10, 65536, 1, 0, 0, 0)
        if opcode == LOOKUP:
            names = [name for name, _ in self.files]
            name = body.rstrip(b"\0").decode()
            if node != 1 or name not in names:
                raise OSError(errno.ENOENT, name)
            found = names.index(name) + 2
            return struct.pack("<QQQQII", found, 0, VALID_S, VALID_S, 0, 0) + self._attributes(found)
        if opcode == GETATTR:
            return struct.pack("<QII", VALID_S, 0, 0) + self._attributes(node)
        if opcode in (OPEN, OPENDIR):
            return struct.pack("<QII", 1, 0, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("<QQI", body)
            return self.files[node - 2][1][offset:offset + size]
        if opcode == STATFS:
            return struct.pack("<QQQQQIIII24x", 0, 0, 0, 0, 0, 4096, 255, 4096, 0)
        if opcode in (RELEASE, RELEASEDIR, FLUSH, READDIR):
            return b""
        raise OSError(errno.ENOSYS, "not known")
