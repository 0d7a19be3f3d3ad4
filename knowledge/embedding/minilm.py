"""The bundled model without the libraries that load any model: they take six seconds to import.

A BERT of six layers, as in Devlin et al. (2018) and Wang et al., "MiniLM" (2020), its vectors the
mean over a text's tokens. The modules bear the names that the weights have in their file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from knowledge.errors import ConfigurationError


class MiniLm(nn.Module):
    """Has the methods that are used of a `SentenceTransformer`; safe to share between threads."""

    device = torch.device("cpu")

    def __init__(self, folder: Path) -> None:
        super().__init__()
        shape = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        limits = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        self.max_seq_length: int = limits["max_seq_length"]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.enable_truncation(self.max_seq_length)
        self.tokenizer.enable_padding()
        self.embeddings = _embeddings(shape)
        layers = (_Layer(shape) for _ in range(shape["num_hidden_layers"]))
        self.encoder = _Parts(layer=nn.ModuleList(layers))

    @classmethod
    def load(cls, folder: Path) -> MiniLm:
        """Load the model for one thread per operation; raises `ConfigurationError`."""
        torch.set_num_threads(1)
        try:
            model = cls(folder)
            weights = load_file(folder / "model.safetensors")
            wanted = {name: weights[name] for name in model.state_dict()}
            model.load_state_dict(wanted, assign=True)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ConfigurationError(f"cannot load the model in {folder}: {error}") from error
        return model.eval()

    def preprocess(self, texts: Sequence[str]) -> dict[str, Tensor]:
        """Return the texts' tokens, filled up to one length."""
        encoded = self.tokenizer.encode_batch([text.strip() for text in texts])
        return {
            "input_ids": torch.tensor([each.ids for each in encoded]),
            "attention_mask": torch.tensor([each.attention_mask for each in encoded]),
        }

    def forward(self, features: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return one vector per text, not yet of unit length."""
        tokens, mask = features["input_ids"], features["attention_mask"].bool()
        parts: Any = self.embeddings
        places = parts.position_embeddings.weight[: tokens.shape[1]]
        words = parts.word_embeddings(tokens) + (places + parts.token_type_embeddings.weight[0])
        hidden = parts.LayerNorm(words)
        attended = None if mask.all() else mask[:, None, None, :]
        for layer in self.encoder.layer:
            hidden = layer(hidden, attended)
        counted = mask[:, :, None]
        sums = hidden.float().mul(counted).sum(1)
        return {"sentence_embedding": sums / counted.sum(1)}


class _Layer(nn.Module):
    def __init__(self, shape: dict[str, Any]) -> None:
        super().__init__()
        width, inner = shape["hidden_size"], shape["intermediate_size"]
        self.heads: int = shape["num_attention_heads"]
        self.attention = _Parts(
            self=_Parts(**{name: nn.Linear(width, width) for name in ("query", "key", "value")}),
            output=_closing(width, shape),
        )
        self.intermediate = _Parts(dense=nn.Linear(width, inner))
        self.output = _closing(inner, shape)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """Return the hidden states of the next layer; shape (batch, tokens, width)."""
        mixed = _close(self.attention.output, self._attend(hidden, mask), plus=hidden)
        raised = nn.functional.gelu(self.intermediate.dense(mixed))
        return _close(self.output, raised, plus=mixed)

    def _attend(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        own: Any = self.attention.self
        query, key, value = (
            product(hidden).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for product in (own.query, own.key, own.value)
        )
        found = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return found.transpose(1, 2).flatten(2)


class _Parts(nn.Module):
    """Modules by name."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return super().__getattr__(name)


def _embeddings(shape: dict[str, Any]) -> _Parts:
    width = shape["hidden_size"]
    return _Parts(
        word_embeddings=nn.Embedding(shape["vocab_size"], width),
        position_embeddings=nn.Embedding(shape["max_position_embeddings"], width),
        token_type_embeddings=nn.Embedding(shape["type_vocab_size"], width),
        LayerNorm=nn.LayerNorm(width, eps=shape["layer_norm_eps"]),
    )


def _closing(takes: int, shape: dict[str, Any]) -> _Parts:
    """Return what ends either half of a layer."""
    width = shape["hidden_size"]
    norm = nn.LayerNorm(width, eps=shape["layer_norm_eps"])
    return _Parts(dense=nn.Linear(takes, width), LayerNorm=norm)


def _close(parts: _Parts, values: Tensor, *, plus: Tensor) -> Tensor:
    made: Tensor = parts.LayerNorm(parts.dense(values) + plus)
    return made
