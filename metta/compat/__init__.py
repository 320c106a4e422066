"""The names `mettagrid` 0.8.4 and `cogames` 0.8.1 over this engine, for code that was written for those packages.

`import metta.compat` offers them where the packages are not installed (docs/coming-from-cogames.md). `class=` policies
and bundles are offered them without it.
"""

from metta.common.retired import offer_retired_names

offer_retired_names()
