"""Choose the commands that `ullage run` starts beside crawl.

These are intake if configured, and a collector for each service with channels.
"""

from __future__ import annotations

from collections.abc import Callable

from crawlers.collectors.channel import SERVICES, ChannelFolder
from ullage import log
from ullage.errors import ConfigError
from ullage.settings import SITES, Context


def roles_of(context: Context) -> Callable[[], list[str]]:
    """Return a function that lists the commands configured at the time of the call.

    Each fault of a channel file is logged one time.
    """
    folder = ChannelFolder(context.data, SITES)
    logged = set[str]()

    def list_roles() -> list[str]:
        commands = ["intake"] if context.settings.intake.run else []
        services = {channel.service for channel in folder.read().values()} | {
            *folder.refused.values()
        }
        commands += [f"collect {service}" for service in SERVICES if service in services]
        log_faults(folder.faults)
        return commands

    def log_faults(faults: list[ConfigError]) -> None:
        for fault in {str(fault) for fault in faults} - logged:
            log.get("run").error("channel_refused", error=fault)
            logged.add(fault)

    return list_roles
