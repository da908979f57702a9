"""Where the real sources come from, and under which terms.

Promises: one entry per dataset; `docs/data.md` is written from it (`python -m env.datasets.access docs/data.md`), and a test holds
the two together. Addresses are for people: nothing is downloaded by this project.
Does not cover: what may leave the machine (`env.agreement`), and terms that changed after this was written: the source's own page
decides.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from env.files import atomic_write

MIMIC = "https://physionet.org/content/mimiciii/1.4/"
MIMIC_DEMO = "https://physionet.org/content/mimiciii-demo/1.4/"
EICU = "https://physionet.org/content/eicu-crd/2.0/"
EICU_DEMO = "https://physionet.org/content/eicu-crd-demo/2.0.1/"
CREDENTIALED = ("PhysioNet Credentialed Health Data Use Agreement: training (CITI), a credentialed account, and the agreement "
                "signed for this very dataset. Rows and what is derived from them are not passed on")


class Access(NamedTuple):
    """How to obtain one dataset's real source."""

    fetch: tuple[tuple[str, str], ...]
    """What to fetch, and from where."""
    terms: str
    """Licence or agreement."""
    folder: str
    """What the folder given as `--source` holds."""
    open_part: str = ""
    """What can be had without an agreement."""


ACCESS: dict[str, Access] = {
    "mimic_iii": Access(
        (("EHRSQL's question files (folder dataset/ehrsql/mimic_iii)", "https://github.com/glee4810/EHRSQL"),
         ("MIMIC-III v1.4, CSV tables", MIMIC)),
        f"questions CC BY 4.0; tables: {CREDENTIALED}",
        "train.json, valid.json, test.json, and mimic_iii.sqlite or the raw CSV tables (in the folder or in raw/)",
        f"the demo of 100 patients, ODbL 1.0: {MIMIC_DEMO}"),
    "eicu": Access(
        (("EHRSQL's question files (folder dataset/ehrsql/eicu)", "https://github.com/glee4810/EHRSQL"),
         ("eICU Collaborative Research Database v2.0, CSV tables", EICU)),
        f"questions CC BY 4.0; tables: {CREDENTIALED}",
        "train.json, valid.json, test.json, and eicu.sqlite or the raw CSV tables",
        f"the demo of about 2,500 stays, ODbL 1.0: {EICU_DEMO}"),
    "treqs": Access(
        (("MIMICSQL's question files and id2name.csv (TREQS)", "https://github.com/wangpinggl/TREQS"),
         ("MIMIC-III v1.4, CSV tables", MIMIC)),
        f"questions MIT; tables: {CREDENTIALED}",
        "train.json, dev.json, test.json, and mimic.db or the raw CSV tables with id2name.csv",
        f"the demo of 100 patients, ODbL 1.0: {MIMIC_DEMO}"),
    "medcalcbench": Access(
        (("MedCalc-Bench's train and test tables", "https://github.com/ncbi-nlp/MedCalc-Bench"),),
        "CC BY-SA 4.0", "the benchmark's CSV files", "all of it"),
    "medagentbench": Access(
        (("MedAgentBench's task file, and its FHIR server as a Docker image", "https://github.com/stanfordmlgroup/MedAgentBench"),),
        "tasks MIT; patients: see the image's own terms",
        "the task file with NDJSON resources, or fhir_server.txt with the address of a running server", "all of it"),
    "biocoder": Access(
        (("BioCoder's Python problems as the released gym has them (data/biocoder)", "https://github.com/wshi83/MedAgentGym"),),
        "each function under the licence of the repository that it comes from",
        "train_tasks.jsonl or test_tasks.jsonl, or both (problem, solution, context, signature); the JSON files of BioCoder's own "
        "repository (github.com/gersteinlab/BioCoder) are not read", "all of it"),
    "biodsbench": Access(
        (("BioDSBench's Python tasks", "https://github.com/RyanWangZf/BioDSBench"),
         ("the studies' tables, from cBioPortal", "https://www.cbioportal.org/datasets")),
        "tasks MIT; tables ODbL 1.0", "the task file, and one folder of tables per study", "all of it"),
    "ehrshot": Access(
        (("EHRSHOT's release", "https://ehrshot.stanford.edu/"),),
        "Stanford data use agreement: rows and what is derived from them are not passed on",
        "the release, or any MEDS extract with hospital stays",
        "a MEDS extract of the open MIMIC-IV demo: https://physionet.org/content/mimic-iv-demo-meds/0.0.1/"),
    "ehr_seqsql": Access(
        (("EHR-SeqSQL's questions (data.json)", "https://github.com/seonhee99/EHR-SeqSQL"), ("MIMIC-III v1.4, CSV tables", MIMIC)),
        CREDENTIALED, "data.json, and mimic_iii.sqlite or the raw CSV tables"),
    "ehrcon": Access(
        (("EHRCon", "https://physionet.org/content/ehrcon-consistency-of-notes/"), ("MIMIC-III v1.4, notes and CSV tables", MIMIC)),
        CREDENTIALED, "EHRCon's own download, with mimic_iii.sqlite"),
    "mimic_extract": Access(
        (("MIMIC-Extract's pipeline, run on MIMIC-III", "https://github.com/MLforHealth/MIMIC_Extract"), ("MIMIC-III v1.4", MIMIC)),
        f"pipeline MIT; tables: {CREDENTIALED}", "MIMIC-Extract's tables as CSV, or hourly cohorts of YAIB's shape",
        f"hourly cohorts made from the demos: {MIMIC_DEMO}, {EICU_DEMO}"),
    "npowerai": Access(
        (("the released gym's rows (data/npowerai)", "https://github.com/wshi83/MedAgentGym"),),
        "no licence was published: ask the authors before you pass anything on", "the released gym's JSON lines"),
}


def notice(name: str) -> str:
    """One sentence on the terms of a dataset's real source, said when it is built."""
    access = ACCESS.get(name)
    return f"{name}: terms of the source: {access.terms}." if access else ""


def sections() -> str:
    """The entries as Markdown."""
    parts = []
    for name, access in ACCESS.items():
        lines = [f"### {name}", "", *(f"- fetch: {what}, <{where}>" for what, where in access.fetch),
                 f"- terms: {access.terms}", f"- the folder holds: {access.folder}"]
        if access.open_part:
            lines.append("- without an agreement: " + re.sub(r"https://[^\s,]+", lambda found: f"<{found[0]}>", access.open_part))
        parts.append("\n".join([*lines, "", f"`medcopilot data build {name} --source FOLDER`"]))
    return "\n\n".join(parts) + "\n"


_MARKED = re.compile(r"(<!-- sources -->\n).*?(<!-- end -->)", re.DOTALL)


def written(page: str) -> str:
    """The page with its marked part renewed."""
    return _MARKED.sub(lambda found: found[1] + sections() + found[2], page)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    atomic_write(target, written(target.read_text(encoding="utf-8")))
