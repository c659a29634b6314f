"""Made-up recordings and clinical tables in VitalDB's form, for demos and tests.

From the inside out: `patients` says who lies there, `course` what happens to them, `signals` and `waves` what the
devices make of it, `vital_writer` how a file stores it, and `simulate` puts the files into a folder.
"""
