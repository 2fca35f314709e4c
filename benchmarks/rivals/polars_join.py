"""A hand-written polars script: map, hash, join with yesterday's hashes. It validates nothing."""

import sys
from pathlib import Path

import polars as pl


def mapped(path: Path) -> pl.LazyFrame:
    """The same ten fields that the spec maps, and a hash of all of them."""
    scan = pl.scan_parquet if path.suffix == ".parquet" else pl.scan_csv
    more = {} if path.suffix == ".parquet" else {"infer_schema": False}
    rows = scan(path, **more)
    phone = pl.col("phone")
    fields = rows.select(
        _email=pl.col("email").str.strip_chars().str.to_lowercase(),
        _externalId=pl.col("id"),
        _name=pl.col("first_name").str.strip_chars().str.to_titlecase(),
        _surname=pl.col("last_name").str.strip_chars(),
        _mobilePhone=pl.when(phone != "").then("+34" + phone.str.replace_all(" ", "")),
        _points=pl.col("points").cast(pl.Int64),
        _birthdate=pl.col("birth").str.to_date(),
        _newsletterSubscriptionStatus=pl.col("news").fill_null("none").str.to_lowercase(),
        city=pl.col("city").str.to_uppercase(),
        spent=pl.col("total").cast(pl.Float64),
    )
    return fields.with_columns(hash=pl.struct(pl.all()).hash())


if __name__ == "__main__":
    action, day1, day2, known = sys.argv[1], *map(Path, sys.argv[2:5])
    if action == "prepare":
        mapped(day1).select("_email", "hash").collect().write_parquet(known)
    else:
        old = pl.scan_parquet(known)
        both = mapped(day2).join(old, on="_email", how="full", suffix="_old").collect()
        new = both.filter(pl.col("hash_old").is_null())
        gone = both.filter(pl.col("hash").is_null())
        updated = both.filter(pl.col("hash") != pl.col("hash_old"))
        for name, frame in (("new", new), ("updated", updated), ("gone", gone)):
            frame.write_parquet(known.with_name(f"polars-{name}.parquet"))
        print({"new": len(new), "updated": len(updated), "gone": len(gone)})
