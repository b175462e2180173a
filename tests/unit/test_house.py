"""Keep the house in order (design, section 4 and 8; the registry's scanner): each rule reads every file, and is tried on a bad one."""

import ast
import sys

import pytest

from house import (
    FILE_LINES,
    FLAGGED_PYTHON,
    FUNCTION_LINES,
    NODE_FILE_LINES,
    ROOT,
    flagged,
    folder_of,
    import_faults,
    long_functions,
    name_of,
    published_files,
    python_files,
    side_effects,
)

PUBLISHED = published_files()
SOURCES = sorted({*PUBLISHED, *python_files("demo", "benchmarks", "tests")})
# A budget is broken with a reason, not by drift: file or file:function -> the reason.
OVER_BUDGET: dict[str, str] = {}


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), filename=name_of(path))


def report(faults):
    """Fail with one line per fault."""
    faults = list(faults)
    assert not faults, "\n" + "\n".join(faults)


def test_there_is_something_to_read():
    names = {name_of(path) for path in PUBLISHED}
    assert {"__init__.py", "guidance/attention/partial.py"} <= names
    assert {folder_of(path) for path in PUBLISHED} >= {"", "nodes", "host", "guidance"}


def test_imports_go_one_way():
    report(fault for path in PUBLISHED for fault in import_faults(tree_of(path), path))


def test_no_star_import_anywhere():
    report(
        f"{name_of(path)}:{node.lineno}: star import"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names)
    )


def test_the_science_and_the_demo_models_import_torch_and_the_standard_library_only():
    known = {"torch", "__future__"} | set(sys.stdlib_module_names)
    kernels, files = {"flash_attn", "sageattention", "xformers"}, {"safetensors"}  # optional, asked for by name; the demo models' weights
    report(
        f"{name_of(path)}:{node.lineno}: imports {top}"
        for path in python_files("guidance", "vlm", "demo/model")
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.Import, ast.ImportFrom)) and not getattr(node, "level", 0)
        for top in [(node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]]
        if top not in known | (files if folder_of(path) == "demo/model" else kernels)
    )


def test_nothing_happens_at_import():
    report(f"{name_of(path)}:{line}: {what}" for path in PUBLISHED for line, what in side_effects(tree_of(path)))


def calls(tree, name):
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name)


def test_no_print_and_no_global():
    report(f"{name_of(path)}:{node.lineno}: print" for path in PUBLISHED for node in calls(tree_of(path), "print"))
    report(
        f"{name_of(path)}:{node.lineno}: global {', '.join(node.names)}"
        for path in SOURCES
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Global)
    )


def test_no_bare_or_base_exception():
    """The host's interrupt derives from BaseException: what catches it breaks the cancel button."""
    report(
        f"{name_of(path)}:{node.lineno}: catches everything, also the user's cancel"
        for path in PUBLISHED
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ExceptHandler) and (node.type is None or "BaseException" in ast.unparse(node.type))
    )


def test_files_and_functions_are_small():
    faults = []
    for path in SOURCES:
        name, lines = name_of(path), path.read_text(encoding="utf-8").count("\n")
        budget = NODE_FILE_LINES if folder_of(path) == "nodes" else FILE_LINES
        if lines > budget and name not in OVER_BUDGET:
            faults.append(f"{name}: {lines} lines, the budget is {budget}")
        faults += [
            f"{name}:{line}: {function} has {length} lines, the budget is {FUNCTION_LINES}"
            for line, function, length in long_functions(tree_of(path))
            if f"{name}:{function}" not in OVER_BUDGET
        ]
    report(faults)


def test_nothing_that_the_registrys_scanner_flags():
    report(
        f"{name_of(path)}:{line}: {reason}"
        for path in PUBLISHED
        for line, reason in flagged(path.read_text(encoding="utf-8"), FLAGGED_PYTHON)
    )


def test_python_files_are_readable_on_windows():
    """Characters outside cp1252 break tools that open files in the system's encoding."""
    faults = []
    for path in SOURCES:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            strange = {character for character in line if not character.encode("cp1252", "ignore")}
            faults += [f"{name_of(path)}:{number}: {character!a} is not in cp1252" for character in sorted(strange)]
    report(faults)


