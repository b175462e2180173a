"""The text encoder: a small CLIP text transformer, equal to the host's (comfy/clip_model.py) and with its keys."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from .config import TEXT, VOCABULARY


class Attention(nn.Module):
    """Attend from each token to itself and those before it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.q_proj, self.k_proj, self.v_proj))
        attended = scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out_proj(attended.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(gelu(self.fc1(x)))


class Layer(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(width)
        self.self_attn = Attention(width, heads)
        self.layer_norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, hidden)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class Embeddings(nn.Module):
    def __init__(self, width: int, words: int, positions: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(words, width)
        self.position_embedding = nn.Embedding(positions, width)

    def forward(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids) + self.position_embedding.weight[: ids.shape[1]]


class Encoder(nn.Module):
    def __init__(self, layers: int, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(width, heads, hidden) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


class TextModel(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        width = TEXT["hidden_size"]
        self.embeddings = Embeddings(width, VOCABULARY, TEXT["max_position_embeddings"])
        self.encoder = Encoder(TEXT["num_hidden_layers"], width, TEXT["num_attention_heads"], TEXT["intermediate_size"])
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        return self.final_layer_norm(self.encoder(self.embeddings(ids)))


class TextEncoder(nn.Module):
    """Encode ids [B, L] as [B, L, 128], L at most 24: what the host's CLIP gives as cross attention when no word has a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.text_model = TextModel()
        self.initialise()

    def forward(self, ids: Tensor) -> Tensor:
        return self.text_model(ids)

    @torch.no_grad()
    def initialise(self) -> None:
        """Draw the weights to start training from: as CLIP, but with tokens that are not drowned by the first layer."""
        depth = TEXT["num_hidden_layers"]
        nn.init.normal_(self.text_model.embeddings.token_embedding.weight, std=0.3)
        nn.init.normal_(self.text_model.embeddings.position_embedding.weight, std=0.1)
        for name, layer in self.named_modules():
            if isinstance(layer, nn.Linear):
                into_residual = name.endswith(("out_proj", "fc2"))
                nn.init.normal_(layer.weight, std=layer.in_features**-0.5 * ((2 * depth) ** -0.5 if into_residual else 1.0))
                nn.init.zeros_(layer.bias)
