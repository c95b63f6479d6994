"""Feature verification finds what must not be trained on, and is silent about all else."""

# ruff: noqa: E501  (tables: one case a line)

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.data.feature_verification import LastTraining, measure_features
from mlops_assets.data.population_stability import population_stability
from mlops_assets.data.target_strength import target_strength
from mlops_assets.verdict import judge
from mlops_assets_tests.vouching import rules_of

N = 2_000
GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=N)


def draw(generator: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return features of many shapes, all independent of everything."""
    return pd.DataFrame(
        {
            "normal": generator.normal(size=rows),
            "heavy tails": generator.standard_cauchy(rows),
            "rare flag": (generator.random(rows) < 0.1).astype(float),
            "mostly zero": np.where(generator.random(rows) < 0.9, 0, generator.exponential(size=rows)),
            "gaps": np.where(generator.random(rows) < 0.5, np.nan, generator.normal(size=rows)),
            "few words": generator.choice(list("abcdef"), rows),
            "many words": generator.zipf(1.5, rows).astype(str),
            "names of rows": [f"id{i}" for i in generator.integers(0, 10**9, rows)],
        }
    )


def breaches(features: pd.DataFrame, target: Any, previous: pd.DataFrame | None = None) -> list[str]:
    """Return what the platform's own policy objects to."""
    verdict = judge(
        measure_features(features, target, LastTraining(previous)), rules_of().gates.feature_verification
    )
    return [breach.says for breach in verdict.breaches]


TARGETS: dict[str, Any] = {
    "two classes": lambda g, n: g.random(n) < 0.5,
    "a rare class": lambda g, n: g.random(n) < 0.03,
    "four classes": lambda g, n: g.integers(0, 4, n),
    "words": lambda g, n: g.choice(["low", "mid", "top"], n),
    "forty words": lambda g, n: np.char.add("class ", g.integers(0, 40, n).astype(str)),
    "numbers": lambda g, n: g.normal(size=n),
    "ratings": lambda g, n: g.integers(1, 6, n).astype(float),
}


@settings(max_examples=40)
@given(
    seed=st.integers(0, 10**6),
    rows=st.sampled_from([30, 100, 300, 1000]),
    before=st.sampled_from([30, 100, 1000]),
    target=st.sampled_from(list(TARGETS)),
)
def test_chance_alone_raises_no_finding(seed: int, rows: int, before: int, target: str) -> None:
    generator = np.random.default_rng(seed)
    features, previous = draw(generator, rows), draw(generator, before)
    # What is constant in a small sample is constant, by chance or not.
    varying = features.loc[:, features.nunique(dropna=False) > 1]
    assert breaches(varying, pd.Series(TARGETS[target](generator, rows)), previous[varying.columns]) == []


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        pytest.param(X, (X > 0).astype(int), id="a score tells the class"),
        pytest.param(-X, np.where(X > 0, "yes", "no"), id="upside down, and the class is a word"),
        pytest.param((X > 0).astype(float), (X > 0).astype(int), id="the target itself"),
        pytest.param(np.where(X > 0, "won", "lost"), (X > 0).astype(int), id="a word tells the class"),
        pytest.param(np.where(X > 0, np.nan, GENERATOR.normal(size=N)), (X > 0).astype(int), id="a gap tells the class"),
        pytest.param(np.where(X > 0, None, "cancelled"), (X > 0).astype(int), id="a missing word tells the class"),
        pytest.param(np.digitize(X, [-1, 1]) * 7.0 % 11, np.digitize(X, [-1, 1]), id="a code tells one of three classes"),
        pytest.param(np.array(list("cab"))[np.digitize(X, [-1, 1])], np.digitize(X, [-1, 1]), id="a word tells one of three"),
        pytest.param(np.abs(X) > 1, (np.abs(X) > 1).astype(int), id="a truth value tells the class"),
        pytest.param((np.abs(X) * 3).round().clip(0, 3) % 2, ((np.abs(X) * 3).round().clip(0, 3) % 2 > 0), id="no order, yet the value tells"),
        pytest.param(np.exp(X), 3 * X + 1, id="a number tells a number"),
        pytest.param(-(X**3), X, id="a falling curve tells a number"),
    ],
)  # fmt: skip
def test_leakage_of_every_kind_is_found(feature: Any, target: Any) -> None:
    column = pd.Series(feature)
    if column.dtype == object:
        column = column.astype("str")
    features = pd.DataFrame({"leak": column, "fine": GENERATOR.normal(size=N)})
    (breach,) = breaches(features, pd.Series(target))
    assert breach.startswith("what leak tells of the target ")
    assert breach.endswith(" breaks ≤ 0.99")


