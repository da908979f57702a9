"""Physical calculators: body size, pressure, QT correction, maintenance fluids.

Conventions are MedCalc-Bench's: inches = cm * 0.393701, answers with three decimals.
"""

from __future__ import annotations

from math import sqrt

from env.datasets.medcalcbench.calculator import Calculator, Values

INCH = 0.393701
"""Inches per centimetre, as the benchmark writes it."""


def ideal_weight(v: Values) -> float:
    """Ideal body weight in kg (Devine 1974); height in cm."""
    return (50.0 if v["sex"] == "male" else 45.5) + 2.3 * (float(v["height"]) * INCH - 60)


def adjusted_weight(v: Values) -> float:
    """Adjusted body weight in kg: ideal + 0.4 (actual - ideal)."""
    ideal = ideal_weight(v)
    return ideal + 0.4 * (float(v["weight"]) - ideal)


def bmi(v: Values) -> float:
    """Body mass index in kg/m2."""
    return float(v["weight"]) / (float(v["height"]) / 100) ** 2


def maintenance(v: Values) -> float:
    """Hourly fluids in mL/h, the 4-2-1 rule."""
    weight = float(v["weight"])
    return 4 * min(weight, 10) + 2 * min(max(weight - 10, 0), 10) + max(weight - 20, 0)


def _base(v: Values) -> dict[str, str]:
    return {"base": "50" if v["sex"] == "male" else "45.5"}


_QT = ("hr", "qt")


def _qt(name: str) -> tuple[str, ...]:
    return (f"What is the corrected QT interval in msec by the {name} formula?",
            f"Using the {name} formula, what is the patient's QTc in msec?",
            f"Correct the QT interval for heart rate ({name}). Answer in msec.")


