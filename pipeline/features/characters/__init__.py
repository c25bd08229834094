"""Scores of characters or phones over time: what stands in DeepSpeech's place in Sinha 2020 (§III-A).

DeepSpeech's own models are no longer to be had for Python. Three things take its place, each under its own name:

phones    pocketsphinx's US-English acoustic model: 42 phones, independent of the speaker, nothing to train
ctc       a network of DeepSpeech's form, trained by the pipeline on the corpus's transcripts: 29 characters
wav2vec2  a Hugging Face CTC checkpoint that the user has: the same 29 characters in the same order

Each turns a waveform into `Scores`; `step_windows` brings them to the video's clock.
"""
