"""Clinical vocabulary of the twin: diagnoses, procedures and drugs that fit each other.

Promises: ICD-9-CM codes and short titles as public code lists write them (lower-case, as EHRSQL stores text); a diagnosis names
the drugs, procedures and laboratory shifts that usually come with it. Numbers are plausible, not estimates of anything.
Does not cover: laboratory, bedside and microbiology items (`vocab_items`).
"""

from __future__ import annotations

from typing import NamedTuple


class Drug(NamedTuple):
    name: str
    route: str
    unit: str
    doses: tuple[float, ...]


class Diagnosis(NamedTuple):
    code: str
    short: str
    long: str
    weight: float
    """Relative frequency among coded diagnoses."""
    drugs: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    labs: tuple[tuple[str, float], ...] = ()
    """Laboratory items and their shift, in standard deviations."""
    infection: bool = False
    mortality: float = 0.0
    """Added probability of death in hospital."""


def _drugs(text: str) -> tuple[Drug, ...]:
    rows = (line.split("|") for line in text.strip().splitlines())
    return tuple(Drug(name, route, unit, tuple(float(d) for d in doses.split())) for name, route, unit, doses in rows)


DRUGS = _drugs("""
acetaminophen|po|mg|325 500 650 1000
albuterol|ih|neb|1 2
allopurinol|po|mg|100 200 300
amiodarone|po|mg|200 400
amlodipine|po|mg|2.5 5 10
ampicillin|iv|gm|1 2
aspirin|po|mg|81 325
atorvastatin|po|mg|10 20 40 80
azithromycin|po|mg|250 500
bisacodyl|pr|mg|5 10
calcium gluconate|iv|gm|1 2 4
captopril|po|mg|6.25 12.5 25
cefazolin|iv|gm|1 2
ceftriaxone|iv|gm|1 2
ciprofloxacin|po|mg|250 500
citalopram|po|mg|10 20 40
clopidogrel|po|mg|75 300
digoxin|po|mg|0.125 0.25
diltiazem|po|mg|30 60 90
docusate sodium|po|mg|100 200
enoxaparin|sc|mg|30 40 60 80
famotidine|iv|mg|20 40
fentanyl citrate|iv|mcg|25 50 100
folic acid|po|mg|1 5
furosemide|iv|mg|20 40 80 120
gabapentin|po|mg|100 300 600
glipizide|po|mg|5 10
haloperidol|iv|mg|1 2 5
heparin|sc|unit|5000 7500
hydralazine|iv|mg|10 20 40
hydrocortisone|iv|mg|50 100
insulin|sc|unit|2 4 6 10 14
ipratropium|ih|neb|1 2
lactulose|po|ml|15 30 60
levetiracetam|iv|mg|500 1000
levofloxacin|iv|mg|250 500 750
levothyroxine|po|mcg|25 50 75 100
linezolid|iv|mg|300 600
lisinopril|po|mg|2.5 5 10 20 40
lorazepam|iv|mg|0.5 1 2
magnesium sulfate|iv|gm|2 4
meropenem|iv|mg|500 1000
metformin|po|mg|500 850 1000
methylprednisolone|iv|mg|40 60 125
metoprolol|po|mg|12.5 25 50 100
metronidazole|iv|mg|250 500
midazolam|iv|mg|1 2 5
morphine sulfate|iv|mg|1 2 4
nitroglycerin|iv|mg|25 50
norepinephrine|iv|mg|4 8 16
ondansetron|iv|mg|4 8
oxycodone|po|mg|5 10
pantoprazole|iv|mg|40 80
phenytoin|iv|mg|100 300
potassium chloride|po|meq|10 20 40 60
prednisone|po|mg|5 10 20 40 60
propofol|iv|mg|500 1000
senna|po|tab|1 2
simvastatin|po|mg|10 20 40
sodium bicarbonate|iv|meq|50 75 150
spironolactone|po|mg|25 50 100
tacrolimus|po|mg|0.5 1 2
thiamine|po|mg|100 200
vancomycin|iv|mg|750 1000 1250
warfarin|po|mg|1 2 2.5 5
zolpidem|po|mg|5 10
""")

COMMON_DRUGS = ("acetaminophen", "docusate sodium", "heparin", "senna", "pantoprazole", "potassium chloride", "ondansetron",
                "magnesium sulfate", "insulin", "bisacodyl", "morphine sulfate", "zolpidem", "famotidine", "lorazepam")
