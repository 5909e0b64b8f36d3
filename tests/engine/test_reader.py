def test_x(base_of, names):
    b = base_of("machine")
    assert names["hot"] in b.variables
