"""The names `mettagrid` 0.8.4 and `cogames` 0.8.1 over this engine, for code that was written for those packages.

`import metta.compat` offers them where the packages are not installed (docs/coming-from-cogames.md), and lets
PufferLib's trainer run without CUDA. `python -m metta.compat script.py` runs a script so. `class=` policies and bundles
are offered the names without it.
"""

from metta.adapters.pufferl import replace_kernel
from metta.common.retired import offer_retired_names

offer_retired_names()
replace_kernel()
