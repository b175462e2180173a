"""Write the README's support matrix from the tests: run them on each host and put what passed between the marks.

    python tests/support_matrix.py new.json:0.33.0 old.json:0.3.64

Each file is made by `python -m pytest -c tests/pytest.ini tests/host/test_exact_families.py tests/host/test_families.py --support FILE`, with the
Python and COMFYUI_PATH of that host.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

README = Path(__file__).resolve().parent.parent / "README.md"
BEGIN, END = "<!-- support matrix: made by tests/support_matrix.py -->", "<!-- end of the support matrix -->"
MECHANISMS = ("VSF", "NAG", "NASA", "predictions")
SHOWN = {"passed": "exact", "failed": "**fails**", "skipped": "no such model"}


def table(found: dict[str, dict[str, dict[str, str]]]) -> list[str]:
    """Write the rows; found: version of the host -> model -> mechanism -> outcome."""
    versions = list(found)
    models = sorted({model for rows in found.values() for model in rows}, key=str.lower)
    lines = [f"| model | {' | '.join(MECHANISMS)} | {' | '.join(f'ComfyUI {version}' for version in versions)} |"]
    lines.append("|---" * (1 + len(MECHANISMS) + len(versions)) + "|")
    for model in models:
        rows = [found[version].get(model, {}) for version in versions]
        cells = [_cell([row.get(mechanism, "") for row in rows]) for mechanism in MECHANISMS]
        hosts = ["yes" if "passed" in row.values() else "not there" for row in rows]
        lines.append(f"| {model} | {' | '.join(cells)} | {' | '.join(hosts)} |")
    return lines


def _cell(outcomes: list[str]) -> str:
    """Join the hosts' outcomes: what fails anywhere fails, and what runs on one host is what it is there."""
    for outcome in ("failed", "passed", "skipped"):
        if outcome in outcomes:
            return SHOWN[outcome]
    return ""


def main() -> None:
    pairs = [argument.rsplit(":", 1) for argument in sys.argv[1:]]
    if not pairs:
        raise SystemExit(__doc__)
    found = {version: json.loads(Path(path).read_text(encoding="utf-8")) for path, version in pairs}
    text = README.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    README.write_text("\n".join([before + BEGIN, "", *table(found), "", END]) + rest.split(END)[1], encoding="utf-8")


if __name__ == "__main__":
    main()
