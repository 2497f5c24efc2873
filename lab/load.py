# SPDX-License-Identifier: BSD-2-Clause
"""A steady load on the lab's WordPress: people who look at pages, post comments and log in. Used by story.py.

Each worker is a thread. Every request carries a number of its own in the query string (v=…), by which it is found in the logs.
Nothing is tried twice: what goes wrong is written down.
"""
import random
import threading
import time

from .wordpress import cookies_of, login_form

TEST_COOKIE = ("Cookie", "wordpress_test_cookie=WP%20Cookie%20check")
REQUESTS_PER_CONNECTION = 5

OK, FAILED, CUT, STALE = "ok", "failed", "cut short", "stale"


class Record:
    """What came of one request. FAILED: no answer began, or it is not the wanted one; CUT: it began, and broke off."""
    __slots__ = ("step", "kind", "method", "number", "result", "status", "seconds", "server", "detail")

    def __init__(self, step, kind, method, number, answer, result):
        self.step = step
        self.kind = kind
        self.method = method
        self.number = number
        self.result = result
        self.status = answer.status
        self.seconds = answer.seconds
        self.server = answer.header("x-answered-by")
        self.detail = "" if result == OK else answer.describe()


class Load:
    def __init__(self, wordpress, viewers=3, commenters=2, logins=1):
        self.wordpress = wordpress
        self.articles = wordpress.articles()
        self.commenters = commenters
        self.step = ""
        self.records = []        # grows only; appended to by all threads
        self.acknowledged = []   # texts of the comments whose POST was answered well
        self.attempted = []      # texts of all comments
        self._steps = {}         # number of a request under way: the step in which it was sent
        self.problem = None      # of a worker itself: a fault of the check, not of noah
        self._stop = threading.Event()
        work = [(self._view, number) for number in range(viewers)]
        work += [(self._comment, number) for number in range(commenters)]
        work += [(self._log_in, number) for number in range(logins)]
        self._threads = [threading.Thread(target=self._run, args=each, daemon=True) for each in work]

    def start(self):
        for thread in self._threads:
            thread.start()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
        if self.problem is not None:
            raise self.problem

    def count(self, kind=None):
        return sum(1 for record in list(self.records) if kind in (None, record.kind))

    def _run(self, work, worker):
        chance = random.Random(worker)
        try:
            while not self._stop.is_set():
                work(worker, chance)
        except BaseException as problem:  # pylint: disable=broad-except
            self.problem = problem

    def _pause(self, chance, mean_s):
        self._stop.wait(chance.uniform(0.5, 1.5) * mean_s)

    def _number(self, letter, worker):
        number = f"{letter}{worker}-{time.monotonic_ns()}"
        self._steps[number] = self.step
        return number

    def _note(self, kind, method, number, answer, good, stale=False):
        """Belongs to the step in which the request was sent, which its number knows."""
        if not answer.whole:
            result = CUT if answer.began else FAILED
        elif stale:
            result = STALE
        else:
            result = OK if good else FAILED
        self.records.append(Record(self._steps.pop(number), kind, method, number, answer, result))
        return result == OK

    # ---- what people do

    def _view(self, worker, chance):
        with self.wordpress.client() as client:
            for _ in range(REQUESTS_PER_CONNECTION):
                number = self._number("v", worker)
                article = chance.choice(self.articles)
                path = f"/?v={number}" if chance.random() < 0.2 else f"/?p={article}&v={number}"
                answer = client.get(path)
                self._note("view", "GET", number, answer, answer.status == 200 and b"</html>" in answer.body)
                self._pause(chance, 0.15)
                if self._stop.is_set():
                    return

    def _comment(self, worker, chance):
        """Posts, and looks at the very next page on a new connection: whichever web server answers it."""
        number = self._number("c", worker)
        # Articles of its own: when two post to one at the same moment, the other's comment may be the first of a newer page.
        article = chance.choice(self.articles[worker::self.commenters])
        text = f"comment {number}"
        self.attempted.append(text)
        form = {"author": f"visitor {worker}", "email": f"visitor{worker}@demo.example", "comment": text,
                "comment_post_ID": article, "comment_parent": 0}
        with self.wordpress.client() as client:
            answer = client.post(f"/wp-comments-post.php?v={number}", form)
        if self._note("comment", "POST", number, answer, answer.status == 302):
            self.acknowledged.append(text)
            after = self._number("a", worker)
            with self.wordpress.client() as client:
                answer = client.get(f"/?p={article}&v={after}")
            good = answer.status == 200
            self._note("view after a comment", "GET", after, answer, good, good and text.encode() not in answer.body)
        self._pause(chance, 0.3)

    def _log_in(self, worker, chance):
        """Logs in, and opens a page that wants the new session, on a new connection."""
        number = self._number("l", worker)
        name = f"user{worker + 1}"
        with self.wordpress.client() as client:
            answer = client.post(f"/wp-login.php?v={number}", login_form(name, name), headers=[TEST_COOKIE])
        if self._note("login", "POST", number, answer, answer.status == 302 and "wordpress_logged_in" in cookies_of(answer)):
            after = self._number("p", worker)
            with self.wordpress.client() as client:
                page = client.get(f"/wp-admin/profile.php?v={after}", headers=[("Cookie", cookies_of(answer))])
            # Sent back to the login form: the session that was just written was not seen.
            stale = page.status == 302 and "wp-login.php" in page.header("location")
            self._note("view after a login", "GET", after, page, page.status == 200 and name.encode() in page.body, stale)
        self._pause(chance, 0.5)
