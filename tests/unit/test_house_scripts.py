"""Keep the scripts for the frontend in order too: small, without what the registry's scanner flags, and with one way to the frontend."""

import pytest

from house import FILE_LINES, FLAGGED_SCRIPT, FUNCTION_LINES, ROOT, flagged, name_of, script_faults

SCRIPTS = sorted((ROOT / "js").rglob("*.js"))


def test_scripts_are_small_and_reach_the_frontend_in_one_place():
    faults = [fault for path in SCRIPTS for fault in script_faults(path.read_text("utf-8"), name_of(path))]
    assert SCRIPTS and not faults, "\n".join(faults)


def test_nothing_that_the_registrys_scanner_flags():
    faults = [f"{name_of(path)}:{line}: {why}" for path in SCRIPTS for line, why in flagged(path.read_text("utf-8"), FLAGGED_SCRIPT)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    "text",
    [
        "f.bind(this)",
        "node.connect(0, other)",
        "eval('x')",
        "fetch('https://example.com')",
        "e.innerHTML = x",
        "new WebSocket(a)",
        "atob(x)",
    ],
)
def test_flagged_scripts_are_seen(text):
    assert list(flagged(text, FLAGGED_SCRIPT))


@pytest.mark.parametrize(
    "text",
    [
        "\n" * (FILE_LINES + 1),
        "export function f() {\n" + "    x();\n" * FUNCTION_LINES + "}",
        "const f = (a) => {\n" + "    x();\n" * FUNCTION_LINES + "};",
        "function f() {\n    const g = () => {\n" + "        x();\n" * FUNCTION_LINES + "    };\n}",
        'import { app } from "../../scripts/app.js";',
        'import { x } from "../../scripts/ui.js";',
        'import "https://example.com/x.js";',
        'await import("lodash");',
    ],
)
def test_faults_of_scripts_are_seen(text):
    assert list(script_faults(text, "js/x.js"))


def test_a_small_script_passes():
    assert not list(script_faults('import { f } from "./dom.js";\nfunction g() {\n    f();\n}\n', "js/x.js"))
    assert not list(script_faults('import { app } from "../../scripts/app.js";\n', "js/host.js"))


def test_innocent_words_pass():
    assert not list(flagged("connection.disconnect(); // binding", FLAGGED_SCRIPT))
