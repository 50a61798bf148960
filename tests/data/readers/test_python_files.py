from codepretrain.data.readers.python_files import distributions, license, python_files


def test_files_carry_their_distribution_and_no_local_path() -> None:
    files = python_files()
    assert len({file.name for file in files}) == len(files)
    numpy = [file for file in files if file.name == "site-packages/numpy/__init__.py"]
    assert len(numpy) == 1
    assert numpy[0].origin.startswith("numpy==")
    assert "BSD" in (numpy[0].license or "")
    assert not any("/test/" in file.name for file in files if file.name.startswith("stdlib"))
    assert not any(file.path in file.origin for file in files)


def test_distributions_are_in_order_and_named_once() -> None:
    names = [distribution.metadata["Name"] for distribution in distributions()]
    assert names == sorted(set(names))
    assert sum(license(distribution) is not None for distribution in distributions()) > 10
