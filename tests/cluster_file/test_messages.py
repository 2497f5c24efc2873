# SPDX-License-Identifier: BSD-2-Clause
"""What `noah check` says about files that are wrong: the place, the key, the suggestion."""
import os

import pytest

from conftest import HEAD, HEAD_LINES, run

SITE = "sites:\n  a.example:\n    apps: [web1:8080, web2:8080]\n"
DATABASE = "databases:\n  main:\n    servers: [db1, db2]\n    account: { user: noah, password_file: /nowhere/password }\n"
SITE_END = HEAD_LINES + SITE.count("\n")          # what is appended to HEAD + SITE stands one line below
DATABASE_END = HEAD_LINES + DATABASE.count("\n")

IN_SITE = [
    # a line under the site, its column, what is said
    ("chekc: { get: /x }", 5, "sites.a.example.chekc: unknown key; did you mean `check`?"),
    ("get: /x", 5, "sites.a.example.get: unknown key; `get` belongs under sites.NAME.check"),
    ("servers: [web1]", 5, "sites.a.example.servers: unknown key; `servers` belongs at the top of the file"),
    ("frobnicate: 1", 5, "sites.a.example.frobnicate: unknown key; known here are `names`, `on`, `listen`"),
    ("check: { every: 2 }", 21, "sites.a.example.check.every: `2` has no unit; did you mean `2s`?"),
    ("check: { every: 2sec }", 21, "sites.a.example.check.every: `2sec` is not a duration; did you mean `2s`?"),
    ("check: { every: 1ms }", 21, "sites.a.example.check.every: `1ms` is too small; from 10ms to 1h is good"),
    ("check: { rise: 0 }", 20, "sites.a.example.check.rise: `0` is too small; from 1 to 100 is good"),
    ("check: { fall: 0 }", 20, "sites.a.example.check.fall: `0` is too small; from 1 to 100 is good"),
    ("check: { fall: many }", 20, "sites.a.example.check.fall: `many` is not a whole number"),
    ("check: { fall: -1 }", 20, "sites.a.example.check.fall: `-1` is not a whole number"),
    ("check: { every: 1s, timeout: 2s }", 34,
     "sites.a.example.check.timeout: a check may take 2s, but the next begins after 1s; make `timeout` at most `every`"),
    ("check: { status: 200 }", 22, "sites.a.example.check.status: is only for a check by HTTP; add for example `get: /servercheck.txt`"),
    ("check: { get: /x, tcp: true }", 28, "sites.a.example.check.tcp: a check is either `get` or `tcp`; take one of them out"),
    ("check: { tcp: false }", 19, "sites.a.example.check.tcp: `false` says nothing; write `tcp: true`"),
    ("check: { get: x }", 19, "sites.a.example.check.get: `x` is not the path of a request; a path begins with `/`"),
    ("check: { get: 'http://h/x' }", 19, "write only the path"),
    ("check: { get: /x, status: 399-200 }", 31, "`399-200` ends before it begins; did you mean `200-399`?"),
    ("check: { get: /x, md5: 12 }", 28, "sites.a.example.check.md5: the digest has 2 digits, it must have 32; print one with `md5sum FILE`"),
    ("check: { get: /x, md5: d41d8cd98f00b204e9800998ecf8427e, sha256: "
     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }", 70, "either `md5` or `sha256`"),
    ("check: /servercheck.txt", 12, "sites.a.example.check: keys with values are expected here, for example `{ get: /servercheck.txt"),
    ("check:", 11, "sites.a.example.check: there is nothing here"),
    ("timeouts: { connect: 1.5s }", 26, "did you mean `1500ms`?"),
    ("body: 8MB", 11, "sites.a.example.body: `8MB` is not a size; did you mean `8m`?"),
    ("balance: leastconn", 14, "sites.a.example.balance: `leastconn` is not known; did you mean `least-connections`?"),
    ("balance: magic", 14, "`magic` is not known; write `round-robin` or `least-connections` or `least-latency` or `hash`"),
    ("on: [frnot]", 10, "sites.a.example.on: no server is called `frnot`; did you mean `front`?"),
    ("on: []", 9, "sites.a.example.on: the list is empty; write for example `[web1, web2]`, or take the key out"),
    ("on: [front, front]", 17, "sites.a.example.on: `front` stands here twice"),
    ("listen: [http, 80]", 20, "sites.a.example.listen: `[::]:80` stands here twice"),
    ("listen: [http, '192.0.2.10:80']", 20, "overlap on server front"),
    ("listen: 70000", 13, "sites.a.example.listen: `70000`: the port is out of range; ports are 1 to 65535"),
    ("listen: [http, https]", 20,
     "sites.a.example.listen: TLS needs a certificate; add for example `certificate: /etc/noah/a.example.pem`, or `certificate: self-signed`"),
    ("listen: https://a.example", 13, "`https://a.example` is an URL; write `http`, `https`, `8080`"),
    ("listen: [http, 'http:80']", 20, "`[::]:80` stands here twice"),
    ("listen: { port: 80 }", 13, "a single value is expected here, not a map of keys"),
    ("names: ['www.*']", 13, "sites.a.example.names: `www.*` is not a host name; a `*` stands alone or at the beginning"),
    ("names: ['*.a.example', '*.A.example']", 28, "`*.a.example` stands here twice"),
    ("check: { get: /x, host: '*' }", 29, "sites.a.example.check.host: `*` is not a host name; `*` is not known here; write the whole name"),
    ("names: [b.example:80]", 13, "a name has no port"),
    ("names: [b.example, B.Example]", 24, "sites.a.example.names: `b.example` stands here twice"),
    # TLS
    ("certificate: cert.pem", 18,
     "sites.a.example.certificate: `cert.pem` is neither the whole path of a PEM file, which begins with `/`, nor `self-signed`"),
    ("certificate: { key: /k }", 5, "sites.a.example.certificate.chain: is missing"),
    ("certificate: { chain: /c, keys: /k }", 31, "sites.a.example.certificate.keys: unknown key; did you mean `key`?"),
    ("certificate: [/a, self-signed]", 23, "`self-signed` stands alone; take it out, or the files beside it"),
    ("certificate: [/a, /b, /a]", 27, "/a stands here twice"),
    ("certificate: [/a, /b, /c, /d, /e]", 35, "more than 4 entries; that is the most"),
    ("certificate: { chain: /c, key: k }", 36, "sites.a.example.certificate.key: `k` is not the whole path of a file"),
    ("certificate: { chain: /c, ocsp: o }", 37, "sites.a.example.certificate.ocsp: `o` is not the whole path of a file"),
    ("https: { redirect: false }", 5, "sites.a.example.https: the site does not listen with TLS; give it a `certificate`"),
    # apps
    ("sticky: 'a b'", 13, "sites.a.example.sticky: `a b` is not the name of a cookie"),
    ("hash: visitor", 11, "sites.a.example.hash: `visitor` is not known; write `address` or `path` or `header NAME` or `cookie NAME`"),
    ("hash: cookie", 11, "`cookie` needs a name; write for example `cookie session`"),
    ("hash: header a:b", 11, "`a:b` is not the name of a header"),
    ("hash: path x", 11, "`path x` is not known"),
    ("hash: path\n    balance: round-robin", 11, "sites.a.example.hash: has an effect only with `balance: hash`; take one of them out"),
    ("connections: few", 18, "sites.a.example.connections: `few` is not a whole number"),
    ("queue: { length: 10 }", 5, "sites.a.example.queue: nobody ever waits, because nothing is limited; add for example `connections: 10`"),
    ("connections: 1\n    queue: { length: 1025 }", None, "sites.a.example.queue.length: `1025` is too large; from 0 to 1024 is good"),
    ("connections: 1\n    queue: { timeout: 0 }", None, "sites.a.example.queue.timeout: `0` is too small; from 10ms to 1h is good"),
    ("slow_start: 30", 17, "sites.a.example.slow_start: `30` has no unit; did you mean `30s`?"),
    ("server_timing: yes", 20, "sites.a.example.server_timing: `yes`: did you mean `true`?"),
    ("canonical: '*.a.example'", 16, "sites.a.example.canonical: `*.a.example` is not a host name"),
    ("canonical: b.example", 16, "sites.a.example.canonical: `b.example` is none of the site's names; add it under `names`"),
    ("canonical: a.example", 16, "sites.a.example.canonical: the site has no other name that could lead to it"),
    # routes
    ("routes: /api/", 13, "sites.a.example.routes: a route is keys with values, for example `{ path: /api/"),
    ("routes: []", 13, "sites.a.example.routes: the list is empty"),
    ("routes: [{ body: 1g }]", 14, "sites.a.example.routes: matches nothing; say for example `path: /api/`, or `types: [jpg, png]`"),
    ("routes: [{ path: /api/ }]", 14, "sites.a.example.routes: does nothing; say for example `redirect`, `apps`, `static`, `body`, `expires` or `allow`"),
    ("routes: [{ path: api, body: 1g }]", 22, "sites.a.example.routes.path: `api` is not the path of a request"),
    ("routes: [{ path: /api/*, body: 1g }]", 22, "a path is the beginning of what matches, without `*`; did you mean `/api/`?"),
    ("routes: [{ path: '/a?b=c', body: 1g }]", 22, "what follows `?` is not looked at; did you mean `/a`?"),
    ("routes: [{ path: /a/../b, body: 1g }]", 22, "sites.a.example.routes.path: no request has such a path: write it without `//`"),
    ("routes: [{ path: /a//b, body: 1g }]", 22, "no request has such a path"),
    ("routes: [{ path: /., body: 1g }]", 22, "no request has such a path"),
    ("routes: [{ path: '/a\\b', body: 1g }]", 22, "no request has such a path"),
    ("routes: [{ path: /a%2Fb, body: 1g }]", 22, "no request has such a path"),
    ("routes: [{ path: /a%2, body: 1g }]", 22, "no request has such a path"),
    ("routes: [{ types: [.jpg], body: 1g }]", 24, "sites.a.example.routes.types: `.jpg`: the type stands without its dot; did you mean `jpg`?"),
    ("routes: [{ types: [jpg, JPG], body: 1g }]", 29, "sites.a.example.routes.types: `jpg` stands here twice"),
    ("routes: [{ path: /a, redirect: a.example }]", 36, "sites.a.example.routes.redirect: `a.example` is nowhere to redirect to"),
    ("routes: [{ path: /a, redirect: /a/b }]", 36, "leads to a path that this route matches again, without end"),
    ("routes: [{ path: /a, redirect: /b, status: 303 }]", 48, "sites.a.example.routes.status: `303` is not known; did you mean `301`?"),
    ("routes: [{ path: /a, body: 1, status: 301 }]", 43, "sites.a.example.routes.status: is the code of a `redirect`"),
    ("routes: [{ path: /a, redirect: /b, apps: [web1] }]", 40, "sites.a.example.routes.apps: has no effect beside `redirect`"),
    ("routes: [{ path: /a, redirect: /b, body: 1 }]", 46, "sites.a.example.routes.body: has no effect beside `redirect`"),
    ("routes: [{ path: /a, redirect: /b, sticky: c }]", None, "sites.a.example.routes.sticky: has no effect beside `redirect`"),
    ("routes: [{ path: /a, balance: hash }]", None, "sites.a.example.routes.balance: needs `apps` in this route"),
    ("routes: [{ path: /a, timeouts: { connect: 1s } }]", None, "sites.a.example.routes.timeouts.connect: needs `apps` in this route"),
    ("routes: [{ path: /a, timeouts: { idle: 1s } }]", None, "sites.a.example.routes.timeouts.idle: unknown key"),
    ("routes: [{ path: /a, body: 1 }, { path: /a, body: 2 }]", 45,
     "never counts: route 1 of the site (/a) matches all of it already; put this one before it"),
    ("routes: [{ path: /, body: 1 }, { path: /a, types: jpg, body: 2 }]", 44, "never counts: route 1 of the site (/) matches all of it already"),
    ("routes: [{ types: [a, b], body: 1 }, { path: /x, types: b, body: 2 }]", 50, "never counts: route 1 of the site (a) matches all of it already"),
    ("routes: [{ path: /a, apps: [web1:1, web1:1] }]", None, "sites.a.example.routes.apps: web1:1 stands here twice"),
    ("routes: [{ path: /a, apps: [{ server: web1:1, backup: true }] }]", 26, "sites.a.example.routes.apps: all of them are `backup`"),
    ("routes: [{ path: /a, apps: [web1:1], check: { md5: d41d8cd98f00b204e9800998ecf8427e } }]", None,
     "sites.a.example.routes.check.md5: is only for a check by HTTP"),
    ("routes: [{ path: /a, apps: [{ server: web1:8080, connections: 5 }] }]", None,
     "sites.a.example.routes.apps: web1:8080 has no limit connections in site a.example; one address has one limit"),
    # files
    ("static: /var/www", 13, "sites.a.example.static: keys with values are expected here, for example `{ root: /var/www/example.com }`"),
    ("xyzzy: 1", 5, "` and more (`noah schema --reference`)"),
    ("static: {}", 5, "sites.a.example.static.root: is missing; for example `root: /var/www/example.com`"),
    ("static: { rot: /srv, root: /srv }", 15, "sites.a.example.static.rot: unknown key; did you mean `root`?"),
    ("static: { root: www }", 21, "sites.a.example.static.root: `www` is not the whole path of a file; it begins with `/`"),
    ("static: { root: / }", 21, "sites.a.example.static.root: /: everything on this machine would be below it"),
    ("static: { root: /etc/noah/ }", 21, "/etc/noah/: nothing there is meant for visitors; put the site's files elsewhere"),
    ("static: { root: /srv/../etc }", 21, "/srv/../etc: write it without `//`, `/./` and `/../`"),
    ("static: { root: /srv, match: [jpg, PHP] }", 40,
     "sites.a.example.static.match: `php`: files that end so are programs, settings or copies of them; noah would show"),
    ("static: { root: /srv, match: [jpg, bak~] }", 40, "`bak~` is not the type of a file"),
    ("static: { root: /srv, match: [.jpg] }", 35, "`.jpg`: the type stands without its dot; did you mean `jpg`?"),
    ("static: { root: /srv, match: [jpg, JPG] }", 40, "sites.a.example.static.match: `jpg` stands here twice"),
    ("static: { root: /srv, index: index.php }", 34,
     "`index.php` is a program, which noah does not run; the apps are asked for a directory without an index"),
    ("static: { root: /srv, match: [jpg, html], index: [index.htm, a.HTML] }", 55,
     "sites.a.example.static.index: `index.htm` is never sent: its type is not in `match`; add it there, or take this out"),
    ("static: { root: /srv, match: jpg, index: README }", 46, "sites.a.example.static.index: `README` is never sent: its type is not in `match`"),
    ("static: { root: /srv, index: [a.html, a.html] }", 43, "sites.a.example.static.index: `a.html` stands here twice"),
    ("static: { root: /srv, index: a/b }", 34, "`a/b` is not the name of a file here; write only the name"),
    ("static: { root: /srv, index: .hidden }", 34, "files whose names begin with a dot are never sent"),
    ("static: { root: /srv, index: [a, b, c, d, e] }", None, "more than 4 entries; that is the most"),
    ("static: { root: /srv, try: app }", 32, "sites.a.example.static.try: `app` is not known; did you mean `apps`?"),
    ("static: { root: /srv, try: frnot }", 32, "`frnot` is not known; write `apps` or `none`, or servers such as"),
    ("static: { root: /srv, try: [web1:8080, wbe2] }", 44, "sites.a.example.static.try: no server is called `wbe2`; did you mean `web2`?"),
    ("static: { root: /srv, try: [web1:8080, apps] }", 44, "write `try: apps`, `try: none`, or servers such as `[web1:8080, web2:8080]`"),
    ("static: { root: /srv, try: [web1:1, web1:1] }", 41, "sites.a.example.static.try: web1:1 stands here twice"),
    ("static: { root: /srv, try: [] }", 32, "sites.a.example.static.try: the list is empty"),
    ("static: { root: /srv, try: [{ server: web1 }] }", 33, "write `try: apps`, `try: none`, or servers such as"),
    # answers
    ("compress: gzip", 15, "sites.a.example.compress: `gzip` is not known; write `none` or `safe` or `all`"),
    ("expires: 30", 14, "sites.a.example.expires: `30` has no unit"),
    ("expires: 1500ms", 14, "sites.a.example.expires: `1500ms` is not a whole number of seconds"),
    ("hide_versions: on", 20, "sites.a.example.hide_versions: `on`: did you mean `true`?"),
    ("errors: { 404: /x }", 20, "sites.a.example.errors.404: noah itself says 404 only where it looks for files (`static`); an app's own page"),
    ("errors: { 500: /x }", 15, "sites.a.example.errors.500: unknown key; did you mean `50x`?"),
    ("errors: { 50x: x }", 20, "sites.a.example.errors.50x: `x` is not the whole path of a file"),
    # limits
    ("minimum_rate: 500b/s", 19, "sites.a.example.minimum_rate: `500b/s` has the unknown unit `b/s`"),
    ("minimum_rate: 2g", 19, "sites.a.example.minimum_rate: `2g` is too large; from 0 to 1g is good"),
    ("buffer: 1m", 13, "sites.a.example.buffer: keys with values are expected here, for example `{ request: 8m, answer: 2m }`"),
    ("buffer: { request: 65m }", 24, "sites.a.example.buffer.request: `65m` is too large; from 0 to 64m is good"),
    ("requests: 10", 15, "sites.a.example.requests: `10` does not say in which time; write for example `10/10s`"),
    ("requests: 10/s", 15, "sites.a.example.requests: `10/s`: did you mean `10/1s`?"),
    ("requests: 10r/m", 15, "sites.a.example.requests: `10r/m`: did you mean `10/1m`?"),
    ("requests: 10/20", 15, "`10/20` does not say in which time"),
    ("requests: 0/1s", 15, "`0/1s`: from 1 to 1000000 requests are good; `deny` lets nobody in"),
    ("requests: 1/100ms", 15, "`1/100ms`: the time is from 1s to 1d"),
    ("requests: many", 15, "`many` is not a rate; write how many in which time, such as `100/10s`"),
    # who is let in
    ("allow: 10.0.0.5/8", 12, "`10.0.0.5/8` is an address in a network; did you mean `10.0.0.0/8`, or only `10.0.0.5`?"),
    ("allow: ['2001:db8::1/32']", 13, "did you mean `2001:db8::/32`, or only `2001:db8::1`?"),
    ("allow: 10.0.0.0/33", 12, "`10.0.0.0/33`: after `/` stands how many bits are fixed, 0 to 32"),
    ("allow: '::/129'", 12, "`::/129`: after `/` stands how many bits are fixed, 0 to 128"),
    ("allow: 10.0.0.0/255.0.0.0", 12, "write how many bits of the network are fixed, such as `10.0.0.0/24`, instead of a mask"),
    ("allow: 10.0.0", 12, "`10.0.0` is not a network; write for example `10.0.0.0/8`"),
    ("allow: all", 12, "sites.a.example.allow: `all`: everybody is `[0.0.0.0/0, '::/0']`"),
    ("allow: localhost", 12, "`localhost`: did you mean `127.0.0.1`?"),
    ("allow: wbe1", 12, "sites.a.example.allow: no server is called `wbe1`; did you mean `web1`?"),
    ("allow: [web1, 192.0.2.11]", 19, "sites.a.example.allow: `192.0.2.11` stands here twice"),
    ("allow: [192.0.2.11, '::ffff:192.0.2.11']", 25, "`::ffff:192.0.2.11` stands here twice"),
    ("allow: 192.0.2.7:80", 12, "`192.0.2.7:80`: an address of a visitor has no port and no brackets"),
    ("allow: []", 12, "sites.a.example.allow: the list is empty"),
    ("allow: { net: x }", 12, "a single value is expected here, such as `10.0.0.0/8`"),
    ("allow: [10.1.0.0/16, '2001:db8:1::/48']\n    deny: [10.0.0.0/8, '2001:db8::/32']", None,
     "sites.a.example.deny: nobody is let in: all that `allow` has is in `deny`"),
    ("users: staging", 12, "sites.a.example.users: `staging` is not the whole path of a file"),
    ("users: none", 12, "sites.a.example.users: nobody is asked for a password here; take it out"),
    ("realm: X", 12, "sites.a.example.realm: nobody is asked for a password here; add for example `users: /etc/noah/staging.users`"),
    ("users: /u\n    realm: 'a\"b'", None, "sites.a.example.realm: `a\"b`: only letters of ASCII, without quotes and backslashes"),
    # the same in routes
    ("routes: [{ path: /a, redirect: /b, expires: 1d }]", 49, "sites.a.example.routes.expires: has no effect beside `redirect`"),
    ("routes: [{ path: /a, redirect: /b, static: { root: /x } }]", 40, "sites.a.example.routes.static: has no effect beside `redirect`"),
    ("routes: [{ path: /a, users: none }]", 33, "sites.a.example.routes.users: nobody is asked for a password here"),
    ("routes: [{ path: /a, static: { match: jpg } }]", 26, "sites.a.example.routes.static.root: is missing"),
    ("routes: [{ path: /a, static: { root: /x, match: py } }]", 53, "sites.a.example.routes.static.match: `py`: files that end so are programs"),
    ("routes: [{ types: [css, php], static: { root: /x, match: [js] } }]", 35,
     "sites.a.example.routes.static: sends nothing: none of the files that the route is for (css, ...) may be sent; take it out"),
    ("routes: [{ types: php, static: { root: /x } }]", 28, "sites.a.example.routes.static: sends nothing: none of the files"),
    ("names: [A.example]", 13, "`a.example` is the site's own name; it need not be said again"),
]


