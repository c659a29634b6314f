"""Sections of the card about how a data set was made and what it may be used for."""

from __future__ import annotations

import shlex

from vitalprep.contract.case_list import short_case_list
from vitalprep.contract.provenance import SIMULATION_NAME, known_provenance
from vitalprep.publish.card.described import Described
from vitalprep.publish.card.markdown import bullets, code, fenced, plain
from vitalprep.publish.metadata import CONFIG_NAME
from vitalprep.runtime.version import __version__

__all__ = ["again", "licence", "limitations", "making"]

MOST_WARNINGS = 20
_BASIS = {
    "configuration": "as the configuration states",
    "note": "as a note beside the recordings says",
    "assumed": "assumed, because nothing beside the recordings says otherwise",
}


def making(data: Described) -> str:
    """Return the rules that made the records."""
    demands = " and ".join(data.config.windowing.demands)
    kept = f"; those that have {demands} observed were kept" if demands else ""
    rules = [
        _strictly(data),
        "Each signal was put on a 1 Hz grid in clinical units, from the first of its sources that was live. What a "
        "device cannot show was dropped.",
        "Gaps were filled by the last observation, or by a default where there was none to carry, never backwards "
        "and never by a mean.",
        f"Windows were cut{kept}. Each value was normalized to its range and clipped.",
        "Every record was read again and proved: checksums, shapes, ranges, splits, counts. `validation.json` says "
        "whether it passed; without that verdict the data set is not published.",
    ]
    return f"By vitalprep {__version__}.\n\n" + bullets(rules)


def _strictly(data: Described) -> str:
    if data.config.reading.salvage:
        return (
            "Each recording was read strictly; a file that is damaged is excluded, not repaired. One that is "
            "unfinished was used up to its last whole packet."
        )
    return "Each recording was read strictly; a file that is damaged anywhere is excluded, not repaired."


def limitations(data: Described) -> str:
    """Return the limits of the data: what a model trained on it cannot know."""
    windowing = data.config.windowing
    texts = [plain(text) for text in data.source.limitations]
    if windowing.step < windowing.window:
        shared = 1 - windowing.step / windowing.window
        texts.append(
            f"Neighbouring windows share {shared:.0%} of their seconds: they are not independent, and a count of "
            "windows is no count of patients."
        )
    texts.append("Settings change seldom: a model that repeats the last value is the baseline to beat.")
    texts.append("The targets are what was done, which need not be what was best.")
    unseen = [code(name) for name, part in data.coverage.items() if part.observed == 0]
    if unseen:
        texts.append(f"Never observed in these cases: {', '.join(unseen)}.")
    rare = [code(name) for name, part in data.coverage.items() if 0 < (part.observed or 0) < 0.05]
    if rare:
        texts.append(f"Observed in less than 5 % of all seconds: {', '.join(rare)}.")
    texts.append("Not for the care of patients: nothing in here shows that a model trained on it is safe.")
    return f"{bullets(texts)}\n\n{_warnings(data)}"


def _warnings(data: Described) -> str:
    """Return the warnings, the most severe first, and name the report that shows all of them."""
    notes = sum(warning.level == "note" for warning in data.warnings)
    found = [plain(warning.message) for warning in data.warnings if warning.level == "warning"]
    more = [f"{len(found) - MOST_WARNINGS} more."] if len(found) > MOST_WARNINGS else []
    shown = "`report.html` shows them with every distribution; `preprocessing_metadata.json` has them for machines."
    if not found:
        return f"No warnings, {notes} notes. {shown}"
    return f"Warnings ({notes} notes besides). {shown}\n\n{bullets(found[:MOST_WARNINGS] + more)}"


def licence(data: Described) -> str:
    """Return licence, agreement and attribution, and how they are known."""
    source = data.source
    known = f"The recordings come from {plain(source.name)} ({_BASIS[data.settled.basis]})."
    if data.settled.basis == "assumed":
        known += " **If they do not, what follows is not true:** plan with `--set source=...` and publish again."
    parts = [known]
    if source.licence is None:
        parts.append("No licence is stated.")
    else:
        named = f"{source.licence_name} ({source.licence})" if source.licence_name else source.licence
        where = f", <{source.licence_url}>" if source.licence_url else ""
        parts.append(f"Licence: {plain(named)}{where}. What it demands of derived works holds for this data set.")
    if source.agreement:
        parts.append(f"{plain(source.agreement.name)} (<{source.agreement.url}>). It says of the user:")
        parts.append(
            "\n".join(f"{number}. {plain(text)}" for number, text in enumerate(source.agreement.obligations, 1))
        )
    if source.attribution:
        parts.append(f"Attribution: {plain(source.attribution)}")
    if source.citation:
        parts.append(f"To cite: {plain(source.citation)}")
    parts.append("vitalprep itself is under the MIT licence, which says nothing of data made with it.")
    return "\n\n".join(part for part in parts if part)


def again(data: Described) -> str:
    """Return the commands that make the same records."""
    cases = short_case_list(sorted(data.plan.requested))
    run = ["vitalprep", "run", "--input", "RECORDINGS", "--output", "OUTPUT", "--cases", cases]
    if data.plan.clinical:
        run += ["--clinical", "TABLE"]
    if data.plan.parent:
        run += ["--append-to", f"OUTPUT/datasets/{data.plan.parent}"]
    else:
        run += ["--config", CONFIG_NAME]
    lines = [shlex.join(run)]
    if data.source == known_provenance("vitaldb"):
        lines.insert(0, shlex.join(["vitalprep", "fetch", "--cases", cases, "--output", "RECORDINGS"]))
        lines[0] += " --accept-licence"
    notes = [
        f"`{CONFIG_NAME}` lies beside this card: the whole configuration, with every default as it was.",
        "The same recordings give the same bytes and the same content id, whatever the number of workers. The data "
        "set's id also depends on the recordings' file stamps (etags): copied recordings give another id.",
    ]
    if data.plan.clinical:
        notes.append(
            "`TABLE` is a clinical table of its own place, not the one beside the recordings; its SHA-256: "
            f"`{data.plan.clinical.sha256}`."
        )
    if data.source == known_provenance("simulated"):
        notes.append(f"`{SIMULATION_NAME}` beside the recordings says what they were made with.")
    if data.plan.parent:
        notes.append(f"Make {code(data.plan.parent)} first; its own card tells how. Its configuration is kept.")
    if data.config.privacy.hash_subjects:
        notes.append("`VITALPREP_SUBJECT_SALT` has to be the same for the same subject ids.")
    return f"With vitalprep {__version__}:\n\n{fenced(chr(10).join(lines), 'sh')}\n\n{bullets(notes)}"
