"""The charts of docs/benchmarks.md show the figures that are committed, and so does the page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest

from benches import report
from benches.charts import CHARTS, DOCS, Chart, draw

PAGE: Final = (DOCS / "benchmarks.md").read_text()


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_a_chart_is_drawn_from_its_figures(chart: Chart) -> None:
    assert chart.picture().read_text() == draw(chart), "run make charts"
    assert f"(pictures/{chart.picture().name})" in PAGE


@pytest.mark.parametrize("chart", CHARTS, ids=lambda chart: chart.name)
def test_the_page_has_the_figures_of_a_chart(chart: Chart) -> None:
    ratios = {float(found) for found in re.findall(r"\d+(?:\.\d+)?", PAGE)}
    found = report.medians(chart.figures())
    shown = [found[name] for names in chart.rows.values() for name in names]
    assert shown
    assert all({value, round(value, 1)} & ratios for value in shown)


def test_figures_of_one_run_are_read_as_those_of_several(tmp_path: Path) -> None:
    one, several = tmp_path / "one.json", tmp_path / "several.json"
    one.write_text(json.dumps({"numbers": {"warm": {"memora": {"ratio": 1.5}}}}))
    spread = {"warm, memora, ratio": {"median": 1.5, "least": 1.4, "most": 1.6}}
    several.write_text(json.dumps({"numbers": {"spread": spread, "runs": []}}))
    assert report.medians(one) == report.medians(several) == {"warm, memora, ratio": 1.5}