@pytest.mark.parametrize("line,column,what", IN_SITE, ids=[case[0][:40] for case in IN_SITE])
def test_in_a_site(complaint, line, column, what):
    at_line, at_column, said = complaint(f"{HEAD}{SITE}    {line}\n")
    assert what in said
    assert said.startswith("sites.a.example")
    if column is not None:  # otherwise the place is the same as for others of its kind
        assert (at_line, at_column) == (SITE_END + 1, column)


IN_TLS_SITE = [
    ("listen: http", 18, "sites.a.example.certificate: the site does not listen with TLS; add `https` under `listen`"),
    ("listen: [https, 'https:443']", 21, "sites.a.example.listen: `[::]:443` stands here twice"),
    ("https: { redirect: on }", 24, "sites.a.example.https.redirect: `on`: did you mean `true`?"),
    ("https: { hsts: 180 }", 20, "sites.a.example.https.hsts: `180` has no unit"),
    ("https: { hsts: 1500ms }", 20, "sites.a.example.https.hsts: `1500ms` is not a whole number of seconds"),
    ("https: { hsts: 0 }", 20, "sites.a.example.https.hsts: `0` is too small; from 1s to 3650d is good"),
    ("https: { least: 1.1 }", 21, "sites.a.example.https.least: `1.1` is not known; did you mean `1.2`?"),
    ("https: {}", None, None),
]


