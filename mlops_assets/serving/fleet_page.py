"""The fleet page: what serves, at a glance, without a framework."""

from html import escape
from typing import Any

from mlops_assets.registry.port import CHAMPION
from mlops_assets.serving.table import Table

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<title>mlops_assets fleet</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; color: #1c2733; }}
table {{ border-collapse: collapse; width: 100%; }}
th, td {{ text-align: left; padding: .4rem .8rem; border-bottom: 1px solid #dde3e9; }}
th {{ font-weight: 600; color: #5b6b7b; }}
.good {{ color: #1a7f37; }} .bad {{ color: #c0262d; }}
</style></head><body>
<h1>Fleet</h1>
<table><thead><tr><th>model</th><th>champion</th><th>way back</th><th>loaded</th><th>runtime</th>
<th>state</th></tr></thead><tbody>{rows}</tbody></table>
{problems}
</body></html>
"""


def rows(table: Table) -> list[dict[str, Any]]:
    """Return one record per model."""
    found = []
    for name, route in sorted(table.routes.items()):
        champion = route.loaded[route.champion] if route.champion else None
        found.append(
            {
                "model": name,
                "champion": route.champion,
                "wanted": route.wanted.get(CHAMPION),
                "previous_champion": route.previous,
                "loaded": route.versions,
                "runtime": champion.package.manifest.runtime if champion else None,
                "as_ordered": route.champion is not None and route.champion == route.wanted.get(CHAMPION),
            }
        )
    return found


def html(models: list[dict[str, Any]], problems: list[dict[str, Any]]) -> str:
    """Return the page."""
    lines = []
    for row in models:
        cells = [
            row["model"],
            row["champion"],
            row["previous_champion"],
            ", ".join(row["loaded"]),
            row["runtime"],
        ]
        shown = "".join(f"<td>{escape(str(c)) if c else '–'}</td>" for c in cells)
        kind = "good" if row["as_ordered"] else "bad"
        lines.append(f"<tr>{shown}<td class={kind}>{escape(_state(row))}</td></tr>")
    told = "".join(
        f"<p class=bad><b>{escape(p['subject'])}</b>, {p['kind']} since {p['since']} UTC: "
        f"{escape(p['message'])}</p>"
        for p in problems
    )
    empty = "<tr><td colspan=6>No model serves yet.</td></tr>"
    return _PAGE.format(rows="".join(lines) or empty, problems=told)


def _state(row: dict[str, Any]) -> str:
    if row["as_ordered"]:
        return "serving"
    serving = f"serving {row['champion']}" if row["champion"] else "not serving"
    return f"{serving}, the registry says {row['wanted'] or 'none'}"