def test_a_good_feature_is_no_leak() -> None:
    strong = X + 0.3 * GENERATOR.normal(size=N)
    for target in ((X > 0).astype(int), np.digitize(X, [-1, 1]), X):
        assert 0.5 < target_strength(pd.Series(strong), pd.Series(target)) < 0.99


def test_a_name_of_each_row_tells_nothing() -> None:
    names = pd.Series([f"row {i}" for i in range(N)])
    for target in ((X > 0).astype(int), np.digitize(X, [-1, 1]), X):
        assert target_strength(names, pd.Series(target)) < 0.1


@pytest.mark.parametrize("value", [1.0, "EUR", np.nan, None])
def test_a_constant_is_found(value: Any) -> None:
    features = pd.DataFrame({"c": pd.Series([value] * 100), "x": X[:100]})
    (finding,) = measure_features(features, pd.Series(np.arange(100) % 2)).findings
    assert (finding["column"], finding["problem"]) == ("c", "constant")
    (breach,) = breaches(features, pd.Series(np.arange(100) % 2))
    assert breach.startswith("broken features 1, c: constant (only ")


def test_an_infinite_feature_is_found() -> None:
    features = pd.DataFrame({"ratio": np.where(X > 2, np.inf, X)})
    (finding,) = measure_features(features, pd.Series(GENERATOR.random(N) < 0.5)).findings
    assert finding["problem"] == "infinite"
    assert finding["observed"].endswith(" rows")


@pytest.mark.parametrize(
    ("before", "now"),
    [
        pytest.param(20 + 5 * X, (20 + 5 * X) * 1.8 + 32, id="Celsius became Fahrenheit"),
        pytest.param(np.exp(X), np.exp(X) * 1000, id="kilometres became metres"),
        pytest.param((X > 2).astype(float), (X > -2).astype(float), id="a flag was turned round"),
        pytest.param(np.where(X > 0, "a", "b"), np.where(X > 0, "A", "B"), id="codes were renamed"),
        pytest.param(X, np.where(X < 1, np.nan, X), id="most values vanished"),
    ],
)
def test_a_jump_since_the_last_training_is_found(before: Any, now: Any) -> None:
    noise = pd.Series(GENERATOR.random(N) < 0.5)
    (breach,) = breaches(pd.DataFrame({"f": now}), noise, pd.DataFrame({"f": before}))
    assert breach.startswith("shift of f since the last training ")
    assert breach.endswith(" breaks ≤ 1")


def test_a_feature_that_changed_type_or_vanished_is_found() -> None:
    before = pd.DataFrame({"kept": X, "typed": X, "gone": X})
    now = pd.DataFrame({"kept": X, "typed": pd.Series(np.where(X > 0, "a", "b")).astype("str"), "new": X})
    measured = measure_features(now, pd.Series(GENERATOR.random(N) < 0.5), LastTraining(before))
    assert {f["column"]: f["problem"] for f in measured.findings} == {
        "typed": "type changed since the last training",
        "gone": "gone since the last training",
    }


def test_labels_that_were_turned_round_since_the_last_training_are_a_jump_and_a_season_is_none() -> None:
    features, late = pd.DataFrame({"x": X}), pd.Series(GENERATOR.random(N) < 0.2, name="late").astype(int)

    def refused(before: "pd.Series[Any]") -> list[str]:
        measured = measure_features(features, late, LastTraining(features, before))
        verdict = judge(measured, rules_of().gates.feature_verification)
        return [breach.figure for breach in verdict.breaches]

    assert refused(1 - late) == ["shift of the target late since the last training"]
    assert refused(pd.Series(GENERATOR.random(N) < 0.35).astype(int)) == []


def test_a_common_category_that_is_gone_is_found_and_a_rare_one_is_not() -> None:
    sites = pd.Series(list("AAAABBBBC" * 200 + "D" * 20)).astype("str")
    features, target = pd.DataFrame({"x": X}), pd.Series(GENERATOR.random(N) < 0.5)

    def broken(now: "pd.Series[Any]") -> list[str]:
        found = measure_features(features, target, LastTraining(features, categories={"site": (sites, now)}))
        return [f"{f['column']}: {f['observed']}" for f in found.findings]

    assert broken(sites.sample(frac=1, random_state=0)) == []
    assert broken(sites[sites != "D"]) == []
    assert broken(sites[sites != "C"]) == ["site: 'C', which 11% of the rows had"]
    assert broken(sites[sites != "C"].head(100)) == []


