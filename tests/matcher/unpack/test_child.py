"""The child can do nothing but parse, and the parent believes nothing that it says."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest

from matcher.unpack import parent, protocol
from matcher.unpack.child import (
    ALLOW,
    ANY_BIT,
    ARCHITECTURE,
    EQUAL,
    LOAD,
    MACHINES,
    NUMBER,
    PROT_EXEC,
    THIRD_ARGUMENT,
    program,
)
from matcher.unpack.protocol import HEADER, UnreadPart
from tests.matcher.unpack import builders
from tests.matcher.unpack.conftest import QUICK
from tests.matcher.unpack.conftest import out_of as out_of_shared
from ullage.errors import UnavailableError

pytestmark = pytest.mark.usefixtures("own_servers")
out_of = partial(out_of_shared, alone=True)
BODY = builders.zip_of({"a.csv": b"15400000001"})
PROBE = """
import sys; sys.path.append(sys.argv.pop(1))
import os, signal, socket
from matcher.unpack import child, walk
PARENT = os.getppid()
before = []
work = child.work
def worked(*given, **more):
    descriptors = os.listdir("/proc/self/fd")
    before.append(repr(sorted(os.environ.keys() - {"LC_CTYPE"})))
    before.append(repr(sorted(map(int, descriptors))[:3]))
    before.append(str(len(descriptors)))
    return work(*given, **more)
child.work = worked
def tried(what):
    try: return f"{what()}"
    except OSError as error: return error.__class__.__name__ + " " + str(error.errno)
def everything(self, kind, body):
    %s
walk.Walk.everything = everything
%s
child.main()
"""


@pytest.fixture
def child(monkeypatch):
    """Lets another program stand in the server's place, such as one with a probe after the child
    has given everything up.
    """
    return lambda program: monkeypatch.setattr(parent, "PROGRAM", program)


def stands_in(work: str) -> str:
    """Return the program of a server whose children run `work` instead of their own work."""
    return f"""
import sys; sys.path.append(sys.argv.pop(1))
from matcher.unpack import child
child.work = lambda *_, **__: exec({work!r}, {{}})
child.main()
"""


def probe(child, what: str, before: str = "") -> list[str]:
    child(PROBE % (f'self.text("", ["\\n".join({what}).encode()])', before))
    unpacked = out_of(BODY)
    assert unpacked.outcomes == []
    return unpacked.members[""].decode().splitlines()


ATTEMPTS = {
    "open": 'open("/etc/passwd").read()',
    "create": 'os.open("/tmp/x", os.O_CREAT | os.O_WRONLY)',
    "stat": 'os.stat("/")',
    "socket": "socket.socket()",
    "unix socket": "socket.socket(socket.AF_UNIX)",
    "pair": "socket.socketpair()",
    "fork": "os.fork()",
    "execute": 'os.execv("/bin/true", ["true"])',
    "signal its parent": "os.kill(PARENT, 0)",
    "memory file": 'os.memfd_create("x")',
    "pipe": "os.pipe()",
    "another descriptor": "os.dup(1)",
    "flags of a descriptor": "os.get_blocking(1)",
}


def test_child_cannot_use_forbidden_system_calls(child) -> None:
    words = [f"tried(lambda: {attempt})" for attempt in ATTEMPTS.values()]
    unpacked = probe(child, f"[{', '.join(words)}]")
    assert dict(zip(ATTEMPTS, unpacked, strict=True)) == dict.fromkeys(
        ATTEMPTS, "PermissionError 1"
    )


def test_child_cannot_make_memory_executable(child) -> None:
    [line] = probe(
        child,
        "[tried(lambda: mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_EXEC))]",
        "import mmap",
    )
    assert line == "PermissionError 1"


def test_child_inherits_no_environment_or_descriptors(child, monkeypatch) -> None:
    monkeypatch.setenv("ULLAGE_SECRET", "x")
    with tempfile.TemporaryFile() as file:
        os.set_inheritable(file.fileno(), True)
        assert probe(child, "before") == ["[]", "[0, 1, 2]", "4"]  # and that of the listing itself


def test_child_has_resource_limits(child) -> None:
    expected = {
        "CORE": 0,
        "FSIZE": 0,
        "CPU": QUICK.cpu_seconds,
        "AS": QUICK.memory_bytes + len(BODY),
    }
    before = f"""
