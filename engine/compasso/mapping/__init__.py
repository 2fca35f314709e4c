"""From a row to a record: Jinja expressions as SQL, and by Jinja itself where SQL cannot."""

from compasso.mapping.compile import (
    CompiledMapping,
    Condition,
    MappedField,
    MappingProblem,
    compile_mapping,
    prepare_mapping,
)
from compasso.mapping.lookups import Lookup, from_clause

__all__ = [
    "CompiledMapping",
    "Condition",
    "Lookup",
    "MappedField",
    "MappingProblem",
    "compile_mapping",
    "from_clause",
    "prepare_mapping",
]
