"""Templates about groups of patients: cohorts, rankings, comparisons, nested conditions.

The second program (`pandas`) is an independent reference: the build compares it with the SQL on every task.
"""

from __future__ import annotations

from env.datasets.mimic_iii.template import Template as T

_TWO = {"decimals": 2}
_YES_NO = {"yes_no": True}

COHORT = (
    T("diagnosed_in_year", "cohort", "diagnoses_icd",
      ("How many patients were diagnosed with {dx} in {year}?", "In {year}, how many patients had {dx}?"),
      "select count(distinct subject_id) from diagnoses_icd where <DX> and charttime like '{year}%'",
      "x = t('diagnoses_icd', icd9_code=dx({dx!r}))\nx = x[pd.to_datetime(x.charttime).dt.year == {year}]\n"
      "answer = len(set(x.subject_id))"),
    T("sex_prescribed", "cohort", "prescriptions",
      ("How many {sexes} patients were prescribed {drug} in {year}?", "In {year}, how many {sexes} patients got {drug}?"),
      "select count(distinct subject_id) from prescriptions join patients using (subject_id) where drug = '{drug}' "
      "and gender = '{sex}' and startdate like '{year}%'",
      "x = t('prescriptions', drug={drug!r})\nx = x[x.startdate.str.startswith('{year}')]\n"
      "answer = len(set(x.subject_id) & set(t('patients', gender={sex!r}).subject_id))"),
    T("procedure_in_year", "cohort", "procedures_icd",
      ("How many patients had {proc} in {year}?", "In {year}, how many patients got the procedure {proc}?"),
      "select count(distinct subject_id) from procedures_icd where <PROC> and charttime like '{year}%'",
      "x = t('procedures_icd', icd9_code=proc({proc!r}))\n"
      "answer = int(x[pd.to_datetime(x.charttime).dt.year == {year}].subject_id.nunique())"),
    T("admitted_in_month", "cohort", "admissions",
      ("How many {kind} admissions were there in {month}?", "In {month}, how many admissions were {kind}?"),
      "select count(*) from admissions where admission_type = '{kind}' and admittime like '{month}%'",
      "x = t('admissions', admission_type={kind!r})\nanswer = int((x.admittime.str.slice(0, 7) == {month!r}).sum())"),
    T("lab_above", "cohort", "labevents",
      ("How many patients ever had {lab} above {value}?", "In how many patients did {lab} exceed {value}?"),
      "select count(distinct subject_id) from labevents where <LAB> and valuenum > {value}",
      "x = t('labevents', itemid=lab({lab!r})).groupby('subject_id').valuenum.max()\nanswer = int((x > {value}).sum())"),
    T("in_unit", "cohort", "icustays",
      ("How many patients entered the {unit} in {month}?", "In {month}, how many patients came to the {unit}?"),
      "select count(distinct subject_id) from icustays where first_careunit = '{unit}' and intime like '{month}%'",
      "x = t('icustays', first_careunit={unit!r})\nanswer = int(x[x.intime.str.startswith({month!r})].subject_id.nunique())"),
    T("older_than", "cohort", "diagnoses_icd",
      ("How many patients older than {age} were diagnosed with {dx}?", "How many patients above the age of {age} had {dx}?"),
      "select count(distinct subject_id) from admissions where age > {age} and hadm_id in "
      "(select hadm_id from diagnoses_icd where <DX>)",
      "x = t('diagnoses_icd', icd9_code=dx({dx!r}))[['hadm_id']].merge(t('admissions'))\n"
      "answer = int(x[x.age > {age}].subject_id.nunique())", unseen=True),
    T("mean_age", "aggregation", "diagnoses_icd",
      ("What was the average age at stays with {dx} in {year}? (2 decimals)",
       "For stays begun in {year} with {dx}, what was the mean age? (2 decimals)"),
      "select round(avg(age), 2) from admissions where admittime like '{year}%' and hadm_id in "
      "(select hadm_id from diagnoses_icd where <DX>)",
      "x = t('admissions')\nx = x[x.hadm_id.isin(t('diagnoses_icd', icd9_code=dx({dx!r})).hadm_id) & "
      "x.admittime.str.startswith('{year}')]\nanswer = float(x.age.mean())", _TWO),
    T("mean_lab_year", "aggregation", "labevents",
      ("What was the average {lab} of all patients in {year}? (2 decimals)",
       "In {year}, what was the mean {lab}? (2 decimals)"),
      "select round(avg(valuenum), 2) from labevents where <LAB> and charttime like '{year}%'",
      "x = t('labevents', itemid=lab({lab!r}))\nanswer = float(x[x.charttime.str.startswith('{year}')].valuenum.mean())", _TWO),
    T("who_diagnosed", "cohort", "diagnoses_icd",
      ("Which patients were diagnosed with {dx} in {month}?", "List the patients with {dx} in {month}."),
      "select distinct subject_id from diagnoses_icd where <DX> and charttime like '{month}%'",
      "x = t('diagnoses_icd', icd9_code=dx({dx!r}))\n"
      "answer = sorted(set(x[x.charttime.str.startswith({month!r})].subject_id.tolist()))", guard="len(answer) <= 4"),
)