import resource; held = []; had = child.seal
def seal(libc):
    for name in {list(expected)!r}:
        held.append(str(resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0]))
    held.append(open("/proc/self/status").read().split("NoNewPrivs:")[1].split()[0])
    return had(libc)
child.seal = seal"""
    assert probe(child, "held", before) == [*map(str, expected.values()), "1"]


def test_network_namespace_replaces_missing_seccomp(child) -> None:
    """Where system calls cannot be given up, that and the want of descriptors stand in for it."""
    before = "child.seal = lambda libc: False"
    child(PROBE % ('self.text("", [tried(lambda: socket.socket()).encode()])', before))
    unpacked = out_of(BODY)
    if unpacked.flags == 0:  # neither holds here: nothing is parsed
        assert unpacked.outcomes == [("", "unsupported")]
    else:
        assert unpacked.flags == protocol.NETNS
        assert unpacked.members == {"": b"OSError 24"}


def test_nothing_is_parsed_without_protection(child) -> None:
    child(PROBE % ("raise SystemExit", "child.seal = child.isolate = lambda *_: False"))
    unpacked = out_of(BODY)
    assert (unpacked.members, unpacked.outcomes, unpacked.flags) == ({}, [("", "unsupported")], 0)


def test_active_protection_is_reported() -> None:
    assert out_of(BODY).flags & protocol.SECCOMP


@pytest.mark.parametrize("machine", MACHINES)
def test_filter_allows_exactly_the_listed_calls(machine: str) -> None:
    audit, mmap, mprotect, numbers = MACHINES[machine]
    for number in range(512):
        listed = number in numbers.values()
        assert run_filter(program(machine), audit, number, 0) == listed
        assert run_filter(program(machine), audit, number, PROT_EXEC) == (
            listed and number not in (mmap, mprotect)
        )
    assert not run_filter(program(machine), audit ^ 1, 0, 0)
    assert program("z80") == b""


def run_filter(program: bytes, audit: int, number: int, third: int) -> bool:
    """Return whether a filter permits a call, by running it as the kernel does."""
    import struct

    steps, place, register = list(struct.iter_unpack("=HBBI", program)), 0, 0
    data = {NUMBER: number, ARCHITECTURE: audit, THIRD_ARGUMENT: third}
    while True:
        code, if_true, if_false, operand = steps[place]
        place += 1
        if code == LOAD:
            register = data[operand]
        elif code == EQUAL:
            place += if_true if register == operand else if_false
        elif code == ANY_BIT:
            place += if_true if register & operand else if_false
        else:
            return operand == ALLOW


SAY = f"""
import os, struct, time
say = lambda kind, body=b"": os.write(1, struct.pack("{HEADER.format}", kind, len(body)) + body)
say({protocol.HELLO}, b"\\3")
"""
MEMBER = f"say({protocol.MEMBER}, b'\\0\\0!/a')\n"
LIES = {
    "nothing": ("", "damaged"),
    "no hello": (f"import os; os.write(1, {HEADER.pack(protocol.DONE, 0)!r})", "damaged"),
    "random bytes": ("import os; os.write(1, bytes(range(256)) * 99)", "damaged"),
    "an oversized frame": (
        SAY + f"os.write(1, struct.pack('{HEADER.format}', {protocol.MEMBER}, 1 << 31))",
        "damaged",
    ),
    "a truncated frame": (
        SAY + f"os.write(1, struct.pack('{HEADER.format}', {protocol.OUTCOME}, 9))",
        "damaged",
    ),
    "an unknown reason": (SAY + f"say({protocol.OUTCOME}, b'\\xff')", "damaged"),
    "an unknown media type": (SAY + f"say({protocol.MEMBER}, b'\\x09\\0a')", "damaged"),
    "an empty outcome": (SAY + f"say({protocol.OUTCOME})", "damaged"),
    "data without a member": (SAY + f"say({protocol.DATA}, b'x')", "damaged"),
    "a member in a member": (SAY + MEMBER + MEMBER, "damaged"),
    "done in a member": (SAY + MEMBER + f"say({protocol.DONE})", "damaged"),
    "empty data": (SAY + MEMBER + f"say({protocol.DATA})", "damaged"),
    "endless data": (
        SAY + MEMBER + f"while True: say({protocol.DATA}, bytes(65536))",
        "too_large",
    ),
    "endless members": (
        SAY + f"while True: say({protocol.MEMBER}, b'\\0\\0a'); say({protocol.END})",
        "too_many",
    ),
    "endless outcomes": (SAY + f"while True: say({protocol.OUTCOME}, b'\\0a')", "too_many"),
    "killed": (SAY + "os.kill(os.getpid(), 9)", "memory"),
    "crashed": (SAY + "os.abort()", "fault"),
    "crashed at a new entry each time": (
        SAY + f"say({protocol.ENTRY}, struct.pack('>I', int(time.monotonic() * 1000) %"
        " 2**32))\nos.abort()",
        "fault",
    ),
    "out of processor time": (
        SAY + "import resource; resource.setrlimit(resource.RLIMIT_CPU, (1, 2))\nwhile True: pass",
        "timeout",
    ),
    "out of memory": (SAY + f"os._exit({protocol.OUT_OF_MEMORY})", "memory"),
    "silent": (SAY + "time.sleep(99)", "timeout"),
    "a slow trickle": (
        SAY + MEMBER + f"while True: say({protocol.DATA}, b'x'); time.sleep(.01)",
        "timeout",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_lying_or_dying_child_is_reported(child, lie: str) -> None:
    program, reason = LIES[lie]
    child(stands_in(program))
    wall = 0.3 if reason == "timeout" and "processor" not in lie else 20.0
    unpacked = out_of(
        BODY, limits=QUICK._replace(wall_seconds=wall, total_bytes=4 << 20, entries=100)
    )
    assert unpacked.outcomes[-1] == ("", reason)
    assert sum(map(len, unpacked.members.values())) <= (4 << 20) + 100 * parent.LONGEST_PATH


def test_output_before_a_crash_is_kept(child) -> None:
    child(stands_in(SAY + MEMBER + f"say({protocol.DATA}, b'15400000001')\nos.abort()"))
    unpacked = out_of(BODY)
    assert unpacked.members == {"!/a": b"15400000001"}
    assert unpacked.outcomes == [("", "fault")]


def test_paths_are_only_displayed(child) -> None:
    path = "b'\\0\\xff\\0' + b'!/\\x1b[31m\\xff' + b'a' * 5000"
    child(
        stands_in(
            SAY + f"say({protocol.MEMBER}, {path}); say({protocol.END}); say({protocol.DONE})"
        )
    )
    [path] = out_of(BODY).members
    assert len(path) == parent.LONGEST_PATH
    assert path.isprintable()


def test_time_between_two_members_does_not_count_for_the_child() -> None:
    now, read = [0.0], []
    with parent.UnpackRun(BODY, "a", QUICK, "", clock=lambda: now[0]) as items:
        for item in items:
            read.append(item.read())
            now[0] += 10 * QUICK.wall_seconds
    assert read == [b"a.csv", b"15400000001"]


def test_unread_member_is_skipped() -> None:
    files = {f"{n}.csv": bytes(b"x" * 300_000) for n in range(3)}
    with parent.unpack(builders.zip_of(files), "a") as items:
        listed = list(items)
    assert [item.path for item in listed] == ["a!/", "a!/0.csv", "a!/1.csv", "a!/2.csv"]
    assert listed[1].read() == b""


def children_of(process: int) -> list[int]:
    return [
        int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()
    ]


def test_abandoned_run_leaves_no_child(child) -> None:
    child(PROBE % ('self.text("", [b"x"])\n    while True: pass', ""))
    with parent.ForkServer() as server:
        with parent.unpack(BODY, "a", server=server) as items:
            unpacked = iter(items)
            next(unpacked)
            assert len(children_of(server.pid)) == 1
        assert children_of(server.pid) == []
        process = server.pid
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


def test_server_and_child_die_with_the_parent(child) -> None:
    program = f"""
