"""What the owner of an Elasticsearch cluster sets up for us, as text for Kibana's Dev Tools console.

The daemon itself has no right to make an index or a template, so whoever may do that does it once, and again after an update.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from alerts.store.mapping import LATER, templates
from alerts.store.rights import PROCESSES, roles

HEAD = """\
# For the owner of the Elasticsearch cluster: paste all of it into Kibana's Dev Tools console (Elasticsearch 8 or 9).
# It may be run again after an update: an index that is there answers 400 to its first request and is brought up by the next two.
"""
TAIL = """\
# At last a user for each process, with a password of its own, which goes into the file store.password in that process's keys
# folder (mode 0600) and its name into store.user beside it. A user for all of them has all of the roles.
"""


def console(prefix: str) -> Iterator[str]:
    """Templates, indexes and roles for index names that begin with `prefix`: comments, and requests between empty lines."""
    yield HEAD
    for name, template in templates(prefix).items():
        yield _request(f"_index_template/{name}", template)
        yield _request(name)
        yield _request(f"{name}/_mapping", template["template"]["mappings"])
        yield _request(f"{name}/_settings", LATER)
    for name, role in roles(prefix).items():
        yield _request(f"_security/role/{name}", role)
    yield TAIL + "".join(f"# PUT _security/user/{prefix}{process}: role {prefix}{process}\n" for process in PROCESSES)


def _request(path: str, body: Mapping[str, Any] | None = None) -> str:
    return f"PUT {path}\n" + (f"{json.dumps(body, indent=2, ensure_ascii=False)}\n" if body is not None else "")
