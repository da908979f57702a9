"""Measured items of the twin: laboratory tests, bedside vitals, intakes, outputs, specimens and organisms.

Promises: labels, item numbers and units as MIMIC-III's public dictionaries write them (lower-case); means and spreads in those
units, for an adult inpatient.
"""

from __future__ import annotations

from typing import NamedTuple


class Measured(NamedTuple):
    itemid: int
    label: str
    unit: str
    mean: float
    sd: float
    low: float
    """Smallest possible value."""
    decimals: int
    frequency: float
    """Share of draws (labs) or of hours (vitals) in which it is measured."""


def _measured(text: str) -> tuple[Measured, ...]:
    rows = (line.split("|") for line in text.strip().splitlines())
    return tuple(Measured(int(i), label, unit, float(mean), float(sd), float(low), int(decimals), float(frequency))
                 for i, label, unit, mean, sd, low, decimals, frequency in rows)


LABS = _measured("""
50931|glucose|mg/dl|128|38|30|0|0.85
51221|hematocrit|%|32|4.5|12|1|0.8
50971|potassium|meq/l|4.1|0.5|2|1|0.85
51222|hemoglobin|g/dl|10.8|1.6|4|1|0.75
50912|creatinine|mg/dl|1.1|0.4|0.2|1|0.85
50983|sodium|meq/l|139|4|110|0|0.85
51006|urea nitrogen|mg/dl|24|11|3|0|0.8
50902|chloride|meq/l|104|5|75|0|0.7
50882|bicarbonate|meq/l|25|4|5|0|0.7
50868|anion gap|meq/l|14|3|4|0|0.55
51265|platelet count|k/ul|228|80|5|0|0.7
51301|white blood cells|k/ul|9.8|3.4|0.1|1|0.7
51250|mcv|fl|89|5|65|0|0.35
51277|rdw|%|15.2|1.8|11|1|0.35
51279|red blood cells|m/ul|3.6|0.6|1.5|2|0.35
50960|magnesium|mg/dl|2|0.3|0.8|1|0.55
50970|phosphate|mg/dl|3.5|0.9|0.8|1|0.45
50893|calcium, total|mg/dl|8.5|0.6|5|1|0.45
51275|ptt|sec|38|14|18|1|0.3
51237|inr(pt)|units|1.4|0.5|0.8|1|0.35
50820|ph|units|7.38|0.06|6.8|2|0.3
50818|pco2|mm hg|41|8|15|0|0.3
50821|po2|mm hg|125|50|25|0|0.3
50813|lactate|mmol/l|1.9|0.9|0.3|1|0.25
50808|free calcium|mmol/l|1.13|0.08|0.6|2|0.2
50885|bilirubin, total|mg/dl|1|0.7|0.1|1|0.2
50861|alanine aminotransferase (alt)|iu/l|40|28|3|0|0.2
50878|asparate aminotransferase (ast)|iu/l|46|30|5|0|0.2
50863|alkaline phosphatase|iu/l|98|45|15|0|0.2
50862|albumin|g/dl|3.1|0.5|1|1|0.18
50910|creatine kinase (ck)|iu/l|150|110|10|0|0.15
51003|troponin t|ng/ml|0.12|0.12|0.01|2|0.14
50954|lactate dehydrogenase (ld)|iu/l|260|110|80|0|0.12
50956|lipase|iu/l|42|28|5|0|0.1
50907|cholesterol, total|mg/dl|160|36|50|0|0.08
51000|triglycerides|mg/dl|140|60|25|0|0.08
50852|% hemoglobin a1c|%|6.1|0.9|4|1|0.07
50993|thyroid stimulating hormone|uiu/ml|2.4|1.6|0.1|1|0.07
50952|iron|ug/dl|62|28|5|0|0.06
51007|uric acid|mg/dl|6|1.9|1|1|0.05
50866|ammonia|umol/l|38|18|8|0|0.04
50889|c-reactive protein|mg/l|42|34|0.2|1|0.05
""")

VITALS = _measured("""
211|heart rate|bpm|84|15|30|0|1
618|respiratory rate|bpm|19|5|6|0|1
51|arterial bp [systolic]|mmhg|118|18|60|0|0.8
8368|arterial bp [diastolic]|mmhg|58|11|25|0|0.8
52|arterial bp mean|mmhg|78|12|35|0|0.7
677|temperature c (calc)|deg. c|37|0.6|33|1|0.6
834|sao2|%|97|2.2|75|0|0.6
""")
SPOKEN = {"arterial bp [systolic]": "systolic blood pressure", "arterial bp [diastolic]": "diastolic blood pressure",
          "arterial bp mean": "mean arterial pressure", "temperature c (calc)": "body temperature"}
"""How people say what the dictionary abbreviates; everything else is said as it is written."""
BODY = ((762, "admit wt", "kg", 80.0, 18.0), (920, "admit ht", "inches", 67.0, 4.0))
"""Measured once per stay: (itemid, label, unit, mean, sd)."""

INTAKES = ((30018, ".9% normal saline", 60.0), (30013, "d5w", 50.0), (30021, "lactated ringers", 125.0), (30015, "d5/.45ns", 100.0),
           (30020, ".45% normal saline", 85.0), (30056, "po intake", 180.0), (30090, "tube feeding", 75.0), (30032, "tpn", 75.0),
           (30144, "gastric meds", 80.0), (30001, "packed rbc's", 290.0), (30005, "fresh frozen plasma", 260.0),
           (30059, "gt flush", 30.0))
"""(itemid, label, usual volume in ml)."""
OUTPUTS = ((40055, "urine out foley", 110.0), (40069, "urine out void", 320.0), (40054, "stool out stool", 330.0),
           (40076, "chest tubes cticu ct 1", 30.0), (40071, "drain out #1 jackson pratt", 120.0),
           (40052, "gastric nasogastric", 150.0), (40286, "ultrafiltrate ultrafiltrate", 240.0), (227510, "tf residual", 35.0))
SPECIMENS = (("blood culture", 5.0), ("urine", 4.0), ("sputum", 3.0), ("mrsa screen", 2.0), ("swab", 1.2), ("stool", 1.0),
             ("bronchoalveolar lavage", 0.6), ("catheter tip-iv", 0.6), ("pleural fluid", 0.5), ("tissue", 0.4))
"""(name, relative frequency)."""
ORGANISMS = ("escherichia coli", "staph aureus coag +", "klebsiella pneumoniae", "pseudomonas aeruginosa", "proteus mirabilis",
             "enterococcus sp.", "serratia marcescens", "yeast", "staphylococcus, coagulase negative", "clostridium difficile",
             "acinetobacter baumannii complex", "streptococcus pneumoniae", "enterobacter cloacae")
CAREUNITS = (("micu", (50, 52, 23)), ("ccu", (7, 57)), ("csru", (12, 14, 15)), ("sicu", (33, 23)), ("tsicu", (14, 15)))
"""(unit, its wards)."""
WARDS = (2, 3, 4, 17, 18, 24, 27, 31, 36, 40, 45, 49, 54, 55)
