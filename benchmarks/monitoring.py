"""What a window's profile and distances cost, beside Evidently's report, SciPy's tests and reading alone.

    python benchmarks/monitoring.py columns [--rows N] [--columns N] [--rounds N] [--without PEER ...]
                                            [--nannyml PYTHON]

A window and a reference of the same size lie in Parquet files, eight columns of ten numbers of different
distributions, one whole numbers and one texts. Each party runs in processes of its own:

* ours: the profile of the window, read a row group at a time and of it some columns, and from it and the
  reference's profile PSI, Jensen-Shannon, Wasserstein and Kolmogorov-Smirnov (for texts chi-square) with
  their p-values. The reference has as many cells as a version's is kept with;
* Evidently: its data drift preset on both frames, which computes one of these a column;
* SciPy: the same four by its functions, on the same frames;
* NannyML, if an interpreter is named that has it (pip install nannyml==0.13.1 statsmodels, in an environment
  of its own): its univariate drift with the same but for PSI, which it has not, the window one chunk;
* reading: what ours reads, and nothing done with it.

CPU is that of the process after imports, without reading: for ours, less what reading alone took. Limits: at
most a two-hundredth of Evidently's CPU, whole at most twice the time of reading alone, and a tenth of
Evidently's peak memory, told with libraries and without. Ours reads in one thread and profiles in another, so
the time of the whole depends on whether a second core is idle; the load is told. whylogs 1.6.4 does not
install beside NumPy 2.
"""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_ROW_GROUP = 131_072
_VALUES_AT_ONCE = 2 * _ROW_GROUP
# As many as a version's reference has.
_KEPT_CELLS = 4096
_LEAST_GAIN = 200.0
_MOST_OF_READING = 2.0
_MOST_MEMORY = 0.1
_FRAMES = ("pandas", "pyarrow.parquet")
_MODULES = {
    "writer": (),
    "reading": ("pyarrow.parquet",),
    # Arrow looks for pandas by itself.
    "ours": (
        *_FRAMES,
        "scipy.special",
        "mlops_assets.monitoring.distances",
        "mlops_assets.monitoring.profiles.kernels",
        "mlops_assets.monitoring.profiles.distance_kernels",
    ),
    "scipy": (*_FRAMES, "scipy.stats"),
    "nannyml": (*_FRAMES, "nannyml"),
    "evidently": (*_FRAMES, "evidently", "evidently.presets"),
}
_PEERS = ("scipy", "nannyml", "evidently")
_PARTIES = ("reading", "ours", *_PEERS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["columns", "party"])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--without", nargs="+", choices=["scipy", "evidently"], default=[])
    parser.add_argument("--nannyml", metavar="PYTHON", help="An interpreter that has it.")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--party", choices=[*_PARTIES, "writer"])
    asked = parser.parse_args()
    if asked.what == "party":
        print(json.dumps(_measured(asked.party, asked.folder, asked.rows, asked.columns)))
        return
    left_out = [*asked.without, *([] if asked.nannyml else ["nannyml"])]
    parties = [each for each in _PARTIES if each not in left_out]
    with tempfile.TemporaryDirectory() as scratch:
        _party("writer", Path(scratch), asked)
        found: dict[str, list[dict[str, float]]] = {name: [] for name in parties}
        for round_number in range(asked.rounds):
            for name in parties:
                if name in _PEERS and round_number:
                    continue  # minutes each, and the ratios are far from their limits or not
                found[name].append(_party(name, Path(scratch), asked))
    _tell(found, asked)


