"""What docs/metrics.md and examples/grafana name is what is counted, by the names it has there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict

import pytest
import yaml
from pages import ROOT, labelled
from private_servers.ports import free_port
from prometheus_client.parser import text_string_to_metric_families

from tokenkeep import Status, records
from tokenkeep.events import Event
from tokenkeep.metrics import OF_A_PROCESS, OF_THE_STORE, OUTCOMES, Census

PAGE = (ROOT / "docs/metrics.md").read_text()
GRAFANA = ROOT / "examples/grafana"
DASHBOARD = json.loads((GRAFANA / "dashboard.json").read_text())
ALERTS = yaml.safe_load((GRAFANA / "alerts.yaml").read_text())["groups"]
METRICS = (*OF_A_PROCESS, *OF_THE_STORE)
KINDS = {"observable_counter": "counter", "up_down_counter": "up-down counter"}


def test_table():
    """The page has a row for each metric: both names, kind, unit, attributes, and what it is."""
    table = PAGE.partition("| Metric |")[2].partition("\n\n")[0].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]

    assert rows == [
        [
            f"`{each.name}`",
            f"`{each.prometheus}`",
            f"{KINDS.get(each.kind, each.kind)}, `{each.unit}`",
            ", ".join(f"`{name}`" for name in each.attributes),
            each.text[0].lower() + each.text[1:],
        ]
        for each in METRICS
    ]


def test_attributes():
    """Each is explained, with all its values, which are few."""
    outcomes = PAGE.partition("| Outcome |")[2].partition("\n\n")[0].splitlines()[2:]
    table = PAGE.partition("| Attribute | Values |")[2].partition("\n\n")[0]

    assert sorted(OUTCOMES) == sorted(line.split("`")[1] for line in outcomes)
    assert {name for each in METRICS for name in each.attributes} == set(
        re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    )
    for name in (*Status, *records.BESIDE, "confirmed", "pending"):
        assert f"`{name}`" in table


def expressions():
    """Yield every expression, with where it is from."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield f"dashboard: {panel['title']}", target["expr"]
    for group in ALERTS:
        for rule in group["rules"]:
            yield f"alert: {rule['alert']}", rule["expr"]


@pytest.mark.parametrize(("where", "expression"), [*expressions()])
def test_grafana(where, expression):
    """What a panel or an alert asks for is counted, by its attributes and their values."""
    of_a_histogram = ("_bucket", "_count", "_sum")
    known = {each.prometheus: each for each in METRICS if each.kind != "histogram"}
    for each in METRICS:
        if each.kind == "histogram":
            known |= dict.fromkeys((each.prometheus + end for end in of_a_histogram), each)
    named = re.findall(r"\b(tokenkeep_\w+)(?:{([^}]*)})?", expression)
    words = {*OUTCOMES, *re.findall(r"``(\w+)``", Event.__doc__), "1", "1.0"}

    assert named or "node_textfile" in expression, where
    for name, labels in named:
        assert name in known, where
        for label, values in re.findall(r'(\w+)[=!~]+"([^"]*)"', labels):
            assert label in (*known[name].attributes, "le"), where
            assert set(values.split("|")) <= words, where
    for labels in re.findall(r"by \(([^)]*)\)", expression):
        assert {*labels.split(", ")} <= {*known[named[0][0]].attributes, "le"}, where
    assert expression.count("(") == expression.count(")")


def test_everything_is_shown():
    """Each metric has a panel; each alert says what it is and what to do about it."""
    shown = " ".join(text for where, text in expressions() if where.startswith("dashboard"))

    assert [each.name for each in METRICS if each.prometheus not in shown] == []
    for rule in (rule for group in ALERTS for rule in group["rules"]):
        assert {"summary", "action"} == rule["annotations"].keys()
        assert rule["labels"]["severity"] in ("warning", "critical")


USE = """
import urllib.request
import tokenkeep
from tokenkeep.metrics import HANDED_OUT, OF_A_PROCESS, OF_THE_STORE

with tokenkeep.Keeper(tokenkeep.open_store("memory:", environ={})) as keeper:
    row = keeper.save(tokenkeep.Token(user="ana", client_id="c", access_token="a"))
    keeper.get(id=row.id)
    for each in {*OF_A_PROCESS, *OF_THE_STORE} - {HANDED_OUT}:
        keeper.meters.note(each, 1, **{name: "word" for name in each.attributes})
print(urllib.request.urlopen("http://127.0.0.1:9464/metrics").read().decode())
"""


def test_names_in_prometheus():
    """The program of the page serves them, as OpenTelemetry's exporter names them: so do we."""
    (block,) = labelled("docs/metrics.md", "otel")
    program = (block + USE).replace("9464", str(free_port()))

    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )

    families = {
        each.name: each
        for each in text_string_to_metric_families(ran.stdout)
        if each.name.startswith("tokenkeep")
    }
    assert families.keys() == {each.prometheus.removesuffix("_total") for each in METRICS}
    for each in METRICS:
        family = families[each.prometheus.removesuffix("_total")]
        assert (each.text, set()) == (
            family.documentation,
            {*each.attributes} - {*family.samples[0].labels},
        )
    assert {each.type for each in families.values()} == {"counter", "histogram", "gauge"}


def test_what_a_census_says():
    """The text of `tokenkeep metrics` has all metrics of the store, and no other one."""
    census = Census(tokens={"ok": 10**7}, records={"note": 1}, due=2, due_age=3.5, revocations=4)
    found = {each.name: each.samples for each in text_string_to_metric_families(census.text())}

    assert list(found) == [each.prometheus for each in OF_THE_STORE]
    assert [10**7, 1, 2, 3.5, 4] == [each.value for (each,) in found.values()]
    assert [value for _, value, _ in census.samples()] == [10**7, 1, 2, 3.5, 4]
    assert census == Census(**asdict(census))
