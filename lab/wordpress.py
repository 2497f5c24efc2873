# SPDX-License-Identifier: BSD-2-Clause
"""Debian's WordPress on the web servers of a lab: its files, its installation through its own web installer, its content.

Called by demo.py and story.py. The pages and settings of the lab's own are in site/.
"""
import os
import re
import shutil

import pymysql

from .apache import ROOT
from .machine import DISK, LabError
from .visitor import Client

WORDPRESS = "/usr/share/wordpress"
CONTENT = f"{ROOT}/wp-content"
POSTS = f"{DISK}/posts"
SITE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "site")
USER = "wordpress"
PASSWORD = "wordpress-of-the-lab"
ADMINISTRATOR = ("admin", "noah's ark")
ARTICLES = 10

# Comments appear at once; a page shows the newest 20, so that pages stay equally heavy while the load adds comments. Articles
# have plain addresses (/?p=5).
SETTINGS = {"comment_moderation": "0", "comment_previously_approved": "0", "comments_notify": "0", "moderation_notify": "0",
            "page_comments": "1", "comments_per_page": "20", "default_comments_page": "newest", "comment_order": "desc",
            "thread_comments": "0", "show_avatars": "0", "comment_registration": "0", "require_name_email": "1",
            "permalink_structure": ""}


def prepare_app(machine, document):
    """For Lab: puts the site's files on the machine; returns what Apache's constructor wants. WordPress's database is noah's
    listener."""
    database_address = document["databases"]["main"]["listen"][0]
    if not os.path.exists(f"{WORDPRESS}/wp-settings.php"):
        raise LabError("Debian's package wordpress is not installed: tools/setup demo installs it")
    for directory in ("themes", "plugins", "mu-plugins", "uploads"):
        os.makedirs(machine.path(f"{CONTENT}/{directory}"), exist_ok=True)
    shutil.copytree(f"{SITE}/theme", machine.path(f"{CONTENT}/themes/demo"))
    shutil.copy(f"{SITE}/plugin.php", machine.path(f"{CONTENT}/mu-plugins/demo.php"))
    machine.write(POSTS, "", mode=0o666)
    with open(f"{SITE}/config.php", encoding="utf-8") as file:
        text = file.read()
    for name, value in (("PASSWORD", PASSWORD), ("DATABASE", database_address), ("CONTENT", CONTENT), ("POSTS", POSTS),
                        ("SECRET", "of the lab")):
        text = text.replace(f"@{name}@", value)
    machine.write("/etc/wordpress/config-default.php", text)
    return {"document_root": WORDPRESS,
            "more": f"Alias /wp-content {CONTENT}\nAlias /servercheck.txt {ROOT}/servercheck.txt"}


class WordPress:
    def __init__(self, lab, address, port=80):
        """`address`: where visitors go."""
        self.lab = lab
        self.address = address
        self.port = port
        self.visitor = lab.machines["visitor"]

    def client(self):
        return Client(self.visitor, self.address, self.port)

    # ---- making the site

    def make_database(self, primary):
        primary.query(f"CREATE DATABASE {USER}")
        primary.add_user(USER, PASSWORD, f"ALL PRIVILEGES ON {USER}.*")

    def install(self):
        """Fills in the form of WordPress's own installer."""
        user, password = ADMINISTRATOR
        form = {"weblog_title": "Two of everything", "user_name": user, "admin_password": password, "admin_password2": password,
                "pw_weak": "1", "admin_email": "admin@demo.example", "blog_public": "0", "language": ""}
        with self.client() as client:
            first = client.get("/wp-admin/install.php?v=install")
            if first.status != 200 or b"weblog_title" not in first.body:
                raise LabError(f"the installer's form did not come: {first.describe()}")
            answer = client.post("/wp-admin/install.php?step=2&v=install2", form, timeout=120)
        if answer.status != 200 or b"Success!" not in answer.body:
            raise LabError(f"the installer did not succeed: {answer.describe()}")

    def fill(self, users=0):
        """Settings, articles and subscribers (user1 and so on, the password is the name), as an SQL client that goes through
        noah."""
        with self.connect() as connection, connection.cursor() as cursor:
            for name, value in SETTINGS.items():
                cursor.execute("UPDATE wp_options SET option_value = %s WHERE option_name = %s", (value, name))
            for number in range(1, ARTICLES + 1):
                cursor.execute(
                    "INSERT INTO wp_posts (post_author, post_date, post_date_gmt, post_content, post_title, post_excerpt, "
                    "post_status, comment_status, ping_status, post_name, to_ping, pinged, post_modified, post_modified_gmt, "
                    "post_content_filtered, post_type) VALUES (1, NOW(), UTC_TIMESTAMP(), %s, %s, '', 'publish', 'open', "
                    "'closed', %s, '', '', NOW(), UTC_TIMESTAMP(), '', 'post')",
                    (f"<p>{'Two of everything, and one file to say so. ' * 8}</p>", f"Article {number}", f"article-{number}"))
            for number in range(1, users + 1):
                name = f"user{number}"
                cursor.execute("INSERT INTO wp_users (user_login, user_pass, user_nicename, user_email, user_registered, "
                               "display_name) VALUES (%s, MD5(%s), %s, %s, NOW(), %s)",
                               (name, name, name, f"{name}@demo.example", name))
                cursor.execute("INSERT INTO wp_usermeta (user_id, meta_key, meta_value) VALUES (%s, 'wp_capabilities', %s), "
                               "(%s, 'wp_user_level', '0')", (cursor.lastrowid, 'a:1:{s:10:"subscriber";b:1;}', cursor.lastrowid))

    def articles(self):
        """Their numbers, for /?p=NUMBER."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SELECT ID FROM wp_posts WHERE post_type = 'post' AND post_status = 'publish' ORDER BY ID")
            return [row[0] for row in cursor.fetchall()]

    def connect(self):
        """Through noah, with WordPress's own account."""
        host, _, port = self.database_address().partition(":")
        with self.visitor.inside():
            return pymysql.connect(host=host, port=int(port), user=USER, password=PASSWORD, database=USER, autocommit=True,
                                   connect_timeout=10, read_timeout=30)

    def database_address(self):
        return self.lab.document["databases"]["main"]["listen"][0]

    # ---- looking at the site

    def posts_arrived(self):
        """{id: how often} of the POSTs that reached a web server's PHP."""
        found = {}
        for app in self.lab.apps():
            for line in app.machine.read(POSTS).split():
                found[line] = found.get(line, 0) + 1
        return found

    @staticmethod
    def comments_in(database):
        """{text: how often} of the comments that are in this MariaDB."""
        rows = database.query("SELECT comment_content, COUNT(*) FROM wp_comments GROUP BY comment_content", database=USER)
        return dict(rows)


def login_form(name, password):
    return {"log": name, "pwd": password, "wp-submit": "Log In", "redirect_to": "/wp-admin/profile.php", "testcookie": "1"}


def cookies_of(answer):
    """The Cookie header for the next request."""
    found = {}
    for value in answer.all("set-cookie"):
        match = re.match(r"([^=;\s]+)=([^;]*)", value)
        if match:
            found[match[1]] = match[2]
    return "; ".join(f"{name}={value}" for name, value in found.items())




# ---- the whole site, for demo.py and story.py

def make_site(lab, users=0, say=lambda text: None):
    """Starts everything and installs WordPress through noah."""
    lab.start(say)
    wordpress = WordPress(lab, lab.addresses[lab.noah_servers()[0]])
    wordpress.make_database(lab.databases["main"][0])
    say("installing WordPress through its web installer, through noah")
    wordpress.install()
    wordpress.fill(users)
    return wordpress