PHYSICAL = (
    Calculator(
        5, "Mean Arterial Pressure (MAP)", "physical", "decimal",
        "Meaney et al., Heart 2000 (two thirds diastolic, one third systolic)",
        ("What is the mean arterial pressure in mmHg?", "Calculate the patient's MAP in mmHg.",
         "What is the patient's mean arterial pressure (mmHg)?"),
        ("sbp", "dbp"), lambda v: 2 / 3 * v["dbp"] + 1 / 3 * v["sbp"],
        "s={sbp};d={dbp}\nprint(round((s+2*d)/3,3))", "d={dbp}\ns={sbp}\nprint(round(d+(s-d)/3,3))",
        ({"sbp": 150, "dbp": 90}, 110.0), accept=lambda v: 18 <= v["sbp"] - v["dbp"] <= 110),
    Calculator(
        6, "Body Mass Index (BMI)", "physical", "decimal", "Quetelet 1835; Keys et al., J Chronic Dis 1972",
        ("What is the patient's body mass index in kg/m2?", "Calculate the BMI (kg/m2).", "What is the BMI in kg/m2?"),
        ("weight", "height"), bmi,
        "w={weight};h={height}\nprint(round(w/(h/100)**2,3))", "m={height}\nm=m*0.01\nw={weight}\nprint(round(w/m/m,3))",
        ({"weight": 81, "height": 180}, 25.0)),
    Calculator(
        10, "Ideal Body Weight", "physical", "decimal", "Devine, Drug Intell Clin Pharm 1974",
        ("What is the ideal body weight in kg (Devine)?", "Calculate the patient's ideal body weight in kg.",
         "Using the ideal body weight formula, what is the result in kg?"),
        ("sex", "height"), ideal_weight,
        "h={height}\nprint(round({base}+2.3*(h*0.393701-60),3))",
        "b=dict(male=50,female=45.5)['{sex}']\nh={height}\nprint(round(b-138+0.9055123*h,3))",
        ({"sex": "male", "height": 177.8}, 73.0), constants=_base),
    Calculator(
        62, "Adjusted Body Weight", "physical", "decimal", "Bauer et al., Eur J Clin Pharmacol 1983; Devine 1974",
        ("What is the adjusted body weight in kg?", "Using the adjusted body weight formula, what is the result in kg?",
         "Calculate the patient's adjusted body weight (kg)."),
        ("sex", "weight", "height"), adjusted_weight,
        "w={weight};h={height}\ni={base}+2.3*(h*0.393701-60)\nprint(round(i+0.4*(w-i),3))",
        "h={height}\nw={weight}\ni=dict(male=50,female=45.5)['{sex}']-138+0.9055123*h\nprint(round(0.6*i+0.4*w,3))",
        ({"sex": "male", "height": 177.8, "weight": 98}, 83.0), constants=_base),
    Calculator(
        60, "Body Surface Area Calculator", "physical", "decimal", "Mosteller, N Engl J Med 1987",
        ("What is the body surface area in m2 (Mosteller)?", "Calculate the patient's body surface area in m2.",
         "What is the patient's BSA in m2?"),
        ("weight", "height"), lambda v: sqrt(v["weight"] * v["height"] / 3600),
        "w={weight};h={height}\nprint(round((w*h/3600)**0.5,3))",
        "import math\nh={height}\nw={weight}\nprint(round(math.sqrt(w)*math.sqrt(h)/60,3))",
        ({"weight": 80, "height": 180}, 2.0)),
    Calculator(
        61, "Target weight", "physical", "decimal", "Keys et al., J Chronic Dis 1972 (BMI solved for weight)",
        ("What weight in kg gives the target BMI?", "Based on height and target BMI, what is the target weight in kg?",
         "Calculate the patient's target weight (kg)."),
        ("target_bmi", "height"), lambda v: v["target_bmi"] * (v["height"] / 100) ** 2,
        "b={target_bmi};h={height}\nprint(round(b*(h/100)**2,3))", "h={height}\nb={target_bmi}\nprint(round(h*h*b/10000,3))",
        ({"target_bmi": 25, "height": 180}, 81.0)),
    Calculator(
        22, "Maintenance Fluids Calculations", "physical", "decimal", "Holliday and Segar, Pediatrics 1957",
        ("What are the maintenance fluids in mL/hr (4-2-1 rule)?", "Calculate the maintenance fluid rate in mL/hr.",
         "What is the hourly maintenance fluid requirement in mL?"),
        ("weight",), maintenance,
        "w={weight}\nprint(round(4*min(w,10)+2*min(max(w-10,0),10)+max(w-20,0),3))",
        "w={weight}\nprint(round(w*4 if w<10 else 20+2*w if w<20 else 40+w,3))",
        ({"weight": 17}, 54.0), group="child"),
    Calculator(
        11, "QTc Bazett Calculator", "physical", "decimal", "Bazett, Heart 1920", _qt("Bazett"), _QT,
        lambda v: v["qt"] / sqrt(60 / v["hr"]),
        "h={hr};q={qt}\nprint(round(q/(60/h)**0.5,3))", "import math\nq={qt}\nprint(round(q*math.sqrt({hr}/60),3))",
        ({"hr": 60, "qt": 400}, 400.0), accept=lambda v: 300 <= v["qt"] / sqrt(60 / v["hr"]) <= 720),
    Calculator(
        56, "QTc Fridericia Calculator", "physical", "decimal", "Fridericia, Acta Med Scand 1920", _qt("Fridericia"), _QT,
        lambda v: v["qt"] / (60 / v["hr"]) ** (1 / 3),
        "h={hr};q={qt}\nprint(round(q/(60/h)**(1/3),3))",
        "import numpy as np\nq={qt}\nprint(round(float(q/np.cbrt(60/{hr})),3))",
        ({"hr": 60, "qt": 410}, 410.0)),
    Calculator(
        57, "QTc Framingham Calculator", "physical", "decimal", "Sagie et al., Am J Cardiol 1992", _qt("Framingham"), _QT,
        lambda v: v["qt"] + 154 * (1 - 60 / v["hr"]),
        "h={hr};q={qt}\nprint(round(q+154*(1-60/h),3))", "q={qt}\nh={hr}\nprint(round(q+154-9240/h,3))",
        ({"hr": 120, "qt": 330}, 407.0)),
    Calculator(
        58, "QTc Hodges Calculator", "physical", "decimal", "Hodges et al., J Am Coll Cardiol 1983", _qt("Hodges"), _QT,
        lambda v: v["qt"] + 1.75 * (v["hr"] - 60),
        "h={hr};q={qt}\nprint(round(q+1.75*(h-60),3))", "q={qt}\nh={hr}\nprint(round(q-105+h*7/4,3))",
        ({"hr": 76, "qt": 330}, 358.0)),
    Calculator(
        59, "QTc Rautaharju Calculator", "physical", "decimal", "Rautaharju et al., Int J Cardiol 2014", _qt("Rautaharju"), _QT,
        lambda v: v["qt"] * (120 + v["hr"]) / 180,
        "h={hr};q={qt}\nprint(round(q*(120+h)/180,3))", "q={qt}\nh={hr}\nprint(round(q*2/3+q*h/180,3))",
        ({"hr": 60, "qt": 400}, 400.0)),
)
