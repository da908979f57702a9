import math

import pytest

from env.datasets import dataset_names
from env.task import DataFile, TaskKey, TaskView, make_task
from medcopilot.validation import programs
from medcopilot.validation.attacks import attacks
from medcopilot.validation.chance import chance
from medcopilot.validation.controls import WEAK, first_cell
from medcopilot.validation.judging import answer_evidence, attack_evidence, judge, judge_some
from medcopilot.validation.variants import answer_variants
from rewards.types import Evidence


def table_task(reference, question="How many?", **args):
    view = TaskView(dataset="mimic_iii", family="sql", question=question,
                    data=(DataFile(name="mimic_iii.sqlite", path="train.sqlite"),))
    return make_task(view, TaskKey(reference=reference, grader="ehr_answer", args=args), seed=0, category="c", template="t",
                     split="train", slice="train", cluster="t/0", licence="synthetic")


def calc_task(reference, **args):
    view = TaskView(dataset="medcalcbench", family="calc", question="BMI?", context="Weight 70 kg, height 1.75 m.")
    return make_task(view, TaskKey(reference=reference, grader="medcalc", args=args), seed=0, category="c", template="t",
                     split="train", slice="train", cluster="t/0", licence="synthetic")


TASKS = [
    table_task([[37]]), table_task([[36.5]]), table_task([["yes"]], yes_no=True), table_task([["2105-12-31 23:59:00"]]),
    table_task([["aspirin", 3], ["heparin", 5]]), table_task([["aspirin"], ["heparin"]], ordered=True),
    table_task([["x"]], extra_keys=[17]), table_task(None, impossible=True),
    calc_task(22.9, output_type="decimal", lower=21.8, upper=24.0), calc_task(3, output_type="integer"),
    calc_task("03/14/2105", output_type="date"), calc_task([12, 3], output_type="weeks_days"),
    calc_task(0.00251, output_type="decimal", lower=0.0024, upper=0.0026),
]


def program_table(tasks):
    """Evidence as boxes would give it, made by hand: every program printed nothing useful, the crash printed the question."""
    table = {}
    for task in tasks:
        key = tuple(file.path for file in task.view.data)
        for attack in attacks():
            if attack.submission.kind == "program":
                crashed = attack.submission.program == programs.CRASH
                table[attack.name, key] = Evidence(kind="program", status="error" if crashed else "ok",
                                                   text=f"ValueError: {programs.QUESTION_MARK}" if crashed else "")
    return table


def test_every_variant_of_every_kind_of_reference_is_accepted():
    tally = judge_some(TASKS, program_table(TASKS))
    refused = {name: score.example for name, score in tally.variants.items() if score.strict < score.tasks}
    assert not refused


@pytest.mark.parametrize("family", ["sql", "calc"])
def test_a_family_has_at_least_eight_kinds_of_variants(family):
    kinds = {name for task in TASKS if task.view.family == family for name, _ in answer_variants(task)}
    assert len(kinds) >= 8


def test_variants_differ_from_one_another():
    for task in TASKS:
        names = [name for name, _ in answer_variants(task)]
        assert len(names) == len(set(names))


def test_impossible_tasks_have_no_variants_and_do_not_enter_rates():
    impossible = table_task(None, impossible=True)
    assert list(answer_variants(impossible)) == []
    tally = judge_some([impossible], program_table([impossible]))
    assert tally.gold.strict == 1
    assert tally.attacks["always abstain"].tasks == 0
    assert tally.attacks["always abstain"].everywhere == 1


def test_tallies_do_not_depend_on_chunks():
    many = TASKS * 20
    table = program_table(many)
    seen = []
    whole = judge(many, table, 1, lambda done, total: seen.append((done, total)))
    assert seen[-1] == (len(many), len(many))
    alone = judge_some(many, table)
    assert {k: v.strict for k, v in whole.attacks.items()} == {k: v.strict for k, v in alone.attacks.items()}
    assert whole.gold.strict == alone.gold.strict == len(many)


def test_the_crash_prints_the_question_of_the_task_at_hand():
    crash = next(attack for attack in attacks() if attack.fill)
    task = table_task([[37]], question='How many of "them" were 37?')
    evidence = attack_evidence(crash, task, program_table([task]))
    assert "were 37?" in evidence.text
    assert programs.QUESTION_MARK not in evidence.text
    compile(crash.source_for(task).program, "crash", "exec")


def test_attacks_have_unique_names_and_known_controls():
    names = [attack.name for attack in attacks()]
    assert len(names) == len(set(names))
    assert {attack.control for attack in attacks()} <= {*WEAK, "leaky_box", "compares_in_box"}


def test_every_attack_program_is_valid_python():
    for attack in attacks():
        if attack.submission.kind == "program":
            compile(attack.submission.program, attack.name, "exec")


def test_answer_attacks_earn_nothing_on_these_tasks_but_their_constant():
    tally = judge_some([table_task([[37]]), calc_task(22.9, lower=21.8, upper=24.0)], program_table(TASKS))
    paid = {name for name, score in tally.attacks.items() if score.strict}
    assert paid == set()


@pytest.mark.parametrize(("control", "good", "bad"), [
    ("counts_abstention", Evidence(kind="abstain"), Evidence(kind="none")),
    ("forgives_silence", Evidence(kind="program"), Evidence(kind="program", text="x")),
    ("trusts_exit_code", Evidence(kind="program"), Evidence(kind="program", status="error")),
    ("accepts_any_value", answer_evidence(5), Evidence(kind="program")),
    ("finds_substring", Evidence(kind="program", status="error", text="line 137"), Evidence(kind="program", text="line 13")),
    ("forgets_nan", answer_evidence(math.nan), answer_evidence(50)),
    ("one_sided_limit", answer_evidence(math.inf), answer_evidence("text")),
    ("believes_stdout", Evidence(kind="program", text='x {"score": 1.0}\n'), Evidence(kind="program", text="score 1.0")),
    ("believes_file", Evidence(kind="program", files={"result.json": b'{"score": 1.0}'}), Evidence(kind="program")),
])
def test_each_weak_grader_has_exactly_its_weakness(control, good, bad):
    task = table_task([[37]])
    assert WEAK[control](good, task)
    assert not WEAK[control](bad, task)


def test_first_cell_reaches_through_any_shape():
    assert first_cell([[37, 1], [2, 3]]) == 37
    assert first_cell({"a": [5]}) == 5
    assert first_cell([]) == ""


def test_chance_is_the_share_of_the_most_common_reference():
    tasks = [table_task([[1]])] * 3 + [table_task([[n]]) for n in range(10, 17)]
    assert chance(tasks) == (0.3, [[1]])
    assert chance([]) == (0.0, None)


def test_chance_finds_a_number_between_references_when_limits_overlap():
    tasks = [calc_task(value, lower=value - 1, upper=value + 1, output_type="decimal") for value in (10.0, 11.5, 20.0)]
    rate, answer = chance(tasks)
    assert rate == pytest.approx(2 / 3)
    assert 10.5 <= answer <= 11


def test_datasets_named_in_the_docs_exist():
    assert {"mimic_iii", "medcalcbench"} <= set(dataset_names())
