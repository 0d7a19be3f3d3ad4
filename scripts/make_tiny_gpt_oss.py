"""Make a tiny gpt-oss with random weights and the real vocabulary, for tests of a real vLLM.

    .venv-vllm/bin/python scripts/make_tiny_gpt_oss.py build/tiny-gpt-oss

Two layers, four experts, 26 million parameters, 52 MB in bfloat16; what it writes is noise. Nothing
is downloaded: the vocabulary is read out of the harmony library that vLLM brings along.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from pathlib import Path

import torch
from openai_harmony import load_harmony_encoding
from transformers import GptOssConfig, GptOssForCausalLM, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

ORDINARY = 199_998
"""So many tokens are ordinary; harmony's own follow up to `VOCABULARY`."""
VOCABULARY = 201_088
SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""Of the published file of the vocabulary, o200k_base.tiktoken."""

SPECIAL = {
    199_998: "startoftext",
    199_999: "endoftext",
    200_002: "return",
    200_003: "constrain",
    200_005: "channel",
    200_006: "start",
    200_007: "end",
    200_008: "message",
    200_012: "call",
    200_018: "endofprompt",
}
SPLIT = "|".join(
    [
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    ]
)
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def main(folder: Path) -> None:
    """Write model and tokenizer into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(folder)
    write_tokenizer(folder)
    print(f"{folder}: {sum(f.stat().st_size for f in folder.iterdir()) / 1e6:.0f} MB")


def write_weights(folder: Path) -> None:
    """Save random weights in the architecture of gpt-oss."""
    config = GptOssConfig(
        num_hidden_layers=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        vocab_size=VOCABULARY,
        hidden_size=64,
        intermediate_size=64,
        head_dim=32,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=128,
        max_position_embeddings=4096,
        bos_token_id=199_998,
        eos_token_id=[200_002, 199_999, 200_012],
        pad_token_id=199_999,
    )
    torch.manual_seed(0)
    GptOssForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)


def write_tokenizer(folder: Path) -> None:
    """Save a tokenizer whose ids are harmony's."""
    vocabulary = folder / "o200k_base.tiktoken"
    vocabulary.write_bytes(published_vocabulary())
    specials = [
        f"<|{SPECIAL.get(number, f'reserved_{number}')}|>" for number in range(ORDINARY, VOCABULARY)
    ]
    converter = TikTokenConverter(
        vocab_file=str(vocabulary), pattern=SPLIT, extra_special_tokens=specials
    )
    roles = {"bos": "startoftext", "eos": "return", "pad": "endoftext"}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=converter.converted(),
        **{f"{role}_token": f"<|{name}|>" for role, name in roles.items()},
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    vocabulary.unlink()
    check_ids(tokenizer)


def published_vocabulary() -> bytes:
    """Return o200k_base.tiktoken, byte for byte, out of the harmony library."""
    decode = load_harmony_encoding("HarmonyGptOss")._inner.decode_bytes
    lines = (
        base64.b64encode(bytes(decode([number]))) + b" %d\n" % number for number in range(ORDINARY)
    )
    published = b"".join(lines)
    if hashlib.sha256(published).hexdigest() != SHA256:
        raise SystemExit("the harmony library's vocabulary is not o200k_base")
    return published


def check_ids(tokenizer: PreTrainedTokenizerFast) -> None:
    """Stop unless text and specials get the ids that gpt-oss knows."""
    known = {"final": 17196, "analysis": 35644, "<|channel|>": 200_005, "<|return|>": 200_002}
    for text, number in known.items():
        found = tokenizer.encode(text, add_special_tokens=False)
        if found != [number]:
            raise SystemExit(f"{text} is {found}, not {number}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
