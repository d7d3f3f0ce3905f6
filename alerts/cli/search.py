"""`ullage search`: serve the console and its API."""

from __future__ import annotations

import contextlib
import socket

import typer

from alerts.accounts.accounts import Accounts
from alerts.accounts.management import first_login
from alerts.store import PAGE_PATIENCE, open_configured_store, store_trust
from alerts.web.app import create_app
from ullage.monitoring.metrics import STORE, CertificateMetrics, new_registry
from ullage.runtime.http_server import listening, listening_at, serve
from ullage.runtime.service import running, spare_what_stands
from ullage.security.tls import ListenerCertificate
from ullage.settings import LOOPBACK, Context


def search(ctx: typer.Context) -> None:
    """Serve the console and its API on loopback, on a socket, or with TLS."""
    context: Context = ctx.obj
    settings = context.settings.search
    tls = ListenerCertificate.from_settings(
        "search", context.data, settings.certificate, settings.key
    )
    registry = new_registry("search")
    CertificateMetrics(registry, {STORE: [store_trust(context)]}, tls)
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(
            contextlib.closing(open_configured_store(context, PAGE_PATIENCE))
        )
        accounts = stack.enter_context(
            contextlib.closing(Accounts(context.data, context.clock, context.inventory))
        )
        listener, hosts, address = _listening(context, stack)
        stop = stack.enter_context(running("search", registry, None, context))
        app = create_app(context, store, accounts, registry, hosts)
        typer.echo(f"search page: {address}")
        if first := first_login(accounts, context.trail("search")):
            typer.echo(f"first login (created now, shown once): {first}", err=True)
        spare_what_stands()
        serve(app, listener, stop, tls=tls)


def _listening(
    context: Context, stack: contextlib.ExitStack
) -> tuple[socket.socket, frozenset[str], str]:
    """Open the listening socket.

    Returns it, the host names that it accepts, and the address to print. The socket is closed with
    `stack`. Where `search.socket` is set, it is a Unix socket, and the only host name is
    `localhost`; otherwise all loopback names are accepted with the port, too.
    """
    settings = context.settings.search
    if settings.socket:
        path = context.data / settings.socket
        return (
            stack.enter_context(listening_at("search", path)),
            frozenset({"localhost"}),
            f"unix:{path}",
        )
    listener, port = stack.enter_context(listening("search", settings.host, settings.port))
    names = {*LOOPBACK, settings.host}
    scheme = "https" if settings.certificate else "http"
    hosts = frozenset(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in names)
    return listener, hosts, f"{scheme}://{settings.host}:{port}/"
