"""Starts board programs on free loopback ports, and writes into them: machina (Django), Fossil (C),
NodeBB (Node).

Each is a context like those of `programs`, with all that it stores in its work folder. What is
written goes in by the program's own means: its forms or its engine. machina comes from PyPI, NodeBB
from npm; Fossil, Node and a Redis for NodeBB are Debian's.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parsel import Selector

from deploy.local.posting import Browser
from deploy.local.programs import LOG, PASSWORD, USER, run
from deploy.local.server import HOST, free_ports, running
from ullage.errors import UnavailableError
from ullage.files.atomic_write import wait_for_lock

REQUIREMENTS = Path(__file__).with_name("requirements-boards.txt")
NODEBB = "nodebb@1.4.0"
"""The newest that npm has."""
MACHINA_SETTINGS = """\
import pathlib
from machina import MACHINA_MAIN_STATIC_DIR, MACHINA_MAIN_TEMPLATE_DIR
BASE = pathlib.Path(__file__).parent
SECRET_KEY, DEBUG, ALLOWED_HOSTS = "loopback", False, ["127.0.0.1"]
ROOT_URLCONF, SITE_ID, USE_TZ, TIME_ZONE = "urls", 1, True, "UTC"
DEFAULT_AUTO_FIELD, STATIC_URL = "django.db.models.AutoField", "/static/"
STATICFILES_DIRS, MEDIA_ROOT, MEDIA_URL = [MACHINA_MAIN_STATIC_DIR], str(BASE / "media"), "/media/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS = [
    *(f"django.contrib.{name}" for name in (
        "admin", "auth", "contenttypes", "sessions", "messages", "sites", "staticfiles")),
    "mptt", "haystack", "widget_tweaks", "machina",
    *(f"machina.apps.forum{name}" for name in (
        "", "_conversation", "_conversation.forum_attachments", "_conversation.forum_polls",
        "_feeds", "_moderation", "_search", "_tracking", "_member", "_permission")),
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "machina.apps.forum_permission.middleware.ForumPermissionMiddleware",
]
CONTEXT = [f"django.template.context_processors.{name}" for name in ("debug", "request")]
CONTEXT += [f"django.contrib.{name}.context_processors.{name}" for name in ("auth", "messages")]
CONTEXT += ["machina.core.context_processors.metadata"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates",
    "DIRS": [MACHINA_MAIN_TEMPLATE_DIR], "APP_DIRS": True,
    "OPTIONS": {"context_processors": CONTEXT}}]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(BASE / "db.sqlite3")}}
LOCAL = "django.core.cache.backends.locmem.LocMemCache"
CACHES = {
    "default": {"BACKEND": LOCAL},
    "machina_attachments": {"BACKEND": LOCAL, "LOCATION": "attachments"},
}
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
"""
MACHINA_URLS = """\
from django.contrib import admin
from django.urls import include, path
from machina import urls
urlpatterns = [
    path("admin/", admin.site.urls),
    path("accounts/", include("django.contrib.auth.urls")),
    path("", include(urls)),
]
"""
MACHINA_FILL = """\
from django.contrib.auth import get_user_model
from machina.apps.forum.models import Forum
from machina.apps.forum_permission.models import ForumPermission, UserForumPermission
get_user_model().objects.create_superuser("admin", "admin@example.test", "loopback-only")
parent = Forum.objects.create(name="Main", type=Forum.FORUM_CAT)
Forum.objects.create(name="General", type=Forum.FORUM_POST, parent=parent)
for name in ("can_see_forum", "can_read_forum"):
    known = ForumPermission.objects.get(codename=name)
    UserForumPermission.objects.create(
        permission=known, anonymous_user=True, authenticated_user=False, has_perm=True)
"""
MACHINA_WRITE = """\
import json, sys
from django.contrib.auth import get_user_model
from machina.apps.forum.models import Forum
from machina.apps.forum_conversation.models import Post, Topic
user, forum = get_user_model().objects.get(), Forum.objects.get(name="General")
for title, bodies in json.loads(sys.stdin.read()):
    topic = Topic.objects.filter(subject=title).first()
    topic = topic or Topic.objects.create(forum=forum, poster=user, subject=title, type=0, status=0)
    for body in bodies:
        Post.objects.create(topic=topic, poster=user, subject=title, content=body)
"""
NODEBB_WRITE = """\
'use strict';
const path = require('path'), R = (name) => require(path.join(process.cwd(), name));
const nconf = R('node_modules/nconf');
nconf.file({file: process.argv[2]});
nconf.defaults({base_dir: process.cwd(), themes_path: path.join(process.cwd(), 'node_modules'),
  version: '1.4.0', isPrimary: 'true', isCluster: 'false', relative_path: '',
  upload_url: '/uploads/', views_dir: path.join(process.cwd(), 'public/templates')});
