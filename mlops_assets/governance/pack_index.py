"""The page that opens an audit pack: what is in it, how to check it, which question it answers."""

from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from mlops_assets.governance.documents import markdown_page
from mlops_assets.governance.frameworks import AI_RMF, ANNEX_IV, SOURCES, Evidence, Point
from mlops_assets.governance.recorded import Recorded
from mlops_assets.governance.ssh_signatures import NAMESPACE

# What files begin with, which part of the evidence they are, and what they hold.
_PARTS: tuple[tuple[str, Evidence, str], ...] = (
    ("evidence.json", "verdicts", "The evidence as it was signed: what every gate measured, about what"),
    ("gates/", "verdicts", "Each gate's verdict under the rules of its time, the data contract's among them"),
    ("metrics/figures", "verdicts", "Every figure with its bounds, and the limit that it was held to"),
    ("metrics/groups", "verdicts", "Figures by group"),
    ("spec.json", "spec", "The spec, whole"),
    ("policy/then", "policy", "What was demanded when the evidence was signed"),
    ("policy/today", "policy", "What the policy demanded when this pack was made"),
    ("package/manifest", "manifest", "The packaged model's manifest as signed: digests of all files, inputs"),
    ("package/environment", "bill of materials", "What it was made with, as recorded at the training"),
    ("sbom.cdx.json", "bill of materials", "The same and the model, as CycloneDX 1.6"),
    ("card/model_card", "model card", "The model card"),
    ("card/data_sheet", "data sheet", "The data sheet of what it learnt from"),
    ("lineage/", "lineage", "From the source to the endpoint, as OpenLineage events"),
    ("approvals/", "approvals", "What people decided, in the bytes they signed, and whose keys are whose"),
    ("release.json", "audit chain", "The signed release that lets this version serve"),
    ("releases/", "audit chain", "Every release of the model, as it was signed"),
    ("audit/entries", "audit chain", "The audit chain's entries about the model, one a line"),
    ("audit/proof", "audit chain", "What proves that they are in the chain, see above"),
    ("audit/chain", "audit chain", "What the whole chain was found to be when this pack was made"),
    ("monitoring/", "monitoring reports", "What monitoring found about this version"),
)  # fmt: skip
_ELSEWHERE: dict[Evidence, str] = {
    "approvals": "nobody has decided about this version",
    "bill of materials": "the environment was not recorded",
    "monitoring reports": "no window was assessed yet",
    "prediction log": "kept by the gateway, not in the pack",
}


class _Row(NamedTuple):
    """A point of a framework, and where in the pack its answer is proven."""

    point: Point
    proof: str


def index(recorded: Recorded, names: Sequence[str]) -> bytes:
    """Return the page as Markdown.

    Args:
        recorded: What the pack was made of.
        names: Names of its files.
    """
    evidence = recorded.evidence
    page = markdown_page(
        "pack_index.md.j2",
        recorded=recorded,
        evidence=evidence,
        subject=evidence.subject,
        parts=list(_parts(names)),
        frameworks={
            "EU AI Act, Annex IV": list(_rows(ANNEX_IV, names)),
            "NIST AI RMF": list(_rows(AI_RMF, names)),
        },
        sources=SOURCES,
        names={approver.fingerprint: approver.name for approver in recorded.deciders},
        namespace=NAMESPACE,
    )
    return page.encode()


def _parts(names: Sequence[str]) -> Iterator[tuple[list[str], str]]:
    """Yield which files there are, and what they hold."""
    for start, _, says in _PARTS:
        if found := [name for name in names if name.startswith(start)]:
            yield found, says


def _rows(points: Sequence[Point], names: Sequence[str]) -> Iterator[_Row]:
    for point in points:
        places = (_place(part, names) for part in point.evidence)
        yield _Row(point, "; ".join(places))


def _place(part: Evidence, names: Sequence[str]) -> str:
    """Return where a part of the evidence lies: its files, or the folder if there are several in one."""
    starts = [start for start, of, _ in _PARTS if of == part]
    found = [name for name in names if name.startswith(tuple(starts)) and not name.endswith((".md", ".sig"))]
    if not found:
        return f"{part}: {_ELSEWHERE.get(part, 'none')}"
    folders = [PurePosixPath(name).parent.name for name in found]
    told = [
        f"{folder}/" if folder and folders.count(folder) > 1 else name
        for name, folder in zip(found, folders, strict=True)
    ]
    return ", ".join(dict.fromkeys(told))
