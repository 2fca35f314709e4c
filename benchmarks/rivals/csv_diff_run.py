"""csv-diff over the two CSV files as they are, without any mapping. It holds both in memory."""

import sys
from pathlib import Path

if __name__ == "__main__":
    action, day1, day2 = sys.argv[1], *map(Path, sys.argv[2:4])
    if action == "run":
        from csv_diff import compare, load_csv

        with day1.open(newline="") as one, day2.open(newline="") as two:
            found = compare(load_csv(one, key="id"), load_csv(two, key="id"))
        print({"new": len(found["added"]), "updated": len(found["changed"]),
               "gone": len(found["removed"])})  # fmt: skip
