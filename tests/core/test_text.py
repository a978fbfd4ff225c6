from fxtrade.core.text import plural


def test_numbers_with_their_nouns():
    assert [plural(n, "bar") for n in (0, 1, 2, 1200)] == ["0 bars", "1 bar", "2 bars", "1,200 bars"]
    assert [plural(n, "class", "classes") for n in (1, 3)] == ["1 class", "3 classes"]
