"""A feature view travels with the model: the same code computes offline and online, beside other versions."""

# ruff: noqa: E501  (tables: one case a line)

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops_assets.data.columns import to_declared_types
from mlops_assets.data.features import FeatureView, types_of
from mlops_assets.data.snapshots import read_snapshot, write_snapshot
from mlops_assets.errors import DataError, SpecError
from mlops_assets.specs.data_spec import Data

_number = itertools.count()

View = Callable[..., FeatureView]


@pytest.fixture
def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    """Return a maker of views of a project whose feature module has the given source."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(source: str, function: str = "compute") -> FeatureView:
        module = f"team_features_{next(_number)}"
        (tmp_path / f"{module}.py").write_text(source)
        data = Data.model_validate(
            {
                "source": {"type": "csv", "path": "x"},
                "time_column": "t",
                "target": "y",
                "features": ["a", {"name": "s", "type": "string", "nullable": True}],
                "feature_function": f"{module}:{function}",
            }
        )
        return FeatureView.from_spec(data)

    return make


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame({"a": [1.0, 2.0, np.nan], "s": pd.Series(["x", None, "z"], dtype="str"), "y": 1})


def test_declared_columns_are_features_in_the_precision_that_is_served(rows: pd.DataFrame) -> None:
    data = Data.model_validate(
        {"source": {"type": "csv", "path": "x"}, "time_column": "t", "target": "y",
         "features": ["a", {"name": "s", "type": "string"}]}
    )  # fmt: skip
    features = FeatureView.from_spec(data).compute(rows)
    assert {name: str(dtype) for name, dtype in features.dtypes.items()} == {"a": "float32", "s": "str"}


def test_a_view_keeps_its_code_whatever_becomes_of_the_project(
    view: View, rows: pd.DataFrame, tmp_path: Path
) -> None:
    made = view("def compute(rows): return rows[['a']] * 2\n")
    for file in tmp_path.glob("team_features_*.py"):
        file.write_text("def compute(rows): raise RuntimeError('changed since')\n")
    travelled = FeatureView(made.inputs, made.source, made.function)
    assert travelled.digest == made.digest
    assert travelled.compute(rows)["a"].tolist()[:2] == [2.0, 4.0]


def test_two_versions_of_one_module_live_side_by_side(view: View, rows: pd.DataFrame) -> None:
    source = "FACTOR = {}\ndef compute(rows):\n    return rows[['a']] * FACTOR\n"
    one, two = view(source.format(2)), view(source.format(3))
    assert one.digest != two.digest
    for _ in range(2):
        assert one.compute(rows)["a"].iloc[0] == 2.0
        assert two.compute(rows)["a"].iloc[0] == 3.0


def test_features_are_the_same_before_and_after_a_snapshot(
    view: View, rows: pd.DataFrame, tmp_path: Path
) -> None:
    made = view(
        "import pandas as pd\n"
        "def compute(rows):\n"
        "    return pd.DataFrame({'text': rows['s'] + '!', 'gap': rows['s'].isna(), 'big': rows['a'] > 1,"
        " 'category': rows['s'].astype('category')}, index=rows.index)\n"
    )
    online = made.compute(to_declared_types(rows.astype({"s": "object"}), made.inputs))
    digest, path = write_snapshot(made.compute(rows), lambda d: tmp_path / d)
    pd.testing.assert_frame_equal(read_snapshot(path, digest), online)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ("[True, False, True]", "float32"),
        ("pd.array([1, None, 3], dtype='Int64')", "float32"),
        ("pd.array([1, None, 3], dtype='int64[pyarrow]')", "float32"),
        ("pd.array([True, None, False], dtype='boolean')", "float32"),
        ("pd.Series([Decimal('1.5'), None, Decimal(2)], dtype=object)", "float32"),
        ("pd.Series([1, None, 2.5], dtype=object)", "float32"),
        ("pd.Series([True, None, False], dtype=object)", "float32"),
        ("pd.Categorical([3, 1, 3])", "float32"),
        ("pd.Series(['a', None, 'b'], dtype=object)", "str"),
        ("pd.array(['a', None, 'b'], dtype='string')", "str"),
        ("pd.Categorical(['a', None, 'b'])", "str"),
        ("pd.Series([None, None, None], dtype=object)", "str"),
    ],
)
def test_a_feature_is_numbers_or_text(view: View, rows: pd.DataFrame, values: str, dtype: str) -> None:
    made = view(
        "import pandas as pd\nfrom decimal import Decimal\n"
        f"def compute(rows):\n    return pd.DataFrame({{'f': {values}}}, index=rows.index)\n"
    )
    assert str(made.compute(rows)["f"].dtype) == dtype


def test_a_feature_that_is_missing_in_all_rows_has_the_type_it_has_in_many(
    view: View, rows: pd.DataFrame
) -> None:
    """One row of a request: None does not tell whether it is a missing number or missing text."""
    made = view(
        "import pandas as pd\n"
        "def compute(rows):\n"
        "    number = [None if a != a else a * 2 for a in rows['a']]\n"
        "    text = [None if a != a else 'x' for a in rows['a']]\n"
        "    mapped = rows['s'].map({'x': 'y'})\n"
        "    return pd.DataFrame({'number': pd.Series(number, rows.index, dtype=object),"
        " 'text': pd.Series(text, rows.index, dtype=object), 'mapped': mapped,"
        " 'never': pd.Series([None] * len(rows), rows.index, dtype=object)}, index=rows.index)\n"
    )
    offline = made.compute(rows)
    types = types_of(offline)
    assert types == {"number": "float32", "text": "str", "mapped": "str"}
    for few in (rows.iloc[[2]], rows.iloc[[0]], rows.iloc[:0]):
        online = made.compute(few, types)
        assert online.dtypes.to_dict() == offline.dtypes.to_dict()
        pd.testing.assert_frame_equal(online, offline.loc[few.index])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return rows[['a']].head(1)", "returned 1 rows for 3; it must return one row for each"),
        ("return rows[['a']].reset_index(drop=True).iloc[::-1]", "with the same index"),
        ("return rows['a']", "must return a DataFrame, not Series"),
        ("return rows[['a', 'a']]", "each under a name of its own"),
        ("return rows[[]]", "must return columns"),
        ("return rows[['gone']]", "feature function compute failed: KeyError"),
        ("return rows[['y']]", "feature function compute failed: KeyError"),
        ("return 1 / 0", "failed: ZeroDivisionError"),
        ("return rows[['a']].assign(f='2024-01-01').astype({'f': 'datetime64[us]'})", "feature 'f' is a time; compute numbers"),
        ("return rows[['a']].assign(f=[[1]] * 3)", "feature 'f' holds mixed values; a feature is numbers or text"),
    ],
)  # fmt: skip
def test_what_is_no_feature_table_is_told(view: View, rows: pd.DataFrame, body: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        view(f"def compute(rows):\n    {body}\n").compute(rows)


def test_a_function_cannot_change_the_rows_it_is_given(view: View, rows: pd.DataFrame) -> None:
    before = rows.copy()
    view("def compute(rows):\n    rows['a'] = 0.0\n    return rows[['a']]\n").compute(rows)
    pd.testing.assert_frame_equal(rows, before)


@pytest.mark.parametrize(
    "line",
    ["from . import shared", "from .shared import x", "import team_shared", "from team_shared.deep import y"],
)
def test_project_code_would_not_travel_so_it_may_not_be_imported(
    view: View, tmp_path: Path, line: str
) -> None:
    (tmp_path / "team_shared").mkdir(exist_ok=True)
    (tmp_path / "team_shared" / "__init__.py").write_text("")
    (tmp_path / "team_shared" / "deep.py").write_text("y = 1\n")
    source = f"import math\nimport numpy as np\n\ndef compute(rows):\n    {line}\n    return rows\n"
    with pytest.raises(SpecError, match=r"\.py:5: a feature module travels with the model"):
        view(source)


def test_installed_libraries_may_be_imported(view: View, rows: pd.DataFrame) -> None:
    made = view(
        "import json\nfrom scipy.special import expit\nfrom sklearn.preprocessing import scale\n"
        "def compute(rows): return rows[['a']].apply(expit)\n"
    )
    assert made.compute(rows)["a"].iloc[0] == pytest.approx(0.7310586)
