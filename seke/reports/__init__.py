"""A whole run as one page that opens offline: `seke report`.

`inputs` finds what there is (records, samples, ledger, pictures), `records_table` makes columns of the
records, `sample_contributions` what the samples add to each item; the sections and `comparison` sum up;
`encoding` and `html` write all into one file, which the scripts in `web` draw in the browser.
"""
