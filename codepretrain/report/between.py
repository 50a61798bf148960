"""What a difference is between: two checkpoints, or two recipes of which there are replicates."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Between:
    """What the runs of a comparison allow to be said.

    Attributes:
      num_replicates: of each arm, those that are independent of each other.
      is_from_one_checkpoint: whether all runs of all arms start from one checkpoint. Then the claim
        is about what follows it, and not about recipes that include another start.
    """

    num_replicates: tuple[int, ...] = (1, 1)
    is_from_one_checkpoint: bool = False

    @property
    def are_recipes(self) -> bool:
        """Whether every arm has replicates, so that the spread between runs is known."""
        return min(self.num_replicates) > 1

    @property
    def text(self) -> str:
        """Returns "two checkpoints" or "recipes, 3 replicates".

        >>> Between((3, 5)).text
        'recipes, 3 and 5 replicates'
        >>> Between((1, 4)).text
        'these checkpoints, 1 and 4 runs'
        """
        if set(self.num_replicates) == {1}:
            return "two checkpoints" if len(self.num_replicates) == 2 else "these checkpoints"
        counts = self.num_replicates
        if len(set(counts)) == 1:
            counts = counts[:1]
        spelled = " and ".join(filter(None, [", ".join(map(str, counts[:-1])), str(counts[-1])]))
        if not self.are_recipes:
            return f"these checkpoints, {spelled} runs"
        recipes = "recipes from one checkpoint" if self.is_from_one_checkpoint else "recipes"
        return f"{recipes}, {spelled} replicates"


TWO_CHECKPOINTS = Between()