"""Given to many patients whatever they have."""

PROCEDURES = tuple(line.split("|") for line in """
3893|venous cath nec|venous catheterization, not elsewhere classified
9904|packed cell transfusion|transfusion of packed cells
966|entral infus nutrit sub|enteral infusion of concentrated nutritional substances
9671|cont inv mec ven <96 hrs|continuous invasive mechanical ventilation for less than 96 consecutive hours
9672|cont inv mec ven 96+ hrs|continuous invasive mechanical ventilation for 96 consecutive hours or more
9604|insert endotracheal tube|insertion of endotracheal tube
9915|parent infus nutrit sub|parenteral infusion of concentrated nutritional substances
3891|arterial catheterization|arterial catheterization
8856|coronar arteriogr-2 cath|coronary arteriography using two catheters
3722|left heart cardiac cath|left heart cardiac catheterization
3723|rt/left heart card cath|combined right and left heart cardiac catheterization
3961|extracorporeal circulat|extracorporeal circulation auxiliary to open heart surgery
3615|1 int mam-cor art bypass|single internal mammary-coronary artery bypass
3613|aortocor bypas-3 cor art|(aorto)coronary bypass of three coronary arteries
0066|ptca|percutaneous transluminal coronary angioplasty
3607|ins drug-elut coronry st|insertion of drug-eluting coronary artery stent(s)
3995|hemodialysis|hemodialysis
3895|ven cath renal dialysis|venous catheterization for renal dialysis
5491|percu abdominal drainage|percutaneous abdominal drainage
4513|sm bowel endoscopy nec|other endoscopy of small intestine
4523|colonoscopy|colonoscopy
3324|closed bronchial biopsy|closed [endoscopic] biopsy of bronchus
3491|thoracentesis|thoracentesis
3404|insert intercostal cath|insertion of intercostal catheter for drainage
9907|serum transfusion nec|transfusion of other serum
9905|platelet transfusion|transfusion of platelets
331|spinal tap|spinal tap
311|temporary tracheostomy|temporary tracheostomy
4311|percu endosc gastrostomy|percutaneous [endoscopic] gastrostomy
8872|dx ultrasound-heart|diagnostic ultrasound of heart
8703|c.a.t. scan of head|computerized axial tomography of head
9390|non-invasive mech vent|non-invasive mechanical ventilation
9962|heart countershock nec|other electric countershock of heart
7935|open reduc-int fix femur|open reduction of fracture with internal fixation, femur
""".strip().splitlines())
"""(code, short title, long title)."""

COMMON_PROCEDURES = ("venous cath nec", "arterial catheterization", "entral infus nutrit sub", "dx ultrasound-heart",
                     "packed cell transfusion", "c.a.t. scan of head")


def _diagnoses(text: str) -> tuple[Diagnosis, ...]:
    rows = []
    for line in text.strip().replace("\n  ", "").splitlines():
        code, short, long, weight, drugs, procedures, labs, flags = line.split("|")
        shifts = tuple((item.rsplit(":", 1)[0], float(item.rsplit(":", 1)[1])) for item in labs.split(";") if item)
        rows.append(Diagnosis(code, short, long, float(weight), tuple(filter(None, drugs.split(";"))),
                              tuple(filter(None, procedures.split(";"))), shifts, "i" in flags.split(),
                              sum(float(f) for f in flags.split() if f != "i")))
    return tuple(rows)


