"""Produce the messages of all errors that the code can raise, without raising them.

Every call of an error class is found by its syntax tree, and its message is evaluated: constants
and tables of the module as they are, and a marker such as `⟦path⟧` for what is known only at run
time. A conditional expression gives one message for each branch, and a message that is built by a
helper function, or in a local variable, is followed to the place where its words are.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from ullage.errors import UllageError
from ullage.phrase import Phrase

ROOT = Path(__file__).parents[1]
PACKAGES = ("ullage", "crawlers", "matcher", "alerts", "deploy")
MESSAGE_ARGUMENT = {"RecordError": 1, "ProblemError": 1}
"""Position of the message, where it is not the first argument."""
MAX_DEPTH = 6
MAX_VARIANTS = 24
OPEN, CLOSE = "⟦", "⟧"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Raised:
    """One error that the code can raise, with a message that it can have."""

    place: str
    kind: type[UllageError]
    message: str
    members: tuple[str, ...]
    """Fields of a form or request that the error names beside its message."""

    @property
    def package(self) -> str:
        """Return the top-level package."""
        return self.place.partition("/")[0]


@dataclass(frozen=True)
class Module:
    """The syntax tree of a module and its imported names."""

    path: str
    tree: ast.Module
    names: Mapping[str, Any]
    parents: Mapping[ast.AST, ast.AST]

    def find_function(self, name: str) -> Function | None:
        """Return the function or method `name`."""
        for node in ast.walk(self.tree):
            if isinstance(node, Function) and node.name == name:
                return node
        return None

    def list_enclosing(self, function: Function | None) -> Iterator[Function]:
        """Yield a function and those around it."""
        while function is not None:
            yield function
            function = self.find_enclosing(function)

    def find_enclosing(self, node: ast.AST) -> Function | None:
        """Return the function that contains `node`."""
        parent = self.parents.get(node)
        while parent and not isinstance(parent, Function):
            parent = self.parents.get(parent)
        return parent


@dataclass(frozen=True)
class Scope:
    """A function of a module, and what its arguments are known to hold."""

    module: Module
    function: Function | None = None
    arguments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    depth: int = 0

    def list_local_names(self) -> set[str]:
        """Return all names that the function binds."""
        return {
            name
            for function in self.module.list_enclosing(self.function)
            for name in self._list_bound_names(function)
        }

    @staticmethod
    def _list_bound_names(function: Function) -> set[str]:
        return {
            node.arg if isinstance(node, ast.arg) else str(getattr(node, "id", ""))
            for node in ast.walk(function)
            if isinstance(node, ast.arg)
            or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        } | {str(node.name) for node in ast.walk(function) if isinstance(node, ast.ExceptHandler)}


@cache
def read_module(path: str) -> Module:
    """Parse and import the module at `path`."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return Module(path, tree, vars(importlib.import_module(name)), parents)


def _find_path(name: str) -> str:
    """Return the path of the module `name`."""
    path = name.replace(".", "/")
    return f"{path}.py" if (ROOT / f"{path}.py").exists() else f"{path}/__init__.py"


def render(node: ast.expr, scope: Scope) -> list[str]:
    """Return the texts that an expression can have."""
    return list(dict.fromkeys(_render(node, scope)))[:MAX_VARIANTS]


def _render(node: ast.expr, scope: Scope) -> list[str]:  # noqa: PLR0911 - one per kind
    match node:
        case ast.Constant():
            return [str(node.value)]
        case ast.JoinedStr():
            return _join([render(part, scope) for part in node.values])
        case ast.FormattedValue():
            return _format(node, scope)
        case ast.IfExp():
            return render(node.body, _assume(node.test, scope)) + render(node.orelse, scope)
        case ast.BoolOp():
            texts = [text for value in node.values for text in render(value, scope)]
            return [text for text in texts if text]
        case ast.BinOp(op=ast.Add()):
            return _join([render(node.left, scope), render(node.right, scope)])
        case ast.BinOp(op=ast.Mult()) if isinstance(node.left, (ast.JoinedStr, ast.Constant)):
            return [*render(node.left, scope), ""]
        case ast.Name() if node.id in scope.arguments:
            return list(scope.arguments[node.id])
        case ast.Name():
            return _render_variable(node, scope)
        case ast.Call():
            return _render_call(node, scope)
    return _evaluate(node, scope)


