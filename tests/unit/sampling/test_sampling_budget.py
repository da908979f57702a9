"""Budgets, prices and chunks of a sampling run."""

import dataclasses
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from env.errors import UserError
from medcopilot.prices import Price, load_prices
from medcopilot.rollout.backends import chunks
from medcopilot.rollout.engine import NothingWorks
from medcopilot.rollout.sample import Meter
from medcopilot.rollout.settings import SampleConfig
from medcopilot.rollout.worker import Played
from medcopilot.runs import RunFolder


class Endpoint:
    name = "openai:m"

    def describe(self):
        return {"name": self.name, "model": "m"}


class Endless:
    def over(self):
        return ""


def a_config(tmp_path: Path, **fields) -> SampleConfig:
    return SampleConfig(out=tmp_path / "r", policy="openai:m@http://127.0.0.1:1/v1", **fields)


def a_meter(config: SampleConfig, told: list) -> Meter:
    run = RunFolder.create(config.out, {})
    return Meter(config, Endpoint(), run, 0, 10, lambda done, total, state: told.append((done, total, state)))


PLAYED = Played(success=True, graded=True, masked=False, prompt_tokens=1_000, completion_tokens=100)


def test_a_price_is_per_million_tokens():
    assert Price(input=2.0, output=10.0).of(500_000, 100_000) == pytest.approx(1.0 + 1.0)


def test_a_run_stops_at_the_budget_that_is_reached_first(tmp_path):
    (tmp_path / "prices.yaml").write_text("m: {input: 100, output: 1000, source: 'list price, 2026-01-05'}\n")
    config, told = a_config(tmp_path, max_tokens=1_000, max_cost=0.5, prices=tmp_path / "prices.yaml"), []
    meter = a_meter(config, told)
    played = 0
    for _ in meter.while_it_lasts(list(range(10))):
        meter.count(PLAYED)  # 0.2 dollars each
        played += 1
    assert (played, meter.over()) == (3, "max_cost")
    assert told[0][2]["stopped"] == ""


def test_a_run_in_which_every_episode_is_masked_fails_and_says_why(tmp_path):
    meter = a_meter(a_config(tmp_path), [])
    meter.check()
    meter.count(dataclasses.replace(PLAYED, success=False, graded=False, masked=True, error="BoxDied: gone"))
    with pytest.raises(NothingWorks, match=r"all 1 episodes failed .*BoxDied: gone"):
        meter.check()
    meter.count(PLAYED)
    meter.check()


def test_what_was_used_before_a_worker_died_stays_used(tmp_path):
    config = a_config(tmp_path, max_tokens=1_000)
    first = a_meter(config, [])
    for _ in range(6):
        first.count(PLAYED)
    second = Meter(config, Endpoint(), RunFolder.create(config.out, {}), 6, 4, lambda *_: None, first)
    assert len([second.count(PLAYED) for _ in second.while_it_lasts(list(range(10)))]) == 4


def test_a_price_is_found_under_the_policys_whole_name_too(tmp_path):
    """As in reports and leaderboards."""
    (tmp_path / "prices.yaml").write_text("'openai:m': {input: 100, output: 1000}\n")
    a_meter(a_config(tmp_path, max_cost=0.5, prices=tmp_path / "prices.yaml"), [])


def test_tokens_alone_need_no_price(tmp_path):
    meter = a_meter(a_config(tmp_path, max_tokens=250), [])
    assert len([meter.count(PLAYED) for _ in meter.while_it_lasts(list(range(10)))]) == 3
    assert meter.over() == "max_tokens"


def test_a_cost_without_a_price_is_refused_before_anything_is_sent(tmp_path):
    with pytest.raises(UserError, match="no price of openai:m is known"):
        a_meter(a_config(tmp_path, max_cost=1.0), [])


def test_usage_that_is_missing_is_no_usage_of_zero(tmp_path):
    (tmp_path / "prices.yaml").write_text("m: {input: 100, output: 1000}\n")
    unknown = dataclasses.replace(PLAYED, prompt_tokens=None)
    meter = a_meter(a_config(tmp_path, max_cost=0.5, prices=tmp_path / "prices.yaml"), [])
    meter.count(dataclasses.replace(unknown, masked=True))
    with pytest.raises(UserError, match="sends no usage, so what its replies cost is unknown"):
        meter.count(unknown)
    a_meter(a_config(tmp_path, prices=tmp_path / "prices.yaml"), []).count(unknown)  # nobody asked for a bound


@pytest.mark.parametrize(("text", "reason"), [
    ("m: {input: -1, output: 2}", r"m\.input"), ("m: 3", "m: "), ("m: {input: [", "is not YAML"), ("[1]", "dictionary")])
def test_wrong_prices_name_file_and_entry(tmp_path, text, reason):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"prices\.yaml.*{reason}"):
        load_prices(path)
    with pytest.raises(UserError, match="cannot be read"):
        load_prices(tmp_path / "missing.yaml")


@given(count=st.integers(0, 300), workers=st.integers(1, 9), concurrency=st.integers(1, 64))
def test_chunks_are_all_jobs_in_order_and_no_worker_stays_without(count, workers, concurrency):
    config = SampleConfig(out=Path("r"), policy="expert", concurrency=concurrency)
    given_out = list(chunks(list(range(count)), config, workers, Endless()))
    assert [job for chunk in given_out for job in chunk] == list(range(count))
    assert len(given_out) >= min(count, workers) - (workers - 1) * (count % workers != 0)
    assert all(given_out)