import sys, os; sys.path[:0] = [{str(parent.ROOT)!r}]
from matcher.unpack import parent
from tests.matcher.unpack import test_child
parent.PROGRAM = test_child.PROBE % ("while True: pass", "")
server = parent.ForkServer()
with server.child("zip", parent.Limits(), test_child.BODY) as child:
    child.stdout.read(6)
    print(server.pid, *test_child.children_of(server.pid), flush=True)
    os.kill(os.getpid(), 9)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    processes = [int(word) for word in result.stdout.split()]
    assert len(processes) == 2
    until = time.monotonic() + 60
    for process in processes:
        while _state(process) != "Z":
            assert time.monotonic() < until
            time.sleep(0.01)


def test_containers_share_only_the_server(child) -> None:
    """What a container leaves in the memory of its child is not there for the next one."""
    program = (
        'self.text("", [repr((formats.TEXT, os.getpid() == PARENT)).encode()]); formats.TEXT ='
        ' "taken over"'
    )
    child(PROBE % (program, "from matcher.unpack import formats"))
    with parent.ForkServer() as server:
        unpacked = []
        for _ in range(3):
            with parent.unpack(BODY, "a", server=server) as items:
                unpacked += [item.read() for item in items]
        assert unpacked == [b"('text', False)"] * 3