def _party(name: str, folder: Path, asked: argparse.Namespace) -> dict[str, float]:
    sizes = ["--rows", str(asked.rows), "--columns", str(asked.columns)]
    python = asked.nannyml if name == "nannyml" else sys.executable
    command = [python, __file__, "party", "--party", name, "--folder", str(folder), *sizes]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def _measured(party: str, folder: Path, rows: int, columns: int) -> dict[str, float]:
    work = {
        "writer": lambda: _write(folder, rows, columns),
        "reading": lambda: _read(folder),
        "ours": lambda: _ours(folder),
        "scipy": lambda: _scipy(folder),
        "nannyml": lambda: _nannyml(folder),
        "evidently": lambda: _evidently(folder),
    }[party]
    if party != "nannyml":  # whose environment has no more than it needs
        from mlops_assets.home import settle_libraries

        settle_libraries()
    for module in _MODULES[party]:
        importlib.import_module(module)
    imports = _megabytes("VmRSS")
    run = work()
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {"cpu": cpu, "wall": wall, "peak": _megabytes("VmHWM"), "imports": imports}


def _megabytes(which: str) -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(which)) / 1000


def _tell(found: dict[str, list[dict[str, float]]], asked: argparse.Namespace) -> None:
    median = {
        name: {figure: statistics.median(each[figure] for each in rounds) for figure in rounds[0]}
        for name, rounds in found.items()
    }
    print(f"{asked.rows:,} rows x {asked.columns} columns, load {os.getloadavg()[0]:.1f} of {os.cpu_count()}")
    reading, ours = median["reading"], median["ours"]
    for name, figures in median.items():
        print(
            f"  {name:10} CPU {figures['cpu']:8.3f} s   wall {figures['wall']:8.3f} s"
            f"   peak {figures['peak']:6.0f} MB, of which imports {figures['imports']:4.0f}"
        )
    after_reading = ours["cpu"] - reading["cpu"]
    told = f"{after_reading:.3f} s of CPU" if after_reading > 0 else "too little to be told from noise"
    print(f"ours after reading: {told}")
    print(f"whole by reading alone: {ours['wall'] / reading['wall']:.2f} (limit {_MOST_OF_READING:g})")
    for peer in _PEERS:
        if peer in median and after_reading > 0:
            limit = f" (aim {_LEAST_GAIN:g})" if peer == "evidently" else ""
            print(f"CPU of {peer} by ours: {median[peer]['cpu'] / after_reading:.0f}{limit}")
    if "evidently" in median:
        theirs = median["evidently"]
        own = (ours["peak"] - ours["imports"]) / (theirs["peak"] - theirs["imports"])
        print(f"peak memory by Evidently's: {ours['peak'] / theirs['peak']:.3f} (limit {_MOST_MEMORY:g})")
        print(f"the same without imports: {own:.3f}")


def _write(folder: Path, rows: int, columns: int) -> Callable[[], None]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    def run() -> None:
        random = np.random.default_rng(0)
        for name, shift in (("reference", 0.0), ("window", 0.02)):
            made = {f"c{i}": _column(random, i, rows, shift) for i in range(columns)}
            table = pa.table(made)
            pq.write_table(table, folder / f"{name}.parquet", row_group_size=_ROW_GROUP)
            if name == "reference":
                kept = _profile(folder / "reference.parquet").at_most(_KEPT_CELLS)
                (folder / "profile").write_bytes(kept.to_bytes())

    return run


def _column(random: np.random.Generator, number: int, rows: int, shift: float) -> Any:
    makers: list[Callable[[], Any]] = [
        lambda: random.normal(shift, 1, rows),
        lambda: random.lognormal(shift, 1, rows),
        lambda: random.exponential(1 + shift, rows),
        lambda: random.standard_t(3, rows) + shift,
        lambda: random.uniform(shift, 1 + shift, rows),
        lambda: np.where(random.random(rows) < 0.3, 0.0, random.gamma(2, 1, rows) + shift),
        lambda: np.round(random.normal(1013 + shift, 8, rows), 1),
        lambda: 1.7e9 + random.uniform(shift, 1e5, rows),
        lambda: random.poisson(20 + shift, rows),
        lambda: random.choice(np.array([f"value {i}" for i in range(20)]), rows),
    ]
    return makers[number % len(makers)]()