RANKING = (
    T("top_drugs", "ranking", "diagnoses_icd",
      ("What are the three most frequent drugs in stays with {dx}?",
       "List the top three drugs prescribed in stays with {dx}."),
      "select drug from prescriptions where hadm_id in (select hadm_id from diagnoses_icd where <DX>) "
      "group by drug order by count(*) desc limit 3",
      "x = t('prescriptions')\nx = x[x.hadm_id.isin(t('diagnoses_icd', icd9_code=dx({dx!r})).hadm_id)].drug.value_counts()\n"
      "answer = x.index[:3].tolist()", guard="len(x) > 3 and x.iloc[2] > x.iloc[3]", extra="x.to_dict()"),
    T("top_drug_month", "ranking", "prescriptions",
      ("Which drug was most often prescribed to {sexes} patients in {month}?",
       "In {month}, what was the most frequent drug of {sexes} patients?"),
      "select drug from prescriptions join patients using (subject_id) where gender = '{sex}' and startdate like '{month}%' "
      "group by drug order by count(*) desc limit 1",
      "x = t('prescriptions')\nx = x[x.startdate.str.startswith({month!r})]\n"
      "x = x[x.subject_id.isin(t('patients', gender={sex!r}).subject_id)].drug.value_counts()\nanswer = x.index[0]",
      guard="len(x) > 1 and x.iloc[0] > x.iloc[1]", extra="x.to_dict()"),
    T("top_lab", "ranking", "patients",
      ("Which lab test did patient {p} have most often?", "What was the most frequent lab test of patient {p}?"),
      "select label from d_labitems where itemid = (select itemid from labevents where subject_id = {p} "
      "group by itemid order by count(*) desc limit 1)",
      "x = t('labevents', subject_id={p}).itemid.value_counts()\nanswer = t('d_labitems', itemid=int(x.index[0])).label.item()",
      guard="x.iloc[0] > x.iloc[1]"),
    T("three_highest", "ranking", "labevents",
      ("What are the three highest {lab} values of patient {p}, highest first?",
       "List the top three {lab} values of patient {p} in descending order."),
      "select valuenum from labevents where subject_id = {p} and <LAB> order by valuenum desc limit 3",
      "x = t('labevents', subject_id={p}, itemid=lab({lab!r}))\nanswer = x.valuenum.nlargest(3).tolist()", {"ordered": True},
      guard="len(x) >= 3 and len(set(answer)) == 3"),
    T("who_highest", "ranking", "labevents",
      ("Which patient had the highest {lab} in {year}?", "In {year}, who had the highest {lab} of all patients?"),
      "select subject_id from labevents where <LAB> and charttime like '{year}%' order by valuenum desc limit 1",
      "x = t('labevents', itemid=lab({lab!r}))\nx = x[x.charttime.str.startswith('{year}')]\n"
      "x = x[x.valuenum == x.valuenum.max()]\nanswer = int(x.subject_id.iloc[0])", guard="x.subject_id.nunique() == 1",
      extra="dict(zip(x.subject_id, x.valuenum))"),
    T("dearest_stay", "ranking", "returning",
      ("Which hospital stay (hadm_id) of patient {p} cost most?",
       "What is the hadm_id of the most expensive stay of patient {p}?"),
      "select hadm_id from cost where subject_id = {p} group by hadm_id order by sum(cost) desc limit 1",
      "x = t('cost', subject_id={p}).groupby('hadm_id').cost.sum().sort_values(ascending=False)\nanswer = int(x.index[0])",
      guard="len(x) > 1 and x.iloc[0] > x.iloc[1] + 0.01", extra="x.round(2).to_dict()"),
    T("top_diagnosis_drug", "ranking", "prescriptions",
      ("What is the most frequent diagnosis in stays with {drug}, in {year}?",
       "In {year}, which diagnosis was most frequent in stays with {drug}?"),
      "select short_title from d_icd_diagnoses join diagnoses_icd using (icd9_code) where charttime like '{year}%' and hadm_id in "
      "(select hadm_id from prescriptions where drug = '{drug}') group by 1 order by count(*) desc limit 1",
      "x = t('diagnoses_icd')\nx = x[x.charttime.str.startswith('{year}') & "
      "x.hadm_id.isin(t('prescriptions', drug={drug!r}).hadm_id)].icd9_code.value_counts()\n"
      "answer = t('d_icd_diagnoses', icd9_code=x.index[0]).short_title.item()", guard="x.iloc[0] > x.iloc[1]", unseen=True),
)

