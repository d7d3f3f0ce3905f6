"""Every route names what it needs; a role may do what stands in the table, and sees its own
tenants.
"""

from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI

from alerts.accounts import APART, PERMISSIONS, PURPOSES, ROLES, ForbiddenError, Principal
from alerts.web.dependencies import (
    Console,
    anybody,
    logged_in,
    may,
    needed,
    require_named,
    routes_of,
)
from alerts.web.pages import routers
from ullage.errors import ConfigError


def app_with(*dependencies) -> FastAPI:
    app, router = FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/things", lambda: "things", dependencies=list(dependencies))
    app.include_router(router)
    return app


def test_a_route_that_names_nothing_is_refused_when_the_application_is_made():
    with pytest.raises(ConfigError, match="/things names no permission"):
        require_named(app_with())


@pytest.mark.parametrize(
    ("named", "open_"),
    [(anybody(), {"/things"}), (logged_in(), set()), (may("incident.read"), set())],
)
def test_what_needs_no_login_says_so(named, open_):
    assert require_named(app_with(named)) == open_


def test_what_is_no_route_of_ours_is_refused():
    app = app_with(may("incident.read"))
    app.mount("/files", FastAPI())
    with pytest.raises(ConfigError, match="/files"):
        require_named(app)


def test_a_permission_that_is_not_in_the_table_is_refused():
    with pytest.raises(ConfigError, match=r"incident\.reed"):
        may("incident.reed")


def test_a_route_may_name_it_as_the_type_of_what_it_gets():
    app = FastAPI(openapi_url=None)

    @app.get("/things")
    def things(site: Annotated[Console, may("audit.read")]) -> str:
        return site.principal.name

    assert [needed(route) for route in routes_of(app)] == [{"audit.read"}]


def test_every_page_registers_by_being_there():
    paths = {route.path for router in routers() for route in router.routes}
    assert {"/", "/incidents/{id_}", "/exposed", "/noise", "/sellers"} <= paths


def test_the_table_has_known_permissions_alone_and_each_is_somebodys():
    granted = frozenset().union(*ROLES.values())
    assert granted == PERMISSIONS.keys() - PURPOSES.keys()


def test_an_agent_checks_people_and_nothing_else():
    assert ROLES["agent"] == {"person.check"}


def test_who_runs_the_machine_sees_no_incident_and_who_looks_over_changes_nothing():
    assert not any(
        permission.startswith(("incident.", "customers.", "person."))
        for permission in ROLES["operator"]
    )
    assert all(permission.endswith(".read") for permission in ROLES["auditor"])
    assert {"operator", "resolver", "auditor"} == APART


def test_a_principal_may_what_the_roles_together_may():
    both = Principal.person("Li", ["agent", "analyst"], ["bank"])
    assert both.can("person.check")
    assert both.can("incident.decide")
    assert not both.can("deadline.waive")
    with pytest.raises(ForbiddenError, match=r"deadline\.waive"):
        both.require("deadline.waive")
    with pytest.raises(KeyError):
        both.can("incident.reed")


def test_tenants_are_those_that_are_named_unless_all_are():
    one, every, none = (
        Principal.person("Li", ["lead"], tenants) for tenants in (["bank"], ["*"], [])
    )
    assert [who.sees("bank") for who in (one, every, none)] == [True, True, False]
    assert [who.sees("shop") for who in (one, every, none)] == [False, True, False]
