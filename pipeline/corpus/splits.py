"""Who is trained on, and what is tested: the papers' lists of subjects, and sentences that are held out.

`test` holds subjects that training never sees, `test_sentences` held-out sentences of training subjects. Every choice is a
function of the clip's own name, so that a clip never changes sides when others are added; but that a corpus which grows to
ENOUGH subjects gets some who validate.
"""

from collections.abc import Collection, Iterable
from zlib import crc32

from pipeline.corpus.layouts import Clip

# Vougioukas et al. 2020 publish these subject lists, and Kesim & Erzin (§4.1) take their test set for CREMA-D from there.
# Chen S. 2021 (§4.1) says how many test, 6 of GRID's 33 speakers and 10 of TCD-TIMIT's 59 volunteers, but not who, and that all
# others train. Taken are the first of Vougioukas's: what was trained by either list has seen none of them.
TEST_SUBJECTS = {
    "vougioukas": {
        "crema_d": {f"10{n:02d}" for n in (15, 20, 21, 30, 33, 52, 62, 81, 82, 89)},
        "grid": {f"s{n}" for n in (2, 4, 11, 13, 15, 18, 19, 25, 31, 33)},
        "tcd_timit": {f"{n:02d}" for n in (8, 9, 15, 18, 25, 28, 33, 34, 36, 41, 44, 45, 49, 54, 55, 56, 58)},
        "mead": set(),  # no list of which we know
        "folder": set(),
    },
    "chen_s": {
        "grid": {f"s{n}" for n in (2, 4, 11, 13, 15, 18)},
        "tcd_timit": {f"{n:02d}" for n in (8, 9, 15, 18, 25, 28, 33, 34, 36, 41)},
    },
}
VALIDATION_SUBJECTS = {
    "vougioukas": {"grid": {f"s{n}" for n in (9, 20, 23, 27, 29, 30, 34)}},
    "chen_s": {"grid": set(), "tcd_timit": set()},
}
# With fewer subjects than this besides those who test, each is needed for training.
ENOUGH = 20
# CREMA-D has twelve sentences in all: these two are held out, whatever the share asked for.
HELD_OUT_CREMA_D = {"IWL", "MTI"}


def validation_subjects(layout: str, clips: Iterable[Clip], test_subjects: str = "vougioukas") -> set[str]:
    """Who validates: the list's subjects; without a list one in ten, by CRC-32 of the name, if there are ENOUGH.

    test_subjects: whose list, a key of TEST_SUBJECTS.
    """
    subjects = {_person(clip, layout) for clip in clips} - TEST_SUBJECTS[test_subjects][layout]
    if layout in VALIDATION_SUBJECTS[test_subjects]:
        return subjects & VALIDATION_SUBJECTS[test_subjects][layout]
    return {name for name in subjects if crc32(name.encode()) % 10 == 1} if len(subjects) >= ENOUGH else set()


def split_of(
    clip: Clip,
    layout: str,
    held_out_sentences: int,
    validating: Collection[str] = (),
    test_subjects: str = "vougioukas",
) -> str:
    """The split of a clip, one of layouts.SPLITS.

    held_out_sentences: one sentence in so many is kept for `test_sentences`; 0 keeps none.
    validating: `validation_subjects`. Where nobody does, one of twenty of the clips that remain for training validates.
    test_subjects: whose list says who tests, a key of TEST_SUBJECTS.
    """
    if clip.split:
        return clip.split
    if _person(clip, layout) in TEST_SUBJECTS[test_subjects][layout]:
        return "test"
    if _person(clip, layout) in validating:
        return "validation"
    if held_out_sentences and _is_held_out(clip, layout, held_out_sentences):
        return "test_sentences"
    return "validation" if not validating and crc32(clip.id.encode()) % 20 == 1 else "train"


def _person(clip: Clip, layout: str) -> str:
    """The subject as lists have it: TCD-TIMIT's folders add the sex to the number."""
    return clip.subject[:2] if layout == "tcd_timit" else clip.subject


def _is_held_out(clip: Clip, layout: str, one_in: int) -> bool:
    if layout == "crema_d":
        return clip.sentence in HELD_OUT_CREMA_D
    return crc32((clip.sentence or clip.id).encode()) % one_in == 0
