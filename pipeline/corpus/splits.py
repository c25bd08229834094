"""Who is trained on, and what is tested: the papers' lists of subjects, and sentences that are held out.

`test` holds subjects that training never sees, `test_sentences` held-out sentences of training subjects. Every choice is a
function of the clip's own name, so that a clip never changes sides when others are added.
"""

from zlib import crc32

from pipeline.corpus.layouts import Clip

# Vougioukas et al. 2020 publish these subject lists, and Kesim & Erzin (§4.1) take their test set for CREMA-D from there.
TEST_SUBJECTS = {
    "crema_d": {f"10{n:02d}" for n in (15, 20, 21, 30, 33, 52, 62, 81, 82, 89)},
    "grid": {f"s{n}" for n in (2, 4, 11, 13, 15, 18, 19, 25, 31, 33)},
    "tcd_timit": {f"{n:02d}" for n in (8, 9, 15, 18, 25, 28, 33, 34, 36, 41, 44, 45, 49, 54, 55, 56, 58)},
    "mead": set(),  # no list of which we know
    "folder": set(),
}
VALIDATION_SUBJECTS = {"grid": {f"s{n}" for n in (9, 20, 23, 27, 29, 30, 34)}}
# CREMA-D has twelve sentences in all: these two are held out, whatever the share asked for.
HELD_OUT_CREMA_D = {"IWL", "MTI"}


def split_of(clip: Clip, layout: str, held_out_sentences: int) -> str:
    """The split of a clip, one of layouts.SPLITS.

    held_out_sentences: one sentence in so many is kept for `test_sentences`; 0 keeps none.
    Of what remains for training, one clip in twenty validates, unless the corpus has a list of validation subjects.
    """
    if clip.split:
        return clip.split
    subject = clip.subject[:2] if layout == "tcd_timit" else clip.subject
    if subject in TEST_SUBJECTS[layout]:
        return "test"
    if subject in VALIDATION_SUBJECTS.get(layout, ()):
        return "validation"
    if held_out_sentences and _is_held_out(clip, layout, held_out_sentences):
        return "test_sentences"
    return "validation" if crc32(clip.id.encode()) % 20 == 1 else "train"


def _is_held_out(clip: Clip, layout: str, one_in: int) -> bool:
    if layout == "crema_d":
        return clip.sentence in HELD_OUT_CREMA_D
    return crc32((clip.sentence or clip.id).encode()) % one_in == 0
