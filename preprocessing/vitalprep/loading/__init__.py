"""Opening a finished data set: what it is (`describe`), its windows in NumPy (`read`), in TensorFlow (`load`).

All of it works on the data set's own files, in a folder or in S3, and on them alone: shapes, names, units and ranges
come from its ``preprocessing_metadata.json``, not from the registry of the installed vitalprep.

Three things hold for whoever opens a data set:

- It must be proved: ``validation.json`` says passed, and every file has the size that was written. What is not is
  refused, unless it is asked for by ``unproved=True``.
- Values are normalized to [-1, 1]; `Description.denormalize` takes them back to clinical units.
- A window of a signal holds a value in every second. Whether it was measured is told by its origin
  (0 observed, 1 held, 2 default), which ``origin=True`` gives along. A default that lies outside of the range (ETCO2,
  FIO2 and RR at 0) is stored as -1 and comes back as the range's lower bound: only its origin tells it from a low
  measurement.
"""

from vitalprep.loading.dataset import load
from vitalprep.loading.description import Description, Feature, describe
from vitalprep.loading.windows import Batch, Origins, Window, read

__all__ = ["Batch", "Description", "Feature", "Origins", "Window", "describe", "load", "read"]