COMPARISON = (
    T("lab_range", "comparison", "labevents",
      ("What is the difference between the highest and the lowest {lab} of patient {p}?",
       "By how much did {lab} of patient {p} vary from lowest to highest?"),
      "select max(valuenum) - min(valuenum) from labevents where subject_id = {p} and <LAB>",
      "x = sorted(t('labevents', subject_id={p}, itemid=lab({lab!r})).valuenum.tolist())\nanswer = round(x[-1] - x[0], 9)",
      guard="len(x) > 1"),
    T("older_of_two", "comparison", "patients",
      ("Who is older, patient {p} or patient {p2}?", "Which of the patients {p} and {p2} was born first?"),
      "select subject_id from patients where subject_id in ({p}, {p2}) order by dob limit 1",
      "a, b = t('patients', subject_id={p}).dob.item(), t('patients', subject_id={p2}).dob.item()\n"
      "answer = {p} if a < b else {p2}", guard="a != b", second="any"),
    T("drug_of_two", "comparison", "prescriptions",
      ("Which drug did more patients get, {drug} or {drug2}?", "Was {drug} or {drug2} prescribed to more patients?"),
      "select drug from prescriptions where drug in ('{drug}', '{drug2}') group by drug "
      "order by count(distinct subject_id) desc limit 1",
      "a, b = (t('prescriptions', drug=d).subject_id.nunique() for d in ({drug!r}, {drug2!r}))\n"
      "answer = {drug!r} if a > b else {drug2!r}", guard="a != b", second="any"),
    T("more_patients", "comparison", "diagnoses_icd",
      ("How many more patients had {dx} than {dx2}?", "By how many do patients with {dx} outnumber those with {dx2}?"),
      "select (select count(distinct subject_id) from diagnoses_icd where <DX>) - "
      "(select count(distinct subject_id) from diagnoses_icd where <DX2>)",
      "answer = len(set(t('diagnoses_icd', icd9_code=dx({dx!r})).subject_id)) - "
      "len(set(t('diagnoses_icd', icd9_code=dx({dx2!r})).subject_id))", guard="answer > 0", second="any"),
    T("lab_rose", "comparison", "labevents",
      ("Was the last {lab} of patient {p} higher than the first?",
       "Did {lab} of patient {p} rise from the first to the last value?"),
      "select (select valuenum from labevents where subject_id = {p} and <LAB> order by charttime desc limit 1) > "
      "(select valuenum from labevents where subject_id = {p} and <LAB> order by charttime limit 1)",
      "x = t('labevents', subject_id={p}, itemid=lab({lab!r})).sort_values('charttime').valuenum.tolist()\n"
      "answer = x[-1] > x[0]", _YES_NO, guard="len(x) > 1", unseen=True),
)

