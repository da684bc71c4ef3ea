"""`jfilters check`, `bundle` and `merge`: streams, exit codes, options that all questions share."""

import json
import re
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from jfilters.scans import open_scan

from ..scans.scans import made_scan, same, save_folder
from .commands import fail, run


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    told = {("a", 1): {"verdict": "collapsed"}}
    save_folder(made_scan(tmp_path / "one", {"a": 2, "b": 1}, told=told))
    save_folder(made_scan(tmp_path / "two", {"b": 1, "c": 2}, seed=1))
    (tmp_path / "meta.csv").write_text("model,task\na,seg\nx,cls\n")
    (tmp_path / "good.toml").write_text('[[rule]]\nname = "big"\nrequire = "n_kernels > 9"\n')
    rules = "[[rule]]\nname = 'alive'\nrequire = \"verdict != 'collapsed'\"\n"
    (tmp_path / "bad.toml").write_text(rules)
    return tmp_path


def family() -> dict[str, dict[str, np.ndarray]]:
    """A network, one with a new head, one trained as a whole, and a stranger."""
    rng = np.random.default_rng(0)
    shapes = {
        "backbone.0.weight": (32, 16, 3, 3),
        "backbone.1.weight": (32, 32, 3, 3),
        "head.weight": (8, 32, 3, 3),
    }

    def normal() -> dict[str, np.ndarray]:
        return {name: rng.standard_normal(x).astype(np.float32) for name, x in shapes.items()}

    base, *changes = (normal() for _ in range(3))
    tuned = [{name: base[name] + np.float32(0.1) * x[name] for name in x} for x in changes]
    networks = {
        "base": base,
        "new-head": base | {"head.weight": tuned[0]["head.weight"]},
        "tuned": tuned[1],
        "stranger": normal(),
    }
    return {
        name: weights | {"bn.num_batches_tracked": np.array(10 * steps)}
        for steps, (name, weights) in enumerate(networks.items())
    }


class TestCheck:
    def test_all_rules_hold(self, here):
        done = run("check", "one", "--rules", "good.toml")
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout == "holds   big: 3 layers\n1 of 1 rules hold\n"

    def test_a_broken_rule_is_exit_code_1_and_a_list(self, here):
        done = run("check", "one", "--rules", "bad.toml")
        assert done.exit_code == 1
        assert "broken  alive: 1 of 3 layers\n" in done.stdout
        assert "  a conv1.weight: does not hold: verdict = collapsed\n" in done.stdout

    def test_json(self, here):
        done = run("check", "one", "--rules", "bad.toml", "--format", "json")
        assert done.exit_code == 1
        record = json.loads(done.stdout)
        assert record["holds"] is False
        (rule,) = record["rules"]
        assert (rule["name"], rule["holds"], rule["checked"]) == ("alive", False, 3)
        (found,) = rule["broken"]
        assert (found["model"], found["layer"]) == ("a", "conv1.weight")
        assert found["values"] == {"verdict": "collapsed"}

    def test_junit(self, here):
        done = run("check", "one", "--rules", "bad.toml", "--junit", "report.xml")
        assert (done.exit_code, done.stderr) == (1, "wrote report.xml\n")
        suite = ET.parse("report.xml").getroot().find("testsuite")
        assert (suite.get("tests"), suite.get("failures")) == ("2", "1")

    def test_a_bundle_is_checked_like_the_scan(self, here):
        run("bundle", "one", "-o", "one.bundle")
        texts = [run("check", x, "--rules", "bad.toml").stdout for x in ("one", "one.bundle")]
        assert texts[0] == texts[1]

    def test_only_some_layers(self, here):
        done = run("check", "one", "--rules", "bad.toml", "--where", "depth == 0")
        assert done.exit_code == 0

    def test_metadata_is_joined_and_what_does_not_match_is_named(self, here):
        where = ("--where", "task == 'seg'")
        done = run("check", "one", "--rules", "good.toml", "--meta", "meta.csv", *where)
        assert "big: 2 layers" in done.stdout
        assert done.stderr.splitlines() == [
            "meta.csv: no model matches x",
            "meta.csv: it holds no row for b",
        ]

    def test_of_many_names_a_few_are_told(self, here):
        rows = "".join(f"x{i},1\n" for i in range(9))
        (here / "meta.csv").write_text(f"model,n\n*,1\n{rows}")
        done = run("check", "one", "--rules", "good.toml", "--meta", "meta.csv")
        assert done.stderr == "meta.csv: no model matches x0, x1, x2, x3, x4 and 4 more\n"

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["nowhere", "--rules", "good.toml"], "expected the folder of a scan"),
            (["one", "--rules", "none.toml"], "name a file of rules"),
            (["one", "--rules", "good.toml", "--where", "depth > 5"], "none of 3 layers is left"),
            (["one", "--rules", "good.toml", "--where", "dpeth > 5"], "did you mean depth?"),
            (["one", "--rules", "good.toml", "--meta", "none.csv"], "expected a table of metadata"),
        ],
    )
    def test_what_cannot_be_done_is_exit_code_2(self, here, monkeypatch, capsys, arguments, said):
        assert said in fail(monkeypatch, capsys, "check", *arguments)


