"""The mark of every setting that names a policy. (Apart from the classes: what checks settings is slow to import, and
the process that hosts a class needs none of it.)"""

from metta.common.settings import OnlyTyped
from metta.policy.hosted.by_class import is_class

NAMES_CLASS = OnlyTyped(lambda uri, tree: is_class(uri, tree.system.data_dir))
