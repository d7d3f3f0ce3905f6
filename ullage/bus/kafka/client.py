"""How Kafka's client is set up here, and what its errors mean to us.

Its defaults that are changed, and why: it commits by itself (a record would be lost between commit and output), starts a new
group at the end (what came before would be lost), and asks the broker to make topics that are missing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from kafka import errors

from ullage.bus.kafka.address import KafkaAddress
from ullage.errors import ConfigError, RecordError, UnavailableError

MIB = 1024 * 1024
RECORD_BYTES = 34 * MIB
POLL_BYTES = 64 * MIB
DELIVERY_SECONDS, REQUEST_SECONDS, CONNECT_SECONDS = 30, 20, 15
"""The client spins on a processor while a broker that stands still takes its connection (seen in 3.0.12), so a delivery is given
up soon after the request; what asks repeats it with a client of its own, which waits."""
SESSION_SECONDS, HEARTBEAT_SECONDS = 10, 3
HANDLING_SECONDS = 24 * 3600
"""How long a batch may take, waiting for what is down included: a member that was put out of its group in the middle of a batch
would write beside its successor when what it waited for came back. One that died is noticed by its heartbeat."""
LOGIN_REFUSED = "Kafka refuses user or password: see the file that credentials= in bus.url names"
NO_BROKER = "this is no Kafka broker: see host and port in bus.url"
SEE_PLAN = "`ullage check --plan` prints the rules that it needs"


@contextlib.contextmanager
def kafka_errors(what: str) -> Iterator[None]:
    """Turn the client's errors into ours; `what` is the topic in hand."""
    try:
        yield
    except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError):
        raise RecordError("oversize", f"{what}: a record is larger than {RECORD_BYTES // MIB} MiB") from None
    except errors.SaslAuthenticationFailedError:
        raise ConfigError(f"{what}: {LOGIN_REFUSED}") from None
    except errors.GroupAuthorizationFailedError:
        raise ConfigError(f"Kafka refuses this user the group that reads {what}: {SEE_PLAN}") from None
    except errors.AuthorizationError as error:
        raise ConfigError(f"Kafka refuses {what} to this user ({type(error).__name__}): {SEE_PLAN}") from None
    except errors.KafkaConfigurationError as error:
        raise ConfigError(f"bus.url: the Kafka client cannot use it: {error}") from None
    except (errors.KafkaError, OSError) as error:
        raise UnavailableError(f"{what}: Kafka does not answer ({type(error).__name__})") from None


def client_settings(address: KafkaAddress) -> dict[str, Any]:
    """What every connection has."""
    return {
        "bootstrap_servers": list(address.servers),
        "client_id": "ullage",
        "request_timeout_ms": REQUEST_SECONDS * 1000,
        "bootstrap_timeout_ms": CONNECT_SECONDS * 1000,
        "reconnect_backoff_max_ms": 1000,
        **address.client,
    }


def consumer_settings(address: KafkaAddress, group: str) -> dict[str, Any]:
    """What a consumer has beside that."""
    return {
        **client_settings(address),
        "group_id": address.group(group),
        "enable_auto_commit": False,
        "auto_offset_reset": "earliest",
        "isolation_level": "read_committed",
        "allow_auto_create_topics": False,
        "session_timeout_ms": SESSION_SECONDS * 1000,
        "heartbeat_interval_ms": HEARTBEAT_SECONDS * 1000,
        "max_poll_interval_ms": HANDLING_SECONDS * 1000,
        "max_partition_fetch_bytes": RECORD_BYTES,
    }
