"""Templates: how many, how short, and that their hints can be followed."""

import sqlite3

from env.datasets.mimic_iii.schema import TABLES
from env.datasets.mimic_iii.tasks import TEMPLATES
from env.datasets.mimic_iii.template import sql_hints
from env.datasets.mimic_iii.unanswerable import UNANSWERABLE


def test_enough_templates_of_every_category():
    assert len({t.name for t in TEMPLATES}) == len(TEMPLATES) >= 52
    assert sum(t.unseen for t in TEMPLATES) >= 10
    assert len({t.category for t in TEMPLATES}) == 8  # and `unanswerable`
    assert {t.category for t in TEMPLATES if not t.unseen} == {t.category for t in TEMPLATES}
    assert len(UNANSWERABLE) >= 8
    assert all(len(set(t.wordings)) >= 2 for t in [*TEMPLATES, *UNANSWERABLE])


def test_texts_fit_a_small_context(mimic_twin):
    tasks = mimic_twin.tasks("train") + mimic_twin.tasks("test")
    assert max(len(task.view.question) for task in tasks) < 140
    golds = [len(task.key.gold) for task in tasks]
    assert sum(golds) / len(golds) < 160
    assert sum(size < 300 for size in golds) / len(golds) > 0.97
    assert max(len(str(task.key.reference)) for task in tasks) < 200


def test_hints_name_what_the_database_holds(mimic_twin):
    connections = {split: sqlite3.connect(mimic_twin.host_path(f"{split}.sqlite")) for split in ("train", "test")}
    for split, connection in connections.items():
        for task in mimic_twin.tasks(split)[:150]:
            assert task.key.hints["tables"]
            for table, columns in task.key.hints["columns"].items():
                assert set(columns) <= set(TABLES[table])
            for table, column, value in task.key.hints["values"]:
                sql = f"select 1 from {table} where {column} = ? limit 1"
                assert connection.execute(sql, [value]).fetchone(), task.view.question


def test_the_view_holds_nothing_of_the_key(mimic_twin):
    for task in mimic_twin.tasks("test"):
        shown = task.view.model_dump_json()
        assert task.key.canary not in shown
        assert not task.key.gold or task.key.gold not in shown
        assert [file.name for file in task.view.data] == ["mimic_iii.sqlite"]


def test_hints_of_any_query():
    hints = sql_hints("select max(valuenum) from labevents where subject_id = 3")
    assert hints == {"tables": ["labevents"], "columns": {"labevents": ["subject_id", "valuenum"]}}
