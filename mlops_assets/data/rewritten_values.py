"""Values that are not what they were when the same rows were trained on before."""

from typing import TYPE_CHECKING, Any

from mlops_assets.specs.data_spec import Data

if TYPE_CHECKING:
    import pandas as pd

_FEWEST = 200  # rows known from before, below which a share says little
_RELATIVE = 1e-6  # of a number that went through other hands: it may have lost its last digits


def rewritten_values(rows: "pd.DataFrame", previous: "pd.DataFrame", data: Data) -> dict[str, float]:
    """Return by column the share of rows known from before whose value is another one now.

    What happened does not change, so a source that tells it otherwise was mended or has been broken: a
    wrong join, another unit, columns mixed up. What was missing then and is known now does not count.

    Args:
        rows: Rows as they came, with key and features.
        previous: Rows of the last training, likewise.
        data: The spec's data part; a row is known by its key.

    Returns:
        Nothing if rows have no key, or too few were there before.
    """
    key = list(data.key)
    names = [c.name for c in data.features if c.name not in key and {c.name} <= {*rows, *previous}]
    unlike = any(n not in previous or previous[n].dtype != rows[n].dtype for n in key)
    if not key or not names or unlike:
        return {}
    then, now = (table[[*key, *names]].drop_duplicates(key, keep=False) for table in (previous, rows))
    both = then.merge(now, on=key, suffixes=("_then", "_now"))
    if len(both) < _FEWEST:
        return {}
    return {name: _changed(both[f"{name}_then"], both[f"{name}_now"]) for name in names}


def _changed(then: "pd.Series[Any]", now: "pd.Series[Any]") -> float:
    import numpy as np
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    known = then.notna()
    if not known.any():
        return 0.0
    then, now = then[known], now[known]
    if all(is_numeric_dtype(v.dtype) and not is_bool_dtype(v.dtype) for v in (then, now)):
        same = np.isclose(then.astype("float64"), now.astype("float64"), rtol=_RELATIVE, atol=0)
    else:
        same = (then.astype("object") == now.astype("object")).to_numpy(dtype=bool)
    return float(1 - same.mean())