@pytest.mark.parametrize("line,column,what", IN_TLS_SITE, ids=[case[0] for case in IN_TLS_SITE])
def test_in_a_site_with_tls(check, complaint, line, column, what):
    text = f"{HEAD}{SITE}    certificate: self-signed\n    {line}\n"
    if what is None:
        assert check(text)["good"]
        return
    _, at_column, said = complaint(text)
    assert what in said
    assert at_column == column


SERVICE = "services:\n  ssh:\n    listen: 2222\n    servers: [web1:22, web2:22]\n"
IN_SERVICE = [
    ("apps: [web1:22]", "services.ssh.apps: unknown key; known here are `listen`, `servers`"),
    ("sticky: c", "services.ssh.sticky: unknown key; known here are `listen`"),
    ("hash: path", "services.ssh.hash: `path` is not known; write `address`"),
    ("check: { get: /x }", "services.ssh.check.get: unknown key; known here are `tcp`, `every`"),
    ("check: { tcp: false }", "services.ssh.check.tcp: `false` says nothing; write `tcp: true`"),
    ("check: { every: 1s, timeout: 2s }", "services.ssh.check.timeout: a check may take 2s"),
    ("proxy_protocol: v3", "services.ssh.proxy_protocol: `v3` is not known; did you mean `v1`?"),
    ("timeouts: { idle: 1ms }", "services.ssh.timeouts.idle: `1ms` is too small; from 1s to 7d is good"),
    ("timeouts: { answer: 1s }", "services.ssh.timeouts.answer: unknown key; known here are `connect`, `idle`"),
    ("sessions: 0", "services.ssh.sessions: `0` is too small"),
    ("queue: { length: 1 }", "services.ssh.queue: nobody ever waits"),
    ("slow_start: 2h", "services.ssh.slow_start: `2h` is too large; from 0 to 1h is good"),
    ("connections: -1", "services.ssh.connections: `-1` is not a whole number"),
    ("balance: hsah", "services.ssh.balance: `hsah` is not known; did you mean `hash`?"),
    ("on: wbe1", "services.ssh.on: no server is called `wbe1`; did you mean `web1`?"),
]