TABLE = builders.avro_of([["15400000001"]])
"""A file whose reader is loaded by a second server."""


BEFORE_THE_SEAL = """
held = []; had = child.seal
def seal(libc):
    held.append(str(%s))
    return had(libc)
child.seal = seal"""


def test_slow_library_is_loaded_once_for_all_children(child) -> None:
    child(PROBE % ('self.text("", [held[0].encode()])', BEFORE_THE_SEAL % "os.getppid()"))
    with parent.ForkServer() as server:
        unpacked = []
        for body in (TABLE, TABLE, BODY):
            with parent.unpack(body, "a", server=server) as items:
                unpacked += [int(item.read()) for item in items]
        assert unpacked[0] == unpacked[1] != server.pid
        assert unpacked[2] == server.pid


@pytest.mark.parametrize(
    "body", [TABLE, builders.parquet_of([["15400000001"]])], ids=["avro", "parquet"]
)
def test_child_has_one_thread_whatever_its_library_started(child, body: bytes) -> None:
    child(
        PROBE
        % (
            'self.text("", [held[0].encode()])',
            BEFORE_THE_SEAL % 'len(os.listdir("/proc/self/task"))',
        )
    )
    assert out_of(body).members == {"": b"1"}


def test_library_that_kills_its_server_loses_only_its_own_files(child) -> None:
    child("""
import sys; sys.path.append(sys.argv.pop(1))
import os
from matcher.unpack import child, formats
readers = dict(formats.find_formats())
readers["avro"] = readers["avro"]._replace(load=os.abort)
formats.find_formats = lambda: readers
child.main()
""")
    unpacked = out_of(builders.zip_of({"a": TABLE, "b": b"15400000001"}))
    assert unpacked.texts == {"!/b": "15400000001"}
    assert unpacked.outcomes == [("!/a", "unsupported")]


def test_library_that_loads_forever_is_abandoned(child, monkeypatch) -> None:
    monkeypatch.setattr(parent, "LONGEST_LOAD", 0.2)
    child("""
import sys; sys.path.append(sys.argv.pop(1))
import time
from matcher.unpack import child, formats
readers = dict(formats.find_formats())
readers["avro"] = readers["avro"]._replace(load=lambda: time.sleep(99))
formats.find_formats = lambda: readers
child.main()
""")
    with parent.ForkServer() as server:
        for body in (TABLE, BODY):
            with parent.unpack(
                body,
                "a",
                QUICK._replace(wall_seconds=0.3 if body is TABLE else 60.0),
                server=server,
            ) as items:
                unpacked = [
                    item.reason if isinstance(item, UnreadPart) else item.read() for item in items
                ]
            assert unpacked == (["timeout"] if body is TABLE else [b"a.csv", b"15400000001"])


