"""Read the rules of the house out of a syntax tree: imports, side effects at import, sizes, and what the registry's scanner flags."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = ("nodes", "host", "guidance", "vlm", "demo/model")
# The host's own modules. `nodes` and `server` are also names of ours or of the tests, so only absolute imports of them count.
HOST_MODULES = {
    "comfy",
    "comfy_extras",
    "comfy_execution",
    "folder_paths",
    "server",
    "nodes",
    "execution",
    "node_helpers",
    "latent_preview",
}
NODE_API = "comfy_api"
NODE_API_FILE = "host/api.py"
# folder -> the folders of the pack that it may import, itself included. "" is the root __init__.
ARROWS = {
    "": {"nodes"},
    "nodes": {"nodes", "host", "guidance", "vlm"},
    "host": {"host", "guidance", "vlm", "demo/model"},
    "demo/model": {"demo/model", "guidance"},
    "guidance": {"guidance"},
    "vlm": {"vlm"},
}
FILE_LINES, NODE_FILE_LINES, FUNCTION_LINES = 250, 120, 40

# What may be called while a module is imported: it makes a constant or a definition, and reaches nothing outside.
CONSTRUCTORS = {
    "getLogger", "TypeVar", "ParamSpec", "NewType", "namedtuple", "frozenset", "tuple", "dict", "set", "list", "float", "int", "range",
    "MappingProxyType", "compile", "Path", "Custom", "field", "dataclass", "lru_cache", "cache", "cached_property", "property",
    "staticmethod", "classmethod", "wraps", "contextmanager", "runtime_checkable", "log", "sqrt", "cast", "auto", "Fraction", "Decimal",
    "ContextVar", "finfo", "array", "no_grad", "inference_mode", "ImportError",
}  # fmt: skip
STATEMENTS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.Assign,
    ast.AnnAssign,
    ast.If,
    ast.Try,
    ast.Pass,
)

# Look-alikes of the registry's YARA rules (they read text, comments included).
FLAGGED_PYTHON = {
    r"\b(eval|exec)\s*\(": "eval or exec, or a method of that name such as model.eval(): write .train(False)",
    r"\bsubprocess\b|\bos\.system\b|\bos\.popen\b": "starting processes",
    r"\bos\.environ\b|\bos\.getenv\b|\bos\.putenv\b": "reading or setting the environment",
    r"\bimport\s+(requests|urllib|httpx|aiohttp|socket)\b|\bfrom\s+(requests|urllib|httpx|aiohttp|socket)\b|\brequests\.\w+\(|\burllib\b": "network",
    r"\bpickle\b|\bmarshal\b|\btorch\.load\(": "pickles",
    r"\b__import__\b|\bimportlib\.reload\b|\bsys\.path\b": "changing what is imported",
    r"\bcryptography\b|\btrust_remote_code\b|\bctypes\b|\bbase64\b": "a module or word that scanners flag",
}
FLAGGED_SCRIPT = {
    r"\.(bind|connect)\s*\(": "a call named .bind( or .connect(",
    r"\beval\s*\(|\bnew\s+Function\b": "evaluating text",
    r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|setTimeout\s*\(\s*[\"'])": "text that becomes part of the page or a program",
    r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|sendBeacon|importScripts)\b": "a way to the network other than the host's",
    r"\b(localStorage|sessionStorage|indexedDB|document\.cookie)\b": "keeping something in the browser",
    r"\b(atob|btoa|unescape|fromCharCode)\b": "decoding text, which scanners take for hiding a program",
    r"\.prototype\b|__proto__": "changing what is not ours",
    r"https?://(?!127\.0\.0\.1|localhost|www\.w3\.org)": "an address on the network",
}


def python_files(*folders: str) -> list[Path]:
    """List the Python files below the given folders of the repository."""
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def published_files() -> list[Path]:
    """List the Python files that users get."""
    return [*sorted(ROOT.glob("*.py")), *python_files(*PUBLISHED)]


def name_of(path: Path) -> str:
    """Return the path within the repository."""
    return path.relative_to(ROOT).as_posix()


def folder_of(path: Path) -> str:
    """Return the top folder of a file, "" in the root; of demo/ the models are a folder of their own."""
    return area_of(path.relative_to(ROOT).parts[:-1])


def area_of(parts: Sequence[str]) -> str:
    """Return the folder of the pack, as `ARROWS` names it, in which the dotted name or path `parts` lies."""
    return "demo/model" if tuple(parts[:2]) == ("demo", "model") else parts[0] if parts else ""


def imported(tree: ast.AST, path: Path) -> Iterator[tuple[int, str, bool]]:
    """Yield (line, dotted module, whether it is the pack's own) for each import, also those inside functions."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.lineno, node.module or "", False
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1]
            if node.level - 1 > len(package):
                yield node.lineno, "above the pack", True
            elif node.module or base:
                yield node.lineno, ".".join((*base, *filter(None, [node.module]))), True
            else:
                yield from ((node.lineno, alias.name, True) for alias in node.names)


