"""What `ullage run` starts of this stage beside crawl: intake if configured, a collector for
each service with channels.
"""

from __future__ import annotations

from collections.abc import Callable

from crawlers.collectors.channel import SERVICES, ChannelFolder
from ullage import log
from ullage.errors import ConfigError
from ullage.settings import SITES, Context


def roles_of(context: Context) -> Callable[[], list[str]]:
    """Gives, at any time, the commands that are configured then; what is wrong with channel
    files is logged once each.
    """
    folder = ChannelFolder(context.data, SITES)
    told = set[str]()

    def roles() -> list[str]:
        found = ["intake"] if context.settings.intake.run else []
        services = {channel.service for channel in folder.read().values()} | {
            *folder.refused.values()
        }
        found += [f"collect {service}" for service in SERVICES if service in services]
        _tell(folder.faults)
        return found

    def _tell(faults: list[ConfigError]) -> None:
        for fault in {str(fault) for fault in faults} - told:
            log.get("run").error("channel_refused", error=fault)
            told.add(fault)

    return roles