@pytest.mark.parametrize("line,what", IN_SERVICE, ids=[case[0] for case in IN_SERVICE])
def test_in_a_service(complaint, line, what):
    assert what in complaint(f"{HEAD}{SERVICE}    {line}\n")[2]


SERVICES = [
    ("{ listen: 2222 }", "services.s.servers: is missing; for example `servers: [web1:22, "),
    ("{ servers: web1:22 }", "services.s.listen: is missing; for example `listen: [2222, "),
    ("{ listen: 2222, servers: web1 }", "services.s.servers: `web1` has no port; write for example `web1:22`"),
    ("{ listen: http, servers: web1:22 }", "services.s.listen: `http` is for sites; write `2222`"),
    ("{ listen: 2222, servers: front:2222 }", "services.s.servers: on front noah itself listens on [::]:2222 (services.s.listen)"),
    ("{ listen: 2222, servers: [{ server: web1:22, backup: true }] }", "services.s.servers: all of them are `backup`"),
    ("{ listen: 2222, servers: [{ server: web1:22, backup: maybe }] }", "services.s.servers.backup: `maybe` is neither `true` nor `false`"),
    ("{ listen: 2222, servers: [{ server: web1:22, connections: 0 }] }", "services.s.servers.connections: `0` is too small"),
]


@pytest.mark.parametrize("service,what", SERVICES, ids=[case[0] for case in SERVICES])
def test_services(complaint, service, what):
    assert what in complaint(f"{HEAD}services: {{ s: {service} }}\n")[2]