def test_idle_second_servers_end(child) -> None:
    child(PROBE % ('self.text("", [b"x"])', "child.IDLE_SECONDS = 0.01"))
    with parent.ForkServer() as server:
        for _ in range(2):
            with parent.unpack(TABLE, "a", server=server) as items:
                assert [item.read() for item in items] == [b"x"]
            until = time.monotonic() + 60
            while children_of(server.pid):
                assert time.monotonic() < until
                time.sleep(0.01)


def test_child_cannot_reach_its_server(child) -> None:
    words = ["os.kill(PARENT, 9)", 'open(f"/proc/{PARENT}/mem", "rb")', "os.pidfd_open(PARENT)"]
    unpacked = probe(child, f"[{', '.join(f'tried(lambda: {attempt})' for attempt in words)}]")
    assert unpacked == ["PermissionError 1"] * 3


def test_two_containers_are_read_concurrently() -> None:
    with parent.ForkServer() as server, parent.unpack(BODY, "a", server=server) as first_items:
        first = iter(first_items)
        next(first)
        with parent.unpack(builders.zip_of({"b": b"x"}), "b", server=server) as second:
            assert [item.read() for item in second] == [b"b", b"x"]
        assert [item.read() for item in first] == [b"15400000001"]


def test_dead_server_is_replaced() -> None:
    with parent.ForkServer() as server:
        for _ in range(2):
            with parent.unpack(BODY, "a", server=server) as items:
                assert [item.read() for item in items] == [b"a.csv", b"15400000001"]
            before = server.pid
            os.kill(before, signal.SIGKILL)
            os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
        assert server.pid == before


def test_server_death_during_a_run_is_reported_as_out_of_memory(child) -> None:
    child(PROBE % ('self.text("", [b"x"])\n    while True: pass', ""))
    with parent.ForkServer() as server, parent.unpack(BODY, "a", server=server) as items:
        unpacked = iter(items)
        assert next(unpacked).read() == b"x"
        os.kill(server.pid, signal.SIGKILL)
        assert [item.reason for item in unpacked] == ["memory"]


def test_server_that_cannot_start_is_an_unavailable_error(child) -> None:
    child("raise SystemExit(1)")
    with pytest.raises(UnavailableError, match=r"cannot be started|exited during startup"):
        out_of(BODY)


def test_server_is_not_reused_without_seccomp(child) -> None:
    child(PROBE % ('self.text("", [b"x"])', "child.seal = lambda libc: False"))
    with parent.ForkServer() as server, parent.unpack(BODY, "a", server=server) as items:
        list(items)
        assert server.pid == 0


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def test_nothing_is_written_to_disk(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.chdir(tmp_path)
    mail = (
        b"MIME-Version: 1.0\nFrom: a@example.com\nContent-Type:"
        b" application/zip\nContent-Transfer-Encoding: base64\n\n"
    )
    assert out_of(BODY).texts
    assert out_of(builders.tar_of({"a": b"x"}, "w:xz")).texts
    assert out_of(builders.pdf_of("x")).texts
    assert out_of(mail).members
    assert list(tmp_path.iterdir()) == []


BARE = """
import sys; sys.path.append(sys.argv.pop(1))
from matcher.unpack import child
from matcher.unpack.readers import archives, office, pdf
archives.libarchive = pdf.library = office.calamine = lambda: None
child.main()
"""


def test_missing_libraries_leave_other_formats_readable(child) -> None:
    child(BARE)
    files = {
        "a.csv": b"15400000001",
        "b": b"7z\xbc\xaf\x27\x1c" + bytes(40),
        "c": builders.pdf_of("x"),
        "d": BODY[:-9],
    }
    unpacked = out_of(builders.zip_of(files))
    assert unpacked.members["!/a.csv"] == b"15400000001"
    assert unpacked.outcomes == [("!/b", "unsupported"), ("!/c", "unsupported"), ("!/d", "damaged")]


def test_missing_executable_is_an_unavailable_error(monkeypatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(UnavailableError, match="cannot be started"):
        out_of(BODY)
