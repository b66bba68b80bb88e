"""Would the tests notice? Mutates the gate and disclosure modules and counts what the tests kill.

    python -m benchmarks.mutation_score                 # all modules
    python -m benchmarks.mutation_score --every 5 --offset 2 validation/gate.py    # a fifth of them

mutmut 3 copies the repository, needs a section of setup.cfg and starts its own pytest plugins; this
runner changes functions in memory instead, which makes a mutant cost half a second. One change at
a time: a comparison, an operator, a boolean, a number, a word, a condition, a returned value, a
raise, a break. Each mutant runs in a forked process with the tests that belong to its module; a
failed test, an error or a hang kills it (a hang: --seconds). Not mutated: docstrings, annotations,
imports, decorators, and the text of a type name. --result adds one line of JSON for each mutant to
a file, so that a run that was cut off still says how far it came. Exits with 1 below 85 per cent.
"""

import argparse
import ast
import copy
import json
import os
import signal
import sys
import time
import types
from collections import Counter
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path

import pytest

GATE = (
    "tests/validation/test_gate_branches.py",
    "tests/validation/test_gate.py",
    "tests/validation/test_gate_decisions.py",
    "tests/validation/test_forecast_gate.py",
    "tests/validation/test_mitigation_gate.py",
    "tests/validation/test_too_few.py",
)
CELLS = (
    "tests/validation/test_disclosure_cells.py",
    "tests/validation/test_disclosure_groups.py",
    "tests/validation/test_disclosure.py",
)
MODULES = {
    "validation/gate.py": GATE,
    "validation/gate_candidates.py": GATE,
    "validation/gate_lines.py": GATE,
    "validation/disclosure/cells.py": (CELLS[0], CELLS[2], CELLS[1]),
    "validation/disclosure/cube.py": CELLS,
    "validation/disclosure/memory.py": CELLS[1:2],
    "validation/disclosure/view.py": ("tests/validation/test_disclosure_view.py",),
    "validation/disclosure/group_counts.py": CELLS,
}
# Minutes with every mutant, and kills none that the others do not.
LEFT_OUT = "not test_no_small_cell_of_a_table_can_be_derived"
WANTED = 0.85
OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
}


# ---- mutants ---------------------------------------------------------------------------------


def mutants(tree: ast.Module) -> Iterator[tuple[int, str, ast.Module]]:
    """Line, what was changed, and the changed module."""
    skipped = set(_not_mutated(tree))
    for i, original in enumerate(ast.walk(tree)):
        if _place(original) in skipped and isinstance(original, ast.Constant | ast.BinOp):
            continue
        number = 0
        # Tried on the node alone first: a copy of the whole tree for every node takes a minute.
        while _change(copy.deepcopy(original), number) is not None:
            changed = copy.deepcopy(tree)
            node = next(islice(ast.walk(changed), i, None))
            words = _change(node, number) or ""
            yield getattr(node, "lineno", 0), words, ast.fix_missing_locations(changed)
            number += 1


def _place(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _not_mutated(tree: ast.Module) -> Iterator[tuple[int, int]]:
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts = [node.value]
        elif isinstance(node, ast.arg | ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns, *node.decorator_list]
        elif isinstance(node, ast.ClassDef):
            parts = list(node.decorator_list)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript):
            parts = [node.value]  # a type alias
        for part in parts:
            if part is not None:
                yield from (_place(inner) for inner in ast.walk(part))


def _change(node: ast.AST, number: int) -> str | None:
    """Make the number-th change of a node, in place; None if there is none."""
    if isinstance(node, ast.Compare) and number < len(node.ops):
        old = node.ops[number]
        if type(old) not in OTHER:
            return None
        new = OTHER[type(old)]()
        node.ops[number] = new  # type: ignore[call-overload]
        return f"{type(old).__name__} -> {type(new).__name__}"
    if number > 0:
        return None
    if isinstance(node, ast.BoolOp | ast.BinOp | ast.AugAssign) and type(node.op) in OTHER:
        old_op = node.op
        node.op = OTHER[type(old_op)]()  # type: ignore[assignment]
        return f"{type(old_op).__name__} -> {type(node.op).__name__}"
    if isinstance(node, ast.Constant):
        return _change_constant(node)
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        node.test = ast.UnaryOp(ast.Not(), node.test)
        return "condition negated"
    if isinstance(node, ast.Return) and node.value is not None and not _is_none(node.value):
        node.value = ast.Constant(None)
        return "returns None"
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub | ast.Invert):
        old_name = type(node.op).__name__
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else node.op
        if old_name != "USub":
            node.operand = ast.UnaryOp(type(node.op)(), node.operand)
        return f"{old_name} removed"
    return _drop(node)


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _change_constant(node: ast.Constant) -> str | None:
    old = node.value
    if isinstance(old, bool):
        node.value = not old
    elif isinstance(old, int | float):
        node.value = old + 1
    elif isinstance(old, str) and old.strip():
        node.value = f"XX{old}"
    else:
        return None
    return f"{old!r} -> {node.value!r}"


