"""Texts sampled from a language model: the model's own distribution, whatever the batch; and the account of them."""

import doctest
import json

import datasets
import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from tangodistill.augment import causal_model, plan
from tangodistill.augment.causal_model import Writer, draw
from tangodistill.augment.generators import check_generators
from tangodistill.augment.pipeline import augment, augment_roles
from tangodistill.augment.rules import RulesConfig
from tangodistill.augment.sample_lm import SampleLmConfig, write_texts
from tangodistill.augment.selection import Limits
from tangodistill.data import language_text
from tangodistill.data.language_text import CONDITIONING, PREFIXES
from tangodistill.data.leaks import normalise
from tangodistill.data.sources import DatasetConfig
from tangodistill.modules.language_model import byte_level_tokenizer, small_gpt2
from tangodistill.user_error import UserError

TEXTS = ["the film is good", "a dull plot", "good film", "the cast is warm and the plot is quick"]


def write_model(folder, lines=TEXTS, prefixes=None):
    """A tiny model that has learnt the lines a little, so that what it writes ends now and then."""
    torch.manual_seed(0)
    tokenizer = byte_level_tokenizer(list(lines), 300)
    model = small_gpt2(len(tokenizer), 1, 64, tokenizer.eos_token_id)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    batch = tokenizer([line + tokenizer.eos_token for line in lines[:16]], padding=True, return_tensors="pt")
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    for _ in range(25):
        optimizer.zero_grad()
        model(**batch, labels=labels).loss.backward()
        optimizer.step()
    if prefixes:
        setattr(model.config, CONDITIONING, "label")
        setattr(model.config, PREFIXES, prefixes)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("lm"))


def sampler(model):
    Writer.load.cache_clear()
    return Writer.load(model)


def test_doctests():
    assert doctest.testmod(causal_model).failed == doctest.testmod(language_text).failed == 0


def test_cache_and_leaving_the_batch_change_nothing(model, monkeypatch):
    """Cold enough to be greedy, every text equals what `generate` writes of its prefix alone."""
    writer, cold = sampler(model), SampleLmConfig(model, temperature=1e-4, max_new_tokens=12)
    prefixes = [[token] for token in range(3, 60)] + [[5, 9, 11]]
    alone = [
        writer.model.generate(torch.tensor([prefix]), max_new_tokens=12, do_sample=False, eos_token_id=None)[0].tolist()
        for prefix in prefixes
    ]
    written = [set(ids[len(prefix) :]) for ids, prefix in zip(alone, prefixes, strict=True)]
    half = len(written) / 2
    end = min(set.union(*written), key=lambda token: abs(sum(token in ids for ids in written) - half))
    writer.tokenizer.eos_token = writer.tokenizer.convert_ids_to_tokens(end)
    monkeypatch.setattr(causal_model, "COMPACT_AT", 1.0)
    found = writer.sample(prefixes, cold, torch.Generator().manual_seed(0))
    for prefix, expected, (ids, ended) in zip(prefixes, alone, found, strict=True):
        assert ended == (end in expected[len(prefix) :])
        if ended:
            assert ids == prefix + expected[len(prefix) : expected.index(end, len(prefix))]
    assert 0 < sum(ended for _, ended in found) < len(found)


def test_next_tokens_follow_the_models_probabilities(model):
    writer, n = sampler(model), 4000
    hot = SampleLmConfig(model, max_new_tokens=1, temperature=3.0)
    found = writer.sample([[7]] * n, hot, torch.Generator().manual_seed(1))
    ended = sum(ended for _, ended in found)
    with torch.inference_mode():
        chances = torch.softmax(writer.model(torch.tensor([[7]])).logits[0, -1].double() / 3.0, -1)
    end = float(chances[writer.tokenizer.eos_token_id])
    assert abs(ended / n - end) < 4 * np.sqrt(max(end * (1 - end), 1 / n) / n)


def test_draws_follow_the_softmax_within_the_nucleus():
    logits = torch.log(torch.tensor([0.5, 0.3, 0.15, 0.05])).repeat(20_000, 1)
    drawn = draw(logits, 1.0, 1.0, torch.Generator().manual_seed(0))
    assert chisquare(np.bincount(drawn), 20_000 * np.array([0.5, 0.3, 0.15, 0.05])).pvalue > 0.001
    nucleus = np.bincount(draw(logits, 0.7, 1.0, torch.Generator().manual_seed(0)), minlength=4)
    assert nucleus[2:].sum() == 0  # 0.5 + 0.3 reach 0.7
    assert chisquare(nucleus[:2], 20_000 * np.array([0.5, 0.3]) / 0.8).pvalue > 0.001