def _assume(test: ast.expr, scope: Scope) -> Scope:
    """Return the scope in which a variable that is tested is not empty."""
    if not isinstance(test, ast.Name) or test.id not in scope.list_local_names():
        return scope
    texts = [text for text in render(test, scope) if text]
    return replace(scope, arguments={**scope.arguments, test.id: texts})


def _format(node: ast.FormattedValue, scope: Scope) -> list[str]:
    """Render a field of an f-string with its format."""
    whole = ast.JoinedStr([node])
    if node.format_spec is not None and not _is_open(node.value, scope):
        return _evaluate(whole, scope)
    return render(node.value, scope)


def _join(parts: Iterable[Sequence[str]]) -> list[str]:
    return ["".join(texts) for texts in itertools.islice(itertools.product(*parts), MAX_VARIANTS)]


def _is_open(node: ast.expr, scope: Scope) -> bool:
    """Return whether an expression uses a name that has a value only at run time."""
    local = scope.list_local_names()
    return any(isinstance(each, ast.Name) and each.id in local for each in ast.walk(node))


def _evaluate(node: ast.expr, scope: Scope) -> list[str]:
    """Evaluate an expression of module-level names; a marker stands for any other."""
    if not _is_open(node, scope):
        code = compile(ast.fix_missing_locations(ast.Expression(node)), scope.module.path, "eval")
        with contextlib.suppress(Exception):  # needs a value of run time after all
            value = eval(code, dict(scope.module.names))
            return [str(Phrase("%(value)s", value=value))]
    return [f"{OPEN}{ast.unparse(node)}{CLOSE}"]


def _render_variable(node: ast.Name, scope: Scope) -> list[str]:
    """Render all values that are assigned to a variable of the function."""
    values = list(_find_values(node.id, scope))
    texts = [text for value in values for text in render(value, _deeper(scope))]
    texts += _render_default(node.id, scope)
    if any(isinstance(scope.module.parents.get(value), ast.NamedExpr) for value in values):
        texts = [text for text in texts if text]  # the condition excludes ""
    return texts or _evaluate(node, scope)


def _render_default(name: str, scope: Scope) -> list[str]:
    """Render the default of an argument of the function."""
    if scope.function is None:
        return []
    arguments = scope.function.args
    defaults = dict(
        zip([each.arg for each in arguments.args[::-1]], arguments.defaults[::-1], strict=False)
    )
    default = defaults.get(name)
    return render(default, scope) if default is not None else []


def _find_values(name: str, scope: Scope) -> Iterator[ast.expr]:
    """Yield the expressions that the function assigns to `name`."""
    if scope.function is None or scope.depth > MAX_DEPTH:
        return
    for node in ast.walk(scope.function):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.Assign(targets=[ast.Tuple(elts=names)], value=ast.Tuple(elts=values)):
                for each, value in zip(names, values, strict=True):
                    if isinstance(each, ast.Name) and each.id == name:
                        yield value
            case (
                ast.AnnAssign(target=ast.Name(id=target), value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name(id=target), value=value)
            ) if target == name:
                yield value


def _deeper(scope: Scope) -> Scope:
    return Scope(scope.module, scope.function, scope.arguments, scope.depth + 1)