REST = [
    ("log: { access: access.log }", "log.access: `access.log` is not known; write `none` or `syslog` or `journal`, or the whole path of a file"),
    ("log: { access: jurnal }", "log.access: `jurnal` is not known; did you mean `journal`?"),
    ("log: { access: syslog, format: jsn }", "log.format: `jsn` is not known; did you mean `json`?"),
    ("log: { format: json }", "log.format: nothing is written down; say where"),
    ("admin: {}", "admin.listen: is missing; for example `listen: [9180"),
    ("admin: { listen: 0 }", "admin.listen: `0`: the port is out of range"),
    ("admin: { listen: '*:9180' }", "admin.listen: `*:9180`: did you mean `9180`?"),
    ("admin: { listen: [9180, '127.0.0.1:9180'] }", "admin.listen: `127.0.0.1:9180` stands here twice"),
    ("admin: { listen: '192.0.2.10:80' }", "admin.listen: 192.0.2.10:80 and [::]:80 (sites.a.example) overlap on server front"),
    ("admin: { port: 9180 }", None),
]


@pytest.mark.parametrize("line,what", REST, ids=[case[0] for case in REST])
def test_log_and_admin(check, complaint, line, what):
    text = f"{HEAD}{SITE}{line}\n"
    if what is None:
        said = [message["what"] for message in check(text)["messages"]]
        assert any("admin.port: unknown key" in one for one in said) and any("admin.listen: is missing" in one for one in said)
    else:
        assert what in complaint(text)[2]


IN_DATABASE = [
    ("fresh_wait: 11s", 17, "databases.main.fresh_wait: `11s` is too large; from 0 to 10s is good"),
    ("stale_reads: allowed", 18, "did you mean `allow`?"),
    ("sessions: 0", 15, "databases.main.sessions: `0` is too small; from 1 to 100000 is good"),
    ("listen: 127.0.0.1", 13, "databases.main.listen: `127.0.0.1` has no port; did you mean `127.0.0.1:3306`?"),
    ("listen: localhost:3306", 13, "did you mean `127.0.0.1:3306`?"),
    ("listen: run/noah.sock", 13, "is nothing to listen on"),
    ("check: { get: /x }", 14, "databases.main.check.get: unknown key; known here are `every`, `timeout`, `rise`, `fall`"),
]


@pytest.mark.parametrize("line,column,what", IN_DATABASE, ids=[case[0] for case in IN_DATABASE])
def test_in_a_database(complaint, line, column, what):
    at_line, at_column, said = complaint(f"{HEAD}{DATABASE}    {line}\n")
    assert what in said
    assert (at_line, at_column) == (DATABASE_END + 1, column)


WHOLE = [
    # a whole file, place, what is said
    (f"{HEAD}sites: {{ a: {{ apps: [wbe1:80] }} }}\n", (8, 22), "sites.a.apps: no server is called `wbe1`; did you mean `web1`?"),
    (f"{HEAD}sites: {{ a: {{ apps: [10.9.9.9:80] }} }}\n", (8, 22), "`10.9.9.9` is an address; put it under `servers`"),
    (f"{HEAD}sites: {{ a: {{ apps: [web1:99999] }} }}\n", (8, 22), "`web1:99999`: the port is out of range"),
    (f"{HEAD}sites: {{ a: {{ apps: [web1:8080, web1:8080] }} }}\n", (8, 33), "sites.a.apps: web1:8080 stands here twice"),
    (f"{HEAD}sites: {{ a: {{ apps: [{{ weight: 2 }}] }} }}\n", (8, 22), "sites.a.apps.server: is missing"),
    (f"{HEAD}sites: {{ a: {{ apps: [{{ server: web1, weight: 0 }}] }} }}\n", (8, 46), "sites.a.apps.weight: `0` is too small"),
    (f"{HEAD}sites: {{ a: {{ names: [b] }} }}\n", (8, 10),
     "sites.a.apps: is missing; for example `apps: [web1:8080, web2:8080]`, or without any `static: { root: /var/www/a }` or `page: /etc/noah/welcome.html`"),
    (f"{HEAD}sites: {{ a: {{ apps: [front:80] }} }}\n", (8, 22),
     "sites.a.apps: on front noah itself listens on [::]:80 (sites.a.listen); give one of them another port"),
    (f"{HEAD}sites: {{ '*': {{ apps: web1 }} }}\n", (8, 10), "a site needs a name of its own; write `names: ['*']` in it"),
    (f"{HEAD}sites: {{}}\n", (8, 8), "sites: there is nothing here"),
    (HEAD, (1, 10), "cluster: neither `sites` nor `databases` nor `services` are in the file"),
    (f"{HEAD}{DATABASE}  more: {{ servers: [db1:3307], account: {{ user: n, password_file: /p }} }}\n", (12, 3),
     "databases.more.listen: databases.main.listen" ),
    (f"{HEAD}databases: {{ main: {{ servers: [db1] }} }}\n", (8, 14), "databases.main.account: is missing"),
    (f"{HEAD}databases: {{ main: {{ servers: [db1], account: {{ user: n }} }} }}\n", (8, 38),
     "databases.main.account.password_file: is missing"),
    (f"{HEAD}databases: {{ main: {{ servers: [db1], account: {{ user: n, password_file: p }} }} }}\n", (8, 73),
     "`p` is not the whole path of a file"),
    ("cluster: c\nservers: { a: { address: 192.0.2.1 }, b: { address: 192.0.2.1 } }\nsites: { s: { apps: a:81 } }\n", (2, 53),
     "servers.b.address: `192.0.2.1` is an address of server a already"),
    ("cluster: c\nservers: { a: { address: 192.0.2.1/24 } }\nsites: { s: { apps: a:81 } }\n", (2, 26),
     "servers.a.address: `192.0.2.1/24`: the prefix length is not wanted here; did you mean `192.0.2.1`?"),
    ("cluster: c\nservers: { a: { address: web.example.com } }\nsites: { s: { apps: a:81 } }\n", (2, 26), "host names are not looked up"),
    ("cluster: c\nservers: { a: {} }\nsites: { s: { apps: a:81 } }\n", (2, 12), "servers.a.address: is missing"),
    ("servers: { a: { address: 192.0.2.1 } }\nsites: { s: { apps: a:81 } }\n", (1, 1), "cluster: is missing; for example `cluster: example.com`"),
    ("cluster: a b\nservers: { a: { address: 192.0.2.1 } }\nsites: { s: { apps: a:81 } }\n", (1, 10), "cluster: `a b` cannot be a name"),
    ("cluster: [c]\nservers: { a: { address: 192.0.2.1 } }\nsites: { s: { apps: a:81 } }\n", (1, 10),
     "cluster: a single value is expected here, not a list"),
]


