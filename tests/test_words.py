"""Locals are nouns, docstrings open with a verb or a noun, and public functions are described."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted(file for room in ("jfilters", "cli") for file in (ROOT / room).rglob("*.py"))
FACES = ("scans", "compare", "questions", "answers")

# Pronouns and participles: a local has the name of what it holds.
_WORDS = """
found told some rest known kept one ones asked mine gone left ours theirs taken given wanted drawn dealt
lost held spare others whole own seen same few more many made named
"""
PRONOUNS = frozenset(_WORDS.split())
OPENINGS = frozenset({"What", "Whether", "Those", "How", "Which", "Where"})


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """The functions of a module, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def scope(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function, without those of the functions and classes inside it."""
    for node in ast.iter_child_nodes(function):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
            yield from scope(node)


def local_names(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, int]:
    """Parameters and assigned names of a function, each with its first line."""
    names: dict[str, int] = {}
    for node in scope(function):
        if isinstance(node, ast.arg):
            names.setdefault(node.arg, node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.setdefault(node.id, node.lineno)
    return {name: line for name, line in names.items() if name not in ("self", "cls", "_")}


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The docstrings of a module, its classes and its functions, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def first_word(text: str) -> str:
    """The first word of a docstring, without quotes and punctuation."""
    return text.split()[0].strip("`'\".,:;*")


def place(file: Path, line: int) -> str:
    return f"{file.relative_to(ROOT)}:{line}"


def public_functions() -> Iterator[tuple[str, str]]:
    """Names and docstrings of the functions and classes on the faces."""
    for room in FACES:
        face = importlib.import_module(f"jfilters.{room}")
        for name in getattr(face, "__all__", ("Answer",)):
            value = getattr(face, name)
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{room}.{name}", inspect.getdoc(value) or ""


def test_local_names_are_nouns() -> None:
    total, offenders = 0, []
    for file in FILES:
        for function in functions(ast.parse(file.read_text())):
            names = local_names(function)
            total += len(names)
            offenders += [
                f"{place(file, line)} {name}" for name, line in names.items() if name in PRONOUNS
            ]
    share = len(offenders) / total
    assert share < 0.01, f"{share:.2%} of {total} local names:\n" + "\n".join(offenders)


def test_docstrings_open_with_a_verb_or_a_noun() -> None:
    total, offenders = 0, []
    for file in FILES:
        for line, text in docstrings(ast.parse(file.read_text())):
            total += 1
            if first_word(text) in OPENINGS:
                offenders.append(f"{place(file, line)} {text.splitlines()[0]}")
    share = len(offenders) / total
    assert share < 0.03, f"{share:.2%} of {total} docstrings:\n" + "\n".join(offenders)


def test_public_functions_are_described() -> None:
    words = {name: len(text.split()) for name, text in public_functions()}
    mean = sum(words.values()) / len(words)
    short = sorted((count, name) for name, count in words.items() if count < 40)
    assert mean > 40, f"{mean:.1f} words a docstring:\n" + "\n".join(
        f"{name}: {count}" for count, name in short
    )
