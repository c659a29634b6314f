"""Made-up recordings and clinical tables in VitalDB's form, for demos, tests and benchmarks.

From the inside out: `patients` says who lies there; `anaesthesia` what is planned and done, `physiology` how the body
answers, `course` both together, second by second; `signals` and `waves` what the devices make of it; `recording` how a
file stores it; `truth` what a reader must find in it; `damage` how it is spoilt; `simulate` fills a folder.
"""