# code | short title | long title | weight | drugs | procedures | lab:shift | flags (i = infection, number = added mortality);
# an indented line continues the one above
DIAGNOSES = _diagnoses("""
4019|hypertension nos|unspecified essential hypertension|20|lisinopril;metoprolol;amlodipine;hydralazine|||
42731|atrial fibrillation|atrial fibrillation|13|metoprolol;warfarin;amiodarone;digoxin;diltiazem|
  heart countershock nec|inr(pt):1.5|
4280|chf nos|congestive heart failure, unspecified|13|furosemide;lisinopril;metoprolol;spironolactone;digoxin|
  rt/left heart card cath|urea nitrogen:0.6|0.03
41401|crnry athrscl natve vssl|coronary atherosclerosis of native coronary artery|12|aspirin;atorvastatin;metoprolol;
  nitroglycerin|left heart cardiac cath;coronar arteriogr-2 cath;1 int mam-cor art bypass;aortocor bypas-3 cor art;
  extracorporeal circulat|cholesterol, total:1|
5849|acute kidney failure nos|acute kidney failure, unspecified|9|furosemide;sodium bicarbonate|hemodialysis;
  ven cath renal dialysis|creatinine:2.5;urea nitrogen:2;potassium:1|0.06
25000|dmii wo cmp nt st uncntr|diabetes mellitus without complication, type ii, not stated as uncontrolled|9|insulin;
  metformin;glipizide||glucose:1.8;% hemoglobin a1c:1.8|
2724|hyperlipidemia nec/nos|other and unspecified hyperlipidemia|8|atorvastatin;simvastatin||cholesterol, total:1.8;
  triglycerides:1.4|
51881|acute respiratry failure|acute respiratory failure|8|propofol;midazolam;fentanyl citrate;methylprednisolone|
  insert endotracheal tube;cont inv mec ven 96+ hrs;cont inv mec ven <96 hrs;temporary tracheostomy|pco2:1.5;po2:-1|0.12
5990|urin tract infection nos|urinary tract infection, site not specified|7|ciprofloxacin;ceftriaxone||
  white blood cells:0.8|i
53081|esophageal reflux|esophageal reflux|6|pantoprazole;famotidine|||
2720|pure hypercholesterolem|pure hypercholesterolemia|5|simvastatin;atorvastatin||cholesterol, total:2|
2449|hypothyroidism nos|unspecified acquired hypothyroidism|5|levothyroxine||thyroid stimulating hormone:2|
2859|anemia nos|anemia, unspecified|5|folic acid|packed cell transfusion|hemoglobin:-1.3;hematocrit:-1.3|
486|pneumonia, organism nos|pneumonia, organism unspecified|5|levofloxacin;vancomycin;azithromycin;ceftriaxone|
  closed bronchial biopsy|white blood cells:1.3|i 0.04
2851|ac posthemorrhag anemia|acute posthemorrhagic anemia|5||packed cell transfusion;serum transfusion nec|
  hemoglobin:-1.8;hematocrit:-1.8|
2762|acidosis|acidosis|5|sodium bicarbonate||bicarbonate:-1.8;anion gap:1.2;lactate:1.2|0.05
496|chr airway obstruct nec|chronic airway obstruction, not elsewhere classified|5|albuterol;ipratropium;prednisone|
  non-invasive mech vent|pco2:1.2|
99592|severe sepsis|severe sepsis|4|norepinephrine;vancomycin;meropenem;hydrocortisone||lactate:2;white blood cells:1.8;
  platelet count:-0.8|i 0.14
0389|septicemia nos|unspecified septicemia|4|vancomycin;meropenem;metronidazole|venous cath nec|white blood cells:1.8;
  lactate:1.2|i 0.08
5070|food/vomit pneumonitis|pneumonitis due to inhalation of food or vomitus|4|metronidazole;levofloxacin||
  white blood cells:1.2|i 0.05
5180|pulmonary collapse|pulmonary collapse|4|albuterol|closed bronchial biopsy|po2:-0.8|
5859|chronic kidney dis nos|chronic kidney disease, unspecified|4|furosemide;calcium gluconate||creatinine:2;
  urea nitrogen:1.6|
2761|hyposmolality|hyposmolality and/or hyponatremia|4|||sodium:-2|
311|depressive disorder nec|depressive disorder, not elsewhere classified|4|citalopram|||
41071|subendo infarct, initial|subendocardial infarction, initial episode of care|4|aspirin;clopidogrel;heparin;
  atorvastatin;metoprolol|left heart cardiac cath;ptca;ins drug-elut coronry st|troponin t:2.5;creatine kinase (ck):2|
  0.05
2875|thrombocytopenia nos|thrombocytopenia, unspecified|4||platelet transfusion|platelet count:-2|
4240|mitral valve disorder|mitral valve disorders|3|furosemide;captopril|dx ultrasound-heart;extracorporeal circulat||
412|old myocardial infarct|old myocardial infarction|3|aspirin;clopidogrel|||
2760|hyperosmolality|hyperosmolality and/or hypernatremia|3|||sodium:2|
5119|pleural effusion nos|unspecified pleural effusion|3|furosemide|thoracentesis;insert intercostal cath||
4241|aortic valve disorder|aortic valve disorders|3|metoprolol|extracorporeal circulat;dx ultrasound-heart||
40390|hy kid nos w cr kid i-iv|hypertensive chronic kidney disease with chronic kidney disease stage i through iv|3|
  hydralazine;amlodipine||creatinine:1.6|
78552|septic shock|septic shock|3|norepinephrine;hydrocortisone;meropenem|arterial catheterization|lactate:2.5|i 0.18
4589|hypotension nos|hypotension, unspecified|3|norepinephrine|||
2749|gout nos|gout, unspecified|3|allopurinol;prednisone||uric acid:2|
5715|cirrhosis of liver nos|cirrhosis of liver without mention of alcohol|3|lactulose;spironolactone|
  percu abdominal drainage|bilirubin, total:2;albumin:-1.5;inr(pt):1.2|0.08
4271|parox ventric tachycard|paroxysmal ventricular tachycardia|3|amiodarone|heart countershock nec||0.03
49390|asthma nos|asthma, unspecified type, unspecified|3|albuterol;prednisone|||
5789|gastrointest hemorr nos|hemorrhage of gastrointestinal tract, unspecified|3|pantoprazole|sm bowel endoscopy nec;
  colonoscopy;packed cell transfusion|hemoglobin:-1.5;urea nitrogen:0.8|
78039|convulsions nec|other convulsions|3|levetiracetam;phenytoin;lorazepam|c.a.t. scan of head||
00845|int inf clstrdium dfcile|intestinal infection due to clostridium difficile|2|metronidazole;vancomycin||
  white blood cells:1.6|i
431|intracerebral hemorrhage|intracerebral hemorrhage|2|levetiracetam;phenytoin|c.a.t. scan of head||0.2
43491|crbl art ocl nos w infrc|cerebral artery occlusion, unspecified with cerebral infarction|2|aspirin;clopidogrel|
  c.a.t. scan of head;percu endosc gastrostomy||0.07
7907|bacteremia|bacteremia|2|vancomycin;ceftriaxone;cefazolin||white blood cells:1|i
32723|obstructive sleep apnea|obstructive sleep apnea (adult)(pediatric)|2||non-invasive mech vent||
73300|osteoporosis nos|osteoporosis, unspecified|2|||calcium, total:-0.4|
30501|alcohol abuse-continuous|alcohol abuse, continuous|2|thiamine;folic acid;lorazepam||magnesium:-1;
  asparate aminotransferase (ast):1.2|
5770|acute pancreatitis|acute pancreatitis|2|morphine sulfate;meropenem|parent infus nutrit sub|lipase:3;
  calcium, total:-1|0.03
4439|periph vascular dis nos|peripheral vascular disease, unspecified|2|aspirin;clopidogrel|||
2800|chr blood loss anemia|iron deficiency anemia secondary to blood loss (chronic)|2|folic acid|colonoscopy|iron:-1.8;
  hemoglobin:-1.2|
2768|hypopotassemia|hypopotassemia|2|potassium chloride||potassium:-1.8|
2767|hyperpotassemia|hyperpotassemia|2|calcium gluconate;insulin|hemodialysis|potassium:2.2|
2930|delirium d/t other cond|delirium due to conditions classified elsewhere|2|haloperidol|||
41519|pulm embol/infarct nec|other pulmonary embolism and infarction|2|heparin;enoxaparin;warfarin||po2:-1;inr(pt):1|0.06
1985|secondary malig neo bone|secondary malignant neoplasm of bone and bone marrow|2|oxycodone;morphine sulfate||
  calcium, total:1;alkaline phosphatase:1.6|0.08
1977|second malig neo liver|malignant neoplasm of liver, secondary|2|oxycodone||alkaline phosphatase:1.6;
  bilirubin, total:1|0.1
82021|intertrochanteric fx-cl|closed fracture of intertrochanteric section of neck of femur|2|oxycodone;enoxaparin|
  open reduc-int fix femur|hemoglobin:-0.8|
3572|neuropathy in diabetes|polyneuropathy in diabetes|2|gabapentin;insulin||glucose:1.2;% hemoglobin a1c:1.4|
0414|e. coli infect nos|escherichia coli infection in conditions classified elsewhere|2|ceftriaxone;ampicillin||
  white blood cells:0.8|i
04111|mth sus stph aur els/nos|methicillin susceptible staphylococcus aureus infection|2|cefazolin;linezolid||
  white blood cells:1|i
5712|alcohol cirrhosis liver|alcoholic cirrhosis of liver|2|lactulose;thiamine|percu abdominal drainage|
  bilirubin, total:1.8;ammonia:2|0.08
v420|kidney transplant status|kidney replaced by transplant|1|tacrolimus;prednisone||creatinine:0.8|
""")