def _drop(node: ast.AST) -> str | None:
    for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
        if not isinstance(body, list):
            continue
        for i, statement in enumerate(body):
            if isinstance(statement, ast.Raise | ast.Break | ast.Continue):
                body[i] = ast.copy_location(ast.Pass(), statement)
                return f"{type(statement).__name__.lower()} dropped"
    return None


# ---- putting one in place --------------------------------------------------------------------


def put_in_place(name: str, tree: ast.Module) -> None:
    """Give the loaded module's functions, methods and constants the mutant's."""
    module = import_module(name)
    made = types.ModuleType(name)
    made.__file__ = module.__file__
    sys.modules[name] = made  # a dataclass looks its module up while it is made
    try:
        exec(compile(tree, f"<mutant of {name}>", "exec"), made.__dict__)  # noqa: S102
    finally:
        sys.modules[name] = module
    for key, new in vars(made).items():
        old = vars(module).get(key)
        if isinstance(old, types.FunctionType) and old.__module__ == name:
            _swap(old, new)
        elif isinstance(old, type) and old.__module__ == name:
            for inner, attribute in vars(new).items():
                _swap_attribute(vars(old).get(inner), attribute)
        elif not key.startswith("__") and not isinstance(old, types.ModuleType | type):
            _replace_everywhere(key, old, new)


def _swap(old: types.FunctionType, new: types.FunctionType) -> None:
    old.__code__ = new.__code__
    old.__defaults__, old.__kwdefaults__ = new.__defaults__, new.__kwdefaults__


def _swap_attribute(old: object, new: object) -> None:
    for kind, function in ((property, "fget"), (classmethod, "__func__")):
        if isinstance(old, kind) and isinstance(new, kind):
            old, new = getattr(old, function), getattr(new, function)
    if isinstance(old, types.FunctionType) and isinstance(new, types.FunctionType):
        _swap(old, new)


def _replace_everywhere(key: str, old: object, new: object) -> None:
    for module in list(sys.modules.values()):
        known = getattr(module, "__name__", "").split(".")[0]
        if known in ("validation", "tests") and vars(module).get(key) is old:
            setattr(module, key, new)


# ---- running ---------------------------------------------------------------------------------


def fate(name: str, tree: ast.Module | None, tests: list[str], seconds: int) -> str:
    """Run the tests on a mutant (None: the code as it is) in a forked process: "survives",
    "dies" or "hangs".

    Nothing runs in this process itself: the threads of Polars do not live on in a fork, so that
    whatever uses it would hang there.
    """
    child = os.fork()
    if child == 0:
        signal.alarm(seconds)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        try:
            if tree is not None:
                put_in_place(name, tree)
        except BaseException:
            os._exit(1)
        os._exit(_run(tests))
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return "hangs"
    return "survives" if status == 0 else "dies"


def _run(tests: list[str]) -> int:
    options = [
        "-x",
        "-q",
        "-o",
        "addopts=",
        "-p",
        "no:cacheprovider",
        "--assert=plain",
        "-k",
        LEFT_OUT,
    ]
    return int(pytest.main([*options, *tests]))


def of_module(path: str, given: argparse.Namespace) -> tuple[int, int]:
    """Mutants run and killed of one module; prints the survivors as they are found."""
    tests = [test for test in MODULES[path] if Path(test).exists()]
    name = path.removesuffix(".py").replace("/", ".")
    # What takes seconds to import is imported once, here. Not the tests: some measure as they load.
    for module in (name, "validation.audit", "hypothesis"):
        import_module(module)
    if (found := fate(name, None, tests, given.seconds)) != "survives":
        sys.exit(f"the code as it is {found} under the tests of {path}")
    tree = ast.parse(Path(path).read_text())
    begun, fates = time.monotonic(), Counter[str]()
    for line, words, mutant in islice(mutants(tree), given.offset, None, given.every):
        found = fate(name, mutant, tests, given.seconds)
        fates[found] += 1
        if found != "dies":
            print(f"{path}:{line} {found}: {words}", flush=True)
        if given.result is not None:
            _note(given.result, {"module": path, "line": line, "mutant": words, "fate": found})
    seconds, total = time.monotonic() - begun, fates.total()
    killed = total - fates["survives"]
    print(
        f"{path}: {killed} of {total} killed, {fates['hangs']} of them by hanging, {seconds:.0f} s",
        flush=True,
    )
    return total, killed


def _note(path: Path, line: dict[str, object]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Print each survivor and the score; exit with 1 below the wanted score."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="run every n-th mutant")
    parser.add_argument("--offset", type=int, default=0, help="begin with this one")
    parser.add_argument("--seconds", type=int, default=60, help="a mutant's tests that hang")
    parser.add_argument("--result", type=Path, help="a file to add a line to for each mutant")
    parser.add_argument("modules", nargs="*", help="all if none is named")
    given = parser.parse_args()
    total = killed = 0
    for path in given.modules or MODULES:
        ran, dead = of_module(path, given)
        total, killed = total + ran, killed + dead
    print(f"mutation score {killed}/{total} = {killed / max(total, 1):.1%}")
    sys.exit(0 if killed >= WANTED * total else 1)


if __name__ == "__main__":
    main()
