# SPDX-License-Identifier: BSD-2-Clause
"""Apache with PHP on a machine of the lab: Debian's packages, with a configuration of its own. Called by lab.py."""
import glob
import os
import socket

from .machine import DISK, LOGS, Ended, LabError, wait_for
from .service import Service

MODULES = "/usr/lib/apache2/modules"
ROOT = f"{DISK}/www"

CONFIGURATION = """\
ServerName {name}
ServerRoot /run/apache
DefaultRuntimeDir /run/apache
PidFile /run/apache/pid
Listen {address}:{port}
User www-data
Group www-data
ErrorLog {logs}/apache-error.log
LogFormat "%h %t \\"%r\\" %>s %O %D" short
CustomLog {logs}/apache-access.log short
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule dir_module {modules}/mod_dir.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule php_module {php}
TypesConfig /etc/mime.types
DirectoryIndex index.php index.html
AddHandler application/x-httpd-php .php
StartServers 16
MinSpareServers 8
MaxSpareServers 24
MaxRequestWorkers 64
KeepAliveTimeout 15
MaxKeepAliveRequests 0
Timeout 60
DocumentRoot {document_root}
<Directory />
	Require all granted
</Directory>
{more}
"""


# Compiled pages outlive Apache: on a busy machine all workers of one that just started would compile the whole application at once, for
# many seconds.
PHP_CONFIGURATION = """\
opcache.file_cache = {disk}/opcache
opcache.memory_consumption = 64
upload_tmp_dir = {disk}
default_socket_timeout = 20
"""


class Apache(Service):
    """`document_root`: inside the machine; `more`: further lines of configuration."""
    names = ("apache2",)
    title = "Apache"

    def __init__(self, machine, address, port, document_root=ROOT, more=""):
        self.machine = machine
        self.address = address
        self.port = port
        php = sorted(glob.glob(f"{MODULES}/libphp*.so"))
        if not php:
            raise LabError(f"no PHP module in {MODULES}: tools/setup demo installs what is needed")
        os.makedirs(machine.path(ROOT), exist_ok=True)
        os.makedirs(machine.path("/run/apache"), exist_ok=True)
        os.makedirs(machine.path(f"{DISK}/opcache"), exist_ok=True)
        os.chmod(machine.path(f"{DISK}/opcache"), 0o777)
        machine.write("/run/apache/php/lab.ini", PHP_CONFIGURATION.format(disk=DISK))
        machine.write("/run/apache/apache.conf", CONFIGURATION.format(
            name=machine.name, address=address, port=port, logs=LOGS, modules=MODULES, php=php[-1],
            document_root=document_root, more=more))
        self.put_check_file()

    def put_check_file(self):
        self.machine.write(f"{ROOT}/servercheck.txt", "the server is well\n")

    def remove_check_file(self):
        self.machine.remove(f"{ROOT}/servercheck.txt")

    def launch(self):
        if self.machine.exists("/run/apache/pid"):
            self.machine.remove("/run/apache/pid")
        self.machine.spawn(["apache2", "-f", "/run/apache/apache.conf", "-DFOREGROUND"], log=f"{LOGS}/apache.log",
                           environment={"PHP_INI_SCAN_DIR": ":/run/apache/php"})  # after the host's own settings

    def answers(self):
        if not self.is_running():
            raise Ended(f"Apache on {self.machine.name} has ended: {self.machine.tail(f'{LOGS}/apache.log')}"
                        f"{self.machine.tail(f'{LOGS}/apache-error.log')}")
        with self.machine.inside(), socket.create_connection((self.address, self.port), timeout=2) as connection:
            connection.sendall(b"GET /servercheck.txt HTTP/1.0\r\n\r\n")
            return connection.recv(100).startswith(b"HTTP/1.1 ")

    def start(self):
        self.launch()
        wait_for(self.answers, 30, f"Apache on {self.machine.name} to answer")
