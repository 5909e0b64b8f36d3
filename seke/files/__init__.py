"""Reading files within bounds and writing them whole; every other module uses these."""

TABLE_FORMATS = ".csv, .jsonl (both also .gz) or .parquet"  # of help texts: what seke.files.rows reads