NESTED = (
    T("drug_in_stays", "nested", "prescriptions",
      ("How many patients got {drug} in a stay with {dx}?",
       "In how many patients with {dx} was {drug} given in the same stay?"),
      "select count(distinct subject_id) from prescriptions where drug = '{drug}' and hadm_id in "
      "(select hadm_id from diagnoses_icd where <DX>)",
      "x = t('prescriptions', drug={drug!r}).merge(t('diagnoses_icd', icd9_code=dx({dx!r})), on='hadm_id')\n"
      "answer = int(x.subject_id_x.nunique())"),
    T("lab_first_stay", "nested", "returning_labs",
      ("What was the last {lab} of patient {p} in the first stay?",
       "In the first stay, what was the last {lab} of patient {p}?"),
      "select valuenum from labevents where <LAB> and hadm_id = (select hadm_id from admissions where subject_id = {p} "
      "order by admittime limit 1) order by charttime desc limit 1",
      "a = t('admissions', subject_id={p})\nx = t('labevents', hadm_id=int(a.loc[a.admittime.idxmin(), 'hadm_id']), "
      "itemid=lab({lab!r}))\nanswer = x.sort_values('charttime').valuenum.tolist()[-1]"),
    T("died_with", "nested", "diagnoses_icd",
      ("How many {sexes} patients with {dx} have died?", "Of the {sexes} patients with {dx}, how many are dead?"),
      "select count(*) from patients where gender = '{sex}' and dod is not null and subject_id in "
      "(select subject_id from diagnoses_icd where <DX>)",
      "x = t('patients', gender={sex!r}).dropna(subset=['dod'])\n"
      "answer = len(set(x.subject_id) & set(t('diagnoses_icd', icd9_code=dx({dx!r})).subject_id))", unseen=True),
    T("mean_stay", "nested", "diagnoses_icd",
      ("How many days did stays with {dx} begun in {year} take on average? (2 decimals)",
       "What was the mean length in days of stays with {dx} begun in {year}? (2 decimals)"),
      "select round(avg(julianday(dischtime) - julianday(admittime)), 2) from admissions where admittime like '{year}%' "
      "and hadm_id in (select hadm_id from diagnoses_icd where <DX>)",
      "x = t('admissions')\nx = x[x.hadm_id.isin(t('diagnoses_icd', icd9_code=dx({dx!r})).hadm_id) & "
      "x.admittime.str.startswith('{year}')]\nanswer = float(days(x.dischtime, x.admittime).mean())", _TWO),
    T("drugs_with_diagnosis", "nested", "diagnoses_icd",
      ("How many different drugs did patient {p} get in stays with {dx}?",
       "In stays with {dx}, how many distinct drugs was patient {p} prescribed?"),
      "select count(distinct drug) from prescriptions where hadm_id in "
      "(select hadm_id from diagnoses_icd where subject_id = {p} and <DX>)",
      "x = t('diagnoses_icd', subject_id={p}, icd9_code=dx({dx!r}))[['hadm_id']].drop_duplicates()\n"
      "answer = int(x.merge(t('prescriptions', subject_id={p})).drug.nunique())", unseen=True),
    T("both_diagnoses", "nested", "diagnoses_icd",
      ("How many patients have had both {dx} and {dx2}?", "In how many patients were {dx} and {dx2} both diagnosed?"),
      "select count(distinct subject_id) from diagnoses_icd where <DX> and subject_id in "
      "(select subject_id from diagnoses_icd where <DX2>)",
      "a, b = (set(t('diagnoses_icd', icd9_code=dx(d)).subject_id) for d in ({dx!r}, {dx2!r}))\nanswer = len(a & b)",
      second="stay", unseen=True),
)

COHORT_TEMPLATES = COHORT + RANKING + COMPARISON + NESTED
