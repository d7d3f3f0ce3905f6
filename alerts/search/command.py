"""`ullage search`: serves the page on loopback."""

from __future__ import annotations

import contextlib

import typer

from alerts.search.app import create_app
from alerts.search.door import TOKEN
from alerts.store import configured_store
from ullage.monitoring.metrics import new_registry
from ullage.runtime.role import running
from ullage.runtime.serving import listening, serve
from ullage.settings import LOOPBACK, Context


def search(ctx: typer.Context) -> None:
    """Serve the fraud team's page and its API on loopback."""
    context: Context = ctx.obj
    registry = new_registry("search")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(configured_store(context)))
        listener, port = stack.enter_context(listening("search", context.settings.search.host, context.settings.search.port))
        stop = stack.enter_context(running("search", registry, None))
        hosts = frozenset(f"[{name}]:{port}" if ":" in name else f"{name}:{port}" for name in LOOPBACK)
        app = create_app(context, store, registry, hosts)
        typer.echo(f"search page: http://{context.settings.search.host}:{port}/")
        typer.echo(f"log in with the token in {context.keys.root / TOKEN}", err=True)
        serve(app, listener, stop)
