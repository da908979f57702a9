"""The page in a real browser: no script but its own runs, nothing is asked for, filters work, and it fits a phone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit" / "evaluation"))

from trace_factory import make_run, make_trace

from medcopilot.report.build import build_report
from medcopilot.trace import Turn

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files")
EVIL = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"

pytestmark = [pytest.mark.slow,
              pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install --no-install-recommends chromium")]


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    evil = make_trace(False, category=EVIL, messages=[{"role": "user", "content": EVIL}],
                      turns=[Turn(reply=EVIL, observation=EVIL)])
    stages = {"base": make_run(0.05), "GRPO": [evil, *make_run(0.7)]}
    rows = [{"step": i, "reward": i / 40} for i in range(40)]
    return build_report(stages, tmp_path_factory.mktemp("page") / "report.html", "A report", {"metrics": {"GRPO": rows}})


def dump(path: Path, profile: Path, *flags: str) -> str:
    """The page as the browser has it once its scripts have run. Console messages go to stderr, which is returned too."""
    done = subprocess.run([str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", "--enable-logging=stderr", "--dump-dom",
                           path.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout + "\n<!-- " + "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line) + " -->"


def frame(page: Path, script: str, width: int = 1100) -> Path:
    """A page that holds the report in a frame, runs `script` on its window `w`, and writes what it returns into `#result`."""
    host = page.with_name(f"host-{abs(hash(script)) % 10**8}.html")
    host.write_text(f"""<!doctype html><meta charset="utf-8"><body><iframe src="{page.name}" width="{width}" height="900"></iframe>
<pre id="result"></pre><script>
document.querySelector("iframe").addEventListener("load", (event) => {{
  const w = event.target.contentWindow, d = w.document;
  document.getElementById("result").textContent = "[" + (() => {{ {script} }})() + "]";
}});
</script>""", encoding="utf-8")
    return host


def result(text: str) -> str:
    return re.search(r'<pre id="result">\[(.*?)\]</pre>', text, re.DOTALL).group(1)


def test_only_the_pages_own_script_runs(page, tmp_path):
    text = dump(page, tmp_path)
    assert "<title>A report</title>" in text
    assert re.search(r'<output id="count"[^>]*>\d+ of \d+ shown</output>', text)  # its own script did run
    assert not re.search(r"CONSOLE.*(Refused|violates|Uncaught|ERR_)", text)


def test_filters_choose_episodes(page, tmp_path):
    script = """
      const form = d.getElementById("filters"), visible = () => [...d.querySelectorAll("details.episode")].filter((e) => !e.hidden);
      const all = visible().length;
      form.elements.outcome.value = "success";
      form.dispatchEvent(new w.Event("input"));
      const some = visible();
      const right = some.every((e) => e.dataset.outcome === "success");
      form.querySelector('[data-open="all"]').click();
      const opened = some.every((e) => e.open);
      form.elements.text.value = "no such words anywhere";
      form.dispatchEvent(new w.Event("input"));
      return [all > some.length && some.length > 0, right, opened, visible().length, !d.getElementById("nothing").hidden].join();
    """
    assert result(dump(frame(page, script), tmp_path)) == "true,true,true,0,true"


@pytest.mark.parametrize("width", [360, 1100])
def test_nothing_sticks_out_sideways(page, tmp_path, width):
    script = """
      for (const item of d.querySelectorAll("details")) item.open = true;
      return [d.documentElement.scrollWidth <= d.documentElement.clientWidth].join();
    """
    assert result(dump(frame(page, script, width), tmp_path)) == "true"


def test_every_control_has_a_name_and_text_stands_out_in_both_themes(page, tmp_path):
    script = """
      const light = (colour) => {
        const canvas = d.createElement("canvas"), pen = canvas.getContext("2d");
        pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => {
          v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const contrast = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
      const named = [...d.querySelectorAll("button, input, select")].every((e) => e.textContent.trim() || e.labels.length);
      let worst = 99;
      for (const scheme of ["light", "dark"]) {
        d.documentElement.style.colorScheme = scheme;
        const surface = w.getComputedStyle(d.querySelector("section")).backgroundColor;
        for (const item of d.querySelectorAll("section :is(p, th, td, small, a, summary, .badge, .tag)")) {
          worst = Math.min(worst, contrast(w.getComputedStyle(item).color, surface));
        }
        for (const item of d.querySelectorAll("pre.code span")) {
          const sunk = w.getComputedStyle(item.closest("pre")).backgroundColor;
          worst = Math.min(worst, contrast(w.getComputedStyle(item).color, sunk));
        }
        for (const item of d.querySelectorAll("td.cell")) {
          const style = w.getComputedStyle(item); worst = Math.min(worst, contrast(style.color, style.backgroundColor));
        }
      }
      return [named, worst >= 4.5 || worst].join();
    """
    assert result(dump(frame(page, script), tmp_path)) == "true,true"
