"""Pack the archive of a release: everything that a machine without a network needs.

    ullage-VERSION/
        install.sh  PLATFORM                    how to verify and install it, and where it runs
        SHA256SUMS  SHA256SUMS.sig              hashes of all other files, and their signature
        wheels/  requirements/                  ullage and its dependencies, pinned by hash
        sbom.cdx.json  LICENSE  NOTICE  licences/   its contents, and under which terms
        docs/  deploy/  CHANGELOG.md            as in the repository

The signature (Ed25519, RFC 8032) covers SHA256SUMS, which lists every other file. openssl alone
can verify it. The same commit and the same wheels yield the same bytes.
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from packaging.utils import canonicalize_name, parse_wheel_filename

from deploy.bundle.build import build, git, packed_tar
from deploy.bundle.parts import LEGAL, PRODUCT, in_wheels, licences
from deploy.bundle.sbom import document
from deploy.helm import laid_out
from ullage.errors import ConfigError
from ullage.files.ownership import read_trusted

LOCK = "all"
"""The lock in `requirements/` that contains everything; the others are parts of it."""
SETS = (LOCK, "assess", "crawl", "search")
PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,.-]+\])?==(\S+)", re.MULTILINE)
SUMS, SIGNATURE, INSTALLER, PLATFORM = "SHA256SUMS", "SHA256SUMS.sig", "install.sh", "PLATFORM"
AS_THEY_ARE = ("CHANGELOG.md", "LICENSE", "NOTICE", "docs", "deploy")
INSIDE_THE_WHEEL = ("deploy/demo/", "deploy/local/", "deploy/bundle/", "deploy/__init__.py")
"""Parts of `deploy` that the wheel contains, or that make the archive.

The remaining Python files are left out too: they generate files that are committed.
"""


def fetch(root: Path, folder: Path) -> list[Path]:
    """Return the locked wheels, which pip downloads below `folder` and checks against their hashes.

    Each lock has a folder of its own there. If it is complete, nothing is downloaded. Source
    distributions are built. Raises ConfigError if pip fails.
    """
    lock = root / "requirements" / f"{LOCK}.txt"
    folder_of_lock = folder / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    if not (folder_of_lock / "complete").exists():
        words = (
            "wheel",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--no-build-isolation",
            "--require-hashes",
        )
        whole = [
            sys.executable,
            "-m",
            "pip",
            *words,
            "--wheel-dir",
            str(folder_of_lock),
            "--requirement",
            str(lock),
        ]
        process = subprocess.run(whole, capture_output=True, text=True, check=False)
        if process.returncode:
            raise ConfigError(
                f"{lock}: pip: {(process.stderr.strip() or 'no message').splitlines()[-1]}"
            )
        (folder_of_lock / "complete").touch()
    return sorted(folder_of_lock.glob("*.whl"))


def signing_key(path: Path) -> Ed25519PrivateKey:
    """Return the key of a release, as `openssl genpkey -algorithm ed25519` makes it.

    Raises ConfigError where it is missing, another kind of key, protected by a password, or
    readable by others.
    """
    try:
        key = load_pem_private_key(read_trusted(path, secret=True), password=None)
    except FileNotFoundError:
        raise ConfigError(
            f"{path} does not exist: create it with `openssl genpkey -algorithm ed25519"
            f" -out {path}`"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} must be a private key in PEM without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            f"{path} is not an Ed25519 key: create one with `openssl genpkey -algorithm ed25519`"
        )
    return key


def pack(root: Path, out: Path, cache: Path, key: Ed25519PrivateKey, commit: str = "HEAD") -> Path:
    """Write the archive of a commit into `out` and return its path.

    Wheels of dependencies are kept in `cache`. Its name has the version, this machine's platform
    and Python. Raises ConfigError if the build, a download or a licence fails.
    """
    with tempfile.TemporaryDirectory() as work:
        built = build(root, Path(work), commit)
        wheels: Mapping[str, Path] = {
            str(parse_wheel_filename(path.name)[0]): path
            for path in [*fetch(root, cache), built.wheel]
        }
        parts = in_wheels(wheels.values())
        files = dict(_contents(root, commit, wheels, parts))
        files["sbom.cdx.json"] = document(parts, wheels, licences(), built.epoch).encode()
    sums = "".join(
        f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files)
    ).encode()
    files |= {SUMS: sums, SIGNATURE: key.sign(sums)}
    version, platform = parts[PRODUCT].version, sysconfig.get_platform()
    top = f"{PRODUCT}-{version}"
    archive = out / f"{top}-{platform}-cp{sys.version_info.major}{sys.version_info.minor}.tar.gz"
    out.mkdir(parents=True, exist_ok=True)
    archive.write_bytes(
        packed_tar(
            {f"{top}/{name}": files[name] for name in files}, {f"{top}/{INSTALLER}"}, built.epoch
        )
    )
    return archive


def _contents(
    root: Path, commit: str, wheels: Mapping[str, Path], parts: Mapping[str, Distribution]
) -> Iterator[tuple[str, bytes]]:
    """Yield every file of the archive, except for the SBOM, the hashes and the signature."""
    names = (
        git(root, "ls-tree", "-r", "--name-only", "-z", commit, "--", *AS_THEY_ARE)
        .decode()
        .rstrip("\0")
        .split("\0")
    )
    for name in names:
        if not name.startswith(INSIDE_THE_WHEEL) and not name.endswith(".py"):
            content = git(root, "show", f"{commit}:{name}")
            yield from laid_out(name, content, parts[PRODUCT].version)
    yield INSTALLER, git(root, "show", f"{commit}:deploy/bundle/{INSTALLER}")
    yield (
        PLATFORM,
        f"{sys.version_info.major}.{sys.version_info.minor} {sysconfig.get_platform()}\n".encode(),
    )
    hashes = {}
    for name, path in wheels.items():
        content = path.read_bytes()
        hashes[name] = hashlib.sha256(content).hexdigest()
        yield f"wheels/{path.name}", content
    for which in SETS:
        locked = git(root, "show", f"{commit}:requirements/{which}.txt").decode()
        pins = [*PINNED.findall(locked), (PRODUCT, parts[PRODUCT].version)]
        lines = (
            f"{name}=={version} --hash=sha256:{hashes[canonicalize_name(name)]}\n"
            for name, version in sorted(pins)
        )
        yield f"requirements/{which}.txt", "".join(lines).encode()
    for name, part in parts.items():
        for file in part.files or ():
            if LEGAL.search(str(file)) and ".dist-info" in file.parts[0] and len(file.parts) > 1:
                inside = "/".join(file.parts[1:]).removeprefix("licenses/")
                yield (
                    f"licences/{name}-{part.version}/{inside}",
                    part.locate_file(file).read_bytes(),  # type: ignore[attr-defined]
                )
