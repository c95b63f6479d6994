"""Whether a share moves a lot the next day."""

from datetime import timedelta
from typing import TYPE_CHECKING

from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd

_STOCKS = Source(
    package="skfolio",
    version="1.12.2",
    licence="BSD-3-Clause",
    rows="a trading day of 1990 to 2022 of a large US share, three to five to a sector: whether it "
    "moves by more than 2 % until the close of the next",
    left_out="the first 60 days, which fill the averages; prices themselves, which only grow",
)
_SECTORS = {
    "consumer": ("KO", "PEP", "PG"),
    "energy": ("CVX", "RRC", "XOM"),
    "finance": ("BAC", "GE", "JPM"),
    "health": ("JNJ", "LLY", "MRK", "PFE", "UNH"),
    "retail": ("BBY", "HD", "WMT"),
    "technology": ("AAPL", "AMD", "MSFT"),
}
_SPANS = (1, 5, 20, 60)
_MUCH = 0.02


def load() -> list[Series]:
    """Return large moves by sector."""
    import numpy as np
    import pandas as pd

    path = packaged(_STOCKS, "skfolio/datasets/data/sp500_dataset.csv.gz")
    prices = pd.read_csv(path, parse_dates=["Date"], index_col="Date")
    returns = np.log(prices).diff()
    return [_sector(name, returns, shares) for name, shares in _SECTORS.items()]


def _sector(name: str, returns: "pd.DataFrame", shares: tuple[str, ...]) -> Series:
    import pandas as pd

    market = returns.mean(axis=1)
    rows = pd.concat([_share(share, returns[share], market) for share in shares])
    return shaped(
        rows.rename_axis("day").reset_index(),
        f"stocks/{name}",
        _STOCKS,
        "binary_classification",
        time="day",
        target="large",
        features=tuple(c for c in rows if c != "large"),
        label_delay=timedelta(days=4),
        window="quarter",
        train_windows=20,
    )


def _share(ticker: str, returns: "pd.Series[float]", market: "pd.Series[float]") -> "pd.DataFrame":
    import pandas as pd

    rows = pd.DataFrame({f"moved_{span}d": _movement(returns, span) for span in _SPANS})
    for span in _SPANS[1:]:
        rows[f"market_moved_{span}d"] = _movement(market, span)
    rows["returned_20d"] = returns.rolling(20).sum()
    rows["share"] = ticker
    tomorrow = returns.abs().shift(-1)
    rows["large"] = (tomorrow > _MUCH).astype(int)
    return rows[rows[f"moved_{max(_SPANS)}d"].notna() & tomorrow.notna()]


def _movement(returns: "pd.Series[float]", days: int) -> "pd.Series[float]":
    """Return the root mean square of the last days' returns."""
    return returns.pow(2).rolling(days).mean().pow(0.5)
