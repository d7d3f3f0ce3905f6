"""The image is built for real, without a registry, and runs: as nobody in particular, on a
read-only root, with no network.

Its base is a Debian that debootstrap makes, once: it is kept in ULLAGE_DEPLOY_CACHE, by default in
the user's cache.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from deploy.demo.people import people
from tests.deploy.units import need, unable
from ullage import __version__

pytestmark = pytest.mark.image

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "container" / "Dockerfile"
CACHE = Path(os.environ.get("ULLAGE_DEPLOY_CACHE") or Path.home() / ".cache" / "ullage-deploy")
BASE, IMAGE, USER = "localhost/ullage-base:bookworm", "localhost/ullage:test", "10001"
SUITE = "bookworm"
CUSTOMERS = list(people(3, 5))


@cache
def driver() -> str:
    """Return how layers are kept: as overlays where the kernel mounts such here.

    Else as whole copies, which takes many times longer.
    """
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        for name in ("lower", "upper", "work", "all"):
            Path(folder, name).mkdir()
        options = f"lowerdir={folder}/lower,upperdir={folder}/upper,workdir={folder}/work"
        mounted = subprocess.run(
            ["mount", "-t", "overlay", "overlay", "-o", options, f"{folder}/all"], check=False
        )
        if mounted.returncode == 0:
            subprocess.run(["umount", f"{folder}/all"], check=True)
    return "vfs" if mounted.returncode else "overlay"


def buildah(*words: object) -> str:
    """Return the output of buildah, with all that it keeps in the cache."""
    CACHE.mkdir(parents=True, exist_ok=True)
    kept = (
        "--storage-driver",
        driver(),
        "--root",
        CACHE / f"storage-{driver()}",
        "--runroot",
        CACHE / "run",
    )
    line = [need("buildah", "buildah"), *map(str, kept), *map(str, words)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


def base() -> None:
    """Debian's smallest system as an image, made where it is not there yet."""
    if any(
        BASE in line for line in buildah("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()
    ):
        return
    system = CACHE / "base"
    if (
        not (system / "etc" / "debian_version").exists()
        or not (system / "usr" / "bin" / "apt-get").exists()
    ):
        shutil.rmtree(system, ignore_errors=True)
        system.parent.mkdir(parents=True, exist_ok=True)
        words = [
            need("debootstrap", "debootstrap"),
            "--variant=minbase",
            "--include=ca-certificates",
            SUITE,
            str(system),
        ]
        subprocess.run([*words, mirror()], check=True, capture_output=True)
    made = buildah("from", "scratch")
    buildah("add", "--quiet", made, f"{system}/", "/")
    buildah("commit", "--quiet", "--rm", made, BASE)


def mirror() -> str:
    """Return where this machine gets its packages from."""
    said = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(SITE)"],
        capture_output=True,
        text=True,
        check=True,
    )
    return said.stdout.split()[0]


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield a container of the image."""
    if os.geteuid():
        unable("building an image without a daemon needs root")
    base()
    context = tmp_path_factory.mktemp("context")
    subprocess.run([sys.executable, "-m", "deploy.container", str(context)], check=True, cwd=ROOT)
    buildah(
        *(
            "bud",
            "--pull-never",
            "--layers",
            "--isolation",
            "chroot",
            "--build-arg",
            f"BASE={BASE}",
        ),
        *(
            "--label",
            f"org.opencontainers.image.version={__version__}",
            "--file",
            DOCKERFILE,
            "--tag",
            IMAGE,
            context,
        ),
    )
    name = buildah("from", "--pull-never", IMAGE)
    yield name
    buildah("rm", name)


@pytest.fixture(scope="module")
def root(container: str) -> Iterator[Path]:
    """Yield the container's file system."""
    yield Path(buildah("mount", container))
    buildah("umount", container)


def run(root: Path, data: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """`ullage WORDS` in the image: its root read-only, its data folder alone to be written, no
    network, its own user.
    """
    mounts = [
        f"mount --bind {root} {root}",
        f"mount -o remount,bind,ro {root}",
        f"mount --bind {data} {root}/var/lib/ullage",
        f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",
        f"mount -t tmpfs -o mode=1777 tmpfs {root}/var/cache/ullage",
        f"mount -t proc proc {root}/proc",
        f"mount --rbind /dev {root}/dev",
    ]
    become = (
        f"exec setpriv --reuid={USER} --regid={USER} --clear-groups --bounding-set=-all"
        " --no-new-privs"
    )
    entry = "/opt/ullage/bin/ullage"
    inner = (
        f"{'; '.join(mounts)}; cd {root}; exec chroot {root}"
        f' /usr/bin/{become.removeprefix("exec ")} {entry} "$@"'
    )
    line = [
        "unshare",
        "--mount",
        "--net",
        "--pid",
        "--fork",
        "--ipc",
        "--uts",
        "/bin/sh",
        "-ec",
        inner,
        "sh",
        *words,
    ]
    environment = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "ULLAGE_DATA": "/var/lib/ullage",
    }
    environment |= {"XDG_CACHE_HOME": "/var/cache/ullage", "HOME": "/var/lib/ullage"}
    return subprocess.run(
        line, input=stdin, capture_output=True, text=True, check=False, env=environment
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, int(USER), int(USER))
    return folder


def test_image_prints_its_version(root: Path, data: Path) -> None:
    done = run(root, data, "--version")
    assert (done.returncode, done.stdout.strip()) == (0, __version__), done.stderr


def test_image_finds_customers_without_network_or_other_writes(root: Path, data: Path) -> None:
    assert run(root, data, "init").returncode == 0
    rows = "".join(
        f"{person.reference},{person.name},{person.phone},{person.resident_id}\n"
        for person in CUSTOMERS
    )
    table = f"customer_ref,name,phone,resident_id\n{rows}"
    loaded = run(root, data, "watchlist", "load", "-", "--tenant", "bank", stdin=table)
    assert loaded.returncode == 0, loaded.stderr
    leak = "\n".join(f"{person.name} {person.phone} {person.resident_id}" for person in CUSTOMERS)
    done = run(root, data, "scan", "-", stdin=leak)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len({match["subject"] for match in found}) == len(CUSTOMERS)
    looked = run(root, data, "check")
    faults = [line for line in looked.stdout.splitlines() if line.startswith("FAULT")]
    assert [line.split(":")[0] for line in faults] == ["FAULT  notifications"], (
        "of a new folder it is that nobody is told yet"
    )
    assert looked.returncode == 1


def test_image_runs_unprivileged_without_build_tools(root: Path, container: str) -> None:
    said = json.loads(buildah("inspect", "--type", "container", container))["OCIv1"]["config"]
    assert said["User"] == f"{USER}:{USER}"
    assert said["Labels"]["org.opencontainers.image.version"] == __version__
    assert not (root / "wheels").exists()
    assert not (root / "pip").exists()
    assert not list((root / "opt" / "ullage").glob("lib/python*/site-packages/pip"))
    assert not [
        path
        for path in (root / "opt").rglob("*")
        if path.stat(follow_symlinks=False).st_mode & 0o6000
    ]


def test_unwritable_data_folder_is_a_one_line_error(root: Path, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o755)
    done = run(root, closed, "init")
    assert done.returncode != 0
    assert done.stderr.startswith("ullage: ")
    assert len(done.stderr.strip().splitlines()) == 1
