"""`our_code` on small repositories: what it plans, what it refuses, and a run from start to end."""

import json
import random
from pathlib import Path

import pytest

from codepretrain.config.load import load_study
from codepretrain.config.schema import StudyConfig
from codepretrain.data.readers import git_repositories
from codepretrain.data.readers.git_objects import git_output
from codepretrain.data.readers.python_files import python_files
from codepretrain.errors import UserError
from codepretrain.evals.contrast_scores import check_contrast_scores
from codepretrain.evals.registry import check_evaluators
from codepretrain.interop.settings import SpecialTokens, to_cohere
from codepretrain.study.describe import check_caps
from codepretrain.study.graph import resolve
from codepretrain.study.source_sizes import SourceSize
from experiments.our_code import LAPTOP
from tests.conftest import ROOT, Command
from tests.data.readers.repositories import Repository

FILE = ROOT / "experiments" / "our_code.py"
TINY = (
    *("model.d_model=32", "model.num_layers=1", "model.num_heads=2", "model.num_kv_heads=2"),
    *("model.head_dim=16", "model.d_ff=64", "model.vocab_size=512"),
    *("data.tokenizer.vocab_size=512", "data.tokenizer.training_bytes_per_source=100000"),
    *("data.sources.text.options.max_bytes=200000", "execution.loss_vocab_block=512"),
    *("data.sources.public_code.options.max_bytes=200000", "data.validation_fraction=0.2"),
    *("data.sources.text.max_epochs=100", "data.sources.public_code.max_epochs=100"),
    *("evals.validation.num_examples=12", "logging.write_tensorboard=False", "replicates=2"),
)


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three repositories with a style of their own; `empty` and `prose` are none of code."""
    folder, rng = tmp_path_factory.mktemp("code"), random.Random(0)
    made = {}
    for name in ("one", "two", "judge"):
        files = {f"{name}_{n}.py": _module(name, n, rng) for n in range(12)}
        made[name] = Repository(folder / name)
        made[name].commit("Begin", {**files, "README": name})
    Repository(folder / "prose").commit("Begin", {"README": "text"})
    Repository(folder / "empty")
    judge = Repository(folder / "copies" / "judge of old", "--bare")
    judge.git("fetch", "--quiet", str(folder / "judge"), "main:main")
    made["judge"].commit("Go on", {"late.py": _module("judge", 99, rng)})
    issues = [
        {
            "number": number,
            "title": f"Ledger {number} is wrong",
            "body": " ".join(f"post_{rng.randrange(99)}" for _ in range(40)),
            "author": {"login": "ann"},
            "state": "OPEN",
            "url": f"https://github.com/us/one/issues/{number}",
            "comments": [],
        }
        for number in range(30)
    ]
    (folder / "issues.json").write_text(json.dumps(issues))
    return folder


def _module(name: str, number: int, rng: random.Random) -> str:
    lines = [f"def {name}_{number}_{rng.randrange(10**6)}(ledger, {rng.choice('abc')}):"]
    lines += [f"    ledger.post_{rng.randrange(10**4)}({rng.randrange(99)})" for _ in range(60)]
    return "\n".join(lines) + "\n"


def flags(code: Path, *more: str, **arguments: object) -> list[str]:
    given = {"repositories": f"{code}/one, {code}/two", "held_out": f"{code}/judge", **arguments}
    return [
        *(f"--config.arguments.{name}={value}" for name, value in given.items()),
        *(f"--config.{one}" for one in more),
    ]


def study(code: Path, *more: str, **arguments: object) -> StudyConfig:
    return load_study(FILE, flags(code, *more, **{"batch_size": 1, "max_seq_len": 64, **arguments}))


def test_doses_placebo_and_control_are_one_anneal_of_one_trunk(code: Path) -> None:
    config = study(code)
    check_evaluators(config)
    check_contrast_scores(config)
    phases = resolve(config)
    doses = ["own_05", "own_15", "own_30"]
    assert list(config.variants) == ["control", *doses, "public_30", "own_soup"]
    assert len(phases) == 1 + 6 * 3
    assert [origin.phase.name for origin in phases["own_soup-r1"].origins] == [
        f"{d}-r1" for d in doses
    ]
    rows = {name: phases[name].rows_per_source() for name in ("control", *doses, "public_30")}
    total = phases["control"].num_rows
    for name, dose in {"control": 0.0, "own_05": 0.05, "own_15": 0.15, "own_30": 0.3}.items():
        assert rows[name].get("own_code", 0) == pytest.approx(dose * total, abs=1)
        assert rows[name]["text"] == pytest.approx((1 - dose) * 0.7 * total, abs=1)
    assert rows["public_30"]["text"] == rows["own_30"]["text"]
    assert "own_code" not in rows["public_30"]
    for name in (f"{variant}{r}" for variant in rows for r in ("", "-r1", "-r2")):
        assert phases[name].path[0].name == "trunk"
        assert phases[name].tokens == phases["control"].tokens
        assert phases[name].learning_rate(0) == pytest.approx(5e-3)
        assert phases[name].learning_rate(phases[name].num_steps - 1) == 0


def test_questions_are_about_what_the_intervals_are_over(code: Path, tmp_path: Path) -> None:
    """Over files of a few repositories, or over repositories from ten on (held_out_loss.md)."""
    for number in range(10):
        made = Repository(tmp_path / f"h{number}")
        made.commit("Begin", {f"a{number}.py": f"x = {number}\n"})
    for held, words in {
        f"{code}/judge": "Is this held-out repository predicted better with 5% of our code th",
        f"{tmp_path}/h[0-8]": "Are these 9 held-out repositories predicted better with 5%",
        f"{tmp_path}/h*": "Are repositories like the 10 held-out ones predicted better with 5%",
    }.items():
        question = study(code, held_out=held).contrasts["benefit_of_own_05"].question
        assert question is not None
        assert question.startswith(words)


def test_an_anneal_is_a_tenth_of_the_trunk_or_four_epochs_of_the_code(code: Path) -> None:
    """480 steps of 64 tokens have a tenth of 3,072; 1,000 tokens at 30%, four times, 13,333."""
    assert resolve(study(code))["control"].tokens == 3_072
    long = {"trunk_tokens": 10**9, "code_tokens": 1000}
    config = study(code, **long)
    assert resolve(config)["control"].tokens == 13_333 // 64 * 64
    sizes = {
        name: SourceSize(identity=name, num_rows=None, num_tokens=source.num_tokens)
        for name, source in config.data.sources.items()
    }
    check_caps(config, resolve(config), source_sizes=sizes)
    more = study(code, "phases.own_30.tokens=14000", **long)
    with pytest.raises(UserError, match="own_code"):
        check_caps(more, resolve(more), source_sizes=sizes)


def test_a_plan_gives_each_note_once(code: Path, command: Command, tmp_path: Path) -> None:
    size = {"batch_size": 1, "max_seq_len": 64}
    planned = command("plan", "--config", FILE, "--workdir", tmp_path, *flags(code, **size))
    assert planned.returncode == 0, planned.stderr
    lines = planned.stdout.splitlines()
    assert sum("start from one checkpoint" in line for line in lines) == 1
    assert sum("share trunk" in line for line in lines) == 1
    assert "sources held out as a whole: own_held_out" in lines
    assert "that no mixture reads" not in planned.stdout


def test_the_size_is_that_of_what_is_trained_on(code: Path) -> None:
    both = study(code, repositories=f"{code}/[jo]*,{code}/two", trunk_tokens=10**9)
    assert both.data.sources["own_code"].num_tokens == (
        study(code, trunk_tokens=10**9).data.sources["own_code"].num_tokens
    )
    assert both.data.sources["text"].options["excluded"] == "judge,one,two"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"repositories": "{code}/none"}, "arguments.repositories: no git repository matches"),
        ({"repositories": "{code}/empty"}, "arguments.repositories: no commits in .*empty"),
        ({"held_out": "{code}/prose"}, "arguments.held_out: no file of .*web_code in .*prose"),
        ({"held_out": ""}, "arguments.held_out: expected paths of git repositories"),
        ({"repositories": "{code}/judge"}, "arguments.repositories: each is in .*held_out too"),
        ({"languages": "go"}, "arguments.repositories: no file of .*languages=go"),
        ({"languages": "pyton"}, "arguments.languages: there is no 'pyton'; did you mean python"),
        ({"repositories": "{code}/one,{code}/empty"}, "repositories: no commits in .*empty"),
        ({"repositories": "{code}/one,{code}/prose"}, "repositories: no file of .* in .*prose"),
        ({"repositories": "{code}/[ep]*"}, "arguments.repositories: no commits in .*empty"),
        ({"repositories": "{code}/one,{code}/./one"}, "repositories: .*one is given twice"),
        ({"held_out": "{code}/judge,{code}/judge/"}, "held_out: .*judge is given twice"),
        (
            {"repositories": "{code}/one,{code}/copies/judge of old"},
            "repositories: .*judge of old is a copy of .*/judge, which is held out",
        ),
        (
            {"held_out": "{code}/judge,{code}/copies/judge of old"},
            "held_out: all code of .*judge of old is in .*/judge: leave it out",
        ),
        ({"repositories": "https://a.b/c"}, "repositories: expected a local folder, .* clone it"),
        ({"excluded_packages": "nunpy"}, "excluded_packages: no package 'nunpy' .*mean numpy"),
        ({"worth": 0.0}, "arguments.worth: expected a positive number, got 0"),
        ({"cost": -1.0}, "arguments.cost: expected a positive number, got -1"),
        ({"learning_rate": -1.0}, "arguments.learning_rate: expected a number from 0, got -1"),
        ({"trunk_tokens": -1}, "arguments.trunk_tokens: expected a number from 0, got -1"),
        ({"code_tokens": -1}, "arguments.code_tokens: expected a number from 0, got -1"),
        (
            {"checkpoint": "{code}/none", "learning_rate": 1e-3},
            "arguments.checkpoint: .*none does not exist: expected the folder of",
        ),
        ({"doses": "30,30"}, "arguments.doses: expected different percentages"),
        ({"doses": "5,95"}, "arguments.doses: expected different percentages"),
        ({"doses": "some"}, "arguments.doses: expected different percentages"),
        ({"batch_size": 0}, "arguments.batch_size: expected a positive number, got 0"),
        ({"max_seq_len": -1}, "arguments.max_seq_len: expected a positive number, got -1"),
        ({"issues_share": 1.0}, "arguments.issues_share: expected a share between 0 and 1"),
        ({"code_tokens": 50}, "too short an anneal: your code has about 50 tokens; .* 96 tokens"),
        ({"trunk_tokens": 9000}, r"too short .*: 10% of a trunk of 9,000 .* to 12,800, or lower"),
        ({"checkpoint": "{code}"}, "arguments.learning_rate is missing"),
        ({"checkpoint": "{code}", "learning_rate": 1e-3}, r"holds no config\.json"),
    ],
)
def test_mistakes_are_named_before_anything_is_read(
    code: Path, arguments: dict[str, object], message: str
) -> None:
    spelled = {
        name: value.format(code=code) if isinstance(value, str) else value
        for name, value in arguments.items()
    }
    with pytest.raises(UserError, match=message):
        study(code, **spelled)


def test_a_copy_of_what_is_held_out_is_no_code_to_train_on(code: Path) -> None:
    """Of a glob, it is left out of the size, as the data leaves it out of the rows."""
    long = {"trunk_tokens": 10**9}
    globbed = study(code, repositories=f"{code}/[ot]*,{code}/copies/*", **long)
    sizes = [one.data.sources["own_code"].num_tokens for one in (globbed, study(code, **long))]
    assert sizes[0] == sizes[1]
    with pytest.raises(UserError, match=r"repositories: each is in config\.arguments\.held_out"):
        study(code, repositories=f"{code}/copies/*")


def test_what_begins_with_the_first_commit_of_what_is_held_out_is_a_copy(
    code: Path, tmp_path: Path
) -> None:
    """Whatever became of its files. An older one that took in the other's history is none."""
    for name in ("fork", "older"):
        made = Repository(tmp_path / name)
        if name == "older":
            made.num_commits = -9
            made.commit("Begin", {"own.py": "x = 1\n"})
        made.git("fetch", "--quiet", str(code / "judge"), "main")
        made.git("merge", "--quiet", "--allow-unrelated-histories", "FETCH_HEAD")
        others = {path.name: None for path in made.path.glob("judge*")}
        made.commit("Replace", {**others, "other.py": f"y = {name!r}\n"})
    with pytest.raises(UserError, match=r"fork is a copy of .*/judge, which is held out"):
        study(code, repositories=f"{tmp_path}/fork,{code}/one")
    assert study(code, repositories=f"{tmp_path}/older,{code}/one")


