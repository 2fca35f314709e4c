"""A pandas script: map both days, merge them on the key, keep the rows that differ."""

import sys
from pathlib import Path

import pandas as pd


def mapped(path: Path) -> pd.DataFrame:
    """The same ten fields that the spec maps."""
    rows = (
        pd.read_parquet(path)
        if path.suffix == ".parquet"
        else pd.read_csv(path, dtype=str, keep_default_na=False)
    )
    phone = "+34" + rows["phone"].str.replace(" ", "")
    return pd.DataFrame(
        {
            "_email": rows["email"].str.strip().str.lower(),
            "_externalId": rows["id"],
            "_name": rows["first_name"].str.strip().str.title(),
            "_surname": rows["last_name"].str.strip(),
            "_mobilePhone": phone.where(rows["phone"] != ""),
            "_points": rows["points"].astype("int64"),
            "_birthdate": pd.to_datetime(rows["birth"]),
            "_newsletterSubscriptionStatus": rows["news"].fillna("none").str.lower(),
            "city": rows["city"].str.upper(),
            "spent": rows["total"].astype("float64"),
        }
    )


if __name__ == "__main__":
    action, day1, day2, known = sys.argv[1], *map(Path, sys.argv[2:5])
    if action == "prepare":
        mapped(day1).to_parquet(known)
    else:
        both = mapped(day2).merge(
            pd.read_parquet(known), on="_email", how="outer", suffixes=("", "_old"), indicator=True
        )
        there = both[both["_merge"] == "both"]
        names = [c for c in there.columns if not c.endswith("_old") and f"{c}_old" in there]
        differs = False
        for name in names:
            now, before = there[name], there[f"{name}_old"]
            differs |= (now != before) & ~(now.isna() & before.isna())
        counts = both["_merge"].value_counts()
        there[differs].to_parquet(known.with_name("pandas-updated.parquet"))
        print({"new": int(counts["left_only"]), "updated": int(differs.sum()),
               "gone": int(counts["right_only"])})  # fmt: skip
