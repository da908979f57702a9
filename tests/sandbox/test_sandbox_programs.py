"""What a box does with well-meaning programs: exit codes, output, tracebacks, values, SQL, workspace."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from env.sandbox.backend import WorkerBackend
from env.sandbox.base import BoxSpec, Execution, Mount, Program
from env.sandbox.box import WorkerBox
from env.task import Limits


def python(box: WorkerBox, source: str, limits: Limits | None = None, want_value: bool = True) -> Execution:
    return box.run(Program(source=source), limits, want_value=want_value)


def sql(box: WorkerBox, source: str, **fields: str) -> Execution:
    return box.run(Program(source=source, language="sql", **fields), want_value=True)


def shell(box: WorkerBox, source: str, limits: Limits | None = None) -> Execution:
    return box.run(Program(source=source, language="shell"), limits)


def test_output_and_value(box: WorkerBox) -> None:
    run = python(box, "import sys\nprint('hi')\nprint('oh', file=sys.stderr)\nanswer = [1, 2.5, None]")
    assert (run.status, run.exit_code, run.stdout, run.stderr) == ("ok", 0, "hi\n", "oh\n")
    assert run.has_value
    assert run.value == [1, 2.5, None]
    assert run.text == "hi\noh\n"


def test_no_answer_means_no_value(box: WorkerBox) -> None:
    assert not python(box, "print(3)").has_value
    assert not python(box, "answer = 3\n1/0").has_value
    assert not python(box, "answer = 3\nimport sys; sys.exit(2)").has_value
    assert python(box, "answer = 3\nimport sys; sys.exit(0)").value == 3
    assert not box.run(Program(source="answer = 3")).has_value


def test_traceback_shows_the_programs_own_lines(box: WorkerBox) -> None:
    run = python(box, "def f():\n    return {}['k']\n\nf()\n")
    assert (run.status, run.exit_code) == ("error", 1)
    assert run.stderr.splitlines() == [
        "Traceback (most recent call last):", '  File "program.py", line 4, in <module>', "    f()",
        '  File "program.py", line 2, in f', "    return {}['k']", "           ~~^^^^^", "KeyError: 'k'"]
    run = python(box, "x = (\n")
    assert 'File "program.py", line 1' in run.stderr
    assert "SyntaxError" in run.stderr


@pytest.mark.parametrize(("source", "status", "code"), [
    ("raise SystemExit(3)", "error", 3), ("raise SystemExit('no')", "error", 1), ("import os; os._exit(7)", "error", 7),
    ("import os; os.kill(os.getpid(), 9)", "killed", -9), ("import os; os.abort()", "killed", -6),
    ("import ctypes; ctypes.string_at(0)", "killed", -11), ("raise MemoryError", "oom", 1)])
def test_exit_codes_and_signals(box: WorkerBox, source: str, status: str, code: int) -> None:
    run = python(box, source)
    assert (run.status, run.exit_code) == (status, code)


def test_program_is_main_and_exit_functions_run(box: WorkerBox) -> None:
    source = ("import atexit, sys, threading, time\natexit.register(print, 'bye')\n"
              "threading.Thread(target=lambda: (time.sleep(.05), print('thread'))).start()\n"
              "print(__name__, sys.argv, sys.modules['__main__'].__file__)\n")
    assert python(box, source).stdout == "__main__ ['program.py'] /workspace/program.py\nthread\nbye\n"


def test_multiprocessing_works(box: WorkerBox) -> None:
    source = ("from multiprocessing import Pool\ndef f(x): return x * x\n"
              "if __name__ == '__main__':\n    with Pool(2) as p: answer = p.map(f, [1, 2, 3])\n")
    run = python(box, source, Limits(exec_seconds=20))
    assert run.value == [1, 4, 9], run


def test_scientific_libraries(box: WorkerBox) -> None:
    source = ("import numpy as np, pandas as pd\nfrom scipy.stats import norm\n"
              "answer = [pd.Series([1, 2]).mean(), np.arange(3), round(norm.cdf(0), 3)]")
    assert python(box, source, Limits(exec_seconds=60)).value == [1.5, [0, 1, 2], 0.5]


def test_binary_and_invalid_utf8(box: WorkerBox) -> None:
    run = python(box, "import sys; sys.stdout.buffer.write(b'a\\xff\\x00b\\xc3\\xa9')")
    assert run.stdout == "a\ufffd\x00bé"


def test_surrogates_in_source_and_answer(box: WorkerBox) -> None:
    assert python(box, "answer = '\ud800'").value == "?"
    assert python(box, r"answer = '\ud800x'").value == "?x"


def test_large_output_keeps_head_and_tail(box: WorkerBox) -> None:
    run = python(box, "import sys\nprint('HEAD')\nsys.stdout.write('x' * (50 << 20))\nprint('TAIL')\nanswer = 1",
                 Limits(exec_seconds=30, output_bytes=1000))
    assert run.status == "ok"
    assert run.truncated
    assert run.stdout.startswith("HEAD\n")
    assert run.stdout.endswith("TAIL\n")
    assert "bytes cut ...]" in run.stdout
    assert len(run.stdout) < 1100
    assert run.value == 1


def test_workspace_persists_and_files_are_collected(box: WorkerBox) -> None:
    python(box, "import os\nopen('a.csv', 'w').write('1,2')\nos.mkdir('d'); open('d/b', 'w').write('b')\n"
                "os.symlink('/etc/ld.so.cache', 'link'); os.mkfifo('pipe'); open('big', 'w').write('x' * 5000)")
    assert shell(box, "cat a.csv").stdout == "1,2"
    names = ["a.csv", "d/b", "link", "pipe", "big", "missing", "d", "../tmp/x", "/etc/ld.so.cache"]
    assert box.read_files(names, 1000) == {"a.csv": b"1,2", "d/b": b"b"}


def test_shell(box: WorkerBox) -> None:
    assert shell(box, "echo $((1+1)); exit 3").model_dump(include={"stdout", "exit_code", "status"}) == {
        "stdout": "2\n", "exit_code": 3, "status": "error"}
    assert shell(box, "python -c 'import pydantic; print(1)'", Limits(exec_seconds=30)).stdout == "1\n"
    assert shell(box, "yes | head -1").stdout == "y\n"
    # a system's own `python3` is another one, and `python` there may be none at all
    told = shell(box, "command -v python python3; python -c 'import sys; print(sys.version)'").stdout.splitlines()
    assert told[2:] == sys.version.splitlines()
    assert told[0] == told[1].removesuffix("3")


def test_runs_do_not_share_state(box: WorkerBox) -> None:
    python(box, "import builtins, json\nbuiltins.leak = 1\njson.dumps = None")
    run = python(box, "import builtins, json\nanswer = [hasattr(builtins, 'leak'), json.dumps(1)]")
    assert run.value == [False, "1"]


def test_sql_text_and_rows(box: WorkerBox) -> None:
    run = sql(box, "select * from t")
    assert run.stdout == "1 | a | 0.1\n2 | NULL | 37.0\n3 | c;d | 0.333333333333\n"
    assert run.value == [[1, "a", 0.1], [2, None, 37.0], [3, "c;d", 1 / 3]]


@pytest.mark.parametrize(("source", "out", "value"), [
    ("select 1 where 0", "(no rows)\n", []), ("select 0.1 + 0.2", "0.3\n", [[0.1 + 0.2]]),
    ("select ';'; -- x;\nselect 2 /* ; */;\n-- end", "2\n", [[2]]), ("select 'a' || char(10) || 'b'", "a\\nb\n", [["a\nb"]]),
    ("select x'00ff'", "x'00ff'\n", None)])
def test_sql_semantics(box: WorkerBox, source: str, out: str, value: object) -> None:
    run = sql(box, source)
    assert run.stdout == out
    assert run.value == value
    assert run.unsupported == ("bytes" if value is None else "")


@pytest.mark.parametrize(("source", "message"), [
    ("selec 1", 'Error: near "selec": syntax error\n'), ("select nope from t", "Error: no such column: nope\n"),
    ("delete from t", "Error: attempt to write a readonly database\n"), ("", "Error: no SQL statement\n"),
    (" -- nothing", "Error: no SQL statement\n")])
def test_sql_errors(box: WorkerBox, source: str, message: str) -> None:
    run = sql(box, source)
    assert (run.status, run.exit_code, run.stderr, run.has_value) == ("error", 1, message, False)


def test_sql_rows_are_capped_and_runaways_end(box: WorkerBox) -> None:
    count = "with recursive n(i) as (select 1 union all select i + 1 from n {}) select {} from n"
    run = sql(box, count.format("limit 20000", "i"))
    assert run.status == "ok"
    assert (run.unsupported, run.has_value) == ("row count", False)
    run = box.run(Program(source=count.format("", "count(*)"), language="sql"), Limits(exec_seconds=0.5))
    assert run.status == "timeout_soft"
    assert run.stderr == "Error: interrupted\n"


def test_sql_database_choice(backend: WorkerBackend, database: Path) -> None:
    spec = BoxSpec(mounts=(Mount(name="a.db", host=database), Mount(name="b?#%.db", host=database)))
    box = backend.open(spec)
    assert sql(box, "select 1", database="b?#%.db").stdout == "1\n"
    assert "name the database: a.db, b?#%.db" in sql(box, "select 1").stderr
    assert "no database 'c'" in sql(box, "select 1", database="c").stderr
    box.close()


def test_python_reads_the_database(box: WorkerBox) -> None:
    run = python(box, "import sqlite3\nc = sqlite3.connect('/data/ehr.sqlite')\n"
                      "answer = c.execute('select name from t where id = 1').fetchone()")
    assert run.value == ["a"]


def test_empty_program_and_folder_mount(backend: WorkerBackend, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1")
    tmp_path.chmod(0o755)
    box = backend.open(BoxSpec(mounts=(Mount(name="set", host=tmp_path),)))
    assert python(box, "").status == "ok"
    assert python(box, "answer = open('/data/set/x.csv').read()").value == "1"
    box.close()


def test_nothing_comes_in_on_stdin(box: WorkerBox) -> None:
    assert python(box, "import sys\nanswer = sys.stdin.read()").value == ""
    assert "EOFError" in python(box, "input('name? ')").stderr
    assert shell(box, "cat; read -r x || echo none").stdout == "none\n"


def test_large_and_unicode_programs(box: WorkerBox) -> None:
    rows = ",\n".join(f"    ({i}, 'Ünïcode {i} 漢字')" for i in range(60_000))
    run = python(box, f"rows = [\n{rows}\n]\nanswer = [len(rows), rows[-1][1]]", Limits(exec_seconds=30))
    assert run.value == [60_000, "Ünïcode 59999 漢字"], run
    assert python(box, "größe = 3\nprint('ñ', größe)").stdout == "ñ 3\n"


@pytest.mark.parametrize(("source", "code"), [("no-such-program --help", 127), ("./program.py", 126), ("perl6 -e 1", 127)])
def test_a_missing_interpreter_is_the_programs_error(box: WorkerBox, source: str, code: int) -> None:
    python(box, "answer = 1")
    run = shell(box, source)
    assert (run.status, run.exit_code) == ("error", code), run
    assert run.stderr


def test_what_one_language_leaves_the_others_find(box: WorkerBox) -> None:
    python(box, "open('n.txt', 'w').write('7')")
    assert shell(box, "echo $(( $(cat n.txt) * 6 )) > m.txt; cat m.txt").stdout == "42\n"
    assert python(box, "answer = int(open('m.txt').read())").value == 42
