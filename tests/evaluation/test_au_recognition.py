import numpy as np
import torch

from pipeline.evaluation.action_units import count, score
from pipeline.evaluation.au_recognition import heard_units, seen_units, units_of
from pipeline.features.action_units.units import AUS
from pipeline.papers.chen_s.action_units import AUs


def test_labels_become_action_units_by_name():
    labels = np.zeros((3, 5), np.float32)
    labels[0, 4], labels[1, 0], labels[2] = 1, 1, np.nan
    units = units_of(labels)
    assert units.presence[0].nonzero()[0].tolist() == [AUS.index(26)]
    assert units.presence[1].nonzero()[0].tolist() == [AUS.index(10)]
    assert units.missing.tolist() == [False, False, True]


def test_recognised_units_are_scored_where_labels_are():
    """Truth of AU25: 1 1 0 · with the last frame missing; recognised: 1 0 1 1. TP 1, FP 1, FN 1: F1 ½, accuracy ⅓."""
    truth, found = np.zeros((4, 5), np.float32), np.zeros((4, 5), np.float32)
    truth[:, 3], found[:, 3] = [1, 1, 0, 1], [1, 0, 1, 1]
    truth[3] = np.nan
    scores = score(count(units_of(truth), units_of(found)))
    assert scores.f1[25] == 0.5 and scores.accuracy[25] == 1 / 3 and scores.n_frames == 3


def test_a_unit_is_there_where_its_probability_is_above_a_half():
    logits = torch.tensor([[-1.0, 2, 0.1, -0.1, 3]])
    expected = [AUS.index(au) for au in (14, 20, 26)]
    heard = heard_units(lambda windows: AUs(windows, logits[None], ()), np.zeros((1, 28, 12), np.float32))
    assert heard.presence[0].nonzero()[0].tolist() == expected and not heard.missing.any()
    crops = np.zeros((1, 64, 64, 3), np.uint8)
    crops[:, 32:] = 255

    def classifier(images):
        assert images.shape == (1, 3, 32, 64) and (images == 1).all()
        return logits

    assert seen_units(classifier, crops).presence[0].nonzero()[0].tolist() == expected