def test_only_the_history_of_what_is_held_out_is_read(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []

    def recorded(directory: str, arguments: list[str]) -> str | None:
        if "--max-parents=0" in arguments:
            read.append(directory)
        return git_output(directory, arguments)

    monkeypatch.setattr(git_repositories, "git_output", recorded)
    study(code)
    assert read == [f"{code}/judge/.git"]


def test_a_package_that_is_not_installed_is_told_before_repositories_are_looked_at(
    code: Path,
) -> None:
    with pytest.raises(UserError, match="excluded_packages: no package 'nunpy' is installed"):
        study(code, repositories=f"{code}/none", excluded_packages="nunpy")


def test_the_base_lacks_the_packages_that_the_repositories_are(code: Path, tmp_path: Path) -> None:
    """Known by their files, their addresses or their names, whatever their folders are called."""
    made = Repository(tmp_path / "repo")
    paths = [f.name for f in python_files() if f.origin.startswith(("Jinja2==", "jinja2=="))]
    files = {path.replace("site-packages", "src"): f"x = {path!r}\n" for path in paths}
    made.commit("Begin", files)  # type: ignore[arg-type]
    made.git("remote", "add", "origin", "git@example.org:us/Fancy-Name.git")
    made.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare" / "other.git"))
    given = {"held_out": str(tmp_path / "repo"), "excluded_packages": "numpy, Rich"}
    excluded = study(code, **given).data.sources["public_code"].options["excluded"]
    names = excluded.split(",")
    assert {"fancy-name", "repo", "one", "two", "numpy", "Rich"} < set(names)
    assert "jinja2" in excluded.lower()
    bare = study(code, held_out=f"{tmp_path}/bare/*").data.sources["text"].options["excluded"]
    assert "jinja2" in bare.lower()
    assert "other" in bare.split(",")


def test_paths_are_absolute_for_workers_elsewhere(
    code: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(code)
    found = study(code, repositories="one,t*", held_out="./judge", issues="issues.json")
    paths = {name: of.options.get("path") for name, of in found.data.sources.items()}
    assert paths["own_code"] == (f"{code}/one", f"{code}/t*")
    assert paths["own_held_out"] == (f"{code}/judge",)
    assert paths["own_issues"] == f"{code}/issues.json"


def test_the_special_tokens_of_a_checkpoint_are_in_either_file(code: Path, tmp_path: Path) -> None:
    model = LAPTOP
    tokens = SpecialTokens(bos=("<s>", 1), eos=("</s>", 2), pad=None)
    settings = to_cohere(model, tokens=tokens, max_seq_len=64, dtype="float32")
    (tmp_path / "config.json").write_text(json.dumps(settings))
    given = {"checkpoint": str(tmp_path), "learning_rate": 1e-3}
    with pytest.raises(UserError, match=r"arguments.checkpoint: .*holds no tokenizer.json"):
        study(code, **given)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"arguments.checkpoint: .*holds no tokenizer_config.json"):
        study(code, **given)
    names = {"bos_token": "<s>", "eos_token": {"content": "</s>"}}
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        (tmp_path / file).write_text(json.dumps(names))
        tokenizer = study(code, **given).data.tokenizer
        assert (tokenizer.bos_token, tokenizer.eos_token) == ("<s>", "</s>")
        assert tokenizer.vocab_size == study(code, **given).model.vocab_size == model.vocab_size
        (tmp_path / file).unlink()


def test_issues_are_a_share_of_the_dose(code: Path) -> None:
    config = study(code, issues=f"{code}/issues.json", issues_share=0.25)
    assert config.phases["own_30"].mixture == pytest.approx(
        {"text": 0.49, "public_code": 0.21, "own_code": 0.225, "own_issues": 0.075}
    )


def test_a_miniature_answers_its_questions(code: Path, command: Command, tmp_path: Path) -> None:
    size = {
        "issues": f"{code}/issues.json",
        "doses": "10,30",
        "batch_size": 2,
        "max_seq_len": 64,
        "trunk_tokens": 25_600,
    }
    every = f"{code}/[eojt]*"  # `empty` and `judge` too
    # With two replicates and families of four, an effect of 30 standard errors is not decided.
    given = flags(code, *TINY[:-1], "replicates=3", repositories=every, **size)
    where = ["--config", FILE, "--workdir", tmp_path / "w", *given]
    result = command("run", *where)
    assert result.returncode == 0, result.stderr
    results = json.loads((tmp_path / "w" / "reports" / "our_code" / "results.json").read_text())
    contrasts = {one["contrast"]: one for one in results["contrasts"]}
    assert set(contrasts) == {
        *("benefit_of_own_10", "benefit_of_own_30", "benefit_of_own_soup", "benefit_of_public_30"),
        *("dose_own_30_over_own_10", "dose_soup", "own_or_any_code"),
        *(f"cost_of_own_{d}_on_{w}" for d in (10, 30, "soup") for w in ("text", "public_code")),
    }
    benefit = contrasts["benefit_of_own_30"]
    assert benefit["decision"] == "confirmed", benefit
    soup = contrasts["dose_soup"]
    assert (soup["missing"], len(soup["arms"][0]["runs"])) == ("", 3)
    assert benefit["between"] == "recipes from one checkpoint, 3 replicates"
    page = (tmp_path / "w" / "reports" / "our_code" / "index.html").read_text()
    assert "Is this held-out repository predicted better with 30% of our code than w" in page
    assert page.index("<th>Against control</th>") < page.index("<th>Question</th>")
    assert "own_30 against control: gain shown; " in result.stdout
    assert result.stdout.count(" against control: ") == 4, "the doses, the soup and public code"
    described = json.loads(command("data", "describe", *where, "--json").stdout)
    assert described["split"]["holds"]
    assert described["sources"]["own_held_out"]["rows"]["train"]["num_documents"] == 0
    assert described["sources"]["own_code"]["rows"]["validation"]["num_documents"] == 0
    assert described["sources"]["own_code"]["rows"]["train"]["num_documents"] == 24
    assert described["sources"]["own_issues"]["rows"]["train"]["num_documents"] == 30
