"""The fixtures that every test has, for the live tests of this folder: no network but loopback, a held clock, a data folder."""

from tests.conftest import (
    clock,
    context,
    data,
    initialised,
    no_log_left_behind,
    no_network,
    own_cache,
    umask_as_before,
)

__all__ = ["clock", "context", "data", "initialised", "no_log_left_behind", "no_network", "own_cache", "umask_as_before"]
