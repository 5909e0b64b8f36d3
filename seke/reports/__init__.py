"""A whole run as one page that opens offline: `seke report`.

`source` finds what there is (records, samples, ledger, pictures), `table` makes columns of the records,
`told` what the samples add to each item; `overview`, `of_knowledge`, `of_observers` and `comparison` sum up;
`pack` and `page` write all into one file, which the scripts beside them draw in the browser.
"""
