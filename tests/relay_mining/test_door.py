"""The package's door: everything it names is there, in order, and nothing is named twice."""

import relay_mining


def test_all_names_exist_and_are_sorted_as_the_linter_sorts_them() -> None:
    names = relay_mining.__all__
    assert len(set(names)) == len(names)
    for name in names:
        assert hasattr(relay_mining, name), name

    def rank(name: str) -> int:
        return 0 if name.isupper() else 1 if name[0].isupper() else 2

    assert [rank(name) for name in names] == sorted(rank(name) for name in names)
