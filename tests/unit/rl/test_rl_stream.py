"""TrajectoryStream: whole groups, filtered on the raw outcome, replaced up to a bound, failures of ours masked."""


import pytest
from pydantic import ValidationError

from env.errors import EngineError, UserError
from medcopilot.rl.settings import RolloutSettings
from medcopilot.rl.stream import TrajectoryStream, judge
from medcopilot.rl.tasks import TaskSampler

SETTINGS = RolloutSettings(groups=4, group_size=8, max_groups=12, rewards={"outcome": 1.0})


def mixed(job):
    return float(job.sample % 2)


def stream_of(player, tasks, settings=SETTINGS, **rest):
    return TrajectoryStream(player, TaskSampler(tasks, seed=1), settings, **rest)


def test_groups_are_whole_and_of_one_task(player_of, tasks) -> None:
    player = player_of(mixed)
    harvest = stream_of(player, tasks, profile="nano", seed=3).next()
    assert len(harvest.groups) == len(harvest.played) == 4
    for group in harvest.groups:
        assert [trace.sample for trace in group.traces] == list(range(8))
        assert {trace.task_id for trace in group.traces} == {group.task.id}
        assert group.rewards == [0.0, 1.0] * 4
    assert {(job.temperature, job.top_p, job.profile) for job in player.jobs} == {(1.0, 1.0, "nano")}
    assert player.most_open <= player.concurrency


def test_zero_variance_groups_are_replaced_up_to_the_bound(player_of, tasks) -> None:
    calls = {}

    def score(job):  # the first task drawn twice over is always solved
        return 1.0 if calls.setdefault(job.seed, len(calls)) % 2 == 0 else mixed(job)

    harvest = stream_of(player_of(score), tasks).next()
    dropped = [group for group in harvest.played if group.verdict == "zero_variance"]
    assert len(harvest.groups) >= 4
    assert len(dropped) >= 3
    assert harvest.metrics["groups/zero_variance"] == len(dropped) / len(harvest.played)

    stream = stream_of(player_of(lambda job: 1.0 if job.seed % 3 else mixed(job)), tasks, RolloutSettings(groups=4, group_size=8,
                                                                                                       max_groups=5))
    harvest = stream.next()
    assert len(harvest.played) == 5
    assert 0 < len(harvest.groups) < 4


def test_nothing_to_learn_from_is_one_sentence(player_of, tasks) -> None:
    with pytest.raises(UserError, match="solves all or none"):
        stream_of(player_of(lambda job: 0.0), tasks).next()


def test_filtering_looks_at_the_outcome_not_at_shaped_rewards(task_of, trace_of) -> None:
    settings = RolloutSettings(group_size=8, rewards={"outcome": 1.0, "format": 0.5})
    task = task_of()
    traces = [trace_of(task, 0.0, sample=n, problems=("format", "") if n % 2 else ("", "")) for n in range(8)]
    group = judge(task, traces, settings, turn_limit=8)
    assert len(set(group.rewards)) == 2
    assert group.verdict == "zero_variance"


def test_failures_can_weigh_less_than_successes(task_of, trace_of) -> None:
    task, settings = task_of(), RolloutSettings(groups=1, scale="none", negative=0.25)
    group = judge(task, [trace_of(task, float(sample < 2), sample=sample) for sample in range(8)], settings, 8)
    assert group.advantages == pytest.approx([0.75] * 2 + [-0.25 * 0.25] * 6)


def test_failures_of_ours_are_masked(task_of, trace_of) -> None:
    task = task_of()
    traces = [trace_of(task, score, sample=n) for n, score in enumerate([1.0, None, 0.0, None, 0.0, 0.0, 1.0, 0.0])]
    group = judge(task, traces, SETTINGS, turn_limit=8)
    assert group.verdict == "kept"
    assert group.rewards[1] is None
    assert group.advantages[1] == group.advantages[3] == 0.0
    assert sum(group.advantages) == pytest.approx(0.0, abs=1e-9)
    lonely = judge(task, [trace_of(task, score) for score in [1.0] + [None] * 7], SETTINGS, turn_limit=8)
    assert lonely.verdict == "ungraded"
    unsampled = judge(task, [trace_of(task, 0.0, mask=[0] * 6), *traces[:1], *traces[2:3]], SETTINGS, turn_limit=8)
    assert unsampled.rewards[0] is None


def test_groups_with_two_policy_versions_are_dropped(player_of, tasks) -> None:
    first = []

    def version(job):
        first.append(job.seed)
        return int(job.seed == first[0] and job.sample > 3)

    harvest = stream_of(player_of(mixed, version=version), tasks).next()
    assert sorted(group.verdict for group in harvest.played) == ["kept"] * 4 + ["versions"]


def test_the_infrastructure_share_is_reported(player_of, tasks) -> None:
    harvest = stream_of(player_of(lambda job: None if job.sample == 0 else mixed(job)), tasks).next()
    assert harvest.metrics["rollouts/infrastructure"] == pytest.approx(1 / 8)
    assert harvest.metrics["reward"] == pytest.approx(4 / 7)
    assert harvest.metrics["rollouts/loops"] == 1.0  # the player says the same thing twice
    assert harvest.metrics["share/generate"] == pytest.approx(0.4 / 0.5)


def test_a_restored_stream_goes_on_with_the_same_jobs(player_of, tasks) -> None:
    def identities(player):
        return sorted((job.task.id, job.sample, job.seed) for job in player.jobs)

    whole, first, second = (player_of(mixed) for _ in range(3))
    stream = stream_of(whole, tasks)
    stream.next()
    before = len(whole.jobs)
    stream.next()
    interrupted = stream_of(first, tasks)
    interrupted.next()
    resumed = stream_of(second, tasks)
    resumed.restore(interrupted.state())
    resumed.next()
    whole.jobs = whole.jobs[before:]
    assert identities(second) == identities(whole)


