"""From a row to a record: Jinja expressions as SQL, and by Jinja itself where SQL cannot."""

from compasso.mapping.compile import (
    CompiledMapping,
    MappedField,
    MappingProblem,
    compile_mapping,
)
from compasso.mapping.lookups import Lookup, from_clause, prepare_lookups

__all__ = [
    "CompiledMapping",
    "Lookup",
    "MappedField",
    "MappingProblem",
    "compile_mapping",
    "from_clause",
    "prepare_lookups",
]