def _pieces(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield the columns piece by piece, as the prediction log does: of few rows several columns at once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    texts = [field.name for field in file.schema_arrow if field.type == pa.string()]
    file = pq.ParquetFile(path, metadata=file.metadata, read_dictionary=texts)
    names = file.schema_arrow.names
    at_once = max(1, _VALUES_AT_ONCE // file.metadata.row_group(0).num_rows)
    for first in range(0, len(names), at_once):
        some = names[first : first + at_once]
        for group in range(file.num_row_groups):
            read = file.read_row_group(group, some, use_threads=len(some) > 1)
            for name in some:
                yield name, read[name].combine_chunks()


def _profile(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from mlops_assets.monitoring.profiles.profile import profile_while_reading

    kinds = {
        field.name: "string" if field.type == pa.string() else "number" for field in pq.read_schema(path)
    }
    return profile_while_reading(kinds, _pieces(path))  # type: ignore[arg-type]


def _read(folder: Path) -> Callable[[], None]:
    def run() -> None:
        for _ in _pieces(folder / "window.parquet"):
            pass

    return run


def _ours(folder: Path) -> Callable[[], None]:
    from mlops_assets.monitoring.distances import distances
    from mlops_assets.monitoring.profiles.profile import Profile

    reference = Profile.from_bytes((folder / "profile").read_bytes())

    def run() -> None:
        window = _profile(folder / "window.parquet")
        for name, profile in window.columns.items():
            assert distances(reference.columns[name], profile) is not None

    return run


def _frames(folder: Path) -> tuple[Any, Any]:
    import pandas as pd

    return tuple(pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "window"))


def _scipy(folder: Path) -> Callable[[], None]:
    from scipy import stats
    from scipy.spatial.distance import jensenshannon

    reference, window = _frames(folder)

    def run() -> None:
        for name in reference:
            a, b = reference[name].to_numpy(), window[name].to_numpy()
            if a.dtype.kind in "if":
                edges = np.histogram_bin_edges(np.concatenate([a, b]), bins="sturges")
                p, q = (np.histogram(each, edges)[0] / len(each) for each in (a, b))
                stats.wasserstein_distance(a, b)
                stats.ks_2samp(a, b)
            else:
                values = np.union1d(np.unique(a.astype(str)), np.unique(b.astype(str)))
                p, q = (np.array([(each == value).mean() for value in values]) for each in (a, b))
                stats.chi2_contingency(np.array([p * len(a), q * len(b)]))
            jensenshannon(p, q)
            p, q = np.maximum(p, 1e-4), np.maximum(q, 1e-4)
            ((p - q) * np.log(p / q)).sum()

    return run


def _nannyml(folder: Path) -> Callable[[], None]:
    from nannyml import UnivariateDriftCalculator  # type: ignore[import-not-found]

    reference, window = _frames(folder)

    def run() -> None:
        calculator = UnivariateDriftCalculator(
            column_names=[*reference],
            continuous_methods=["kolmogorov_smirnov", "jensen_shannon", "wasserstein"],
            categorical_methods=["chi2", "jensen_shannon"],
            chunk_number=1,
        )
        calculator.fit(reference).calculate(window)

    return run


def _evidently(folder: Path) -> Callable[[], None]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    reference, window = (
        frame.astype({c: "float64" for c in frame if frame[c].dtype.kind == "i"}) for frame in _frames(folder)
    )
    numbers = [c for c in reference if reference[c].dtype.kind == "f"]
    definition = DataDefinition(
        numerical_columns=numbers, categorical_columns=[c for c in reference if c not in numbers]
    )

    def run() -> None:
        sides = (Dataset.from_pandas(frame, data_definition=definition) for frame in (window, reference))
        Report([DataDriftPreset()]).run(*sides)

    return run


if __name__ == "__main__":
    main()
