"""What a held-out loss is computed of: single sources, and averages over them."""

from collections.abc import Mapping


def loss_groups(kinds: Mapping[str, str]) -> dict[str, list[str]]:
    """Returns group → its sources: single sources, then kinds and `all` if they have several."""
    sources = {f"source/{source}": [source] for source in kinds}
    averages = {
        f"kind/{kind}": [source for source in kinds if kinds[source] == kind]
        for kind in dict.fromkeys(kinds.values())
    } | {"all": list(kinds)}
    return sources | {name: members for name, members in averages.items() if len(members) > 1}