def import_faults(tree: ast.AST, path: Path) -> Iterator[str]:
    """Yield what is wrong with a file's imports."""
    folder, name = folder_of(path), name_of(path)
    for line, module, own in imported(tree, path):
        top = module.split(".")[0]
        if own and area_of(module.split(".")) not in ARROWS[folder]:
            yield f"{name}:{line}: {folder or 'the root'} may not import {module}"
        elif not own and top == NODE_API and name != NODE_API_FILE:
            yield f"{name}:{line}: only {NODE_API_FILE} imports {NODE_API}"
        elif not own and top in HOST_MODULES and folder != "host":
            yield f"{name}:{line}: only host/ imports {module}"
        elif not own and top in {"avert", "demo", *PUBLISHED} - HOST_MODULES:
            yield f"{name}:{line}: import {module} relatively, folder names are not ours to choose"
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            yield f"{name}:{node.lineno}: star import"


class AtImport(ast.NodeVisitor):
    """Collect what runs when a module is imported: bodies of functions and lambdas do not."""

    def __init__(self) -> None:
        self.faults: list[tuple[int, str]] = []

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for part in (*node.decorator_list, *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(part)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self.visit_FunctionDef(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        pass

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", ast.unparse(node.func))
        if called not in CONSTRUCTORS:
            self.faults.append((node.lineno, f"calls {ast.unparse(node.func)}() at import"))
        self.generic_visit(node)


def side_effects(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, what) for everything at module level that is not a definition, an import or a constant."""
    own_classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    visitor = AtImport()
    visitor.visit(tree)
    yield from ((line, what) for line, what in visitor.faults if what.split()[1].rstrip("()") not in own_classes)
    for statement in tree.body:
        docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if not docstring and not isinstance(statement, STATEMENTS):
            yield statement.lineno, f"runs a {type(statement).__name__} statement at import"
        for target in getattr(statement, "targets", []):
            if not isinstance(target, (ast.Name, ast.Tuple)):
                yield statement.lineno, f"writes to {ast.unparse(target)} at import"


def long_functions(tree: ast.AST) -> Iterator[tuple[int, str, int]]:
    """Yield (line, name, lines) of functions over the budget, docstring included, decorators not."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield node.lineno, node.name, lines


def script_faults(text: str, name: str) -> Iterator[str]:
    """Yield what is wrong with a script: its size, its functions' sizes, and what it imports."""
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        yield f"{name}: {len(lines)} lines, the budget is {FILE_LINES}"
    for start, line in enumerate(lines):
        # As the scripts are formatted, what opens at the end of a line closes at the same depth.
        if re.search(r"(\bfunction\b.*|=> |\) )\{$", line) and not re.match(r"\s*(if|for|while|\}? ?else|switch|\} catch)\b", line):
            depth = line[: len(line) - len(line.lstrip())]
            end = next((at for at in range(start + 1, len(lines)) if lines[at].startswith(f"{depth}}}")), len(lines))
            if end - start + 1 > FUNCTION_LINES:
                yield f"{name}:{start + 1}: a function of {end - start + 1} lines, the budget is {FUNCTION_LINES}"
    for match in re.finditer(r"(?:\bfrom\s*|\bimport\s*\(?\s*)([\"'])(.+?)\1", text):
        host = match[2].startswith("../../scripts/")
        if host and not name.endswith("js/host.js"):
            yield f"{name}: only js/host.js imports {match[2]}"
        elif not host and not re.fullmatch(r"\./[a-z]+\.js", match[2]):
            yield f"{name}: imports {match[2]}"


def flagged(text: str, rules: dict[str, str]) -> Iterator[tuple[int, str]]:
    """Yield (line, reason) for each match of a scanner's rule."""
    for pattern, reason in rules.items():
        for match in re.finditer(pattern, text):
            yield text.count("\n", 0, match.start()) + 1, reason
