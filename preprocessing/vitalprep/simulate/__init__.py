"""Simulated recordings and clinical tables in VitalDB's format, for demos, tests and benchmarks.

In the order of the data: `patients` draws the patient; `anaesthesia` plans and conducts the anaesthetic; `physiology`
models the body's response; `course` combines both, second by second; `signals` and `waves` model what devices record;
`other_monitors` lets other devices record it; `recording` writes the file; `truth` computes what a reader must find in
it; `damage` corrupts some files; `simulate` fills a folder.
"""