@pytest.mark.parametrize("text,place,what", WHOLE, ids=[case[2][:40] for case in WHOLE])
def test_whole_files(complaint, text, place, what):
    line, column, said = complaint(text)
    if "databases.more.listen" in what:  # the default address, on every server
        assert said == ("databases.more.listen: databases.main listens on 127.0.0.1:3306 on server front already; "
                        "give one of them another port")
    else:
        assert what in said
    assert (line, column) == place


def test_two_sites_of_one_name(complaint):
    sites = "sites:\n  a.example: { apps: web1, names: [x.example] }\n  b.example: { apps: web2, names: [y.example, X.example] }\n"
    line, column, said = complaint(HEAD + sites)
    assert said == "sites.b.example.names: `x.example` is a name of site a.example too, which listens on [::]:80 on server front as well"
    assert (line, column) == (HEAD_LINES + 3, 47)


def test_two_default_sites(complaint):
    sites = "sites:\n  a.example: { apps: web1, names: ['*'] }\n  b.example: { apps: web2, names: ['*'] }\n"
    assert "site a.example is the default site of [::]:80 on server front already; there can be one" in complaint(HEAD + sites)[2]


def test_two_sites_with_one_wildcard(complaint, check):
    sites = "sites:\n  a.example: { apps: web1, names: ['*.x.example'] }\n  b.example: { apps: web2, names: ['*.X.example'] }\n"
    assert "`*.x.example` is a name of site a.example too" in complaint(HEAD + sites)[2]
    assert check(HEAD + sites.replace("*.X.", "www.x."))["good"]  # exact beats wildcard


def test_a_wildcard_is_no_name_of_its_own(complaint):
    said = complaint(f"{HEAD}sites: {{ '*.a.example': {{ apps: web1 }} }}\n")[2]
    assert said == "sites: a site needs a name of its own; write `names: ['*.a.example']` in it"


def test_one_port_is_tls_or_not_for_all_sites(complaint):
    sites = ("sites:\n  a.example: { apps: web1, listen: ['https:8443'], certificate: self-signed }\n"
             "  b.example: { apps: web2, listen: 8443 }\n")
    assert complaint(HEAD + sites)[2] == ("sites.b.example.listen: site a.example listens on [::]:8443 with TLS on server front already; "
                                          "a port is one or the other, for all sites")


def test_one_address_has_one_limit(complaint, check):
    sites = ("sites:\n  a.example: { apps: [web1, web2], connections: 10 }\n"
             "  b.example: { apps: [{ server: web1, connections: 20 }] }\n")
    assert complaint(HEAD + sites)[2] == ("sites.b.example.apps: web1:80 has at most 10 connections in site a.example; "
                                          "one address has one limit, so write the same `connections` there")
    assert check(HEAD + sites.replace("20", "10"))["good"]
    sites += "services: { s: { listen: 2222, servers: web2:80 } }\n"
    assert "services.s.servers: web2:80 has at most 10 connections in site a.example" in complaint(HEAD + sites.replace("20", "10"))[2]


def test_a_service_and_a_site_on_one_port(complaint):
    text = HEAD + SITE + "services: { s: { listen: 80, servers: web1:22 } }\n"
    assert complaint(text)[2] == "services.s.listen: sites.a.example listens on [::]:80 on server front already; give one of them another port"


def test_a_route_checks_as_often_as_its_address_is_checked_elsewhere(complaint):
    sites = ("sites:\n  a.example: { apps: web1, routes: [{ path: /x, apps: [web2], check: { every: 5s } }] }\n"
             "  b.example: { apps: web2 }\n")
    assert "web2:80 is checked in the same way by site a.example, but with other every" in complaint(HEAD + sites)[2]


ALONE = [
    ("visitors: { ban: 5m }", "visitors.ban: nobody is ever banned, because requests are not limited; add for example `requests: 100/10s`"),
    ("visitors: { exempt: web1 }", "visitors.exempt: nobody is limited; add for example `requests: 100/10s`, or `connections: 200`"),
    ("visitors: { requests: 5/1s, ban: 8d }", "visitors.ban: `8d` is too large; from 0 to 7d is good"),
    ("visitors: { reqests: 1/1s }", "visitors.reqests: unknown key; did you mean `requests`?"),
    ("visitors: 100/10s", "visitors: keys with values are expected here"),
    ("front_ends: { only: true }", "front_ends.from: is missing; for example `from: [192.0.2.0/24, web1]`"),
    ("front_ends: { from: [web1, '::/0'] }", "front_ends.from: everybody could say that he is somebody else; name only the addresses"),
    ("front_ends: { from: web1, address: x-forwarded-for }", "front_ends.address: `x-forwarded-for` is not known; did you mean `forwarded-for`?"),
    ("front_ends: web1", "front_ends: keys with values are expected here"),
]


@pytest.mark.parametrize("line,what", ALONE, ids=[case[0] for case in ALONE])
def test_of_all_sites(complaint, line, what):
    at_line, _, said = complaint(f"{HEAD}{SITE}{line}\n")
    assert what in said and at_line == SITE_END + 1


def test_what_is_about_sites_needs_some(complaint):
    text = HEAD + "services: { s: { listen: 22, servers: web1:22 } }\n"
    for line in ("visitors: { connections: 5 }", "front_ends: { from: web1 }"):
        assert complaint(f"{text}{line}\n")[2] == f"{line.split(':')[0]}: is about `sites`, and there are none; take it out"


GOOD_IN_SITE = [
    "static: { root: /srv, try: web1 }", "static: { root: /srv/, match: [jpg, foo], index: [index.jpg, README.FOO], try: [web2, web1:8080] }",
    "allow: ['::ffff:10.0.0.0/104', 10.128.0.0/9, '::/0', front]", "deny: [0.0.0.0/0, '::/0']", "expires: 0\n    requests: none",
    "allow: [10.0.0.0/8]\n    deny: [10.1.0.0/16]", "requests: 1/1d\nvisitors: { ban: 0 }", "requests: 1/1s\nvisitors: { ban: 0s, exempt: db1 }",
    "routes: [{ path: /a, redirect: /b, allow: web1, requests: 1/1s }]", "routes: [{ path: /a, static: { root: /x, try: none } }]",
    "users: /u\n    routes: [{ path: /a, users: none }]", "users: /u\n    routes: [{ path: /a, realm: Others }, { path: /b, users: /v }]",
    "errors: { 404: /x }\n    routes: [{ path: /a, static: { root: /x } }]",
]


@pytest.mark.parametrize("line", GOOD_IN_SITE, ids=[line[:40] for line in GOOD_IN_SITE])
def test_what_is_good(check, line):
    assert check(f"{HEAD}{SITE}    {line}\n")["good"]