const db = R('src/database'), meta = R('src/meta'), topics = R('src/topics');
const P = (act) => new Promise(
  (yes, no) => act((error, result) => error ? no(error) : yes(result)));
const req = {ip: '127.0.0.1'};
(async () => {
  await P((next) => db.init(next));
  const emoji = ['nodebb-plugin-emoji-one', 'nodebb-plugin-emoji-extended'];
  await P((next) => db.sortedSetRemove('plugins:active', emoji, next));
  // it answers 503 when a busy machine makes it wait
  await P((next) => db.setObjectField('config', 'maximumLag', 60000, next));
  await P((next) => meta.configs.init(next));
  Object.assign(meta.config,
    {postDelay: 0, initialPostDelay: 0, newbiePostDelay: 0, minimumPostLength: 1});
  for (const [title, bodies, known] of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
    let tid = known;
    for (const content of bodies) {
      if (tid) await P((next) => topics.reply({uid: 1, tid, content, req}, next));
      else {
        const topic = {uid: 1, cid: 2, title, content, tags: [], req};
        tid = (await P((next) => topics.post(topic, next))).topicData.tid;
      }
    }
    console.log(JSON.stringify([title, tid]));
  }
  process.exit(0);
})().catch((error) => { console.error(String(error)); process.exit(1); });
"""
Threads = Sequence[tuple[str, Sequence[str]]]
"""Titles, each with what is to be written into the thread of that title, which is opened where
there is none.
"""


@dataclass(frozen=True, slots=True)
class Board:
    """A running program: its address, and how to write into it."""

    url: str
    write: Callable[[Threads], None]


def _program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise UnavailableError(f"{name} is not there: apt install {package}")
    return path


@contextlib.contextmanager
def machina(binaries: Path, work: Path) -> Iterator[Board]:
    """Run machina in a small Django project."""
    work.mkdir(parents=True, exist_ok=True)
    for name, text in (("settings.py", MACHINA_SETTINGS), ("urls.py", MACHINA_URLS)):
        (work / name).write_text(text, encoding="utf-8")
    environment = {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONPATH": str(work)}
    django = [str(binaries / "python"), "-m", "django"]
    run([*django, "migrate", "-v", "0"], work, environment)
    run([*django, "shell", "-c", MACHINA_FILL], work, environment)
    (port,) = free_ports(1)
    words = [*django, "runserver", "--noreload", "--insecure", f"{HOST}:{port}"]

    def write(threads: Threads) -> None:
        run([*django, "shell", "-c", MACHINA_WRITE], work, environment, json.dumps(threads))

    with running("machina", words, work / LOG, environment, port):
        yield Board(f"http://{HOST}:{port}", write)


@contextlib.contextmanager
def fossil(work: Path) -> Iterator[Board]:
    """Run the forum of a Fossil repository, which anybody may read."""
    work.mkdir(parents=True, exist_ok=True)
    binary, repository = _program("fossil", "fossil"), "forum.fossil"
    environment = {"HOME": str(work), "USER": USER}
    run([binary, "init", "--admin-user", USER, repository], work, environment)
    run([binary, "user", "password", USER, PASSWORD, "-R", repository], work, environment)
    for name, may in (("nobody", "ghjorz2"), ("anonymous", "hmnc2")):
        run([binary, "user", "capabilities", name, may, "-R", repository], work, environment)
    (port,) = free_ports(1)
    with running(
        "Fossil",
        [binary, "server", "--localhost", "--port", str(port), repository],
        work / LOG,
        environment,
        port,
    ):
        url = f"http://{HOST}:{port}"
        yield Board(url, FossilForum(url).write)


@dataclass(slots=True)
class FossilForum:
    """Writes as the administrator, through the forms."""

    url: str
    _posts: dict[str, str] = field(default_factory=dict)
    _browser: Browser | None = None

    def write(self, threads: Threads) -> None:
        """See `Threads`."""
        for title, bodies in threads:
            for body in bodies:
                self._write(title, body)

    def _write(self, title: str, body: str) -> None:
        browser = self._log_in()
        if title in self._posts:
            page = Selector(browser.get(f"/forumpost/{self._posts[title]}").text, type="html")
            *_, form = page.css("form:has(input[name=reply])")
            where = form.attrib.get("data-action") or form.attrib["action"]
            page = Selector(
                browser.post(where, {**_hidden(form), "reply": "Reply"}).text, type="html"
            )
        else:
            page = Selector(browser.get("/forumnew").text, type="html")
        form = page.css("form:has(textarea)")[0]
        where = form.attrib.get("data-action") or form.attrib["action"]
        fields = {"reply": "1"} if title in self._posts else {"title": title}
        fields = {
            **fields,
            **_hidden(form),
            "content": body,
            "mimetype": "text/x-markdown",
            "submit": "Submit",
        }
        match = re.search(r"/forumpost/([0-9a-f]+)", browser.post(where, fields).url)
        if not match:
            raise UnavailableError("Fossil took no post: it showed its form again")
        self._posts.setdefault(title, match[1])

    def _log_in(self) -> Browser:
        if self._browser is None:
            self._browser = Browser(self.url)
            page = Selector(self._browser.get("/login").text, type="html")
            fields = {
                "u": USER,
                "p": PASSWORD,
                "in": "Login",
                "cs": page.css("input[name=cs]::attr(value)").get(""),
            }
            self._browser.post("/login", fields)
        return self._browser


def _hidden(form: Selector) -> dict[str, str]:
    fields = form.css("input[type=hidden][name]")
    return {element.attrib["name"]: element.attrib.get("value", "") for element in fields}


def ensure_nodebb(folder: Path) -> Path:
    """NodeBB with its packages in `folder`, made on first use; takes about a minute then.

    UnavailableError without npm.
    """
    npm, target = _program("npm", "npm"), folder / "NodeBB"
    folder.mkdir(parents=True, exist_ok=True)
    with wait_for_lock(folder.with_name(folder.name + ".lock")):
        if not (folder / "installed.txt").is_file():
            shutil.rmtree(target, ignore_errors=True)
            (folder / "package.json").write_text('{"private": true}', encoding="ascii")
            quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
            run([npm, "install", *quiet, "--no-save", "--ignore-scripts", NODEBB], folder)
            shutil.copytree(folder / "node_modules" / "nodebb", target, symlinks=True)
            run([npm, "install", *quiet, "--omit=dev"], target)
            for name in ("sounds", "system", "files", "profile", "category"):
                (target / "public" / "uploads" / name).mkdir(parents=True, exist_ok=True)
            (folder / "installed.txt").write_text(NODEBB, encoding="ascii")
    return target


@contextlib.contextmanager
def nodebb(program: Path, work: Path) -> Iterator[Board]:
    """Run NodeBB from `program` with a Redis of its own, in which all is that it stores."""
    work.mkdir(parents=True, exist_ok=True)
    node, redis = _program("node", "nodejs"), _program("redis-server", "redis-server")
    redis_port, port = free_ports(2)
    words = [redis, "--port", str(redis_port), "--bind", HOST, "--dir", str(work), "--save", ""]
    settings = {
        "url": f"http://{HOST}:{port}",
        "secret": "loopback",
        "database": "redis",
        "port": str(port),
    }
    at = {"host": HOST, "port": str(redis_port), "password": "", "database": "0"}
    admin = {
        "username": USER,
        "password": PASSWORD,
        "password:confirm": PASSWORD,
        "email": "admin@example.test",
    }
    setup_values = {
        **{f"redis:{name}": value for name, value in at.items()},
        **{f"admin:{name}": value for name, value in admin.items()},
    }
    configuration, script = work / "config.json", work / "write.js"
    script.write_text(NODEBB_WRITE, encoding="ascii")
    ids: dict[str, int] = {}

    def write(threads: Threads) -> None:
        payload = json.dumps([[title, bodies, ids.get(title, 0)] for title, bodies in threads])
        for line in run([node, str(script), str(configuration)], program, {}, payload).splitlines():
            if line.startswith("["):
                title, number = json.loads(line)
                ids[title] = number

    with running("Redis", words, work / "redis.log", {}, redis_port):
        # its setup knows one place for its configuration
        with wait_for_lock(program.with_name(program.name + ".lock")):
            (program / "config.json").unlink(missing_ok=True)
            run([node, "app.js", f"--setup={json.dumps({**settings, **setup_values})}"], program)
        configuration.write_text(
            json.dumps({**settings, "bind_address": HOST, "redis": at}), encoding="ascii"
        )
        write(())
        if not (program / "public" / "stylesheet.css").is_file():
            run([node, "app.js", f"--config={configuration}", "--build"], program)
        environment = {"NODE_ENV": "production", "NODE_PATH": str(program)}
        started = [
            "/bin/sh",
            "-c",
            'cd "$1" && exec "$2" app.js --config="$3"',
            "sh",
            str(program),
            node,
            str(configuration),
        ]
        with running("NodeBB", started, work / LOG, environment, port):
            yield Board(settings["url"], write)
