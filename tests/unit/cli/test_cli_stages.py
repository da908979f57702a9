from medcopilot.cli.stages import stage_progress


def test_a_log_gets_a_line_per_finished_stage_and_no_more(capsys):
    with stage_progress("building toy") as progress:
        for i in range(1, 101):
            progress("patients", i, 100)
        progress("patients", 100, 100)
        progress("tasks", 5, 5)
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert [line.partition(" (")[0] for line in lines] == ["building toy: patients 100/100", "building toy: tasks 5/5"]


def test_an_empty_stage_is_no_problem(capsys):
    with stage_progress("x") as progress:
        progress("nothing", 0, 0)
    assert "0/0" in capsys.readouterr().err