# The rules themselves, tried on what they must find.


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("guidance/attention/x.py", "import comfy"),
        ("guidance/attention/x.py", "from comfy.ldm import modules"),
        ("guidance/attention/x.py", "from ...host import run"),
        ("guidance/x.py", "from ..vlm import ask"),
        ("guidance/x.py", "from .. import nodes"),
        ("guidance/x.py", "def f():\n    import folder_paths"),
        ("vlm/x.py", "from ..guidance import schedule"),
        ("host/x.py", "from ..nodes import attention"),
        ("host/families/x.py", "from comfy_api.latest import io"),
        ("nodes/x.py", "from comfy_api.latest import io"),
        ("nodes/x.py", "import comfy.utils"),
        ("nodes/x.py", "import nodes"),
        ("nodes/x.py", "from server import PromptServer"),
        ("__init__.py", "from .host import run"),
        ("host/x.py", "from avert.guidance import schedule"),
        ("host/x.py", "from guidance import schedule"),
        ("host/x.py", "from ..... import y"),
        ("host/x.py", "from comfy.utils import *"),
        ("demo/model/x.py", "import comfy.utils"),
        ("demo/model/x.py", "from ...host import run"),
        ("demo/model/x.py", "from ..world import scene"),
        ("host/x.py", "from ..demo.world import scene"),
        ("host/x.py", "from demo.model import config"),
        ("nodes/x.py", "from ..demo.model import config"),
        ("guidance/x.py", "from ..demo.model import config"),
    ],
)
def test_forbidden_imports_are_seen(file, text):
    assert list(import_faults(ast.parse(text), ROOT / file))


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("__init__.py", "from .nodes import comfy_entrypoint"),
        ("nodes/x.py", "from ..host.api import io\nfrom ..guidance import schedule\nfrom . import report\nfrom ..vlm import ask"),
        ("host/x.py", "import comfy.utils\nimport nodes\nfrom ..guidance.attention.partial import merge\nfrom .. import vlm"),
        ("host/api.py", "from comfy_api.latest import io"),
        ("host/families/x.py", "from ...guidance import schedule\nfrom ..run import y\nfrom . import base"),
        ("guidance/attention/x.py", "import torch\nfrom ..schedule import Window\nfrom .partial import merge"),
        ("demo/model/x.py", "import torch\nfrom ...guidance.schedule import Window\nfrom .config import UNET\nfrom . import words"),
        ("host/x.py", "from ..demo.model import weights\nfrom ..demo.model.config import UNET"),
    ],
)
def test_allowed_imports_pass(file, text):
    assert not list(import_faults(ast.parse(text), ROOT / file))


@pytest.mark.parametrize(
    "text",
    [
        "print('hello')",
        "setup()",
        "x = load_weights()",
        "for i in range(3):\n    pass",
        "import comfy.x as c\nc.flag = True",
        "class A:\n    register()",
        "def f(x=compute()):\n    pass",
        "@routes.get('/x')\ndef f():\n    pass",
        "import logging\nlogging.basicConfig()",
        "import os\nos.makedirs('x')",
        "if True:\n    start()",
        "A['x'] = 1",
        "with open('x') as f:\n    pass",
    ],
)
def test_side_effects_are_seen(text):
    assert list(side_effects(ast.parse(text)))


def test_definitions_and_constants_pass():
    text = '"""Doc."""\nimport logging\nfrom dataclasses import dataclass, field\nLOG = logging.getLogger(__name__)\nA = frozenset({1})\n'
    text += (
        "@dataclass(frozen=True)\nclass B:\n    x: list = field(default_factory=list)\n    def f(self):\n        return run()\nC = B()\n"
    )
    text += "def g(x=1):\n    return start(x)\nD = {'a': lambda: start()}\n"
    assert not list(side_effects(ast.parse(text)))


@pytest.mark.parametrize(
    "text",
    [
        "model.eval()",
        "exec ('x')",
        "import subprocess",
        "os.environ.get('X')",
        "import requests",
        "urllib.request",
        "torch.load(x)",
        "sys.path.append(x)",
    ],
)
def test_flagged_python_is_seen(text):
    assert list(flagged(f"\n{text}\n", FLAGGED_PYTHON)) and next(flagged(f"\n{text}\n", FLAGGED_PYTHON))[0] == 2


def test_innocent_words_pass():
    assert not list(flagged("# evaluate what the user requests; execute() does it\nsampler.evaluation(1)\nreexec = 1", FLAGGED_PYTHON))


def test_long_functions_are_seen():
    assert list(long_functions(ast.parse("def f():\n" + "    x = 1\n" * FUNCTION_LINES)))
    assert not list(long_functions(ast.parse("def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1))))