def _render_call(node: ast.Call, scope: Scope) -> list[str]:  # noqa: PLR0911 - one per kind
    """Render a phrase, `str(…)`, a joined list, or the results of a function of this project."""
    called = ast.unparse(node.func)
    if called == "Phrase":
        values = {str(each.arg): render(each.value, scope) for each in node.keywords if each.arg}
        return [
            str(Phrase(text, **dict(zip(values, texts, strict=True))))
            for text in render(node.args[0], scope)
            for texts in itertools.islice(itertools.product(*values.values()), MAX_VARIANTS)
        ]
    if called.endswith(".get") and isinstance(
        table := scope.module.names.get(called.removesuffix(".get")), Mapping
    ):
        return [*map(str, table.values()), *render(node.args[1], scope)]
    if isinstance(node.func, ast.Attribute) and node.func.attr == "format":
        texts = render(node.func.value, scope)
        return [re.sub(r"\{(\w+)\}", rf"{OPEN}\1{CLOSE}", text) for text in texts]
    if called == "str":
        return render(node.args[0], scope)
    if not _is_open(node, scope) and not called.startswith("self."):
        return _evaluate(node, scope)
    if called.endswith(".join") and isinstance(node.args[0], ast.Name):
        return render_items(node.args[0], scope) or _evaluate(node, scope)
    if entered := _enter(node, scope):
        texts = [text for value in _find_results(entered) for text in render(value, entered)]
        return texts or _evaluate(node, scope)
    return _evaluate(node, scope)


def _enter(node: ast.Call, scope: Scope) -> Scope | None:
    """Return the scope of the project's function that is called; None if it makes no text."""
    if scope.depth > MAX_DEPTH:
        return None
    module = scope.module
    match node.func:
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name):
            function = module.find_function(name)
        case ast.Name(id=name) | ast.Attribute(value=ast.Name(), attr=name):
            target = _resolve(node.func, module)
            home = str(getattr(target, "__module__", ""))
            if not home.startswith(PACKAGES) or not inspect.isfunction(target):
                return None
            module = read_module(_find_path(home))
            function = module.find_function(name)
        case _:
            return None
    if function is None or not any(
        word in ast.unparse(function.returns or ast.Constant("")) for word in ("str", "Phrase")
    ):
        return None
    names = [each.arg for each in function.args.args if each.arg not in ("self", "cls")]
    bound = dict(zip(names, node.args, strict=False))
    bound |= {str(each.arg): each.value for each in node.keywords if each.arg}
    arguments = {
        name: render(value, _deeper(scope))
        for name, value in bound.items()
        if not isinstance(value, ast.Starred)
    }
    return Scope(module, function, arguments, scope.depth + 1)


def _resolve(node: ast.expr, module: Module) -> object:
    """Return the function that a name, or an attribute of an imported module, stands for."""
    match node:
        case ast.Attribute(value=ast.Name(id=owner), attr=name):
            namespace = module.names.get(owner)
            function = getattr(namespace, name, None) if inspect.ismodule(namespace) else None
        case ast.Name(id=name):
            function = module.names.get(name)
    return inspect.unwrap(function) if inspect.isfunction(function) else None


def _find_results(scope: Scope) -> Iterator[ast.expr]:
    """Yield what a function returns or yields."""
    for node in ast.walk(scope.function or ast.Pass()):
        if isinstance(node, (ast.Return, ast.Yield)) and node.value is not None:
            yield node.value


def render_items(node: ast.expr, scope: Scope) -> list[str]:
    """Return the texts that the items of a list or an iterator can have."""
    texts = list[str]()
    match node:
        case ast.List() | ast.Tuple():
            for item in node.elts:
                texts += (
                    render_items(item.value, scope)
                    if isinstance(item, ast.Starred)
                    else render(item, scope)
                )
        case ast.GeneratorExp() | ast.ListComp():
            texts += render(node.elt, scope)
        case ast.Name():
            for value in _find_values(node.id, scope):
                texts += render_items(value, _deeper(scope))
            for value in _find_additions(node.id, scope):
                texts += value
        case ast.Call():
            if entered := _enter(node, scope):
                for value in _find_results(entered):
                    texts += render_items(value, entered) or (
                        render(value, entered) if not isinstance(value, ast.Name) else []
                    )
            elif (
                ast.unparse(node.func) in ("list", "tuple", "sorted", "dict.fromkeys") and node.args
            ):
                texts += render_items(node.args[0], scope)
        case ast.IfExp():
            texts += render_items(node.body, scope) + render_items(node.orelse, scope)
        case ast.BinOp():
            texts += render_items(node.left, scope) + render_items(node.right, scope)
    return list(dict.fromkeys(texts))


