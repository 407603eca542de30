"""The package's door: everything it names is there, in order, and nothing is named twice."""

import pricing


def test_all_names_exist_and_are_sorted() -> None:
    names = pricing.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert hasattr(pricing, name), name

    def rank(name: str) -> tuple[int, str]:
        return 0 if name.isupper() else 1 if name[0].isupper() else 2, name

    assert names == sorted(names, key=rank)