@given(st.lists(st.floats(-5, 5) | st.none(), min_size=30, max_size=60))
def test_a_sample_has_not_moved_against_itself(values: list[float | None]) -> None:
    column = pd.Series(values, dtype="float64")
    assert population_stability(column, column) == pytest.approx(0.0, abs=1e-12)


def test_stability_grows_with_the_distance() -> None:
    reference = pd.Series(X)
    shifts = [population_stability(reference, reference + by) for by in (0.0, 0.2, 0.5, 1.0, 3.0)]
    assert shifts == sorted(shifts)
    # Two normal distributions one standard deviation apart: the index is near the symmetric
    # Kullback-Leibler divergence, which is 1; ten bins see a little less.
    assert 0.8 < shifts[3] < 1.05


CLOCKS: dict[str, tuple[str, list[str]]] = {
    "the clock": ("import pandas as pd\nage = pd.Timestamp.now() - rows['t']", ["line 2: pd.Timestamp.now"]),
    "under another name": ("from datetime import datetime as dt\nx = dt.now()", ["line 2: dt.now"]),
    "a setting": ("import os\nrate = float(os.environ.get('RATE', 1))", ["line 2: os.environ"]),
    "a hash": ("codes = rows['site'].map(hash)", ["line 1: hash"]),
    "a file": ("import pandas as pd\ntable = pd.read_csv('/data/sites.csv')", ["line 2: pd.read_csv"]),
    "chance": ("import numpy as np\nx = np.random.default_rng().normal()", ["line 2: np.random.default_rng"]),
    "the clock, asked by a word": (
        "import pandas as pd\nage = pd.Timestamp('now') - rows['t']",
        ["line 2: pd.Timestamp"],
    ),
    "the clock of a list": ("import numpy as np\nx = np.datetime64(['Today'])", ["line 2: np.datetime64"]),
    "a time that is written down": ("import pandas as pd\nage = pd.Timestamp('2024-01-01')", []),
    "a file by its path": ("from pathlib import Path\nx = Path('codes.txt').read_text()", ["line 2: Path"]),
    "a name made of names": ("import os\nx = os.path.join('a', 'b')", []),
    "project code, imported late": (
        "import importlib\nx = importlib.import_module('team.codes').X",
        ["line 2: importlib.import_module"],
    ),
    "project code, imported otherwise": ("x = __import__('team.codes').X", ["line 1: __import__"]),
    "code from elsewhere": ("x = eval(rows['formula'][0])", ["line 1: eval"]),
    "a column computed": ("x = rows.eval('a + b')", []),
    "a service": (
        "import requests\nx = requests.get('https://example.com').json()",
        ["line 2: requests.get"],
    ),
    "a draw with a seed": ("import numpy as np\nx = np.random.default_rng(0).normal()", []),
    "a name of one's own": ("def hash(x): return 1\nhash('a')", []),
    "the time of a row": ("import pandas as pd\nx = pd.Timestamp(rows['t'][0]).time()", []),
}


@pytest.mark.parametrize("case", CLOCKS)
def test_code_that_hangs_on_more_than_its_rows_is_found_with_its_line(case: str) -> None:
    code, expected = CLOCKS[case]
    found = measure_features(pd.DataFrame({"x": X}), pd.Series(X > 0.3), code=code).findings
    places = [f["column"].removesuffix(" of the features' code") for f in found]
    assert [f"{place}: {f['observed']}" for place, f in zip(places, found, strict=True)] == expected


def test_a_feature_that_the_newest_rows_lack_is_broken() -> None:
    features = pd.DataFrame({"x": X, "weather": GENERATOR.normal(size=N), "month": np.arange(N) // 100})
    newest = np.arange(N) >= N - 100
    target = pd.Series(GENERATOR.random(N) < 0.5)
    assert measure_features(features, target, newest=newest).findings == ()
    features.loc[newest, "weather"] = np.nan
    (finding,) = measure_features(features, target, newest=newest).findings
    assert finding == {
        "column": "weather",
        "problem": "missing in the newest rows",
        "observed": "100% of 100",
    }


def test_two_features_that_changed_places_are_found() -> None:
    draw = np.random.default_rng(1)
    before = pd.DataFrame({"wife": draw.integers(1, 7, N), "husband": draw.integers(1, 7, N) ** 2 // 7})
    later = before.sample(frac=0.8, random_state=0).reset_index(drop=True)
    target = pd.Series(draw.random(len(later)) < 0.5)
    assert measure_features(later, target, LastTraining(before)).findings == ()
    swapped = later.assign(wife=later["husband"], husband=later["wife"])
    (finding,) = measure_features(swapped, target, LastTraining(before)).findings
    assert (finding["column"], finding["problem"]) == ("wife", "swapped since the last training")