def test_jobs_of_one_run_never_share_a_seed_and_task(player_of, tasks) -> None:
    player = player_of(mixed)
    stream = stream_of(player, tasks[:2])
    for _ in range(5):
        stream.next()
    keys = [(job.task.id, job.sample, job.seed) for job in player.jobs]
    assert len(set(keys)) == len(keys)


def test_small_groups_and_unknown_terms_are_refused() -> None:
    with pytest.raises(ValidationError):
        RolloutSettings(group_size=4)
    with pytest.raises(ValidationError, match="unknown reward term"):
        RolloutSettings(rewards={"luck": 1.0})


def test_a_verifier_scores_graded_episodes_only_and_enters_the_reward(player_of, tasks) -> None:
    asked = []

    def score(traces):
        asked.extend(trace.graded for trace in traces)
        return [0.25 + 0.5 * trace.success for trace in traces]

    settings = RolloutSettings(groups=2, group_size=8, verifier="v", rewards={"outcome": 1.0, "verifier": 0.4})
    stream = stream_of(player_of(lambda job: None if job.sample == 0 else mixed(job)), tasks, settings, score=score)
    harvest = stream.next()
    assert all(asked)
    assert len(asked) == 7 * len(harvest.played)
    for group in harvest.groups:
        assert group.rewards[0] is None
        assert group.rewards[1:] == pytest.approx([1.3, 0.1, 1.3, 0.1, 1.3, 0.1, 1.3])
    assert harvest.metrics["reward/verifier"] == pytest.approx((4 * 0.75 + 3 * 0.25) / 7)


@pytest.mark.parametrize("wrong", [[0.5], [1.5] * 8, [float("nan")] * 8])
def test_a_verifier_without_a_score_for_each_trace_is_never_a_reward(player_of, tasks, wrong) -> None:
    settings = RolloutSettings(groups=1, group_size=8, verifier="v", rewards={"outcome": 1.0, "verifier": 0.4})
    with pytest.raises(EngineError, match="the verifier gave"):
        stream_of(player_of(mixed), tasks, settings, score=lambda traces: wrong).next()


def test_a_verifier_is_configured_where_and_only_where_it_is_used(player_of, tasks) -> None:
    with pytest.raises(ValidationError, match="needs a verifier"):
        RolloutSettings(rewards={"outcome": 1.0, "verifier": 0.1})
    with pytest.raises(ValidationError, match="no weight uses it"):
        RolloutSettings(verifier="v")
    settings = RolloutSettings(verifier="v", rewards={"outcome": 1.0, "verifier": 0.1})
    with pytest.raises(UserError, match="needs a verifier"):
        stream_of(player_of(mixed), tasks, settings)


def test_limits_of_the_profile_enter_the_costs(task_of, trace_of) -> None:
    settings = RolloutSettings(rewards={"outcome": 1.0, "length_cost": 1.0})
    task = task_of()
    traces = [trace_of(task, float(n % 2), sample=n) for n in range(8)]
    nano, full = (judge(task, traces, settings, 8, profile=profile).terms[0]["length_cost"] for profile in ("nano", "full"))
    assert nano == pytest.approx(-3 / 448)
    assert full == pytest.approx(-3 / 32_768)


def test_the_default_reward_is_correctness_and_format() -> None:
    assert RolloutSettings().rewards == {"outcome": 1.0, "format": 0.1}


def test_prioritised_draws_prefer_templates_of_intermediate_success(tasks) -> None:
    sampler = TaskSampler(tasks, seed=0, priority="intermediate")
    for task in tasks:
        sampler.report(task, {"a": 0.0, "b": 0.5, "c": 1.0, "d": 0.9}[task.template])
    drawn = [sampler.draw()[1].template for _ in range(2000)]
    # weights 4 p (1 - p) + 0.1: a 0.1, b 1.1, c 0.1, d 0.46
    assert drawn.count("b") / 2000 == pytest.approx(1.1 / 1.76, abs=0.04)
    assert drawn.count("d") / 2000 == pytest.approx(0.46 / 1.76, abs=0.04)
    assert drawn.count("a") > 0


def test_uniform_draws_follow_the_seed(tasks) -> None:
    def drawn(seed):
        sampler = TaskSampler(tasks, seed=seed)
        return [sampler.draw()[1].id for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert len(set(drawn(1))) == len(tasks)


def test_the_outcome_is_the_named_graders(task_of, trace_of) -> None:
    """What only the released grader pays for is a reward only where the recipe says so."""
    task = task_of()
    traces = [trace_of(task, 0.0, sample=n) for n in range(8)]
    for trace in traces[:3]:
        trace.grades["paper"] = trace.grades["paper"].model_copy(update={"score": 1.0})
    assert judge(task, traces, SETTINGS, 8).verdict == "zero_variance"
    lenient = judge(task, traces, SETTINGS.model_copy(update={"grader": "paper"}), 8)
    assert lenient.rewards == [1.0] * 3 + [0.0] * 5
    assert lenient.verdict == "kept"


def test_without_the_filter_every_graded_group_is_kept(task_of, trace_of) -> None:
    settings = RolloutSettings(groups=1, group_size=1, filter=False)
    task = task_of()
    assert [judge(task, [trace_of(task, score)], settings, 8).verdict for score in (0.0, 1.0, None)] == ["kept", "kept", "ungraded"]
