"""datacompy over the two files as they are, without any mapping."""

import sys
from pathlib import Path

import pandas as pd

if __name__ == "__main__":
    action, day1, day2 = sys.argv[1], *map(Path, sys.argv[2:4])
    if action == "run":
        import datacompy

        def read(path: Path) -> pd.DataFrame:
            """A day's rows, all of them text."""
            if path.suffix == ".parquet":
                return pd.read_parquet(path)
            return pd.read_csv(path, dtype=str, keep_default_na=False)

        make = getattr(datacompy, "PandasCompare", None) or datacompy.Compare
        compared = make(read(day1), read(day2), join_columns="id")
        print({"new": len(compared.df2_unq_rows), "gone": len(compared.df1_unq_rows)})
