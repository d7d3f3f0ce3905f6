"""Every route names what it needs; a role may do what stands in the table, and sees its own
tenants.
"""

from typing import Annotated

import pytest
from fastapi import APIRouter, FastAPI

from alerts.accounts import APART, PERMISSIONS, PURPOSES, ROLES, ForbiddenError, Principal
from alerts.web.dependencies import (
    Console,
    allow_anybody,
    list_permissions,
    list_routes,
    require_declared,
    require_login,
    require_permission,
)
from alerts.web.pages import routers
from ullage.errors import ConfigError


def app_with(*dependencies) -> FastAPI:
    app, router = FastAPI(openapi_url=None), APIRouter()
    router.add_api_route("/things", lambda: "things", dependencies=list(dependencies))
    app.include_router(router)
    return app


def test_route_without_a_permission_is_rejected_at_start():
    with pytest.raises(ConfigError, match="/things declares no permission"):
        require_declared(app_with())


@pytest.mark.parametrize(
    ("named", "open_"),
    [
        (allow_anybody(), {"/things"}),
        (require_login(), set()),
        (require_permission("incident.read"), set()),
    ],
)
def test_route_without_login_says_so(named, open_):
    assert require_declared(app_with(named)) == open_


def test_foreign_route_is_rejected():
    app = app_with(require_permission("incident.read"))
    app.mount("/files", FastAPI())
    with pytest.raises(ConfigError, match="/files"):
        require_declared(app)


def test_unknown_permission_is_rejected():
    with pytest.raises(ConfigError, match=r"incident\.reed"):
        require_permission("incident.reed")


def test_route_may_name_its_permission_by_type():
    app = FastAPI(openapi_url=None)

    @app.get("/things")
    def things(site: Annotated[Console, require_permission("audit.read")]) -> str:
        return site.principal.name

    assert [list_permissions(route) for route in list_routes(app)] == [{"audit.read"}]


def test_every_page_module_registers_itself():
    paths = {route.path for router in routers() for route in router.routes}
    assert {"/", "/incidents/{id_}", "/exposed", "/noise", "/sellers"} <= paths


def test_role_table_has_only_known_permissions_and_uses_each():
    granted = frozenset().union(*ROLES.values())
    assert granted == PERMISSIONS.keys() - PURPOSES.keys()


def test_agent_may_only_check_people():
    assert ROLES["agent"] == {"person.check"}


def test_operator_sees_no_incident_and_auditor_changes_nothing():
    assert not any(
        permission.startswith(("incident.", "customers.", "person."))
        for permission in ROLES["operator"]
    )
    assert all(permission.endswith(".read") for permission in ROLES["auditor"])
    assert {"operator", "resolver", "auditor"} == APART


def test_principal_has_the_permissions_of_all_roles():
    principal = Principal.person("Li", ["agent", "analyst"], ["bank"])
    assert principal.can("person.check")
    assert principal.can("incident.decide")
    assert not principal.can("deadline.waive")
    with pytest.raises(ForbiddenError, match=r"deadline\.waive"):
        principal.require("deadline.waive")
    with pytest.raises(KeyError):
        principal.can("incident.reed")


def test_principal_sees_only_named_tenants_or_all():
    bank_only, every, none = (
        Principal.person("Li", ["lead"], tenants) for tenants in (["bank"], ["*"], [])
    )
    assert [who.sees("bank") for who in (bank_only, every, none)] == [True, True, False]
    assert [who.sees("shop") for who in (bank_only, every, none)] == [False, True, False]