def test_texts_depend_on_the_seed_alone(model):
    config = SampleLmConfig(model, max_new_tokens=20, batch_size=16)
    first, again, other = (write_texts(100, [TEXTS], config, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first == again != other
    (texts,), counts = first
    assert len(texts) + counts["unfinished"] + counts["malformed"] == 100 and texts
    assert all(text == " ".join(text.split()) and text for text in texts)


def test_the_first_tokens_are_those_of_the_training_texts(model):
    writer = sampler(model)
    prefixes, chance = writer.prefixes((("the film", "the plot", "a film", "good"),))
    firsts = {writer.tokenizer.decode(ids): float(p) for ids, p in zip(prefixes, chance, strict=True)}
    assert len(firsts) == 3 and max(firsts.values()) == 0.5 and sum(firsts.values()) == pytest.approx(1)


def test_labels_open_the_text_and_are_taken_off(tmp_path):
    lines = [f"{label}\t{text}" for text, label in zip(TEXTS, ("yes", "no", "yes", "yes"), strict=True)]
    model = write_model(tmp_path, lines, prefixes={"no\t": 1, "yes\t": 3})
    writer = sampler(model)
    prefixes, chance = writer.prefixes((tuple(TEXTS),))
    assert sorted(zip(map(writer.tokenizer.decode, prefixes), chance, strict=True)) == [("no\t", 0.25), ("yes\t", 0.75)]
    assert writer.without_label("yes\tgood film") == "good film"
    (texts,), _ = write_texts(60, [TEXTS], SampleLmConfig(model, max_new_tokens=20), np.random.default_rng(0))
    assert texts and not any("\t" in text for text in texts)


def test_a_pair_needs_exactly_two_sides(tmp_path):
    model = write_model(tmp_path, ["a film\tgood", "a plot\tbad", "one side"])
    sides, counts = write_texts(200, [TEXTS, TEXTS], SampleLmConfig(model, max_new_tokens=20), np.random.default_rng(0))
    assert len(sides) == 2 and len(sides[0]) == len(sides[1])
    assert counts["malformed"] + counts["unfinished"] + len(sides[0]) == 200 and counts["malformed"] > 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"top_p": 0.0}, "lm.top_p is 0.0: a share of the probability, above 0 and at most 1."),
        ({"temperature": 0.0}, "lm.temperature is 0.0: it must be above 0."),
        ({"num_samples": 0}, "lm.num_samples is 0: it must be at least 1."),
    ],
)
def test_numbers_out_of_range_are_refused(setting, message):
    with pytest.raises(UserError) as error:
        SampleLmConfig("x", **setting).check()
    assert str(error.value) == message


def test_a_model_out_of_reach_says_what_to_give():
    with pytest.raises(UserError, match="lm.model 'gpt2': no causal language model could be loaded .*Give the folder"):
        sampler("gpt2")


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(RulesConfig, "rows_per_shard", 16)
    monkeypatch.setattr(plan, "SAMPLES_PER_SHARD", 40)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def make(roles, output, generators, limits=Limits(), seed=0, workers=1, part=(1, 1)):  # noqa: B008
    augment_roles(roles, output, generators, limits, seed, workers, part)


def test_sampled_texts_enter_a_set_and_are_accounted_for(make_roles, tmp_path, small_shards):
    roles = make_roles(60)
    model = write_model(tmp_path / "lm", roles.train["text"][:])
    lm = SampleLmConfig(model, num_samples=100, max_new_tokens=30)
    make(roles, tmp_path / "set", [RulesConfig(), lm])
    rows = datasets.load_from_disk(str(tmp_path / "set"))
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    counts = manifest["generators"]["lm"]
    assert (
        counts["draws"]
        == 100
        == sum(counts[part] for part in ("unfinished", "malformed", "duplicates", "leaked", "kept"))
    )
    assert counts["kept"] > 0 and list(manifest["files"]["lm"]) == ["model"]
    assert len({normalise(text) for text in rows["text"]}) == len(rows) == manifest["rows"]


def test_shards_made_apart_join_to_the_same_bytes(make_roles, tmp_path, small_shards, capsys):
    roles = make_roles(60)
    lm = SampleLmConfig(write_model(tmp_path / "lm", roles.train["text"][:]), num_samples=100, max_new_tokens=10)
    generators = [RulesConfig(), lm]
    make(roles, tmp_path / "one", generators)
    for number in (3, 1, 2):
        make(roles, tmp_path / "three", generators, part=(number, 3))
        assert not (tmp_path / "three" / "manifest.json").exists()
    assert "Shard 2/3 is done; 7 of 7 parts are there. Run without --shard to join." in capsys.readouterr().out
    make(roles, tmp_path / "three", generators, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "three")


def test_shares_and_caps_hold(make_roles, tmp_path, small_shards):
    roles = make_roles(60)
    model = write_model(tmp_path / "lm", roles.train["text"][:])
    lm = SampleLmConfig(model, num_samples=400, max_new_tokens=60, share=0.25)
    make(roles, tmp_path / "set", [RulesConfig(share=0.75), lm], Limits(max_texts=100, max_per_text=2))
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    of = {name: counts["in_set"] for name, counts in manifest["generators"].items()}
    assert manifest["originals"]["in_set"] == 60 and sum(of.values()) <= 40 and of["rules"] == 3 * of["lm"] > 0
    rules = manifest["generators"]["rules"]
    assert manifest["over_max_per_text"] == rules["kept"] - 2 * 60  # every text has more than two variants


@pytest.mark.parametrize(("shares", "told"), [((0.5, None), "rules 0.5, lm None"), ((0.5, 0.6), "rules 0.5, lm 0.6")])
def test_shares_that_do_not_add_up_are_refused(shares, told):
    with pytest.raises(UserError) as error:
        check_generators([RulesConfig(share=shares[0]), SampleLmConfig("x", share=shares[1])])
    expected = f"The shares are {told}: give one above 0 to each generator, 1 in all, or none to any."
    assert str(error.value) == expected


@pytest.mark.parametrize("shard", ["0/3", "4/3", "one", "1/"])
def test_a_part_that_is_none_is_refused(shard):
    with pytest.raises(UserError, match=f"shard is '{shard}': give i/n with i from 1 to n, for instance 2/8."):
        augment(DatasetConfig("nowhere.csv"), "x", shard=shard)
