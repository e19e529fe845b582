"""The gallery of worked sites: each runs by the command line that stands at its head."""

import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from loadloom.client.command.app import app

ROOT = Path(__file__).parents[2]
GALLERY = sorted((ROOT / "examples/gallery").glob("*.yaml"))
SHOWN = {
    "home": ("heat pump", "house °C", "house heat", "car stored", "pool pump"),
    "workshop": ("demand charge", "engine", "carbon"),
    "charging_park": ("50 vehicles", "demand charge"),
    "microgrid": ("diesel", "sun, wind", "depth wear"),
    "swapping_station": ("docks", "end value"),
}
"""What the report of each site shows."""


def command(file: Path) -> list[str]:
    """The arguments of the command line at the head of a site file."""
    line = next(x for x in file.read_text().splitlines() if x.startswith("# .venv/bin/loadloom "))
    return [str(ROOT / a) if a.startswith("examples/") else a for a in shlex.split(line[2:])][1:]


def test_the_gallery_has_a_site_of_each_kind():
    assert {file.stem for file in GALLERY} == set(SHOWN)


@pytest.mark.parametrize("file", GALLERY, ids=lambda file: file.stem)
def test_a_site_of_the_gallery_runs_as_its_head_says(file, target, tmp_path):
    out, chart = tmp_path / "plan.csv", tmp_path / "plan.png"
    wishes = ["--detail", "values", "--out", str(out), "--plot", str(chart), "--server", target]
    done = CliRunner().invoke(app, [*command(file), *wishes], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "no plan can cost less than" in done.stdout
    assert "…" not in done.stdout
    for words in SHOWN[file.stem]:
        assert words in done.stdout, words
    table = pd.read_csv(out)
    assert len(table) in {24, 96}
    assert not table.isna().to_numpy().any()
    assert chart.stat().st_size > 10_000


def test_the_microgrid_is_alone_while_the_grid_is_away(target, tmp_path):
    out = tmp_path / "plan.csv"
    arguments = [*command(ROOT / "examples/gallery/microgrid.yaml"), "--out", str(out)]
    done = CliRunner().invoke(app, [*arguments, "--server", target], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "saving" not in done.stdout  # without a plan the site would not be supplied
    table = pd.read_csv(out)
    given = table.filter(regex=r"^(field|turbine)\.power_kw").sum(axis=1)
    given += table["import_kw"] + table["battery.discharge_kw"] - table["diesel.power_kw"]
    given += table.filter(regex=r"\.shed_kw$").sum(axis=1)
    used = table.filter(regex=r"^(clinic|cold store \d)\.power_kw|\.curtailed_kw$").sum(axis=1)
    used += table["export_kw"] + table["battery.charge_kw"]
    assert ((given - used).abs() < 1e-6).all()
    alone = table[table["time"].str[11:13].isin(["17", "18", "19", "20"])]
    assert (alone[["import_kw", "export_kw"]].abs() < 1e-6).all().all()
    spare = 160 + alone["battery.charge_kw"] - alone["battery.discharge_kw"]
    assert (spare >= 10).all()
