"""What the sandbox really prints is what the error taxonomy reads."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from env.gym import Gym
from env.sandbox import open_backend
from env.task import DataFile, Limits, Task, TaskKey, TaskView, make_task
from medcopilot.agent.loop import _note
from medcopilot.evaluation.run_errors import run_error
from medcopilot.trace import Turn

FRAME = "import pandas as pd\nd = pd.read_csv('/data/labs.csv')\n"
RUNS = [
    ("sql", "select ward from patients", "missing_column"),
    ("sql", "select * from admissions", "missing_table"),
    ("sql", "selct 1", "syntax"),
    ("sql", "select * from", "syntax"),
    ("sql", "select 'a", "syntax"),
    ("sql", "select id from patients a join patients b", "runtime"),
    ("sql", "select * from patients where id = 9", "empty_result"),
    ("sql", "select max(id), min(id) from patients where id = 9", "empty_result"),
    ("sql", "select * from patients", ""),
    ("python", "import sqlite3\nsqlite3.connect('/data/x.sqlite').execute('select ward from patients')", "missing_column"),
    ("python", "import sqlite3\nsqlite3.connect('/data/none/y.db')", "missing_file"),
    ("python", FRAME + "d['valeu']", "missing_column"),
    ("python", FRAME + "d[['id', 'valeu']]", "missing_column"),
    ("python", FRAME + "d[['x', 'y']]", "missing_column"),
    ("python", FRAME + "d.valeu", "missing_column"),
    ("python", FRAME + "d.groupby('x').size()", "missing_column"),
    ("python", FRAME + "d.merge(d, on='x')", "missing_column"),
    ("python", FRAME + "d.set_index('x')", "missing_column"),
    ("python", FRAME + "d.drop(columns=['x'])", "missing_column"),
    ("python", FRAME + "d.query('x > 1')", "missing_column"),
    ("python", FRAME + "d.loc[9]", "runtime"),
    ("python", FRAME + "print(d[d.id > 5])", "empty_result"),
    ("python", FRAME + "print(d[d.id > 5].value)", "empty_result"),
    ("python", FRAME + "print(d[d.id > 5].value.mean())", "empty_result"),
    ("python", FRAME + "print(d.value.mean())", ""),
    ("python", "import pandas as pd\npd.read_csv('/data/lab.csv')", "missing_file"),
    ("python", "open('/data/notes.txt')", "missing_file"),
    ("python", "print('a", "syntax"),
    ("python", "if 1:\nprint(1)", "syntax"),
    ("python", "print({'a': 1}['b'])", "runtime"),
    ("python", "print(1 / 0)", "runtime"),
    ("python", "x = 1", "empty_result"),
    ("python", "while True: pass", "budget"),
    ("python", "x = bytearray(10**10)", "budget"),
    ("shell", "cat /data/nope.csv", "missing_file"),
    ("shell", "if then", "syntax"),
    ("shell", "grep zzz /data/labs.csv", "empty_result"),
    ("shell", "nosuchcommand", "runtime"),
    ("shell", "head -1 /data/labs.csv", ""),
]


@pytest.fixture(scope="module")
def gym(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gym]:
    folder = tmp_path_factory.mktemp("data")
    with sqlite3.connect(folder / "x.sqlite") as database:
        database.execute("create table patients(id int, name text)")
        database.execute("insert into patients values (1, 'A')")
    database.close()
    (folder / "labs.csv").write_text("id,value\n1,2.5\n")
    backend = open_backend("auto")
    made = Gym(backend)
    made.add_folder("toy", folder)
    yield made
    backend.close()


def a_task() -> Task:
    files = (DataFile(name="x.sqlite", path="x.sqlite"), DataFile(name="labs.csv", path="labs.csv", kind="csv"))
    limits = Limits(turns=len(RUNS) + 1, exec_seconds=5.0, memory_mb=1024)
    view = TaskView(dataset="toy", family="sql", question="?", data=files, limits=limits)
    return make_task(view, TaskKey(grader="ehr_answer"), seed=0, category="c", template="t", split="test", slice="seen",
                     cluster="c", licence="synthetic")


def test_messages_of_real_runs_are_read_as_meant(gym: Gym) -> None:
    episode, found = gym.episode(a_task()), []
    try:
        for language, source, _ in RUNS:
            action = {"action": "terminal", "params": {"command": source}} if language == "shell" else {
                "action": "code_execution", "params": {"code": source, "language": language}}
            turn = Turn(reply=json.dumps(action))
            _note(turn, episode.step(turn.reply))
            found.append((language, source, run_error(turn)))
    finally:
        episode.close()
    assert found == RUNS