# ---- sites with files only ------------------------------------------------------------------------------------------

def test_a_site_of_files(check, complaint):
    site = "sites: { a: { static: { root: /srv }, MORE } }\n"
    for more in ("body: 1k", "timeouts: { request: 1s, idle: 9s }", "compress: none", "expires: 1d", "requests: 1/1s", "users: /u",
                 "routes: [{ path: /x, apps: web1, sticky: c }], balance: least-connections", "minimum_rate: 0",
                 "routes: [{ path: /x, body: 1k }]"):
        assert check(HEAD + site.replace("MORE", more))["good"], more
    for more in ("balance: hash", "hash: path", "check: { tcp: true }", "connections: 1", "slow_start: 1s", "sticky: c",
                 "hide_versions: false", "buffer: { request: 1k }", "timeouts: { answer: 1s }"):
        assert "has no effect with `static`: there are no apps" in complaint(HEAD + site.replace("MORE", more))[2]
        assert check(HEAD + site.replace("MORE", more).replace("/srv", "/srv, try: [web1:8080]"))["good"], more
    assert complaint(HEAD + site.replace("/srv }, MORE", "/srv, try: apps }"))[2] == (
        "sites.a.static.try: there are no `apps`; write `try: none`, or servers that have the files")
    assert complaint(HEAD + site.replace("MORE", "page: /p"))[2].startswith("sites.a.static: a site has `static` or a `page`; put the page")


def test_servers_that_are_tried_are_limited_and_checked_as_the_apps(complaint, check):
    sites = ("sites:\n  a.example: { apps: [{ server: web1, connections: 3 }], connections: 10, static: { root: /srv, try: [web1, web2] } }\n"
             "  b.example: { apps: web2, connections: 10 }\n")
    assert check(HEAD + sites)["good"]
    assert complaint(HEAD + sites.replace("web2, connections: 10", "web2"))[2] == (
        "sites.b.example.apps: web2:80 has at most 10 connections in site a.example; "
        "one address has one limit, so write the same `connections` there")


# ---- pages ----------------------------------------------------------------------------------------------------------

def test_page(check, complaint, tmp_path):
    page = tmp_path / "welcome.html"
    text = HEAD + f"sites: {{ a: {{ page: {page} }} }}\n"
    assert f"sites.a.page: {page} cannot be read: No such file or directory" in complaint(text, "--server", "web1")[2]
    assert check(text)["good"]  # --file-only
    page.write_bytes(b"x" * 65536)
    assert check(text, "--server", "web1")["good"]
    page.write_bytes(b"x" * 65537)
    assert "has 65537 bytes; a page has at most 64 KB" in complaint(text, "--server", "web1")[2]
    page.unlink()
    page.mkdir()
    assert "is not a plain file" in complaint(text, "--server", "web1")[2]


@pytest.mark.parametrize("key", ["balance: hash", "hash: path", "check: { tcp: true }", "connections: 1", "queue: { length: 1 }",
                                 "slow_start: 1s", "sticky: c", "timeouts: { answer: 1s }", "timeouts: { connect: 1s }"])
def test_what_makes_no_sense_with_a_page(complaint, check, key):
    assert "has no effect with `page`: there are no apps" in complaint(HEAD + f"sites: {{ a: {{ page: /p, {key} }} }}\n")[2]
    if not key.startswith("queue"):  # but a route takes from its site what it does not say
        assert check(HEAD + f"sites: {{ a: {{ page: /p, {key}, routes: [{{ path: /x, apps: web1 }}] }} }}\n")["good"]


def test_a_page_with_routes(complaint, check):
    site = "sites: { a: { page: /p, routes: [{ path: /x/, redirect: https://b.example/ }, ROUTE] } }\n"
    assert check(HEAD + site.replace("ROUTE", "{ path: /y, apps: web1 }"))["good"]
    assert complaint(HEAD + site.replace("ROUTE", "{ path: /y, body: 1 }"))[2] == (
        "sites.a.routes: does nothing: the site has a `page`; say `redirect`, `apps` or `static`")
    assert complaint(HEAD + "sites: { a: { page: /p, apps: web1 } }\n")[2] == (
        "sites.a.apps: a site has `apps` or a `page`; take one of them out")


def test_what_becomes_of_answers_is_not_said_of_a_page(check, complaint):
    said = "has no effect on a `page`, only on files and on answers of apps; take it out"
    for key in ("expires: 1d", "compress: none"):
        assert complaint(HEAD + f"sites: {{ a: {{ page: /p, {key} }} }}\n")[2].endswith(said)
        assert complaint(HEAD + f"sites: {{ a: {{ page: /p, routes: [{{ path: /x, {key} }}] }} }}\n")[2].endswith(said)
        assert check(HEAD + f"sites: {{ a: {{ page: /p, {key}, routes: [{{ path: /x, static: {{ root: /srv }} }}] }} }}\n")["good"]
        assert check(HEAD + f"sites: {{ a: {{ page: /p, routes: [{{ path: /x, {key}, apps: web1 }}] }} }}\n")["good"]
    assert check(HEAD + "sites: { a: { page: /p, users: /u, requests: 1/1s, routes: [{ path: /x, allow: web1 }] } }\n")["good"]


def test_too_many_pages(complaint, check):
    def sites(count):
        return "sites:\n" + "".join(f"  s{i}: {{ page: /p{i} }}\n  t{i}: {{ page: /p{i} }}\n" for i in range(count))
    assert check(HEAD + sites(32))["good"]
    errors = "".join(f"  s{i}: {{ apps: web1, static: {{ root: /srv }}, errors: {{ 403: /a{i}, 404: /b{i}, 429: /c{i}, 50x: /d{i}, maintenance: /e{i} }} }}\n"
                     for i in range(13))
    users = errors.replace("maintenance: /e12 }", "maintenance: /e0 }, routes: [{ path: /x, users: /a0 }]")
    assert complaint(HEAD + "sites:\n" + users)[2] == (
        "sites.s12.routes.users: more than 64 different pages and files of users; that is the most")  # /a0 as users is another file
    assert complaint(HEAD + "sites:\n" + errors)[2].startswith("sites.s12.errors.maintenance: more than 64 different")
    assert check(HEAD + "sites:\n" + errors.replace("maintenance: /e12", "maintenance: /e0"))["good"]


def test_the_same_name_on_other_listeners_is_good(check):
    sites = ("sites:\n  a.example: { apps: web1:8080, names: ['*', x.example] }\n"
             "  b.example: { apps: web2, names: ['*', x.example], listen: 8081 }\n"
             "  c.example: { apps: web2, names: ['*', x.example], on: web1, listen: http }\n")
    assert check(HEAD + sites)["good"]


