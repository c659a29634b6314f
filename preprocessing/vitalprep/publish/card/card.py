"""The card as a whole: its header and the order of its sections.

The header is what the Hugging Face hub reads of a card (YAML between two rules). The sections follow the questions of
Gebru et al., Datasheets for Datasets, Commun ACM 2021; 64(12):86-92. It holds nothing that differs between two runs of
one data set, and repeats no subject and no location.
"""

from __future__ import annotations

import yaml

from vitalprep.publish.card import contents, use
from vitalprep.publish.card.described import Described
from vitalprep.publish.card.loading import loading_example
from vitalprep.publish.card.markdown import one_line, plain
from vitalprep.publish.card.measured import measured

__all__ = ["dataset_card", "title_of"]

_LARGEST = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
_HUB_LICENCES = {"cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc0-1.0", "mit", "apache-2.0"}


def dataset_card(data: Described) -> bytes:
    """Return the card of a data set as Markdown."""
    sections = {
        "What was measured": measured(data),
        "What it is": contents.what(data),
        "Composition": contents.composition(data),
        "How it was made": use.making(data),
        "Splits": contents.splits(data),
        "Values and units": contents.values(data),
        "Where values come from": contents.origins(data),
        "Limitations and biases": use.limitations(data),
        "Excluded cases": contents.exclusions(data),
        "Licence and attribution": use.licence(data),
        "How to load it": loading_example(data.config),
        "How to make it again": use.again(data),
    }
    title = title_of(data)
    parts = [f"---\n{_header(data, title)}---", f"# {plain(title)}"]
    parts += ["**The patients are simulated. Nobody was recorded.**"] if data.source.patients == "simulated" else []
    parts += [f"## {name}\n\n{text}" for name, text in sections.items()]
    return ("\n\n".join(parts) + "\n").encode()


def title_of(data: Described) -> str:
    """Return a data set's title: its name, if it has one, the source of its recordings, and its id."""
    title = f"Windows of surgical recordings ({one_line(data.source.name)}), data set {data.plan.dataset_id}"
    return f"{data.plan.name}: {title}" if data.plan.name else title


def _header(data: Described, title: str) -> str:
    licence = (data.source.licence or "unknown").lower()
    header: dict[str, object] = {"pretty_name": title}
    if licence in _HUB_LICENCES or data.source.licence is None:
        header["license"] = licence
    else:
        header |= {"license": "other", "license_name": one_line(data.source.licence)}
        header |= {"license_link": data.source.licence_url} if data.source.licence_url else {}
    header |= {
        "task_categories": ["time-series-forecasting"],
        "size_categories": [_size_category(data.windows)],
        "tags": ["anesthesia", "surgery", "vital-signs", "tfrecord", f"{data.source.patients}-patients"],
        "viewer": False,
    }
    return str(yaml.safe_dump(header, sort_keys=False, width=1000))


def _size_category(records: int) -> str:
    return next((name for bound, name in _LARGEST if records < bound), "10M<n<100M")