class TestBundle:
    def test_it_tells_its_size(self, here):
        done = run("bundle", "one", "-o", "one.bundle")
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr.startswith("wrote one.bundle: ")
        assert done.stderr.endswith(" kB a model\n")
        assert open_scan(here / "one.bundle").model_names == ["a", "b"]

    def test_metadata_and_some_layers_travel(self, here):
        run("bundle", "one", "-o", "one.bundle", "--meta", "meta.csv", "--where", "task == 'seg'")
        found = open_scan(here / "one.bundle")
        assert found.layer_table["task"].to_pylist() == ["seg", "seg"]


class TestMerge:
    def test_scans_and_bundles_into_a_bundle_or_a_folder(self, here):
        run("bundle", "two", "-o", "two.bundle")
        done = run("merge", "one", "two.bundle", "-o", "both.bundle")
        assert (done.exit_code, done.stdout) == (0, "")
        lost, wrote = done.stderr.splitlines()
        assert lost == "left out, since not all have the same: sample, raw moments, clean moments"
        assert wrote == "wrote both.bundle: 4 models, 6 layers"
        run("merge", "one", "two.bundle", "-o", "both")
        names = ["a", "one/b", "two/b", "c"]
        found = [open_scan(here / name) for name in ("both.bundle", "both")]
        assert [scan.model_names for scan in found] == [names, names]
        assert same(*found, moments=["normalized"])

    def test_the_order_of_a_merge_of_merges_is_nothing_but_order(self, here):
        run("merge", "one", "-o", "again.bundle")
        run("merge", "again.bundle", "one", "-o", "once.bundle")
        assert open_scan(here / "once.bundle").model_names == ["a", "b"]

    def test_what_does_not_belong_together(self, here, monkeypatch, capsys):
        shutil.rmtree(here / "two")
        save_folder(made_scan(here / "two", {"c": 2}, basis_seed=1))
        said = fail(monkeypatch, capsys, "merge", "one", "two", "-o", "both.bundle")
        assert "one and two do not belong together: their bases differ in components" in said
        assert "scan one of them again with --basis one/arrays.safetensors" in said
        assert not (here / "both.bundle").exists()


class TestPage:
    """What docs/check.md shows is what the command takes."""

    def page(self, kind):
        text = (Path(__file__).parents[2] / "docs/check.md").read_text("utf-8")
        return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)

    def test_its_rules_run(self, here):
        rules, *_ = self.page("toml")
        (here / "rules.toml").write_text(rules, "utf-8")
        (reference,) = set(re.findall(r'reference = "(.*)"', rules))
        run("bundle", "two", "-o", reference)
        done = run("check", "two", "--rules", "rules.toml")
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout.endswith("4 of 4 rules hold\n")

    def test_its_rules_on_lineage_say_what_it_shows(self, here):
        (here / "nets").mkdir()
        for name, weights in family().items():
            save_file(weights, here / f"nets/{name}.safetensors", {"format": "pt"})
        _, rules, _ = self.page("toml")
        (here / "lineage.toml").write_text(rules, "utf-8")
        (example,) = (x for x in self.page("console") if "lineage.toml" in x)
        lines = example.splitlines()
        commands = [line.removeprefix("$ jfilters ").split() for line in lines[:2]]
        assert run(*commands[0]).exit_code == 0
        done = run(*commands[1])
        assert done.exit_code == 1
        assert done.stdout.splitlines() == lines[2:]

    def test_its_rule_on_a_deployed_network_holds(self, here):
        weight = np.random.default_rng(0).normal(size=(16, 8, 3, 3)).astype("f4")
        (here / "nets").mkdir()
        save_file({"conv.weight": weight}, here / "trained.pth", {"format": "pt"})
        deployed = {"layer.weight": (2 * weight).astype("f2")}
        save_file(deployed, here / "nets/app.safetensors", {"format": "pt"})
        *_, rules = self.page("toml")
        (here / "twin.toml").write_text(rules, "utf-8")
        assert run("scan", "--checkpoints", "nets", "--out", "deployed").exit_code == 0
        done = run("check", "deployed", "--rules", "twin.toml")
        assert done.stdout.endswith("1 of 1 rules hold\n")
        save_file({"conv.weight": weight + 0.2 * weight**2}, here / "trained.pth", {"format": "pt"})
        done = run("check", "deployed", "--rules", "twin.toml")
        assert done.exit_code == 1
        assert "not the same network" in done.stdout.replace("\n", "")

    def test_its_job_calls_commands_that_there_are(self):
        commands = re.findall(
            r"jfilters (\w+) .*", "".join(self.page("yaml") + self.page("console"))
        )
        assert {"scan", "bundle", "check"} <= set(commands)
        for command in set(commands):
            assert run(command, "--help").exit_code == 0
