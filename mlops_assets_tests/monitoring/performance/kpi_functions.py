"""Business figures as teams write them, good and bad."""

from typing import Any

import pandas as pd


def bookings(predictions: pd.DataFrame) -> "pd.Series[Any]":
    return predictions.set_index("prediction_id")["output"] * 10


def table(predictions: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"prediction_id": predictions["prediction_id"], "value": 1.0, "more": "x"})


def revenue(predictions: pd.DataFrame) -> float:
    return float(len(predictions))


def breaks(predictions: pd.DataFrame) -> float:
    raise KeyError("shop")


def ruins(predictions: pd.DataFrame) -> float:
    predictions["output"] = -1.0
    predictions.drop(predictions.index, inplace=True)
    return 1.0


def nothing(predictions: pd.DataFrame) -> None:
    return None


def text(predictions: pd.DataFrame) -> str:
    return "plenty"


def endless(predictions: pd.DataFrame) -> float:
    return float("inf")


def texts(predictions: pd.DataFrame) -> "pd.Series[Any]":
    return pd.Series("many", index=predictions["prediction_id"])


def twice(predictions: pd.DataFrame) -> "pd.Series[Any]":
    return pd.Series(1.0, index=[predictions["prediction_id"][0]] * 100)


def strangers(predictions: pd.DataFrame) -> "pd.Series[Any]":
    return pd.concat([bookings(predictions), pd.Series([1.0, 2.0], index=["who", "what"])])


def of_another_shape(predictions: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"id": predictions["prediction_id"], "value": 1.0})