def test_http_and_sql_on_one_listener(complaint):
    text = HEAD + SITE + "    on: web1\n    listen: 3306\n" + DATABASE + "    listen: [3306]\n"
    assert "sites.a.example listens on [::]:3306 on server web1 already" in complaint(text)[2]
    text = HEAD + SITE + "    on: web1\n    listen: 3306\n" + DATABASE
    assert "127.0.0.1:3306 and [::]:3306 (sites.a.example) overlap on server web1" in complaint(text)[2]


def test_one_unix_socket_for_two_databases(complaint):
    text = HEAD + ("databases:\n"
                   "  m: { servers: db1, listen: /run/x.sock, account: { user: n, password_file: /p } }\n"
                   "  n: { servers: db2, listen: /run/x.sock, account: { user: n, password_file: /p } }\n")
    assert "databases.m listens on /run/x.sock on server front already" in complaint(text)[2]


def test_a_server_in_two_databases(complaint):
    text = HEAD + ("databases:\n"
                   "  m: { servers: [db1, db2], account: { user: n, password_file: /p } }\n"
                   "  n: { servers: [db2], listen: 3307, account: { user: n, password_file: /p } }\n")
    assert complaint(text)[2] == "databases.n.servers: db2:3306 belongs to databases.m already"


def test_equal_checks_must_agree_in_time(complaint):
    sites = ("sites:\n  a.example: { apps: web1, check: { tcp: true } }\n"
             "  b.example: { apps: web1, check: { tcp: true, every: 5s } }\n")
    assert "web1:80 is checked in the same way by site a.example, but with other every" in complaint(HEAD + sites)[2]


def test_everything_is_said_in_order_of_place(check):
    text = "clutser: x\nservers:\n  a: { adress: 192.0.2.1 }\nsites:\n  s: { apps: b, body: 1x, on: [c, d] }\n"
    messages = check(text)["messages"]
    places = [(message["line"], message["column"]) for message in messages]
    assert places == sorted(places)
    said = " ".join(message["what"] for message in messages)
    for part in ("did you mean `cluster`?", "did you mean `address`?", "no server is called `b`", "unknown unit `x`", "`c`", "`d`"):
        assert part in said


def test_the_number_of_messages_is_bounded(check):
    text = HEAD + SITE + "".join(f"    wrong{i}: 1\n" for i in range(100))
    answer = check(text)
    assert len(answer["messages"]) == 20
    assert answer["left_out"] == 80


# ---- YAML -----------------------------------------------------------------------------------------------------------

YAML = [
    ("cluster: a\ncluster: b\n", (2, 1), "the key `cluster` is here twice, first in line 1; keep one of them"),
    ("cluster:\n\tservers: x\n", (2, 1), "there is a tab; indent with spaces"),
    ("cluster: c\nsites: [*.example]\n", (2, 10), "a `*` at the beginning of a value must be quoted: '*'"),
    ("a: &x 1\n", (1, 4), "an anchor (`&name`) is not read in this file"),
    ("a: !!str 1\n", (1, 4), "a tag (`!name`) is not read in this file"),
    ("cluster: c\n---\ncluster: d\n", (2, 1), "a second document begins here"),
    ("", (1, 1), "the file is empty"),
    ("# only a comment\n", (1, 1), "the file is empty"),
    ("cluster: c\n servers: x\n", (2, 9), "the indentation is wrong, or a value with `: ` in it needs quotes"),
    ("servers: { a: { address: 1.2.3.4 }\nsites: x\n", (2, 1), "a comma or the closing bracket is missing"),
    ("a: 'b\n", (2, 1), "a quote or bracket is not closed"),
    ("? [a]\n: b\n", (1, 3), "a key must be a plain word"),
    ("a: " + "[" * 40 + "]" * 40 + "\n", (1, 19), "nested deeper than 16 levels"),
    (b"a: \xff\n", (1, 4), "not plain UTF-8 text"),
    (b"a: b\x00c\n", (1, 5), "not plain UTF-8 text: control characters are not allowed"),
    ("a: [" + "x, " * 1001 + "x]\n", None, "more than 1000 entries here"),
    ("just text\n", (1, 1), "keys with values are expected here"),
]


@pytest.mark.parametrize("text,place,what", YAML, ids=[case[2][:40] for case in YAML])
def test_yaml(complaint, text, place, what):
    line, column, said = complaint(text)
    assert what in said
    assert place is None or (line, column) == place


def test_alias_bombs_cost_nothing(complaint):
    bomb = "a: &a [x]\n" + "".join(f"b{i}: &b{i} [*a, *a]\n" for i in range(100))
    assert "an anchor" in complaint(bomb)[2]


def test_a_file_larger_than_1_mib(complaint):
    assert complaint("# " + "x" * (1 << 20) + "\n") == (0, 0, "the file is larger than 1 MiB (1048576 bytes)")


def test_control_bytes_do_not_reach_the_terminal(complaint, tmp_path):
    text = HEAD + 'sites: { "a\\e[31m\\nb": { apps: web1 } }\n'
    assert "\x1b" not in complaint(text)[2] and "\n" not in complaint(text)[2]


def test_a_file_that_is_not_there(tmp_path):
    result = run("check", tmp_path / "nowhere.yaml")
    assert result.returncode == 2
    assert result.stderr.startswith(f"{tmp_path}/nowhere.yaml: cannot be read: No such file or directory")


# ---- password files -------------------------------------------------------------------------------------------------

@pytest.fixture
def with_password(complaint, check, tmp_path):
    def do(content, mode=0o640, what=complaint):
        file = tmp_path / "password"
        if content is not None:
            file.write_bytes(content)
            os.chmod(file, mode)
        text = HEAD + f"databases: {{ main: {{ servers: db1, account: {{ user: n, password_file: {file} }} }} }}\n"
        return what(text, "--server", "db1")
    do.check = lambda content, mode=0o640: do(content, mode, check)
    return do


def test_password_file(with_password):
    assert with_password.check(b"secret\n")["good"]
    assert with_password.check(b"secret\r\n")["good"]
    assert with_password.check(b"x" * 255)["good"]
    assert "can be read by everybody; mend it with `chmod 640 " in with_password(b"secret\n", 0o644)[2]
    assert "can be written by everybody" in with_password(b"secret\n", 0o602)[2]
    assert "is empty; write the password" in with_password(b"\n")[2]
    assert "is empty; write the password" in with_password(b"")[2]
    assert "has more than one line" in with_password(b"a\nb\n")[2]
    assert "is longer than 255 bytes" in with_password(b"x" * 256)[2]
    assert "secret" not in with_password(b"secret\nsecret\n")[2]


def test_password_file_is_missing(with_password):
    line, column, said = with_password(None)
    assert said.startswith("databases.main.account.password_file: ") and said.endswith("cannot be read: No such file or directory")
    assert (line, column) == (HEAD_LINES + 1, 71)
