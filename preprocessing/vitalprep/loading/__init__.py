"""Opens a finished data set: `describe` (what it is), `read` (NumPy), `load` (TensorFlow).

A data set is opened from its own files, in a folder or in S3. Shapes, names, units and ranges come from its
``preprocessing_metadata.json``, not from the installed configuration. An output folder stands for its latest data set.

- Only validated data sets are opened: ``validation.json`` says passed, and every file has the size that was written.
  ``unproved=True`` opens others, too.
- Values are normalized to [-1, 1]. `Description.denormalize` converts them to clinical units.
- Every second of a signal has a value. Its origin (``origin=True``) says where the value comes from: 0 observed, 1 held
  (carried forward), 2 default. A default outside the range (ETCO2, FIO2 and RR at 0) is stored as -1 and converts to
  the lower bound of the range: only its origin tells it from a low measurement.
"""

from vitalprep.loading.dataset import load
from vitalprep.loading.description import Description, Feature, describe
from vitalprep.loading.windows import Batch, Origins, Window, read

__all__ = ["Batch", "Description", "Feature", "Origins", "Window", "describe", "load", "read"]
