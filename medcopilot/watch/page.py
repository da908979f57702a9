"""One frame of `medcopilot watch`: a run as a page of text.

Promises: fits any width from 60 columns and the height that it is given: the sample trajectory gets the lines that are left, and
where there are few the less important measures go first. Text of trajectories is shown as text: neither markup nor control
characters of it reach the terminal. Where no terminal is looked at, a sample of rows under a data-use agreement passes the
agreement gate (`log_export`) or is left out with the reason.
Does not cover: reading (`medcopilot.watch.state`), refreshing (`medcopilot.cli.watch`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from env import agreement
from env.errors import AgreementError
from medcopilot.report.text import visible
from medcopilot.watch.draw import Glyphs, bar, clock, glyphs, percent, plain, sparkline
from medcopilot.watch.state import RunState, Sample, StageState

WIDE = 80
"""Columns from which two columns stand side by side."""
LEAST = 4
"""Lines of measures, however little room there is."""
SAMPLE_LINES = 30
"""Of a sample where there is no end to the page (a log)."""
_STYLES = {"waiting": "yellow", "running": "cyan", "finished": "green", "stopped": "red"}
_MARKS = {"waiting": "…", "running": "▶", "finished": "✔", "stopped": "✖"}


class Measure(NamedTuple):
    """One line of numbers."""

    name: str
    """In the metrics."""
    label: str
    show: Callable[[float], str] = plain


MEASURES = (
    Measure("loss", "loss"), Measure("reward", "reward"), Measure("success", "success", percent),
    Measure("mean_token_accuracy", "token accuracy", percent), Measure("rewards/accuracies", "pairs right", percent),
    Measure("rewards/margins", "margin"), Measure("groups/zero_variance", "zero variance", percent),
    Measure("rollouts/infrastructure", "infra. errors", percent), Measure("rollouts/loops", "loops", percent),
    Measure("rollouts/tokens_per_second", "sampled tok/s"), Measure("speed/tokens_per_second", "trained tok/s"),
    Measure("speed/mfu", "MFU", percent), Measure("speed/update_mfu", "MFU of update", percent),
    Measure("rollouts/turns", "turns"), Measure("value/explained_variance", "explained var."), Measure("kl", "KL"),
    Measure("staleness", "staleness"), Measure("rollouts/sampled_tokens", "tokens/episode"), Measure("entropy", "entropy"),
    Measure("kl/start", "KL to start"), Measure("skipped", "skipped steps"),
    Measure("mismatch/kl", "engine KL"), Measure("grad_norm", "gradient norm"), Measure("learning_rate", "learning rate"),
)
STEP_PARTS = (("wait", "rollout wait", "blue"), ("sync", "weight sync", "magenta"), ("evaluate", "evaluation", "cyan"),
              ("update", "update", "green"), ("other", "other", "bright_black"))
EPISODE_PARTS = (("generate", "generation", "blue"), ("env", "environment", "yellow"), ("grade", "grading", "green"))


class Fill:
    """A bar as wide as the place that it is given."""

    def __init__(self, share: float | None, style: str, signs: Glyphs) -> None:
        self.share, self.style, self.signs = share, style, signs

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        done = round((self.share or 0.0) * options.max_width)
        line = Text().append(self.signs.done * done, style=self.style)
        yield line.append(self.signs.empty * (options.max_width - done), style="bright_black")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(4, options.max_width)


def frame(run: RunState, console: Console, height: int | None = None) -> RenderableType:
    """The page for this console.

    Args:
        height: lines that there are; None: as many as it takes, as in a log.
    """
    signs, width = glyphs(console.encoding), console.width
    top: list[RenderableType] = [_header(run, width), _stages(run, width, signs)]
    stage = run.focus
    if stage is None:
        return Group(*top)
    top.append(_rule(f"{stage.name}, {_where(stage)}", width, signs))
    bottom = [*_times(stage, width, signs), *_alarms(stage, width, signs)]
    left = None if height is None else height - _lines(console, top) - _lines(console, bottom)
    measures = _measures(stage, width, signs, left)
    parts = [*top, measures, *bottom]
    if stage.sample is not None:
        room = SAMPLE_LINES if left is None else left - _lines(console, [measures]) - 1
        if room >= 3:
            parts += _sample(stage.sample, room, console, signs)
    return Group(*parts)


def _lines(console: Console, parts: Sequence[RenderableType]) -> int:
    return len(console.render_lines(Group(*parts), console.options.update(height=None))) if parts else 0


def _header(run: RunState, width: int) -> RenderableType:
    line = Table.grid(expand=False, padding=(0, 1))
    line.width = width
    line.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    line.add_column(justify="right", no_wrap=True)
    title = Text(visible(str(run.folder)), style="bold")
    line.add_row(title, Text(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(run.read)), style="dim"))
    if not run.steps:
        return line
    done = Text("done: " + ", ".join(f"{visible(name)} {clock(seconds)}" for name, seconds in run.steps), style="dim",
                no_wrap=True, overflow="ellipsis")
    return Group(line, done)


def _stages(run: RunState, width: int, signs: Glyphs) -> RenderableType:
    table = Table.grid(padding=(0, 1, 0, 0))
    table.width = width
    table.add_column(no_wrap=True, max_width=16, overflow="ellipsis")
    table.add_column(ratio=1, no_wrap=True)
    for _ in ("fraction", "step", "time"):
        table.add_column(justify="right", no_wrap=True)
    for stage in run.stages:
        style = _STYLES[stage.standing]
        mark = _MARKS[stage.standing] if signs.parts else stage.standing[0]
        fraction = "" if stage.progress is None else f"{stage.progress:.0%}"
        table.add_row(Text(f"{mark} {visible(stage.name)}", style=style), Fill(stage.progress, style, signs), Text(fraction),
                      Text(f"step {stage.step}", style="dim"), _left(stage), *([_headline(stage, signs)] if width >= WIDE else []))
    return table


def _left(stage: StageState) -> Text:
    if stage.eta is not None:
        return Text(f"{clock(stage.eta)} left", style="bold")
    if stage.standing == "finished":
        return Text(f"took {clock(stage.seconds)}", style="dim")
    return Text(stage.standing, style=_STYLES[stage.standing])


def _headline(stage: StageState, signs: Glyphs) -> Text:
    """The one number that says how well it goes, with its past."""
    for name, label, show in (Measure("success", "success", percent), Measure("reward", "reward"), Measure("loss", "loss")):
        value = stage.last(name)
        if value is not None:
            return Text(f"{label} {show(value)} ").append(sparkline(stage.series(name), 8, signs), style="cyan")
    return Text("")


def _where(stage: StageState) -> str:
    if stage.standing == "waiting":
        return "no step yet"
    if stage.standing == "stopped":
        return f"step {stage.step}, stopped {clock(stage.age)} ago: run again to {'resume' if stage.resumable else 'restart'}"
    words = f"step {stage.step}" + (f", {clock(stage.seconds)} of training" if stage.seconds is not None else "")
    return f"{words}, last row {clock(stage.age)} ago" if stage.standing == "running" else words


def _rule(title: str, width: int, signs: Glyphs) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis").append(visible(title), style="bold")
    return line.append(" " + signs.empty * max(0, width - len(title) - 1), style="bright_black")


def _measures(stage: StageState, width: int, signs: Glyphs, room: int | None) -> RenderableType:
    """Label, newest value and its past, in one column of lines or two; at most `room` lines, part of which a sample may want."""
    columns = 2 if width >= WIDE else 1
    labels, values, gap = 15, 9, 2
    spark = min(60, (width - (columns - 1) * gap) // columns - labels - values - 2)
    lines = []
    for name, label, show in MEASURES:
        value, past = stage.last(name), stage.series(name)
        if value is None or (name in ("kl", "skipped") and not any(past)):
            continue
        line = Text().append(f"{label:<{labels}}", style="bright_black").append(f"{show(value):>{values}}  ", style="bold")
        lines.append(line.append(sparkline(past, spark, signs), style="cyan"))
    if room is not None:
        most = room - (min(8, room // 2) if stage.sample is not None else 0)
        lines = lines[: columns * max(LEAST, most)]
    return _beside(lines, columns, width, gap) if lines else Text("no metrics yet", style="dim")


def _beside(lines: Sequence[Text], columns: int, width: int, gap: int) -> RenderableType:
    """Lines in columns, down first."""
    rows = math.ceil(len(lines) / columns)
    table = Table.grid(padding=0)
    each = (width - (columns - 1) * gap) // columns
    for number in range(columns):
        table.add_column(width=each + (gap if number < columns - 1 else 0), no_wrap=True)
    for row in range(rows):
        table.add_row(*(lines[row + rows * column] if row + rows * column < len(lines) else Text("") for column in range(columns)))
    return table


def _times(stage: StageState, width: int, signs: Glyphs) -> list[RenderableType]:
    """Where a step's seconds and an episode's go, over the newest rows; nothing for a stage without rollouts."""
    columns = 2 if width >= WIDE else 1
    room = (width - (columns - 1) * 2) // columns
    found = {name: stage.mean(f"time/{name}") for name, *_ in STEP_PARTS}
    if found["wait"] is None:  # written by an older version
        found["wait"] = stage.mean("time/rollout")
    step = {name: value for name, value in found.items() if value is not None}
    shares = {name: value for name, *_ in EPISODE_PARTS if (value := stage.mean(f"share/{name}")) is not None}
    blocks: list[list[Text]] = []
    if step and sum(step.values()) > 0:
        whole = sum(step.values())
        rows = [(label, step[name] / whole, clock(step[name]) if step[name] >= 60 else f"{step[name]:.2f} s", colour)
                for name, label, colour in STEP_PARTS if name in step]
        blocks.append(_bars(f"a step: {clock(whole) if whole >= 60 else f'{whole:.1f} s'}", rows, room, signs))
    if shares:
        episode = stage.mean("rollouts/seconds")
        rows = [(label, shares[name], f"{shares[name] * episode:.2f} s" if episode else "", colour)
                for name, label, colour in EPISODE_PARTS if name in shares]
        rows.append(("other", max(0.0, 1 - sum(shares.values())), "", "bright_black"))
        blocks.append(_bars(f"an episode: {episode:.2f} s" if episode else "an episode", rows, room, signs))
    if not blocks:
        return []
    depth = max(len(block) for block in blocks)
    even = blocks if columns == 1 else [block + [Text("")] * (depth - len(block)) for block in blocks]
    return [_rule("time", width, signs), _beside([line for block in even for line in block], columns, width, 2)]


def _bars(title: str, rows: Sequence[tuple[str, float, str, str]], width: int, signs: Glyphs) -> list[Text]:
    labels, numbers = 13, 14
    room = max(4, width - labels - numbers - 1)
    lines = [Text(title, style="bold")]
    for label, share, seconds, colour in rows:
        drawn = bar(share, room, signs)
        lines.append(Text().append(f"{label:<{labels}}", style="bright_black").append(drawn, style=colour)
                     .append(" " * (room - len(drawn))).append(f"{share:>5.0%}{seconds:>9}"))
    return lines


def _alarms(stage: StageState, width: int, signs: Glyphs) -> list[RenderableType]:
    """How many, and the newest."""
    if not stage.alarms:
        return []
    count, newest = len(stage.alarms), stage.alarms[-1]
    title = f"{count} alarms, the last at step {newest.get('step')}" if count > 1 else f"alarm at step {newest.get('step')}"
    return [_rule(title, width, signs), Text(visible(str(newest.get("text")), 400), style="red")]


def _sample(sample: Sample, lines: int, console: Console, signs: Glyphs) -> list[RenderableType]:
    title = _rule(f"sample trajectories of step {sample.step}", console.width, signs)
    if not console.is_terminal:
        from medcopilot.rl.samples import sample_rows

        try:
            agreement.check("log_export", sample_rows(sample.text))
        except AgreementError as error:
            return [title, Text(f"not shown outside of a terminal: {error}", style="yellow")]
    shown: list[RenderableType] = []
    for line in visible(sample.text).splitlines()[2:]:  # after the machine's line and a title that says no more than ours
        if line.startswith("#"):
            shown.append(Text(line.lstrip("# "), style="bold", no_wrap=True, overflow="ellipsis"))
        elif line.strip() and not line.startswith("```"):
            for part in Text(line.rstrip()).wrap(console, console.width - 2):
                shown.append(Text("  ").append_text(part))
        if len(shown) > lines:
            break
    if len(shown) > lines:
        shown = [*shown[: lines - 1], Text(f"  ... {sample.path}", style="dim", no_wrap=True, overflow="ellipsis")]
    return [title, *shown]
