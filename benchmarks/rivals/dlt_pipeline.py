"""A dlt pipeline into a destination of one's own. It knows no yesterday: every row is sent."""

import csv
import os
import sys
import tempfile
from pathlib import Path

if __name__ == "__main__":
    action, day1, day2 = sys.argv[1], *map(Path, sys.argv[2:4])
    if action == "run":
        os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
        os.environ["RUNTIME__LOG_LEVEL"] = "ERROR"
        import dlt

        sent = 0

        @dlt.destination(batch_size=1000, name="connectif", naming_convention="direct")
        def connectif(items, table):
            """Counts what it would send."""
            global sent  # noqa: PLW0603
            sent += len(items)

        @dlt.resource(name="contacts")
        def contacts():
            """The rows of the day, mapped."""
            with day2.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    yield {
                        "_email": row["email"].strip().lower(),
                        "_externalId": row["id"],
                        "_name": row["first_name"].strip().title(),
                        "_surname": row["last_name"].strip(),
                        "_mobilePhone": "+34" + row["phone"] if row["phone"] else None,
                        "_points": int(row["points"]),
                        "_birthdate": row["birth"],
                        "_newsletterSubscriptionStatus": row["news"].lower(),
                        "city": row["city"].upper(),
                        "spent": float(row["total"]),
                    }

        with tempfile.TemporaryDirectory() as place:
            pipeline = dlt.pipeline("bench", pipelines_dir=place, destination=connectif)
            pipeline.run(contacts())
        print({"sent": sent})
