"""Runs in an environment of its own: `ullage WORDS` for each line of standard input, in one
process; prints how each ended.

A line in and out is JSON: a list of words; [exit code, output, error output].
"""

import contextlib
import io
import json
import sys

from ullage import cli


def ran(words: list[str]) -> tuple[object, str, str]:
    """Exit code, output and error output of one."""
    sys.argv = ["ullage", *words]
    with (
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        try:
            cli.main()
        except SystemExit as ended:
            return ended.code, out.getvalue(), err.getvalue()
    raise AssertionError("main always exits")


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(ran(json.loads(line))), flush=True)  # noqa: T201 - read by the test
