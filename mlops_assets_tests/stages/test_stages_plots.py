"""Pictures in asset metadata: they are pictures, and show no more than fits."""

import base64
import io

import pytest
from PIL import Image

from mlops_assets.stages import plots


def picture(markdown: str) -> Image.Image:
    found = Image.open(io.BytesIO(base64.b64decode(markdown.partition("base64,")[2].rstrip(")"))))
    found.load()
    return found


@pytest.mark.parametrize("champion", [{}, {"feature 0": 0.4, "gone": 0.6}])
def test_importances_show_the_strongest_features_and_the_champions_where_there_is_one(
    champion: dict[str, float],
) -> None:
    few, many, more = (
        picture(plots.importances({f"feature {i}": 1 / n for i in range(n)}, champion).value)
        for n in (3, 15, 40)
    )
    assert few.height < many.height
    assert abs(many.height - more.height) <= 2