def _find_additions(name: str, scope: Scope) -> Iterator[list[str]]:
    """Yield the texts that the function appends to the list `name`."""
    for node in ast.walk(scope.function or ast.Pass()):
        match node:
            case ast.AugAssign(target=ast.Name(id=target), value=value) if target == name:
                yield render_items(value, _deeper(scope))
            case ast.Call(
                func=ast.Attribute(value=ast.Name(id=target), attr=method), args=[value]
            ) if target == name:
                if method == "append":
                    yield render(value, _deeper(scope))
                elif method == "extend":
                    yield render_items(value, _deeper(scope))


def list_errors() -> list[Raised]:
    """Return all errors that the code constructs, one for each message."""
    return [
        error
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
        for error in _list_module_errors(path.relative_to(ROOT).as_posix())
    ]


@cache
def _name_kinds() -> Mapping[str, type[UllageError]]:
    kinds = dict[str, type[UllageError]]()
    queue = [UllageError]
    while queue:
        kind = queue.pop()
        kinds[kind.__name__] = kind
        queue += kind.__subclasses__()
    return kinds


def _list_module_errors(path: str) -> Iterator[Raised]:
    text = (ROOT / path).read_text(encoding="utf-8")
    if "Error(" not in text and "Halt(" not in text:
        return
    module = read_module(path)
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        kind = module.names.get(node.func.id)
        if not (isinstance(kind, type) and issubclass(kind, UllageError)):
            continue
        scope = Scope(module, module.find_enclosing(node))
        place = f"{path}:{node.lineno}"
        members = tuple(
            text
            for argument in node.args[1:]
            for text in (
                [ast.unparse(argument)]
                if isinstance(argument, ast.Starred)
                else render(argument, scope)
            )
        )
        for message in _list_messages(kind, node, scope):
            yield Raised(place, kind, message, members)


def _list_messages(kind: type[UllageError], node: ast.Call, scope: Scope) -> list[str]:
    """Return the messages of one construction."""
    composed = _enter_constructor(kind, node, scope)
    if composed is not None:
        return composed
    if kind.__name__ == "FaultsError":
        return render_items(node.args[0], scope) or [f"{OPEN}{ast.unparse(node.args[0])}{CLOSE}"]
    position = MESSAGE_ARGUMENT.get(kind.__name__, 0)
    if position >= len(node.args):
        position = 0
    return render(node.args[position], scope)


def _enter_constructor(kind: type[UllageError], node: ast.Call, scope: Scope) -> list[str] | None:
    """Return the messages that a class makes of its arguments; None if it is given a message."""
    module = read_module(_find_path(kind.__module__))
    for each in module.tree.body if "__init__" in vars(kind) else ():
        if isinstance(each, ast.ClassDef) and each.name == kind.__name__:
            function = next(
                item
                for item in each.body
                if isinstance(item, ast.FunctionDef) and item.name == "__init__"
            )
            message = next(
                call.args[0]
                for call in ast.walk(function)
                if isinstance(call, ast.Call) and ast.unparse(call.func) == "super().__init__"
            )
            if not isinstance(message, (ast.Call, ast.JoinedStr)) or kind.__name__ == "FaultsError":
                return None
            names = [each.arg for each in function.args.args[1:]]
            bound = [render(argument, scope) for argument in node.args]
            return render(message, Scope(module, function, dict(zip(names, bound, strict=False))))
    return None
