"""What a reader must know about a study's data, in sentences."""

from codepretrain.report.data_tables import Description


def split_sentence(description: Description) -> str:
    """Returns the finding about the split."""
    found = description["split"]
    searched = found["num_clusters"] is not None
    if found["holds"]:
        if searched:
            return "No group, text or pair of similar texts that was found is on both sides."
        return "No group or text is on both sides of the split. Similar texts were not searched."
    leaks = [
        f"{found[key]:,} {name}"
        for key, name in (
            ("groups_on_both_sides", "groups"),
            ("texts_on_both_sides", "texts"),
            ("clusters_on_both_sides", "clusters of similar texts"),
            ("joined_on_both_sides", "pairs of joined groups"),
        )
        if found[key]
    ]
    return f"The split leaks: {', '.join(leaks)} are on both sides."


def warning_lines(description: Description) -> list[str]:
    """Returns what a reader must know before trusting results on this data."""
    lines = []
    for name, source in description["sources"].items():
        if not source["rows"]["validation"]["num_rows"] and source["split"] != "train":
            num_groups = description["overlap"]["totals"][name]["num_groups"]
            lines.append(
                f"no held-out rows of {name} (groups: {num_groups:,}): a group is held out whole "
                "or not at all; give the source more groups, or raise "
                "config.data.validation_fraction"
            )
    too_large = description["split"]["num_too_large"]
    if too_large:
        lines.append(
            f"{too_large:,} documents are always trained on: they are connected with more "
            "documents than may be held out"
        )
    for variant in description["use"]["variants"]:
        for source, found in variant["sources"].items():
            if found["epochs"] is not None and found["epochs"] > found["max_epochs"]:
                lines.append(
                    f"variant {variant['variant']} reads {source} {found['epochs']:.2f} times, "
                    f"config.data.sources.{source}.max_epochs = {found['max_epochs']:g}"
                )
    if not description["decontamination"]:
        lines.append(
            "no evaluation set was sought: config.data.decontamination.benchmarks is empty"
        )
    return lines


def limit_lines(description: Description) -> list[str]:
    """Returns a line for each source whose reader stopped at its limit."""
    return [
        f"{name}: reading stopped at config.data.sources.{name}.options.max_bytes = "
        f"{source['limit']:,}; there may be more raw material"
        for name, source in description["sources"].items()
        if source["was_capped"]
    ]


def sampled_lines(description: Description) -> list[str]:
    """Returns a line for each source of which only a sample was examined for languages."""
    return [
        f"{name}: languages of a sample, {found['num_examined']:,} evenly distributed documents "
        f"of {found['num_documents']:,}"
        for name, source in description["sources"].items()
        if (found := source["languages"])["num_examined"] < found["num_documents"]
    ]
